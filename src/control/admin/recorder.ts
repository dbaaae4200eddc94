/**
 * Traffic of the last ten minutes, one point every two seconds: what the console draws. Made from the counts in shared
 * memory by difference, in the main thread, and only while the admin API is served; workers notice nothing of it.
 */
import { CELLS, classicBuckets, LATENCY_BUCKETS } from '../../base/duration-cells.ts';
import type { TrafficSum } from '../../base/metrics-reader.ts';
import type { OperatorHost } from '../feature.ts';

export const SAMPLE_MS = 2_000;
const MOST_POINTS = 300;

export interface Point {
  /** Unix time in seconds. */
  readonly at: number;
  readonly requestsPerSecond: number;
  readonly errorsPerSecond: number;
  /** Null where nothing was answered. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly inFlight: number;
  readonly connections: number;
  readonly tunnels: number;
  readonly residentBytes: number;
  /** Of all threads, in processors. */
  readonly processors: number;
}

interface Sums {
  readonly atMs: number;
  readonly requests: number;
  readonly errors: number;
  readonly buckets: readonly number[];
  readonly cpuMicros: number;
}

export class Recorder {
  readonly #host: OperatorHost;
  readonly #listeners = new Set<(point: Point) => void>();
  #points: Point[] = [];
  #before: Sums;
  #timer: NodeJS.Timeout | null;

  constructor(host: OperatorHost) {
    this.#host = host;
    this.#before = this.#sums();
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS);
    this.#timer.unref();
  }

  points(): readonly Point[] {
    return this.#points;
  }

  follow(listener: (point: Point) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  #sample(): void {
    const now = this.#sums();
    const before = this.#before;
    this.#before = now;
    const seconds = Math.max(0.001, (now.atMs - before.atMs) / 1_000);
    // A route that a reload took away takes its counts along.
    const rate = (value: number, was: number): number => Math.max(0, value - was) / seconds;
    const buckets = now.buckets.map((count, index) => Math.max(0, count - (before.buckets[index] ?? 0)));
    const { metrics } = this.#host;
    const point: Point = {
      at: Math.round(Date.now() / 1_000),
      requestsPerSecond: rounded(rate(now.requests, before.requests)),
      errorsPerSecond: rounded(rate(now.errors, before.errors)),
      p50Ms: quantileMs(buckets, 0.5),
      p99Ms: quantileMs(buckets, 0.99),
      inFlight: metrics.number('exchanges_active'),
      connections: metrics.number('connections_active'),
      tunnels: metrics.number('tunnels_active'),
      residentBytes: process.memoryUsage.rss(),
      processors: rounded((now.cpuMicros - before.cpuMicros) / 1e6 / seconds),
    };
    this.#points.push(point);
    if (this.#points.length > MOST_POINTS) this.#points.shift();
    for (const listener of this.#listeners) listener(point);
  }

  #sums(): Sums {
    const cells = new Float64Array(CELLS);
    const sum: TrafficSum = { requests: 0, errors: 0, seconds: 0 };
    const { metrics } = this.#host;
    const slots = new Set([0, ...this.#host.configuration.snapshot.routes.map(({ slot }) => slot)]);
    for (const slot of slots) {
      if (metrics.addRoute(slot, sum)) metrics.addRouteCells(slot, cells);
    }
    const { user, system } = process.cpuUsage();
    const { requests, errors } = sum;
    return { atMs: performance.now(), requests, errors, buckets: classicBuckets(cells), cpuMicros: user + system };
  }
}

/** From a histogram, linear inside a bucket; the last bucket counts as its lower bound. Null for none. */
export function quantileMs(buckets: readonly number[], quantile: number): number | null {
  const total = buckets.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  let left = quantile * total;
  for (const [index, count] of buckets.entries()) {
    const low = (index === 0 ? 0 : LATENCY_BUCKETS[index - 1]!) * 1_000;
    const high = (LATENCY_BUCKETS[index] ?? LATENCY_BUCKETS.at(-1)!) * 1_000;
    if (left <= count) return rounded(count === 0 ? low : low + ((high - low) * left) / count);
    left -= count;
  }
  return LATENCY_BUCKETS.at(-1)! * 1_000;
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
