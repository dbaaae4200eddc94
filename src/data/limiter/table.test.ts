import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FakeClock } from '../../base/clock.ts';
import type { Algorithm } from '../contract/limits.ts';
import { Rule } from './rule.ts';
import { allocateLimits, CHARGED, LimitTable, limitsBytes } from './table.ts';

const open = (bytes = 64 * 1024): { clock: FakeClock; table: LimitTable } => {
  const clock = new FakeClock();
  return { clock, table: new LimitTable(allocateLimits(bytes, clock), clock) };
};

const rule = (table: LimitTable, limit: number, windowMs: number, algorithm: Algorithm = 'gcra', burst = limit): Rule =>
  new Rule({ limit, windowMs, algorithm, burst }, 'test', 'user', table.hash);

const OUTCOMES = ['charged', 'denied', 'full'] as const;

/** Charges and describes, as the limiter does. */
const charge = (table: LimitTable, of: Rule, who: string, cost = 1): string => {
  table.hash.text(who);
  const result = table.charge(of, table.hash.a, table.hash.b, table.time.nowMs(), cost);
  table.describe(0, of, table.time.nowMs(), result === CHARGED ? 0 : cost);
  return OUTCOMES[result];
};

test('gcra admits the burst at once and then one request per emission interval', () => {
  const { clock, table } = open();
  const limit = rule(table, 60, 60_000);
  for (let i = 0; i < 60; i++) {
    assert.equal(charge(table, limit, 'ada'), 'charged');
    assert.equal(table.remaining, 59 - i);
  }
  assert.equal(charge(table, limit, 'ada'), 'denied');
  assert.equal(table.retryMs, 1_000);
  assert.equal(table.resetMs, 60_000);
  assert.equal(charge(table, limit, 'bob'), 'charged');
  clock.advance(999);
  assert.equal(charge(table, limit, 'ada'), 'denied');
  clock.advance(1);
  assert.equal(charge(table, limit, 'ada'), 'charged');
  assert.equal(charge(table, limit, 'ada'), 'denied');
});

test('a fixed window starts anew on the time of day, and a clock step does not move it', () => {
  const { clock, table } = open();
  clock.advance(100_000); // the table began on the minute, so this is 40 s into one
  const limit = rule(table, 3, 60_000, 'fixed');
  for (let i = 0; i < 3; i++) assert.equal(charge(table, limit, 'ada'), 'charged');
  assert.equal(charge(table, limit, 'ada'), 'denied');
  assert.equal(table.retryMs, 20_000);
  clock.stepWall(3_600_000);
  assert.equal(charge(table, limit, 'ada'), 'denied');
  clock.advance(19_999);
  assert.equal(charge(table, limit, 'ada'), 'denied');
  clock.advance(1);
  assert.equal(charge(table, limit, 'ada'), 'charged');
});

test('a sliding window counts the last one by the share that is still in sight', () => {
  const { clock, table } = open();
  const limit = rule(table, 10, 60_000, 'sliding');
  for (let i = 0; i < 10; i++) assert.equal(charge(table, limit, 'ada'), 'charged');
  assert.equal(charge(table, limit, 'ada'), 'denied');
  assert.equal(table.retryMs, 66_000);
  clock.advance(65_999);
  assert.equal(charge(table, limit, 'ada'), 'denied');
  clock.advance(1);
  assert.equal(charge(table, limit, 'ada'), 'charged');
  assert.equal(charge(table, limit, 'ada'), 'denied');
  clock.advance(24_000); // half of the last window is in sight: 5 + 1
  assert.equal(charge(table, limit, 'ada', 4), 'charged');
  assert.equal(charge(table, limit, 'ada'), 'denied');
});

test('a cost above the burst is always refused and uses nothing', () => {
  const { table } = open();
  const limit = rule(table, 10, 1_000, 'gcra', 5);
  assert.equal(charge(table, limit, 'ada', 6), 'denied');
  assert.equal(charge(table, limit, 'ada', 5), 'charged');
});

