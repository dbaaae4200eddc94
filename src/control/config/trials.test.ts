import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MOST_TRIALS, TooManyTrials, Trials } from './trials.ts';

test('trials run one after another, those of the same are shared until they begin, and only so many wait', async () => {
  const trials = new Trials<number>();
  let running = 0;
  let made = 0;
  const work = async (): Promise<number> => {
    assert.equal(++running, 1);
    await new Promise((resolve) => setImmediate(resolve));
    running--;
    return ++made;
  };
  const first = trials.run('a', work);
  assert.equal(trials.run('a', work), first);
  const others = Array.from({ length: MOST_TRIALS - 2 }, () => trials.run(null, work));
  const failing = trials.run('b', () => Promise.reject(new Error('wrong')));
  await assert.rejects(trials.run(null, work), TooManyTrials);
  await assert.rejects(trials.run('c', work), TooManyTrials);
  assert.equal(trials.run('b', work), failing, 'what waits already can still be shared');
  await assert.rejects(failing, /wrong/);
  assert.deepEqual(
    await Promise.all([first, ...others]),
    Array.from({ length: MOST_TRIALS - 1 }, (_, i) => i + 1),
  );
  assert.equal(await trials.run('a', work), MOST_TRIALS);
});
