/**
 * How available is the API while nodes are killed? Asks the gateways for common calls without a pause and counts; for
 * `npm run aware:availability` and, shorter, for the test.
 */
export interface Availability {
  readonly calls: number;
  readonly good: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

export interface Measured {
  readonly urls: readonly string[];
  readonly key: string;
  readonly callers: number;
  /** Ends it. */
  readonly signal: AbortSignal;
}

const PATHS = ['/api/v1/cluster', '/api/v1/nodes', '/api/v1/cluster/tasks?limit=10'];
const PAUSE_MS = 20;

/** A call is good when one of the gateways answers 200: a client that knows two of them tries the other one once. */
export async function measure({ urls, key, callers, signal }: Measured): Promise<Availability> {
  const times: number[] = [];
  let [calls, good] = [0, 0];
  const caller = async (first: number): Promise<void> => {
    for (let n = first; !signal.aborted; n++) {
      const startedMs = performance.now();
      const path = PATHS[n % PATHS.length];
      let isGood = false;
      for (let tried = 0; tried < urls.length && !isGood; tried++) {
        const response = await fetch(`${urls[(n + tried) % urls.length]}${path}`, {
          headers: { 'x-api-key': key },
          signal: AbortSignal.timeout(5_000),
        }).catch(() => null);
        await response?.arrayBuffer().catch(() => {});
        isGood = response?.status === 200;
      }
      calls++;
      if (isGood) good++;
      times.push(performance.now() - startedMs);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  };
  await Promise.all(Array.from({ length: callers }, (_, i) => caller(i)));
  times.sort((a, b) => a - b);
  const at = (share: number): number => Number((times[Math.floor(times.length * share)] ?? 0).toFixed(1));
  return { calls, good, p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}
