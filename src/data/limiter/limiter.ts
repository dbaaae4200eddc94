/**
 * Decides about several rules at once: either all of them are charged or none. First it looks at all of them, then
 * charges them in order, each exactly; if one refuses after all (another thread was quicker) the charges before it are
 * given back. So it never admits too much, and refuses too much only for the instant between two charges of another
 * thread that is itself refused. One instance per worker; the decision object is reused, read it before the next call.
 */
import type { OverflowPolicy } from '../contract/limits.ts';
import type { Rule } from './rule.ts';
import { CHARGED, type LimitTable, MAX_SLOTS, NO_ROOM } from './table.ts';

/** Most different keys in one decision. */
export const MAX_KEYS = 8;

/** The rules of one decision, compiled. */
export class RuleSet {
  readonly rules: readonly Rule[];
  /** For each rule, which of the limiter's keys it counts by. */
  readonly keys: readonly number[];
  /** For each rule, what one request costs. */
  readonly costs: readonly number[];

  constructor(rules: readonly Rule[], keys: readonly number[], costs: readonly number[]) {
    if (rules.length > MAX_SLOTS) throw new TypeError(`at most ${MAX_SLOTS} limits may apply to one request`);
    this.rules = rules;
    this.keys = keys;
    this.costs = costs;
  }
}

export class Decision {
  allowed = true;
  /** True when the table had no room: the request was refused or passed uncounted, as the overflow policy says. */
  overflow = false;
  /**
   * Index of the rule that the rest is about: the one that refused longest, or the one nearest to its limit; -1 for
   * none.
   */
  index = -1;
  limit = 0;
  windowMs = 0;
  /** How much is left under that rule. */
  remaining = 0;
  /** Milliseconds until the whole limit is there again. */
  resetMs = 0;
  /** Milliseconds until there is more than `remaining`. */
  nextMs = 0;
  /** After a refusal: milliseconds until the same request would be allowed by all rules as they stand. */
  retryMs = 0;
}

export class Limiter {
  readonly table: LimitTable;
  overflowPolicy: OverflowPolicy;
  readonly decision = new Decision();
  readonly keysA = new Int32Array(MAX_KEYS);
  readonly keysB = new Int32Array(MAX_KEYS);
  /** Which rules of the current decision were charged; with `allow`, one without a cell is passed over. */
  readonly #charged = new Uint8Array(MAX_SLOTS);

  // Counts of this worker, for the metrics.
  allowed = 0;
  refused = 0;
  overflowed = 0;
  /** Decisions that were given back because another thread was quicker. */
  givenBack = 0;

  constructor(table: LimitTable, overflowPolicy: OverflowPolicy = 'deny') {
    this.table = table;
    this.overflowPolicy = overflowPolicy;
  }

  /**
   * Counts one request under every rule of the set, by the keys in `keysA` and `keysB`, or under none. `nowMs` is the
   * table's time, just read.
   */
  decide(set: RuleSet, nowMs: number = this.table.time.nowMs()): Decision {
    const { table, decision, keysA, keysB } = this;
    const { rules, keys, costs } = set;
    decision.allowed = true;
    decision.overflow = false;
    decision.index = -1;
    decision.retryMs = 0;
    for (let i = 0; i < rules.length; i++) {
      const key = keys[i] as number;
      const rule = rules[i] as Rule;
      const cost = costs[i] as number;
      if (!table.prepare(i, rule, keysA[key] as number, keysB[key] as number, nowMs, cost)) {
        this.#refuse(i, rule, nowMs, cost);
      }
    }
    let nearest = -1;
    let least = 0;
    for (let i = 0; decision.allowed && i < rules.length; i++) {
      const rule = rules[i] as Rule;
      const result = table.commit(i, rule, nowMs, costs[i] as number);
      this.#charged[i] = result === CHARGED ? 1 : 0;
      if (result === CHARGED) {
        const left = table.left(i, rule);
        if (nearest >= 0 && left >= least) continue;
        nearest = i;
        least = left;
      } else if (result === NO_ROOM) {
        this.overflowed++;
        decision.overflow = true;
        if (this.overflowPolicy === 'allow') continue;
        decision.allowed = false;
        this.#giveBackBefore(set, i);
      } else {
        this.#refuse(i, rule, nowMs, costs[i] as number);
        this.#giveBackBefore(set, i);
      }
    }
    if (!decision.allowed) {
      this.refused++;
      return decision;
    }
    this.allowed++;
    if (nearest >= 0) this.#note(nearest, rules[nearest] as Rule, nowMs, costs[nearest] as number);
    return decision;
  }

  /** Charges one rule of the set `cost` more, whatever is left: for a cost that the response reports. */
  addCost(set: RuleSet, index: number, cost: number): void {
    const { table } = this;
    const key = set.keys[index] as number;
    const [a, b] = [this.keysA[key] as number, this.keysB[key] as number];
    if (table.chargeAnyway(set.rules[index] as Rule, a, b, table.time.nowMs(), cost) === NO_ROOM) this.overflowed++;
  }

  /** Of the rules that refuse, the one with the longest wait is reported. */
  #refuse(index: number, rule: Rule, nowMs: number, cost: number): void {
    const { decision, table } = this;
    const before = decision.retryMs;
    table.describe(index, rule, nowMs, cost);
    if (!decision.allowed && table.retryMs <= before) return;
    decision.allowed = false;
    this.#tell(index, rule);
  }

  #note(index: number, rule: Rule, nowMs: number, cost: number): void {
    this.table.describe(index, rule, nowMs, cost);
    this.#tell(index, rule);
    this.decision.retryMs = 0;
  }

  #tell(index: number, rule: Rule): void {
    const { decision, table } = this;
    decision.index = index;
    decision.limit = rule.limit;
    decision.windowMs = rule.windowMs;
    decision.remaining = table.remaining;
    decision.resetMs = table.resetMs;
    decision.nextMs = table.nextMs;
    decision.retryMs = table.retryMs;
  }

  #giveBackBefore(set: RuleSet, count: number): void {
    if (count === 0) return;
    // The clock is read again: what has drained since must not be given back.
    const nowMs = this.table.time.nowMs();
    for (let i = count - 1; i >= 0; i--) {
      if (this.#charged[i] === 1) this.table.giveBack(i, set.rules[i] as Rule, nowMs, set.costs[i] as number);
    }
    this.givenBack++;
  }
}
