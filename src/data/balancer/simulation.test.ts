/**
 * Breaker, ejection, budget, zones, hedging and the adaptive limit against scripted faults, by simulation.suite.ts: two
 * workers, four instances, 400 requests a second of which a fifth are POST, a fault from second 10 to second 30. Prints
 * a table. What must hold whatever fails: retries within the budget, no idempotent request lost while an instance is
 * left, and everything back to normal soon after the fault.
 */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import type { ResilienceSettings, RetrySettings } from '../contract/snapshot.ts';
import { BREAKER, CONCURRENCY, EJECTION, instance, instances, RETRIES, settings } from './fixtures.suite.ts';
import type { Behaviour, Outcome, Scenario } from './simulation.suite.ts';
import { OK, simulate } from './simulation.suite.ts';

const FROM = 10;
const TO = 30;
const SECONDS = 100;
const RATE = 400;
const RETRY: RetrySettings = {
  ...RETRIES,
  statuses: [500, 502, 503],
  budgetRatio: 0.2,
  budgetMinPerSecond: 3,
};
const EJECT = { ...EJECTION, baseEjectionMs: 5_000, maxEjectionMs: 15_000 };
const BREAK = { ...BREAKER, scope: 'both' as const, resetTimeoutMs: 3_000 };

interface Parts {
  readonly algorithm?: string;
  readonly resilience?: Partial<ResilienceSettings>;
  readonly retries?: Partial<RetrySettings>;
  readonly zones?: readonly string[];
}

function service(parts: Parts = {}) {
  return settings({
    instances: instances(4).map((one, i) => instance(one.slot, { zone: parts.zones?.[i] ?? null })),
    balancer: { algorithm: parts.algorithm ?? 'weighted-round-robin', options: {} },
    timeouts: { connectMs: 500, firstByteMs: 1_000, idleMs: 5_000, totalMs: 5_000 },
    retries: { ...RETRY, ...parts.retries },
    resilience: { breaker: BREAK, ejection: EJECT, ...parts.resilience },
  });
}

/** The instances do that during the fault; all is well before and after. */
function during(behaviour: Behaviour, sick: (slot: number) => boolean): NonNullable<Scenario['behave']> {
  return (slot, ms) => (sick(slot) && ms >= FROM * 1_000 && ms < TO * 1_000 ? behaviour : OK);
}

const rows: string[][] = [
  [
    'scenario',
    'requests',
    'lost GET',
    'lost POST',
    'load in fault',
    'worst 10 s',
    'back after',
    'p99 in fault',
    'ejections',
    'openings',
  ],
];

function run(name: string, parts: Parts, more: Partial<Scenario> = {}): Outcome {
  const scenario = { settings: service(parts), rate: RATE, seconds: SECONDS, ...more };
  const outcome = simulate(scenario);
  const changed = (change: string): string => String(outcome.changes.filter((one) => one.change === change).length);
  rows.push([
    name,
    String(outcome.sum('arrived')),
    String(outcome.lostOf('GET')),
    String(outcome.lostOf('POST')),
    outcome.load(FROM, TO).toFixed(3),
    outcome.worstLoad(scenario.seconds).toFixed(3),
    `${outcome.recoverySeconds(TO)} s`,
    `${outcome.latency(0.99, FROM, TO).toFixed(0)} ms`,
    changed('ejected'),
    changed('breaker-open'),
  ]);
  return outcome;
}

/** What holds with the budget of `RETRY`, whatever happens. */
function assertBudget(outcome: Outcome): void {
  const over = outcome.overBudget(RETRY.budgetRatio, RETRY.budgetMinPerSecond);
  assert.ok(over <= 1e-9, `${over} attempts above 1 + budget in some ten seconds`);
  // Against what arrived then, and arrivals are random: three in a hundred more.
  const most = 1 + RETRY.budgetRatio + RETRY.budgetMinPerSecond / RATE + 0.03;
  assert.ok(outcome.worstLoad(SECONDS) <= most, `load ${outcome.worstLoad(SECONDS)} in the worst ten seconds`);
}

