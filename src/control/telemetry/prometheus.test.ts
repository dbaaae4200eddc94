import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createMetricsBuffer, MetricsBank } from '../../base/metrics.ts';
import { MetricsReader } from '../../base/metrics-reader.ts';
import { atOnce } from '../../base/slices.ts';
import { createInstanceTable, InstanceTable } from '../../data/contract/instance-table.ts';
import { readServiceState } from '../../data/contract/service-state.ts';
import type { ServiceSettings, Snapshot } from '../../data/contract/snapshot.ts';
import type { MetricsSources } from './prometheus.ts';
import { expose } from './prometheus.ts';
import { TextExposition } from './text-exposition.ts';

const instance = (slot: number) => ({ id: `s@127.0.0.1:${slot}`, slot, url: `http://127.0.0.1:${slot}`, weight: 1 });

/** Two services of two instances each, all of which have answered and failed. */
function sources(): MetricsSources {
  const buffer = createMetricsBuffer({ workers: 1, routes: 4, instances: 8 });
  const bank = new MetricsBank(buffer, 0);
  for (const slot of [1, 2, 3, 4]) {
    bank.instance(slot, 200, 0.01);
    bank.instance(slot, 0, 0);
  }
  const breaker = { rollingWindowMs: 10_000, rollingBuckets: 10, resetTimeoutMs: 1_000, scope: 'both' };
  const services = [1, 2].map((slot) => ({
    name: `s${slot}`,
    slot,
    instances: [instance(slot * 2 - 1), instance(slot * 2)].map((each) => ({ ...each, zone: null, healthy: true })),
    balancer: { algorithm: 'round-robin', options: {} },
    resilience: { breaker },
  })) as unknown as ServiceSettings[];
  const table = new InstanceTable(createInstanceTable());
  return {
    reader: new MetricsReader(buffer),
    snapshot: { version: 1, routes: [], services } as unknown as Snapshot,
    services: services.map((service) => readServiceState(table, service)),
    workersListening: 1,
    workerRestarts: 0,
    unhandledRejections: { main: 0, worker: 0 },
    logLinesDropped: 0,
    uptimeSeconds: 1,
    residentBytes: 1,
    extra: () => [],
    dependencies: [],
    wallMs: 1_000,
    exemplars: () => undefined,
  };
}

const prometheusText = (of: MetricsSources): string =>
  Buffer.concat(atOnce(expose(new TextExposition('prometheus'), of))).toString();

it('keeps all samples of a name together, behind its help and type (exposition format 0.0.4)', () => {
  const families: string[] = [];
  for (const line of prometheusText(sources()).trimEnd().split('\n')) {
    const name = line.startsWith('#')
      ? line.split(' ')[2]!
      : line.split(/[ {]/)[0]!.replace(/(?<=_seconds)_(bucket|sum|count)$/, '');
    if (families.at(-1) !== name) families.push(name);
  }
  const seen = families.filter((name, i) => families.indexOf(name) !== i);
  assert.deepEqual(seen, []);
});

it('says of each instance what it answered, whether it takes traffic, is ejected, and how its breaker stands', () => {
  const text = prometheusText(sources());
  for (const [service, port] of [
    ['s1', 1],
    ['s1', 2],
    ['s2', 3],
    ['s2', 4],
  ] as const) {
    const labels = `service="${service}",instance="http://127.0.0.1:${port}"`;
    for (const sample of [
      `gatehouse_upstream_requests_total{${labels},status="200"} 1`,
      `gatehouse_upstream_faults_total{${labels}} 1`,
      `gatehouse_upstream_healthy{${labels}} 1`,
      `gatehouse_upstream_in_flight{${labels}} 0`,
      `gatehouse_upstream_ejected{${labels}} 0`,
      `gatehouse_upstream_ejections_total{${labels}} 0`,
      `gatehouse_upstream_breaker_open{${labels}} 0`,
    ])
      assert.ok(text.includes(`\n${sample}\n`), sample);
  }
});
