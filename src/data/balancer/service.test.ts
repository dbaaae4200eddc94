import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FAULTS, Fault } from '../../base/errors.ts';
import type { BreakerSettings } from '../contract/snapshot.ts';
import type { Pool, SettingsParts } from './fixtures.suite.ts';
import {
  Bench,
  BREAKER,
  CONCURRENCY,
  EJECTION,
  instance,
  instances,
  NO_WAITER,
  REQUEST,
  RETRIES,
  SilentWaiter,
  seeded,
  settings,
} from './fixtures.suite.ts';
import type { Endpoint, RetryRequest } from './service.ts';

const GET: RetryRequest = { method: 'GET', hasIdempotencyKey: false, bodyReplayable: true };

function withBreaker(more: Partial<BreakerSettings>, parts: SettingsParts = {}): SettingsParts {
  return { ...parts, resilience: { ...parts.resilience, breaker: { ...BREAKER, ...more } } };
}

describe('the breaker of a service', () => {
  it('refuses with the time that is left, lets a few probes through, and closes', () => {
    const one = new Bench(withBreaker({ resetTimeoutMs: 5_000, halfOpenProbes: 2 }));
    for (let i = 0; i < 10; i++) one.answer(one.pick(), 500);
    const fault = one.refused();
    assert.equal(fault.kind, FAULTS.circuitOpen);
    assert.equal(fault.retryAfterSeconds, 5);
    one.advance(5_000);
    const probes = [one.pick(), one.pick()];
    assert.equal(one.refused().kind, FAULTS.circuitOpen);
    for (const probe of probes) one.answer(probe);
    one.spread(10);
    assert.deepEqual(
      one.changes.map((change) => [change.change, change.instance]),
      [
        ['breaker-open', null],
        ['breaker-half-open', null],
        ['breaker-closed', null],
      ],
    );
    assert.equal(one.logged.length, 3);
    assert.match(
      one.logged[0]!,
      /"level":"warn".*circuit breaker opened.*"service":"svc".*10 of 10 responses were errors/,
    );
  });

  it('counts an answer that is too slow as an error', () => {
    const one = new Bench(withBreaker({ timeoutMs: 100 }));
    for (let i = 0; i < 10; i++) one.answer(one.pick(), 200, 101);
    assert.equal(one.refused().kind, FAULTS.circuitOpen);
  });

  it('gives the place of a probe back when its caller leaves', () => {
    const one = new Bench(withBreaker({ halfOpenProbes: 1 }));
    for (let i = 0; i < 10; i++) one.answer(one.pick(), 500);
    one.advance(5_000);
    one.service.finish(one.pick(), 0, null, 3, true);
    one.answer(one.pick());
    one.spread(5);
  });

  it('keeps no probe when there is no instance for it', () => {
    const one = new Bench(withBreaker({ halfOpenProbes: 1 }));
    for (let i = 0; i < 10; i++) one.answer(one.pick(), 500);
    for (const slot of [1, 2, 3]) one.table.setHealthy(slot, false);
    one.advance(5_000);
    assert.equal(one.refused().kind, FAULTS.noInstance);
    for (const slot of [1, 2, 3]) one.table.setHealthy(slot, true);
    one.answer(one.pick());
    one.spread(5);
  });

  it('falls back as configured, for its refusals and for a service without instances', () => {
    const fallback = { kind: 'service', service: 'other' } as const;
    const one = new Bench(withBreaker({}, { resilience: { fallback } }));
    assert.deepEqual(one.service.fallbackFor(new Fault(FAULTS.circuitOpen)), fallback);
    assert.deepEqual(one.service.fallbackFor(new Fault(FAULTS.noInstance)), fallback);
    assert.equal(one.service.fallbackFor(new Fault(FAULTS.overloaded)), null);
  });
});

