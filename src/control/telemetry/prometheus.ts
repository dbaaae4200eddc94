/**
 * The metrics for who scrapes them, from the counts that workers keep in shared memory. Labels are route ids, instance
 * ids, statuses and fault reasons: all bounded by the configuration. The `api_gateway_*` names are those of the
 * Enhanced document. Written in steps, so that many series keep no other work of the main thread waiting.
 */
import { CELLS, classicBuckets, LATENCY_BUCKETS } from '../../base/duration-cells.ts';
import { FAULT_REASONS } from '../../base/errors.ts';
import type { ExtraMetric, HistogramMetric } from '../../base/extra-metric.ts';
import { GAUGES, PROCESS_NUMBERS } from '../../base/metrics-layout.ts';
import type { MetricsReader, StatusCounts, TrafficSum } from '../../base/metrics-reader.ts';
import { atOnce, mapSteps, type Steps } from '../../base/slices.ts';
import type { InstanceState, ServiceState } from '../../data/contract/service-state.ts';
import { CONNECTION_ENDS, SERVICE_COUNTERS } from '../../data/contract/service-state.ts';
import type { Snapshot } from '../../data/contract/snapshot.ts';
import type { OwnFaults } from '../own-faults.ts';
import { CORE_METRICS, type CoreMetric, type ProcessMetric } from './catalogue.ts';
import type { Exemplars, Exposition, HistogramSample } from './exposition.ts';
import { LabelSet, NO_LABELS } from './label-set.ts';
import { TextExposition } from './text-exposition.ts';

export interface MetricsSources {
  readonly reader: MetricsReader;
  readonly snapshot: Snapshot;
  readonly services: readonly ServiceState[];
  readonly workersListening: number;
  readonly workerRestarts: number;
  readonly unhandledRejections: OwnFaults['rejections'];
  readonly logLinesDropped: number;
  readonly uptimeSeconds: number;
  readonly residentBytes: number;
  readonly dependencies: readonly { readonly name: string; readonly available: boolean }[];
  readonly wallMs: number;
  /** Metrics of parts that keep their own, such as limits and identity. Some begin anew when they are asked. */
  readonly extra: () => readonly (ExtraMetric | HistogramMetric)[];
  /** The last trace in each latency bucket of a route; undefined: none was recorded. */
  readonly exemplars: (routeId: string) => Exemplars | undefined;
}

interface RouteCounts {
  readonly id: string;
  readonly slot: number;
  readonly counts: StatusCounts;
}

/** Of what no route took, and of each route that was asked for. */
function* routeCounts({ reader, snapshot }: MetricsSources): Steps<RouteCounts[]> {
  const found: RouteCounts[] = [];
  for (const { id, slot } of [{ id: '', slot: 0 }, ...snapshot.routes]) {
    const counts = reader.route(slot);
    if (counts.total > 0) found.push({ id, slot, counts });
    yield;
  }
  return found;
}

export interface Totals {
  readonly requests: number;
  readonly errors: number;
  readonly averageMs: number;
  readonly errorRatio: number;
}

export function totals({ reader, snapshot }: Pick<MetricsSources, 'reader' | 'snapshot'>): Totals {
  const sum: TrafficSum = { requests: 0, errors: 0, seconds: 0 };
  reader.addRoute(0, sum);
  for (const { slot } of snapshot.routes) reader.addRoute(slot, sum);
  const { requests, errors, seconds } = sum;
  return {
    requests,
    errors,
    averageMs: requests === 0 ? 0 : (seconds * 1000) / requests,
    errorRatio: requests === 0 ? 0 : errors / requests,
  };
}

export interface Rendering {
  /** Native histograms beside the classic ones, where the format has them. */
  readonly native?: boolean;
}

/** Writes all metrics. */
export function* expose(
  out: Exposition,
  sources: MetricsSources,
  { native = false }: Rendering = {},
): Steps<readonly Buffer[]> {
  const routes: RouteSeries[] = [];
  for (const route of yield* routeCounts(sources)) routes.push({ ...route, labels: new LabelSet({ route: route.id }) });
  yield* requestFamilies(out, sources, routes, native);
  processFamilies(out, sources);
  yield* serviceFamilies(out, sources, native);
  yield* connectionFamilies(out, sources);
  yield* extraFamilies(out, sources.extra());
  documentFamilies(out, sources);
  return out.end();
}

function core(out: Exposition, name: CoreMetric): void {
  const { type, help } = CORE_METRICS[name];
  out.family(name, type, help);
}

function one(out: Exposition, name: CoreMetric, value: number): void {
  core(out, name);
  out.sample(NO_LABELS, value);
}

interface RouteSeries extends RouteCounts {
  readonly labels: LabelSet;
}

