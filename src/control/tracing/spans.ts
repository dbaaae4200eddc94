/**
 * Records of workers as spans: one for the exchange, one for each attempt at a service, one for each part of a
 * composition and for policies that were waited for. Names and attributes are those of the semantic conventions for
 * HTTP, pinned by `SCHEMA_URL`; what they do not know is below `gatehouse.`. Written as the bytes of OTLP at once.
 */
import { WireWriter } from '../../base/protobuf/wire.ts';
import type { AttemptRecord, InnerRecord, TraceRecord } from '../../data/contract/tracing.ts';
import { type AttributeValue, type SpanBatch, tag, writeAttribute } from './span-batch.ts';

export const SCHEMA_URL = 'https://opentelemetry.io/schemas/1.45.0';

/** `SpanKind` and `Status.StatusCode` of OTLP. */
const INTERNAL = 1;
const SERVER = 2;
const CLIENT = 3;
const STATUS_ERROR = 2;

const SPAN = tag(2, 2);
const TRACE_ID = tag(1, 2);
const SPAN_ID = tag(2, 2);
const TRACE_STATE = tag(3, 2);
const PARENT_ID = tag(4, 2);
const NAME = tag(5, 2);
const KIND = tag(6, 0);
const START = tag(7, 1);
const END = tag(8, 1);
const ATTRIBUTE = tag(9, 2);
const STATUS = tag(15, 2);
const STATUS_CODE = tag(3, 0);
const FLAGS = tag(16, 5);
/** `SpanFlags`: sampled, and whether the parent is another's is known, and so. */
const OWN_PARENT = 0x101;
const REMOTE_PARENT = 0x301;

const KNOWN_METHODS = new Set([
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'CONNECT',
  'OPTIONS',
  'TRACE',
  'PATCH',
  'QUERY',
]);
const REASONS = { s: 'sampled', e: 'error', l: 'slow' } as const;

/** Host and port of an instance, as far as the live configuration knows it. */
export type InstanceAddress = (
  service: string,
  instance: string,
) => { readonly host: string; readonly port: number; readonly url: string } | undefined;

/** How many spans a record is. */
export function spansIn(record: TraceRecord): number {
  return 1 + record[22].length + record[23].length;
}

/** Gathers spans until they are taken as a batch. */
export class SpanWriter {
  readonly #out = new WireWriter(64 * 1_024);
  readonly #addressOf: InstanceAddress;
  #spans = 0;
  /** Of the record that is being written. */
  #traceId = '';
  #traceState = '';
  #startWallMs = 0;

  constructor(addressOf: InstanceAddress) {
    this.#addressOf = addressOf;
  }

  get spans(): number {
    return this.#spans;
  }

  /** What was written since the last time. */
  take(): SpanBatch {
    const batch = { bytes: this.#out.done(), spans: this.#spans };
    this.#out.reset();
    this.#spans = 0;
    return batch;
  }

  add(record: TraceRecord): void {
    this.#traceId = record[0];
    this.#traceState = record[3];
    this.#startWallMs = record[5];
    this.#exchange(record);
    for (const inner of record[23]) this.#inner(inner, record[1]);
    for (const attempt of record[22]) this.#attempt(attempt, record);
  }

  #exchange(record: TraceRecord): void {
    const [, spanId, parentId, , reason, , durationMs, method, scheme, host, path, pattern, routeId, status, fault] =
      record;
    const [address, protocol, requestId, userAgent] = [record[15], record[16], record[17], record[18]];
    const failed = status >= 500 || (fault !== '' && status < 400);
    const name = pattern === '' ? methodName(method) : `${methodName(method)} ${pattern}`;
    const span = this.#begin(name, SERVER, spanId, parentId, true, 0, durationMs);
    this.#method(method);
    this.#attribute('url.scheme', scheme);
    this.#attribute('url.path', path);
    this.#text('http.route', pattern);
    this.#text('server.address', host);
    this.#attribute('client.address', address);
    this.#attribute('network.protocol.version', protocol);
    this.#text('user_agent.original', userAgent);
    this.#attribute('http.response.status_code', status);
    if (failed) this.#attribute('error.type', fault === '' ? `${status}` : fault);
    this.#attribute('http.request.body.size', record[20]);
    this.#attribute('http.response.body.size', record[21]);
    this.#text('gatehouse.route', routeId);
    this.#attribute('gatehouse.request_id', requestId);
    this.#attribute('gatehouse.recorded', REASONS[reason]);
    this.#text('gatehouse.fault', fault);
    this.#end(span, failed);
  }

