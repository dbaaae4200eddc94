/**
 * One request of JSON over HTTP that is a call of gRPC to the service: a source of its response, between the call to
 * the service (upstream-call.ts) and who takes the response. A response of one message has its status in HTTP; a stream
 * begins with its first message and says at its end how it went.
 */
import { FAULTS, Fault } from '../../base/errors.ts';
import { httpStatusOf } from '../../base/grpc-status.ts';
import { WireFault } from '../../base/protobuf/wire.ts';
import { fieldErrors } from '../content/violation.ts';
import { FieldBlock } from '../contract/field-block.ts';
import type { Reply } from '../contract/policy.ts';
import { MessageFraming, UNKNOWN_LENGTH } from '../parser/framing.ts';
import { Head } from '../parser/head.ts';
import { HeadBuilder } from '../parser/head-builder.ts';
import type { Bound } from '../transcode/binding-table.ts';
import { MessageReader } from '../transcode/message-reader.ts';
import { retrySeconds } from '../transcode/status.ts';
import type { Content, Transcoder } from '../transcode/transcoder.ts';
import type { Source } from '../wire/sources.ts';
import type { Attempt, UpstreamService } from './attempt.ts';
import type { Exchange } from './exchange.ts';
import { authorityOf } from './forwarding.ts';
import { grpcCode, isGrpcType, PREVIOUS_ATTEMPTS, readCode, timeoutText } from './grpc.ts';
import { MetadataWriter } from './metadata-writer.ts';
import type { OutgoingRequest } from './outgoing-request.ts';
import { RequestBody } from './request-body.ts';
import { authorityFor } from './request-head.ts';
import type { ResponseHandler, ResponseSource } from './response-source.ts';
import { UpstreamCall } from './upstream-call.ts';
import type { UpstreamStream } from './upstream-stream.ts';

const INTERNAL = 13;
const MAX_FIELDS = 256;
const MAX_HEAD_BYTES = 262_144;

/** Of the response in gRPC and not of the one in HTTP. */
const NOT_RETURNED = /^(content-type|content-length|grpc-.*|trailer|accept-encoding|.*-bin)$/i;

/** Handed on before the next one is made, so one for all will do. */
const head = new Head(MAX_FIELDS);
const headMemory = Buffer.allocUnsafeSlow(4_096);
const framing = new MessageFraming();

export interface TranscodedParts {
  readonly transcoder: Transcoder;
  readonly bound: Bound;
  readonly service: UpstreamService;
  readonly maxMessageBytes: number;
}

export class TranscodedCall implements ResponseSource, ResponseHandler {
  /** Nothing that comes from the service is handed on as it is. */
  readonly holder = null;
  readonly #exchange: Exchange;
  readonly #parts: TranscodedParts;
  readonly #handler: ResponseHandler;
  readonly #reader: MessageReader;
  readonly #isEvents: boolean;
  #call: UpstreamCall | null = null;
  #metadata: (readonly [string, string])[] = [];
  /** Of a call that ended with its head. */
  #statusInHead: FieldBlock | null = null;
  /** The one message of a response that is no stream. */
  #content: Content | null = null;
  #headSent = false;
  #isOver = false;

  constructor(exchange: Exchange, parts: TranscodedParts, handler: ResponseHandler) {
    this.#exchange = exchange;
    this.#parts = parts;
    this.#handler = handler;
    this.#reader = new MessageReader(parts.maxMessageBytes, (message) => this.#onMessage(message));
    this.#isEvents = /\btext\/event-stream\b/i.test(exchange.header('accept') ?? '');
    exchange.logField('rpc', parts.bound.binding.rpc);
  }

  start(nowMs: number): void {
    if (this.#exchange.body.length === 0) {
      this.#ask(NO_BODY, nowMs);
      return;
    }
    const { maxRequestBytes } = this.#exchange.route!.settings;
    this.#exchange.takesTime();
    this.#exchange.readBody(maxRequestBytes).then(
      (body) => {
        // The memory of a request that is over may be that of another one.
        if (this.#isOver || this.#exchange.isDone) return;
        this.#ask(body, this.#exchange.runtime.clock.monotonicMs());
        this.#handler.flush();
      },
      (error: unknown) => {
        if (this.#isOver) return;
        this.#fail(error instanceof Fault ? error : new Fault(FAULTS.internal, { cause: String(error) }));
        this.#handler.flush();
      },
    );
  }

  #ask(body: Buffer, nowMs: number): void {
    const exchange = this.#exchange;
    const { bound, service, transcoder } = this.#parts;
    const message = transcoder.request(bound, exchange.upstreamQuery ?? '', body, exchange.header('content-type'));
    if (!Buffer.isBuffer(message)) {
      this.#fail(new Fault(FAULTS.invalidRequest, { fields: fieldErrors(message) }));
      return;
    }
    exchange.readDeadline();
    const request = new TranscodedRequest(exchange, bound.binding.rpc);
    const whole = RequestBody.whole([message]);
    this.#call = new UpstreamCall(exchange.runtime, exchange.live, service, request, whole, this);
    exchange.call = this.#call;
    this.#call.start(nowMs);
  }

