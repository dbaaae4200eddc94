/**
 * Timers that fire when told to, in the order of their times, each at exactly its time on a FakeClock. Between two
 * of them the event loop turns, so that promises and finished socket work are seen before the next one fires.
 */
import { FakeClock } from '../../src/base/clock.ts';
import type { Cancel, Timers } from '../../src/base/system-timers.ts';

interface Entry {
  readonly dueMs: number;
  readonly order: number;
  readonly run: () => void;
}

export class FakeTimers implements Timers {
  readonly clock: FakeClock;
  readonly #entries = new Set<Entry>();
  #order = 0;

  constructor(clock = new FakeClock()) {
    this.clock = clock;
  }

  after(ms: number, run: () => void): Cancel {
    const entry = { dueMs: this.clock.monotonicMs() + Math.max(0, ms), order: this.#order++, run };
    this.#entries.add(entry);
    return () => this.#entries.delete(entry);
  }

  get pending(): number {
    return this.#entries.size;
  }

  /** How far the next timer is, or undefined when there is none. */
  get nextInMs(): number | undefined {
    const next = this.#next();
    return next === undefined ? undefined : next.dueMs - this.clock.monotonicMs();
  }

  /** Moves on by `ms`, firing what becomes due on the way. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.clock.monotonicMs() + ms;
    await turn();
    for (let next = this.#next(); next !== undefined && next.dueMs <= untilMs; next = this.#next()) {
      this.clock.advance(Math.max(0, next.dueMs - this.clock.monotonicMs()));
      this.#entries.delete(next);
      next.run();
      await turn();
    }
    this.clock.advance(Math.max(0, untilMs - this.clock.monotonicMs()));
    await turn();
  }

  #next(): Entry | undefined {
    let next: Entry | undefined;
    for (const entry of this.#entries) {
      if (next === undefined || entry.dueMs < next.dueMs || (entry.dueMs === next.dueMs && entry.order < next.order)) {
        next = entry;
      }
    }
    return next;
  }
}

/** One whole turn of the event loop, so that settled promises have run their reactions. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
