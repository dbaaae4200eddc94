/**
 * Counting one exchange in shared memory: durations spread as those of a gateway are, from 50 us to 2 s, and always the
 * same one.
 */
import { createMetricsBuffer, MetricsBank } from '../../src/base/metrics.ts';
import { measure } from './measure.ts';
import type { Row } from './row.ts';

const DURATIONS = 1_024;

export function run(): Row[] {
  const bank = new MetricsBank(createMetricsBuffer({ workers: 1, routes: 64, instances: 64 }), 0);
  // The logarithm is spread evenly; the order is a fixed shuffle, so that no branch is foretold.
  const spread = Float64Array.from(
    { length: DURATIONS },
    (_, i) => 0.00005 * 40_000 ** (((i * 389) % DURATIONS) / DURATIONS),
  );
  const short = Float64Array.from({ length: DURATIONS }, (_, i) => 0.0003 + ((i * 389) % DURATIONS) / 1e6);
  return [
    counting('count an exchange, 50 us to 2 s', bank, spread),
    counting('count an exchange, 0.3 to 1.3 ms', bank, short),
  ];
}

function counting(name: string, bank: MetricsBank, durations: Float64Array): Row {
  return measure(name, (rounds) => {
    for (let i = 0; i < rounds; i++) bank.route(i & 31, 200, durations[i & (DURATIONS - 1)]!, 0, 1_024);
    return rounds;
  });
}
