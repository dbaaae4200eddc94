/**
 * What all limits of one worker share and keep across reloads: the table, the plans, the line to Redis if there is one,
 * and the counts for the metrics. Made by the first policy that needs it (`WorkerLimits.of`).
 */
import { threadId } from 'node:worker_threads';
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import {
  type LimiterSettings,
  OCCUPANCY_TOPIC,
  SETTINGS_TOPIC,
  SHARED_TOPIC,
  type SharedState,
  type TableOccupancy,
} from '../contract/limits.ts';
import type { ControlLink, PolicyContext, PolicyEnvironment } from '../contract/policy.ts';
import type { Secrets } from '../contract/snapshot.ts';
import { CountReporter } from './count-reporter.ts';
import { KeyReader } from './keys.ts';
import type { LimitSet } from './limit-set.ts';
import type { LimitSets } from './limit-sets.ts';
import { type Decision, Limiter } from './limiter.ts';
import { answerLooks } from './look.ts';
import { Newcomers } from './newcomers.ts';
import { Plans } from './plans.ts';
import { openRedis } from './redis/connection.ts';
import { type RedisCounts, RedisLimits } from './redis/redis-limits.ts';
import { LimitTable } from './table.ts';

/** For the metrics; all but `live` and `cells` only ever grow. */
export interface LimitCounts {
  readonly allowed: number;
  readonly refused: number;
  /** Decisions that found no cell in the table. */
  readonly overflowed: number;
  /** Charges taken back because another worker was quicker. */
  readonly givenBack: number;
  /** Live and all cells of the table, which the workers share. */
  readonly live: number;
  readonly cells: number;
  /** By plan: decisions allowed and refused. */
  readonly plans: Readonly<Record<string, { readonly allowed: number; readonly refused: number }>>;
  /** Absent without Redis. */
  readonly redis?: RedisCounts;
}

export class WorkerLimits {
  readonly table: LimitTable;
  readonly limiter: Limiter;
  readonly keys: KeyReader;
  readonly plans: Plans;
  readonly newcomers: Newcomers;
  /** Other parts of the limits add what they count. */
  readonly reporter: CountReporter;
  readonly #perPlan = new Map<string, { allowed: number; refused: number }>();
  readonly #made = new Map<string, { readonly thing: unknown; users: number }>();

  readonly #log: Logger;
  readonly #control: ControlLink;
  #settings: LimiterSettings = { overflow: 'deny' };
  #secrets: Secrets = {};
  #redis: { readonly limits: RedisLimits; readonly madeFrom: string } | null = null;

