/**
 * Fields for callers: `X-RateLimit-Limit`, `-Remaining` and `-Reset` (Unix seconds), and the `RateLimit` and
 * `RateLimit-Policy` fields of draft-ietf-httpapi-ratelimit-headers-11 (structured fields, RFC 9651). The former can
 * say one thing only: of several phases' rules the one nearest to its limit, and never what a service says besides. The
 * latter are lists, which phases and services add to. The parts that do not change are made once per set of rules.
 */

import { formatDuration } from '../../base/units.ts';
import { FieldBlock, FieldStart } from '../contract/field-block.ts';
import type { FieldWriter } from '../contract/field-writer.ts';
import type { LimitNotice } from '../contract/policy.ts';
import type { Decision } from './limiter.ts';
import type { Rule } from './rule.ts';

const REMAINING = new FieldStart('X-RateLimit-Remaining');
const RESET = new FieldStart('X-RateLimit-Reset');
/** Rounding of fractions must not turn a whole second into the next one. */
const FUZZ_SECONDS = 1e-6;

function secondsUp(ms: number): number {
  return Math.ceil(ms / 1000 - FUZZ_SECONDS);
}

/** The constant parts of the fields of a set of rules. */
export class LimitHeaders {
  /** The value of `RateLimit-Policy`: every rule of the set, §3 of the draft. */
  readonly policy: string;
  readonly #policy: FieldBlock;
  readonly #legacy: readonly FieldBlock[];
  readonly #standard: readonly FieldStart[];

  /** `names[i]` is what rule i is called, such as `user-1m`; it must be printable ASCII without quotes. */
  constructor(rules: readonly Rule[], names: readonly string[]) {
    this.policy = rules
      .map((rule, i) => {
        // §3.1.3: whole seconds only, so a window that is not has no `w`.
        const window = rule.windowMs % 1000 === 0 ? `;w=${rule.windowMs / 1000}` : '';
        return `"${names[i]}";q=${rule.limit}${window}`;
      })
      .join(', ');
    this.#policy = FieldBlock.of([['RateLimit-Policy', this.policy]]);
    this.#legacy = rules.map((rule) => FieldBlock.of([['X-RateLimit-Limit', `${rule.limit}`]]));
    this.#standard = names.map((name) => new FieldStart('RateLimit', `"${name}";r=`));
  }

  /** What to tell of a decision; null when no rule decided. */
  notice(decision: Decision, wallMs: number, legacy: boolean, standard: boolean): LimitNotice | null {
    const { index } = decision;
    if (index < 0) return null;
    const limit = legacy ? this.#legacy[index]! : null;
    return new Notice(limit, this.#policy, standard ? this.#standard[index]! : null, decision, wallMs);
  }
}

class Notice implements LimitNotice {
  readonly nearness: number;
  readonly #limit: FieldBlock | null;
  readonly #policy: FieldBlock;
  readonly #standard: FieldStart | null;
  readonly #remaining: number;
  readonly #resetSeconds: number;
  readonly #windowSeconds: number;

  constructor(
    limit: FieldBlock | null,
    policy: FieldBlock,
    standard: FieldStart | null,
    decision: Decision,
    wallMs: number,
  ) {
    // A refusal ends the exchange, so earlier notices do not count.
    this.nearness = decision.allowed ? decision.remaining : -1;
    this.#limit = limit;
    this.#policy = policy;
    this.#standard = standard;
    this.#remaining = decision.remaining;
    this.#resetSeconds = secondsUp(wallMs + decision.resetMs);
    this.#windowSeconds = effectiveWindowSeconds(decision);
  }

  get hasLegacy(): boolean {
    return this.#limit !== null;
  }

  writeLegacy(out: FieldWriter): void {
    if (this.#limit === null) return;
    out.fields(this.#limit);
    out.begin(REMAINING);
    out.integer(this.#remaining);
    out.end();
    out.begin(RESET);
    out.integer(this.#resetSeconds);
    out.end();
  }

  writeStandard(out: FieldWriter): void {
    if (this.#standard === null) return;
    out.fields(this.#policy);
    out.begin(this.#standard);
    out.integer(this.#remaining);
    out.text(';t=');
    out.integer(this.#windowSeconds);
    out.end();
  }
}

/**
 * §4.1.2: the time within which no more than `remaining` can be used. Until more is there that is certain; it is
 * stretched to what `remaining` takes at the limit's own rate, because §6 asks for a cap of the ratio of the two and a
 * bucket that refills bit by bit would otherwise invite callers to use all of it at once. After a refusal it ends when
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
