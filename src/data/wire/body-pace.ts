/**
 * How fast a request body comes, time in which we did not read left out. Who sends slower on average than the limit,
 * after a grace, holds memory for nothing.
 */
import type { Clock } from '../../base/clock.ts';

export class BodyPace {
  received = 0;
  readonly #clock: Clock;
  readonly #startedMs: number;
  #pausedSinceMs = -1;
  #pausedMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startedMs = clock.monotonicMs();
  }

  pause(): void {
    if (this.#pausedSinceMs < 0) this.#pausedSinceMs = this.#clock.monotonicMs();
  }

  resume(): void {
    if (this.#pausedSinceMs < 0) return;
    this.#pausedMs += this.#clock.monotonicMs() - this.#pausedSinceMs;
    this.#pausedSinceMs = -1;
  }

  /** Bytes a second; infinite while it is not read, and before `firstMs`. */
  rate(nowMs: number, firstMs: number): number {
    const elapsed = nowMs - this.#startedMs - this.#pausedMs;
    return this.#pausedSinceMs >= 0 || elapsed < firstMs ? Infinity : (this.received * 1_000) / elapsed;
  }

  isTooSlow(bytesPerSecond: number, graceMs: number): boolean {
    if (this.#pausedSinceMs >= 0) return false;
    const elapsed = this.#clock.monotonicMs() - this.#startedMs - this.#pausedMs;
    return elapsed > graceMs && (this.received * 1000) / elapsed < bytesPerSecond;
  }
}
