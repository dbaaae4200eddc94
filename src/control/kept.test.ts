/** It is read again for another object, and only then. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kept } from './kept.ts';

test('the same object is read once, another one again, also one that was there before', () => {
  const seen: string[][] = [];
  const length = kept((routes: string[]) => seen.push(routes));
  const [one, two] = [['a'], ['a']];
  assert.deepEqual([length(one), length(one), length(two), length(two), length(one)], [1, 1, 2, 2, 3]);
  assert.deepEqual(seen, [one, two, one]);
});
