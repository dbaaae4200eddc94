import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '../../base/clock.ts';
import { BREAKER } from '../balancer/fixtures.suite.ts';
import { SERVICE, serviceAt } from '../contract/instance-layout.ts';
import { createInstanceTable, InstanceTable } from '../contract/instance-table.ts';
import type { BreakerSettings } from '../contract/snapshot.ts';
import { Breaker, NO_PROBE, REFUSED } from './breaker.ts';

/** One shared breaker, as several workers see it. */
function make(more: Partial<BreakerSettings> = {}, patienceMs = 20_000) {
  const clock = new FakeClock();
  const table = new InstanceTable(createInstanceTable(), clock);
  const told: string[] = [];
  const at = serviceAt(1);
  const view = (): Breaker =>
    new Breaker(table, at + SERVICE.breakerWord, at + SERVICE.breakerWindow, { ...BREAKER, ...more }, patienceMs, {
      onBreaker: (state, reason) => told.push(`${state}: ${reason}`),
    });
  const now = (): number => table.nowTick();
  const record = (breaker: Breaker, failed: boolean, round = NO_PROBE, ageTicks = 0): void =>
    breaker.record(now(), now() - ageTicks, failed, round);
  return { clock, told, view, now, record };
}

/** Opens it with ten failures. */
function open(more: Partial<BreakerSettings> = {}, patienceMs?: number) {
  const made = make(more, patienceMs);
  const breaker = made.view();
  for (let i = 0; i < 10; i++) made.record(breaker, true);
  assert.equal(breaker.admit(made.now()), REFUSED);
  return { ...made, breaker };
}

describe('a closed breaker', () => {
  it('opens at the error threshold, not below it', () => {
    const { view, record, told } = make({ errorThresholdRatio: 0.5, volumeThreshold: 10 });
    const breaker = view();
    for (let i = 0; i < 11; i++) record(breaker, false);
    for (let i = 0; i < 10; i++) record(breaker, true);
    assert.equal(breaker.isClosed, true, '10 of 21 is below half');
    record(breaker, true);
    assert.equal(breaker.isClosed, false, '11 of 22 is half');
    assert.deepEqual(told, ['open: 11 of 22 responses were errors']);
  });

  it('needs the volume', () => {
    const { view, record } = make({ volumeThreshold: 10 });
    const breaker = view();
    for (let i = 0; i < 9; i++) record(breaker, true);
    assert.equal(breaker.isClosed, true);
    record(breaker, true);
    assert.equal(breaker.isClosed, false);
  });

  it('forgets errors that leave the window', () => {
    const { clock, view, record } = make({ rollingWindowMs: 10_000, rollingBuckets: 10 });
    const breaker = view();
    for (let i = 0; i < 9; i++) record(breaker, true);
    clock.advance(10_000);
    record(breaker, true);
    assert.equal(breaker.isClosed, true);
  });

  it('is one breaker for all workers', () => {
    const { view, record, now, told } = make();
    const workers = [view(), view(), view()];
    for (let i = 0; i < 10; i++) record(workers[i % 3]!, true);
    for (const worker of workers) assert.equal(worker.admit(now()), REFUSED);
    assert.equal(told.length, 1);
  });
});

describe('an open breaker', () => {
  it('refuses until the reset timeout has passed, and says for how long', () => {
    const { clock, breaker, now } = open({ resetTimeoutMs: 5_000 });
    clock.advance(4_990);
    assert.equal(breaker.admit(now()), REFUSED);
    assert.equal(breaker.waitTicks(now()), 1);
    clock.advance(10);
    assert.ok(breaker.admit(now()) >= 0);
  });

  it('does not count answers to what was sent before', () => {
    const { clock, breaker, record, told } = open();
    clock.advance(1_000);
    for (let i = 0; i < 100; i++) record(breaker, false);
    assert.equal(breaker.isClosed, false);
    assert.equal(told.length, 1);
  });
});

