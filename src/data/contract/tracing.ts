/**
 * Tracing between the planes: what workers are told, and the records that they hand over. A record is a line of JSON,
 * an array in the order of `RECORD`; control makes spans of it (control/tracing/spans.ts).
 */

/** Control to workers: settings, or null while nothing is traced. */
export const TRACING_TOPIC = 'tracing:settings';
/** Workers to control, asked so that the answer says that the lines were taken. */
export const RECORDS_TOPIC = 'tracing:records';
/** Told: how many records were dropped because control did not keep up. */
export const DROPPED_TOPIC = 'tracing:dropped';

export interface TracingSettings {
  /** Share of new traces that are sampled, 0 to 1. */
  readonly ratio: number;
  /** Whose `sampled` flag decides: everybody's, only that of peers in `gateway.trustProxy`, or nobody's. */
  readonly parent: 'always' | 'trusted' | 'never';
  /** Also record exchanges that failed (a fault of the gateway, or 5xx). */
  readonly errors: boolean;
  /** Also record exchanges that took longer; 0 does not. */
  readonly slowMs: number;
  /** The same for routes with an objective of their own, by id. */
  readonly slowRoutes: Readonly<Record<string, number>>;
  /** Asynchronous policies that took at least so long get a span of their own. */
  readonly policyMs: number;
}

/** How an attempt ended, for its span. */
export type AttemptRecord = readonly [
  spanId: string,
  /** Of the part of a composition that it belongs to; empty: of the exchange. */
  parentId: string,
  service: string,
  instance: string,
  /** Milliseconds after the exchange began. */
  startMs: number,
  durationMs: number,
  firstByteMs: number,
  status: number,
  fault: string,
  resends: number,
  reused: 0 | 1,
];

/** A part of a composition, or an asynchronous policy. */
export type InnerRecord = readonly [spanId: string, name: string, startMs: number, durationMs: number, failed: string];

export type TraceRecord = readonly [
  traceId: string,
  spanId: string,
  /** Empty for a new trace. */
  parentId: string,
  traceState: string,
  /** Why it is here: `s` sampled, `e` error, `l` slow. */
  reason: 's' | 'e' | 'l',
  /** Time of day, milliseconds since 1970. */
  startWallMs: number,
  durationMs: number,
  method: string,
  scheme: string,
  host: string,
  path: string,
  /** Pattern of the route; empty without one. */
  pattern: string,
  routeId: string,
  status: number,
  fault: string,
  address: string,
  protocol: string,
  requestId: string,
  userAgent: string,
  upstreamPath: string,
  bytesIn: number,
  bytesOut: number,
  attempts: readonly AttemptRecord[],
  inner: readonly InnerRecord[],
];
