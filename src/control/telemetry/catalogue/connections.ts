/** Connections of clients, what an address holds of them, HTTP/2 and tunnels. */
import type { MetricDefinition } from './definition.ts';

export const CONNECTION_METRICS = {
  gatehouse_address_bodies_cut_total: {
    type: 'counter',
    labels: [],
    help: 'Slow request bodies ended because their address had more of them than it may',
  },
  gatehouse_address_connections_refused_total: {
    type: 'counter',
    labels: [],
    help: 'Downstream connections refused because their address had as many as it may',
  },
  gatehouse_address_refused_total: {
    type: 'counter',
    labels: [],
    help: 'Requests refused because their address held its share of a pool and of its queue',
  },
  gatehouse_address_waits_total: {
    type: 'counter',
    labels: [],
    help: 'Requests that waited for a connection because their address held its share of the pool',
  },
  gatehouse_connections_accepted_total: { type: 'counter', labels: [], help: 'Downstream connections accepted' },
  gatehouse_connections_active: { type: 'gauge', labels: [], help: 'Downstream connections open now' },
  gatehouse_connections_refused_total: {
    type: 'counter',
    labels: [],
    help: 'Downstream connections refused before a request was read',
  },
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
  gatehouse_requests_refused_total: { type: 'counter', labels: [], help: 'Requests that were not valid HTTP/1.1' },
  gatehouse_tls_handshake_errors_total: {
    type: 'counter',
    labels: [],
    help: 'TLS handshakes with clients that failed',
  },
  gatehouse_tunnels_active: { type: 'gauge', labels: [], help: 'Upgraded connections (WebSocket) open now' },
  gatehouse_tunnels_opened_total: { type: 'counter', labels: [], help: 'Upgraded connections (WebSocket) opened' },
} as const satisfies Readonly<Record<string, MetricDefinition>>;