describe('the breaker of an instance', () => {
  const parts = withBreaker({ scope: 'instance', volumeThreshold: 5, halfOpenProbes: 1, resetTimeoutMs: 5_000 });
  const sick = 'svc@10.0.0.2:80';

  function sicken(one: Bench): void {
    for (let i = 0; i < 15; i++) {
      const endpoint = one.pick();
      one.answer(endpoint, endpoint.id === sick ? 500 : 200);
    }
  }

  it('keeps traffic from that instance only', () => {
    const one = new Bench(parts);
    sicken(one);
    const counts = one.spread(100);
    assert.equal(counts.has(sick), false);
    assert.equal(counts.size, 2);
  });

  it('is probed by one request after the reset timeout, and closes', () => {
    const one = new Bench(parts);
    sicken(one);
    one.advance(5_000);
    const probe = one.pick();
    assert.equal(probe.id, sick);
    assert.equal(one.spread(50).has(sick), false, 'no more than the probe');
    one.answer(probe);
    assert.equal(one.spread(30).get(sick), 10);
  });

  it('does not probe with a retry', () => {
    const one = new Bench(parts);
    sicken(one);
    const first = one.pick();
    one.advance(5_000);
    const second = one.pick([first]);
    assert.notEqual(second.id, sick);
    assert.equal(one.pick().id, sick);
  });

  it('answers "circuit open" when it keeps every instance', () => {
    const one = new Bench(parts);
    for (let i = 0; i < 15; i++) one.answer(one.pick(), 500);
    const fault = one.refused();
    assert.equal(fault.kind, FAULTS.circuitOpen);
    assert.equal(fault.retryAfterSeconds, 5);
  });

  it('works beside that of the service', () => {
    const one = new Bench(withBreaker({ scope: 'both', volumeThreshold: 5, errorThresholdRatio: 0.5 }));
    sicken(one);
    const { breaker, instances: states } = one.service.snapshotState();
    assert.equal(breaker?.state, 'closed', 'a third of all is no reason');
    assert.deepEqual(
      states.map((state) => state.breaker?.state),
      ['closed', 'open', 'closed'],
    );
  });
});

describe('a reload', () => {
  it('keeps object, pool, counts and state of instances whose id stays', () => {
    const one = new Bench({ resilience: { ejection: EJECTION } });
    const held = one.pick();
    for (let i = 0; i < 12; i++) {
      const endpoint = one.pick();
      one.answer(endpoint, endpoint.settings.slot === 3 ? 500 : 200);
    }
    const before = one.service.snapshotState();
    one.service.update(settings({ instances: instances(4), resilience: { ejection: EJECTION } }));
    const after = one.service.snapshotState();
    assert.deepEqual(after.instances.slice(0, 3), before.instances);
    assert.equal(one.pools.length, 4);
    const seen = new Set<Endpoint<Pool>>();
    for (let i = 0; i < 20; i++) {
      const endpoint = one.pick();
      seen.add(endpoint);
      one.answer(endpoint);
    }
    assert.ok(seen.has(held));
    one.answer(held);
    assert.equal(one.table.serviceInFlight(1), 0);
  });

  it('takes up a new weight, zone and metadata of the same instance', () => {
    const one = new Bench({ balancer: { algorithm: 'weighted-round-robin', options: {} } });
    const changed = [instance(1, { weight: 4, zone: 'b', metadata: { rack: '7' } }), instance(2)];
    one.service.update(settings({ instances: changed, balancer: { algorithm: 'weighted-round-robin', options: {} } }));
    const counts = one.spread(100);
    assert.equal(counts.get('svc@10.0.0.1:80'), 80);
    const endpoint = one.pick([], REQUEST);
    assert.deepEqual([endpoint.zone, endpoint.metadata], ['b', { rack: '7' }]);
  });

  it('keeps a removed instance until its last request has ended', () => {
    const one = new Bench();
    const held = Array.from({ length: 6 }, () => one.pick());
    one.service.update(settings({ instances: instances(2) }));
    const gone = one.pools.find((pool) => pool.id === 'svc@10.0.0.3:80')!;
    assert.equal(gone.disposed, false);
    const last = held.filter((endpoint) => endpoint.id === gone.id);
    one.answer(last[0]!);
    assert.equal(gone.disposed, false);
    one.answer(last[1]!);
    assert.equal(gone.disposed, true);
    assert.equal(one.spread(20).size, 2);
  });

  it('does not hold what a removed instance does against the new owner of its slot', () => {
    const ejection = { ...EJECTION, consecutiveFaults: 1 };
    const one = new Bench({ instances: instances(2), resilience: { ejection } });
    const held = [one.pick(), one.pick()].find((endpoint) => endpoint.settings.slot === 2)!;
    one.service.update(settings({ instances: [instance(1), instance(2, { id: 'other' })], resilience: { ejection } }));
    one.answer(held, 500);
    assert.equal(one.service.snapshotState().instances[1]!.ejected, false);
  });

  it('keeps the turn of an algorithm that stays, and takes another one up', () => {
    const one = new Bench({ instances: instances(3) });
    const first = one.spread(1).keys().next().value!;
    one.service.update(settings());
    const second = one.spread(1).keys().next().value!;
    assert.equal(Number(/\.(\d):/.exec(second)?.[1]), (Number(/\.(\d):/.exec(first)?.[1]) % 3) + 1);
    one.service.update(settings({ balancer: { algorithm: 'ip-hash', options: {} } }));
    assert.equal(one.spread(20).size, 1);
  });

  it('that cannot be carried out changes nothing', () => {
    const one = new Bench();
    assert.throws(() => one.service.update(settings({ balancer: { algorithm: 'nonsense', options: {} } })), TypeError);
    assert.throws(() => one.service.update(settings({ slot: 2 })), TypeError);
    assert.equal(one.service.settings.balancer.algorithm, 'round-robin');
    assert.equal(one.spread(30).size, 3);
  });

  it('tells the pool of an instance that stays', () => {
    const told: string[] = [];
    const one = new Bench({}, { updatePool: (pool, made) => told.push(`${pool.id} ${made.weight}`) });
    one.service.update(settings({ instances: [instance(1, { weight: 2 }), instance(9)] }));
    assert.deepEqual(told, ['svc@10.0.0.1:80 2']);
  });
});

