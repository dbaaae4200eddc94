/**
 * One worker's tracer: begins traces, decides which are sampled, and hands records of finished exchanges to the main
 * thread in batches. What is not taken in time is dropped and counted; no exchange waits. Where tracing is off there is
 * none.
 */
import type { Clock } from '../../base/clock.ts';
import type { ControlLink } from '../contract/policy.ts';
import {
  DROPPED_TOPIC,
  RECORDS_TOPIC,
  TRACING_TOPIC,
  type TraceRecord,
  type TracingSettings,
} from '../contract/tracing.ts';
import { ExchangeTrace } from './exchange-trace.ts';
import { SpanIds } from './span-ids.ts';
import {
  checkTracestate,
  isSampledBy,
  type ParentContext,
  parseTraceparent,
  thresholdOf,
  withThreshold,
} from './trace-context.ts';

const FLUSH_MS = 250;
const BATCH_BYTES = 64 * 1_024;
/** Characters on their way to the main thread, per worker. */
const MAX_OUTSTANDING = 2 * 1_024 * 1_024;
const ANSWER_MS = 30_000;

/** What it looks at of an exchange that ended. */
export interface TracedExchange {
  readonly trace: ExchangeTrace | null;
  readonly method: string;
  readonly scheme: string;
  readonly host: string;
  readonly path: string;
  readonly address: string;
  readonly requestId: string;
  readonly upstreamPath: string;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly startedMs: number;
  readonly protocol: string;
  readonly fault: { readonly kind: { readonly reason: string; readonly status: number } } | null;
  readonly route: { readonly settings: { readonly id: string; readonly match: { readonly path: object } } } | null;
  userAgent(): string | null;
}

export class Tracer {
  readonly settings: TracingSettings;
  readonly #threshold: string;
  readonly #ids = new SpanIds();
  readonly #clock: Clock;
  readonly #control: ControlLink;
  #lines: string[] = [];
  #length = 0;
  #outstanding = 0;
  #dropped = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(settings: TracingSettings, clock: Clock, control: ControlLink) {
    this.settings = settings;
    this.#threshold = thresholdOf(settings.ratio);
    this.#clock = clock;
    this.#control = control;
  }

  /** `use` gets a tracer, or null, now and whenever the settings change. */
  static follow(clock: Clock, control: ControlLink, use: (tracer: Tracer | null) => void): void {
    let last: Tracer | null = null;
    control.subscribe(TRACING_TOPIC, (data) => {
      last?.flush();
      last = data === null ? null : new Tracer(data as TracingSettings, clock, control);
      use(last);
    });
  }

  /** `traceparent` and `tracestate` as the caller sent them. */
  begin(traceparent: string | null, tracestate: string | null, isTrusted: boolean, startedMs: number): ExchangeTrace {
    const parent = traceparent === null ? null : parseTraceparent(traceparent);
    const traceId = parent === null ? this.#ids.trace() : parent.traceId;
    const { parent: whose, ratio } = this.settings;
    const decidedBefore = parent !== null && (whose === 'always' || (whose === 'trusted' && isTrusted));
    const isSampled = decidedBefore
      ? (parent as ParentContext).isSampled
      : isSampledBy(traceId, ratio, this.#threshold);
    const given = parent === null || tracestate === null ? '' : checkTracestate(tracestate);
    const state = decidedBefore
      ? given
      : given === ''
        ? isSampled && ratio < 1
          ? `ot=th:${this.#threshold}`
          : ''
        : withThreshold(given, isSampled ? this.#threshold : null);
    return new ExchangeTrace(this.#ids, startedMs, traceId, parent === null ? '' : parent.spanId, state, isSampled);
  }

  /** The exchange is over. */
  ended(exchange: TracedExchange, status: number, elapsedMs: number): void {
    const trace = exchange.trace!;
    const reason = trace.isSampled ? 's' : this.#tail(exchange, status, elapsedMs);
    if (reason === null) return;
    if (this.#outstanding + this.#length > MAX_OUTSTANDING) {
      this.#drop(1);
      return;
    }
    const path = exchange.route?.settings.match.path as { readonly pattern?: string } | undefined;
    const record: TraceRecord = [
      trace.traceId,
      trace.spanId,
      trace.parentId,
      trace.traceState,
      reason,
      this.#clock.wallAt(this.#clock.monotonicMs()) - elapsedMs,
      elapsedMs,
      exchange.method,
      exchange.scheme,
      exchange.host,
      exchange.path,
      path?.pattern ?? '',
      exchange.route?.settings.id ?? '',
      status,
      exchange.fault?.kind.reason ?? '',
      exchange.address,
      exchange.protocol,
      exchange.requestId,
      exchange.userAgent()?.slice(0, 200) ?? '',
      exchange.upstreamPath,
      exchange.bytesReceived,
      exchange.bytesSent,
      trace.attempts,
      trace.inner,
    ];
    const line = JSON.stringify(record);
    this.#lines.push(line);
    this.#length += line.length;
    if (this.#length >= BATCH_BYTES) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), FLUSH_MS).unref();
  }

  /** Why an exchange that was not sampled is recorded all the same. */
  #tail(exchange: TracedExchange, status: number, elapsedMs: number): 'e' | 'l' | null {
    const { errors, slowMs, slowRoutes } = this.settings;
    // What a client did wrong, or that it left, is no error of ours; a response that broke off is, whatever its status.
    if (errors && (status >= 500 || (exchange.fault !== null && exchange.fault.kind.status >= 500))) return 'e';
    const id = exchange.route?.settings.id;
    const least = (id === undefined ? undefined : slowRoutes[id]) ?? slowMs;
    return least > 0 && elapsedMs >= least ? 'l' : null;
  }

  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#lines.length === 0) return;
    const lines = this.#lines;
    const length = this.#length;
    this.#lines = [];
    this.#length = 0;
    this.#outstanding += length;
    this.#control.ask(RECORDS_TOPIC, lines.join('\n'), ANSWER_MS).then(
      () => {
        this.#outstanding -= length;
      },
      () => {
        this.#outstanding -= length;
        this.#drop(lines.length);
      },
    );
  }

  #drop(count: number): void {
    // Told in lots: when there is too much to do, a message for each would be more of it.
    if (this.#dropped === 0) setTimeout(() => this.#tellDropped(), FLUSH_MS).unref();
    this.#dropped += count;
  }

  #tellDropped(): void {
    this.#control.tell(DROPPED_TOPIC, this.#dropped);
    this.#dropped = 0;
  }
}
