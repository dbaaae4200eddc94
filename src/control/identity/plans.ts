/** Which plans accounts may be on: one list with the limits of the document, unless the section has one of its own. */
import { SHIPPED_PLAN_NAMES } from '../../data/contract/limits.ts';

interface Written {
  readonly plans?: readonly string[] | undefined;
  readonly defaultPlan?: string | undefined;
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
