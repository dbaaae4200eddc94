/** What a version changed, line by line. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lineDifference } from './line-difference.ts';

test('what is new, gone and moved is marked, with three lines around', () => {
  const lines = Array.from({ length: 30 }, (_, i) => `line ${i}`);
  const after = [...lines.slice(0, 10), 'new', ...lines.slice(10, 20), ...lines.slice(21)];
  assert.deepEqual(lineDifference(lines.join('\n'), `${after.join('\n')}\n`), [
    ' line 7',
    ' line 8',
    ' line 9',
    '+new',
    ' line 10',
    ' line 11',
    ' line 12',
    '...',
    ' line 17',
    ' line 18',
    ' line 19',
    '-line 20',
    ' line 21',
    ' line 22',
    ' line 23',
    '...',
  ]);
});

test('the first version is all new, the same text differs in nothing, a changed line is gone and new', () => {
  assert.deepEqual(lineDifference('', 'a\nb'), ['+a', '+b']);
  assert.deepEqual(lineDifference('a\nb', 'a\nb\n'), []);
  assert.deepEqual(lineDifference('a\nb\nc', 'a\nB\nc'), [' a', '-b', '+B', ' c']);
});

test('applied to the former text it gives the new one, whatever both are', () => {
  let seed = 7;
  const random = (most: number): number => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % most;
  };
  for (let round = 0; round < 200; round++) {
    const text = () => Array.from({ length: random(5) }, () => 'abc'[random(3)]).join('\n');
    const [before, after] = [text(), text()];
    const lines = lineDifference(before, after);
    if (lines.length === 0) {
      assert.equal(before, after);
      continue;
    }
    assert.ok(!lines.includes('...'), 'all of it is near a change');
    const side = (mark: string) =>
      lines.filter((line) => line[0] === ' ' || line[0] === mark).map((line) => line.slice(1));
    assert.deepEqual([side('-').join('\n'), side('+').join('\n')], [before, after]);
  }
});

test('ten thousand changed lines are no table of a hundred million', () => {
  const lines = (mark: string) => Array.from({ length: 10_000 }, (_, i) => `${mark}${i}`).join('\n');
  assert.equal(lineDifference(lines('a'), lines('b')).length, 20_000);
});