  constructor(memory: SharedArrayBuffer, clock: Clock, control: ControlLink, log: Logger) {
    this.#log = log;
    this.table = new LimitTable(memory, clock);
    this.limiter = new Limiter(this.table);
    this.keys = new KeyReader(this.table.hash);
    this.newcomers = new Newcomers(this.table, this.keys);
    this.plans = new Plans(control, this.table.time);
    this.reporter = new CountReporter(control);
    this.reporter.add(() => this.#flatCounts());
    this.#control = control;
    answerLooks(this, control, () => this.#redis?.limits ?? null);
    control.subscribe(SETTINGS_TOPIC, (data) => {
      this.#settings = data as LimiterSettings;
      this.limiter.overflowPolicy = this.#settings.overflow;
      this.#connect();
    });
  }

  static of(environment: PolicyEnvironment): WorkerLimits {
    const limits = environment.perWorker('limits', () => {
      const { shared, clock, control, log } = environment;
      return new WorkerLimits(shared.limits, clock, control, log);
    });
    limits.#secrets = environment.secrets;
    limits.#connect();
    return limits;
  }

  /** Counts are kept in Redis and not in the table. */
  get isShared(): boolean {
    return this.#redis !== null;
  }

  /** Decides by the keys that are in the limiter; the same object each time, unless it is promised. */
  decide(set: LimitSet, nowMs: number, sets: LimitSets, exchange: PolicyContext): Decision | Promise<Decision> {
    if (this.#redis === null) return this.limiter.decide(set, nowMs);
    return this.#redis.limits.decide(set, nowMs, () => sets.tags(exchange));
  }

  /** Charges what a request cost beyond what was decided; `costs[i]` is for rule i, 0 for none. */
  addCosts(set: LimitSet, costs: readonly number[], sets: LimitSets, exchange: PolicyContext): void {
    if (this.#redis !== null) {
      this.#redis.limits.addCosts(set, costs, sets.tags(exchange));
      return;
    }
    for (const [i, cost] of costs.entries()) if (cost > 0) this.limiter.addCost(set, i, cost);
  }

  /** The line to Redis follows the settings and the secret that they name, which arrive apart. */
  #connect(): void {
    const { redis } = this.#settings;
    const url = redis === undefined ? undefined : this.#secrets[redis.url];
    if (redis !== undefined && url === undefined) return;
    const madeFrom = JSON.stringify([redis, url]);
    if ((this.#redis?.madeFrom ?? JSON.stringify([undefined, undefined])) === madeFrom) return;
    this.#redis?.limits.close();
    this.#redis = null;
    if (redis === undefined || url === undefined) return;
    const line = openRedis(url, (reason) => this.#redisProblem(reason));
    // One that takes the place of another begins with what control has heard of that.
    const limits = new RedisLimits(line, redis, this.limiter, this.#isToldShared);
    limits.onShared = (isShared) => this.#tellShared(isShared);
    this.#redis = { limits, madeFrom };
  }

  #lastProblem: string | null = null;
  #isToldShared = true;

  /** A Redis that is away is a failed connection many times over; control says once what it means. */
  #redisProblem(reason: string): void {
    this.#lastProblem = reason;
    this.#log.debug('the connection to Redis failed', { reason });
  }

  #tellShared(isShared: boolean): void {
    this.#isToldShared = isShared;
    const state: SharedState = { thread: threadId, isShared, reason: this.#lastProblem };
    this.#lastProblem = null;
    this.#control.tell(SHARED_TOPIC, state);
  }

  close(): void {
    this.#redis?.limits.close();
    this.#redis = null;
  }

  count(plan: string, allowed: boolean): void {
    let counts = this.#perPlan.get(plan);
    if (counts === undefined) {
      counts = { allowed: 0, refused: 0 };
      this.#perPlan.set(plan, counts);
    }
    if (allowed) counts.allowed++;
    else counts.refused++;
  }

  /** The thing made for equal settings before, so that a hook of the gateway's is one function for all routes. */
  acquire<T>(key: string, make: () => T): T {
    const known = this.#made.get(key);
    if (known !== undefined) {
      known.users++;
      return known.thing as T;
    }
    const thing = make();
    this.#made.set(key, { thing, users: 1 });
    return thing;
  }

  /** Once for each `acquire`; a reload acquires the new ones first, so that what stays is kept. */
  release(key: string): void {
    const known = this.#made.get(key);
    if (known !== undefined && --known.users === 0) this.#made.delete(key);
  }

  /** Below 0: control does not know how large the table is. */
  #occupancyTold = -1;

  /** For control, under the names that control/limits/metrics.ts reads. */
  #flatCounts(): Record<string, number> {
    const { allowed, refused, overflowed, givenBack } = this.limiter;
    const { refused: newcomers } = this.newcomers;
    const counts: Record<string, number> = { allowed, refused, overflowed, givenBack, newcomers };
    for (const [plan, { allowed: yes, refused: no }] of this.#perPlan) {
      counts[`plan ${plan} allowed`] = yes;
      counts[`plan ${plan} refused`] = no;
    }
    if (this.#redis !== null) {
      const { state: _state, ...redis } = this.#redis.limits.counts();
      for (const [name, value] of Object.entries(redis)) counts[`redis ${name}`] = value;
      for (const [bucket, value] of this.#redis.limits.timings.entries()) counts[`redis bucket ${bucket}`] = value;
    }
    const { live, cells } = this.table.occupancyBit();
    if (live !== this.#occupancyTold) this.#control.tell(OCCUPANCY_TOPIC, { live, cells } satisfies TableOccupancy);
    this.#occupancyTold = live;
    return counts;
  }

  counts(): LimitCounts {
    const { allowed, refused, overflowed, givenBack } = this.limiter;
    const { live, cells } = this.table.occupancy(16_384);
    const redis = this.#redis === null ? {} : { redis: this.#redis.limits.counts() };
    return { allowed, refused, overflowed, givenBack, live, cells, plans: Object.fromEntries(this.#perPlan), ...redis };
  }
}
