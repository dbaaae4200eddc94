/**
 * Times one synchronous operation in batches, for the micro benchmarks of this folder. It warms up until the code is
 * compiled, then reports the median batch and the best one. It does not subtract the cost of an empty loop (under a
 * nanosecond per round): compare rows with rows, not with a wall clock.
 */
import { median } from '../lib/statistics.ts';
import type { Row } from './row.ts';

export interface MeasureOptions {
  /** Wall time for all timed batches together, in milliseconds. Default 400. */
  readonly totalMs?: number;
  /** Number of timed batches. Default 21. */
  readonly batches?: number;
  readonly atMost?: number;
  readonly note?: string;
}

/** Where results go so that the compiler cannot drop the work. */
export let sink = 0;

/**
 * `operation(rounds)` must do the work `rounds` times in a loop of its own and return a number that depends on it.
 * The result is in nanoseconds per round.
 */
export function measure(name: string, operation: (rounds: number) => number, options: MeasureOptions = {}): Row {
  const batches = options.batches ?? 21;
  const batchNs = ((options.totalMs ?? 400) / batches) * 1e6;
  const rounds = calibrate(operation, batchNs);
  const readings: number[] = [];
  for (let batch = 0; batch < batches; batch++) readings.push(time(operation, rounds) / rounds);
  return {
    name,
    value: median(readings),
    quiet: Math.min(...readings),
    unit: 'ns/op',
    ...(options.atMost === undefined ? {} : { atMost: options.atMost }),
    ...(options.note === undefined ? {} : { note: options.note }),
  };
}

/** Doubles the rounds until one batch is long enough; this is also what warms the code up. */
function calibrate(operation: (rounds: number) => number, batchNs: number): number {
  let rounds = 16;
  for (;;) {
    const ns = time(operation, rounds);
    if (ns >= batchNs || rounds >= 1e9) return rounds;
    rounds =
      ns * 8 < batchNs ? rounds * 4 : Math.max(rounds + 1, Math.ceil((rounds * batchNs * 1.05) / Math.max(ns, 1)));
  }
}

function time(operation: (rounds: number) => number, rounds: number): number {
  const start = process.hrtime.bigint();
  sink = (sink + operation(rounds)) % 1e9;
  return Number(process.hrtime.bigint() - start);
}
