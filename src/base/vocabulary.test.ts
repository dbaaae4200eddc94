import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { PHASES } from './vocabulary.ts';

test('docs/life-of-a-request.md has a heading for each phase, in order', () => {
  const page = readFileSync(new URL('../../docs/life-of-a-request.md', import.meta.url), 'utf8');
  const headings = [...page.matchAll(/^## (.+)$/gm)].map((match) => match[1]);
  assert.deepEqual(headings, [...PHASES]);
});

test('exchange.ts names the phases in the same order', () => {
  const story = readFileSync(new URL('../data/exchange/exchange.ts', import.meta.url), 'utf8');
  const header = story.slice(0, story.indexOf('*/'));
  const named = [...header.matchAll(/[a-zA-Z]+/g)]
    .map((match) => match[0])
    .filter((word) => (PHASES as readonly string[]).includes(word));
  const line = named.slice(-PHASES.length);
  assert.deepEqual(line, [...PHASES]);
});
