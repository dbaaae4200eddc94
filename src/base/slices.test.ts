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

test('work in slices lets others have their turn, at once it does not', async () => {
  let turns = 0;
  let isRunning = true;
  const count = (): void => {
    turns++;
    if (isRunning) setImmediate(count);
  };
  setImmediate(count);
  assert.equal(atOnce(busy(20)), 20);
  assert.equal(turns, 0);
  assert.equal(await inSlices(busy(40)), 40);
  isRunning = false;
  assert.ok(turns >= 2, `${turns} turns`);
});

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
