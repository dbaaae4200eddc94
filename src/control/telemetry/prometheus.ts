/**
 * The metrics as Prometheus text (exposition format 0.0.4) and as JSON, from the counts that workers keep in shared
 * memory. Labels are route ids, instance ids, statuses and fault reasons: all bounded by the configuration. The
 * `api_gateway_*` names are those of the Enhanced document.
 */
import { FAULT_REASONS } from '../../base/errors.ts';
import type { ExtraMetric, HistogramMetric } from '../../base/extra-metric.ts';
import type { MetricsReader, StatusCounts } from '../../base/metrics.ts';
import { GAUGES, LATENCY_BUCKETS, PROCESS_NUMBERS } from '../../base/metrics.ts';
import type { InstanceState, ServiceState } from '../../data/contract/service-state.ts';
import { SERVICE_COUNTERS } from '../../data/contract/service-state.ts';
import type { Snapshot } from '../../data/contract/snapshot.ts';
import type { CoreMetric, ProcessMetric } from './catalogue.ts';
import { type Exemplar, Exposition, type Format } from './exposition.ts';

export interface MetricsSources {
  readonly reader: MetricsReader;
  readonly snapshot: Snapshot;
  readonly services: readonly ServiceState[];
  readonly workersListening: number;
  readonly workerRestarts: number;
  readonly uptimeSeconds: number;
  readonly residentBytes: number;
  readonly dependencies: readonly { readonly name: string; readonly available: boolean }[];
  readonly wallMs: number;
  /** Counters and gauges of parts that keep their own, such as limits and identity. */
  readonly extra: readonly (ExtraMetric | HistogramMetric)[];
  /** A trace whose duration fell into a bucket of a route, if there is one. */
  readonly exemplar: (routeId: string, bucket: number) => Exemplar | undefined;
}

interface RouteCounts {
  readonly id: string;
  readonly counts: StatusCounts;
}

function routeCounts({ reader, snapshot }: MetricsSources): RouteCounts[] {
  const routes = snapshot.routes.map((route) => ({ id: route.id, counts: reader.route(route.slot) }));
  return [{ id: '', counts: reader.route(0) }, ...routes].filter(({ counts }) => counts.total > 0);
}

export interface Totals {
  readonly requests: number;
  readonly errors: number;
  readonly averageMs: number;
  readonly errorRatio: number;
}

export function totals(sources: MetricsSources): Totals {
  let requests = 0;
  let errors = 0;
  let seconds = 0;
  for (const { counts } of routeCounts(sources)) {
    requests += counts.total;
    seconds += counts.sumSeconds;
    for (const [status, count] of counts.byStatus) if (status.startsWith('5')) errors += count;
  }
  return {
    requests,
    errors,
    averageMs: requests === 0 ? 0 : (seconds * 1000) / requests,
    errorRatio: requests === 0 ? 0 : errors / requests,
  };
}

export function prometheusText(sources: MetricsSources, format: Format = 'prometheus'): string {
  const text = new Exposition(format);
  const routes = routeCounts(sources);
  text.core('gatehouse_requests_total');
  for (const { id, counts } of routes)
    for (const [status, count] of counts.byStatus)
      text.sample('gatehouse_requests_total', { route: id, status }, count);
  text.core('gatehouse_request_duration_seconds');
  for (const { id, counts } of routes)
    text.histogram(
      'gatehouse_request_duration_seconds',
      { route: id },
      LATENCY_BUCKETS,
      counts.buckets,
      counts.sumSeconds,
      (bucket) => sources.exemplar(id, bucket),
    );
  text.core('gatehouse_request_bytes_total');
  for (const { id, counts } of routes) text.sample('gatehouse_request_bytes_total', { route: id }, counts.bytesIn);
  text.core('gatehouse_response_bytes_total');
  for (const { id, counts } of routes) text.sample('gatehouse_response_bytes_total', { route: id }, counts.bytesOut);
  text.core('gatehouse_requests_broken_total');
  for (const { id, counts } of routes) text.sample('gatehouse_requests_broken_total', { route: id }, counts.broken);
  text.core('gatehouse_faults_total');
  for (const reason of FAULT_REASONS) {
    const count = sources.reader.fault(reason);
    if (count > 0) text.sample('gatehouse_faults_total', { reason }, count);
  }
  processFamilies(text, sources);
  serviceFamilies(text, sources);
  text.extra(sources.extra);
  documentFamilies(text, sources);
  return text.toString();
}

/** Only these, for a part that runs as a process of its own. */
export function extraText(metrics: readonly (ExtraMetric | HistogramMetric)[]): string {
  const text = new Exposition('prometheus');
  text.extra(metrics);
  return text.toString();
}

function processFamilies(text: Exposition, sources: MetricsSources): void {
  for (const name of PROCESS_NUMBERS) {
    const isGauge = (GAUGES as readonly string[]).includes(name);
    // One or the other, as the type has it.
    const full = (isGauge ? `gatehouse_${name}` : `gatehouse_${name}_total`) as ProcessMetric;
    text.core(full);
    text.sample(full, {}, sources.reader.number(name));
  }
  text.core('gatehouse_workers_listening');
  text.sample('gatehouse_workers_listening', {}, sources.workersListening);
  text.core('gatehouse_worker_restarts_total');
  text.sample('gatehouse_worker_restarts_total', {}, sources.workerRestarts);
  text.core('gatehouse_configuration_version');
  text.sample('gatehouse_configuration_version', {}, sources.snapshot.version);
  text.core('gatehouse_dependency_available');
  for (const { name, available } of sources.dependencies)
    text.sample('gatehouse_dependency_available', { dependency: name }, available ? 1 : 0);
  text.core('gatehouse_time_seconds');
  text.sample('gatehouse_time_seconds', {}, sources.wallMs / 1_000);
  text.core('gatehouse_uptime_seconds');
  text.sample('gatehouse_uptime_seconds', {}, sources.uptimeSeconds);
  text.core('process_resident_memory_bytes');
  text.sample('process_resident_memory_bytes', {}, sources.residentBytes);
}

