/**
 * The metrics as Prometheus text (exposition format 0.0.4) and as JSON, from the counts that workers keep in shared
 * memory. Labels are route ids, instance ids, statuses and fault reasons: all bounded by the configuration. The
 * `api_gateway_*` names are those of the Enhanced document.
 */
import { FAULT_REASONS } from '../../base/errors.ts';
import type { ExtraMetric } from '../../base/extra-metric.ts';
import type { MetricsReader, ProcessNumber, StatusCounts } from '../../base/metrics.ts';
import { GAUGES, LATENCY_BUCKETS, PROCESS_NUMBERS } from '../../base/metrics.ts';
import type { InstanceState, ServiceState } from '../../data/contract/service-state.ts';
import { SERVICE_COUNTERS } from '../../data/contract/service-state.ts';
import type { Snapshot } from '../../data/contract/snapshot.ts';

export interface MetricsSources {
  readonly reader: MetricsReader;
  readonly snapshot: Snapshot;
  readonly services: readonly ServiceState[];
  readonly workersListening: number;
  readonly workerRestarts: number;
  readonly uptimeSeconds: number;
  readonly residentBytes: number;
  /** Counters and gauges of parts that keep their own, such as limits and identity. */
  readonly extra: readonly ExtraMetric[];
}

const HELP: Readonly<Record<ProcessNumber, string>> = {
  aggregate_parts: 'Requests to services for parts of composed responses',
  aggregate_parts_failed: 'Parts of composed responses that could not be had',
  faults_injected: 'Requests made slow or failed on purpose (faultInjection)',
  handler_calls: 'Requests of handlers to services',
  compressed_responses: 'Responses that the gateway packed',
  compression_bytes_in: 'Bytes of responses before they were packed',
  compression_bytes_out: 'Bytes of responses after they were packed',
  transformed_bodies: 'Request and response bodies that transforms changed',
  unpacked_requests: 'Request bodies that the gateway unpacked',
  connections_accepted: 'Downstream connections accepted',
  connections_active: 'Downstream connections open now',
  address_connections_refused: 'Downstream connections refused because their address had as many as it may',
  address_waits: 'Requests that waited for a connection because their address held its share of the pool',
  address_bodies_cut: 'Slow request bodies ended because their address had more of them than it may',
  address_refused: 'Requests refused because their address held its share of a pool and of its queue',
  connections_refused: 'Downstream connections refused before a request was read',
  requests_refused: 'Requests that were not valid HTTP/1.1',
  tunnels_active: 'Upgraded connections (WebSocket) open now',
  tunnels_opened: 'Upgraded connections (WebSocket) opened',
  bytes_received: 'Request body bytes received',
  bytes_sent: 'Response body bytes sent',
  access_log_dropped: 'Access log lines dropped because the log could not be written fast enough',
  exchanges_active: 'Requests being handled now',
  exchanges_aborted: 'Requests whose caller went away before the answer was complete',
  retries: 'Further attempts after a failed one',
  hedges: 'Second attempts beside a slow first one',
  mirrored: 'Requests copied to a shadow service',
  mirror_dropped: 'Requests that should have been copied but were not',
  upstream_connections_opened: 'Connections opened to instances',
  stale_reuses: 'Requests sent again because an idle connection had been closed by the instance',
  tls_handshake_errors: 'TLS handshakes with callers that failed',
  http2_connections_active: 'Downstream HTTP/2 connections open now',
  http2_connections_accepted: 'Downstream connections that spoke HTTP/2',
  http2_requests: 'Requests that came by HTTP/2',
  http2_abuse_rapid_reset: 'HTTP/2 connections ended because of requests that were cancelled at once',
  http2_abuse_provoked_reset: 'HTTP/2 connections ended because of streams that had to be reset',
  http2_abuse_continuation: 'HTTP/2 connections ended because of field blocks in too many frames or too long',
  http2_abuse_empty_frame: 'HTTP/2 connections ended because of frames without content',
  http2_abuse_settings: 'HTTP/2 connections ended because of too many SETTINGS',
  http2_abuse_ping: 'HTTP/2 connections ended because of too many PINGs',
  http2_abuse_priority: 'HTTP/2 connections ended because of too many priority or unknown frames',
  http2_abuse_tiny_window: 'HTTP/2 connections ended because of windows of a few bytes',
  http2_abuse_field_block: 'HTTP/2 connections ended because of field blocks that unfold too far',
};