function* requestFamilies(
  out: Exposition,
  { reader, exemplars }: MetricsSources,
  routes: readonly RouteSeries[],
  native: boolean,
): Steps<void> {
  core(out, 'gatehouse_requests_total');
  for (const { labels, counts } of routes) {
    for (const [status, count] of counts.byStatus) out.sample(labels.and({ status }), count);
    yield;
  }
  core(out, 'gatehouse_request_duration_seconds');
  const cells = new Float64Array(CELLS);
  for (const { labels, counts, id, slot } of routes) {
    cells.fill(0);
    reader.addRouteCells(slot, cells);
    out.histogram(labels, durations(cells, counts, native, exemplars(id)));
    yield;
  }
  for (const [name, numberOf] of ROUTE_NUMBERS) {
    core(out, name);
    for (const { labels, counts } of routes) {
      out.sample(labels, numberOf(counts));
      yield;
    }
  }
  core(out, 'gatehouse_protocol_requests_total');
  for (const { labels, counts } of routes) {
    for (const [protocol, count] of byProtocol(counts)) out.sample(labels.and({ protocol }), count);
    yield;
  }
  core(out, 'gatehouse_grpc_calls_total');
  for (const { labels, counts } of routes) {
    for (const [code, count] of counts.calls) out.sample(labels.and({ code }), count);
    yield;
  }
  core(out, 'gatehouse_faults_total');
  for (const reason of FAULT_REASONS) {
    const count = reader.fault(reason);
    if (count > 0) out.sample(new LabelSet({ reason }), count);
  }
}

/** Names as in the access log. What nobody speaks has no series. */
function byProtocol({ total, http2 }: StatusCounts): (readonly [protocol: string, count: number])[] {
  return (
    [
      ['http/1.1', total - http2],
      ['h2', http2],
    ] as const
  ).filter(([, count]) => count > 0);
}

const ROUTE_NUMBERS: readonly (readonly [CoreMetric, (counts: StatusCounts) => number])[] = [
  ['gatehouse_request_bytes_total', ({ bytesIn }) => bytesIn],
  ['gatehouse_response_bytes_total', ({ bytesOut }) => bytesOut],
  ['gatehouse_requests_broken_total', ({ broken }) => broken],
];

function durations(
  cells: Float64Array,
  { sumSeconds }: StatusCounts,
  native: boolean,
  exemplars?: Exemplars,
): HistogramSample {
  const counts = classicBuckets(cells);
  return { bounds: LATENCY_BUCKETS, counts, sum: sumSeconds, exemplars, cells: native ? cells : undefined };
}

function* extraFamilies(out: Exposition, metrics: readonly (ExtraMetric | HistogramMetric)[]): Steps<void> {
  for (const metric of metrics) {
    out.family(metric.name, metric.type, metric.help);
    if (metric.type === 'histogram')
      for (const sample of metric.samples) {
        out.histogram(new LabelSet(sample.labels), sample);
        yield;
      }
    else
      for (const { labels, value } of metric.samples) {
        out.sample(new LabelSet(labels), value);
        yield;
      }
  }
}

/** Only these, for a part that runs as a process of its own. */
export function extraText(metrics: readonly (ExtraMetric | HistogramMetric)[]): string {
  const out = new TextExposition('prometheus');
  atOnce(extraFamilies(out, metrics));
  return Buffer.concat(out.end()).toString();
}

function processFamilies(out: Exposition, sources: MetricsSources): void {
  for (const name of PROCESS_NUMBERS) {
    const isGauge = (GAUGES as readonly string[]).includes(name);
    // One or the other, as the type has it.
    const full = (isGauge ? `gatehouse_${name}` : `gatehouse_${name}_total`) as ProcessMetric;
    one(out, full, sources.reader.number(name));
  }
  one(out, 'gatehouse_workers_listening', sources.workersListening);
  one(out, 'gatehouse_worker_restarts_total', sources.workerRestarts);
  core(out, 'gatehouse_unhandled_rejections_total');
  for (const [thread, count] of Object.entries(sources.unhandledRejections))
    out.sample(new LabelSet({ thread }), count);
  one(out, 'gatehouse_process_log_dropped_total', sources.logLinesDropped);
  one(out, 'gatehouse_configuration_version', sources.snapshot.version);
  core(out, 'gatehouse_dependency_available');
  for (const { name, available } of sources.dependencies)
    out.sample(new LabelSet({ dependency: name }), available ? 1 : 0);
  one(out, 'gatehouse_time_seconds', sources.wallMs / 1_000);
  one(out, 'gatehouse_uptime_seconds', sources.uptimeSeconds);
  one(out, 'process_resident_memory_bytes', sources.residentBytes);
}

interface InstanceSeries {
  readonly state: InstanceState;
  readonly labels: LabelSet;
  readonly slot: number;
  readonly counts: StatusCounts;
}

function* instanceSeries({ reader, services, snapshot }: MetricsSources): Steps<InstanceSeries[]> {
  const slots = new Map(
    snapshot.services.flatMap((service) => service.instances.map((instance) => [instance.id, instance.slot] as const)),
  );
  const found: InstanceSeries[] = [];
  for (const service of services)
    for (const state of service.instances) {
      const slot = slots.get(state.id) ?? 0;
      const labels = new LabelSet({ service: service.name, instance: state.url });
      found.push({ state, labels, slot, counts: reader.instance(slot) });
      yield;
    }
  return found;
}

