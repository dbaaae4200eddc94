/** The last recorded trace of each bucket of each route, for the exemplars of the metrics. Bounded by the routes. */
import { LATENCY_BUCKETS } from '../../base/duration-cells.ts';
import type { TraceRecord } from '../../data/contract/tracing.ts';
import type { Exemplar, Exemplars } from '../telemetry/exposition.ts';

const MOST_ROUTES = 10_000;

export class ExemplarKeeper {
  readonly #byRoute = new Map<string, (Exemplar | undefined)[]>();

  add(record: TraceRecord): void {
    const [traceId, , , , , startWallMs, durationMs, , , , , , routeId] = record;
    let buckets = this.#byRoute.get(routeId);
    if (buckets === undefined) {
      if (this.#byRoute.size >= MOST_ROUTES) return;
      buckets = [];
      this.#byRoute.set(routeId, buckets);
    }
    const value = durationMs / 1_000;
    const bucket = LATENCY_BUCKETS.findIndex((bound) => value <= bound);
    buckets[bucket < 0 ? LATENCY_BUCKETS.length : bucket] = { traceId, value, wallMs: startWallMs + durationMs };
  }

  of(routeId: string): Exemplars | undefined {
    return this.#byRoute.get(routeId);
  }
}
