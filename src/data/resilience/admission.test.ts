import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FAULTS, Fault } from '../../base/errors.ts';
import { Bench, CONCURRENCY, instances, REQUEST, SilentWaiter } from '../balancer/fixtures.suite.ts';
import type { AttemptWaiter, Endpoint } from '../balancer/service.ts';
import type { ConcurrencySettings } from '../contract/snapshot.ts';

function bench(more: Partial<ConcurrencySettings>, count = 3, shares?: Bench): Bench {
  return new Bench(
    { instances: instances(count), resilience: { concurrency: { ...CONCURRENCY, ...more } } },
    {},
    shares,
  );
}

/** Does what an exchange does: picks, waits, picks again when admitted. */
class Exchange implements AttemptWaiter {
  readonly bench: Bench;
  endpoint: Endpoint<unknown> | null = null;
  fault: Fault | null = null;
  waited = 0;
  wasServed = false;

  constructor(one: Bench) {
    this.bench = one;
    this.onAdmitted();
  }
  onAdmitted(): void {
    const picked = this.bench.service.pick(REQUEST, [], this);
    if (picked === 'wait') this.waited++;
    else if (picked instanceof Fault) this.fault = picked;
    else {
      this.endpoint = picked;
      this.wasServed = true;
    }
  }
  onRefused(fault: Fault): void {
    this.fault = fault;
  }
  get heard(): unknown {
    return this.fault?.kind;
  }
  end(): void {
    assert.ok(this.endpoint !== null);
    const endpoint = this.endpoint;
    this.endpoint = null;
    this.bench.answer(endpoint as never);
  }
}

describe('the limit of a service', () => {
  it('holds over all workers', () => {
    const one = bench({ maxPerService: 5, maxQueued: 0 });
    const other = bench({ maxPerService: 5, maxQueued: 0 }, 3, one);
    const got = Array.from({ length: 10 }, (_, i) => new Exchange(i % 2 === 0 ? one : other));
    assert.equal(got.filter((exchange) => exchange.endpoint !== null).length, 5);
    assert.equal(one.table.serviceInFlight(1), 5);
    for (const exchange of got) if (exchange.endpoint !== null) exchange.end();
    assert.equal(one.table.serviceInFlight(1), 0);
  });

  it('refuses with Retry-After when nobody may wait', () => {
    const one = bench({ maxPerService: 1, maxQueued: 0 });
    one.pick();
    const fault = one.refused();
    assert.equal(fault.kind, FAULTS.overloaded);
    assert.equal(fault.retryAfterSeconds, 1);
    assert.equal(one.refused(), fault, 'a refusal is not made anew');
    assert.equal(one.service.snapshotState().counters.overloaded, 2);
  });
});

