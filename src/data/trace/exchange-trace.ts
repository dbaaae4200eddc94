/**
 * The trace of one exchange: its place among others (W3C Trace Context) and what happened on the way. Made only where
 * tracing is on, and then for each exchange, sampled or not: one that fails or is slow is recorded in the end, and the
 * services must be told something. So it is one object, without texts, as long as there is one attempt and nothing else
 * was waited for. Each attempt gets a span id when its head is written, because the service is told that id.
 */
import type { FaultKind } from '../../base/errors.ts';
import type { ByteWriter } from '../contract/byte-writer.ts';
import { FieldStart } from '../contract/field-block.ts';
import type { FieldWriter } from '../contract/field-writer.ts';
import type { InstanceSettings } from '../contract/snapshot.ts';
import { type SpanIds, writeHex } from './span-ids.ts';
import type { ParentContext } from './trace-context.ts';

/** What it looks at of an attempt. */
export interface TracedAttempt {
  readonly service: { readonly settings: { readonly name: string } };
  readonly endpoint: { readonly settings: InstanceSettings };
  readonly startedMs: number;
  /** From then until there was a connection. */
  readonly connectMs: number;
  /** From then until the request was sent. */
  readonly sendMs: number;
  readonly firstByteMs: number;
  readonly status: number;
  /** Of a gRPC call; -1 where there is none. */
  readonly grpcStatus: number;
  readonly reusedConnection: boolean;
}

/** Of an attempt's request and its end: what an exchange or a part of a composition is told. */
export interface AttemptObserver {
  /** The head is being written: fields of this attempt alone. */
  send(out: FieldWriter, attempt: TracedAttempt): void;
  attemptEnd(attempt: TracedAttempt, fault: FaultKind | null, isAbandoned: boolean, nowMs: number): void;
}

/** The same of a part of a composition, or of a call of a handler, with the end of the whole of it. */
export interface PartObserver extends AttemptObserver {
  /** `failed` is empty where it did not fail. */
  end(name: string, startMs: number, nowMs: number, failed: string): void;
}

export interface ExchangeObserver extends AttemptObserver {
  part(): PartObserver;
}

/** One attempt, as far as it has come. */
export class TracedTry {
  /** Null when it has ended: what it hangs on is not kept until its span is written. */
  attempt: TracedAttempt | null;
  readonly service: string;
  readonly instance: InstanceSettings;
  readonly startedMs: number;
  firstByteMs = 0;
  status = 0;
  grpcStatus = -1;
  isReused = false;
  idHigh: number;
  idLow: number;
  /** Null: the exchange itself is what it belongs to. */
  part: TracedPart | null = null;
  /** Monotonic; below 0 while it goes on. */
  endMs = -1;
  fault = '';
  isAbandoned = false;
  resends = 0;

  constructor(attempt: TracedAttempt, idHigh: number, idLow: number) {
    this.attempt = attempt;
    this.service = attempt.service.settings.name;
    this.instance = attempt.endpoint.settings;
    this.startedMs = attempt.startedMs;
    this.idHigh = idHigh;
    this.idLow = idLow;
  }

  end(part: TracedPart | null, resends: number, nowMs: number, fault: string, isAbandoned: boolean): void {
    const { firstByteMs, status, grpcStatus, reusedConnection } = this.attempt!;
    this.attempt = null;
    this.firstByteMs = firstByteMs;
    this.status = status;
    this.grpcStatus = grpcStatus;
    this.isReused = reusedConnection;
    this.part = part;
    this.resends = resends;
    this.endMs = nowMs;
    this.fault = fault;
    this.isAbandoned = isAbandoned;
  }
}

/** A part of a composition, or a policy that took long. */
export interface InnerSpan {
  readonly idHigh: number;
  readonly idLow: number;
  readonly name: string;
  /** Empty: it is none. */
  readonly policy: string;
  /** Host that it asked; empty: none. */
  readonly host: string;
  readonly startMs: number;
  readonly endMs: number;
  /** Why it failed; empty: it did not. */
  readonly failed: string;
}

