/**
 * Damages sound inputs and shows them to a target, again and again. It measures no coverage: an input that leads to an
 * outcome not seen before (a word the target returns) joins those that are damaged further, which finds its way into
 * corners nearly as well for parsers as small as these. Runs inside a worker thread (watched.ts), so that an endless
 * loop is found and told with its input.
 */
import { mutate } from './mutate.ts';
import { Random } from './random.ts';
import type { FuzzTarget } from './target.ts';

export interface FuzzPlan {
  readonly seed: number;
  /** Ends after as many inputs ... */
  readonly iterations: number;
  /** ... or after as many milliseconds, whichever comes first. */
  readonly forMs: number;
}

export interface FuzzReport {
  readonly target: string;
  readonly inputs: number;
  readonly outcomes: number;
  /** Inputs that led to something new, Latin-1. */
  readonly found: readonly string[];
  readonly failure: { readonly input: string; readonly problem: string } | null;
}

/** A head, a chunked body or a target longer than this teaches nothing that a shorter one does not. */
const MAX_INPUT = 4_096;
/** New outcomes beyond these are counted and not kept. */
const MAX_KEPT = 2_000;

/** `before` is told each input before the target sees it. */
export function fuzz(target: FuzzTarget, plan: FuzzPlan, before: (input: string) => void): FuzzReport {
  const random = new Random(plan.seed);
  const pool = [...target.seeds];
  const outcomes = new Set<string>();
  const found: string[] = [];
  const endMs = performance.now() + plan.forMs;
  let inputs = 0;
  const show = (input: string): FuzzReport['failure'] => {
    inputs++;
    before(input);
    try {
      const outcome = target.check(input);
      if (!outcomes.has(outcome) && outcomes.size < MAX_KEPT) {
        outcomes.add(outcome);
        pool.push(input);
        if (inputs > target.seeds.length) found.push(input);
      }
      return null;
    } catch (error) {
      return { input, problem: error instanceof Error ? (error.stack ?? error.message) : String(error) };
    }
  };
  let failure: FuzzReport['failure'] = null;
  for (const input of target.seeds) failure ??= show(input);
  while (failure === null && inputs < plan.iterations && (inputs % 64 !== 0 || performance.now() < endMs)) {
    failure = show(mutate(random.oneOf(pool), random, random.oneOf(pool)).slice(0, MAX_INPUT));
  }
  return { target: target.name, inputs, outcomes: outcomes.size, found, failure };
}
