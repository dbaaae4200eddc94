/**
 * The end of a burst of load, the same for both bundled generators: after its seconds it stops, unless not one answer
 * has come yet. A busy machine may need longer for the first one, and "slow" must not be reported as "wrong".
 */
import type { Latencies } from './latency.ts';
import type { LoadResult } from './load.ts';

const longestMs = 10_000;
const pollMs = 50;

export interface Burst {
  /** Set when it is over: what still comes does not count. */
  stopped: boolean;
  completed: number;
  errors: number;
}

/** Prints the result and ends the process when the time has come. */
export function endInTime(plan: { readonly seconds: number }, burst: Burst, latencies: Latencies): void {
  const startedAt = performance.now();
  const end = () => {
    const elapsedMs = performance.now() - startedAt;
    if (burst.completed === 0 && burst.errors === 0 && elapsedMs < longestMs) {
      setTimeout(end, pollMs);
      return;
    }
    burst.stopped = true;
    const result: LoadResult = {
      requests: burst.completed,
      errors: burst.errors,
      seconds: elapsedMs / 1000,
      p50Ms: latencies.quantileMs(0.5),
      p99Ms: latencies.quantileMs(0.99),
    };
    process.stdout.write(JSON.stringify(result), () => process.exit(0));
  };
  setTimeout(end, plan.seconds * 1000);
}
