/** docs/http2-clauses.md names tests that are there, and clauses in order. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const root = new URL('../../', import.meta.url);
const page = readFileSync(new URL('docs/http2-clauses.md', root), 'utf8');
const rows = [...page.matchAll(/^\| ([^|]+) \| [^|]+ \| `([^`]+)` (.+) \|$/gm)].map(
  ([, clause = '', file = '', name = '']) => ({ clause, file, name }),
);
/** Titles of tests, and names in tables that tests are made of. */
const titles = (file: string): Set<string> => {
  const text = readFileSync(new URL(file, root), 'utf8');
  return new Set([...text.matchAll(/(?:\btest\(|\bname: )\s*(['"`])((?:\\.|(?!\1).)*)\1/g)].map(([, , name]) => name!));
};

test('every row of the tables of clauses has been read', () => {
  const lines = page.split('\n').filter((line) => line.startsWith('| §') || line.startsWith('| RFC'));
  assert.ok(rows.length >= lines.length && lines.length > 60, `${rows.length} of ${lines.length}`);
});

test('every test that the tables of clauses name is there', () => {
  const known = new Map<string, Set<string>>();
  for (const { file } of rows) if (!known.has(file)) known.set(file, titles(file));
  const missing = rows.filter(({ file, name }) => !known.get(file)!.has(name));
  assert.deepEqual(missing, []);
});

test('every clause that a conformance test proves stands in the tables', () => {
  const clauses = rows.map(({ clause }) => clause).join(' ');
  const files = ['test/conformance/rfc9113/frames.test.ts', 'test/conformance/rfc9113/messages.test.ts'];
  const proved = new Set(files.flatMap((file) => [...titles(file)].flatMap((name) => /^§[\d.]+\d/.exec(name) ?? [])));
  assert.deepEqual(
    [...proved].filter((clause) => !clauses.split(/[ ,]+/).includes(clause)),
    [],
  );
});
