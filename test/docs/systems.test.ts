/** docs/systems.md claims what tests show: each name in it is one of a test of the file that it links. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const page = new URL('../../docs/systems.md', import.meta.url);
const rows = readFileSync(page, 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| ') && !/^\| (the document says|---)/.test(line));

test('every row names a test that exists, or says in words where it is shown or that it is open', () => {
  assert.ok(rows.length > 50);
  for (const row of rows) {
    const [, , shown = '', note = ''] = row.split('|');
    if (shown.trim() === '') assert.match(note, /\S/, `nothing shows: ${row}`);
    for (const [, path = '', names = ''] of shown.matchAll(/\]\(([^)]+\.test\.ts)\)((?: "[^"]+",?)*)/g)) {
      const file = readFileSync(new URL(path, page), 'utf8');
      for (const [, name = ''] of names.matchAll(/"([^"]+)"/g))
        assert.ok(file.includes(name), `${path} has no "${name}"`);
    }
  }
});
