import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeTimers } from '../../test/support/fake-timers.ts';
import { backoffMs, every, jittered, pause, systemTimers } from './system-timers.ts';

describe('system timers', () => {
  it('fire once, never early by the monotonic clock, and not at all when cancelled', async () => {
    const start = performance.now();
    let cancelledRan = 0;
    const cancel = systemTimers.after(1, () => cancelledRan++);
    cancel();
    const keepAlive = setInterval(() => {}, 1_000);
    await new Promise<void>((resolve) => systemTimers.after(3.4, resolve));
    clearInterval(keepAlive);
    assert.ok(performance.now() - start >= 3.4);
    assert.equal(cancelledRan, 0);
  });

  it('take a delay beyond what Node holds without firing at once', async () => {
    let ran = 0;
    const cancel = systemTimers.after(2 ** 40, () => ran++);
    await new Promise((resolve) => setImmediate(resolve));
    cancel();
    assert.equal(ran, 0);
  });
});

describe('repetition and pauses', () => {
  it('runs each interval until it is cancelled, also from within', async () => {
    const timers = new FakeTimers();
    const at: number[] = [];
    const cancel = every(
      10,
      () => {
        at.push(timers.clock.monotonicMs());
        if (at.length === 3) cancel();
      },
      timers,
    );
    await timers.advance(100);
    assert.deepEqual(at, [10, 20, 30]);
    assert.equal(timers.pending, 0);
  });

  it('goes on whatever was done to a clock or to Math meanwhile', async () => {
    let runs = 0;
    const { min } = Math;
    const cancel = every(1, () => {
      Math.min = () => Number.POSITIVE_INFINITY;
      runs++;
    });
    const keepAlive = setInterval(() => {}, 1);
    const beganMs = performance.now();
    while (runs < 3 && performance.now() - beganMs < 5_000) await new Promise((resolve) => setImmediate(resolve));
    Math.min = min;
    cancel();
    clearInterval(keepAlive);
    assert.ok(runs >= 3, `${runs} runs`);
  });

  it('goes on after a run that throws', async () => {
    const timers = new FakeTimers();
    let runs = 0;
    every(
      10,
      () => {
        runs++;
        throw new RangeError('in a run');
      },
      timers,
    );
    await assert.rejects(timers.advance(10), RangeError);
    await assert.rejects(timers.advance(10), RangeError);
    assert.equal(runs, 2);
  });

  it('pauses for as long as it says', async () => {
    const timers = new FakeTimers();
    let isOver = false;
    void pause(10, timers).then(() => (isOver = true));
    await timers.advance(9);
    assert.equal(isOver, false);
    await timers.advance(1);
    assert.equal(isOver, true);
  });
});

describe('spreading', () => {
  it('moves an interval by at most the ratio, both ways', () => {
    assert.equal(
      jittered(1_000, 0.1, () => 0),
      900,
    );
    assert.equal(
      jittered(1_000, 0.1, () => 0.5),
      1_000,
    );
    assert.equal(Math.round(jittered(1_000, 0.1, () => 0.999_999)), 1_100);
  });

  it('doubles a back-off up to its limit and draws from the upper half', () => {
    const draw = (attempt: number, random: number) => backoffMs(attempt, 100, 1_000, () => random);
    assert.deepEqual([draw(0, 0), draw(1, 0), draw(2, 0), draw(9, 0), draw(5_000, 0)], [50, 100, 200, 500, 500]);
    assert.equal(Math.round(draw(2, 0.999_999)), 400);
  });
});