function* serviceFamilies(out: Exposition, sources: MetricsSources, native: boolean): Steps<void> {
  const { reader, services } = sources;
  const instances = yield* instanceSeries(sources);
  core(out, 'gatehouse_upstream_requests_total');
  for (const { labels, counts } of instances) {
    for (const [status, count] of counts.byStatus) out.sample(labels.and({ status }), count);
    yield;
  }
  core(out, 'gatehouse_upstream_protocol_requests_total');
  for (const { labels, counts } of instances) {
    for (const [protocol, count] of byProtocol(counts)) out.sample(labels.and({ protocol }), count);
    yield;
  }
  core(out, 'gatehouse_upstream_duration_seconds');
  const cells = new Float64Array(CELLS);
  for (const { labels, counts, slot } of instances) {
    if (counts.total === 0) continue;
    cells.fill(0);
    reader.addInstanceCells(slot, cells);
    out.histogram(labels, durations(cells, counts, native));
    yield;
  }
  for (const [name, numberOf] of INSTANCE_NUMBERS) {
    core(out, name);
    for (const { state, labels, counts } of instances) {
      const value = numberOf(state, counts);
      if (value !== null) out.sample(labels, value);
      yield;
    }
  }
  core(out, 'gatehouse_breaker_open');
  for (const { name, breaker } of services)
    if (breaker !== null) out.sample(new LabelSet({ service: name }), BREAKER_VALUE[breaker.state]);
  core(out, 'gatehouse_service_events_total');
  for (const { name, counters } of services)
    for (const event of SERVICE_COUNTERS) {
      out.sample(new LabelSet({ service: name, event }), counters[event]);
      yield;
    }
}

function* connectionFamilies(out: Exposition, { services }: MetricsSources): Steps<void> {
  core(out, 'gatehouse_upstream_connections_closed_total');
  for (const { name, connections } of services) {
    for (const reason of CONNECTION_ENDS) out.sample(new LabelSet({ service: name, reason }), connections[reason]);
    yield;
  }
  core(out, 'gatehouse_upstream_pings_sent_total');
  for (const { name, connections } of services) out.sample(new LabelSet({ service: name }), connections.pingsSent);
  core(out, 'gatehouse_upstream_pings_unanswered_total');
  for (const { name, connections } of services)
    out.sample(new LabelSet({ service: name }), connections.pingsUnanswered);
}

const BREAKER_VALUE = { closed: 0, 'half-open': 0.5, open: 1 } as const;

/** Null: no sample. */
const INSTANCE_NUMBERS: readonly (readonly [
  CoreMetric,
  (state: InstanceState, counts: StatusCounts) => number | null,
])[] = [
  ['gatehouse_upstream_faults_total', (_, { faults }) => faults],
  ['gatehouse_upstream_healthy', ({ usable }) => (usable ? 1 : 0)],
  ['gatehouse_upstream_in_flight', ({ inFlight }) => inFlight],
  ['gatehouse_upstream_ejected', ({ ejected }) => (ejected ? 1 : 0)],
  ['gatehouse_upstream_ejections_total', ({ ejections }) => ejections],
  ['gatehouse_upstream_breaker_open', ({ breaker }) => (breaker === null ? null : BREAKER_VALUE[breaker.state])],
];

/** The names that the Enhanced document's dashboard asks for. */
function documentFamilies(out: Exposition, sources: MetricsSources): void {
  const { requests, errors, averageMs, errorRatio } = totals(sources);
  one(out, 'api_gateway_requests_total', requests);
  one(out, 'api_gateway_errors_total', errors);
  one(out, 'api_gateway_active_connections', sources.reader.number('connections_active'));
  one(out, 'api_gateway_response_time_ms', averageMs);
  one(out, 'api_gateway_error_rate', errorRatio);
  core(out, 'api_gateway_service_health');
  for (const service of sources.services)
    for (const instance of service.instances)
      out.sample(new LabelSet({ service: service.name, instance: instance.url }), instance.usable ? 1 : 0);
}

/** The same as JSON, for monitoring that reads that. */
export function* exposeJson(sources: MetricsSources): Steps<string> {
  const { requests, errors, averageMs, errorRatio } = totals(sources);
  const { reader } = sources;
  const routes = yield* mapSteps(yield* routeCounts(sources), ({ id, counts }) =>
    JSON.stringify({
      route: id,
      requests: counts.total,
      byStatus: Object.fromEntries(counts.byStatus),
      ...(counts.calls.size === 0 ? {} : { grpcCalls: Object.fromEntries(counts.calls) }),
      averageMs: (counts.sumSeconds * 1000) / counts.total,
    }),
  );
  const others = JSON.stringify({
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
    serviceHealth: Object.fromEntries(
      sources.services.map((service) => [
        service.name,
        {
          breaker: service.breaker?.state ?? null,
          instances: service.instances.map(({ url, usable, inFlight }) => ({ url, healthy: usable, inFlight })),
        },
      ]),
    ),
    extra: Object.fromEntries(sources.extra().map((extra) => [extra.name, extra.samples])),
  });
  return `${others.slice(0, -1)},"routes":[${routes.join()}]}`;
}
