/**
 * The response of one exchange on its way to the client, wherever it comes from: a service, the cache, a handler, a
 * policy, a fault. In order: its head comes (`onHead`, or `onReply` for one made here) and is decorated by the
 * `responseHead` policies, the body passes, through filters where policies asked for them, and it ends. Whether there
 * is a response at all, and what becomes of a fault, is the exchange's to decide.
 */
import { Fault, messageOf } from '../../base/errors.ts';
import type { BodyFilter, ResponseFilterOptions } from '../contract/body-access.ts';
import { checkField, type FieldBlock } from '../contract/field-block.ts';
import type { Reply } from '../contract/policy.ts';
import { CONNECTION } from '../parser/field-names.ts';
import { MessageFraming, readResponseFraming, UNKNOWN_LENGTH } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';
import type { Downstream } from './downstream.ts';
import { isEventStreamType } from './event-stream.ts';
import type { Exchange } from './exchange.ts';
import { faultTrailers, INTERNAL, NO_STATUS, readCode, readTrailers } from './grpc.ts';
import type { GrpcWebCall } from './grpc-web.ts';
import { StreamedBody } from './reply-source.ts';
import { type ResponseBodyOwner, ResponseBodyWork } from './response-body-work.ts';
import { writeReplyFields, writeResponseFields } from './response-head.ts';
import type { ResponseHandler, ResponseSource } from './response-source.ts';
import { timeHook } from './trace-request.ts';
import type { BytesHolder } from './upstream-stream.ts';
import { acceptFor, KEY } from './websocket-handshake.ts';

