/**
 * One worker's tracer: begins traces, decides which are sampled, and hands the spans of finished exchanges to the main
 * thread by the page. What is not taken in time is dropped and counted; no exchange waits. Where tracing is off there
 * is none.
 */

import { randomUUID } from 'node:crypto';
import { Redaction } from '../../base/redaction.ts';
import { type Cancel, systemTimers } from '../../base/system-timers.ts';
import type { ControlLink } from '../contract/policy.ts';
import type { DeliveryMark } from '../contract/service-calls.ts';
import {
  DROPPED_TOPIC,
  MEMORY_GONE_TOPIC,
  PAGE_HEAD_BYTES,
  PAGE_TAIL_BYTES,
  type PageAnswer,
  SPANS_TOPIC,
  type SpanPage,
  TRACING_TOPIC,
  type TracingSettings,
} from '../contract/tracing.ts';
import { ExchangeTrace } from './exchange-trace.ts';
import { LatestTraces } from './latest-traces.ts';
import type { TracedRoute } from './span-fields.ts';
import { SpanIds } from './span-ids.ts';
import { type FinishedExchange, SpanWriter, spansOf } from './span-writer.ts';
import {
  checkTracestate,
  isSampledBy,
  type ParentContext,
  parseTraceparent,
  randomnessOf,
  rejectedBelow,
  thresholdOf,
  withThreshold,
} from './trace-context.ts';

const FLUSH_MS = 250;
/** Exchanges whose spans are written at a time: one by one, between other work, they cost twice as much. */
const TOGETHER = 32;
/** Of a request id. */
const MOST_ID_BYTES = 128;
/** A page goes when it has this many bytes of spans: most exchanges have some 900. */
const FULL_BYTES = 1_024 * 1_024;
/** The longest exchange still fits behind them. */
const PAGE_BYTES = PAGE_HEAD_BYTES + FULL_BYTES + 128 * 1_024 + PAGE_TAIL_BYTES;
/** That control has not answered for, per worker. */
const MOST_PAGES = 4;
/** Longer than an export may take (`timeout`). */
const ANSWER_MS = 90_000;

/** What it looks at of an exchange that ended. */
export interface TracedExchange {
  readonly trace: ExchangeTrace | null;
  /** Monotonic. */
  readonly startedMs: number;
  readonly method: string;
  readonly path: string;
  readonly upstreamPath: string;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  /** How a gRPC call ended; -1 for what is none. */
  readonly grpcStatus: number;
  readonly fault: { readonly kind: { readonly reason: string; readonly status: number } } | null;
  readonly route: TracedRoute | null;
  readonly requestId: string;
  /** The same, Latin-1, to `to` from `at` on; returns its length, at most `MOST_ID_BYTES`, or 0 where there is none. */
  copyRequestId(to: Buffer, at: number): number;
}

interface Page {
  /** In the memory. */
  readonly at: number;
  readonly bytes: Buffer;
}

/** Shared memory in which control finds spans. */
class Pages {
  readonly id = randomUUID();
  readonly memory = new SharedArrayBuffer(MOST_PAGES * PAGE_BYTES);
  /** Those that may be written. */
  readonly free: Page[] = Array.from({ length: MOST_PAGES }, (_, i) => {
    const at = i * PAGE_BYTES;
    return { at, bytes: Buffer.from(this.memory, at, PAGE_BYTES) };
  });
  isTold = false;
}

export class Tracer {
  readonly settings: TracingSettings;
  readonly #threshold: string;
  readonly #rejected: number;
  /** Nothing shorter is slow, whatever its route. */
  readonly #leastSlowMs: number;
  readonly #redaction: Redaction;
  readonly #ids = new SpanIds();
  readonly #control: ControlLink;
  readonly #writer = new SpanWriter();
  readonly #latest = new LatestTraces();
  readonly #together: number;
  #finished: FinishedExchange[] = [];
  /** Their request ids, each with room for the longest: a text for each would be made for the span alone. */
  readonly #idBytes = Buffer.allocUnsafe(TOGETHER * MOST_ID_BYTES);
  #pages: Pages | null = null;
  /** The one that is being written. */
  #page: Page | null = null;
  #dropped = 0;
  #timer: Cancel | null = null;

