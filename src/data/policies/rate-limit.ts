/**
 * `rateLimit`: refuses with 429 what goes over a limit, and tells every caller how much is left. Limits by address may
 * be checked before authentication, so that guessing is limited too; the others after authorization, so that nobody
 * uses up another's. All limits of one phase are charged together or not at all. The counting is in data/limiter.
 */

import { FAULTS, Fault } from '../../base/errors.ts';
import { systemTimers } from '../../base/system-timers.ts';
import { formatKey, type LimitPhase, type RateLimitSettings } from '../contract/limits.ts';
import {
  definePolicy,
  type Outcome,
  type PolicyContext,
  type PolicyHook,
  type PolicyHooks,
} from '../contract/policy.ts';
import { retryAfterSeconds } from '../limiter/headers.ts';
import type { LimitSet } from '../limiter/limit-set.ts';
import { LimitSets } from '../limiter/limit-sets.ts';
import type { Decision } from '../limiter/limiter.ts';
import { WorkerLimits } from '../limiter/worker-limits.ts';

const PHASES = ['arrival', 'authenticate', 'limit'] as const satisfies readonly LimitPhase[];

export const rateLimit = definePolicy<RateLimitSettings>({
  name: 'rate-limit',
  phases: [...PHASES, 'responseHead'],
  first: true,
  readsRequestOnlyWhilePending: true,
  create(settings, environment): PolicyHooks {
    const limits = WorkerLimits.of(environment);
    const acquired: string[] = [];
    const hooks: { -readonly [Name in keyof PolicyHooks]: PolicyHooks[Name] } = {};
    const named = new Set<string>();
    for (const phase of PHASES) {
      const blocks = settings.blocks.filter((block) => block.phase === phase);
      if (blocks.length === 0) continue;
      const keys = blocks.map(({ by }) => formatKey(by));
      // Rules are told by name, so no two phases may have the same; those of a route and those before it may be alike.
      const prefix = phase === 'arrival' ? 'gateway-' : keys.some((key) => named.has(key)) ? `${phase}-` : '';
      for (const key of keys) named.add(key);
      const { blocks: _, ...facts } = settings;
      // The same function for the same settings: what comes before the route is known must count once, not once per
      // route.
      const key = `rate-limit ${JSON.stringify({ ...facts, phase, prefix, blocks })}`;
      acquired.push(key);
      const checker = limits.acquire(key, () => new Checker(limits, new LimitSets(limits, blocks, prefix), facts));
      const { paths, refusalDelayMs = 0 } = settings;
      const check = refusalDelayMs === 0 ? checker.check : holdingBack(refusalDelayMs, checker.check);
      hooks[phase] = paths === undefined ? check : onPaths(paths, check);
      if (blocks.some((block) => block.costHeader !== null)) {
        const earlier = hooks.responseHead;
        hooks.responseHead =
          earlier === undefined
            ? checker.addCosts
            : (exchange) => {
                earlier(exchange);
                checker.addCosts(exchange);
              };
      }
    }
    const dispose = (): void => {
      for (const key of acquired) limits.release(key);
    };
    return { ...hooks, dispose };
  },
});

function holdingBack(ms: number, check: PolicyHook): PolicyHook {
  const later = (outcome: Outcome): Promise<Outcome> | Outcome =>
    outcome instanceof Fault ? new Promise((resolve) => void systemTimers.after(ms, () => resolve(outcome))) : outcome;
  return (exchange) => {
    const outcome = check(exchange);
    return outcome instanceof Promise ? outcome.then(later) : later(outcome);
  };
}

function onPaths(source: string, check: PolicyHook): PolicyHook {
  const paths = new RegExp(source);
  return (exchange) => (paths.test(exchange.path) ? check(exchange) : undefined);
}

type CheckerSettings = Omit<RateLimitSettings, 'blocks' | 'paths' | 'refusalDelayMs'>;

class Checker {
  readonly #limits: WorkerLimits;
  readonly #sets: LimitSets;
  readonly #settings: CheckerSettings;

  constructor(limits: WorkerLimits, sets: LimitSets, settings: CheckerSettings) {
    this.#limits = limits;
    this.#sets = sets;
    this.#settings = settings;
  }

  readonly check = (exchange: PolicyContext): Outcome | Promise<Outcome> => {
    const limits = this.#limits;
    const nowMs = limits.table.time.nowMs(exchange.nowMs);
    const set = this.#sets.prepare(exchange, nowMs);
    const decision = limits.decide(set, nowMs, this.#sets, exchange);
    if (decision instanceof Promise) return decision.then((made) => this.#answer(exchange, set, made, nowMs));
    return this.#answer(exchange, set, decision, nowMs);
  };

  /** Charges what the response says the request cost beyond what was charged before. */
  readonly addCosts = (exchange: PolicyContext): void => {
    const limits = this.#limits;
    const set = this.#sets.prepare(exchange, limits.table.time.nowMs());
    let costs: number[] | undefined;
    for (let i = 0; i < set.rules.length; i++) {
      const name = set.costHeaders[i];
      if (name === null || name === undefined) continue;
      const more = costOf(exchange.responseHeader(name)) - (set.costs[i] as number);
      if (more <= 0) continue;
      costs ??= set.rules.map(() => 0);
      costs[i] = more;
    }
    if (costs !== undefined) limits.addCosts(set, costs, this.#sets, exchange);
  };

  #answer(exchange: PolicyContext, set: LimitSet, decision: Decision, nowMs: number): Outcome {
    if (set.plan !== '') this.#limits.count(set.plan, decision.allowed);
    const { legacyHeaders, standardHeaders, message } = this.#settings;
    if (legacyHeaders || standardHeaders) {
      const wallMs = this.#limits.table.time.wallMs(nowMs);
      const notice = set.headers.notice(decision, wallMs, legacyHeaders, standardHeaders);
      if (notice !== null) exchange.noteLimit(notice);
    }
    if (decision.allowed) return undefined;
    if (decision.index < 0) return new Fault(FAULTS.limiterUnavailable, { retryAfterSeconds: 1 });
    const name = set.names[decision.index] as string;
    exchange.logField('limit', name);
    return new Fault(FAULTS.rateLimitExceeded, {
      ...(message === undefined
        ? { detail: set.plan === '' ? `limit ${name}` : `rate limit exceeded for plan ${set.plan}` }
        : { message: message.replaceAll('{plan}', set.plan) }),
      retryAfterSeconds: retryAfterSeconds(decision),
    });
  }
}

/** A whole number of at most nine digits; anything else costs nothing more. */
function costOf(text: string | null): number {
  return text !== null && /^\d{1,9}$/.test(text) ? Number(text) : 0;
}
