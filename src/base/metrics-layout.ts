/**
 * Where numbers that workers count are in shared memory. Each worker has a bank of its own (metrics.ts); control sums
 * the banks when it is asked (metrics-reader.ts). Doubles are exact up to 2^53 and 64-bit aligned stores do not tear on
 * the platforms Node runs on.
 *
 *   bank = | process numbers | faults by reason | routes x ROUTE_SLOTS | instances x INSTANCE_SLOTS
 *          | routes x CELLS | instances x CELLS |
 *
 * Cardinality is bounded by construction: a route or instance has a slot or none. Memory is committed by the
 * operating system only where a slot is used.
 */
import { CELLS } from './duration-cells.ts';
import { FAULT_REASONS } from './errors.ts';
import { GRPC_STATUSES } from './grpc-status.ts';

/** Numbers of a whole worker. Gauges go down when things end and are cleared when a worker dies. */
export const PROCESS_NUMBERS = [
  'connections_accepted',
  'connections_active',
  'connections_refused',
  'address_connections_refused',
  'address_waits',
  'address_refused',
  'address_bodies_cut',
  'requests_refused',
  'tunnels_active',
  'tunnels_opened',
  'bytes_received',
  'bytes_sent',
  'access_log_dropped',
  'exchanges_active',
  'exchanges_aborted',
  'retries',
  'hedges',
  'mirrored',
  'mirror_dropped',
  'upstream_connections_opened',
  'upstream_http2_connections_active',
  'upstream_http2_connections_opened',
  'stale_reuses',
  'tls_handshake_errors',
  'faults_injected',
  'compressed_responses',
  'compression_bytes_in',
  'compression_bytes_out',
  'unpacked_requests',
  'transformed_bodies',
  'invalid_responses',
  'http2_connections_active',
  'http2_connections_accepted',
  'http2_requests',
  'http2_abuse_rapid_reset',
  'http2_abuse_provoked_reset',
  'http2_abuse_continuation',
  'http2_abuse_empty_frame',
  'http2_abuse_settings',
  'http2_abuse_ping',
  'http2_abuse_priority',
  'http2_abuse_tiny_window',
  'http2_abuse_field_block',
] as const;
export type ProcessNumber = (typeof PROCESS_NUMBERS)[number];
export const GAUGES = [
  'connections_active',
  'tunnels_active',
  'exchanges_active',
  'http2_connections_active',
  'upstream_http2_connections_active',
] as const satisfies readonly ProcessNumber[];

/** Statuses counted by themselves; any other counts under its class. */
export const STATUSES = [
  101, 200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 406, 408, 409, 410, 412, 413,
  414, 415, 416, 417, 422, 426, 429, 431, 499, 500, 501, 502, 503, 504, 505,
] as const;
export const CLASS_BASE: number = STATUSES.length;

export const COUNTS: number = CLASS_BASE + 6;
export const SUM: number = COUNTS;
export const BYTES_IN: number = SUM + 1;
export const BYTES_OUT: number = SUM + 2;
export const BROKEN: number = SUM + 3;
export const WITHIN: number = SUM + 4;
export const NEITHER: number = SUM + 5;
export const HTTP2: number = SUM + 6;
export const CALLS: number = SUM + 7;
/**
 * Numbers of a route: responses by status, sum of seconds, bytes in and out, responses that failed though their head
 * did not, those that were good and as fast as the route's objective wants, those that were neither good nor bad
 * though their head was, requests over HTTP/2, and gRPC calls by status. Durations are in cells of their own.
 */
export const ROUTE_SLOTS: number = CALLS + GRPC_STATUSES.length;
/** Numbers of an instance: responses by status, sum of seconds, faults, and responses over HTTP/2. */
export const INSTANCE_FAULTS: number = SUM + 1;
export const INSTANCE_HTTP2: number = SUM + 2;
export const INSTANCE_SLOTS: number = SUM + 3;

// RFC 9110 §15: what is above 599 counts as a fault of the server.
export const STATUS_INDEX: Uint8Array = Uint8Array.from({ length: 1_000 }, (_, status) => {
  const exact = (STATUSES as readonly number[]).indexOf(status);
  return exact >= 0 ? exact : CLASS_BASE + Math.min(5, Math.floor(status / 100));
});

export interface MetricsShape {
  readonly workers: number;
  readonly routes: number;
  readonly instances: number;
}

export function bankLength(shape: MetricsShape): number {
  return cellBase(shape) + (shape.routes + shape.instances) * CELLS;
}

/** Where the cells begin: those of route 0, and behind the routes those of the instances. */
export function cellBase({ routes, instances }: MetricsShape): number {
  return ROUTE_BASE + routes * ROUTE_SLOTS + instances * INSTANCE_SLOTS;
}

/** The first doubles of the buffer describe its shape, so a reader needs only the buffer. */
export const HEADER = 4;

export function createMetricsBuffer(shape: MetricsShape): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer((HEADER + shape.workers * bankLength(shape)) * 8);
  const header = new Float64Array(buffer, 0, HEADER);
  header[0] = shape.workers;
  header[1] = shape.routes;
  header[2] = shape.instances;
  return buffer;
}

export function shapeOf(buffer: SharedArrayBuffer): MetricsShape {
  const header = new Float64Array(buffer, 0, HEADER);
  return { workers: header[0] ?? 0, routes: header[1] ?? 0, instances: header[2] ?? 0 };
}

const FAULT_BASE: number = PROCESS_NUMBERS.length;
export const ROUTE_BASE: number = FAULT_BASE + FAULT_REASONS.length;
export const NUMBER_INDEX: ReadonlyMap<string, number> = new Map<string, number>(
  PROCESS_NUMBERS.map((name, index) => [name, index]),
);
export const FAULT_INDEX: ReadonlyMap<string, number> = new Map<string, number>(
  FAULT_REASONS.map((reason, index) => [reason, FAULT_BASE + index]),
);
