/**
 * What came through this process so far, in a few numbers: for heartbeats of the cluster and the gate of its rollouts.
 */

import { CELLS, classicBuckets } from '../base/duration-cells.ts';
import type { MetricsReader, TrafficSum } from '../base/metrics-reader.ts';
import type { Snapshot } from '../data/contract/snapshot.ts';

export interface ProcessTraffic {
  /** On routes to services; what the gateway answers itself is not counted. */
  readonly requests: number;
  /** Of those, with a status of 500 or more, or failed after another head. */
  readonly faults: number;
  /** Counts by `LATENCY_BUCKETS`, and one above. */
  readonly buckets: readonly number[];
  readonly workerRestarts: number;
  readonly inFlight: number;
}

export function processTraffic(reader: MetricsReader, snapshot: Snapshot, workerRestarts: number): ProcessTraffic {
  const sum: TrafficSum = { requests: 0, errors: 0, seconds: 0 };
  const cells = new Float64Array(CELLS);
  for (const { slot, id } of snapshot.routes) {
    if (id.startsWith('builtin:')) continue;
    if (reader.addRoute(slot, sum)) reader.addRouteCells(slot, cells);
  }
  return {
    requests: sum.requests,
    faults: sum.errors,
    buckets: classicBuckets(cells),
    workerRestarts,
    inFlight: reader.number('exchanges_active'),
  };
}
