/**
 * Decisions that many machines share through Redis. `exact` asks for each decision, `leased` mostly answers from a
 * batch taken ahead. Whatever happens to Redis, a decision comes within `timeoutMs`: what is late, fails or finds the
 * breaker open is decided by the fallback. Owner: one worker.
 */
import { systemClock } from '../../../base/clock.ts';
import { RedisBreaker } from '../../../base/redis-breaker.ts';
import { type Cancel, every, systemTimers } from '../../../base/system-timers.ts';
import { TIMING_BOUNDS, timingBucket } from '../../../base/timings.ts';
import type { RedisLimitSettings } from '../../contract/limits.ts';
import type { LimitSet } from '../limit-set.ts';
import { Decision, type Limiter } from '../limiter.ts';
import type { RedisLine } from './connection.ts';
import { counterKey } from './key-texts.ts';
import { type Lease, LeaseBook } from './leases.ts';
import { type Description, describeRule, readDecision } from './script.ts';
import { take } from './take.ts';

/** Longest wait of a look, in milliseconds. */
const OPERATOR_MS = 2_000;
/** How often a Redis that is away is looked for where no request asks for it. */
const LOOK_FOR_IT_MS = 500;

export interface RedisCounts {
  /** Questions sent, and how they ended. */
  readonly asked: number;
  readonly answered: number;
  readonly late: number;
  readonly failed: number;
  /** Decisions that the fallback made. */
  readonly fallbacks: number;
  /** Decisions from a batch taken ahead. */
  readonly leased: number;
  /** Sum over `answered`, for a mean latency. */
  readonly latencyMs: number;
  readonly state: RedisBreaker['state'];
}

interface Waiting {
  isOver: boolean;
  readonly giveUp: () => void;
}

/**
 * Questions of one turn of the event loop: one timer for all, ended with the last answer, so that it keeps nothing
 * alive.
 */
interface Turn {
  readonly waiting: Waiting[];
  open: number;
  readonly cancel: Cancel;
}

export class RedisLimits {
  readonly #line: RedisLine;
  readonly #settings: RedisLimitSettings;
  readonly #limiter: Limiter;
  readonly #breaker: RedisBreaker;
  readonly #leases: LeaseBook;
  /** Decisions asked for in this turn of the event loop share one timer. */
  #turn: Turn | null = null;
  #asked = 0;
  #answered = 0;
  #late = 0;
  #failed = 0;
  #fallbacks = 0;
  #leased = 0;
  #latencyMs = 0;
  /** Called when decisions become this machine's own, and when Redis decides again. */
  onShared: (isShared: boolean) => void = () => {};
  #isShared: boolean;
  /** Looks for a Redis that is away. */
  #search: Cancel | null = null;
  /** Keys of the question that failed last: in a Cluster, of the node that is to be asked whether it is back. */
  #suspects: readonly string[];
  /** Answered questions by how long they took. */
  readonly timings: number[] = new Array<number>(TIMING_BOUNDS.length + 1).fill(0);

  /** `isShared` false: decisions are this machine's own, until this line shows otherwise. */
  constructor(
    line: RedisLine,
    settings: RedisLimitSettings,
    limiter: Limiter,
    isShared = true,
    random: () => number = Math.random,
  ) {
    this.#line = line;
    this.#settings = settings;
    this.#limiter = limiter;
    // Where the fallback refuses, holding decisions back would only refuse more.
    this.#breaker = new RedisBreaker(random, settings.fallback !== 'closed');
    this.#leases = new LeaseBook(settings.leaseMs);
    this.#suspects = [`${settings.prefix}:{first}`];
    this.#isShared = isShared;
    if (!isShared) this.#lookForIt();
  }

  /** Decides by the keys that are in the limiter; `tags` makes the callers' tags, if they are needed. */
  decide(set: LimitSet, nowMs: number, tags: () => readonly string[]): Decision | Promise<Decision> {
    if (set.rules.length === 0) return this.#limiter.decide(set, nowMs);
    return this.#settings.mode === 'exact' ? this.#exact(set, nowMs, tags) : this.#fromLease(set, nowMs, tags);
  }

