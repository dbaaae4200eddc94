/**
 * What all limits of one worker share and keep across reloads: the table, the plans, the line to Redis if there is one,
 * and the counts for the metrics. Made by the first policy that needs it (`WorkerLimits.of`).
 */
import type { Clock } from '../../base/clock.ts';
import { type LimiterSettings, SETTINGS_TOPIC } from '../contract/limits.ts';
import type { ControlLink, PolicyEnvironment } from '../contract/policy.ts';
import { KeyReader } from './keys.ts';
import { type Decision, Limiter, type RuleSet } from './limiter.ts';
import { Plans } from './plans.ts';
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
}

export class WorkerLimits {
  readonly table: LimitTable;
  readonly limiter: Limiter;
  readonly keys: KeyReader;
  readonly plans: Plans;
  readonly #perPlan = new Map<string, { allowed: number; refused: number }>();
  readonly #made = new Map<string, { readonly thing: unknown; users: number }>();

  constructor(memory: SharedArrayBuffer, clock: Clock, control: ControlLink) {
    this.table = new LimitTable(memory, clock);
    this.limiter = new Limiter(this.table);
    this.keys = new KeyReader(this.table.hash);
    this.plans = new Plans(control, this.table.time);
    control.subscribe(SETTINGS_TOPIC, (data) => {
      this.limiter.overflowPolicy = (data as LimiterSettings).overflow;
    });
  }

  static of(environment: PolicyEnvironment): WorkerLimits {
    return environment.perWorker('limits', () => {
      return new WorkerLimits(environment.shared.limits, environment.clock, environment.control);
    });
  }

  /** Decides by the keys that are in the limiter. */
  decide(set: RuleSet, nowMs: number): Decision {
    return this.limiter.decide(set, nowMs);
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

  counts(): LimitCounts {
    const { allowed, refused, overflowed, givenBack } = this.limiter;
    const { live, cells } = this.table.occupancy(16_384);
    return { allowed, refused, overflowed, givenBack, live, cells, plans: Object.fromEntries(this.#perPlan) };
  }
}
