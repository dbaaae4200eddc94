/**
 * The trace of one exchange: its place among others (W3C Trace Context) and what happened on the way. Made only where
 * tracing is on, and then for each exchange, sampled or not: one that fails or is slow is recorded in the end, and the
 * services must get a `traceparent`. So it is one small object, without texts, as long as there is one attempt that
 * succeeds and nothing else was waited for: what spans need beyond that is taken from the attempt when the exchange is
 * recorded. Each attempt gets a span id when its head is written, because the service is sent that id.
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

/** Of an attempt's request and its end: what an exchange or a part of a composition hears. */
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

/** What few exchanges have. */
class Rare {
  others: TracedTry[] | null = null;
  inner: InnerSpan[] | null = null;
  /** Host that a policy asks now, the first of several; empty: none. */
  asked = '';
  askedHigh = 0;
  askedLow = 0;
}

export class ExchangeTrace implements ExchangeObserver {
  /** The words of the trace's id, the first ones first. */
  readonly trace0: number;
  readonly trace1: number;
  readonly trace2: number;
  readonly trace3: number;
  /** Hexadecimal; empty for a new trace. */
  readonly parentId: string;
  readonly traceState: string;
  readonly isSampled: boolean;
  /** The last 56 bits of the trace's id are random, as far as whoever made it has said so. */
  readonly isRandom: boolean;
  readonly #ids: SpanIds;
  /** Of the exchange's own span; both 0 until something needs it. */
  #idHigh = 0;
  #idLow = 0;
  /** The first attempt as long as nothing but its end in success is known of it; `#first` is made of it. */
  #only: TracedAttempt | null = null;
  #onlyHigh = 0;
  #onlyLow = 0;
  /** How long it took, in whole microseconds; below 0 while it goes on. A double would be an object of its own. */
  #onlyTookUs = -1;
  #first: TracedTry | null = null;
  #rare: Rare | null = null;

  constructor(
    ids: SpanIds,
    parent: ParentContext | null,
    trace2: number,
    trace3: number,
    traceState: string,
    isSampled: boolean,
  ) {
    this.#ids = ids;
    this.trace0 = parent === null ? ids.word() : parent.trace0;
    this.trace1 = parent === null ? ids.word() : parent.trace1;
    this.trace2 = trace2;
    this.trace3 = trace3;
    this.parentId = parent === null ? '' : parent.spanId;
    this.traceState = traceState;
    this.isSampled = isSampled;
    this.isRandom = parent === null || parent.isRandom;
  }

  get idHigh(): number {
    this.#makeId();
    return this.#idHigh;
  }

  get idLow(): number {
    this.#makeId();
    return this.#idLow;
  }

  #makeId(): void {
    if (this.#idHigh !== 0 || this.#idLow !== 0) return;
    this.#idHigh = this.#ids.word();
    this.#idLow = this.#ids.word();
  }

  /** In hexadecimal. */
  get traceId(): string {
    this.#writeTrace();
    return LINE.latin1Slice(TRACE_AT, TRACE_AT + 32);
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
    LINE[FLAG_AT] = 0x30 + (this.isSampled ? 1 : 0) + (this.isRandom ? 2 : 0);
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
    if (this.#first === null && (this.#only === null || this.#only === attempt)) {
      this.#only = attempt;
      this.#onlyHigh = idHigh;
      this.#onlyLow = idLow;
    } else this.#sendAgain(attempt, idHigh, idLow);
    this.#writeLine(idHigh, idLow);
    out.begin(TRACEPARENT);
    out.bytes(LINE, 0, LINE.length);
    out.end();
    if (this.traceState !== '') out.field('tracestate', this.traceState);
  }

