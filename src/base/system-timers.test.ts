import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { backoffMs, jittered, systemTimers } from './system-timers.ts';

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
