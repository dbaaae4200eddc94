/** Which plans accounts may be on: one list with the limits of the document, unless the section has one of its own. */
import { SHIPPED_PLAN_NAMES } from '../../data/contract/limits.ts';
import type { IdentityContext } from './context.ts';
import { invalidField } from './problem.ts';

interface Written {
  readonly plans?: readonly string[] | undefined;
  readonly defaultPlan?: string | undefined;
}

/** The same of a whole configuration, whose `plans` may be absent. */
export function plansOfDocument(section: Written, document: Readonly<Record<string, unknown>> = {}) {
  const { plans, limits } = document as { plans?: object; limits?: { readonly defaultPlan?: string } };
  return plansOf(section, { plans: Object.keys(plans ?? {}), defaultPlan: limits?.defaultPlan });
}

/** The plan, which must be one that accounts may be on: a misspelled one would silently count as the default. */
export function knownPlan({ options }: Pick<IdentityContext, 'options'>, plan: string): string {
  if (!options.plans.includes(plan)) throw invalidField('plan', `one of ${options.plans.join(', ')}`, plan);
  return plan;
}

/** `document`: names of the document's `plans` as they are written, and its `limits.defaultPlan`. */
export function plansOf(
  section: Written,
  document: { readonly plans: readonly string[]; readonly defaultPlan?: string | undefined } = { plans: [] },
): { readonly plans: string[]; readonly defaultPlan: string } {
  // Who only changes shipped plans has them all.
  const isOwn = document.plans.some((plan) => !SHIPPED_PLAN_NAMES.includes(plan));
  const plans = [...(section.plans ?? (isOwn ? document.plans : SHIPPED_PLAN_NAMES))];
  const fallback = document.defaultPlan ?? 'standard';
  return { plans, defaultPlan: section.defaultPlan ?? (plans.includes(fallback) ? fallback : plans[0]!) };
}