  resume(): void {
    this.#call?.resume();
  }

  abandon(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#call?.abandon();
  }

  // --- the service's response ----------------------------------------------------------------------------------------

  onInterim(): void {}

  onHead(got: Head, { bodyLength }: MessageFraming): void {
    if (this.#isOver) return;
    if (got.status !== 200 || !isGrpcType(got.valueOf('content-type'))) {
      this.#giveUp(new Fault(FAULTS.upstreamMalformed, { cause: `status ${got.status}, and no gRPC` }));
      return;
    }
    for (let i = 0; i < got.count; i++)
      if (!NOT_RETURNED.test(got.name(i))) this.#metadata.push([got.name(i), got.value(i)]);
    if (bodyLength !== 0) return;
    const status = ['grpc-status', 'grpc-message', 'grpc-status-details-bin'].flatMap((name) => {
      const value = got.valueOf(name);
      return value === null ? [] : [[name, value] as const];
    });
    this.#statusInHead = FieldBlock.of(status);
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    if (this.#isOver) return;
    let problem: string | null;
    try {
      problem = this.#reader.push(bytes, start, end);
    } catch (error) {
      if (!(error instanceof WireFault)) throw error;
      problem = `not a ${this.#parts.bound.binding.output}: ${error.message}`;
    }
    if (problem !== null) this.#giveUp(new Fault(FAULTS.upstreamMalformed, { cause: problem }));
  }

  #onMessage(message: Buffer): void {
    const { bound, transcoder } = this.#parts;
    const { binding } = bound;
    if (!binding.serverStreams) {
      if (this.#content !== null) throw new WireFault('a second message where one is expected');
      this.#content = transcoder.response(binding, message);
      return;
    }
    const content = transcoder.response(binding, message);
    const isRaw = content.type !== 'application/json';
    if (!this.#headSent) this.#sendHead(200, isRaw ? content.type : this.#streamType, UNKNOWN_LENGTH, []);
    this.#send(isRaw ? content.bytes : this.#piece(content.bytes));
  }

  get #streamType(): string {
    return this.#isEvents ? 'text/event-stream' : 'application/x-ndjson';
  }

  #piece(json: Buffer): Buffer {
    return this.#isEvents
      ? Buffer.concat([Buffer.from('data: '), json, Buffer.from('\n\n')])
      : Buffer.concat([json, Buffer.from('\n')]);
  }

  onEnd(trailers: FieldBlock | null): void {
    if (this.#isOver) return;
    const status = trailers ?? this.#statusInHead;
    const code = readCode(status?.valueOf('grpc-status') ?? null);
    this.#exchange.logField('grpc_status', code < 0 ? INTERNAL : code);
    if (code !== 0) {
      const message = code < 0 ? 'the service ended the call without a status' : status!.valueOf('grpc-message');
      this.#endWith(code < 0 ? INTERNAL : code, message, status?.valueOf('grpc-status-details-bin') ?? null);
      return;
    }
    for (const [i, name] of (trailers?.names ?? []).entries())
      if (!NOT_RETURNED.test(name)) this.#metadata.push([name, trailers!.values[i]!]);
    if (this.#parts.bound.binding.serverStreams) {
      if (!this.#reader.isAtEnd) this.#endWith(INTERNAL, 'the service ended in the middle of a message', null);
      else {
        if (!this.#headSent) this.#sendHead(200, this.#streamType, UNKNOWN_LENGTH, []);
        this.#finish();
      }
    } else if (this.#content === null) this.#endWith(INTERNAL, 'the service sent no message', null);
    else this.#sendWhole(200, this.#content, []);
  }

  /** Not OK: a response of its own where nothing was sent, else the last piece and a broken end. */
  #endWith(code: number, message: string | null, details: string | null): void {
    const status = this.#parts.transcoder.status(code, message, details);
    const json = Buffer.from(JSON.stringify(status), 'utf8');
    if (this.#headSent) {
      this.#sendError(json);
      this.#fail(new Fault(FAULTS.upstreamReset, { cause: `grpc-status ${code}` }));
      return;
    }
    const http = httpStatusOf(code);
    const seconds = http === 429 || http === 503 ? retrySeconds(status) : -1;
    const more = seconds < 0 ? [] : [['Retry-After', `${seconds}`] as const];
    this.#sendWhole(http, { type: 'application/json', bytes: json }, more);
  }

  #sendError(status: Buffer): void {
    const json = Buffer.concat([Buffer.from('{"error":'), status, Buffer.from('}')]);
    this.#send(this.#isEvents ? Buffer.concat([Buffer.from('event: error\n'), this.#piece(json)]) : this.#piece(json));
    this.#handler.flush();
  }

  onReply(reply: Reply): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#handler.onReply(reply);
  }

  onUpgraded(): void {
    this.#giveUp(new Fault(FAULTS.upstreamMalformed));
  }

  onFault(fault: Fault): void {
    if (this.#isOver) return;
    if (this.#headSent) {
      const status = this.#parts.transcoder.status(grpcCode(fault.kind.status), fault.kind.message, null);
      this.#sendError(Buffer.from(JSON.stringify(status), 'utf8'));
    }
    this.#fail(fault);
  }

  onRequestDrain(): void {}

  flush(): boolean {
    return this.#handler.flush();
  }

  // --- what goes to the client
  // -----------------------------------------------------------------------------------------

  #sendWhole(status: number, { type, bytes }: Content, more: readonly (readonly [string, string])[]): void {
    this.#sendHead(status, type, bytes.length, [...more, ['Content-Length', `${bytes.length}`]]);
    if (bytes.length > 0) this.#send(bytes);
    this.#finish();
  }

  #sendHead(status: number, type: string, length: number, more: readonly (readonly [string, string])[]): void {
    this.#headSent = true;
    const builder = new HeadBuilder(head, headMemory, MAX_HEAD_BYTES);
    builder.response(status);
    builder.field('Content-Type', type);
    for (const [name, value] of [...more, ...this.#metadata]) builder.field(name, value);
    builder.end();
    framing.bodyLength = length;
    framing.lengthGiven = length !== UNKNOWN_LENGTH;
    framing.nominated = null;
    this.#handler.onHead(head, framing);
  }

  #send(bytes: Buffer): void {
    this.#handler.onBody(bytes, 0, bytes.length);
  }

  #finish(): void {
    this.#isOver = true;
    this.#handler.onEnd(null);
  }

  #giveUp(fault: Fault): void {
    if (this.#isOver) return;
    this.#call?.abandon();
    this.onFault(fault);
  }

  #fail(fault: Fault): void {
    this.#isOver = true;
    this.#handler.onFault(fault);
  }
}

