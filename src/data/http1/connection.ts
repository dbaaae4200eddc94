/**
 * One downstream HTTP/1.1 connection (RFC 9112): reads a head, hands it to a new exchange, feeds it the body, writes
 * its response, and goes on with the next request or closes. Requests that arrive before the response wait their turn
 * (pipelining, §9.3.2). It knows nothing of routes and upstreams; how it ends is connection-life.ts.
 *
 *   IDLE -> HEAD -> BODY -> AWAIT -> IDLE ...     BODY/AWAIT -> TUNNEL (upgrade)     any -> LINGER -> CLOSED
 *
 * Owner: the worker's thread. One connection stays on its worker for life.
 */
import type { Socket } from 'node:net';
import { FAULTS, Fault } from '../../base/errors.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import type { Downstream, Peer } from '../exchange/downstream.ts';
import { PerConnectionCache } from '../exchange/per-connection-cache.ts';
import { mayNameOrigin, refusedHeadOf, refusedLineOf } from '../exchange/refused-head.ts';
import type { RequestBuffers } from '../exchange/request-buffers.ts';
import { HEAD_BYTES } from '../exchange/request-buffers.ts';
import { readRequestFraming } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';
import { INCOMPLETE, mayBeComplete, REFUSED, readRequestHead } from '../parser/head.ts';
import type { HeadWriter } from '../parser/head-writer.ts';
import { type Reader, readInto } from '../wire/adopt.ts';
import { JOIN_BYTES } from '../wire/outbox.ts';
import { type AwaitedBody, FIRST_MS } from '../wire/slow-bodies.ts';
import type { Source } from '../wire/sources.ts';
import { BODY_BAD, BODY_END, BodyReader } from './body-reader.ts';
import type { ConnectionHost } from './connection-host.ts';
import { AWAIT, BODY, CLOSED, ConnectionLife, HEAD, IDLE, LINGER, NO_BYTES, TUNNEL } from './connection-life.ts';
import { ReadBuffers } from './read-buffers.ts';

/** A rest of a request body up to this size is read away so that the connection can be kept. */
const MAX_DISCARD_BYTES = 64 * 1024;
/** Read after an early response, so that it is not lost to a reset (RFC 9112 §9.6). */
const LINGER_BYTES = 1024 * 1024;

/** What is read at a time of a body or tunnel whose length is not known. */
const UNKNOWN_BODY_BYTES = 64 * 1024;
/** Reads of this size in a tunnel mean that it carries a stream rather than frames. */
const STREAM_BYTES = 16 * 1024;

/** Of the preface of HTTP/2 (RFC 9113 §3.4), what the parser has seen when it refuses the version. */
const HTTP2_BEGIN = Buffer.from('PRI * HTTP/2.0', 'latin1');

/** Makes an HTTP/2 connection of the socket, of which `bytes` have been read. */
export type ToHttp2 = (socket: Socket, peer: Peer, bytes: Buffer) => void;

export class Connection extends ConnectionLife implements Downstream, Reader, AwaitedBody {
  readonly cache: PerConnectionCache;
  readonly #toHttp2: ToHttp2 | null;
  readonly #buffers: ReadBuffers;
  #body: BodyReader | null = null;
  #lastRead = 0;
  #answered = false;
  #lingered = 0;
  #bodyInHand = false;
  #bodyWholeInHand = false;
  /** Among the bodies that are still coming. */
  #isBodyAwaited = false;

  /**
   * `toHttp2` takes the socket over when a client begins with HTTP/2 (RFC 9113 §3.3); null: it may not.
   */
  constructor(socket: Socket, peer: Peer, host: ConnectionHost, toHttp2: ToHttp2 | null = null) {
    super(socket, peer, host);
    this.cache = new PerConnectionCache('http/1.1', peer.source);
    this.#toHttp2 = toHttp2;
    this.#buffers = new ReadBuffers(host.buffers);
    if (!readInto(socket, this)) socket.on('data', (chunk: Buffer) => this.onBytes(chunk)).resume();
  }

