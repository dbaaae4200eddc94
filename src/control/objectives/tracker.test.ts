import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createMetricsBuffer, MetricsBank } from '../../base/metrics.ts';
import { MetricsReader } from '../../base/metrics-reader.ts';
import type { Snapshot } from '../../data/contract/snapshot.ts';
import type { ObjectivePlan } from './section.ts';
import { ObjectiveTracker } from './tracker.ts';

const HOUR_MS = 3_600_000;
const plan: ObjectivePlan = {
  name: 'notes',
  routes: [0],
  availability: 0.99,
  latency: { underMs: 100, target: 0.9 },
  minBad: 30,
};
const snapshotOf = (id: string, slot: number) => ({ routes: [{ id, slot }] }) as unknown as Snapshot;

function scene() {
  const buffer = createMetricsBuffer({ workers: 1, routes: 8, instances: 1 });
  const bank = new MetricsBank(buffer, 0);
  const clock = { wallMs: Date.UTC(2026, 0, 1) };
  const reader = new MetricsReader(buffer);
  const tracker = new ObjectiveTracker(reader, () => clock.wallMs);
  tracker.follow([plan], snapshotOf('notes', 1));
  const serve = (status: number, count: number, isFast = true, slot = 1): void => {
    for (let i = 0; i < count; i++) {
      bank.route(slot, status, 0.01, 0, 0);
      if (isFast && status < 500) bank.within(slot);
    }
  };
  const report = (kind: string) => {
    tracker.read();
    return tracker.reports().find((each) => each.kind === kind)!;
  };
  return { bank, clock, reader, tracker, serve, report };
}

describe('objectives', () => {
  it('count 5xx and what broke off as bad; callers who left or asked too often not at all', () => {
    const { bank, serve, report, tracker } = scene();
    serve(200, 90);
    serve(503, 5);
    serve(429, 1_000);
    serve(499, 1_000);
    for (let i = 0; i < 5; i++) bank.broken(1);
    assert.deepEqual(report('availability').lastHour, { total: 95, bad: 10 });
    assert.deepEqual(tracker.counts()[0], { objective: 'notes', kind: 'availability', total: 95, bad: 10 });
  });

  it('say how fast the budget burns, and page only when both windows do and it is no noise', () => {
    const { serve, report, clock } = scene();
    serve(200, 100);
    serve(500, 20);
    let found = report('availability');
    assert.ok(Math.abs(found.burnRates['1h'] - 20 / 120 / 0.01) < 1e-9);
    assert.equal(found.alert, null, 'twenty bad requests are noise');
    serve(500, 20);
    assert.equal(report('availability').alert, 'page');
    // It is over: the short window says so first.
    clock.wallMs += 10 * 60_000;
    serve(200, 100);
    found = report('availability');
    assert.equal(found.burnRates['5m'], 0);
    assert.ok(found.burnRates['1h'] > 14.4);
    assert.equal(found.alert, 'page', 'six hours and thirty minutes still say so');
    clock.wallMs += 7 * HOUR_MS;
    found = report('availability');
    assert.equal(found.burnRates['6h'], 0);
    assert.ok(found.burnRates['3d'] > 1);
    clock.wallMs += 31 * 24 * HOUR_MS;
    assert.equal(report('availability').budgetRemaining, 1);
  });

  it('judge latency by the bound, among responses that did not fail', () => {
    const { serve, report } = scene();
    serve(200, 80);
    serve(200, 20, false);
    serve(500, 50);
    serve(101, 10, false);
    assert.deepEqual(report('latency').lastHour, { total: 100, bad: 20 });
    assert.ok(Math.abs(report('latency').burnRates['5m'] - 2) < 1e-9);
  });

  it('go on over reloads, other slots and restarts', () => {
    const { serve, report, tracker, reader, clock } = scene();
    serve(500, 40);
    assert.equal(report('availability').lastHour.bad, 40);
    // The slot goes to another route, and this one gets a slot with counts from zero.
    tracker.follow([plan], snapshotOf('notes', 2));
    serve(500, 5, true, 2);
    assert.equal(report('availability').lastHour.bad, 45);
    const saved: unknown = JSON.parse(JSON.stringify(tracker.save()));
    const next = new ObjectiveTracker(reader, () => clock.wallMs);
    next.follow([plan], snapshotOf('other', 5));
    next.restore(saved);
    assert.equal(next.reports()[0]?.lastHour.bad, 45);
    for (const wrong of [null, 7, { 'notes availability': [[['x']], 7, [[1]]] }]) next.restore(wrong);
    assert.equal(next.reports()[0]?.lastHour.bad, 45);
  });
});
