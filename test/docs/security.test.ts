/** SECURITY.md promises what tests hold: each row names a file of tests, and tests in it by their words. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const page = new URL('../../SECURITY.md', import.meta.url);
const text = readFileSync(page, 'utf8');
const promised = text.slice(text.indexOf('## What is promised'), text.indexOf('## What is not a vulnerability'));
const rows = promised.split('\n').filter((line) => line.startsWith('| ') && !/^\| (promise \||---)/.test(line));

test('every promise names the test that holds it, and that test is there and runs', () => {
  assert.ok(rows.length >= 25, `${rows.length} promises`);
  for (const row of rows) {
    const shown = row.split('|').at(-2) ?? '';
    const links = [...shown.matchAll(/\]\(([^)]+\.test\.ts)\)((?:,? "[^"]+")*)/g)];
    assert.ok(links.length > 0, `no test: ${row}`);
    for (const [, path = '', names = ''] of links) {
      const file = readFileSync(new URL(path, page), 'utf8');
      assert.match(file, /\b(?:test|it)\(/, path);
      assert.doesNotMatch(file, /\b(?:test|it|describe)\.(?:skip|todo|only)\b/, path);
      for (const [, name = ''] of names.matchAll(/"([^"]+)"/g))
        assert.ok(file.includes(name), `${path} has no "${name}"`);
    }
  }
});

test('every attack is the test of a promise, and says its rule', () => {
  const folder = new URL('../attacks/', import.meta.url);
  for (const name of readdirSync(folder)) {
    if (!name.endsWith('.test.ts') || name === 'postgres.test.ts') continue;
    assert.ok(promised.includes(`(test/attacks/${name})`), `SECURITY.md does not promise what ${name} holds`);
    assert.match(readFileSync(new URL(name, folder), 'utf8').slice(0, 400), /Rules?: /, `${name} says no rule`);
  }
});
