/** Services and their instances: attempts, breakers, retries, copies. */
import type { MetricDefinition } from './definition.ts';

export const SERVICE_METRICS = {
  gatehouse_breaker_open: {
    type: 'gauge',
    labels: ['service'],
    help: 'Breaker of the service: 0 closed, 0.5 half-open, 1 open',
  },
  gatehouse_hedges_total: { type: 'counter', labels: [], help: 'Second attempts beside a slow first one' },
  gatehouse_mirror_dropped_total: {
    type: 'counter',
    labels: [],
    help: 'Copies of requests that could not be sent',
  },
  gatehouse_mirrored_total: { type: 'counter', labels: [], help: 'Copies of requests that a shadow service was sent' },
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
  gatehouse_upstream_breaker_open: {
    type: 'gauge',
    labels: ['service', 'instance'],
    help: 'Breaker of the instance: 0 closed, 0.5 half-open, 1 open',
  },
  gatehouse_upstream_connections_closed_total: {
    type: 'counter',
    labels: ['service', 'reason'],
    help: 'Connections to instances that ended: age (`pool.maxAge`), idle (`pool.idleTimeout`), ping (no reply to PING), goaway (the instance said so), instance (it closed or reset the connection), other (faults, given up, reloads)',
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
  gatehouse_upstream_http2_connections_active: {
    type: 'gauge',
    labels: [],
    help: 'Connections to instances that speak HTTP/2 and are open now',
  },
  gatehouse_upstream_http2_connections_opened_total: {
    type: 'counter',
    labels: [],
    help: 'Connections opened to instances that speak HTTP/2',
  },
  gatehouse_upstream_pings_sent_total: {
    type: 'counter',
    labels: ['service'],
    help: 'PINGs sent on quiet HTTP/2 connections to instances (`pool.pingAfter`)',
  },
  gatehouse_upstream_pings_unanswered_total: {
    type: 'counter',
    labels: ['service'],
    help: 'Those of them after which the connection was given up (`pool.pingTimeout`)',
  },
  gatehouse_upstream_protocol_requests_total: {
    type: 'counter',
    labels: ['service', 'instance', 'protocol'],
    help: 'Attempts answered, by the protocol towards the instance: http/1.1 or h2',
  },
  gatehouse_upstream_requests_total: {
    type: 'counter',
    labels: ['service', 'instance', 'status'],
    help: 'Attempts answered, by service, instance and status',
  },
} as const satisfies Readonly<Record<string, MetricDefinition>>;
