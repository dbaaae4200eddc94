/**
 * The trace of one exchange: its place among others (W3C Trace Context) and what happened on the way. Made only where
 * tracing is on. Each attempt gets a span id when its head is written, because the service is told that id.
 */
import type { FaultKind } from '../../base/errors.ts';
import type { FieldWriter } from '../contract/field-writer.ts';
import type { AttemptRecord, InnerRecord } from '../contract/tracing.ts';
import type { SpanIds } from './span-ids.ts';

/** What it looks at of an attempt. */
export interface TracedAttempt {
  readonly service: { readonly settings: { readonly name: string } };
  readonly endpoint: { readonly settings: { readonly id: string } };
  readonly startedMs: number;
  readonly firstByteMs: number;
  readonly status: number;
  readonly reusedConnection: boolean;
}

/** Of an attempt's request and its end: what an exchange or a part of a composition is told. */
export interface AttemptObserver {
  /** The head is being written: fields of this attempt alone. */
  send(out: FieldWriter, attempt: TracedAttempt): void;
  attemptEnd(attempt: TracedAttempt, fault: FaultKind | null, isAbandoned: boolean, nowMs: number): void;
}

const MOST_INNER = 64;

export class ExchangeTrace implements AttemptObserver {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string;
  readonly traceState: string;
  readonly isSampled: boolean;
  readonly attempts: AttemptRecord[] = [];
  readonly inner: InnerRecord[] = [];
  readonly #ids: SpanIds;
  readonly #startedMs: number;
  /** Nearly always the only one. */
  #first: TracedAttempt | null = null;
  #firstId = '';
  #others: Map<TracedAttempt, string> | null = null;

  constructor(
    ids: SpanIds,
    startedMs: number,
    traceId: string,
    parentId: string,
    traceState: string,
    isSampled: boolean,
  ) {
    this.#ids = ids;
    this.#startedMs = startedMs;
    this.traceId = traceId;
    this.spanId = ids.span();
    this.parentId = parentId;
    this.traceState = traceState;
    this.isSampled = isSampled;
  }

  send(out: FieldWriter, attempt: TracedAttempt): void {
    // A second head of one attempt (the first met a stale connection) is a request of its own to whoever gets it.
    const spanId = this.#ids.span();
    if (this.#first === null || this.#first === attempt) {
      this.#first = attempt;
      this.#firstId = spanId;
    } else {
      this.#others ??= new Map();
      this.#others.set(attempt, spanId);
    }
    out.field('traceparent', `00-${this.traceId}-${spanId}-0${this.isSampled ? 1 : 0}`);
    if (this.traceState !== '') out.field('tracestate', this.traceState);
  }

  attemptEnd(attempt: TracedAttempt, fault: FaultKind | null, isAbandoned: boolean, nowMs: number): void {
    this.attemptEndIn('', attempt, fault, isAbandoned, nowMs);
  }

  attemptEndIn(
    parentId: string,
    attempt: TracedAttempt,
    fault: FaultKind | null,
    isAbandoned: boolean,
    nowMs: number,
  ): void {
    const sentAs = this.#first === attempt ? this.#firstId : this.#others?.get(attempt);
    // Nothing was sent: nobody was told an id.
    const spanId = sentAs ?? this.#ids.span();
    if (this.attempts.length >= MOST_INNER) return;
    let resends = 0;
    for (const each of this.attempts) if (each[1] === parentId) resends++;
    this.attempts.push([
      spanId,
      parentId,
      attempt.service.settings.name,
      attempt.endpoint.settings.id,
      attempt.startedMs - this.#startedMs,
      nowMs - attempt.startedMs,
      attempt.firstByteMs,
      attempt.status,
      fault === null ? (isAbandoned ? 'abandoned' : '') : fault.reason,
      resends,
      attempt.reusedConnection ? 1 : 0,
    ]);
  }

  /** A part of a composition, which its attempts are children of. */
  part(): TracedPart {
    return new TracedPart(this, this.#ids.span());
  }

  /** Something that was waited for, such as a policy: it began at `startMs` and ended now. */
  addInner(spanId: string, name: string, startMs: number, nowMs: number, failed: string): void {
    if (this.inner.length >= MOST_INNER) return;
    this.inner.push([
      spanId === '' ? this.#ids.span() : spanId,
      name,
      startMs - this.#startedMs,
      nowMs - startMs,
      failed,
    ]);
  }
}

class TracedPart implements AttemptObserver {
  readonly spanId: string;
  readonly #trace: ExchangeTrace;

  constructor(trace: ExchangeTrace, spanId: string) {
    this.#trace = trace;
    this.spanId = spanId;
  }

  send(out: FieldWriter, attempt: TracedAttempt): void {
    this.#trace.send(out, attempt);
  }

  attemptEnd(attempt: TracedAttempt, fault: FaultKind | null, isAbandoned: boolean, nowMs: number): void {
    this.#trace.attemptEndIn(this.spanId, attempt, fault, isAbandoned, nowMs);
  }

  end(name: string, startMs: number, nowMs: number, failed: string): void {
    this.#trace.addInner(this.spanId, name, startMs, nowMs, failed);
  }
}
