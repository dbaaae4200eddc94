/** Who is the queen, on a clock that the test moves. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeTimers } from '../../../test/support/fake-timers.ts';
import { createLogger } from '../../base/log.ts';
import { Election } from './election.ts';
import type { Lease, LeaseStore } from './lease.ts';

/** Leases in memory whose clock is the test's, and which can be away or slow. */
class FakeLeases implements LeaseStore {
  lease: Lease | null = null;
  isAway = false;
  /** Called before each response. */
  before: () => Promise<void> = async () => {};
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  async acquire(holder: string, ttlMs: number): Promise<number | null> {
    await this.before();
    if (this.isAway) throw new Error('the store is away');
    const isHeld = this.lease !== null && this.lease.untilMs >= this.#now();
    if (isHeld && this.lease?.holder !== holder) return null;
    const epoch = isHeld ? (this.lease?.epoch ?? 0) : (this.lease?.epoch ?? 0) + 1;
    this.lease = { holder, epoch, untilMs: this.#now() + ttlMs, isHeld: true };
    return epoch;
  }

  async release(holder: string): Promise<void> {
    if (this.lease?.holder === holder) this.lease = { ...this.lease, untilMs: 0, isHeld: false };
  }

  async read(): Promise<Lease | null> {
    return this.lease;
  }

  async close(): Promise<void> {}
}

function scene() {
  const timers = new FakeTimers();
  const leases = new FakeLeases(() => timers.clock.monotonicMs());
  const make = (holder: string) => {
    const changes: (number | null)[] = [];
    const election = new Election({
      leases,
      holder,
      settings: { leaseMs: 10_000, renewMs: 3_000 },
      clock: timers.clock,
      timers,
      log: createLogger({ level: 'error' }),
      random: () => 0.5,
      onChange: (epoch) => changes.push(epoch),
    });
    return { election, changes };
  };
  return { timers, leases, make };
}

test('one of two is the queen; the other follows within the lease when the first stops', async () => {
  const { timers, make } = scene();
  const [one, two] = [make('one'), make('two')];
  one.election.start();
  await timers.advance(0);
  two.election.start();
  await timers.advance(30_000);
  assert.deepEqual([one.changes, two.changes], [[1], []]);
  await one.election.close();
  await timers.advance(3_000);
  assert.deepEqual([one.changes, two.changes], [[1, null], [2]]);
  await two.election.close();
});

test('a queen that cannot renew steps down before the lease ends', async () => {
  const { timers, leases, make } = scene();
  const { election, changes } = make('one');
  election.start();
  await timers.advance(0);
  leases.isAway = true;
  await timers.advance(6_900);
  assert.deepEqual(changes, [1]);
  await timers.advance(200);
  assert.deepEqual(changes, [1, null]);
  assert.ok((leases.lease?.untilMs ?? 0) > timers.clock.monotonicMs(), 'nobody else can have it yet');
  leases.isAway = false;
  await timers.advance(3_000);
  assert.deepEqual(changes, [1, null, 1], 'still its own: nobody took it');
  await election.close();
});

test('a process that stood still knows at once that it may not be the queen any more', async () => {
  const { timers, make } = scene();
  const { election } = make('one');
  election.start();
  await timers.advance(0);
  assert.equal(election.epoch, 1);
  // SIGSTOP: the clock goes on, no timer fires.
  timers.clock.advance(20_000);
  assert.equal(election.epoch, null);
  await election.close();
});

test('a response that comes too late makes no queen', async () => {
  const { timers, leases, make } = scene();
  const { election, changes } = make('one');
  leases.before = async () => timers.clock.advance(8_000);
  election.start();
  await timers.advance(0);
  assert.deepEqual(changes, []);
  leases.before = async () => {};
  await timers.advance(3_000);
  assert.equal(changes.length, 1);
  await election.close();
});