const MOST_INNER = 64;
const TRACEPARENT = new FieldStart('traceparent');
const TRACE_AT = 3;
const SPAN_AT = 36;
const FLAG_AT = 54;
/** Used by one after the other. */
const LINE = Buffer.from(`00-${'0'.repeat(32)}-${'0'.repeat(16)}-00`, 'latin1');

export class ExchangeTrace implements ExchangeObserver {
  /** The words of the trace's id, the first ones first. */
  readonly trace0: number;
  readonly trace1: number;
  readonly trace2: number;
  readonly trace3: number;
  readonly idHigh: number;
  readonly idLow: number;
  /** Hexadecimal; empty for a new trace. */
  readonly parentId: string;
  readonly traceState: string;
  readonly isSampled: boolean;
  readonly startedMs: number;
  /** Nearly always the only one. */
  first: TracedTry | null = null;
  others: TracedTry[] | null = null;
  inner: InnerSpan[] | null = null;
  /** Host that a policy asks now, the first of several; empty: none. */
  asked = '';
  #askedHigh = 0;
  #askedLow = 0;
  readonly #ids: SpanIds;
  #traceId = '';

  constructor(
    ids: SpanIds,
    startedMs: number,
    parent: ParentContext | null,
    trace2: number,
    trace3: number,
    traceState: string,
    isSampled: boolean,
  ) {
    this.#ids = ids;
    this.startedMs = startedMs;
    this.trace0 = parent === null ? ids.word() : parent.trace0;
    this.trace1 = parent === null ? ids.word() : parent.trace1;
    this.trace2 = trace2;
    this.trace3 = trace3;
    this.idHigh = ids.word();
    this.idLow = ids.word();
    this.parentId = parent === null ? '' : parent.spanId;
    this.traceState = traceState;
    this.isSampled = isSampled;
  }

  /** In hexadecimal. */
  get traceId(): string {
    if (this.#traceId === '') {
      this.#writeTrace();
      this.#traceId = LINE.latin1Slice(TRACE_AT, TRACE_AT + 32);
    }
    return this.#traceId;
  }

  writeTraceId(out: ByteWriter): void {
    this.#writeTrace();
    out.bytes(LINE, TRACE_AT, TRACE_AT + 32);
  }

  /** The field `traceparent` of what is a child of the exchange itself. */
  get traceparent(): string {
    this.#writeLine(this.idHigh, this.idLow);
    return LINE.latin1Slice(0, LINE.length);
  }

