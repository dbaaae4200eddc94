/**
 * Tracing between the planes: the settings of workers, and the pages of finished spans that they hand over, written as
 * the bytes of OTLP (data/trace/span-writer.ts) in memory that both threads see. Control sends them on
 * (control/tracing).
 */

/** Control to workers: settings, or null while nothing is traced. */
export const TRACING_TOPIC = 'tracing:settings';
/** Workers to control, asked with a `SpanPage`; the answer is a `PageAnswer`. */
export const SPANS_TOPIC = 'tracing:spans';

/**
 * `taken`: the spans were copied or sent, and the page may be written again. `unknown`: control does not know the
 * memory and took nothing. `kept`: the spans were lost on their way, and may still be read there.
 */
export type PageAnswer = 'taken' | 'unknown' | 'kept';
/** Workers to control: how many spans were dropped because control did not keep up. */
export const DROPPED_TOPIC = 'tracing:dropped';

/** Workers to control: the id of a memory in which there will be no more pages. */
export const MEMORY_GONE_TOPIC = 'tracing:memory-gone';

export interface TracingSettings {
  /** Share of new traces that are sampled, 0 to 1. */
  readonly ratio: number;
  /** Whose `sampled` flag decides: everybody's, only that of peers in `gateway.trustProxy`, or no client's. */
  readonly parent: 'always' | 'trusted' | 'never';
  /** Also record exchanges that failed (a fault of the gateway, or 5xx). */
  readonly errors: boolean;
  /** Also record exchanges that took longer; 0 does not. */
  readonly slowMs: number;
  /** The same for routes with an objective of their own, by id. */
  readonly slowRoutes: Readonly<Record<string, number>>;
  /** Asynchronous policies that took at least so long get a span of their own. */
  readonly policyMs: number;
  /** Sources of regular expressions: what they match in a path is hidden, as in the access log. */
  readonly hiddenPatterns: readonly string[];
  /** Spans of a page, about. */
  readonly pageSpans: number;
}

/** Bytes in front of the spans of a page, and behind them, where control writes what stands around them. */
export const PAGE_HEAD_BYTES = 4_096;
export const PAGE_TAIL_BYTES = 256;

export interface SpanPage {
  /** Of the memory that the page is in: a tracer has one. */
  readonly memoryId: string;
  /**
   * Told once, null afterwards: each time that shared memory crosses threads, V8 counts all of it as new memory of the
   * one that gets it, and collects garbage accordingly (14 us a request).
   */
  readonly memory: SharedArrayBuffer | null;
  /** Whole `ScopeSpans.spans` fields are in the memory from here on. */
  readonly at: number;
  readonly length: number;
  readonly spans: number;
  readonly exemplars: readonly ExemplarRecord[];
}

/** The last recorded trace of a route in one bucket of its latency. */
export type ExemplarRecord = readonly [
  routeId: string,
  /** Of `LATENCY_BUCKETS`; its length: above them all. */
  bucket: number,
  traceId: string,
  seconds: number,
  /** When it ended: time of day, milliseconds since 1970. */
  wallMs: number,
];