test('a later cost may go over the limit and holds up what comes after it', () => {
  for (const algorithm of ['gcra', 'fixed', 'sliding'] as const) {
    const { clock, table } = open();
    const limit = rule(table, 10, 10_000, algorithm);
    table.hash.text('ada');
    assert.equal(table.chargeAnyway(limit, table.hash.a, table.hash.b, table.time.nowMs(), 15), CHARGED);
    assert.equal(table.left(0, limit), 0);
    clock.advance(5_000);
    assert.equal(charge(table, limit, 'ada'), 'denied', algorithm);
    clock.advance(10_000);
    assert.equal(charge(table, limit, 'ada'), 'charged', algorithm);
  }
});

test('a given-back charge can be had again, but not after it has drained', () => {
  const { clock, table } = open();
  const limit = rule(table, 2, 2_000);
  table.hash.text('ada');
  const { a, b } = table.hash;
  const chargeInSlotOne = (): void => {
    assert.equal(table.prepare(1, limit, a, b, table.time.nowMs(), 2), true);
    assert.equal(table.commit(1, limit, table.time.nowMs(), 2), CHARGED);
  };
  chargeInSlotOne();
  table.giveBack(1, limit, table.time.nowMs(), 2);
  chargeInSlotOne();
  clock.advance(2_000);
  assert.equal(charge(table, limit, 'ada', 2), 'charged');
  table.giveBack(1, limit, table.time.nowMs(), 2);
  assert.equal(charge(table, limit, 'ada'), 'denied', 'the second charge was not forgiven');
});

test('a boost raises what is left without forgetting what was used, and ends the same way', () => {
  const { table } = open();
  const spec = { limit: 10, windowMs: 60_000, algorithm: 'gcra', burst: 10 } as const;
  for (const boost of [
    { factor: 2, extra: 0 },
    { factor: 1, extra: 10 },
    { factor: 3, extra: 0 },
  ]) {
    const plain = new Rule(spec, `test ${boost.factor}`, 'user', table.hash);
    const more = new Rule(spec, `test ${boost.factor}`, 'user', table.hash, boost);
    for (let i = 0; i < 10; i++) assert.equal(charge(table, plain, 'ada'), 'charged');
    assert.equal(charge(table, plain, 'ada'), 'denied');
    const total = 10 * boost.factor + boost.extra;
    const left = boost.factor === 1 ? total - 10 : Math.floor((total * more.units - 10 * plain.units) / more.units);
    for (let i = 0; i < left; i++) assert.equal(charge(table, more, 'ada'), 'charged', `${i} of ${left}`);
    assert.equal(charge(table, more, 'ada'), 'denied');
    assert.equal(charge(table, plain, 'ada'), 'denied');
  }
});

test('a full range refuses new keys and forgives no live one; expired keys make room', () => {
  const { clock, table } = open(4_096);
  const limit = rule(table, 1, 60_000);
  const charged: string[] = [];
  let full = 0;
  for (let i = 0; i < 2_000; i++) {
    const result = charge(table, limit, `user-${i}`);
    if (result === 'charged') charged.push(`user-${i}`);
    else full++;
  }
  assert.ok(charged.length >= 200 && full > 1_000, `${charged.length} charged, ${full} found no room`);
  for (const who of charged) assert.equal(charge(table, limit, who), 'denied', who);
  assert.ok(table.occupancy().ratio > 0.9);
  const bits = Array.from({ length: 16 }, () => table.occupancyBit(64));
  for (const { ratio } of bits) assert.ok(ratio > 0.5, `${ratio}`);
  assert.deepEqual(bits.at(-1), table.occupancy(64), 'sixteen bits are one look over the whole table');
  clock.advance(200_000);
  assert.equal(table.occupancy().live, 0);
  for (let i = 0; i < 16; i++) table.occupancyBit(64);
  assert.equal(table.occupancyBit(64).live, 0);
  assert.equal(charge(table, limit, 'user-1999'), 'charged');
  assert.ok(table.claims.reused > 0);
});

/** The same rules in milliseconds, without words, wrapping or cells. */
class Reference {
  readonly #tat = new Map<string, number>();
  readonly #counts = new Map<string, number>();

