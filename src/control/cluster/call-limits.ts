/**
 * Token buckets in memory for the calls of nodes: so many a second with a burst, by node or address. Bounded: when too
 * many are remembered the fullest are forgotten, which changes nothing for them.
 */
import type { Clock } from '../../base/clock.ts';
import { ClusterRefusal } from './refusal.ts';

const MAX_KEYS = 10_000;

export class CallLimits {
  readonly #rate: { readonly perSecond: number; readonly burst: number };
  readonly #clock: Clock;
  /** Theoretical arrival time of the next call (GCRA), in monotonic milliseconds. */
  readonly #arrivals = new Map<string, number>();

  constructor(rate: { readonly perSecond: number; readonly burst: number }, clock: Clock) {
    this.#rate = rate;
    this.#clock = clock;
  }

  /** Counts one call. Throws the 429. */
  take(key: string): void {
    const nowMs = this.#clock.monotonicMs();
    const stepMs = 1_000 / this.#rate.perSecond;
    const arrivalMs = Math.max(nowMs, this.#arrivals.get(key) ?? 0) + stepMs;
    if (arrivalMs - nowMs > stepMs * this.#rate.burst)
      throw new ClusterRefusal(429, 'RATE_LIMIT_EXCEEDED', 'too many calls; try again in a second');
    this.#arrivals.set(key, arrivalMs);
    if (this.#arrivals.size > MAX_KEYS)
      for (const [known, at] of this.#arrivals) if (at <= nowMs) this.#arrivals.delete(known);
    if (this.#arrivals.size > 2 * MAX_KEYS) this.#arrivals.clear();
  }
}
