/**
 * What callers are told: `X-RateLimit-Limit`, `-Remaining` and `-Reset` (Unix seconds), and the `RateLimit` and
 * `RateLimit-Policy` fields of draft-ietf-httpapi-ratelimit-headers-11 (structured fields, RFC 9651). The former can say one
 * thing only: of several phases' rules the one nearest to its limit, and never what a service says besides. The latter are
 * lists, which phases and services add to. The parts that do not change are made once per set of rules.
 */
import { formatDuration } from '../../base/units.ts';
import type { PolicyContext } from '../contract/policy.ts';
import type { Decision } from './limiter.ts';
import type { Rule } from './rule.ts';

/** Rounding of fractions must not turn a whole second into the next one. */
const FUZZ_SECONDS = 1e-6;

const LEGACY_LOWER = ['x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset'];

/** What `X-RateLimit-Remaining` says of an exchange so far. */
export type Told = WeakMap<PolicyContext, number>;

export function secondsUp(ms: number): number {
  return Math.ceil(ms / 1000 - FUZZ_SECONDS);
}

export class LimitHeaders {
  /** The value of `RateLimit-Policy`: every rule of the set, §3 of the draft. */
  readonly policy: string;
  readonly #names: readonly string[];
  readonly #limits: readonly string[];

  /** `names[i]` is what rule i is called, such as `user-1m`; it must be printable ASCII without quotes. */
  constructor(rules: readonly Rule[], names: readonly string[]) {
    this.#names = names.map((name) => `"${name}"`);
    this.#limits = rules.map((rule) => String(rule.limit));
    this.policy = rules
      .map((rule, i) => {
        // §3.1.3: whole seconds only, so a window that is not has no `w`.
        const window = rule.windowMs % 1000 === 0 ? `;w=${rule.windowMs / 1000}` : '';
        return `${this.#names[i]};q=${rule.limit}${window}`;
      })
      .join(', ');
  }

  /** `told` is shared by the phases of an exchange, where several tell; null where this one is alone. */
  legacy(exchange: PolicyContext, decision: Decision, wallMs: number, told: Told | null): void {
    if (decision.index < 0) return;
    const before = told === null ? undefined : told.get(exchange);
    // A refusal ends the exchange, so nothing that was told before counts.
    if (before !== undefined && decision.allowed && decision.remaining >= before) return;
    if (told !== null) told.set(exchange, decision.remaining);
    if (before === undefined) for (let i = 0; i < 3; i++) exchange.hideAnswerHeader(LEGACY_LOWER[i] as string);
    else for (let i = 0; i < 3; i++) exchange.removeResponseHeader(LEGACY_LOWER[i] as string);
    exchange.addResponseHeader('X-RateLimit-Limit', this.#limits[decision.index] as string);
    exchange.addResponseHeader('X-RateLimit-Remaining', String(decision.remaining));
    exchange.addResponseHeader('X-RateLimit-Reset', String(secondsUp(wallMs + decision.resetMs)));
  }

  standard(exchange: PolicyContext, decision: Decision): void {
    if (decision.index < 0) return;
    exchange.addResponseHeader('RateLimit-Policy', this.policy);
    const name = this.#names[decision.index] as string;
    exchange.addResponseHeader('RateLimit', `${name};r=${decision.remaining};t=${effectiveWindowSeconds(decision)}`);
  }
}

/**
 * §4.1.2: the time within which no more than `remaining` can be used. Until more is there that is certain; it is stretched
 * to what `remaining` takes at the limit's own rate, because §6 asks for a cap of the ratio of the two and a bucket
 * that refills bit by bit would otherwise invite callers to use all of it at once. After a refusal it ends when
 * `Retry-After` does, as §6 demands.
 */
function effectiveWindowSeconds(decision: Decision): number {
  if (!decision.allowed) return retryAfterSeconds(decision);
  const atRateMs = (decision.remaining * decision.windowMs) / decision.limit;
  return Math.max(secondsUp(decision.nextMs), secondsUp(Math.min(atRateMs, decision.windowMs)));
}

/** RFC 9110 §10.2.3, at least a second. */
export function retryAfterSeconds(decision: Decision): number {
  return Math.max(1, secondsUp(decision.retryMs));
}

export function ruleName(key: string, rule: Pick<Rule, 'windowMs'>): string {
  return `${key}-${formatDuration(rule.windowMs)}`;
}
