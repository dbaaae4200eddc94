/**
 * CONTRIBUTING.md lists plain words. Prose for users (guides, messages, descriptions) keeps clear of the worst others.
 */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const WORDS = /\b(?:told|nobody|whoever|dear|so many words)\b/i;
/** Text on one line with a blank in it: a message, not a name or a value. */
const MESSAGES = /'(?:[^'\\]|\\.)* (?:[^'\\]|\\.)*'|`[^`]* [^`]*`/g;
/** Pages that quote names of tests, and those that are written from the schemas, which are looked at themselves. */
const QUOTING = /(?:systems|http2-clauses)\.md$|reference\//;
/** Values of options, and a message that a golden file holds. */
const ALLOWED = /[`'"]nobody[`'"]|abuse told|port 0 is nobody/g;

function found(pattern: string, skipped: RegExp, textsOf: (line: string) => readonly string[]): string[] {
  return globSync(pattern, { cwd: ROOT })
    .filter((path) => !skipped.test(path))
    .flatMap((path) =>
      readFileSync(`${ROOT}/${path}`, 'utf8')
        .split('\n')
        .flatMap((line, at) => textsOf(line).map((text) => ({ text, place: `${path}:${at + 1}` }))),
    )
    .filter(({ text }) => WORDS.test(text.replaceAll(ALLOWED, '')))
    .map(({ text, place }) => `${place} ${text}`);
}

test('messages and descriptions use plain words', () => {
  const isComment = /^\s*(?:\*|\/\/|\/\*)/;
  const skipped = /\.test\.ts$|\.suite\.ts$|\btesting\b|identity\/pages\/texts-/;
  const texts = (line: string): readonly string[] => (isComment.test(line) ? [] : (line.match(MESSAGES) ?? []));
  assert.deepEqual(found('src/**/*.ts', skipped, texts), []);
});

test('guides use plain words', () => {
  const code = /`[^`]*`|\[[^\]]*\]\([^)]*\)|subscribe: nobody/g;
  const prose = (line: string): readonly string[] => [line.replaceAll(code, '')];
  assert.deepEqual(found('{README.md,SECURITY.md,docs/**/*.md}', QUOTING, prose), []);
});
