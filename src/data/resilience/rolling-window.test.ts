import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seeded } from '../balancer/fixtures.suite.ts';
import { windowTotals } from '../contract/service-state.ts';
import { RollingWindow } from './rolling-window.ts';

function make(buckets = 10, bucketTicks = 100): { words: Int32Array; window: RollingWindow } {
  const words = new Int32Array(new SharedArrayBuffer(4 * 3 * 64));
  return { words, window: new RollingWindow(words, 3, buckets, bucketTicks) };
}

describe('rolling window', () => {
  it('forgets what is older than its buckets', () => {
    const { window } = make();
    window.addTotal(6_000);
    window.addMarked(6_000);
    window.sum(6_999);
    assert.deepEqual([window.total, window.marked], [1, 1]);
    window.sum(7_000);
    assert.deepEqual([window.total, window.marked], [0, 0]);
  });

  it('counts the same as a list of times, over long random traffic', () => {
    const { words, window } = make(7, 13);
    const random = seeded(11);
    const seen: { epoch: number; marked: boolean }[] = [];
    let tick = 6_000;
    for (let i = 0; i < 20_000; i++) {
      if (random() < 0.2) tick += Math.floor(random() * 40);
      const marked = random() < 0.3;
      window.addTotal(tick);
      if (marked) window.addMarked(tick);
      const epoch = Math.floor(tick / 13);
      seen.push({ epoch, marked });
      while (seen[0]!.epoch <= epoch - 7) seen.shift();
      window.sum(tick);
      assert.equal(window.total, seen.length);
      assert.equal(window.marked, seen.filter((one) => one.marked).length);
    }
    assert.deepEqual(windowTotals(words, 3, 7, 13, tick), { total: window.total, marked: window.marked });
  });

  it('reads one period, and zeros for one that is gone', () => {
    const { window } = make(2, 100);
    for (let i = 0; i < 5; i++) window.addTotal(6_050);
    window.addTotal(6_150);
    window.readEpoch(60);
    assert.equal(window.total, 5);
    window.addTotal(6_250);
    window.readEpoch(60);
    assert.equal(window.total, 0);
  });

  it('does not let a late thread turn a bucket back', () => {
    const { window } = make(2, 100);
    window.addTotal(6_250);
    window.addTotal(6_050);
    window.sum(6_250);
    assert.equal(window.total, 2, 'the late count is in the period that has the bucket now');
  });

  it('writes nowhere but into its own words', () => {
    const { words, window } = make(4, 10);
    for (let tick = 6_000; tick < 7_000; tick++) window.addTotal(tick);
    assert.equal(
      words.subarray(0, 3).some((word) => word !== 0),
      false,
    );
    assert.equal(
      words.subarray(3 + 12).some((word) => word !== 0),
      false,
    );
  });

  it('takes a tick that has become negative', () => {
    const { window } = make();
    window.addTotal(0x7fff_fff0);
    window.addTotal(0x7fff_fff0 + 32 - 2 ** 32);
    window.sum(0x7fff_fff0 + 32 - 2 ** 32);
    assert.equal(window.total, 2);
  });
});
