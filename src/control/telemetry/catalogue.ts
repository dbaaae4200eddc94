/**
 * Every metric: name, type, unit, labels and help. The one source for what `/metrics` says of a metric that the core
 * counts, for docs/reference/metrics.md, and for the names in dashboards and alerts. Features bring type and help of
 * their own metrics with the samples; a test compares them with this list.
 */

import type { GAUGES, ProcessNumber } from '../../base/metrics.ts';

export interface MetricDefinition {
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** As in the name; absent for numbers without one. */
  readonly unit?: 'seconds' | 'bytes' | 'ratio';
  readonly labels: readonly string[];
  /** Without a full stop. */
  readonly help: string;
}

type Gauge = (typeof GAUGES)[number];
/** Under which the numbers of the workers are shown: one that is not described does not compile. */
export type ProcessMetric = `gatehouse_${Gauge}` | `gatehouse_${Exclude<ProcessNumber, Gauge>}_total`;

/** Written by prometheus.ts from the counts of the workers. */
export const CORE_METRICS = {
  gatehouse_faults_injected_total: {
    type: 'counter',
    labels: [],
    help: 'Requests made slow or failed on purpose (faultInjection)',
  },
  gatehouse_handler_calls_total: { type: 'counter', labels: [], help: 'Requests of handlers to services' },
  gatehouse_address_connections_refused_total: {
    type: 'counter',
    labels: [],
    help: 'Downstream connections refused because their address had as many as it may',
  },
  gatehouse_address_waits_total: {
    type: 'counter',
    labels: [],
    help: 'Requests that waited for a connection because their address held its share of the pool',
  },
  gatehouse_address_bodies_cut_total: {
    type: 'counter',
    labels: [],
    help: 'Slow request bodies ended because their address had more of them than it may',
  },
  gatehouse_address_refused_total: {
    type: 'counter',
    labels: [],
    help: 'Requests refused because their address held its share of a pool and of its queue',
  },
  gatehouse_dependency_available: {
    type: 'gauge',
    labels: ['dependency'],
    help: '1 while something that the gateway leans on (a store, Redis, identity) can be used',
  },
  gatehouse_time_seconds: {
    type: 'gauge',
    unit: 'seconds',
    labels: [],
    help: 'Time of day of the process, since 1970',
  },
  api_gateway_active_connections: { type: 'gauge', labels: [], help: 'Downstream connections open now' },
  api_gateway_error_rate: { type: 'gauge', labels: [], help: 'Share of requests answered with a 5xx status' },
  api_gateway_errors_total: { type: 'counter', labels: [], help: 'Requests answered with a 5xx status' },
  api_gateway_requests_total: { type: 'counter', labels: [], help: 'Requests processed' },
  api_gateway_response_time_ms: { type: 'gauge', labels: [], help: 'Average response time in milliseconds' },
  api_gateway_service_health: {
    type: 'gauge',
    labels: ['service', 'instance'],
    help: '1 when the instance takes traffic',
  },
  gatehouse_access_log_dropped_total: {
    type: 'counter',
    labels: [],
    help: 'Access log lines that are not in the log, because it could not be written fast enough or at all',
  },
  gatehouse_aggregate_parts_failed_total: {
    type: 'counter',
    labels: [],
    help: 'Parts of composed responses that could not be had',
  },
  gatehouse_aggregate_parts_total: {
    type: 'counter',
    labels: [],
    help: 'Requests to services for parts of composed responses',
  },
  gatehouse_breaker_open: {
    type: 'gauge',
    labels: ['service'],
    help: 'Breaker of the service: 0 closed, 0.5 half-open, 1 open',
  },
  gatehouse_bytes_received_total: { type: 'counter', labels: [], help: 'Request body bytes received' },
  gatehouse_bytes_sent_total: { type: 'counter', labels: [], help: 'Response body bytes sent' },
  gatehouse_compressed_responses_total: { type: 'counter', labels: [], help: 'Responses that the gateway packed' },
  gatehouse_compression_bytes_in_total: {
    type: 'counter',
    labels: [],
    help: 'Bytes of responses before they were packed',
  },
  gatehouse_compression_bytes_out_total: {
    type: 'counter',
    labels: [],
    help: 'Bytes of responses after they were packed',
  },
  gatehouse_configuration_version: { type: 'gauge', labels: [], help: 'Version of the live configuration' },
  gatehouse_connections_accepted_total: { type: 'counter', labels: [], help: 'Downstream connections accepted' },
  gatehouse_connections_active: { type: 'gauge', labels: [], help: 'Downstream connections open now' },
  gatehouse_connections_refused_total: {
    type: 'counter',
    labels: [],
    help: 'Downstream connections refused before a request was read',
  },
  gatehouse_exchanges_aborted_total: {
    type: 'counter',
    labels: [],
    help: 'Requests whose caller went away before the answer was complete',
  },
  gatehouse_exchanges_active: { type: 'gauge', labels: [], help: 'Requests being handled now' },
  gatehouse_faults_total: {
    type: 'counter',
    labels: ['reason'],
    help: 'Requests that ended in a fault, by reason (docs/errors.md)',
  },
  gatehouse_hedges_total: { type: 'counter', labels: [], help: 'Second attempts beside a slow first one' },
  gatehouse_http2_abuse_continuation_total: {
    type: 'counter',
    labels: [],
    help: 'HTTP/2 connections ended because of field blocks in too many frames or too long',
  },
  gatehouse_http2_abuse_empty_frame_total: {
    type: 'counter',
    labels: [],
    help: 'HTTP/2 connections ended because of frames without content',
  },
  gatehouse_http2_abuse_field_block_total: {
    type: 'counter',
    labels: [],
    help: 'HTTP/2 connections ended because of field blocks that unfold too far',
  },
  gatehouse_http2_abuse_ping_total: {
    type: 'counter',
    labels: [],
    help: 'HTTP/2 connections ended because of too many PINGs',
  },
  gatehouse_http2_abuse_priority_total: {
    type: 'counter',
    labels: [],
    help: 'HTTP/2 connections ended because of too many priority or unknown frames',
  },
  gatehouse_http2_abuse_provoked_reset_total: {
    type: 'counter',
    labels: [],
    help: 'HTTP/2 connections ended because of streams that had to be reset',
  },
  gatehouse_http2_abuse_rapid_reset_total: {
    type: 'counter',
    labels: [],
    help: 'HTTP/2 connections ended because of requests that were cancelled at once',
  },
  gatehouse_http2_abuse_settings_total: {
    type: 'counter',
    labels: [],
    help: 'HTTP/2 connections ended because of too many SETTINGS',
  },
  gatehouse_http2_abuse_tiny_window_total: {
    type: 'counter',
    labels: [],
    help: 'HTTP/2 connections ended because of windows of a few bytes',
  },
  gatehouse_http2_connections_accepted_total: {
    type: 'counter',
    labels: [],
    help: 'Downstream connections that spoke HTTP/2',
  },
  gatehouse_http2_connections_active: { type: 'gauge', labels: [], help: 'Downstream HTTP/2 connections open now' },
  gatehouse_http2_requests_total: { type: 'counter', labels: [], help: 'Requests that came by HTTP/2' },
  gatehouse_mirror_dropped_total: {
    type: 'counter',
    labels: [],
    help: 'Requests that should have been copied but were not',
  },
  gatehouse_mirrored_total: { type: 'counter', labels: [], help: 'Requests copied to a shadow service' },
  gatehouse_request_bytes_total: { type: 'counter', unit: 'bytes', labels: ['route'], help: 'Request body bytes' },
  gatehouse_request_duration_seconds: {
    type: 'histogram',
    unit: 'seconds',
    labels: ['route'],
    help: 'Time from the request head to the end of the answer',
  },
  gatehouse_requests_refused_total: { type: 'counter', labels: [], help: 'Requests that were not valid HTTP/1.1' },
  gatehouse_requests_total: {
    type: 'counter',
    labels: ['route', 'status'],
    help: 'Requests answered, by route and status; route "" is what no route took, or one that a reload removed meanwhile',
  },
  gatehouse_response_bytes_total: { type: 'counter', unit: 'bytes', labels: ['route'], help: 'Response body bytes' },
  gatehouse_retries_total: { type: 'counter', labels: [], help: 'Further attempts after a failed one' },
  gatehouse_service_events_total: {
    type: 'counter',
    labels: ['service', 'event'],
    help: 'Retries, hedges, refusals and the like, by service',
  },
  gatehouse_stale_reuses_total: {
    type: 'counter',
    labels: [],
    help: 'Requests sent again because an idle connection had been closed by the instance',
  },
  gatehouse_tls_handshake_errors_total: {
    type: 'counter',
    labels: [],
    help: 'TLS handshakes with callers that failed',
  },
  gatehouse_invalid_responses_total: {
    type: 'counter',
    labels: [],
    help: 'Responses that did not fit what the API describes, refused or reported',
  },
  gatehouse_transformed_bodies_total: {
    type: 'counter',
    labels: [],
    help: 'Request and response bodies that transforms changed',
  },
  gatehouse_tunnels_active: { type: 'gauge', labels: [], help: 'Upgraded connections (WebSocket) open now' },
  gatehouse_tunnels_opened_total: { type: 'counter', labels: [], help: 'Upgraded connections (WebSocket) opened' },
  gatehouse_unpacked_requests_total: { type: 'counter', labels: [], help: 'Request bodies that the gateway unpacked' },
  gatehouse_upstream_breaker_open: {
    type: 'gauge',
    labels: ['service', 'instance'],
    help: 'Breaker of the instance: 0 closed, 0.5 half-open, 1 open',
  },
  gatehouse_upstream_connections_opened_total: { type: 'counter', labels: [], help: 'Connections opened to instances' },
  gatehouse_upstream_duration_seconds: {
    type: 'histogram',
    unit: 'seconds',
    labels: ['service', 'instance'],
    help: 'Time from the start of an attempt to the head of its answer',
  },
  gatehouse_upstream_ejected: {
    type: 'gauge',
    labels: ['service', 'instance'],
    help: '1 while failures of the traffic keep the instance out',
  },
  gatehouse_upstream_ejections_total: {
    type: 'counter',
    labels: ['service', 'instance'],
    help: 'Ejections of the instance',
  },
  gatehouse_upstream_faults_total: {
    type: 'counter',
    labels: ['service', 'instance'],
    help: 'Attempts that failed without an answer',
  },
  gatehouse_upstream_healthy: {
    type: 'gauge',
    labels: ['service', 'instance'],
    help: '1 when the instance takes traffic',
  },
  gatehouse_upstream_in_flight: {
    type: 'gauge',
    labels: ['service', 'instance'],
    help: 'Requests in flight at the instance',
  },
  gatehouse_upstream_requests_total: {
    type: 'counter',
    labels: ['service', 'instance', 'status'],
    help: 'Attempts answered, by service, instance and status',
  },
  gatehouse_uptime_seconds: { type: 'gauge', unit: 'seconds', labels: [], help: 'Time since the process started' },
  gatehouse_worker_restarts_total: { type: 'counter', labels: [], help: 'Worker threads that ended and were replaced' },
  gatehouse_workers_listening: { type: 'gauge', labels: [], help: 'Worker threads that accept connections' },
  process_resident_memory_bytes: { type: 'gauge', unit: 'bytes', labels: [], help: 'Resident memory of the process' },
  gatehouse_requests_broken_total: {
    type: 'counter',
    labels: ['route'],
    help: 'Responses that broke off after their head was sent',
  },
} as const satisfies Readonly<Record<ProcessMetric, MetricDefinition>> & Readonly<Record<string, MetricDefinition>>;