class Text {
  #text = '';

  family(name: string, type: 'counter' | 'gauge' | 'histogram', help: string): void {
    this.#text += `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
  }

  sample(name: string, labels: Readonly<Record<string, string>>, value: number): void {
    const parts = Object.entries(labels).map(([key, text]) => `${key}="${escapeLabel(text)}"`);
    this.#text += `${name}${parts.length === 0 ? '' : `{${parts.join(',')}}`} ${value}\n`;
  }

  histogram(name: string, labels: Readonly<Record<string, string>>, counts: StatusCounts): void {
    let below = 0;
    for (let i = 0; i <= LATENCY_BUCKETS.length; i++) {
      below += counts.buckets[i] ?? 0;
      this.sample(
        `${name}_bucket`,
        { ...labels, le: i < LATENCY_BUCKETS.length ? String(LATENCY_BUCKETS[i]) : '+Inf' },
        below,
      );
    }
    this.sample(`${name}_sum`, labels, counts.sumSeconds);
    this.sample(`${name}_count`, labels, below);
  }

  toString(): string {
    return this.#text;
  }
}

function escapeLabel(text: string): string {
  return text.replace(/[\\"\n]/g, (found) => (found === '\n' ? '\\n' : `\\${found}`));
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

export function prometheusText(sources: MetricsSources): string {
  const text = new Text();
  const routes = routeCounts(sources);
  text.family(
    'gatehouse_requests_total',
    'counter',
    'Requests answered, by route and status; route "" is what no route took, or one that a reload removed meanwhile',
  );
  for (const { id, counts } of routes)
    for (const [status, count] of counts.byStatus)
      text.sample('gatehouse_requests_total', { route: id, status }, count);
  text.family('gatehouse_request_duration_seconds', 'histogram', 'Time from the request head to the end of the answer');
  for (const { id, counts } of routes) text.histogram('gatehouse_request_duration_seconds', { route: id }, counts);
  text.family('gatehouse_request_bytes_total', 'counter', 'Request body bytes');
  for (const { id, counts } of routes) text.sample('gatehouse_request_bytes_total', { route: id }, counts.bytesIn);
  text.family('gatehouse_response_bytes_total', 'counter', 'Response body bytes');
  for (const { id, counts } of routes) text.sample('gatehouse_response_bytes_total', { route: id }, counts.bytesOut);
  text.family('gatehouse_faults_total', 'counter', 'Requests that ended in a fault, by reason (docs/errors.md)');
  for (const reason of FAULT_REASONS) {
    const count = sources.reader.fault(reason);
    if (count > 0) text.sample('gatehouse_faults_total', { reason }, count);
  }
  processFamilies(text, sources);
  serviceFamilies(text, sources);
  extraFamilies(text, sources.extra);
  documentFamilies(text, sources);
  return text.toString();
}

/** Only these, for a part that runs as a process of its own. */
export function extraText(metrics: readonly ExtraMetric[]): string {
  const text = new Text();
  extraFamilies(text, metrics);
  return text.toString();
}

function extraFamilies(text: Text, metrics: readonly ExtraMetric[]): void {
  for (const { name, type, help, samples } of metrics) {
    text.family(name, type, help);
    for (const { labels, value } of samples) text.sample(name, labels, value);
  }
}

function processFamilies(text: Text, sources: MetricsSources): void {
  for (const name of PROCESS_NUMBERS) {
    const isGauge = GAUGES.includes(name);
    const full = isGauge ? `gatehouse_${name}` : `gatehouse_${name}_total`;
    text.family(full, isGauge ? 'gauge' : 'counter', HELP[name]);
    text.sample(full, {}, sources.reader.number(name));
  }
  text.family('gatehouse_workers_listening', 'gauge', 'Worker threads that accept connections');
  text.sample('gatehouse_workers_listening', {}, sources.workersListening);
  text.family('gatehouse_worker_restarts_total', 'counter', 'Worker threads that ended and were replaced');
  text.sample('gatehouse_worker_restarts_total', {}, sources.workerRestarts);
  text.family('gatehouse_configuration_version', 'gauge', 'Version of the live configuration');
  text.sample('gatehouse_configuration_version', {}, sources.snapshot.version);
  text.family('gatehouse_uptime_seconds', 'gauge', 'Time since the process started');
  text.sample('gatehouse_uptime_seconds', {}, sources.uptimeSeconds);
  text.family('process_resident_memory_bytes', 'gauge', 'Resident memory of the process');
  text.sample('process_resident_memory_bytes', {}, sources.residentBytes);
}

function serviceFamilies(text: Text, { reader, services, snapshot }: MetricsSources): void {
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
  const each = (
    name: string,
    type: 'counter' | 'gauge',
    help: string,
    value: (state: InstanceState, counts: StatusCounts) => number | null,
  ): void => {
    text.family(name, type, help);
    for (const { state, labels, counts } of instances) {
      const number = value(state, counts);
      if (number !== null) text.sample(name, labels, number);
    }
  };
  text.family('gatehouse_upstream_requests_total', 'counter', 'Attempts answered, by service, instance and status');
  for (const { labels, counts } of instances)
    for (const [status, count] of counts.byStatus)
      text.sample('gatehouse_upstream_requests_total', { ...labels, status }, count);
  each(
    'gatehouse_upstream_faults_total',
    'counter',
    'Attempts that failed without an answer',
    (_, { faults }) => faults,
  );
  text.family(
    'gatehouse_upstream_duration_seconds',
    'histogram',
    'Time from the start of an attempt to the head of its answer',
  );
  for (const { labels, counts } of instances)
    if (counts.total > 0) text.histogram('gatehouse_upstream_duration_seconds', labels, counts);
  each('gatehouse_upstream_healthy', 'gauge', '1 when the instance takes traffic', ({ usable }) => (usable ? 1 : 0));
  each('gatehouse_upstream_in_flight', 'gauge', 'Requests in flight at the instance', ({ inFlight }) => inFlight);
  each('gatehouse_upstream_ejected', 'gauge', '1 while failures of the traffic keep the instance out', ({ ejected }) =>
    ejected ? 1 : 0,
  );
  each('gatehouse_upstream_ejections_total', 'counter', 'Ejections of the instance', ({ ejections }) => ejections);
  each(
    'gatehouse_upstream_breaker_open',
    'gauge',
    'Breaker of the instance: 0 closed, 0.5 half-open, 1 open',
    ({ breaker }) => (breaker === null ? null : BREAKER_VALUE[breaker.state]),
  );
  text.family('gatehouse_breaker_open', 'gauge', 'Breaker of the service: 0 closed, 0.5 half-open, 1 open');
  for (const { name, breaker } of services)
    if (breaker !== null) text.sample('gatehouse_breaker_open', { service: name }, BREAKER_VALUE[breaker.state]);
  text.family('gatehouse_service_events_total', 'counter', 'Retries, hedges, refusals and the like, by service');
  for (const { name, counters } of services)
    for (const event of SERVICE_COUNTERS)
      text.sample('gatehouse_service_events_total', { service: name, event }, counters[event]);
}

const BREAKER_VALUE = { closed: 0, 'half-open': 0.5, open: 1 } as const;

/** The names that the Enhanced document's dashboard asks for. */
function documentFamilies(text: Text, sources: MetricsSources): void {
  const { requests, errors, averageMs, errorRatio } = totals(sources);
  text.family('api_gateway_requests_total', 'counter', 'Requests processed');
  text.sample('api_gateway_requests_total', {}, requests);
  text.family('api_gateway_errors_total', 'counter', 'Requests answered with a 5xx status');
  text.sample('api_gateway_errors_total', {}, errors);
  text.family('api_gateway_active_connections', 'gauge', 'Downstream connections open now');
  text.sample('api_gateway_active_connections', {}, sources.reader.number('connections_active'));
  text.family('api_gateway_response_time_ms', 'gauge', 'Average response time in milliseconds');
  text.sample('api_gateway_response_time_ms', {}, averageMs);
  text.family('api_gateway_error_rate', 'gauge', 'Share of requests answered with a 5xx status');
  text.sample('api_gateway_error_rate', {}, errorRatio);
  text.family('api_gateway_service_health', 'gauge', '1 when the instance takes traffic');
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