  #sendAgain(attempt: TracedAttempt, idHigh: number, idLow: number): void {
    const known = this.#tryOf(attempt);
    if (known === null) this.#add(attempt, idHigh, idLow);
    else {
      known.idHigh = idHigh;
      known.idLow = idLow;
    }
  }

  attemptEnd(attempt: TracedAttempt, fault: FaultKind | null, isAbandoned: boolean, nowMs: number): void {
    if (attempt === this.#only && fault === null && !isAbandoned)
      this.#onlyTookUs = Math.round((nowMs - attempt.startedMs) * 1_000);
    else this.attemptEndIn(null, attempt, fault, isAbandoned, nowMs);
  }

  attemptEndIn(
    part: TracedPart | null,
    attempt: TracedAttempt,
    fault: FaultKind | null,
    isAbandoned: boolean,
    nowMs: number,
  ): void {
    // Nothing was sent: no service was sent an id.
    const ended = this.#tryOf(attempt) ?? this.#add(attempt, this.#ids.word(), this.#ids.word());
    if (ended === null) return;
    ended.end(part, this.#endedIn(part), nowMs, fault === null ? '' : fault.reason, isAbandoned);
  }

  /** Nearly always the only one. */
  get first(): TracedTry | null {
    const only = this.#only;
    if (only === null) return this.#first;
    const first = new TracedTry(only, this.#onlyHigh, this.#onlyLow);
    if (this.#onlyTookUs >= 0) first.end(null, 0, only.startedMs + this.#onlyTookUs / 1_000, '', false);
    this.#first = first;
    this.#only = null;
    return first;
  }

  get others(): readonly TracedTry[] | null {
    return this.#rare === null ? null : this.#rare.others;
  }

  get inner(): readonly InnerSpan[] | null {
    return this.#rare === null ? null : this.#rare.inner;
  }

  #tryOf(attempt: TracedAttempt): TracedTry | null {
    const { first } = this;
    if (first?.attempt === attempt) return first;
    return this.others?.find((each) => each.attempt === attempt) ?? null;
  }

  /** Null: there are too many to be recorded. */
  #add(attempt: TracedAttempt, idHigh: number, idLow: number): TracedTry | null {
    const made = new TracedTry(attempt, idHigh, idLow);
    if (this.first === null) {
      this.#first = made;
      return made;
    }
    this.#rare ??= new Rare();
    this.#rare.others ??= [];
    if (this.#rare.others.length >= MOST_INNER - 1) return null;
    this.#rare.others.push(made);
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

  /** A policy asks a host at this time. */
  get isAsking(): boolean {
    return this.#rare !== null && this.#rare.asked !== '';
  }

  /**
   * A policy asks a host: the `traceparent` of its question, which names the span that `addPolicy` will add. One that
   * asks again before that has one span all the same, with the host that it asked first.
   */
  ask(host: string): string {
    this.#rare ??= new Rare();
    const rare = this.#rare;
    if (rare.asked === '') {
      rare.asked = host;
      rare.askedHigh = this.#ids.word();
      rare.askedLow = this.#ids.word();
    }
    this.#writeLine(rare.askedHigh, rare.askedLow);
    return LINE.latin1Slice(0, LINE.length);
  }

  /** A policy that was waited for, or computed for long: it began at `startMs` and ended now. */
  addPolicy(phase: string, policy: string, startMs: number, nowMs: number, failed: string): void {
    this.#rare ??= new Rare();
    const rare = this.#rare;
    const host = rare.asked;
    const idHigh = host === '' ? this.#ids.word() : rare.askedHigh;
    const idLow = host === '' ? this.#ids.word() : rare.askedLow;
    rare.asked = '';
    this.#addInner({ idHigh, idLow, name: phase, policy, host, startMs, endMs: nowMs, failed });
  }

  addPart(idHigh: number, idLow: number, name: string, startMs: number, endMs: number, failed: string): void {
    this.#addInner({ idHigh, idLow, name, policy: '', host: '', startMs, endMs, failed });
  }

  #addInner(span: InnerSpan): void {
    this.#rare ??= new Rare();
    this.#rare.inner ??= [];
    if (this.#rare.inner.length < MOST_INNER) this.#rare.inner.push(span);
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
