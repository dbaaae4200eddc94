/**
 * The plans as a worker knows them: what control published last, and which occasions are on at the moment. Policies ask
 * for a plan's rules and keep what they compiled until `version` moves: with a publication, or when an occasion begins
 * or ends.
 */

import type { RuleSpec } from '../contract/limits.ts';
import { type OccasionSettings, PLANS_TOPIC, type PlanSettings, type PlansSettings } from '../contract/limits.ts';
import type { ControlLink } from '../contract/policy.ts';
import type { Boost } from './rule.ts';
import type { TableTime } from './time.ts';

/** How often the beginning and end of occasions is looked for, in milliseconds. */
const LOOK_EVERY_MS = 1_000;
const NOTHING: PlansSettings = { defaultPlan: '', plans: {} };

export class Plans {
  /** Moves whenever a plan may allow something else than before. */
  version = 0;
  readonly #time: TableTime;
  #settings: PlansSettings = NOTHING;
  #known = new Set<string>();
  #lookAtMs = 0;
  #active = '';

  constructor(control: ControlLink, time: TableTime) {
    this.#time = time;
    control.subscribe(PLANS_TOPIC, (data) => {
      this.#settings = data as PlansSettings;
      this.#known = new Set(Object.keys(this.#settings.plans));
      this.version++;
      this.#lookAtMs = 0;
    });
  }

  /** The plan that holds for a caller: its own if there is one of that name, else the default. */
  nameFor(plan: string | null): string {
    return plan !== null && this.#known.has(plan) ? plan : this.#settings.defaultPlan;
  }

  rulesOf(plan: string): readonly RuleSpec[] {
    return this.#planOf(plan)?.limits ?? [];
  }

  /** What the plan's occasions add up to at the moment. */
  boostOf(plan: string): Boost | undefined {
    const on = this.#planOf(plan)?.occasions.filter((occasion) => isOn(occasion, this.#wallMs())) ?? [];
    if (on.length === 0) return undefined;
    return {
      factor: on.reduce((factor, occasion) => factor * occasion.factor, 1),
      extra: on.reduce((extra, occasion) => extra + occasion.extra, 0),
    };
  }

  /** Called with the table's time at each decision; looks at the occasions once a second. */
  turn(nowMs: number): void {
    if (nowMs < this.#lookAtMs) return;
    this.#lookAtMs = nowMs + LOOK_EVERY_MS;
    const wallMs = this.#wallMs();
    let active = '';
    for (const [name, plan] of Object.entries(this.#settings.plans)) {
      for (const occasion of plan.occasions) if (isOn(occasion, wallMs)) active += `${name}/${occasion.name}\n`;
    }
    if (active === this.#active) return;
    this.#active = active;
    this.version++;
  }

  #planOf(plan: string): PlanSettings | undefined {
    return this.#known.has(plan) ? this.#settings.plans[plan] : undefined;
  }

  #wallMs(): number {
    return this.#time.wallMs(this.#time.nowMs());
  }
}

function isOn({ startMs, endMs }: OccasionSettings, wallMs: number): boolean {
  return wallMs >= startMs && wallMs < endMs;
}
