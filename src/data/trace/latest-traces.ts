/**
 * The last recorded trace of each route and bucket of latency since the last time that control got them: what its
 * exemplars are made of.
 */
import { LATENCY_BUCKETS } from '../../base/duration-cells.ts';
import type { ExemplarRecord } from '../contract/tracing.ts';
import type { ExchangeTrace } from './exchange-trace.ts';

interface Latest {
  readonly routeId: string;
  readonly bucket: number;
  trace: ExchangeTrace | null;
  elapsedMs: number;
  wallMs: number;
}

/** By bucket. */
type OfRoute = (Latest | undefined)[];

export class LatestTraces {
  readonly #byRoute = new Map<string, OfRoute>();
  #changed: Latest[] = [];
  /** Of the route that was noted last. */
  #lastId: string | null = null;
  #last: OfRoute = [];

  note(routeId: string, trace: ExchangeTrace, elapsedMs: number, wallMs: number): void {
    const buckets = routeId === this.#lastId ? this.#last : this.#of(routeId);
    const seconds = elapsedMs / 1_000;
    let bucket = 0;
    while (bucket < LATENCY_BUCKETS.length && seconds > LATENCY_BUCKETS[bucket]!) bucket++;
    let latest = buckets[bucket];
    if (latest === undefined) {
      latest = { routeId, bucket, trace: null, elapsedMs: 0, wallMs: 0 };
      buckets[bucket] = latest;
    }
    if (latest.trace === null) this.#changed.push(latest);
    latest.trace = trace;
    latest.elapsedMs = elapsedMs;
    latest.wallMs = wallMs;
  }

  #of(routeId: string): OfRoute {
    const known = this.#byRoute.get(routeId) ?? [];
    this.#byRoute.set(routeId, known);
    this.#lastId = routeId;
    this.#last = known;
    return known;
  }

  /** Those that changed. */
  take(): ExemplarRecord[] {
    const records = this.#changed.map(({ routeId, bucket, trace, elapsedMs, wallMs }): ExemplarRecord => {
      return [routeId, bucket, trace!.traceId, elapsedMs / 1_000, wallMs];
    });
    for (const each of this.#changed) each.trace = null;
    this.#changed = [];
    // Routes of former configurations are not kept.
    if (this.#byRoute.size > MOST_ROUTES) {
      this.#byRoute.clear();
      this.#lastId = null;
    }
    return records;
  }
}

const MOST_ROUTES = 10_000;
