/**
 * Finished exchanges as spans: one for the exchange, one for each attempt, one for each part of a composition and for
 * policies that were waited for. Written as the bytes of OTLP at once: objects of spans, or records that another thread
 * makes spans of, would cost several times as much. What is the same from span to span is copied (span-fields.ts).
 */
import { grpcStatusOf, httpStatusOf } from '../../base/grpc-status.ts';
import { DOUBLE, TEXT, VALUE, WHOLE, writeAttribute } from '../../base/protobuf/attributes.ts';
import { putNanoseconds, putWord, WireWriter } from '../../base/protobuf/wire.ts';
import type { DeliveryMark } from '../contract/service-calls.ts';
import type { ExchangeTrace, InnerSpan, TracedPart, TracedTry } from './exchange-trace.ts';
import * as fields from './span-fields.ts';

/** Characters of paths; the whole of them is in the access log. */
const MOST_PATH = 2_048;

const URL_PATH = fields.keyOf('url.path');
const URL_FULL = fields.keyOf('url.full');
const REQUEST_ID = fields.keyOf('gatehouse.request_id');
/** What stands before a request id; its three lengths, each of one byte, are written each time. */
const ID_LEAD = Buffer.concat([Buffer.from([fields.ATTRIBUTE, 0]), REQUEST_ID, Buffer.from([VALUE, 0, TEXT, 0])]);
const NOTHING_IN = fields.attribute('http.request.body.size', 0);
const BYTES_IN = fields.keyOf('http.request.body.size');
const BYTES_OUT = fields.keyOf('http.response.body.size');
const FIRST_BYTE = fields.keyOf('gatehouse.first_byte_ms');
const NO_BASE = Buffer.alloc(0);
/** Its tag and eight bytes. */
const DOUBLE_BYTES = 9;
/** Tag and room for the length of a span, its trace, its own id, start and end. */
const HEAD_BYTES = 50;
const PARENT_BYTES = 10;
/** Up to here all lengths of an attribute are one byte. */
const SHORT = 90;

/** An exchange that ended, as far as spans tell of it. */
export interface FinishedExchange {
  readonly trace: ExchangeTrace;
  /** Attributes of who asked (`clientPart`). */
  readonly client: Buffer;
  /** Why it is recorded: `s` sampled, `e` error, `l` slow. */
  readonly reason: 's' | 'e' | 'l';
  readonly status: number;
  /** Monotonic. */
  readonly startedMs: number;
  readonly elapsedMs: number;
  /** Time of day when it ended. */
  readonly wallMs: number;
  readonly method: string;
  readonly path: string;
  readonly upstreamPath: string;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  /** How a gRPC call ended; -1 for what is none. */
  readonly grpcStatus: number;
  /** Empty: none. */
  readonly fault: string;
  readonly route: fields.TracedRoute | null;
  /** Empty: it is `idBytes[idAt, idAt + idLength)`. */
  readonly requestId: string;
  /** Latin-1, and used for another one once this was written. */
  readonly idBytes: Buffer;
  readonly idAt: number;
  /** 0: there is none. */
  readonly idLength: number;
  /** It is no exchange but an attempt to deliver an event; null: it is one. */
  readonly delivery: DeliveryMark | null;
}

/** How many spans `add` will write. */
export function spansOf({ trace: { first, others, inner } }: FinishedExchange): number {
  let count = 1 + (inner === null ? 0 : inner.length);
  if (first !== null && first.endMs >= 0) count++;
  if (others !== null) for (const each of others) if (each.endMs >= 0) count++;
  return count;
}

/** Writes spans to the memory that it is opened with. */
export class SpanWriter {
  readonly #out = new WireWriter(0);
  readonly #routes = new fields.RouteParts();
  readonly #instances = new fields.InstanceParts();
  readonly #joinedExchange = new fields.JoinedParts();
  readonly #joinedAttempt = new fields.JoinedParts();
  #memory: Buffer = NO_BASE;
  /** Where spans begin in it. */
  #from = 0;
  /** Where they have to end. */
  #to = 0;
  #spans = 0;
  /** Of the exchange that is being written. */
  #trace!: ExchangeTrace;
  #wallOffsetMs = 0;

  /** Spans go to `memory[from, to)`. */
  open(memory: Buffer, from: number, to: number): void {
    this.#memory = memory;
    this.#from = from;
    this.#to = to;
    this.#spans = 0;
    this.#out.over(memory, from);
  }

  get spans(): number {
    return this.#spans;
  }

  /** Bytes. */
  get length(): number {
    return this.#out.length - this.#from;
  }

  /** They outgrew the memory, and are not whole in it. */
  get isOver(): boolean {
    return this.#out.length > this.#to || this.#out.memory !== this.#memory;
  }

  add(exchange: FinishedExchange): void {
    const { trace, wallMs, startedMs, elapsedMs } = exchange;
    this.#trace = trace;
    this.#wallOffsetMs = wallMs - elapsedMs - startedMs;
    this.#exchange(exchange);
    const { first, others, inner } = trace;
    if (inner !== null) for (const each of inner) this.#inner(each, exchange);
    if (first !== null && first.endMs >= 0) this.#attempt(first, exchange);
    if (others !== null) for (const each of others) if (each.endMs >= 0) this.#attempt(each, exchange);
  }

