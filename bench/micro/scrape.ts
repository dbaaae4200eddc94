/**
 * Writing all metrics of a gateway with many routes that were asked, in each format: the whole, and the longest that
 * the main thread does nothing else.
 */
import { createMetricsBuffer, MetricsBank } from '../../src/base/metrics.ts';
import { MetricsReader } from '../../src/base/metrics-reader.ts';
import { inSlices } from '../../src/base/slices.ts';
import type { Exposition } from '../../src/control/telemetry/exposition.ts';
import { expose, type MetricsSources } from '../../src/control/telemetry/prometheus.ts';
import { ProtobufExposition } from '../../src/control/telemetry/protobuf-exposition.ts';
import { TextExposition } from '../../src/control/telemetry/text-exposition.ts';
import type { Snapshot } from '../../src/data/contract/snapshot.ts';
import { median } from '../lib/statistics.ts';
import type { Row } from './row.ts';

const SCRAPES = 30;
const WORKERS = 2;
const MAKERS: Readonly<Record<string, () => Exposition>> = {
  text: () => new TextExposition('prometheus'),
  OpenMetrics: () => new TextExposition('openmetrics'),
  protobuf: () => new ProtobufExposition(),
};

export async function run(): Promise<Row[]> {
  const rows: Row[] = [];
  for (const routes of [550, 10_000])
    for (const [name, make] of Object.entries(MAKERS)) rows.push(...(await scrapes(name, make, routes)));
  return rows;
}

async function scrapes(name: string, make: () => Exposition, routes: number): Promise<Row[]> {
  const sources = sourcesOf(routes);
  const whole: number[] = [];
  const held: number[] = [];
  for (let i = 0; i < SCRAPES; i++) {
    const out = make();
    let longest = 0;
    let last = performance.now();
    let isOver = false;
    const watch = (): void => {
      const now = performance.now();
      longest = Math.max(longest, now - last);
      last = now;
      if (!isOver) setImmediate(watch);
    };
    setImmediate(watch);
    const begun = performance.now();
    await inSlices(expose(out, sources, { native: name === 'protobuf' }));
    whole.push(performance.now() - begun);
    isOver = true;
    await new Promise((done) => setImmediate(done));
    held.push(longest);
  }
  // Compiling is over after the first few.
  const steady = (values: readonly number[]): number[] => values.slice(5);
  return [
    { name: `${name}, ${routes} routes`, value: median(steady(whole)), quiet: Math.min(...steady(whole)), unit: 'ms' },
    {
      name: `${name}, ${routes} routes, held`,
      value: median(steady(held)),
      quiet: Math.min(...steady(held)),
      unit: 'ms',
    },
  ];
}

function sourcesOf(routes: number): MetricsSources {
  const buffer = createMetricsBuffer({ workers: WORKERS, routes: routes + 1, instances: 2 });
  for (let worker = 0; worker < WORKERS; worker++) {
    const bank = new MetricsBank(buffer, worker);
    for (let slot = 1; slot <= routes; slot++)
      for (let i = 0; i < 20; i++) bank.route(slot, i === 0 ? 500 : 200, 0.0002 * 1.5 ** i, 10, 1_000);
  }
  return {
    reader: new MetricsReader(buffer),
    snapshot: {
      version: 1,
      services: [],
      routes: Array.from({ length: routes }, (_, i) => ({ id: `orders-${i}`, slot: i + 1 })),
    } as unknown as Snapshot,
    services: [],
    workersListening: WORKERS,
    workerRestarts: 0,
    unhandledRejections: { main: 0, worker: 0 },
    logLinesDropped: 0,
    uptimeSeconds: 1,
    residentBytes: 1,
    dependencies: [],
    wallMs: 1,
    extra: () => [],
    exemplars: () => undefined,
  };
}