describe('a half-open breaker', () => {
  it('lets no more probes through than it may, over all workers', () => {
    const { clock, view, now, told } = open({ halfOpenProbes: 3 });
    clock.advance(5_000);
    const workers = [view(), view()];
    const admitted = Array.from({ length: 20 }, (_, i) => workers[i % 2]!.admit(now()));
    assert.equal(admitted.filter((round) => round >= 0).length, 3);
    assert.equal(admitted.filter((round) => round === REFUSED).length, 17);
    assert.equal(told.at(-1), 'half-open: reset timeout passed');
  });

  it('closes when all its probes are answered well, with an empty window', () => {
    const { clock, breaker, now, record, told } = open({ halfOpenProbes: 2 });
    clock.advance(5_000);
    const first = breaker.admit(now());
    const second = breaker.admit(now());
    record(breaker, false, first);
    assert.equal(breaker.isClosed, false);
    record(breaker, false, second);
    assert.equal(breaker.isClosed, true);
    assert.equal(told.at(-1), 'closed: 2 probes were answered well');
    for (let i = 0; i < 9; i++) record(breaker, true);
    assert.equal(breaker.isClosed, true, 'the errors from before are forgotten');
  });

  it('opens again when one probe fails, for the whole reset timeout', () => {
    const { clock, breaker, now, record } = open({ halfOpenProbes: 2 });
    clock.advance(5_000);
    const first = breaker.admit(now());
    const second = breaker.admit(now());
    clock.advance(100);
    record(breaker, true, first);
    record(breaker, false, second);
    assert.equal(breaker.admit(now()), REFUSED);
    clock.advance(4_990);
    assert.equal(breaker.admit(now()), REFUSED);
    clock.advance(10);
    assert.ok(breaker.admit(now()) >= 0);
  });

  it('gives the place of a probe that was called off to another', () => {
    const { clock, breaker, now, record } = open({ halfOpenProbes: 1 });
    clock.advance(5_000);
    const first = breaker.admit(now());
    assert.equal(breaker.admit(now()), REFUSED);
    breaker.giveBack(first);
    const second = breaker.admit(now());
    assert.ok(second >= 0);
    record(breaker, false, second);
    assert.equal(breaker.isClosed, true);
  });

  it('starts another round when probes never end, as when their worker died', () => {
    const { clock, breaker, now, record } = open({ halfOpenProbes: 1 }, 20_000);
    clock.advance(5_000);
    const lost = breaker.admit(now());
    clock.advance(19_990);
    assert.equal(breaker.admit(now()), REFUSED);
    clock.advance(10);
    const next = breaker.admit(now());
    assert.ok(next >= 0);
    record(breaker, false, lost);
    assert.equal(breaker.isClosed, false, 'the old round has no say');
    breaker.giveBack(lost);
    assert.equal(breaker.admit(now()), REFUSED, 'nor gives it places back');
    record(breaker, false, next);
    assert.equal(breaker.isClosed, true);
  });
});

describe('a breaker that closed again', () => {
  it('does not count failures of requests from before', () => {
    const { clock, breaker, now, record } = open({ halfOpenProbes: 1 });
    clock.advance(5_000);
    record(breaker, false, breaker.admit(now()));
    clock.advance(1_000);
    for (let i = 0; i < 50; i++) record(breaker, true, NO_PROBE, 3_000);
    assert.equal(breaker.isClosed, true);
    for (let i = 0; i < 10; i++) record(breaker, true, NO_PROBE, 50);
    assert.equal(breaker.isClosed, false);
  });

  it('counts rounds on for ever', () => {
    const { clock, breaker, now, record } = open({ halfOpenProbes: 1 });
    for (let i = 0; i < 40_000; i++) {
      clock.advance(5_000);
      record(breaker, true, breaker.admit(now()));
    }
    clock.advance(5_000);
    record(breaker, false, breaker.admit(now()));
    assert.equal(breaker.isClosed, true);
  });
});
