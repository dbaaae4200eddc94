import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createInstanceTable, InstanceTable } from '../contract/instance-table.ts';
import { Instance } from './endpoint.ts';
import { instance } from './fixtures.suite.ts';

function make(): { timeline: { nowMs: number }; one: Instance<null> } {
  const timeline = { nowMs: 0 };
  return { timeline, one: new Instance(instance(1), null, new InstanceTable(createInstanceTable()), timeline) };
}

function near(got: number, want: number): void {
  assert.ok(Math.abs(got - want) <= want * 0.001, `got ${got}, want ${want}`);
}

describe('the latency of an instance', () => {
  it('is 0 until the first answer, and never again', () => {
    const { one } = make();
    assert.equal(one.latencyMs, 0);
    one.observe(0);
    assert.ok(one.latencyMs > 0);
  });

  it('jumps up to a peak at once', () => {
    const { one } = make();
    one.observe(5);
    one.observe(800);
    near(one.latencyMs, 800);
  });

  it('comes down with time, with and without answers', () => {
    const { one, timeline } = make();
    one.observe(800);
    timeline.nowMs = 10_000;
    near(one.latencyMs, 800 / Math.E);
    one.observe(5);
    near(one.latencyMs, 800 / Math.E + 5 * (1 - 1 / Math.E));
    timeline.nowMs = 60_000;
    assert.ok(one.latencyMs < 10, `still ${one.latencyMs}`);
  });

  it('stays at what it is while answers do not change', () => {
    const { one, timeline } = make();
    for (let i = 0; i < 1_000; i++) {
      timeline.nowMs += 10;
      one.observe(20);
    }
    assert.ok(one.latencyMs > 19 && one.latencyMs < 21, `got ${one.latencyMs}`);
  });

  it('does not look good for failing quickly', () => {
    const { one } = make();
    one.observe(20);
    for (let i = 0; i < 5; i++) one.observeFailure(0.3);
    near(one.latencyMs, 20 * 2 ** 5);
    for (let i = 0; i < 50; i++) one.observeFailure(0.3);
    near(one.latencyMs, 1_000);
    one.observeFailure(5_000);
    near(one.latencyMs, 5_000);
  });

  it('learns from an attempt that was called off, if it took longer than expected', () => {
    const { one } = make();
    one.observe(20);
    one.observeAtLeast(5);
    near(one.latencyMs, 20);
    one.observeAtLeast(300);
    near(one.latencyMs, 300);
  });
});
