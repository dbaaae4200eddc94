import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '../../base/clock.ts';
import type { OverflowPolicy } from '../contract/limits.ts';
import { Limiter, RuleSet } from './limiter.ts';
import { Rule } from './rule.ts';
import { allocateLimits, LimitTable } from './table.ts';

interface Bench {
  readonly clock: FakeClock;
  readonly limiter: Limiter;
  rule(limit: number, windowMs: number, by?: string): Rule;
  as(...keys: string[]): void;
}

function bench(bytes = 64 * 1024, policy: OverflowPolicy = 'deny'): Bench {
  const clock = new FakeClock();
  const limiter = new Limiter(new LimitTable(allocateLimits(bytes, clock), clock), policy);
  return {
    clock,
    limiter,
    rule: (limit, windowMs, by = 'user') =>
      new Rule({ limit, windowMs, algorithm: 'gcra', burst: limit }, 'test', by, limiter.table.hash),
    as(...keys) {
      for (const [i, key] of keys.entries()) {
        limiter.table.hash.text(key);
        limiter.keysA[i] = limiter.table.hash.a;
        limiter.keysB[i] = limiter.table.hash.b;
      }
    },
  };
}

test('the decision tells about the rule nearest to its limit', () => {
  const { limiter, rule, as } = bench();
  const set = new RuleSet([rule(5, 60_000), rule(4, 3_600_000)], [0, 0], [1, 1]);
  as('ada');
  const decision = limiter.decide(set);
  assert.deepEqual(
    { ...decision, resetMs: Math.round(decision.resetMs), nextMs: Math.round(decision.nextMs) },
    {
      allowed: true,
      overflow: false,
      index: 1,
      limit: 4,
      windowMs: 3_600_000,
      remaining: 3,
      resetMs: 900_000,
      nextMs: 900_000,
      retryMs: 0,
    },
  );
});

test('a refusal charges no rule and tells the longest wait', () => {
  const { clock, limiter, rule, as } = bench();
  const set = new RuleSet([rule(2, 1_000, 'user'), rule(2, 60_000, 'address')], [0, 1], [1, 1]);
  as('ada', '192.0.2.1');
  assert.equal(limiter.decide(set).allowed, true);
  assert.equal(limiter.decide(set).allowed, true);
  assert.equal(limiter.decide(set).allowed, false);
  assert.deepEqual([limiter.decision.index, limiter.decision.retryMs, limiter.decision.remaining], [1, 30_000, 0]);
  clock.advance(1_000);
  assert.equal(limiter.decide(set).allowed, false);
  as('ada', '192.0.2.2');
  assert.equal(limiter.decide(set).allowed, true, 'ada has two again, the refusals took none');
  assert.equal(limiter.decide(set).allowed, true);
  assert.deepEqual([limiter.allowed, limiter.refused, limiter.givenBack], [4, 2, 0]);
});

test('costs count per rule', () => {
  const { limiter, rule, as } = bench();
  const set = new RuleSet([rule(10, 60_000, 'user'), rule(10, 60_000, 'route')], [0, 0], [1, 4]);
  as('ada');
  assert.equal(limiter.decide(set).allowed, true);
  assert.equal(limiter.decide(set).allowed, true);
  assert.equal(limiter.decide(set).allowed, false);
  assert.equal(limiter.decision.retryMs, 12_000);
});

test('a cost told afterwards holds up the next request', () => {
  const { clock, limiter, rule, as } = bench();
  const set = new RuleSet([rule(10, 10_000)], [0], [1]);
  as('ada');
  assert.equal(limiter.decide(set).allowed, true);
  limiter.addCost(set, 0, 19);
  clock.advance(9_000);
  assert.equal(limiter.decide(set).allowed, false);
  clock.advance(2_000);
  assert.equal(limiter.decide(set).allowed, true);
});

test('in a full table new callers are refused or pass uncounted, as stated, and known ones keep their counts', () => {
  for (const policy of ['deny', 'allow'] as const) {
    const { limiter, rule, as } = bench(4_096, policy);
    const set = new RuleSet([rule(1, 60_000), rule(1, 3_600_000)], [0, 0], [1, 1]);
    let refused = 0;
    for (let i = 0; i < 1_000; i++) {
      as(`user-${i}`);
      const { allowed, overflow } = limiter.decide(set);
      if (!allowed) refused++;
      assert.equal(allowed, policy === 'allow' || !overflow);
    }
    assert.ok(limiter.overflowed > 500, `${limiter.overflowed}`);
    assert.equal(refused > 500, policy === 'deny');
    as('user-0');
    assert.equal(limiter.decide(set).allowed, false);
    assert.equal(limiter.decision.overflow, false);
  }
});

test('an empty set allows and tells about no rule', () => {
  const { limiter } = bench();
  assert.deepEqual([limiter.decide(new RuleSet([], [], [])).allowed, limiter.decision.index], [true, -1]);
});
