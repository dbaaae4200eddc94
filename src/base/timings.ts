/**
 * How long something outside takes (a database, a key set, an introspection), as histograms by a bounded label. For the
 * main thread; workers count in shared memory.
 */
import type { HistogramMetric } from './extra-metric.ts';

/** Seconds. */
export const TIMING_BOUNDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;
/** Values of a label beyond these are counted as one. */
const MOST_LABELS = 100;

/** Index into counts of one more than the bounds. */
export function timingBucket(seconds: number): number {
  let bucket = 0;
  while (bucket < TIMING_BOUNDS.length && seconds > TIMING_BOUNDS[bucket]!) bucket++;
  return bucket;
}

interface Distribution {
  readonly counts: number[];
  sum: number;
}

export class Timings {
  readonly #name: string;
  readonly #help: string;
  readonly #label: string;
  readonly #byLabel = new Map<string, Distribution>();

  constructor(name: string, help: string, label: string) {
    this.#name = name;
    this.#help = help;
    this.#label = label;
  }

  add(label: string, seconds: number): void {
    const found = this.#of(label);
    found.counts[timingBucket(seconds)]!++;
    found.sum += seconds;
  }

  #of(label: string): Distribution {
    const key = this.#byLabel.has(label) || this.#byLabel.size < MOST_LABELS ? label : 'other';
    let found = this.#byLabel.get(key);
    if (found === undefined) {
      found = { counts: new Array<number>(TIMING_BOUNDS.length + 1).fill(0), sum: 0 };
      this.#byLabel.set(key, found);
    }
    return found;
  }

  /** What another thread counted, by the buckets of `timingBucket`. */
  merge(label: string, counts: readonly number[], sum: number): void {
    const found = this.#of(label);
    for (const [bucket, count] of counts.entries()) found.counts[bucket]! += count;
    found.sum += sum;
  }

  /** Measures a promise, whatever becomes of it. */
  async of<T>(label: string, promised: Promise<T>): Promise<T> {
    const begunMs = performance.now();
    try {
      return await promised;
    } finally {
      this.add(label, (performance.now() - begunMs) / 1_000);
    }
  }

  metric(): HistogramMetric {
    return {
      name: this.#name,
      type: 'histogram',
      help: this.#help,
      samples: [...this.#byLabel].map(([value, { counts, sum }]) => ({
        labels: { [this.#label]: value },
        bounds: TIMING_BOUNDS,
        counts: [...counts],
        sum,
      })),
    };
  }
}