/** Written by features while they are in use. */
export const FEATURE_METRICS = {
  gatehouse_security_events_total: { type: 'counter', labels: ['event'], help: 'Security events by name' },
  gatehouse_security_events_dropped_total: {
    type: 'counter',
    labels: [],
    help: 'Security events left out of the stream because there were too many or the disk was too slow',
  },
  gatehouse_abuse_events_total: { type: 'counter', labels: ['event'], help: 'Events that counted against callers' },
  gatehouse_abuse_refusals_total: {
    type: 'counter',
    labels: [],
    help: 'Requests and connections refused because of a ban',
  },
  gatehouse_bans_active: { type: 'gauge', labels: [], help: 'Bans that hold' },
  gatehouse_bans_total: { type: 'counter', labels: ['rule'], help: 'Bans made, by rule' },
  gatehouse_cache_evictions_total: { type: 'counter', labels: [], help: 'Responses that had to make room' },
  gatehouse_cache_memory_bytes: { type: 'gauge', unit: 'bytes', labels: ['state'], help: 'Memory of the cache' },
  gatehouse_cache_objects: { type: 'gauge', labels: [], help: 'Responses that are stored' },
  gatehouse_cache_redis_reads_total: {
    type: 'counter',
    labels: ['route', 'result'],
    help: 'Reads of the second tier, by how they ended',
  },
  gatehouse_cache_redis_writes_total: {
    type: 'counter',
    labels: ['route', 'result'],
    help: 'Responses for the second tier, by what became of them',
  },
  gatehouse_cache_refusals_total: {
    type: 'counter',
    labels: ['route', 'reason'],
    help: 'Responses that were not stored, by reason',
  },
  gatehouse_cache_requests_total: {
    type: 'counter',
    labels: ['route', 'result'],
    help: 'Requests to routes with a cache, by how they ended',
  },
  gatehouse_cache_resets_total: {
    type: 'counter',
    labels: [],
    help: 'Times the cache was emptied because a worker died inside its lock',
  },
  gatehouse_cache_sent_bytes_total: {
    type: 'counter',
    unit: 'bytes',
    labels: ['route'],
    help: 'Bytes of bodies that came out of the cache',
  },
  gatehouse_cache_stored_total: { type: 'counter', labels: ['route'], help: 'Responses that were stored' },
  gatehouse_discovery_instances: {
    type: 'gauge',
    labels: ['service', 'source'],
    help: 'Instances that a discovery source gives',
  },
  gatehouse_discovery_problem: {
    type: 'gauge',
    labels: ['service', 'source'],
    help: '1 while a discovery source fails and its last good instances are kept',
  },
  gatehouse_events_consumer_gaps_total: {
    type: 'counter',
    labels: ['consumer'],
    help: 'Times that events were removed from the stream before a consumer got them',
  },
  gatehouse_events_consumer_lag: {
    type: 'gauge',
    labels: ['consumer'],
    help: 'Positions of the stream that a consumer of this process is behind the newest event',
  },
  gatehouse_events_consumer_pending: {
    type: 'gauge',
    labels: ['consumer'],
    help: 'Events that a consumer of this process has taken and not delivered yet',
  },
  gatehouse_events_dead_letters: { type: 'gauge', labels: ['consumer'], help: 'Dead letters that are kept' },
  gatehouse_events_dead_total: { type: 'counter', labels: ['consumer'], help: 'Events that became dead letters' },
  gatehouse_events_deliveries_total: {
    type: 'counter',
    labels: ['consumer', 'outcome'],
    help: 'Attempts to deliver an event, by what became of them',
  },
  gatehouse_events_engine_up: {
    type: 'gauge',
    labels: ['engine'],
    help: 'Whether the engine of event streams can be used',
  },
  gatehouse_events_fan_out_seconds_max: {
    type: 'gauge',
    unit: 'seconds',
    labels: ['stream'],
    help: 'Longest time that handing events to all readers took since the last scrape',
  },
  gatehouse_events_gaps_total: {
    type: 'counter',
    labels: [],
    help: 'Times that a subscriber was told of missing events',
  },
  gatehouse_events_outbox: { type: 'gauge', labels: [], help: 'Events that wait in the outbox' },
  gatehouse_events_published_total: {
    type: 'counter',
    labels: ['stream', 'outcome'],
    help: 'Requests to publish an event, by what became of them',
  },
  gatehouse_events_received_total: {
    type: 'counter',
    labels: ['stream'],
    help: 'Events that came from the engine for the readers of a stream',
  },
  gatehouse_events_redelivered_total: {
    type: 'counter',
    labels: ['consumer'],
    help: 'Attempts after the first one of an event',
  },
  gatehouse_events_sent_total: { type: 'counter', labels: [], help: 'Events that were sent to subscribers' },
  gatehouse_events_subscribers: {
    type: 'gauge',
    labels: ['stream'],
    help: 'Readers of a stream that are connected now',
  },
  gatehouse_events_subscriptions_opened_total: { type: 'counter', labels: [], help: 'Subscriptions that were opened' },
  gatehouse_health_instances: {
    type: 'gauge',
    labels: ['service', 'status'],
    help: 'Probed instances by what their health checks say',
  },
  gatehouse_identity_address_refusals_total: {
    type: 'counter',
    labels: [],
    help: 'Calls refused because an address had used up what it may ask for without an account',
  },
  gatehouse_identity_events_total: {
    type: 'counter',
    labels: ['action'],
    help: 'Security events by action, such as session.created and login.failed',
  },
  gatehouse_identity_hashes_queued: { type: 'gauge', labels: [], help: 'Password hashes waiting for their turn' },
  gatehouse_identity_hashes_running: { type: 'gauge', labels: [], help: 'Password hashes being computed' },
  gatehouse_identity_tokens_total: { type: 'counter', labels: [], help: 'Access tokens signed' },
  gatehouse_issuer_fetch_failures: {
    type: 'gauge',
    labels: ['issuer', 'id'],
    help: 'Fetches of the keys of an outside token issuer that failed in a row',
  },
  gatehouse_issuer_keys: {
    type: 'gauge',
    labels: ['issuer', 'id'],
    help: 'Keys of an outside token issuer that count now',
  },
  gatehouse_limit_decisions_total: { type: 'counter', labels: ['result'], help: 'Decisions about rate limits' },
  gatehouse_limit_given_back_total: {
    type: 'counter',
    labels: [],
    help: 'Charges taken back because another worker was quicker',
  },
  gatehouse_limit_newcomers_refused_total: {
    type: 'counter',
    labels: [],
    help: 'Keys of request fields that counted as their address does, since there were too many new ones',
  },
  gatehouse_limit_overflows_total: { type: 'counter', labels: [], help: 'Decisions that found no room in the table' },
  gatehouse_limit_plan_decisions_total: {
    type: 'counter',
    labels: ['plan', 'result'],
    help: 'Decisions about the limits of plans',
  },
  gatehouse_limit_redis_fallbacks_total: { type: 'counter', labels: [], help: 'Decisions made without Redis' },
  gatehouse_limit_redis_leased_total: { type: 'counter', labels: [], help: 'Decisions from batches taken ahead' },
  gatehouse_limit_redis_questions_total: {
    type: 'counter',
    labels: ['result'],
    help: 'Questions to Redis, by how they ended',
  },
  gatehouse_limit_redis_seconds_total: {
    type: 'counter',
    unit: 'seconds',
    labels: [],
    help: 'Time that answered questions to Redis took',
  },
  gatehouse_limit_table_cells: { type: 'gauge', labels: ['state'], help: 'Cells of the table of limits' },
  gatehouse_policy_failures_total: {
    type: 'counter',
    labels: ['policy'],
    help: 'Hooks of users’ policies that threw, rejected or returned nothing usable',
  },
  gatehouse_policy_kills_total: {
    type: 'counter',
    labels: ['policy'],
    help: 'Workers ended because a user’s policy did not return',
  },
  gatehouse_policy_late_results_total: {
    type: 'counter',
    labels: ['policy'],
    help: 'Results of users’ policies that came after their timeout and were ignored',
  },
  gatehouse_policy_modules: {
    type: 'gauge',
    labels: [],
    help: 'Versions of users’ policy files in memory, of the worker with the most',
  },
  gatehouse_policy_out_of_use: {
    type: 'gauge',
    labels: ['policy'],
    help: '1 when a user’s policy is out of use until its file changes',
  },
  gatehouse_policy_timeouts_total: {
    type: 'counter',
    labels: ['policy'],
    help: 'Hooks of users’ policies whose promise did not settle in time',
  },
  gatehouse_quota_decisions_total: { type: 'counter', labels: ['result'], help: 'Decisions about quotas' },
  gatehouse_quota_grants_total: {
    type: 'counter',
    labels: ['quota', 'plan'],
    help: 'Units granted to workers, by quota and plan',
  },
  gatehouse_quota_refusals_total: {
    type: 'counter',
    labels: ['quota', 'plan'],
    help: 'Questions that were refused, by quota and plan',
  },
  gatehouse_quota_store_failures_total: {
    type: 'counter',
    labels: [],
    help: 'Questions and reports that the database did not take',
  },
  gatehouse_quota_used_total: { type: 'counter', labels: [], help: 'Units that requests used up' },
  gatehouse_quota_utilisation_ratio: {
    type: 'gauge',
    unit: 'ratio',
    labels: ['quota', 'plan'],
    help: 'Used and held of what the callers of a plan may use in the present period',
  },
  gatehouse_reflection_failures: {
    type: 'gauge',
    labels: ['service'],
    help: 'Questions of reflection to a gRPC service that failed in a row',
  },
  gatehouse_reflection_methods: {
    type: 'gauge',
    labels: ['service'],
    help: 'Methods that a gRPC service has said to offer over HTTP, by reflection',
  },
  gatehouse_registry_leases: {
    type: 'gauge',
    labels: ['service', 'state'],
    help: 'Registered instances; held ones came and went too often and get no traffic',
  },
  gatehouse_objective_requests_total: {
    type: 'counter',
    labels: ['objective', 'kind'],
    help: 'Requests that an objective looks at',
  },
  gatehouse_objective_bad_total: {
    type: 'counter',
    labels: ['objective', 'kind'],
    help: 'Requests that missed an objective',
  },
  gatehouse_objective_target_ratio: {
    type: 'gauge',
    unit: 'ratio',
    labels: ['objective', 'kind'],
    help: 'Share of requests that an objective wants to be good',
  },
  gatehouse_objective_burn_rate: {
    type: 'gauge',
    labels: ['objective', 'kind', 'window'],
    help: 'How fast the error budget is used up; 1 uses it up in exactly its period',
  },
  gatehouse_objective_budget_remaining_ratio: {
    type: 'gauge',
    unit: 'ratio',
    labels: ['objective', 'kind'],
    help: 'Share of the error budget of 30 days that is left; below 0 it is overspent',
  },
  gatehouse_event_loop_delay_seconds: {
    type: 'gauge',
    unit: 'seconds',
    labels: ['thread', 'statistic'],
    help: 'How late a thread got to its work in the last seconds',
  },
  gatehouse_thread_heap_bytes: {
    type: 'gauge',
    unit: 'bytes',
    labels: ['thread'],
    help: 'Memory of the JavaScript heap of a thread',
  },
  gatehouse_thread_external_bytes: {
    type: 'gauge',
    unit: 'bytes',
    labels: ['thread'],
    help: 'Memory outside of the heap that a thread refers to, such as buffers',
  },
  gatehouse_sql_duration_seconds: {
    type: 'histogram',
    unit: 'seconds',
    labels: ['dialect'],
    help: 'Time of queries to SQL stores',
  },
  gatehouse_outside_duration_seconds: {
    type: 'histogram',
    unit: 'seconds',
    labels: ['host'],
    help: 'Time of calls to outside services of authentication: key sets, introspection, forward authentication',
  },
  gatehouse_identity_duration_seconds: {
    type: 'histogram',
    unit: 'seconds',
    labels: ['method'],
    help: 'Time of calls to the account API',
  },
  gatehouse_limit_redis_duration_seconds: {
    type: 'histogram',
    unit: 'seconds',
    labels: [],
    help: 'Time that answered questions to Redis took',
  },
  gatehouse_trace_export_duration_seconds: {
    type: 'histogram',
    unit: 'seconds',
    labels: ['protocol'],
    help: 'Time of exports to the trace collector',
  },
  gatehouse_trace_spans_exported_total: { type: 'counter', labels: [], help: 'Spans that the collector took' },
  gatehouse_trace_spans_failed_total: { type: 'counter', labels: [], help: 'Spans that the collector did not take' },
  gatehouse_trace_spans_dropped_total: {
    type: 'counter',
    labels: [],
    help: 'Spans or whole traces that there was no room for',
  },
  gatehouse_trace_spans_waiting: { type: 'gauge', labels: [], help: 'Spans that wait for the collector' },
  gatehouse_openapi_problems: {
    type: 'gauge',
    labels: [],
    help: 'What does not fit into the API document that was made last',
  },
  gatehouse_openapi_fetch_failures_total: {
    type: 'counter',
    labels: [],
    help: 'API documents of services that could not be fetched',
  },
  gatehouse_acme_orders_total: {
    type: 'counter',
    labels: ['result'],
    help: 'Orders of certificates, by what became of them.',
  },
  gatehouse_certificate_expiry_timestamp_seconds: {
    type: 'gauge',
    labels: ['name'],
    help: 'End of the certificate of a name that ACME got, in seconds since 1970.',
  },
} as const satisfies Readonly<Record<string, MetricDefinition>>;

export const METRICS: Readonly<Record<string, MetricDefinition>> = { ...CORE_METRICS, ...FEATURE_METRICS };
export type CoreMetric = keyof typeof CORE_METRICS;
export type MetricName = CoreMetric | keyof typeof FEATURE_METRICS;

/** A name for a query: a misspelt one does not compile. */
export function metric(name: MetricName): MetricName {
  return name;
}
