/**
 * The shipped plans and what the key `plans` makes of them. A plan that is written replaces the shipped one of its
 * name key by key. Plans are published to the workers whole; a caller belongs to one by its token, key or account.
 */
import type { OccasionSettings, PlanSettings, PlansSettings, RuleSpec } from '../../../data/contract/limits.ts';

/** How much of each quota a plan has; what is not named goes by the quota's own default. */
export type PlanQuotas = Readonly<Record<string, number>>;

export interface Plan extends PlanSettings {
  readonly quotas: PlanQuotas;
}

export interface Plans extends PlansSettings {
  readonly plans: Readonly<Record<string, Plan>>;
}

const perMinuteAndHour = (minute: number, hour: number): readonly RuleSpec[] => [
  { limit: minute, windowMs: 60_000, algorithm: 'gcra', burst: minute },
  { limit: hour, windowMs: 3_600_000, algorithm: 'gcra', burst: hour },
];

/** The tiers of the AIVillage gateway's documentation. */
export const SHIPPED_PLANS: Readonly<Record<string, Plan>> = {
  standard: { limits: perMinuteAndHour(60, 1_000), occasions: [], quotas: {} },
  premium: { limits: perMinuteAndHour(200, 5_000), occasions: [], quotas: {} },
  enterprise: { limits: perMinuteAndHour(500, 10_000), occasions: [], quotas: {} },
};

export const DEFAULT_PLAN = 'standard';

export interface WrittenPlan {
  readonly limits?: readonly RuleSpec[] | undefined;
  readonly quotas?: PlanQuotas | undefined;
  readonly occasions?: readonly OccasionSettings[] | undefined;
}

export function mergePlans(written: Readonly<Record<string, WrittenPlan>>): Readonly<Record<string, Plan>> {
  const plans: Record<string, Plan> = { ...SHIPPED_PLANS };
  for (const [name, { limits, quotas, occasions }] of Object.entries(written)) {
    const shipped = SHIPPED_PLANS[name];
    plans[name] = {
      limits: limits ?? shipped?.limits ?? [],
      quotas: quotas ?? shipped?.quotas ?? {},
      occasions: occasions ?? shipped?.occasions ?? [],
    };
  }
  return plans;
}

/** What the occasions that are on at a moment make of an amount. */
export function boostedAmount(amount: number, occasions: readonly OccasionSettings[], wallMs: number): number {
  const on = occasions.filter(({ startMs, endMs }) => wallMs >= startMs && wallMs < endMs);
  const factor = on.reduce((product, occasion) => product * occasion.factor, 1);
  return Math.floor(amount * factor) + on.reduce((sum, occasion) => sum + occasion.extra, 0);
}
