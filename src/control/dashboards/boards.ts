/**
 * The dashboards, as what is asked and how it is shown; grafana.ts makes files of them. Names of metrics are the
 * catalogue's.
 */
import { type MetricName, metric } from '../telemetry/catalogue.ts';

export interface Panel {
  readonly title: string;
  readonly kind: 'timeseries' | 'stat' | 'table';
  /** As Grafana names it. */
  readonly unit: 'reqps' | 's' | 'bytes' | 'percentunit' | 'short' | 'Bps' | 'dtdurations';
  readonly queries: readonly { readonly expr: string; readonly legend: string }[];
}

export interface Board {
  readonly id: string;
  readonly title: string;
  /** Names of variables, and the metric whose label gives their values. */
  readonly variables: Readonly<Record<string, MetricName>>;
  readonly panels: readonly Panel[];
}

const RATE = '[$__rate_interval]';

function rate(name: MetricName, by: string, where = ''): string {
  return `sum${by === '' ? '' : ` by (${by})`} (rate(${metric(name)}${where}${RATE}))`;
}

function quantile(share: number, name: MetricName, by: string, where = ''): string {
  return `histogram_quantile(${share}, sum by (le${by === '' ? '' : `, ${by}`}) (rate(${metric(name)}_bucket${where}${RATE})))`;
}

const panel = (title: string, unit: Panel['unit'], ...queries: [expr: string, legend: string][]): Panel => ({
  title,
  kind: 'timeseries',
  unit,
  queries: queries.map(([expr, legend]) => ({ expr, legend })),
});
const stat = (title: string, unit: Panel['unit'], expr: string): Panel => ({
  title,
  kind: 'stat',
  unit,
  queries: [{ expr, legend: '' }],
});

const quantiles = (title: string, name: MetricName, where = ''): Panel =>
  panel(
    title,
    's',
    ...[0.5, 0.95, 0.99].map((share): [string, string] => [quantile(share, name, '', where), `${share * 100} %`]),
  );

const OF_SERVICE = '{service=~"$service"}';
const OF_ROUTE = '{route=~"$route"}';