  #writeLine(idHigh: number, idLow: number): void {
    this.#writeTrace();
    writeHex(LINE, SPAN_AT, idHigh);
    writeHex(LINE, SPAN_AT + 8, idLow);
    LINE[FLAG_AT] = this.isSampled ? 0x31 : 0x30;
  }

  #writeTrace(): void {
    writeHex(LINE, TRACE_AT, this.trace0);
    writeHex(LINE, TRACE_AT + 8, this.trace1);
    writeHex(LINE, TRACE_AT + 16, this.trace2);
    writeHex(LINE, TRACE_AT + 24, this.trace3);
  }

  send(out: FieldWriter, attempt: TracedAttempt): void {
    // A second head of one attempt (the first met a stale connection) is a request of its own to whoever gets it.
    const idHigh = this.#ids.word();
    const idLow = this.#ids.word();
    const known = this.#tryOf(attempt);
    if (known === null) this.#add(attempt, idHigh, idLow);
    else {
      known.idHigh = idHigh;
      known.idLow = idLow;
    }
    this.#writeLine(idHigh, idLow);
    out.begin(TRACEPARENT);
    out.bytes(LINE, 0, LINE.length);
    out.end();
    if (this.traceState !== '') out.field('tracestate', this.traceState);
  }

  attemptEnd(attempt: TracedAttempt, fault: FaultKind | null, isAbandoned: boolean, nowMs: number): void {
    this.attemptEndIn(null, attempt, fault, isAbandoned, nowMs);
  }

  attemptEndIn(
    part: TracedPart | null,
    attempt: TracedAttempt,
    fault: FaultKind | null,
    isAbandoned: boolean,
    nowMs: number,
  ): void {
    // Nothing was sent: nobody was told an id.
    const ended = this.#tryOf(attempt) ?? this.#add(attempt, this.#ids.word(), this.#ids.word());
    if (ended === null) return;
    ended.end(part, this.#endedIn(part), nowMs, fault === null ? '' : fault.reason, isAbandoned);
  }

  #tryOf(attempt: TracedAttempt): TracedTry | null {
    if (this.first?.attempt === attempt) return this.first;
    return this.others?.find((each) => each.attempt === attempt) ?? null;
  }

  /** Null: there are too many to be recorded. */
  #add(attempt: TracedAttempt, idHigh: number, idLow: number): TracedTry | null {
    const made = new TracedTry(attempt, idHigh, idLow);
    if (this.first === null) {
      this.first = made;
      return made;
    }
    this.others ??= [];
    if (this.others.length >= MOST_INNER - 1) return null;
    this.others.push(made);
    return made;
  }

  #endedIn(part: TracedPart | null): number {
    const { first, others } = this;
    let count = first !== null && first.endMs >= 0 && first.part === part ? 1 : 0;
    if (others !== null) for (const each of others) if (each.endMs >= 0 && each.part === part) count++;
    return count;
  }

  /** A part of a composition, which its attempts are children of. */
  part(): TracedPart {
    return new TracedPart(this, this.#ids.word(), this.#ids.word());
  }

  /**
   * A policy asks a host: the `traceparent` of its question, which names the span that `addPolicy` will add. One that
   * asks again before that has one span all the same, with the host that it asked first.
   */
  ask(host: string): string {
    if (this.asked === '') {
      this.asked = host;
      this.#askedHigh = this.#ids.word();
      this.#askedLow = this.#ids.word();
    }
    this.#writeLine(this.#askedHigh, this.#askedLow);
    return LINE.latin1Slice(0, LINE.length);
  }

  /** A policy that was waited for, or computed for long: it began at `startMs` and ended now. */
  addPolicy(phase: string, policy: string, startMs: number, nowMs: number, failed: string): void {
    const host = this.asked;
    const idHigh = host === '' ? this.#ids.word() : this.#askedHigh;
    const idLow = host === '' ? this.#ids.word() : this.#askedLow;
    this.asked = '';
    this.#addInner({ idHigh, idLow, name: phase, policy, host, startMs, endMs: nowMs, failed });
  }

  addPart(idHigh: number, idLow: number, name: string, startMs: number, endMs: number, failed: string): void {
    this.#addInner({ idHigh, idLow, name, policy: '', host: '', startMs, endMs, failed });
  }

  #addInner(span: InnerSpan): void {
    this.inner ??= [];
    if (this.inner.length < MOST_INNER) this.inner.push(span);
  }
}

export class TracedPart implements PartObserver {
  readonly idHigh: number;
  readonly idLow: number;
  readonly #trace: ExchangeTrace;

  constructor(trace: ExchangeTrace, idHigh: number, idLow: number) {
    this.#trace = trace;
    this.idHigh = idHigh;
    this.idLow = idLow;
  }

  send(out: FieldWriter, attempt: TracedAttempt): void {
    this.#trace.send(out, attempt);
  }

  attemptEnd(attempt: TracedAttempt, fault: FaultKind | null, isAbandoned: boolean, nowMs: number): void {
    this.#trace.attemptEndIn(this, attempt, fault, isAbandoned, nowMs);
  }

  end(name: string, startMs: number, nowMs: number, failed: string): void {
    this.#trace.addPart(this.idHigh, this.idLow, name, startMs, nowMs, failed);
  }
}
