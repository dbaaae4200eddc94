/**
 * Timers as a value that is handed in, so that health, discovery and leases are tested without waiting. One method:
 * run this once, after so long. The real ones never keep the process alive. The per-connection deadlines of the data
 * plane have a wheel of their own (base/timers.ts); these are for some thousands of slow repetitions.
 */
import { systemClock } from './clock.ts';

/** Forgets a timer; harmless when it has fired. */
export type Cancel = () => void;

export interface Timers {
  /** Runs `run` once, `ms` from now or later. */
  after(ms: number, run: () => void): Cancel;
}

/** What Node's timers hold; a longer delay would fire at once. */
const MAX_DELAY_MS = 2_147_483_647;

export const systemTimers: Timers = {
  after(ms, run) {
    const dueMs = systemClock.monotonicMs() + ms;
    let timer: NodeJS.Timeout;
    // Node rounds down and may fire a fraction early, which would make "after 2 s" false to a program that compares
    // clocks.
    const arm = (): void => {
      const leftMs = dueMs - systemClock.monotonicMs();
      timer = setTimeout(
        () => (systemClock.monotonicMs() < dueMs ? arm() : run()),
        Math.min(Math.max(leftMs, 0), MAX_DELAY_MS),
      );
      timer.unref();
    };
    arm();
    return () => clearTimeout(timer);
  },
};

/**
 * Runs it each `ms`, the first time `ms` from now; where one is late, so are those after it. With the system's timers
 * Node repeats it: what code of users did to `Math` or a clock for a moment ends no repetition.
 */
export function every(ms: number, run: () => void, timers: Timers = systemTimers): Cancel {
  if (timers === systemTimers) {
    const timer = setInterval(run, ms).unref();
    return () => clearInterval(timer);
  }
  let cancel: Cancel;
  const arm = (): void => {
    cancel = timers.after(ms, () => {
      arm();
      run();
    });
  };
  arm();
  return () => cancel();
}

/** Resolves `ms` from now or later. */
export function pause(ms: number, timers: Timers = systemTimers): Promise<void> {
  return new Promise((resolve) => void timers.after(ms, resolve));
}

/** `ms` spread evenly over plus and minus `ratio` of it; `random` gives [0, 1). */
export function jittered(ms: number, ratio: number, random: () => number): number {
  return ms * (1 + ratio * (2 * random() - 1));
}

/** Exponential back-off with full jitter over its upper half: `base`, twice, four times ... up to `max`. */
export function backoffMs(attempt: number, baseMs: number, maxMs: number, random: () => number): number {
  const ceiling = Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 30));
  return ceiling / 2 + (random() * ceiling) / 2;
}