export const BOARDS: readonly Board[] = [
  {
    id: 'overview',
    title: 'Gatehouse: overview',
    variables: {},
    panels: [
      stat('Requests a second', 'reqps', rate('gatehouse_requests_total', '')),
      stat(
        'Share of 5xx',
        'percentunit',
        `(${rate('gatehouse_requests_total', '', '{status=~"5.."}')} or vector(0)) / ${rate('gatehouse_requests_total', '')}`,
      ),
      stat('Least error budget left', 'percentunit', `min(${metric('gatehouse_objective_budget_remaining_ratio')})`),
      stat('Gateways', 'short', `count(${metric('gatehouse_uptime_seconds')})`),
      panel('Requests by status', 'reqps', [rate('gatehouse_requests_total', 'status'), '{{status}}']),
      quantiles('Time of responses', 'gatehouse_request_duration_seconds'),
      panel('Faults by reason', 'reqps', [rate('gatehouse_faults_total', 'reason'), '{{reason}}']),
      panel('Burn rate of error budgets, one hour', 'short', [
        `max by (objective, kind) (${metric('gatehouse_objective_burn_rate')}{window="1h"})`,
        '{{objective}} {{kind}}',
      ]),
      panel(
        'Requests and connections open',
        'short',
        [`sum(${metric('gatehouse_exchanges_active')})`, 'requests'],
        [`sum(${metric('gatehouse_connections_active')})`, 'connections'],
        [`sum(${metric('gatehouse_tunnels_active')})`, 'tunnels'],
      ),
      panel(
        'Bytes of bodies',
        'Bps',
        [rate('gatehouse_bytes_received_total', ''), 'in'],
        [rate('gatehouse_bytes_sent_total', ''), 'out'],
      ),
      panel('Lateness of threads, 99 %', 's', [
        `max by (instance, thread) (${metric('gatehouse_event_loop_delay_seconds')}{statistic="p99"})`,
        '{{instance}} {{thread}}',
      ]),
      panel(
        'Memory',
        'bytes',
        [`sum by (instance) (${metric('process_resident_memory_bytes')})`, '{{instance}} resident'],
        [`sum by (instance, thread) (${metric('gatehouse_thread_heap_bytes')})`, '{{instance}} heap of {{thread}}'],
      ),
      panel('What the gateway leans on', 'short', [
        `min by (dependency) (${metric('gatehouse_dependency_available')})`,
        '{{dependency}}',
      ]),
      panel('Certificates: time left', 'dtdurations', [
        `min by (name, source) (${metric('gatehouse_certificate_expiry_timestamp_seconds')}) - time()`,
        '{{name}} {{source}}',
      ]),
      panel('Configuration', 'short', [
        `max by (instance) (${metric('gatehouse_configuration_version')})`,
        '{{instance}}',
      ]),
    ],
  },
  {
    id: 'service',
    title: 'Gatehouse: services',
    variables: { service: 'gatehouse_upstream_healthy' },
    panels: [
      panel('Attempts by status', 'reqps', [
        rate('gatehouse_upstream_requests_total', 'service, status', OF_SERVICE),
        '{{service}} {{status}}',
      ]),
      panel('Attempts without a response', 'reqps', [
        rate('gatehouse_upstream_faults_total', 'service, instance', OF_SERVICE),
        '{{service}} {{instance}}',
      ]),
      quantiles('Time to the head of the response', 'gatehouse_upstream_duration_seconds', OF_SERVICE),
      panel('Slowest instances, 95 %', 's', [
        `topk(10, ${quantile(0.95, 'gatehouse_upstream_duration_seconds', 'instance', OF_SERVICE)})`,
        '{{instance}}',
      ]),
      panel('Instances that take traffic', 'short', [
        `sum by (service) (${metric('gatehouse_upstream_healthy')}${OF_SERVICE})`,
        '{{service}}',
      ]),
      panel('In flight', 'short', [
        `sum by (service, instance) (${metric('gatehouse_upstream_in_flight')}${OF_SERVICE})`,
        '{{instance}}',
      ]),
      panel('Breakers', 'short', [
        `max by (service) (${metric('gatehouse_breaker_open')}${OF_SERVICE})`,
        '{{service}}',
      ]),
      panel('Retries, hedges, refusals', 'reqps', [
        `${rate('gatehouse_service_events_total', 'service, event', OF_SERVICE)} > 0`,
        '{{service}} {{event}}',
      ]),
      panel('Ejections', 'reqps', [
        rate('gatehouse_upstream_ejections_total', 'service, instance', OF_SERVICE),
        '{{instance}}',
      ]),
      panel('Probes', 'short', [
        `sum by (service, status) (${metric('gatehouse_health_instances')}${OF_SERVICE})`,
        '{{service}} {{status}}',
      ]),
    ],
  },
  {
    id: 'route',
    title: 'Gatehouse: routes',
    variables: { route: 'gatehouse_requests_total' },
    panels: [
      panel('Requests by route', 'reqps', [rate('gatehouse_requests_total', 'route', OF_ROUTE), '{{route}}']),
      panel('Requests by status', 'reqps', [rate('gatehouse_requests_total', 'status', OF_ROUTE), '{{status}}']),
      panel('5xx by route', 'reqps', [
        rate('gatehouse_requests_total', 'route', '{route=~"$route",status=~"5.."}'),
        '{{route}}',
      ]),
      quantiles('Time of responses', 'gatehouse_request_duration_seconds', OF_ROUTE),
      panel('Slowest routes, 95 %', 's', [
        `topk(10, ${quantile(0.95, 'gatehouse_request_duration_seconds', 'route', OF_ROUTE)})`,
        '{{route}}',
      ]),
      panel(
        'Bytes of bodies',
        'Bps',
        [rate('gatehouse_request_bytes_total', 'route', OF_ROUTE), '{{route}} in'],
        [rate('gatehouse_response_bytes_total', 'route', OF_ROUTE), '{{route}} out'],
      ),
      panel('Failed after their head', 'reqps', [
        rate('gatehouse_requests_broken_total', 'route', OF_ROUTE),
        '{{route}}',
      ]),
      panel('gRPC calls by status', 'reqps', [rate('gatehouse_grpc_calls_total', 'code', OF_ROUTE), '{{code}}']),
    ],
  },
  {
    id: 'identity',
    title: 'Gatehouse: identity',
    variables: {},
    panels: [
      panel('Security events', 'reqps', [rate('gatehouse_identity_events_total', 'action'), '{{action}}']),
      panel('Access tokens signed', 'reqps', [rate('gatehouse_identity_tokens_total', ''), 'tokens']),
      panel(
        'Password hashes',
        'short',
        [`sum(${metric('gatehouse_identity_hashes_running')})`, 'running'],
        [`sum(${metric('gatehouse_identity_hashes_queued')})`, 'waiting'],
      ),
      panel('Addresses refused', 'reqps', [rate('gatehouse_identity_address_refusals_total', ''), 'refused']),
      quantiles('Time of calls to the account API', 'gatehouse_identity_duration_seconds'),
      quantiles('Time of SQL queries', 'gatehouse_sql_duration_seconds'),
      panel('Outside services of authentication, 95 %', 's', [
        quantile(0.95, 'gatehouse_outside_duration_seconds', 'host'),
        '{{host}}',
      ]),
      panel(
        'Keys of issuers',
        'short',
        [`sum by (issuer) (${metric('gatehouse_issuer_keys')})`, '{{issuer}}'],
        [`max by (issuer) (${metric('gatehouse_issuer_fetch_failures')})`, '{{issuer}} failures'],
      ),
    ],
  },
  {
    id: 'limits',
    title: 'Gatehouse: limits',
    variables: {},
    panels: [
      panel('Decisions about rate limits', 'reqps', [rate('gatehouse_limit_decisions_total', 'result'), '{{result}}']),
      panel('By plan', 'reqps', [rate('gatehouse_limit_plan_decisions_total', 'plan, result'), '{{plan}} {{result}}']),
      panel(
        'Table',
        'short',
        [`sum by (state) (${metric('gatehouse_limit_table_cells')})`, '{{state}}'],
        [rate('gatehouse_limit_overflows_total', ''), 'overflows'],
      ),
      panel(
        'Redis',
        'reqps',
        [rate('gatehouse_limit_redis_questions_total', 'result'), '{{result}}'],
        [rate('gatehouse_limit_redis_fallbacks_total', ''), 'decided without'],
      ),
      quantiles('Time of questions to Redis', 'gatehouse_limit_redis_duration_seconds'),
      panel('Other questions to Redis, 95 %', 's', [
        quantile(0.95, 'gatehouse_redis_duration_seconds', 'use'),
        '{{use}}',
      ]),
      panel('Idempotency keys', 'reqps', [rate('gatehouse_idempotency_requests_total', 'result'), '{{result}}']),
      panel('Quotas used', 'percentunit', [
        `max by (quota, plan) (${metric('gatehouse_quota_utilisation_ratio')})`,
        '{{quota}} {{plan}}',
      ]),
      panel('Quota decisions', 'reqps', [rate('gatehouse_quota_decisions_total', 'result'), '{{result}}']),
      panel(
        'Bans',
        'short',
        [`sum(${metric('gatehouse_bans_active')})`, 'hold'],
        [rate('gatehouse_abuse_refusals_total', ''), 'refusals a second'],
      ),
      panel('Events against callers', 'reqps', [rate('gatehouse_abuse_events_total', 'event'), '{{event}}']),
    ],
  },
  {
    id: 'cache',
    title: 'Gatehouse: cache',
    variables: {},
    panels: [
      panel('Requests by result', 'reqps', [rate('gatehouse_cache_requests_total', 'result'), '{{result}}']),
      panel('Share answered from the cache', 'percentunit', [
        `${rate('gatehouse_cache_requests_total', 'route', '{result=~"hit|stale|revalidated|coalesced"}')} / ${rate('gatehouse_cache_requests_total', 'route')}`,
        '{{route}}',
      ]),
      panel('Not stored, by reason', 'reqps', [rate('gatehouse_cache_refusals_total', 'reason'), '{{reason}}']),
      panel(
        'Stored and evicted',
        'reqps',
        [rate('gatehouse_cache_stored_total', ''), 'stored'],
        [rate('gatehouse_cache_evictions_total', ''), 'evicted'],
      ),
      panel('Memory', 'bytes', [`sum by (state) (${metric('gatehouse_cache_memory_bytes')})`, '{{state}}']),
      panel('Objects', 'short', [`sum(${metric('gatehouse_cache_objects')})`, 'objects']),
      panel('Bytes from the cache', 'Bps', [rate('gatehouse_cache_sent_bytes_total', 'route'), '{{route}}']),
    ],
  },
  {
    id: 'protocol',
    title: 'Gatehouse: protocols',
    variables: {},
    panels: [
      panel(
        'Connections',
        'short',
        [`sum(${metric('gatehouse_connections_active')})`, 'open'],
        [`sum(${metric('gatehouse_http2_connections_active')})`, 'of them HTTP/2'],
      ),
      panel(
        'New connections',
        'reqps',
        [rate('gatehouse_connections_accepted_total', ''), 'accepted'],
        [rate('gatehouse_connections_refused_total', ''), 'refused'],
        [rate('gatehouse_tls_handshake_errors_total', ''), 'TLS failed'],
      ),
      panel('Requests by protocol', 'reqps', [rate('gatehouse_protocol_requests_total', 'protocol'), '{{protocol}}']),
      panel('Requests to services by protocol', 'reqps', [
        rate('gatehouse_upstream_protocol_requests_total', 'service, protocol'),
        '{{service}} {{protocol}}',
      ]),
      panel(
        'Connections to services',
        'reqps',
        [rate('gatehouse_upstream_connections_opened_total', ''), 'opened'],
        [rate('gatehouse_upstream_http2_connections_opened_total', ''), 'of them HTTP/2'],
        [rate('gatehouse_stale_reuses_total', ''), 'sent again'],
      ),
      panel('Connections to services that ended', 'reqps', [
        `${rate('gatehouse_upstream_connections_closed_total', 'service, reason')} > 0`,
        '{{service}} {{reason}}',
      ]),
      panel(
        'PINGs to services',
        'reqps',
        [rate('gatehouse_upstream_pings_sent_total', 'service'), '{{service}} sent'],
        [rate('gatehouse_upstream_pings_unanswered_total', 'service'), '{{service}} unanswered'],
      ),
      panel('Not HTTP', 'reqps', [rate('gatehouse_requests_refused_total', ''), 'refused']),
      panel(
        'HTTP/2 connections that cost too much',
        'reqps',
        [rate('gatehouse_http2_abuse_rapid_reset_total', ''), 'rapid reset'],
        [rate('gatehouse_http2_abuse_continuation_total', ''), 'continuation'],
        [rate('gatehouse_http2_abuse_settings_total', ''), 'settings'],
        [rate('gatehouse_http2_abuse_ping_total', ''), 'ping'],
      ),
      panel('Tunnels', 'short', [`sum(${metric('gatehouse_tunnels_active')})`, 'open']),
      panel('Clients that left', 'reqps', [rate('gatehouse_exchanges_aborted_total', ''), 'left']),
      panel(
        'Traces',
        'reqps',
        [rate('gatehouse_trace_spans_exported_total', ''), 'exported'],
        [rate('gatehouse_trace_spans_failed_total', ''), 'failed'],
        [rate('gatehouse_trace_spans_dropped_total', ''), 'dropped'],
      ),
    ],
  },
  {
    id: 'events',
    title: 'Gatehouse: events and real-time hub',
    variables: {},
    panels: [
      stat('Dead letters', 'short', `sum(max by (consumer) (${metric('gatehouse_events_dead_letters')}))`),
      stat('Most events behind', 'short', `max(${metric('gatehouse_events_consumer_lag')})`),
      stat('In the outbox', 'short', `max(${metric('gatehouse_events_outbox')})`),
      stat(
        'Engines away',
        'short',
        `count(min by (engine) (${metric('gatehouse_events_engine_up')}) == 0) or vector(0)`,
      ),
      panel('Published', 'reqps', [
        rate('gatehouse_events_published_total', 'stream, outcome'),
        '{{stream}} {{outcome}}',
      ]),
      panel(
        'To subscribers',
        'reqps',
        [rate('gatehouse_events_received_total', 'stream'), '{{stream}} from the engine'],
        [rate('gatehouse_events_sent_total', ''), 'sent'],
        [rate('gatehouse_events_gaps_total', ''), 'gaps'],
      ),
      panel('Subscribers', 'short', [`sum by (stream) (${metric('gatehouse_events_subscribers')})`, '{{stream}}']),
      quantiles('Time of handing events to all readers', 'gatehouse_events_fan_out_seconds'),
      panel('Deliveries', 'reqps', [
        rate('gatehouse_events_deliveries_total', 'consumer, outcome'),
        '{{consumer}} {{outcome}}',
      ]),
      panel(
        'Delivered again, dead, missed',
        'reqps',
        [rate('gatehouse_events_redelivered_total', 'consumer'), '{{consumer}} again'],
        [rate('gatehouse_events_dead_total', 'consumer'), '{{consumer}} dead'],
        [rate('gatehouse_events_consumer_gaps_total', 'consumer'), '{{consumer}} missed'],
      ),
      panel('Events behind', 'short', [
        `max by (consumer) (${metric('gatehouse_events_consumer_lag')})`,
        '{{consumer}}',
      ]),
      panel('Taken and not delivered yet', 'short', [
        `max by (consumer) (${metric('gatehouse_events_consumer_pending')})`,
        '{{consumer}}',
      ]),
      panel(
        'Hub',
        'short',
        [`sum(${metric('gatehouse_hub_connections')})`, 'clients'],
        [`sum(${metric('gatehouse_hub_subscriptions')})`, 'topics'],
      ),
      panel(
        'Messages of the hub',
        'reqps',
        [rate('gatehouse_hub_published_total', ''), 'published'],
        [rate('gatehouse_hub_sent_total', ''), 'sent'],
        [rate('gatehouse_hub_gaps_total', ''), 'gaps'],
        [rate('gatehouse_hub_refused_total', ''), 'clients refused'],
      ),
    ],
  },
];
