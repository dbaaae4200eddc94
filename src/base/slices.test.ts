import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atOnce, inSlices, mapSteps, type Steps, sortSteps } from './slices.ts';

function* busy(steps: number): Steps<number> {
  for (let i = 0; i < steps; i++) {
    const end = performance.now() + 0.5;
    while (performance.now() < end);
    yield;
  }
  return steps;
}

/** Counts turns of the event loop until `work` is over. */
async function countingTurns(work: (turns: () => number) => Promise<void>): Promise<void> {
  let turns = 0;
  let next = setImmediate(function count() {
    turns++;
    next = setImmediate(count);
  });
  try {
    await work(() => turns);
  } finally {
    clearImmediate(next);
  }
}

test('work in slices lets others have their turn, at once it does not', () =>
  countingTurns(async (turns) => {
    assert.equal(atOnce(busy(20)), 20);
    assert.equal(turns(), 0);
    assert.equal(await inSlices(busy(40)), 40);
    assert.ok(turns() >= 2, `${turns()} turns`);
  }));

test('several works in a row make no long slice', () =>
  countingTurns(async (turns) => {
    // Each of them ends within its first slice.
    for (let i = 1; i <= 5; i++) {
      await inSlices(busy(1));
      assert.ok(turns() >= i, `${turns()} turns after ${i}`);
    }
  }));

test('what the work throws rejects, in the first slice and in later ones', async () => {
  function* failing(after: number): Steps<void> {
    yield* busy(after);
    throw new RangeError('no more');
  }
  assert.throws(() => atOnce(failing(0)), RangeError);
  await assert.rejects(inSlices(failing(0)), RangeError);
  await assert.rejects(inSlices(failing(20)), RangeError);
});

test('mapping keeps order and indices', () => {
  assert.deepEqual(atOnce(mapSteps(['a', 'b'], (item, index) => `${index}${item}`)), ['0a', '1b']);
  assert.deepEqual(atOnce(mapSteps([], String)), []);
});

test('sorting gives what the language gives, equal items in their order, whatever the number', () => {
  const compare = (a: { readonly key: number }, b: { readonly key: number }): number => a.key - b.key;
  for (const count of [0, 1, 2, 255, 256, 257, 700, 5_000]) {
    const items = Array.from({ length: count }, (_, index) => ({ key: (index * 7919) % 101, index }));
    assert.deepEqual(atOnce(sortSteps(items, compare)), items.toSorted(compare), `${count}`);
  }
});
