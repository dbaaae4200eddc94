/** How a thread is: how late it gets to its work, and its memory. Workers tell it, the main thread measures itself. */
import type { monitorEventLoopDelay } from 'node:perf_hooks';

export const PULSE_TOPIC = 'worker:pulse';
export const PULSE_EVERY_MS = 5_000;
/** How often the delay is measured; what is shorter is not seen. */
export const RESOLUTION_MS = 20;

export interface Pulse {
  /** `main`, or the index of the worker. */
  readonly thread: string;
  /** Seconds. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly heapBytes: number;
  readonly externalBytes: number;
}

export function pulseOf(
  thread: string,
  delays: Pick<ReturnType<typeof monitorEventLoopDelay>, 'percentile' | 'max' | 'count'>,
): Pulse {
  // The monitor measures from timer to timer, so its own interval is in what it gives.
  const late = (nanoseconds: number): number =>
    delays.count === 0 ? 0 : Math.max(0, nanoseconds / 1e9 - RESOLUTION_MS / 1_000);
  const { heapUsed, external } = process.memoryUsage();
  return {
    thread,
    p50: late(delays.percentile(50)),
    p99: late(delays.percentile(99)),
    max: late(delays.max),
    heapBytes: heapUsed,
    externalBytes: external,
  };
}