  /** Charges a cost that was known only afterwards; lost if Redis is away. */
  addCosts(set: LimitSet, costs: readonly number[], tags: readonly string[]): void {
    if (this.#breaker.state !== 'closed') return;
    take(this.#line, this.#settings.prefix, { set, tags, wanted: 1, forcedCosts: costs }).catch(() => this.#failed++);
  }

  /** How each rule of the set stands in Redis. Rejects when that does not say in time. */
  async look(set: LimitSet, tags: readonly string[]): Promise<readonly Description[]> {
    const taken = await this.#within(take(this.#line, this.#settings.prefix, { set, tags, wanted: 0 }));
    return set.rules.map((_, index) => describeRule(set, index, taken.numbers));
  }

  /** Forgets in Redis what was counted, and what this worker took ahead of it. */
  async forget(set: LimitSet, tags: readonly string[]): Promise<void> {
    const { prefix } = this.#settings;
    this.#leases.clear();
    await this.#within(
      Promise.all(set.rules.map((rule, i) => this.#line.drop(counterKey(prefix, tags[set.keys[i]!]!, rule)))),
    );
  }

  /** Operators wait longer than requests do, but not for ever. */
  async #within<T>(asked: Promise<T>): Promise<T> {
    let cancel: Cancel | undefined;
    const late = new Promise<never>((_, reject) => {
      cancel = systemTimers.after(OPERATOR_MS, () => reject(new Error('Redis does not answer')));
    });
    try {
      return await Promise.race([asked, late]);
    } finally {
      cancel?.();
    }
  }

  counts(): RedisCounts {
    return {
      asked: this.#asked,
      answered: this.#answered,
      late: this.#late,
      failed: this.#failed,
      fallbacks: this.#fallbacks,
      leased: this.#leased,
      latencyMs: this.#latencyMs,
      state: this.#breaker.state,
    };
  }

  close(): void {
    this.#search?.();
    this.#search = null;
    this.#line.close();
    this.#leases.clear();
  }

  #exact(set: LimitSet, nowMs: number, tags: () => readonly string[]): Decision | Promise<Decision> {
    if (!this.#mayAsk(nowMs)) return this.#fallback(set, nowMs);
    const keys = this.#savedKeys();
    return this.#ask(set, tags(), 1).then((taken) => {
      return taken === null ? this.#fallbackWith(set, keys) : readDecision(set, taken);
    });
  }