  constructor(settings: TracingSettings, control: ControlLink) {
    this.settings = settings;
    this.#threshold = thresholdOf(settings.ratio);
    this.#rejected = rejectedBelow(settings.ratio);
    const bounds = [settings.slowMs, ...Object.values(settings.slowRoutes)].filter((ms) => ms > 0);
    this.#leastSlowMs = Math.min(...bounds);
    this.#redaction = new Redaction(settings.hiddenPatterns);
    this.#control = control;
    this.#together = Math.min(TOGETHER, settings.pageSpans);
  }

  /** `use` gets a tracer, or null, now and whenever the settings change. */
  static follow(control: ControlLink, use: (tracer: Tracer | null) => void): void {
    let last: Tracer | null = null;
    control.subscribe(TRACING_TOPIC, (data) => {
      last?.close();
      last = data === null ? null : new Tracer(data as TracingSettings, control);
      use(last);
    });
  }

  /** `traceparent` and `tracestate` as the caller sent them. */
  begin(traceparent: string | null, tracestate: string | null, isTrusted: boolean): ExchangeTrace {
    const parent = traceparent === null ? null : parseTraceparent(traceparent);
    return parent === null ? this.#new() : this.#goOn(parent, tracestate, isTrusted);
  }

  #new(): ExchangeTrace {
    const trace2 = this.#ids.word();
    const trace3 = this.#ids.word();
    const isSampled = isSampledBy(trace2, trace3, this.#rejected);
    const state = isSampled && this.#rejected > 0 ? `ot=th:${this.#threshold}` : '';
    return new ExchangeTrace(this.#ids, null, trace2, trace3, state, isSampled);
  }

  #goOn(parent: ParentContext, tracestate: string | null, isTrusted: boolean): ExchangeTrace {
    const { trace2, trace3 } = parent;
    const { parent: whose } = this.settings;
    const isDecided = whose === 'always' || (whose === 'trusted' && isTrusted);
    let state = tracestate === null ? '' : checkTracestate(tracestate);
    const randomness = isDecided ? null : randomnessOf(state);
    const isOurs = randomness === null ? isSampledBy(trace2, trace3, this.#rejected) : randomness >= this.#rejected;
    const isSampled = isDecided ? parent.isSampled : isOurs;
    if (!isDecided && (state !== '' || (isSampled && this.#rejected > 0)))
      state = withThreshold(state, isSampled ? this.#threshold : null);
    return new ExchangeTrace(this.#ids, parent, trace2, trace3, state, isSampled);
  }

  /** A text of the caller's without what patterns hide. */
  shown(text: string): string {
    return this.#redaction.text(text);
  }

  /** Why an exchange that is over is recorded; null: it is not. `outcome`: the status that says how it went. */
  reasonFor(exchange: TracedExchange, outcome: number, elapsedMs: number): 's' | 'e' | 'l' | null {
    if (exchange.trace!.isSampled) return 's';
    if (outcome < 500 && exchange.fault === null && elapsedMs < this.#leastSlowMs) return null;
    const { errors, slowMs, slowRoutes } = this.settings;
    // What a client did wrong, or that it left, is no error of ours; a response that broke off is, whatever its status.
    if (errors && (outcome >= 500 || (exchange.fault !== null && exchange.fault.kind.status >= 500))) return 'e';
    const id = exchange.route?.settings.id;
    const least = (id === undefined ? undefined : slowRoutes[id]) ?? slowMs;
    return least > 0 && elapsedMs >= least ? 'l' : null;
  }

  /** `client`: attributes of who asked (`clientPart`); `wallMs`: the time of day when it ended. */
  record(
    exchange: TracedExchange,
    client: Buffer,
    reason: 's' | 'e' | 'l',
    status: number,
    elapsedMs: number,
    wallMs: number,
    delivery: DeliveryMark | null = null,
  ): void {
    const { startedMs, method, path, upstreamPath, bytesReceived, bytesSent, grpcStatus, route } = exchange;
    const trace = exchange.trace!;
    const isOpen = this.#redaction.isEmpty;
    const idAt = this.#finished.length * MOST_ID_BYTES;
    this.#finished.push({
      trace,
      client,
      reason,
      status,
      startedMs,
      elapsedMs,
      wallMs,
      method,
      path: isOpen ? path : this.shown(path),
      upstreamPath: isOpen ? upstreamPath : this.shown(upstreamPath),
      bytesReceived,
      bytesSent,
      grpcStatus,
      fault: exchange.fault === null ? '' : exchange.fault.kind.reason,
      route,
      requestId: isOpen ? '' : this.shown(exchange.requestId),
      idBytes: this.#idBytes,
      idAt,
      idLength: isOpen ? exchange.copyRequestId(this.#idBytes, idAt) : 0,
      delivery: delivery === null ? null : { ...delivery, event: this.shown(delivery.event) },
    });
    this.#latest.note(route?.settings.id ?? '', trace, elapsedMs, wallMs);
    this.#timer ??= systemTimers.after(FLUSH_MS, () => this.flush());
    if (this.#finished.length >= this.#together) this.#write();
  }

  #write(): void {
    const writer = this.#writer;
    for (const each of this.#finished) {
      if (!this.#hasPage()) {
        this.#drop(spansOf(each));
        continue;
      }
      writer.add(each);
      if (writer.length >= FULL_BYTES || writer.spans >= this.settings.pageSpans) this.#hand();
    }
    this.#finished = [];
  }

  flush(): void {
    this.#timer?.();
    this.#timer = null;
    this.#write();
    this.#hand();
  }

  #hasPage(): boolean {
    if (this.#page !== null) return true;
    this.#pages ??= new Pages();
    this.#page = this.#pages.free.pop() ?? null;
    if (this.#page === null) return false;
    this.#writer.open(this.#page.bytes, PAGE_HEAD_BYTES, PAGE_BYTES - PAGE_TAIL_BYTES);
    return true;
  }

  #hand(): void {
    const { spans, length, isOver } = this.#writer;
    const page = this.#page;
    const pages = this.#pages;
    if (page === null || pages === null || spans === 0) return;
    this.#page = null;
    if (isOver) {
      pages.free.push(page);
      this.#drop(spans);
      return;
    }
    const memory = pages.isTold ? null : pages.memory;
    pages.isTold = true;
    const at = page.at + PAGE_HEAD_BYTES;
    const sent: SpanPage = { memoryId: pages.id, memory, at, length, spans, exemplars: this.#latest.take() };
    this.#control.ask(SPANS_TOPIC, sent, ANSWER_MS).then(
      (answer) => {
        if ((answer as PageAnswer) === 'kept') {
          this.#forgetPages(pages);
          return;
        }
        pages.free.push(page);
        if ((answer as PageAnswer) === 'taken') return;
        pages.isTold = false;
        this.#drop(spans);
      },
      () => {
        this.#forgetPages(pages);
        this.#drop(spans);
      },
    );
  }

  /** The last flush: exchanges that are still under way are recorded by the tracer that comes after this one. */
  close(): void {
    this.flush();
    if (this.#pages !== null) this.#forgetPages(this.#pages);
  }

  /** Control may still read there, so nothing of it is written again; it hears so after the last page. */
  #forgetPages(pages: Pages): void {
    if (this.#pages !== pages) return;
    this.#hand();
    this.#control.tell(MEMORY_GONE_TOPIC, pages.id);
    this.#pages = null;
    this.#page = null;
  }

  #drop(count: number): void {
    // Told in lots: when there is too much to do, a message for each would be more of it.
    if (this.#dropped === 0) systemTimers.after(FLUSH_MS, () => this.#tellDropped());
    this.#dropped += count;
  }

  #tellDropped(): void {
    this.#control.tell(DROPPED_TOPIC, this.#dropped);
    this.#dropped = 0;
  }
}