describe('retries of a service', () => {
  const ask = (one: Bench, attempts = 1): number =>
    one.service.retryDelayMs(GET, attempts, FAULTS.connectRefused, 0, false, -1);

  it('take from the budget only when allowed otherwise', () => {
    const one = new Bench({ retries: { ...RETRIES, budgetRatio: 0.1, budgetMinPerSecond: 0 } });
    one.spread(50);
    for (let i = 0; i < 20; i++) assert.equal(ask(one, 3), -1);
    const allowed = Array.from({ length: 20 }, () => ask(one)).filter((delay) => delay >= 0);
    assert.equal(allowed.length, 5);
    const { counters, budget } = one.service.snapshotState();
    assert.deepEqual([counters.retries, counters.budgetRefusals, budget.requests, budget.retries], [5, 15, 50, 5]);
  });

  it('do not happen while the breaker is open', () => {
    const one = new Bench({ ...withBreaker({}), retries: { ...RETRIES, budgetRatio: 1 } });
    for (let i = 0; i < 10; i++) one.answer(one.pick(), 500);
    assert.equal(ask(one), -1);
    assert.equal(one.service.snapshotState().counters.retries, 0);
  });

  it('go on to the other instances, but not round again, when connection pools are full', () => {
    const one = new Bench({ retries: { ...RETRIES, attempts: 5, budgetRatio: 1 } });
    one.answer(one.pick());
    const full = (attempts: number): number => one.service.retryDelayMs(GET, attempts, FAULTS.overloaded, 0, false, -1);
    assert.deepEqual([full(1), full(2), full(3)], [0, 0, -1]);
  });

  it('do not count as requests in the budget', () => {
    const one = new Bench();
    const first = one.pick();
    one.answer(one.pick([first]));
    one.answer(first);
    assert.equal(one.service.snapshotState().budget.requests, 1);
  });
});

describe('hedging', () => {
  const hedge = { delayMs: null, percentile: 0.95, methods: ['GET'] };

  it('waits for a fixed time, or for a percentile of recent answers', () => {
    const fixed = new Bench({ resilience: { hedge: { ...hedge, delayMs: 40, percentile: null } } });
    assert.equal(fixed.service.hedgeDelayMs(GET), 40);
    const one = new Bench({ resilience: { hedge } });
    assert.equal(one.service.hedgeDelayMs(GET), -1, 'nothing is known yet');
    for (let i = 0; i < 200; i++) one.answer(one.pick(), 200, i % 10 === 0 ? 100 : 10);
    const delay = one.service.hedgeDelayMs(GET);
    assert.ok(delay >= 100 && delay <= 125, `got ${delay}`);
  });

  it('is for the methods named, with a body that can be sent again', () => {
    const one = new Bench({ resilience: { hedge: { ...hedge, delayMs: 40 } } });
    assert.equal(one.service.hedgeDelayMs({ ...GET, method: 'POST' }), -1);
    assert.equal(one.service.hedgeDelayMs({ ...GET, bodyReplayable: false }), -1);
    assert.equal(new Bench().service.hedgeDelayMs(GET), -1);
  });

  it('lives from the same budget as retries', () => {
    const one = new Bench({
      resilience: { hedge },
      retries: { ...RETRIES, budgetRatio: 0.2, budgetMinPerSecond: 0 },
    });
    one.spread(20);
    assert.deepEqual(
      Array.from({ length: 6 }, () => one.service.takeHedge()),
      [true, true, true, true, false, false],
    );
  });

  it('teaches the balancer the slowness of the one that was called off', () => {
    const one = new Bench({ instances: instances(2), balancer: { algorithm: 'peak-ewma', options: {} } });
    for (let i = 0; i < 10; i++) one.answer(one.pick(), 200, 5);
    const slow = one.pick();
    const quick = one.pick([slow]);
    one.answer(quick, 200, 5);
    one.service.finish(slow, 0, null, 400, true);
    assert.deepEqual([...one.spread(50).keys()], [quick.id]);
  });
});