  #attempt(attempt: AttemptRecord, record: TraceRecord): void {
    const [spanId, parentId, service, instance, startMs, durationMs, firstByteMs, status, fault, resends, reused] =
      attempt;
    const method = record[7];
    const upstreamPath = record[19];
    const at = this.#addressOf(service, instance);
    const isPart = parentId !== '';
    const failed = fault !== '' ? fault !== 'abandoned' : status >= 400;
    const parent = isPart ? parentId : record[1];
    const span = this.#begin(methodName(method), CLIENT, spanId, parent, false, startMs, durationMs);
    // Parts have methods and paths of their own, which records do not carry.
    if (!isPart) this.#method(method);
    if (at !== undefined) {
      this.#attribute('server.address', at.host);
      this.#attribute('server.port', at.port);
      if (!isPart && upstreamPath !== '') this.#attribute('url.full', at.url.replace(/\/$/, '') + upstreamPath);
    }
    if (status !== 0) this.#attribute('http.response.status_code', status);
    if (resends !== 0) this.#attribute('http.request.resend_count', resends);
    if (failed) this.#attribute('error.type', fault === '' ? `${status}` : fault);
    this.#attribute('gatehouse.service', service);
    this.#attribute('gatehouse.instance', instance);
    if (firstByteMs !== 0) this.#attribute('gatehouse.first_byte_ms', firstByteMs);
    this.#attribute('gatehouse.connection.reused', reused === 1);
    if (fault === 'abandoned') this.#attribute('gatehouse.abandoned', true);
    this.#end(span, failed);
  }

  #inner([spanId, name, startMs, durationMs, failed]: InnerRecord, parentId: string): void {
    const span = this.#begin(name, INTERNAL, spanId, parentId, false, startMs, durationMs);
    this.#text('error.type', failed);
    this.#end(span, failed !== '');
  }

  /** Give the result to `#end`. Times are milliseconds after the exchange began. */
  #begin(
    name: string,
    kind: number,
    spanId: string,
    parentId: string,
    isRemote: boolean,
    startMs: number,
    durationMs: number,
  ): number {
    const out = this.#out;
    this.#spans++;
    out.varint(SPAN);
    const span = out.begin();
    out.varint(TRACE_ID);
    out.hex(this.#traceId);
    out.varint(SPAN_ID);
    out.hex(spanId);
    if (this.#traceState !== '') {
      out.varint(TRACE_STATE);
      out.text(this.#traceState);
    }
    if (parentId !== '') {
      out.varint(PARENT_ID);
      out.hex(parentId);
    }
    out.varint(NAME);
    out.text(name);
    out.varint(KIND);
    out.varint(kind);
    const fromMs = this.#startWallMs + startMs;
    out.varint(START);
    out.nanoseconds(fromMs);
    out.varint(END);
    out.nanoseconds(fromMs + durationMs);
    out.varint(FLAGS);
    out.fixed32(parentId !== '' && isRemote ? REMOTE_PARENT : OWN_PARENT);
    return span;
  }

  #end(span: number, failed: boolean): void {
    const out = this.#out;
    if (failed) {
      out.varint(STATUS);
      const status = out.begin();
      out.varint(STATUS_CODE);
      out.varint(STATUS_ERROR);
      out.end(status);
    }
    out.end(span);
  }

  #method(method: string): void {
    const isKnown = KNOWN_METHODS.has(method);
    this.#attribute('http.request.method', isKnown ? method : '_OTHER');
    if (!isKnown) this.#attribute('http.request.method_original', method);
  }

  #attribute(key: string, value: AttributeValue): void {
    writeAttribute(this.#out, ATTRIBUTE, key, value);
  }

  /** None where there is none. */
  #text(key: string, value: string): void {
    if (value !== '') this.#attribute(key, value);
  }
}

function methodName(method: string): string {
  return KNOWN_METHODS.has(method) ? method : 'HTTP';
}