function serviceFamilies(text: Exposition, { reader, services, snapshot }: MetricsSources): void {
  const slots = new Map(
    snapshot.services.flatMap((service) => service.instances.map((instance) => [instance.id, instance.slot] as const)),
  );
  const instances = services.flatMap((service) =>
    service.instances.map((state) => ({
      state,
      labels: { service: service.name, instance: state.url },
      counts: reader.instance(slots.get(state.id) ?? 0),
    })),
  );
  /** One family at a time: the format wants all samples of a name together. Null: no sample. */
  const each = (name: CoreMetric, value: (state: InstanceState, counts: StatusCounts) => number | null): void => {
    text.core(name);
    for (const { state, labels, counts } of instances) {
      const number = value(state, counts);
      if (number !== null) text.sample(name, labels, number);
    }
  };
  text.core('gatehouse_upstream_requests_total');
  for (const { labels, counts } of instances)
    for (const [status, count] of counts.byStatus)
      text.sample('gatehouse_upstream_requests_total', { ...labels, status }, count);
  each('gatehouse_upstream_faults_total', (_, { faults }) => faults);
  text.core('gatehouse_upstream_duration_seconds');
  for (const { labels, counts } of instances)
    if (counts.total > 0)
      text.histogram('gatehouse_upstream_duration_seconds', labels, LATENCY_BUCKETS, counts.buckets, counts.sumSeconds);
  each('gatehouse_upstream_healthy', ({ usable }) => (usable ? 1 : 0));
  each('gatehouse_upstream_in_flight', ({ inFlight }) => inFlight);
  each('gatehouse_upstream_ejected', ({ ejected }) => (ejected ? 1 : 0));
  each('gatehouse_upstream_ejections_total', ({ ejections }) => ejections);
  each('gatehouse_upstream_breaker_open', ({ breaker }) => (breaker === null ? null : BREAKER_VALUE[breaker.state]));
  text.core('gatehouse_breaker_open');
  for (const { name, breaker } of services)
    if (breaker !== null) text.sample('gatehouse_breaker_open', { service: name }, BREAKER_VALUE[breaker.state]);
  text.core('gatehouse_service_events_total');
  for (const { name, counters } of services)
    for (const event of SERVICE_COUNTERS)
      text.sample('gatehouse_service_events_total', { service: name, event }, counters[event]);
}

const BREAKER_VALUE = { closed: 0, 'half-open': 0.5, open: 1 } as const;

/** The names that the Enhanced document's dashboard asks for. */
function documentFamilies(text: Exposition, sources: MetricsSources): void {
  const { requests, errors, averageMs, errorRatio } = totals(sources);
  text.core('api_gateway_requests_total');
  text.sample('api_gateway_requests_total', {}, requests);
  text.core('api_gateway_errors_total');
  text.sample('api_gateway_errors_total', {}, errors);
  text.core('api_gateway_active_connections');
  text.sample('api_gateway_active_connections', {}, sources.reader.number('connections_active'));
  text.core('api_gateway_response_time_ms');
  text.sample('api_gateway_response_time_ms', {}, averageMs);
  text.core('api_gateway_error_rate');
  text.sample('api_gateway_error_rate', {}, errorRatio);
  text.core('api_gateway_service_health');
  for (const service of sources.services) {
    for (const instance of service.instances)
      text.sample(
        'api_gateway_service_health',
        { service: service.name, instance: instance.url },
        instance.usable ? 1 : 0,
      );
  }
}

/** The same as JSON, for monitoring that reads that. */
export function metricsJson(sources: MetricsSources): unknown {
  const { requests, errors, averageMs, errorRatio } = totals(sources);
  const { reader } = sources;
  return {
    requests,
    errors,
    activeConnections: reader.number('connections_active'),
    responseTime: averageMs,
    errorRate: errorRatio * 100,
    uptime: sources.uptimeSeconds,
    memory: { residentBytes: sources.residentBytes },
    workers: { listening: sources.workersListening, restarts: sources.workerRestarts },
    configurationVersion: sources.snapshot.version,
    counters: Object.fromEntries(PROCESS_NUMBERS.map((name) => [name, reader.number(name)])),
    faults: Object.fromEntries(
      FAULT_REASONS.map((reason) => [reason, reader.fault(reason)] as const).filter(([, count]) => count > 0),
    ),
    routes: routeCounts(sources).map(({ id, counts }) => ({
      route: id,
      requests: counts.total,
      byStatus: Object.fromEntries(counts.byStatus),
      averageMs: counts.total === 0 ? 0 : (counts.sumSeconds * 1000) / counts.total,
    })),
    serviceHealth: Object.fromEntries(
      sources.services.map((service) => [
        service.name,
        {
          breaker: service.breaker?.state ?? null,
          instances: service.instances.map(({ url, usable, inFlight }) => ({ url, healthy: usable, inFlight })),
        },
      ]),
    ),
    extra: Object.fromEntries(sources.extra.map((extra) => [extra.name, extra.samples])),
  };
}