  #fromLease(set: LimitSet, nowMs: number, tags: () => readonly string[]): Decision | Promise<Decision> {
    const lease = this.#leases.of(this.#leaseKey(set), nowMs);
    const known = this.#spend(lease, nowMs);
    if (known !== null) {
      const isLow = known.allowed && lease.size >= 4 && lease.left * 4 <= lease.size;
      if (isLow && lease.pending === null && this.#mayAsk(nowMs)) this.#renew(lease, set, tags(), nowMs);
      return known;
    }
    if (lease.pending === null) {
      if (!this.#mayAsk(nowMs)) return this.#fallback(set, nowMs);
      this.#renew(lease, set, tags(), nowMs);
    }
    return this.#afterRenewal(lease, set, this.#savedKeys(), tags());
  }

  /** Requests that wait for one batch share it in order; who comes too late for it asks for the next. */
  async #afterRenewal(lease: Lease, set: LimitSet, keys: Int32Array, tags: readonly string[]): Promise<Decision> {
    const { time } = this.#limiter.table;
    for (let round = 0; round < 8; round++) {
      await lease.pending;
      const nowMs = time.nowMs();
      const known = this.#spend(lease, nowMs);
      if (known !== null) return known;
      if (lease.pending === null) {
        if (!this.#mayAsk(nowMs)) break;
        this.#renew(lease, set, tags, nowMs);
      }
    }
    return this.#fallbackWith(set, keys);
  }

  #note(isShared: boolean): void {
    if (isShared === this.#isShared) return;
    this.#isShared = isShared;
    this.#search?.();
    this.#search = null;
    if (!isShared) this.#lookForIt();
    this.onShared(isShared);
  }

  #lookForIt(): void {
    this.#search = every(LOOK_FOR_IT_MS, () => {
      if (this.#breaker.ask(this.#limiter.table.time.nowMs()) !== 'no') this.#probe();
    });
  }

  #failedOf({ rules, keys }: LimitSet, tags: readonly string[]): void {
    const { prefix } = this.#settings;
    this.#breaker.failed(this.#limiter.table.time.nowMs());
    if (this.#breaker.state !== 'open') return;
    this.#suspects = rules.map((rule, i) => counterKey(prefix, tags[keys[i]!]!, rule));
    this.#note(false);
  }

  #spend(lease: Lease, nowMs: number): Decision | null {
    const { decision } = lease;
    if (decision === null) return null;
    if (lease.left > 0 && nowMs < lease.untilMs) {
      lease.left--;
      this.#leased++;
      const spent = copyOf(decision);
      spent.remaining = decision.remaining + lease.left;
      return spent;
    }
    if (nowMs >= lease.refusedUntilMs) return null;
    this.#leased++;
    const refused = copyOf(decision);
    refused.retryMs = Math.max(1, lease.refusedUntilMs - nowMs);
    return refused;
  }

  #renew(lease: Lease, set: LimitSet, tags: readonly string[], nowMs: number): void {
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < set.rules.length; i++) {
      least = Math.min(least, (set.rules[i]?.limit ?? 1) / (set.costs[i] ?? 1));
    }
    const wanted = this.#leases.want(lease, Math.floor(least * this.#settings.leaseShare), nowMs);
    lease.pending = this.#ask(set, tags, wanted).then((taken) => {
      lease.pending = null;
      if (taken === null) return;
      this.#leases.granted(lease, readDecision(set, taken), taken.granted, this.#limiter.table.time.nowMs());
    });
  }

  /** Null: no answer in time. Never rejects. */
  #ask(set: LimitSet, tags: readonly string[], wanted: number) {
    this.#asked++;
    const started = systemClock.monotonicMs();
    return new Promise<Awaited<ReturnType<typeof take>> | null>((resolve) => {
      const waiting: Waiting = {
        isOver: false,
        giveUp: () => {
          if (waiting.isOver) return;
          waiting.isOver = true;
          this.#late++;
          this.#failedOf(set, tags);
          resolve(null);
        },
      };
      const turn = this.#watch(waiting);
      take(this.#line, this.#settings.prefix, { set, tags, wanted }).then(
        (taken) => {
          if (waiting.isOver) return;
          ended(waiting, turn);
          this.#answered++;
          const tookMs = systemClock.monotonicMs() - started;
          this.#latencyMs += tookMs;
          this.timings[timingBucket(tookMs / 1_000)]!++;
          this.#breaker.succeeded(this.#limiter.table.time.nowMs());
          this.#note(true);
          resolve(taken);
        },
        () => {
          if (waiting.isOver) return;
          ended(waiting, turn);
          this.#failed++;
          this.#failedOf(set, tags);
          resolve(null);
        },
      );
    });
  }

  #watch(waiting: Waiting): Turn {
    let turn = this.#turn;
    // One whose questions have all failed at once has no timer any more.
    if (turn === null || turn.open === 0) {
      const list: Waiting[] = [];
      const cancel = systemTimers.after(this.#settings.timeoutMs, () => giveUpAll(list));
      turn = { waiting: list, open: 0, cancel };
      this.#turn = turn;
      setImmediate(this.#endTurn);
    }
    turn.waiting.push(waiting);
    turn.open++;
    return turn;
  }

  readonly #endTurn = (): void => {
    this.#turn = null;
  };

  #mayAsk(nowMs: number): boolean {
    const answer = this.#breaker.ask(nowMs);
    if (answer === 'probe') this.#probe();
    return answer === 'yes';
  }

  /** A write without effect beside each counter that failed; the fallback takes the current decision. */
  #probe(): void {
    const { time } = this.#limiter.table;
    const waiting: Waiting = {
      isOver: false,
      giveUp: () => {
        if (waiting.isOver) return;
        waiting.isOver = true;
        this.#breaker.failed(time.nowMs());
      },
    };
    const turn = this.#watch(waiting);
    // A key with the same hash tag is in the same slot.
    Promise.all(this.#suspects.map((key) => this.#line.tryWrite(`${key}:probe`))).then(
      () => {
        if (waiting.isOver) return;
        ended(waiting, turn);
        this.#breaker.succeeded(time.nowMs());
        this.#note(true);
      },
      () => {
        if (waiting.isOver) return;
        ended(waiting, turn);
        this.#breaker.failed(time.nowMs());
      },
    );
  }

  #fallback(set: LimitSet, nowMs: number): Decision {
    this.#fallbacks++;
    if (this.#settings.fallback === 'local') return this.#limiter.decide(set, nowMs);
    const decision = new Decision();
    decision.allowed = this.#settings.fallback === 'open';
    return decision;
  }

  #fallbackWith(set: LimitSet, keys: Int32Array): Decision {
    this.#limiter.keysA.set(keys.subarray(0, keys.length / 2));
    this.#limiter.keysB.set(keys.subarray(keys.length / 2));
    // The limiter's own decision object will serve others before the promise's reader comes to it.
    return copyOf(this.#fallback(set, this.#limiter.table.time.nowMs()));
  }

  #savedKeys(): Int32Array {
    const { keysA, keysB } = this.#limiter;
    const keys = new Int32Array(keysA.length + keysB.length);
    keys.set(keysA);
    keys.set(keysB, keysA.length);
    return keys;
  }

  /** 53 bits of set and callers. */
  #leaseKey(set: LimitSet): number {
    const { keysA, keysB } = this.#limiter;
    let high = set.number;
    let low = set.number;
    for (const key of set.keys) {
      high = (Math.imul(high ^ (high >>> 15), 0x2c1b3c6d) + (keysA[key] as number)) | 0;
      low = (Math.imul(low ^ (low >>> 13), 0x297a2d39) + (keysB[key] as number)) | 0;
    }
    return (high >>> 0) * 2_097_152 + (low >>> 11);
  }
}

function giveUpAll(waiting: readonly Waiting[]): void {
  for (const each of waiting) each.giveUp();
}

function ended(waiting: Waiting, turn: Turn): void {
  waiting.isOver = true;
  if (--turn.open === 0) turn.cancel();
}

function copyOf(decision: Decision): Decision {
  return Object.assign(new Decision(), decision);
}