  #exchange(exchange: FinishedExchange): void {
    const { client, reason, status, startedMs, elapsedMs, fault, grpcStatus, delivery } = exchange;
    const out = this.#out;
    const trace = this.#trace;
    const isCall = grpcStatus >= 0;
    const isRefused = delivery !== null && status >= 300;
    const hasFailed =
      isRefused || (isCall ? httpStatusOf(grpcStatus) >= 500 : status >= 500 || (fault !== '' && status < 400));
    const span = this.#begin(trace.idHigh, trace.idLow, startedMs, startedMs + elapsedMs);
    if (trace.parentId !== '') {
      out.varint(fields.PARENT_ID);
      out.hex(trace.parentId);
    }
    const flags = fields.flagsPart(trace.parentId !== '', trace.isRandom);
    const recorded = fields.RECORDED[reason];
    if (delivery === null) {
      const route = this.#routes.of(exchange.route, exchange.method);
      out.raw(this.#joinedExchange.of(flags, route, fields.statusPart(status), recorded));
      out.raw(client);
    } else {
      out.raw(flags);
      this.#delivery(delivery, exchange.method);
      out.raw(fields.statusPart(status));
      out.raw(recorded);
    }
    this.#text(URL_PATH, NO_BASE, exchange.path);
    if (exchange.idLength > 0) this.#id(exchange);
    else if (exchange.requestId !== '') this.#text(REQUEST_ID, NO_BASE, exchange.requestId);
    if (exchange.bytesReceived === 0) out.raw(NOTHING_IN);
    else this.#whole(BYTES_IN, exchange.bytesReceived);
    this.#whole(BYTES_OUT, exchange.bytesSent);
    if (isCall) this.#call(grpcStatus);
    if (hasFailed) this.#attribute('error.type', fault === '' ? nameOf(status, grpcStatus) : fault);
    if (fault !== '') this.#attribute('gatehouse.fault', fault);
    if (hasFailed) out.raw(fields.FAILED);
    out.endLong(span);
  }

  /** An attempt to deliver an event, by the semantic conventions for messaging. */
  #delivery({ consumer, stream, event, attempt }: DeliveryMark, method: string): void {
    fields.writeDelivery(this.#out, stream, method);
    this.#attribute('messaging.destination.name', stream);
    this.#attribute('messaging.consumer.group.name', consumer);
    this.#attribute('messaging.message.id', event);
    this.#attribute('gatehouse.delivery.attempt', attempt);
  }

  #attempt(done: TracedTry, exchange: FinishedExchange): void {
    const out = this.#out;
    const { part, fault, resends, status, grpcStatus, firstByteMs } = done;
    const { attributes, base } = this.#instances.of(done.service, done.instance);
    // Of a client's span each status but OK is an error, as each from 400 on of HTTP.
    const hasFailed = fault !== '' || status >= 400 || grpcStatus > 0;
    const span = this.#begin(done.idHigh, done.idLow, done.startedMs, done.endMs);
    this.#ownParent(part);
    // Parts have methods and paths of their own, which are not kept.
    const named = part === null ? fields.attemptPart(exchange.method) : fields.PART_ATTEMPT;
    const statusPart = status === 0 ? NO_BASE : fields.statusPart(grpcStatus >= 0 ? 200 : status);
    const reused = done.isReused ? fields.REUSED : fields.NOT_REUSED;
    out.raw(this.#joinedAttempt.of(named, attributes, statusPart, reused));
    if (part === null && exchange.upstreamPath !== '') this.#text(URL_FULL, base, exchange.upstreamPath);
    const sentBefore = resends + (exchange.delivery === null ? 0 : exchange.delivery.attempt - 1);
    if (sentBefore !== 0) this.#attribute('http.request.resend_count', sentBefore);
    if (grpcStatus >= 0) this.#call(grpcStatus);
    if (hasFailed) this.#attribute('error.type', fault === '' ? nameOf(status, grpcStatus) : fault);
    if (firstByteMs !== 0) this.#double(FIRST_BYTE, firstByteMs);
    if (done.isAbandoned && fault === '') out.raw(fields.ABANDONED);
    if (hasFailed) out.raw(fields.FAILED);
    out.endLong(span);
  }

