/**
 * What came through this process so far, in a few numbers: for heartbeats of the cluster and the gate of its rollouts.
 */
import type { MetricsReader } from '../base/metrics.ts';
import { LATENCY_BUCKETS } from '../base/metrics.ts';
import type { Snapshot } from '../data/contract/snapshot.ts';

export interface ProcessTraffic {
  /** On routes to services; what the gateway answers itself is not counted. */
  readonly requests: number;
  /** Of those, with a status of 500 or more. */
  readonly faults: number;
  /** Counts by `LATENCY_BUCKETS`, and one above. */
  readonly buckets: readonly number[];
  readonly workerRestarts: number;
  readonly inFlight: number;
}

export function processTraffic(reader: MetricsReader, snapshot: Snapshot, workerRestarts: number): ProcessTraffic {
  let requests = 0;
  let faults = 0;
  const buckets = Array.from({ length: LATENCY_BUCKETS.length + 1 }, () => 0);
  for (const { slot, id } of snapshot.routes) {
    if (id.startsWith('builtin:')) continue;
    const counts = reader.route(slot);
    requests += counts.total;
    for (const [status, count] of counts.byStatus) if (status.startsWith('5')) faults += count;
    for (const [i, count] of counts.buckets.entries()) buckets[i] = (buckets[i] ?? 0) + count;
  }
  return { requests, faults, buckets, workerRestarts, inFlight: reader.number('exchanges_active') };
}
