/**
 * For lines that a flood would repeat: writes one, then counts for a while and says how many were left out. Called
 * where something outside decides how often it happens.
 */
import type { Clock } from './clock.ts';

export class LogThrottle {
  readonly #clock: Clock;
  readonly #everyMs: number;
  #nextAtMs = Number.NEGATIVE_INFINITY;
  #leftOut = 0;

  constructor(clock: Clock, everyMs = 10_000) {
    this.#clock = clock;
    this.#everyMs = everyMs;
  }

  /** Calls `write` with the number of lines left out before it, or counts one more. */
  write(write: (leftOut: number) => void): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs < this.#nextAtMs) {
      this.#leftOut++;
      return;
    }
    this.#nextAtMs = nowMs + this.#everyMs;
    const leftOut = this.#leftOut;
    this.#leftOut = 0;
    write(leftOut);
  }
}
