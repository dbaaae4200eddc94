/** The last recorded trace of each bucket of each route, for the exemplars of the metrics. Bounded by the routes. */
import type { ExemplarRecord } from '../../data/contract/tracing.ts';
import type { Exemplar, Exemplars } from '../telemetry/exposition.ts';

const MOST_ROUTES = 10_000;

export class ExemplarKeeper {
  readonly #byRoute = new Map<string, (Exemplar | undefined)[]>();

  add([routeId, bucket, traceId, value, wallMs]: ExemplarRecord): void {
    let buckets = this.#byRoute.get(routeId);
    if (buckets === undefined) {
      if (this.#byRoute.size >= MOST_ROUTES) return;
      buckets = [];
      this.#byRoute.set(routeId, buckets);
    }
    buckets[bucket] = { traceId, value, wallMs };
  }

  of(routeId: string): Exemplars | undefined {
    return this.#byRoute.get(routeId);
  }
}