export class OutgoingResponse implements ResponseHandler, ResponseBodyOwner {
  readonly #exchange: Exchange;
  readonly #downstream: Downstream;
  /** Where the response comes from; null until it is known, and where it was there at once. */
  source: ResponseSource | null = null;
  /** The client has the head of a response, so there can be no other. */
  isHeadSent = false;
  /** Bytes of the body. */
  bytesSent = 0;
  /** Among the streams that end with the credential of their caller. */
  isWatched = false;
  /** Null where the client does not speak gRPC-Web to a gRPC service. */
  web: GrpcWebCall | null = null;
  /** The response of a gRPC call is under way, whose status comes behind it. */
  #isCall = false;
  /** The client gets a status in any case. */
  #endsByStatus = false;
  /** Null as long as no policy touches the body. */
  #work: ResponseBodyWork | null = null;
  /** Of the response that is being decorated. */
  #bodyLength = UNKNOWN_LENGTH;
  /** The head that waits for what a filter makes of the body. */
  #heldHead: Head | null = null;
  #heldReply: Reply | null = null;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
    this.#downstream = exchange.downstream;
  }

  // --- the head --------------------------------------------------------------------------------------------------

  onInterim(head: Head): void {
    if (!this.isHeadSent) this.#downstream.sendInterim(head);
  }

  onHead(head: Head, framing: MessageFraming): void {
    const exchange = this.#exchange;
    const { attempt } = exchange;
    exchange.onServiceResponds();
    exchange.status = head.status;
    if (this.web !== null) this.web.onHead(head);
    else if (exchange.call?.service.settings.protocol === 'grpc') this.#onGrpcHead(head, framing);
    try {
      const cookie = attempt === null ? null : attempt.service.stickyCookieFor(attempt.endpoint, exchange);
      if (cookie !== null) exchange.addResponseHeader('Set-Cookie', cookie);
      exchange.responseFields = head;
      this.#bodyLength = framing.bodyLength;
      this.#decorate(head);
      const work = this.#work;
      if (work !== null) this.#filter(work, head, null);
      else this.#sendHead(head, framing.nominated, null, framing.bodyLength, false);
      exchange.responseFields = this.#heldHead;
    } catch (error) {
      exchange.responseFields = null;
      exchange.failWith(error);
    }
  }

  /** A response with a body ends with its status; one without has it in the head, or is no success (grpc.ts). */
  #onGrpcHead(head: Head, framing: MessageFraming): void {
    const exchange = this.#exchange;
    if (head.status !== 200 || !exchange.isGrpcCall) return;
    this.#isCall = framing.bodyLength !== 0;
    // HTTP/1.1 clients read no trailers, so a call that breaks off must show by the connection's end.
    const { protocol } = exchange;
    this.#endsByStatus = framing.bodyLength === UNKNOWN_LENGTH && protocol === '2';
    if (framing.bodyLength !== 0) return;
    const code = readCode(head.valueOf('grpc-status'));
    exchange.grpcStatus = code < 0 ? INTERNAL : code;
    if (code < 0 && protocol === '2')
      for (const [i, name] of NO_STATUS.names.entries()) exchange.setResponseHeader(name, NO_STATUS.values[i]!);
  }

  /** A response made here: by a policy, by the route itself, by a fallback or of a fault. */
  onReply(reply: Reply): void {
    const exchange = this.#exchange;
    const { headers, body, cookies } = reply;
    for (const name in headers) checkField(name, headers[name]!);
    if (cookies !== undefined) for (const cookie of cookies) exchange.addResponseHeader('Set-Cookie', cookie);
    exchange.status = reply.status;
    const bytes = typeof body === 'string' ? Buffer.from(body, 'utf8') : body instanceof Uint8Array ? body : null;
    exchange.replyFields = headers;
    this.#bodyLength = bytes === null ? UNKNOWN_LENGTH : bytes.length;
    try {
      this.#decorate(null);
    } catch (error) {
      if (error instanceof Fault && exchange.fault === null) {
        exchange.onFault(error);
        return;
      }
      // The response goes out undecorated: it may be the one that says that a policy is broken.
      exchange.runtime.log.error('a responseHead policy failed', {
        request_id: exchange.requestId,
        route: exchange.routeId,
        error: error instanceof Fault ? (error.cause ?? error.kind.reason) : messageOf(error),
      });
    }
    const work = this.#work;
    if (work !== null) this.#filter(work, null, reply);
    else this.#sendHead(null, null, reply, bytes === null ? UNKNOWN_LENGTH : bytes.length, true);
    if (bytes !== null) {
      this.onBody(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length);
      this.onEnd(null);
      return;
    }
    const source = new StreamedBody(body as AsyncIterable<Uint8Array>, this);
    this.source = source;
    if (exchange.method !== 'HEAD') source.start();
    else this.onEnd(null);
  }

  onUpgraded(head: Head, protocol: string, rest: Buffer): void {
    const exchange = this.#exchange;
    exchange.status = 101;
    this.isHeadSent = true;
    exchange.runtime.metrics.add('tunnels_opened', 1);
    if (exchange.identity !== null) this.isWatched = exchange.runtime.streams.watch(exchange);
    const out = this.#downstream.startHead(101, null);
    writeResponseFields(out, exchange, head, nominatedBy(head), exchange.responseChanges, true);
    const accept = head.major === 2 && exchange.protocol !== '2' ? acceptFor(exchange.header(KEY)) : null;
    if (accept !== null) out.field('Sec-WebSocket-Accept', accept);
    this.#downstream.endUpgrade(protocol);
    if (rest.length > 0) this.onBody(rest, 0, rest.length);
  }

  /** `head`: that of a service. */
  #decorate(head: Head | null): void {
    const exchange = this.#exchange;
    const { route, times } = exchange;
    const hooks = route === null ? exchange.live.unrouted : route.responseHead;
    const references = head === null ? null : route!.references;
    times?.responds(exchange.runtime.clock.monotonicMs());
    if (hooks.length === 0 && references === null) return;
    exchange.responseChanges?.mark();
    references?.putRight(exchange, head!);
    try {
      for (let i = 0; i < hooks.length; i++) {
        if (times === null) hooks[i]!(exchange);
        else timeHook(exchange, 'responseHead', hooks[i]!);
      }
    } catch (error) {
      this.#forgetFilters();
      throw error;
    }
  }

  /** `reply`: in place of `head`, for a response made here. `declareLength`: the length is not among the fields. */
  #sendHead(
    head: Head | null,
    nominated: readonly string[] | null,
    reply: Reply | null,
    bodyLength: number,
    declareLength: boolean,
  ): void {
    const exchange = this.#exchange;
    const { status } = exchange;
    this.isHeadSent = true;
    if (bodyLength === UNKNOWN_LENGTH && exchange.identity !== null)
      this.isWatched = exchange.runtime.streams.watchResponse(exchange, contentTypeOf(head, reply));
    const changes = exchange.responseChanges;
    const out = this.#downstream.startHead(status, head !== null && head.status === status ? head : null);
    if (reply !== null) writeReplyFields(out, exchange, reply.headers, changes);
    writeResponseFields(out, exchange, head, nominated, changes, declareLength);
    this.#downstream.endHead(bodyLength, declareLength);
  }

  // --- the body --------------------------------------------------------------------------------------------------

  /** The body goes through filters, and so its length is another one; the head may have to wait for them. */
  #filter(work: ResponseBodyWork, head: Head | null, reply: Reply | null): void {
    const { method, status } = this.#exchange;
    const hasBody = method !== 'HEAD' && status !== 204 && status !== 304;
    if (!hasBody) {
      work.abandon();
      this.#work = null;
      this.#sendHead(head, nominatedBy(head), reply, method === 'HEAD' ? UNKNOWN_LENGTH : 0, true);
      return;
    }
    if (work.holdsHead) {
      this.#heldHead = head === null ? null : head.copy();
      this.#heldReply = reply;
    } else this.#sendHead(head, nominatedBy(head), reply, work.length, true);
    work.begin();
  }

  sendHeldHead(bodyLength: number): void {
    const head = this.#heldHead;
    this.#heldHead = null;
    this.#exchange.responseFields = null;
    this.#sendHead(head, nominatedBy(head), this.#heldReply, bodyLength, true);
  }

  /** See `BodyAccess.filterResponseBody`. */
  filterBody(filter: BodyFilter, options: ResponseFilterOptions): void {
    if (this.#exchange.fault !== null || this.isHeadSent) {
      filter.abandon();
      return;
    }
    this.#work ??= new ResponseBodyWork(this);
    this.#work.filter(filter, options);
  }

  /** Bytes of the body as the next filter sees it, or `UNKNOWN_LENGTH`. */
  get length(): number {
    // HTTP/1.1 knows one more length that is none: up to the end of the connection.
    return this.#work === null ? Math.max(this.#bodyLength, UNKNOWN_LENGTH) : this.#work.length;
  }

  get isEventStream(): boolean {
    if (!this.isHeadSent) return false;
    const exchange = this.#exchange;
    if (this.source?.isEventStream === true) return true;
    if (exchange.replyFields === null) return exchange.attempt?.isEventStream === true;
    return isEventStreamType(exchange.sentHeader('content-type'));
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    if (this.#work === null) this.sendBytes(bytes, start, end);
    else this.#work.write(bytes, start, end);
  }

  sendBytes(bytes: Buffer, start: number, end: number): void {
    this.bytesSent += end - start;
    this.#downstream.sendBody(bytes, start, end);
  }

  flush(): boolean {
    return this.#work === null || this.#exchange.isDone ? this.#downstream.flush() : this.#work.flush();
  }

  flushDownstream(): boolean {
    return this.#downstream.flush();
  }

  get holder(): BytesHolder | null {
    return this.#downstream.holdsBytes ? this.#downstream : null;
  }

  /** The client reads again. */
  drained(): void {
    if (this.#work === null) this.resumeSource();
    else this.#work.drained();
  }

  resumeSource(): void {
    this.source?.resume();
  }

  onRequestDrain(): void {
    this.#exchange.onRequestDrain();
  }

  // --- its end ---------------------------------------------------------------------------------------------------

  onEnd(trailers: FieldBlock | null): void {
    if (this.#work === null) this.complete(trailers);
    else this.#work.end(trailers);
  }

  complete(trailers: FieldBlock | null): void {
    this.#downstream.sendEnd(this.#isCall ? this.#withStatus(trailers) : trailers);
    this.#exchange.finish();
  }

  #withStatus(trailers: FieldBlock | null): FieldBlock | null {
    const code = readTrailers(trailers);
    this.#exchange.grpcStatus = code < 0 ? INTERNAL : code;
    return code < 0 && this.#endsByStatus ? NO_STATUS : trailers;
  }

  onFault(fault: Fault): void {
    this.#exchange.onFault(fault);
  }

  /** A gRPC call says how it ended, also in the middle of its messages. False: this response cannot. */
  endsBy(fault: Fault): boolean {
    if (this.#endsByStatus) this.complete(faultTrailers(fault.kind));
    else if (this.web?.mayEnd === true && this.#work !== null) this.#work.end(faultTrailers(fault.kind));
    else return false;
    return true;
  }

  /** Nothing of it was sent and nothing will be: another one takes its place. */
  drop(): void {
    // What the source still sends is dropped.
    this.source?.abandon();
    if (this.#work === null) return;
    this.#forgetFilters();
    this.#heldHead = null;
    this.#exchange.responseFields = null;
  }

  /** The exchange is over. */
  abandon(): void {
    this.source?.abandon();
    this.#work?.abandon();
  }

  /** What filters and policies wanted changed of a response that will not be sent. */
  #forgetFilters(): void {
    this.#work?.abandon();
    this.#work = null;
    this.#exchange.responseChanges?.rollBack();
  }
}

function contentTypeOf(head: Head | null, reply: Reply | null): string | null {
  return head === null ? (reply?.headers['Content-Type'] ?? null) : head.valueOf('content-type');
}

/** Fields that belong to the connection of the upstream (RFC 9110 §7.6.1), of a head that may be a copy. */
function nominatedBy(head: Head | null): readonly string[] | null {
  if (head === null || head.find(CONNECTION) < 0) return null;
  readResponseFraming(head, '', NOMINATED);
  return NOMINATED.nominated;
}

const NOMINATED = new MessageFraming();