  // --- reading -----------------------------------------------------------------------------------------------

  nextBuffer(): Buffer {
    const isStream = this.user !== null && (this.state === BODY || this.state === TUNNEL);
    if (!isStream) return this.#buffers.next(0, false);
    // Ten thousand tunnels that carry a small frame now and then must not hold a buffer each.
    if (this.state === TUNNEL)
      return this.#buffers.next(this.#lastRead >= STREAM_BYTES ? UNKNOWN_BODY_BYTES : 0, this.paused);
    const { remaining } = this.#body!;
    return this.#buffers.next(remaining < 0 ? UNKNOWN_BODY_BYTES : remaining, this.paused);
  }

  onRead(length: number, bytes: Buffer): void {
    this.#lastRead = length;
    if (!this.#buffers.isOwn(bytes)) {
      this.#readShared(bytes, length);
      return;
    }
    this.onBytes(bytes.subarray(0, length));
    this.#buffers.held = this.pending.length > 0 || this.user?.holdsRequestBytes === true;
  }

  /** `bytes` belong to all connections: what is not sent on before this returns is copied. */
  #readShared(bytes: Buffer, length: number): void {
    if (this.state === IDLE && this.pending.length === 0) {
      this.#readWholeHead(bytes, length);
    } else if (this.state === BODY) {
      this.#readBody(bytes, 0, length, true);
      this.#endRead();
    } else if (this.state === TUNNEL) {
      this.tunnelUsed = true;
      this.user?.onRequestBody(bytes.subarray(0, length), true);
      this.#endRead();
    } else {
      this.onBytes(Buffer.from(bytes.subarray(0, length)));
    }
  }

  onBytes(chunk: Buffer): void {
    switch (this.state) {
      case IDLE:
      case HEAD:
        this.#readHead(chunk);
        break;
      case BODY:
        this.#readBody(chunk, 0, chunk.length, false);
        this.#endRead();
        break;
      case AWAIT:
        this.#stash(chunk, false);
        break;
      case TUNNEL:
        this.tunnelUsed = true;
        this.user?.onRequestBody(chunk, false);
        this.#endRead();
        break;
      case LINGER:
        this.#lingered += chunk.length;
        if (this.#lingered > LINGER_BYTES) this.destroy();
        break;
      default:
    }
  }

  /**
   * The usual case, a head that came in one read, perhaps with a body behind it: it is copied to memory that is used
   * again for other requests, or, when it is large, to memory of its own.
   */
  #readWholeHead(shared: Buffer, length: number): void {
    const incoming = this.host.takeBuffers();
    const { head, meaning, bytes } = incoming;
    const after = readRequestHead(shared, 0, length, this.host.limits, head);
    if (after > 0 && readRequestFraming(head, meaning)) {
      const fits = after <= HEAD_BYTES;
      if (fits) shared.copy(bytes, 0, 0, after);
      head.bytes = fits ? bytes : Buffer.from(shared.subarray(0, after));
      this.#begin(incoming, shared, after, length, true);
      return;
    }
    this.host.giveBuffers(incoming);
    this.#readHead(Buffer.from(shared.subarray(0, length)));
  }

  #readHead(chunk: Buffer): void {
    const limits = this.host.limits;
    let bytes = chunk;
    if (this.pending.length > 0) {
      const known = this.pending.length;
      bytes = Buffer.concat([this.pending, chunk]);
      // Refused at the latest when the limit is passed, so a slow trickle costs one look at each byte.
      if (bytes.length < limits.maxHeadBytes && !mayBeComplete(bytes, 0, known, bytes.length)) {
        this.pending = bytes;
        return;
      }
      this.pending = NO_BYTES;
    }
    const incoming = this.host.takeBuffers();
    const after = readRequestHead(bytes, 0, bytes.length, limits, incoming.head);
    if (after === INCOMPLETE || (after === REFUSED && this.#awaitsOrigin(incoming.head, bytes))) {
      this.host.giveBuffers(incoming);
      this.pending = bytes;
      // From its first byte on a head has its time, however it trickles in; a new connection has it from the start.
      if (this.state === IDLE && this.requests > 0) this.setRead(limits.headTimeoutMs);
      this.state = HEAD;
      if (this.halfClosed !== null) this.destroy();
      return;
    }
    if (after === REFUSED || !readRequestFraming(incoming.head, incoming.meaning)) {
      const fault = new Fault(incoming.head.problem, { detail: incoming.head.detail });
      this.host.giveBuffers(incoming);
      if (!this.#handOver(bytes)) this.refuse(fault, bytes);
      return;
    }
    this.#begin(incoming, bytes, after, bytes.length, false);
  }

  /** A target that is too long stands before the fields that a refusal needs (Origin). */
  #awaitsOrigin({ problem }: Head, bytes: Buffer): boolean {
    const { asksOriginOfRefused, limits } = this.host;
    if (problem !== FAULTS.uriTooLong || !asksOriginOfRefused || this.halfClosed !== null) return false;
    return mayNameOrigin(bytes, limits.maxHeadBytes);
  }

  /** What is no request here may be the beginning of HTTP/2. The socket's events are its new owner's from then on. */
  #handOver(bytes: Buffer): boolean {
    if (this.#toHttp2 === null || this.requests > 0) return false;
    if (!bytes.subarray(0, HTTP2_BEGIN.length).equals(HTTP2_BEGIN)) return false;
    this.state = CLOSED;
    this.pending = NO_BYTES;
    this.host.wheel.remove(this.deadline);
    this.host.onClosed(this);
    this.forgetListeners();
    this.#toHttp2(this.socket, this.peer, bytes);
    return true;
  }

  /** `bytes[after, end)` have come behind the head. */
  #begin(incoming: RequestBuffers, bytes: Buffer, after: number, end: number, isVolatile: boolean): void {
    this.requests++;
    this.incoming = incoming;
    this.writer.framing.reset();
    this.#answered = false;
    const meaning = incoming.meaning;
    this.isLastRequest = !meaning.keepAlive && meaning.bodyLength === 0;
    this.closeAfter =
      !meaning.keepAlive || this.isLeaving || this.requests >= this.host.limits.maxRequestsPerConnection;
    if (meaning.bodyLength === 0) {
      this.#awaitResponse();
      if (after < end) this.#stash(bytes.subarray(after, end), isVolatile);
    } else {
      this.state = BODY;
      this.#bodyInHand = after < end && end - after <= JOIN_BYTES;
      this.#bodyWholeInHand = meaning.bodyLength > 0 && end - after >= meaning.bodyLength;
      this.#body ??= new BodyReader(this.host.clock);
      this.#body.start(meaning.bodyLength);
      this.setRead(this.host.limits.bodyIdleTimeoutMs);
    }
    const user = this.host.beginExchange(this, incoming);
    // The exchange may already have responded and ended.
    if (user !== null) {
      this.user = user;
      if (meaning.bodyLength === 0) user.onRequestEnd(null);
      else if (after < end) this.#readBody(bytes, after, end, isVolatile);
      this.#endRead();
    } else if (this.state === BODY && after < end) {
      this.#readBody(bytes, after, end, isVolatile);
    }
    this.#bodyInHand = false;
    this.#bodyWholeInHand = false;
  }

  #readBody(bytes: Buffer, from: number, end: number, isVolatile: boolean): void {
    const body = this.#body!;
    const limits = this.host.limits;
    let at = from;
    while (at < end) {
      const found = body.step(bytes, at, end);
      if (found === BODY_BAD) {
        this.bodyFault(new Fault(FAULTS.malformedBody, { detail: body.problem }));
        return;
      }
      at = body.position;
      if (body.dataEnd > body.dataStart)
        this.user?.onRequestBody(bytes.subarray(body.dataStart, body.dataEnd), isVolatile);
      if (found === BODY_END) {
        this.stopAwaiting();
        // The exchange may have closed the connection on the last bytes.
        if (this.state !== BODY) {
          this.host.wheel.clear(this.deadline);
          return;
        }
        this.#awaitResponse();
        if (at < end) this.#stash(bytes.subarray(at, end), isVolatile);
        if (this.#answered) this.next(this.host.clock.monotonicMs());
        else this.user?.onRequestEnd(body.trailers);
        return;
      }
      if (this.state !== BODY) return;
    }
    if (this.user === null && body.received > MAX_DISCARD_BYTES) {
      this.destroy();
      return;
    }
    if (limits.minBodyBytesPerSecond > 0 && body.isTooSlow(limits.minBodyBytesPerSecond, limits.bodyIdleTimeoutMs)) {
      this.bodyFault(
        new Fault(FAULTS.bodyTimeout, { detail: `slower than ${limits.minBodyBytesPerSecond} bytes a second` }),
      );
      return;
    }
    if (!body.paused) this.setRead(limits.bodyIdleTimeoutMs);
    if (!this.#isBodyAwaited) {
      this.#isBodyAwaited = true;
      this.host.slowBodies.add(this);
    }
  }

  #awaitResponse(): void {
    this.state = AWAIT;
    if (this.halfClosed === null) this.host.wheel.clear(this.deadline);
    else this.setRead(this.halfClosed.nextMs());
  }

  protected stopAwaiting(): void {
    if (!this.#isBodyAwaited) return;
    this.#isBodyAwaited = false;
    this.host.slowBodies.remove(this);
  }

  get bodySource(): Source | null {
    return this.user === null ? this.peer.source : this.user.source;
  }

  bodyRate(nowMs: number): number {
    return this.state === BODY ? this.#body!.rate(nowMs, FIRST_MS) : Infinity;
  }

  onBodyTooMany(fault: Fault): void {
    if (this.state === BODY) this.bodyFault(fault);
  }

  protected bodyFault(fault: Fault): void {
    this.closeAfter = true;
    const user = this.user;
    if (user === null) this.destroy();
    else user.onRequestFault(fault);
  }

  /** The exchange has received all of one read. */
  #endRead(): void {
    this.#bodyInHand = false;
    this.user?.onRequestRead();
    this.#flushUser();
  }

  #flushUser(): void {
    if (!this.writer.outbox.isEmpty) this.flush();
  }

  get bodyInHand(): boolean {
    return this.#bodyInHand;
  }

  get bodyWholeInHand(): boolean {
    return this.#bodyWholeInHand;
  }

  /** Keeps bytes of later requests; a caller that sends ahead too far is not read until its turn comes. */
  #stash(bytes: Buffer, isVolatile: boolean): void {
    if (this.pending.length > 0) this.pending = Buffer.concat([this.pending, bytes]);
    else this.pending = isVolatile ? Buffer.from(bytes) : bytes;
    if (this.pending.length >= this.host.limits.maxHeadBytes) this.pause();
  }

  pauseBody(): void {
    this.pause();
    if (this.state === BODY) {
      this.#body!.pause();
      this.host.wheel.clear(this.deadline);
    }
  }

  resumeBody(): void {
    this.#buffers.resume(this.user?.holdsRequestBytes !== false);
    this.resume();
    if (this.state === BODY) {
      this.#body!.resume();
      this.setRead(this.host.limits.bodyIdleTimeoutMs);
    }
  }

  // --- writing -----------------------------------------------------------------------------------------------

  sendInterim(head: Head): void {
    if (this.incoming !== null) this.writer.interim(head, this.incoming);
  }

  sendContinue(): void {
    const incoming = this.incoming;
    if (incoming === null || !incoming.meaning.expectsContinue || this.writer.framing.headSent) return;
    incoming.meaning.expectsContinue = false;
    this.writer.continue();
  }

  startHead(status: number, from: Head | null): HeadWriter {
    return this.writer.startHead(status, from);
  }

  endHead(bodyLength: number, declareLength: boolean): void {
    const { head } = this.incoming!;
    const writer = this.writer;
    writer.frame(bodyLength, declareLength, head);
    if (writer.framing.endsByClose || this.isLeaving) this.closeAfter = true;
    if (this.state === BODY && !this.#canDiscardRest()) this.closeAfter = true;
    writer.endHead(this.closeAfter, head.minor);
  }

  /** Is what is left of the request body small enough to read away? A caller that waits for 100 will not send it. */
  #canDiscardRest(): boolean {
    const incoming = this.incoming!;
    if (incoming.meaning.expectsContinue && this.#body!.received === 0) return false;
    const rest = this.#body!.remaining;
    return rest >= 0 && rest <= MAX_DISCARD_BYTES;
  }

  endUpgrade(protocol: string): void {
    this.writer.endUpgrade(protocol);
    this.closeAfter = true;
    this.state = TUNNEL;
    this.setRead(this.host.limits.tunnelIdleTimeoutMs);
    this.host.onTunnel(1);
    if (this.pending.length > 0) {
      const early = this.pending;
      this.pending = NO_BYTES;
      this.user?.onRequestBody(early, false);
      this.user?.onRequestRead();
    }
    this.resume();
  }

  sendBody(bytes: Buffer, start: number, end: number): void {
    this.writer.body(bytes, start, end);
    this.tunnelUsed = true;
  }

  sendEnd(trailers: FieldBlock | null): void {
    this.writer.end(trailers);
  }

  get holdsBytes(): boolean {
    return this.writer.outbox.holdsBytes;
  }

  // --- ending ------------------------------------------------------------------------------------------------

  exchangeDone(nowMs: number): void {
    this.user = null;
    this.#answered = true;
    if (this.incoming !== null) this.host.giveBuffers(this.incoming);
    this.incoming = null;
    this.#flushUser();
    if (this.state === CLOSED) return;
    if (this.writer.framing.headSent && !this.writer.framing.complete) {
      this.destroy();
    } else if (this.state === TUNNEL) {
      this.finishWriting();
    } else if (this.closeAfter) {
      if (this.hasNothingToCome) this.destroy();
      else this.finishWriting();
    } else if (this.state === AWAIT) {
      this.next(nowMs);
    } else {
      // The rest of the body is read away, then comes the next request.
      this.resume();
      this.setRead(this.host.limits.bodyIdleTimeoutMs);
    }
  }

  protected next(nowMs: number): void {
    this.state = IDLE;
    this.user = null;
    const isLast = this.pending.length === 0 && (this.host.draining || this.halfClosed !== null);
    if (this.socket.writableNeedDrain && !isLast) {
      // A client that sends ahead and does not read: no response more is made before it has taken these.
      this.isBehind = true;
      this.pause();
      this.host.wheel.clear(this.deadline);
      return;
    }
    if (this.pending.length === 0) {
      // A body that arrived before its upstream connection has paused the socket; only this resumes it.
      this.resume();
      if (isLast) this.finishWriting();
      else this.setRead(this.host.limits.keepAliveTimeoutMs, nowMs);
      return;
    }
    // On a turn of its own, so that a long pipeline neither recurses nor starves other connections.
    process.nextTick(Connection.#goOn, this);
  }

  static #goOn(this: void, connection: Connection): void {
    // Bytes that came in between may have been taken together with these.
    if (connection.state !== IDLE || connection.pending.length === 0) return;
    const early = connection.pending;
    connection.pending = NO_BYTES;
    // Only now, so that a caller who sends ahead is stopped again before more of it is read.
    connection.resume();
    connection.#readHead(early);
  }

  /** A response to what is not a request, then the end of the connection. */
  protected refuse(fault: Fault, head: Buffer): void {
    const host = this.host;
    host.onRefused(fault, this.peer, () => refusedLineOf(head));
    const known = host.asksOriginOfRefused ? refusedHeadOf(head, host.limits.maxHeadBytes) : null;
    const { status, headers, body } = host.refusal(fault, known);
    this.writer.refusal(status, headers, body);
    this.finishWriting();
  }
}