const NO_BODY = Buffer.alloc(0);
const CALL_FIELDS = FieldBlock.of([
  ['Content-Type', 'application/grpc'],
  ['Grpc-Accept-Encoding', 'identity'],
]);

/** The call as it goes to an instance: the client's fields are its metadata. */
class TranscodedRequest implements OutgoingRequest {
  readonly upgrade = '';
  readonly bodyInHand = false;
  readonly query = '';
  readonly path: string;
  readonly #exchange: Exchange;

  constructor(exchange: Exchange, rpc: string) {
    this.#exchange = exchange;
    this.path = rpc;
  }

  /** That of the client: a call that a GET makes may be made again like any GET. */
  get method(): string {
    return this.#exchange.method;
  }

  get hasIdempotencyKey(): boolean {
    return this.#exchange.hasIdempotencyKey;
  }

  get deadlineMs(): number {
    return this.#exchange.deadlineMs;
  }

  get address(): string {
    return this.#exchange.address;
  }

  get source(): Source {
    return this.#exchange.source;
  }

  get observer(): Exchange['observer'] {
    return this.#exchange.observer;
  }

  get subject(): string | null {
    return this.#exchange.subject;
  }

  header(name: string): string | null {
    return this.#exchange.header(name);
  }

  cookie(name: string): string | null {
    return this.#exchange.cookie(name);
  }

  writeHead(stream: UpstreamStream, attempt: Attempt): void {
    const exchange = this.#exchange;
    const { endpoint, service } = attempt;
    const { settings } = endpoint;
    const authority = authorityFor(exchange, service) ?? authorityOf(settings);
    const out = stream.begin(attempt, 'POST', authority, settings.basePath, this.path, null, '');
    exchange.writeForwardedFields(new MetadataWriter(out));
    out.fields(CALL_FIELDS);
    exchange.trace?.send(out, attempt);
    const { totalMs } = service.settings.timeouts;
    const leftMs = exchange.deadlineMs > 0 ? exchange.remainingMs : totalMs > 0 ? totalMs - exchange.elapsedMs : 0;
    if (leftMs > 0) out.field('grpc-timeout', timeoutText(leftMs));
    if (exchange.previousAttempts > 0) out.field(PREVIOUS_ATTEMPTS, `${exchange.previousAttempts}`);
    stream.endHead(UNKNOWN_LENGTH, false, true);
  }
}