  #inner({ idHigh, idLow, name, policy, host, startMs, endMs, failed }: InnerSpan, { route }: FinishedExchange): void {
    const out = this.#out;
    const span = this.#begin(idHigh, idLow, startMs, endMs);
    this.#ownParent(null);
    out.raw(fields.innerPart(name));
    if (policy !== '') {
      this.#attribute('gatehouse.policy', policy);
      if (route !== null) this.#attribute('gatehouse.route', route.settings.id);
    }
    if (host !== '') this.#attribute('server.address', host);
    if (failed !== '') {
      this.#attribute('error.type', failed);
      out.raw(fields.FAILED);
    }
    out.endLong(span);
  }

  /** Give the result to `endLong`. Times are monotonic. */
  #begin(idHigh: number, idLow: number, startMs: number, endMs: number): number {
    const out = this.#out;
    const { trace0, trace1, trace2, trace3, traceState } = this.#trace;
    this.#spans++;
    const at = out.claim(HEAD_BYTES);
    const bytes = out.memory;
    bytes[at] = fields.SPAN;
    // Three bytes of its length: `endLong`.
    bytes[at + 4] = fields.TRACE_ID;
    bytes[at + 5] = 16;
    putWord(bytes, at + 6, trace0);
    putWord(bytes, at + 10, trace1);
    putWord(bytes, at + 14, trace2);
    putWord(bytes, at + 18, trace3);
    bytes[at + 22] = fields.SPAN_ID;
    bytes[at + 23] = 8;
    putWord(bytes, at + 24, idHigh);
    putWord(bytes, at + 28, idLow);
    bytes[at + 32] = fields.START;
    putNanoseconds(bytes, at + 33, this.#wallOffsetMs + startMs);
    bytes[at + 41] = fields.END;
    putNanoseconds(bytes, at + 42, this.#wallOffsetMs + endMs);
    if (traceState !== '') {
      out.varint(fields.TRACE_STATE);
      out.text(traceState);
    }
    return at + 4;
  }

  /** Null: the exchange itself. */
  #ownParent(part: TracedPart | null): void {
    const out = this.#out;
    const { idHigh, idLow } = part ?? this.#trace;
    const at = out.claim(PARENT_BYTES);
    const bytes = out.memory;
    bytes[at] = fields.PARENT_ID;
    bytes[at + 1] = 8;
    putWord(bytes, at + 2, idHigh);
    putWord(bytes, at + 6, idLow);
    out.raw(fields.flagsPart(false, this.#trace.isRandom));
  }

  #call(grpcStatus: number): void {
    this.#out.raw(fields.GRPC);
    this.#attribute('rpc.response.status_code', grpcStatusOf(grpcStatus));
  }

  #attribute(key: string, value: string | number): void {
    writeAttribute(this.#out, fields.ATTRIBUTE, key, value);
  }

  #id({ idBytes, idAt, idLength }: FinishedExchange): void {
    const lead = ID_LEAD.length;
    if (lead + idLength >= SHORT) {
      this.#text(REQUEST_ID, NO_BASE, idBytes.latin1Slice(idAt, idAt + idLength));
      return;
    }
    const at = this.#out.claim(lead + idLength);
    const bytes = this.#out.memory;
    for (let i = 0; i < lead; i++) bytes[at + i] = ID_LEAD[i]!;
    bytes[at + 1] = lead - 2 + idLength;
    bytes[at + lead - 3] = idLength + 2;
    bytes[at + lead - 1] = idLength;
    for (let i = 0; i < idLength; i++) bytes[at + lead + i] = idBytes[idAt + i]!;
  }

  /** `base` and `text` as one value. */
  #text(key: Buffer, base: Buffer, text: string): void {
    const out = this.#out;
    const length = base.length + text.length;
    const lead = key.length + 6;
    if (lead + length < SHORT) {
      const start = out.length;
      const at = out.claim(lead);
      const bytes = out.memory;
      bytes[at] = fields.ATTRIBUTE;
      bytes[at + 1] = key.length + length + 4;
      for (let i = 0; i < key.length; i++) bytes[at + 2 + i] = key[i]!;
      bytes[at + lead - 4] = VALUE;
      bytes[at + lead - 3] = length + 2;
      bytes[at + lead - 2] = TEXT;
      bytes[at + lead - 1] = length;
      out.raw(base);
      if (out.rawAscii(text)) return;
      // It is longer than its characters.
      out.cut(start);
    }
    out.varint(fields.ATTRIBUTE);
    const pair = out.begin();
    out.raw(key);
    out.varint(VALUE);
    const value = out.begin();
    out.varint(TEXT);
    const whole = out.begin();
    out.raw(base);
    const cut = text.length > MOST_PATH ? text.slice(0, MOST_PATH) : text;
    if (!out.rawAscii(cut)) out.raw(Buffer.from(cut));
    out.end(whole);
    out.end(value);
    out.end(pair);
  }

  #whole(key: Buffer, number: number): void {
    const out = this.#out;
    out.varint(fields.ATTRIBUTE);
    const pair = out.begin();
    out.raw(key);
    out.varint(VALUE);
    const value = out.begin();
    out.varint(WHOLE);
    out.varint(number);
    out.end(value);
    out.end(pair);
  }

  #double(key: Buffer, number: number): void {
    const out = this.#out;
    out.varint(fields.ATTRIBUTE);
    const pair = out.begin();
    out.raw(key);
    out.varint(VALUE);
    out.varint(DOUBLE_BYTES);
    out.varint(DOUBLE);
    out.double(number);
    out.end(pair);
  }
}

/** Of what failed: its status. */
function nameOf(status: number, grpcStatus: number): string {
  return grpcStatus < 0 ? `${status}` : grpcStatusOf(grpcStatus);
}
