import assert from 'node:assert/strict';
import { test } from 'node:test';
import { selectRange } from './ranges.ts';

test('RFC 9110 §14.1.2: first and last, from, and the last bytes', () => {
  assert.deepEqual(selectRange('bytes=0-1', 11), { first: 0, last: 1 });
  assert.deepEqual(selectRange('bytes=1-', 11), { first: 1, last: 10 });
  assert.deepEqual(selectRange('bytes=-1', 11), { first: 10, last: 10 });
  assert.deepEqual(selectRange('bytes=-100', 11), { first: 0, last: 10 });
  assert.deepEqual(selectRange('Bytes=5-100', 11), { first: 5, last: 10 });
});

test('RFC 9110 §15.5.17: nothing of it is there', () => {
  assert.equal(selectRange('bytes=11-', 11), 'unsatisfiable');
  assert.equal(selectRange('bytes=-0', 11), 'unsatisfiable');
  assert.equal(selectRange('bytes=0-', 0), 'unsatisfiable');
});

test('RFC 9110 §14.2: what is invalid, of another unit, or several ranges, is ignored', () => {
  for (const range of ['bytes=2-1', 'bytes=-', 'lines=1-2', 'bytes=0-1,3-4', 'bytes=a-b', ''])
    assert.equal(selectRange(range, 11), 'whole', range);
});