describe('the queue', () => {
  it('admits in order, as room comes', () => {
    const one = bench({ maxPerService: 1 });
    const [first, second, third] = [new Exchange(one), new Exchange(one), new Exchange(one)];
    assert.deepEqual([second.waited, third.waited], [1, 1]);
    first.end();
    assert.ok(second.endpoint !== null);
    assert.equal(third.endpoint, null);
    second.end();
    assert.ok(third.endpoint !== null);
    third.end();
    assert.equal(one.table.serviceWaiting(1), 0);
    one.advance(10);
    assert.equal(one.hasTimer, false, 'nobody waits, nothing runs');
  });

  it('is bounded', () => {
    const one = bench({ maxPerService: 1, maxQueued: 2 });
    const all = Array.from({ length: 5 }, () => new Exchange(one));
    assert.deepEqual(
      all.map((exchange) => exchange.fault?.kind.reason ?? (exchange.endpoint ? 'sent' : 'waits')),
      ['sent', 'waits', 'waits', 'overloaded', 'overloaded'],
    );
  });

  it('gives up at the deadline, not before', () => {
    const one = bench({ maxPerService: 1, queueTimeoutMs: 1_000 });
    new Exchange(one);
    const waiting = new Exchange(one);
    one.advance(998);
    assert.equal(waiting.heard, undefined);
    one.advance(4);
    assert.equal(waiting.heard, FAULTS.queueTimeout);
    assert.equal(one.table.serviceWaiting(1), 0);
    assert.equal(one.service.snapshotState().counters.queueTimeouts, 1);
  });

  it('does not let newcomers overtake those who wait', () => {
    const one = bench({ maxPerService: 1 });
    const other = bench({ maxPerService: 1 }, 3, one);
    const holder = new Exchange(other);
    const waiting = new Exchange(one);
    holder.end();
    const newcomer = new Exchange(one);
    assert.equal(newcomer.endpoint, null);
    one.advance(2);
    assert.ok(waiting.endpoint !== null, 'room that another worker freed is seen within two milliseconds');
    assert.equal(newcomer.endpoint, null);
  });

  it('forgets a waiter who leaves', () => {
    const one = bench({ maxPerService: 1 });
    const holder = new Exchange(one);
    const left = new SilentWaiter();
    assert.equal(one.service.pick(REQUEST, [], left), 'wait');
    const second = new Exchange(one);
    one.service.cancelWait(left);
    one.service.cancelWait(left);
    holder.end();
    assert.equal(left.admitted, 0);
    assert.ok(second.endpoint !== null);
    assert.equal(one.table.serviceWaiting(1), 0);
  });

  it('goes on to the next when one does not want its turn any more', () => {
    const one = bench({ maxPerService: 1 });
    const holder = new Exchange(one);
    const silent = new SilentWaiter();
    one.service.pick(REQUEST, [], silent);
    const next = new Exchange(one);
    holder.end();
    assert.equal(silent.admitted, 1);
    assert.ok(next.endpoint !== null);
  });

  it('keeps the place and the deadline of one who finds no instance with room', () => {
    const one = bench({ maxPerInstance: 1, queueTimeoutMs: 100 }, 2);
    const [a, b] = [new Exchange(one), new Exchange(one)];
    const waiting = new Exchange(one);
    const behind = new Exchange(one);
    one.advance(90);
    assert.ok(waiting.waited > 1, 'it was asked, and had to wait again');
    a.end();
    assert.ok(waiting.endpoint !== null);
    assert.equal(behind.endpoint, null);
    one.advance(20);
    assert.equal(behind.fault?.kind, FAULTS.queueTimeout);
    b.end();
    waiting.end();
  });

  it('shares room between the queues of two workers', () => {
    const one = bench({ maxPerService: 1, maxQueued: 100, queueTimeoutMs: 60_000 });
    const other = bench({ maxPerService: 1, maxQueued: 100, queueTimeoutMs: 60_000 }, 3, one);
    const holder = new Exchange(one);
    const ours = Array.from({ length: 50 }, () => new Exchange(one));
    const theirs = Array.from({ length: 50 }, () => new Exchange(other));
    holder.end();
    // Whoever has the one place ends it in each round; our worker's own queue is asked first.
    for (let i = 0; i < 60; i++) {
      for (const exchange of [...ours, ...theirs]) if (exchange.endpoint !== null) exchange.end();
      one.advance(2);
      other.advance(2);
    }
    const served = (list: readonly Exchange[]): number => list.filter((exchange) => exchange.wasServed).length;
    assert.ok(served(ours) >= 10 && served(theirs) >= 10, `served ${served(ours)} and ${served(theirs)}`);
  });

  it('is refused when the service goes', () => {
    const one = bench({ maxPerService: 1 });
    const holder = new Exchange(one);
    const waiting = new Exchange(one);
    one.service.dispose();
    assert.equal(waiting.fault?.kind, FAULTS.shuttingDown);
    assert.equal(one.hasTimer, false);
    assert.equal(one.pools.filter((pool) => pool.disposed).length, 2, 'the pool in use stays until its request ends');
    holder.end();
    assert.equal(one.pools.filter((pool) => pool.disposed).length, 3);
  });
});

describe('the limit of an instance', () => {
  it('sends what is too much for one to the others', () => {
    const one = bench({ maxPerInstance: 2 }, 3);
    const got = Array.from({ length: 6 }, () => new Exchange(one));
    const counts = new Map<string, number>();
    for (const { endpoint } of got) counts.set(endpoint!.id, (counts.get(endpoint!.id) ?? 0) + 1);
    assert.deepEqual([...counts.values()], [2, 2, 2]);
    const waiting = new Exchange(one);
    assert.equal(waiting.waited, 1);
    got[3]!.end();
    assert.ok(waiting.endpoint !== null);
  });
});
