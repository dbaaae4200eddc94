/**
 * Every metric: name, type, unit, labels and help, by area in `catalogue`. The one source for what `/metrics` says of a
 * metric that the core counts, for docs/reference/metrics.md, and for the names in dashboards and alerts. Features
 * bring type and help of their own metrics with the samples; a test compares them with this list.
 */
import type { GAUGES, ProcessNumber } from '../../base/metrics-layout.ts';
import { CACHE_METRICS } from './catalogue/cache.ts';
import { CLUSTER_METRICS } from './catalogue/cluster.ts';
import { CONNECTION_METRICS } from './catalogue/connections.ts';
import type { MetricDefinition } from './catalogue/definition.ts';
import { DISCOVERY_METRICS } from './catalogue/discovery.ts';
import { EVENT_METRICS } from './catalogue/events.ts';
import { LIMIT_METRICS } from './catalogue/limits.ts';
import { POLICY_METRICS } from './catalogue/policies.ts';
import { PROCESS_METRICS } from './catalogue/process.ts';
import { REQUEST_METRICS } from './catalogue/requests.ts';
import { SECURITY_METRICS } from './catalogue/security.ts';
import { SERVICE_METRICS } from './catalogue/services.ts';
import { SIGHT_METRICS } from './catalogue/sight.ts';

export type { MetricDefinition } from './catalogue/definition.ts';

type Gauge = (typeof GAUGES)[number];
/** Under which the numbers of the workers are shown: one that is not described does not compile. */
export type ProcessMetric = `gatehouse_${Gauge}` | `gatehouse_${Exclude<ProcessNumber, Gauge>}_total`;

/** Written by prometheus.ts from the counts of the workers. */
export const CORE_METRICS = {
  ...REQUEST_METRICS,
  ...CONNECTION_METRICS,
  ...SERVICE_METRICS,
  ...PROCESS_METRICS,
} as const satisfies Readonly<Record<ProcessMetric, MetricDefinition>> & Readonly<Record<string, MetricDefinition>>;

/** Written by features while they are in use. */
export const FEATURE_METRICS = {
  ...LIMIT_METRICS,
  ...CACHE_METRICS,
  ...EVENT_METRICS,
  ...CLUSTER_METRICS,
  ...SECURITY_METRICS,
  ...DISCOVERY_METRICS,
  ...SIGHT_METRICS,
  ...POLICY_METRICS,
} as const satisfies Readonly<Record<string, MetricDefinition>>;

export const METRICS: Readonly<Record<string, MetricDefinition>> = { ...CORE_METRICS, ...FEATURE_METRICS };
export type CoreMetric = keyof typeof CORE_METRICS;
export type MetricName = CoreMetric | keyof typeof FEATURE_METRICS;

/** A name for a query: a misspelt one does not compile. */
export function metric(name: MetricName): MetricName {
  return name;
}
