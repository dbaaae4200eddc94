/**
 * What one address may ask of the service without an account: calls, sign-ups and emails, each with a limit. Counted in
 * memory (GCRA), so a flood writes nothing and costs a map look-up; a process of its own counts for itself. IPv6 counts
 * by its /64. Wrong passwords are counted elsewhere (guard.ts), since they must outlive a restart.
 */
import type { Clock } from '../../../base/clock.ts';
import type { IdentityOptions } from '../options.ts';
import { Problem } from '../problem.ts';
import { addressKey } from './guard.ts';

export type BudgetKind = keyof IdentityOptions['addressLimits'];

/** Addresses remembered; beyond it the one that asked longest ago is forgotten. */
const MAX_ADDRESSES = 100_000;

export class AddressBudget {
  readonly #options: IdentityOptions['addressLimits'];
  readonly #clock: Clock;
  /** When the next call would be on time, by kind and address; the one that asked last is last. */
  readonly #due = new Map<string, number>();
  /** Refusals since the start of this process. */
  refused = 0;

  constructor(options: IdentityOptions['addressLimits'], clock: Clock) {
    this.#options = options;
    this.#clock = clock;
  }

  /** Throws 429 when the address has used up what it may. The command line has no address and no limit. */
  take(kind: BudgetKind, address: string): void {
    if (address === '') return;
    const { limit, window, burst } = this.#options[kind];
    const key = `${kind} ${addressKey(address)}`;
    const now = this.#clock.monotonicMs();
    const step = window / limit;
    const due = Math.max(this.#due.get(key) ?? now, now) + step;
    const waitMs = due - now - step * burst;
    if (waitMs > 0.001) {
      this.refused++;
      throw new Problem(429, 'RATE_LIMIT_EXCEEDED', 'too_many_calls', 'too many calls from this address', {
        retryAfterSeconds: Math.max(1, Math.ceil(waitMs / 1_000)),
      });
    }
    this.#due.delete(key);
    this.#due.set(key, due);
    if (this.#due.size <= MAX_ADDRESSES) return;
    const oldest = this.#due.keys().next().value;
    if (oldest !== undefined) this.#due.delete(oldest);
  }
}