after(() => {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  for (const row of rows) {
    console.log(row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '));
  }
});

describe('one of four instances', () => {
  const cases: { name: string; behaviour: Behaviour; parts?: Parts; lostPosts: number }[] = [
    { name: 'dead (connections refused)', behaviour: { kind: 'refuse' }, lostPosts: 0 },
    { name: 'resetting', behaviour: { kind: 'reset', ms: 5 }, lostPosts: 30 },
    { name: 'hanging', behaviour: { kind: 'hang' }, lostPosts: 100 },
    { name: 'answering 500', behaviour: { kind: 'answer', status: 500, ms: 2 }, lostPosts: 30 },
    {
      name: 'answering 500, breaker only',
      behaviour: { kind: 'answer', status: 500, ms: 2 },
      // It takes until half of a whole window are errors.
      parts: { resilience: { ejection: null } },
      lostPosts: 200,
    },
    {
      name: 'hanging, by least-connections',
      behaviour: { kind: 'hang' },
      parts: { algorithm: 'least-connections' },
      lostPosts: 30,
    },
    {
      name: 'hanging, by peak-ewma without ejection',
      behaviour: { kind: 'hang' },
      parts: { algorithm: 'peak-ewma', resilience: { ejection: null, breaker: null } },
      lostPosts: 30,
    },
  ];
  for (const { name, behaviour, parts = {}, lostPosts } of cases) {
    it(`${name}: no GET is lost, and the instance is hardly asked`, () => {
      const outcome = run(`1 of 4 ${name}`, parts, { behave: during(behaviour, (slot) => slot === 1) });
      assertBudget(outcome);
      assert.equal(outcome.lostOf('GET'), 0);
      assert.ok(outcome.lostOf('POST') <= lostPosts, `${outcome.lostOf('POST')} POSTs`);
      const share = (RATE / 4) * (TO - FROM);
      const asked = outcome.attempts(1, FROM, TO);
      assert.ok(asked < 0.35 * share, `it was asked ${asked} times, a fair share is ${share}`);
      assert.ok(outcome.attempts(1, 90, 100) > 0.5 * (RATE / 4) * 10, 'and is back in the end');
    });
  }

  it('flapping: is out for longer each time', () => {
    const outcome = run(
      '1 of 4 flapping',
      {},
      {
        behave: (slot, ms) =>
          slot === 1 && ms >= 10_000 && ms < 40_000 && Math.floor(ms / 1_500) % 2 === 0 ? { kind: 'reset', ms: 3 } : OK,
      },
    );
    assertBudget(outcome);
    assert.equal(outcome.lostOf('GET'), 0);
    const ejections = outcome.changes.filter((change) => change.change === 'ejected');
    assert.ok(ejections.length >= 2 && ejections.length <= 5, `${ejections.length} ejections in 10 bad phases`);
    assert.match(ejections[1]!.reason, /out for 10000 ms/);
  });

  it('slow: hedging takes its latency away, within the budget', () => {
    const slow = during({ kind: 'answer', status: 200, ms: 600 }, (slot) => slot === 1);
    const only = { breaker: null, ejection: null };
    const without = run('1 of 4 slow, no hedging', { resilience: only }, { behave: slow, postShare: 0 });
    const hedge = { delayMs: null, percentile: 0.9, methods: ['GET'] };
    const hedged = run(
      '1 of 4 slow, hedged',
      { resilience: { ...only, hedge }, retries: { budgetRatio: 0.3 } },
      {
        behave: slow,
        postShare: 0,
      },
    );
    assert.ok(hedged.overBudget(0.3, RETRY.budgetMinPerSecond) <= 1e-9);
    assert.ok(without.latency(0.9, FROM, TO) > 400, `p90 without hedging ${without.latency(0.9, FROM, TO)} ms`);
    assert.ok(hedged.latency(0.9, FROM, TO) < 120, `p90 hedged ${hedged.latency(0.9, FROM, TO)} ms`);
  });
});

describe('hedging while all is well', () => {
  it('stays near its percentile: what it calls off does not lower it', () => {
    const hedge = { delayMs: null, percentile: 0.95, methods: ['GET'] };
    const resilience = { breaker: null, ejection: null, hedge };
    const well: Behaviour = { kind: 'answer', status: 200, ms: 20, longTail: true };
    const parts = { resilience, retries: { budgetRatio: 0.5 } };
    const outcome = run('hedging at p95, all well', parts, { postShare: 0, behave: () => well });
    assert.ok(outcome.load() > 1.02 && outcome.load() < 1.05, `load ${outcome.load()}`);
    assert.ok(outcome.latency(0.99, FROM, TO) < 85, `p99 ${outcome.latency(0.99, FROM, TO)} ms instead of 92`);
  });
});

describe('a whole zone lost', () => {
  it('costs no request that can be sent again, and traffic comes home', () => {
    const zone = { local: 'a', minHealthyRatio: 0.5, maxInFlightPerInstance: 0 };
    const outcome = run(
      'zone of 2 of 4 lost',
      { zones: ['a', 'a', 'b', 'b'], resilience: { zone, ejection: { ...EJECT, maxEjectedRatio: 0.5 } } },
      { behave: during({ kind: 'refuse' }, (slot) => slot <= 2) },
    );
    assertBudget(outcome);
    assert.equal(outcome.lostOf('GET') + outcome.lostOf('POST'), 0);
    assert.equal(outcome.attempts(3, 0, FROM) + outcome.attempts(4, 0, FROM), 0, 'all at home before');
    assert.ok(outcome.attempts(3, 15, TO) > 0.4 * RATE * 15, 'the other zone serves');
    assert.equal(outcome.attempts(3, 90, 100) + outcome.attempts(4, 90, 100), 0, 'all at home after');
  });
});

describe('all instances failing', () => {
  const failing = during({ kind: 'answer', status: 500, ms: 2 }, () => true);

  it('opens the breaker: hardly any load, capped probes, and soon back', () => {
    const outcome = run('all answer 500', {}, { behave: failing });
    assertBudget(outcome);
    const openedAt = 1 + outcome.seconds.findIndex(({ arrived, first }, at) => at >= FROM && first < arrived / 2);
    assert.ok(openedAt > FROM && openedAt <= FROM + 8, `open after second ${openedAt}`);
    const asked = outcome.sum('first', openedAt, TO) + outcome.sum('further', openedAt, TO);
    // One probe of two fails at once: two per round, one round every three seconds, of each of two breakers' kinds.
    const rounds = Math.ceil((TO - openedAt) / 3) + 1;
    assert.ok(asked <= rounds * BREAK.halfOpenProbes * 2, `${asked} requests in ${rounds} rounds of probes`);
    assert.ok(outcome.recoverySeconds(TO) <= 5, `back after ${outcome.recoverySeconds(TO)} s`);
  });

  it('without a breaker is kept from a storm by the budget alone', () => {
    const only = { breaker: null, ejection: null };
    const free = run(
      'all answer 500, no budget',
      { resilience: only, retries: { attempts: 3, budgetRatio: 1 } },
      { behave: failing },
    );
    const kept = run('all answer 500, budget 20%', { resilience: only, retries: { attempts: 3 } }, { behave: failing });
    assertBudget(kept);
    assert.ok(free.load(FROM, TO) > 3, `a storm would be ${free.load(FROM, TO)} times the load`);
    assert.equal(kept.recoverySeconds(TO), 0);
  });
});

describe('more than the instances can do', () => {
  // Four instances of four places and 20 ms are good for 800 requests a second.
  const overload: Partial<Scenario> = { rate: 1_200, seconds: 40, places: 4, behave: () => OK };
  const only = { breaker: null, ejection: null };

  it('without a limit serves nearly nobody in time', () => {
    const outcome = run('150 % load, no limit', { resilience: only, retries: { attempts: 0 } }, overload);
    assert.ok(outcome.sum('good', 20, 40) < 0.1 * 20 * 800, `served ${outcome.sum('good', 20, 40)}`);
  });

  it('with an adaptive limit serves what can be served, quickly, and refuses the rest', () => {
    const concurrency = { ...CONCURRENCY, adaptive: true, maxQueued: 20, queueTimeoutMs: 100 };
    const outcome = run(
      '150 % load, adaptive limit',
      { resilience: { ...only, concurrency }, retries: { attempts: 0 } },
      overload,
    );
    const served = outcome.sum('good', 5, 40);
    assert.ok(served > 0.93 * 35 * 800, `served ${served} of ${35 * 800}`);
    assert.ok(outcome.latency(0.99, 5, 40) < 300, `p99 ${outcome.latency(0.99, 5, 40)} ms`);
    assert.deepEqual(
      [...outcome.lost.keys()].filter((key) => !/overloaded|queue_timeout/.test(key)),
      [],
      'every other answer is an honest 503',
    );
  });
});