  charge(
    of: { limit: number; windowMs: number; algorithm: Algorithm; burst: number },
    who: string,
    nowMs: number,
    wallMs: number,
    cost: number,
  ): boolean {
    if (of.algorithm === 'gcra') {
      const interval = of.windowMs / of.limit;
      const next = Math.max(this.#tat.get(who) ?? 0, nowMs) + cost * interval;
      if (next - nowMs > of.burst * interval) return false;
      this.#tat.set(who, next);
      return true;
    }
    const window = Math.floor(wallMs / of.windowMs);
    const count = this.#counts.get(`${who} ${window}`) ?? 0;
    const before = of.algorithm === 'sliding' ? (this.#counts.get(`${who} ${window - 1}`) ?? 0) : 0;
    const share = before === 0 ? 0 : before * (1 - (wallMs / of.windowMs - window));
    if (share + count + cost > of.limit) return false;
    this.#counts.set(`${who} ${window}`, count + cost);
    return true;
  }
}

test('random charges agree with a plain reference, whatever the algorithm', () => {
  const step = fc.record({
    who: fc.integer({ min: 0, max: 4 }),
    // Multiples of a sixteenth of the emission interval, so that the reference's fractions are exact too.
    wait: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 4_000_000 })),
    cost: fc.integer({ min: 1, max: 4 }),
  });
  const input = fc.record({
    algorithm: fc.constantFrom<Algorithm>('gcra', 'fixed', 'sliding'),
    limit: fc.integer({ min: 1, max: 40 }),
    burst: fc.integer({ min: 1, max: 60 }),
    intervalMs: fc.constantFrom(16, 160, 1_600, 90_000),
    steps: fc.array(step, { maxLength: 80 }),
  });
  fc.assert(
    fc.property(input, ({ algorithm, limit, burst, intervalMs, steps }) => {
      const { clock, table } = open(4_096);
      const spec = { limit, windowMs: limit * intervalMs < 100 ? 160 * limit : limit * intervalMs, algorithm, burst };
      const unitMs = spec.windowMs / limit / 16;
      const compiled = new Rule(spec, 'test', 'user', table.hash);
      const reference = new Reference();
      for (const { who, wait, cost } of steps) {
        clock.advance(wait * unitMs);
        const expected = reference.charge(spec, `${who}`, clock.monotonicMs(), clock.wallMs(), cost);
        table.hash.text(`user-${who}`);
        const { a, b } = table.hash;
        const nowMs = table.time.nowMs();
        assert.equal(table.prepare(0, compiled, a, b, nowMs, cost), expected, 'prepare');
        table.describe(0, compiled, nowMs, cost);
        const { retryMs } = table;
        assert.equal(table.charge(compiled, a, b, nowMs, cost) === CHARGED, expected);
        assert.equal(retryMs === 0, expected);
        if (expected) continue;
        // What it says about waiting is true: not a unit earlier, but then.
        if (cost <= (algorithm === 'gcra' ? burst : limit)) {
          assert.equal(table.prepare(0, compiled, a, b, nowMs + retryMs + 0.01, cost), true, 'after retryMs');
          assert.equal(table.prepare(0, compiled, a, b, nowMs + retryMs - unitMs / 2, cost), false, 'before retryMs');
        }
      }
    }),
    { numRuns: 600 },
  );
});

test('a million live keys under two rules fit in 64 MB, and each is remembered', () => {
  const clock = new FakeClock();
  const bytes = limitsBytes(1_000_000, 2);
  assert.ok(bytes <= 64 * 1024 * 1024, `${bytes} bytes`);
  const memory = allocateLimits(bytes, clock);
  new Int32Array(memory).set([1, 2], 2); // a known hash key: the same layout in every run
  const table = new LimitTable(memory, clock);
  const rules = [rule(table, 1, 60_000), rule(table, 1, 3_600_000)];
  const words = new Int32Array(2);
  const outcomes = { charged: 0, denied: 0, full: 0 };
  for (const round of [1, 2]) {
    for (let i = 0; i < 1_000_000; i++) {
      words[0] = i;
      table.hash.words(words, 2);
      const { a, b } = table.hash;
      for (const one of rules) outcomes[OUTCOMES[table.charge(one, a, b, 1_000, 1)]]++;
    }
    assert.deepEqual(outcomes, { charged: 2_000_000, denied: round === 1 ? 0 : 2_000_000, full: 0 });
  }
});
