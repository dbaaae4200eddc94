/**
 * The time of the limit table: milliseconds since the table was allocated, the same in every thread and never stepping
 * back. `performance.now()` starts at zero in each worker and the time of day may step, so both ends of it are
 * anchored to the machine's monotonic clock, which all threads share. Wall time is only read to label answers.
 */
import { type Clock, systemClock } from '../../base/clock.ts';

/** What has to be added to `performance.now()` of this thread to get the machine's monotonic clock. */
const systemOffsetMs = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** Milliseconds of a clock that all threads agree on. A fake clock is taken as it is. */
export function machineMs(clock: Clock): number {
  return clock === systemClock ? clock.monotonicMs() + systemOffsetMs : clock.monotonicMs();
}

/** How long one reading of the wall clock labels answers, in milliseconds of the table. */
const WALL_READING_MS = 500;

export class TableTime {
  readonly #clock: Clock;
  readonly #shiftMs: number;
  #wallShiftMs = 0;
  #wallReadAtMs = Number.NEGATIVE_INFINITY;

  /** `epochMs`: machine time at which the table was allocated. */
  constructor(clock: Clock, epochMs: number) {
    this.#clock = clock;
    this.#shiftMs = (clock === systemClock ? systemOffsetMs : 0) - epochMs;
  }

  /**
   * Milliseconds since the table was allocated, fractions included; `monotonicMs` is this thread's clock, just read.
   */
  nowMs(monotonicMs: number = this.#clock.monotonicMs()): number {
    return monotonicMs + this.#shiftMs;
  }

  /**
   * The time of day, in milliseconds since 1970, at a moment of the table near now; off by a clock step for 500 ms at
   * most.
   */
  wallMs(tableMs: number): number {
    if (tableMs - this.#wallReadAtMs > WALL_READING_MS || tableMs < this.#wallReadAtMs) {
      this.#wallReadAtMs = tableMs;
      this.#wallShiftMs = this.#clock.wallMs() - tableMs;
    }
    return tableMs + this.#wallShiftMs;
  }
}
