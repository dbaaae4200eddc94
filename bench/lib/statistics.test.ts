import assert from 'node:assert/strict';
import { test } from 'node:test';
import { median, pairedRatios, quantile } from './statistics.ts';

const medians = [
  { name: 'the middle of an odd list', input: [9, 1, 5], want: 5 },
  { name: 'the mean of the two middle values of an even list', input: [4, 1, 3, 2], want: 2.5 },
  { name: 'the only value', input: [7], want: 7 },
  { name: 'not a number for an empty list', input: [], want: Number.NaN },
];
for (const { name, input, want } of medians) {
  test(`median is ${name}`, () => assert.equal(median(input), want));
}

test('quantile interpolates between neighbours', () => {
  assert.equal(quantile([0, 10], 0.99), 9.9);
  assert.equal(quantile([3, 1, 2], 0), 1);
  assert.equal(quantile([3, 1, 2], 1), 3);
});

test('paired ratios divide within a round and skip rounds that one side lacks', () => {
  assert.deepEqual(pairedRatios([10, undefined, 30, 8], [5, 5, 10]), [2, 3]);
});

test('a slow phase that hits both sides leaves the paired ratio alone', () => {
  const quiet = pairedRatios([20, 20], [10, 10]);
  const noisy = pairedRatios([20, 60], [10, 30]);
  assert.equal(median(quiet), median(noisy));
});