describe('whatever happens', () => {
  it('nothing stays in flight, waiting or probing, over long random traffic', () => {
    const one = new Bench({
      instances: [1, 2, 3, 4, 5].map((slot) => instance(slot, { zone: slot < 3 ? 'a' : 'b', weight: slot })),
      balancer: { algorithm: 'peak-ewma', options: {} },
      timeouts: { connectMs: 100, firstByteMs: 1_000, idleMs: 1_000, totalMs: 2_000 },
      resilience: {
        breaker: { ...BREAKER, scope: 'both', timeoutMs: 500, resetTimeoutMs: 300, rollingWindowMs: 1_000 },
        ejection: { ...EJECTION, deviationFactor: 2, intervalMs: 500, baseEjectionMs: 300 },
        concurrency: {
          ...CONCURRENCY,
          maxPerService: 40,
          maxPerInstance: 10,
          maxQueued: 20,
          queueTimeoutMs: 50,
          adaptive: true,
        },
        slowStartMs: 400,
        zone: { local: 'a', minHealthyRatio: 0.5, maxInFlightPerInstance: 8 },
      },
    });
    const random = seeded(42);
    const held: Endpoint<Pool>[] = [];
    const faults = [FAULTS.connectRefused, FAULTS.firstByteTimeout, FAULTS.downstreamAborted, FAULTS.queueTimeout];
    const seen = { sent: 0, waited: 0, refused: 0 };
    for (let i = 0; i < 40_000; i++) {
      const dice = random();
      const badTimes = i % 10_000 > 6_000;
      if (dice < 0.5) {
        const waiter = new SilentWaiter();
        const picked = one.service.pick(REQUEST, held.length > 0 && random() < 0.1 ? [held[0]!] : [], waiter);
        if (picked === 'wait') {
          seen.waited++;
          if (random() < 0.3) one.service.cancelWait(waiter);
        } else if (picked instanceof Fault) seen.refused++;
        else {
          seen.sent++;
          held.push(picked);
        }
      } else if (dice < 0.97 && held.length > 0) {
        const endpoint = held.splice(Math.floor(random() * held.length), 1)[0]!;
        const fault = random() < (badTimes ? 0.5 : 0.02) ? faults[Math.floor(random() * faults.length)]! : null;
        one.service.finish(endpoint, fault === null ? 200 : 0, fault, random() * 600, random() < 0.05);
      } else if (dice < 0.98) {
        one.table.setHealthy(1 + Math.floor(random() * 5), random() < 0.8);
      }
      one.advance(random() < 0.5 ? 0 : random() * 8);
      assert.ok(one.table.serviceInFlight(1) <= 40);
      for (const slot of [1, 2, 3, 4, 5]) assert.ok(one.table.instanceInFlight(slot) <= 10);
    }
    assert.ok(
      Object.values(seen).every((count) => count > 1_000),
      JSON.stringify(seen),
    );
    for (const endpoint of held) one.answer(endpoint);
    one.advance(100);
    const state = one.service.snapshotState();
    assert.equal(state.inFlight, 0);
    assert.equal(state.waiting, 0);
    assert.deepEqual(
      state.instances.map((each) => each.inFlight),
      [0, 0, 0, 0, 0],
    );
    // With good answers everything comes back.
    for (const slot of [1, 2, 3, 4, 5]) one.table.setHealthy(slot, true);
    for (let i = 0; i < 4_000; i++) {
      one.advance(5);
      const picked = one.service.pick(REQUEST, [], NO_WAITER);
      if (picked !== 'wait' && !(picked instanceof Fault)) one.answer(picked);
    }
    const after = one.service.snapshotState();
    assert.equal(after.breaker?.state, 'closed');
    assert.ok(
      after.instances.every((each) => each.usable),
      JSON.stringify(after.instances),
    );
  });
});
