/**
 * Time as a value that is handed in, so that no test waits for it. `monotonicMs` never steps back and measures
 * durations; `wallMs` is the time of day and may step, so it is only for stamps that leave the process.
 */
import { performance } from 'node:perf_hooks';

export interface Clock {
  monotonicMs(): number;
  wallMs(): number;
  /** The time of day at `nowMs`, which has just been read from `monotonicMs`; saves a second reading. */
  wallAt(nowMs: number): number;
}

/**
 * How long one reading of the time of day is carried on by the monotonic clock: `Date.now` costs four of its readings.
 */
const CARRIED_MS = 10;

class SystemClock implements Clock {
  #readAtMs = Number.NEGATIVE_INFINITY;
  #shiftMs = 0;

  monotonicMs(): number {
    return performance.now();
  }

  wallMs(): number {
    return this.wallAt(performance.now());
  }

  /** A step of the time of day is seen within 10 ms. */
  wallAt(nowMs: number): number {
    if (nowMs - this.#readAtMs > CARRIED_MS) {
      this.#readAtMs = nowMs;
      this.#shiftMs = Date.now() - nowMs;
    }
    return Math.floor(nowMs + this.#shiftMs);
  }
}

export const systemClock: Clock = new SystemClock();

/** A clock moved by its owner, for tests and simulations. */
export class FakeClock implements Clock {
  #monotonicMs = 0;
  #wallMs: number;

  constructor(wallMs = Date.UTC(2026, 0, 1)) {
    this.#wallMs = wallMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  wallMs(): number {
    return this.#wallMs;
  }

  wallAt(nowMs: number): number {
    return this.#wallMs - (this.#monotonicMs - nowMs);
  }

  /** Both clocks move on together. */
  advance(ms: number): void {
    this.#monotonicMs += ms;
    this.#wallMs += ms;
  }

  /** Only the time of day jumps, as when an operator or NTP sets it. */
  stepWall(ms: number): void {
    this.#wallMs += ms;
  }
}
