/**
 * Time as a value that is handed in, so that no test waits for it. `monotonicMs` never steps back and measures
 * durations; `wallMs` is the time of day and may step, so it is only for stamps that leave the process.
 */
import { performance } from 'node:perf_hooks';

export interface Clock {
  monotonicMs(): number;
  wallMs(): number;
}

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
};

/** A clock that moves when told to, for tests and simulations. */
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
