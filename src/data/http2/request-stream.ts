/**
 * One request of a client over HTTP/2, as the exchange sees it: a stream of a downstream connection. Its deadlines are
 * those of a request body and of a tunnel; everything that streams share is the connection's.
 *
 *   head -> body -> (response) -> END_STREAM     head -> tunnel (RFC 8441)     any -> RST_STREAM
 */
import { FAULTS, Fault } from '../../base/errors.ts';
import type { DeadlineOwner } from '../../base/timers.ts';
import { Deadline } from '../../base/timers.ts';
import { type FieldBlock, FieldStart } from '../contract/field-block.ts';
import type { Downstream, DownstreamHandler, Peer } from '../exchange/downstream.ts';
import type { PerConnectionCache } from '../exchange/per-connection-cache.ts';
import { type RefusedHead, shownLine } from '../exchange/refused-head.ts';
import type { RequestBuffers } from '../exchange/request-buffers.ts';
import { CONTENT_LENGTH } from '../parser/field-names.ts';
import { isHopByHop, MessageFraming, readResponseFraming } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';
import type { HeadWriter } from '../parser/head-writer.ts';
import { dropMask } from '../parser/head-writer.ts';
import { BodyPace } from '../wire/body-pace.ts';
import { type AwaitedBody, FIRST_MS } from '../wire/slow-bodies.ts';
import type { Source } from '../wire/sources.ts';
import { GOING_AWAY, WebSocketFrames } from '../wire/websocket-frames.ts';
import type { DownstreamConnection } from './downstream-connection.ts';
import { CANCEL, END_STREAM, INTERNAL_ERROR, NO_ERROR } from './frames.ts';
import { Http2Stream } from './stream.ts';

const LENGTH = new FieldStart('content-length');
/** RFC 9110 §8.6: no 1xx has a length. */
const INTERIM_DROP = dropMask([CONTENT_LENGTH], isHopByHop);
/** What the Connection field of an interim head means; read and forgotten. */
const INTERIM_MEANING = new MessageFraming();

export class RequestStream extends Http2Stream implements Downstream, DeadlineOwner, AwaitedBody {
  readonly #connection: DownstreamConnection;
  #handler: DownstreamHandler | null = null;
  #incoming: RequestBuffers | null = null;
  #deadline: Deadline | null = null;
  /** It has one, and is no tunnel. */
  #hasBody = false;
  #pace: BodyPace | null = null;
  /** Of the body, before it is watched. */
  #firstBytes = 0;
  #method = '';
  #status = 0;
  #headSent = false;
  /** The exchange has given the last of the response. */
  #responseWhole = false;
  /** What is left of a response whose length is known, or -1. */
  #left = -1;
  #isBodyless = false;
  #takesTrailers = false;
  #awaitsTunnel = false;
  /** The client has ended its side of a tunnel that is not there yet. */
  #endsTunnel = false;
  /** The exchange has all of the request. */
  #requestEnded = false;
  #isTunnel = false;
  #tunnelUsed = false;
  /** Where the frames of a WebSocket end that go to the client. */
  #frames: WebSocketFrames | null = null;
  #isDone = false;
  /** Among the bodies that are still coming. */
  #isBodyAwaited = false;

  constructor(connection: DownstreamConnection, id: number) {
    super(connection, id);
    this.#connection = connection;
  }

  get peer(): Peer {
    return this.#connection.peer;
  }

  get cache(): PerConnectionCache {
    return this.#connection.cache;
  }

  /** The head is whole and sound. */
  begin(incoming: RequestBuffers, ended: boolean): void {
    const { host } = this.#connection;
    const { head, meaning } = incoming;
    this.#incoming = incoming;
    this.#method = head.method;
    this.#takesTrailers = meaning.takesTrailers;
    this.remoteEnded = ended;
    if (meaning.upgrade >= 0) {
      this.#awaitsTunnel = true;
      this.#endsTunnel = ended;
      this.pauseReceiving();
    } else if (!ended) {
      if (meaning.lengthGiven) this.expectBytes(meaning.bodyLength);
      // Behind `Content-Length: 0` comes nothing that the request would wait for.
      if (meaning.bodyLength !== 0) {
        this.#hasBody = true;
        // Whatever comes of the body in this read, the head is sent on at its end (`bodyInHand`). What is not whole by
        // then is watched.
        this.#connection.touch(this);
      }
    }
    const handler = host.beginExchange(this, incoming);
    if (handler === null) return;
    this.#handler = handler;
    if (meaning.bodyLength !== 0) return;
    this.#requestEnded = true;
    handler.onRequestEnd(null);
  }

  /** The head was decoded and is refused; what is known of it is read where it is looked at. */
  refuse(fault: Fault, readHead: () => RefusedHead, ended: boolean): void {
    const { host } = this.#connection;
    this.remoteEnded = ended;
    this.#isDone = true;
    host.onRefused(fault, this.peer, () => shownLine(readHead()));
    const { status, headers, body } = host.refusal(fault, host.asksOriginOfRefused ? readHead() : null);
    const bytes = typeof body === 'string' ? Buffer.from(body) : Buffer.from(body.buffer, body.byteOffset, body.length);
    const out = this.startHead(status, null);
    for (const name in headers) out.field(name, headers[name]!);
    this.endHead(bytes.length, true);
    this.sendBody(bytes, 0, bytes.length);
    this.sendEnd(null);
  }

  // --- the request body --------------------------------------------------------------------------------------

  protected onBody(bytes: Buffer, start: number, end: number, isVolatile: boolean): void {
    if (this.#pace !== null) this.#pace.received += end - start;
    else this.#firstBytes += end - start;
    this.#tunnelUsed = true;
    this.#handler?.onRequestBody(bytes.subarray(start, end), isVolatile);
  }

  onReadDone(): void {
    this.#handler?.onRequestRead();
    if (!this.#hasBody || this.remoteEnded || this.isPaused || this.isClosed) return;
    const { host } = this.#connection;
    const pace = this.#watchBody();
    const { bodyIdleTimeoutMs, minBodyBytesPerSecond } = host.limits;
    if (minBodyBytesPerSecond > 0 && pace.isTooSlow(minBodyBytesPerSecond, bodyIdleTimeoutMs))
      this.#fault(new Fault(FAULTS.bodyTimeout, { detail: `slower than ${minBodyBytesPerSecond} bytes a second` }));
    else {
      host.wheel.set(this.#deadline!, bodyIdleTimeoutMs);
      if (this.#isBodyAwaited) return;
      this.#isBodyAwaited = true;
      host.slowBodies.add(this);
    }
  }

  /** Most bodies are whole with the read that brings their head, and need none of it. */
  #watchBody(): BodyPace {
    if (this.#pace !== null) return this.#pace;
    this.#pace = new BodyPace(this.#connection.host.clock);
    this.#pace.received = this.#firstBytes;
    this.#deadline = new Deadline(this, 0);
    return this.#pace;
  }

  #stopAwaiting(): void {
    if (!this.#isBodyAwaited) return;
    this.#isBodyAwaited = false;
    this.#connection.host.slowBodies.remove(this);
  }

  get bodySource(): Source | null {
    return this.#handler === null ? this.peer.source : this.#handler.source;
  }

  bodyRate(nowMs: number): number {
    return this.#pace === null || this.remoteEnded ? Infinity : this.#pace.rate(nowMs, FIRST_MS);
  }

  onBodyTooMany(fault: Fault): void {
    this.#fault(fault);
  }

  protected onRemoteEnd(trailers: Head | null): void {
    if (this.#deadline !== null) this.#connection.host.wheel.clear(this.#deadline);
    this.#stopAwaiting();
    // RFC 8441 §5: the end of the stream is that of the connection which it stands for.
    if (this.#isTunnel) this.#gone();
    else if (this.#awaitsTunnel) this.#endsTunnel = true;
    // Behind `Content-Length: 0` it only says what is known.
    else if (!this.#requestEnded) this.#handler?.onRequestEnd(trailers);
    if (this.localEnded) this.close();
  }

  /** The body is malformed: longer or shorter than declared. */
  onBadBody(fault: Fault): void {
    this.#fault(fault);
  }

  #fault(fault: Fault): void {
    const handler = this.#handler;
    if (handler === null) this.reset(CANCEL);
    else handler.onRequestFault(fault);
  }

  get bodyInHand(): boolean {
    return this.#hasBody && !this.remoteEnded && this.isTouched;
  }

  /** Frames come one by one. */
  get bodyWholeInHand(): boolean {
    return false;
  }

  /** All that is sent is copied to where frames are put together. */
  get holdsBytes(): boolean {
    return false;
  }

  pauseBody(): void {
    this.pauseReceiving();
    this.#pace?.pause();
    if (this.#deadline !== null && !this.#isTunnel) this.#connection.host.wheel.clear(this.#deadline);
  }

  resumeBody(): void {
    if (this.#awaitsTunnel) return;
    // Nothing has stopped it, and the end of this read sees to its deadline.
    if (this.isTouched && !this.isPaused) return;
    if (this.#hasBody && !this.remoteEnded && !this.#isTunnel) {
      this.#watchBody().resume();
      this.#connection.host.wheel.set(this.#deadline!, this.#connection.host.limits.bodyIdleTimeoutMs);
    }
    this.resumeReceiving();
  }

  onDeadline(): void {
    const { host } = this.#connection;
    if (this.#isTunnel) {
      // Looked at once per period instead of moved by every frame, as in HTTP/1.1.
      if (this.#tunnelUsed) {
        this.#tunnelUsed = false;
        host.wheel.set(this.#deadline!, host.limits.tunnelIdleTimeoutMs);
        return;
      }
      this.#handler?.onRequestFault(new Fault(FAULTS.bodyTimeout, { detail: 'the tunnel was idle' }));
      this.reset(CANCEL);
      return;
    }
    // It may be the body of another stream that keeps the client from sending this one.
    if (this.#connection.holdsAllOfWindow) host.wheel.set(this.#deadline!, host.limits.bodyIdleTimeoutMs);
    else this.#fault(new Fault(FAULTS.bodyTimeout));
  }

  // --- the response ------------------------------------------------------------------------------------------

  sendInterim(head: Head): void {
    if (this.#headSent || this.#incoming === null) return;
    if (head.status === 100 && !this.#incoming.meaning.expectsContinue) return;
    readResponseFraming(head, '', INTERIM_MEANING);
    this.#connection.encoder.begin();
    this.#connection.encoder.status(head.status);
    this.#connection.headEncoder.copyFields(head, INTERIM_DROP, INTERIM_MEANING.nominated, null);
    this.#connection.writeFieldBlock(this, 0);
  }

  sendContinue(): void {
    const meaning = this.#incoming?.meaning;
    if (meaning === undefined || !meaning.expectsContinue || this.#headSent) return;
    meaning.expectsContinue = false;
    this.#connection.encoder.begin();
    this.#connection.encoder.status(100);
    this.#connection.writeFieldBlock(this, 0);
  }

  startHead(status: number, _from: Head | null): HeadWriter {
    this.#status = status;
    this.#connection.encoder.begin();
    // RFC 8441 §5: what is 101 in HTTP/1.1 is 200 here.
    this.#connection.encoder.status(status === 101 ? 200 : status);
    // The key of the handshake is ours (request-head.ts), so the client could make nothing of what answers it.
    if (status === 101) this.#connection.headEncoder.omitted = 'sec-websocket-accept';
    return this.#connection.headEncoder;
  }

  endHead(bodyLength: number, declareLength: boolean): void {
    const status = this.#status;
    this.#headSent = true;
    this.#isBodyless = bodyLength === 0 || this.#method === 'HEAD' || status === 204 || status === 304;
    this.#left = bodyLength;
    if (declareLength && bodyLength >= 0 && status !== 204 && status !== 304) {
      const out = this.#connection.headEncoder;
      out.begin(LENGTH);
      out.integer(bodyLength);
      out.end();
    }
    if (this.#isBodyless) this.endedWithHead();
    this.#connection.writeFieldBlock(this, this.#isBodyless ? END_STREAM : 0);
  }

  endUpgrade(protocol: string): void {
    const { host } = this.#connection;
    if (protocol.toLowerCase() === 'websocket') this.#frames = new WebSocketFrames();
    this.#headSent = true;
    this.#isTunnel = true;
    this.#awaitsTunnel = false;
    this.#left = -1;
    this.#connection.writeFieldBlock(this, 0);
    host.onTunnel(1);
    this.#deadline ??= new Deadline(this, 0);
    host.wheel.set(this.#deadline, host.limits.tunnelIdleTimeoutMs);
    this.#connection.headEncoder.omitted = null;
    this.resumeReceiving();
    if (this.#endsTunnel && !this.isClosed) this.onRemoteEnd(null);
  }

  sendClose(frame: Buffer): void {
    if (this.#frames?.isBetween === true) this.sendData(frame, 0, frame.length, false);
  }

  sendBody(bytes: Buffer, start: number, end: number): void {
    if (this.#isBodyless) return;
    this.#tunnelUsed = true;
    this.#frames?.pass(bytes, start, end);
    if (this.#left < 0) {
      this.sendData(bytes, start, end, false);
      return;
    }
    this.#left -= end - start;
    // The last frame of a body whose length is known ends the stream, unless trailers may follow.
    this.sendData(bytes, start, end, this.#left === 0 && !this.#takesTrailers);
  }

  sendEnd(trailers: FieldBlock | null): void {
    this.#responseWhole = true;
    this.sendLast(trailers);
  }

  flush(): boolean {
    return !this.hasQueue;
  }

  onQueueSent(): void {
    this.#handler?.onDownstreamDrain();
  }

  // --- ending ------------------------------------------------------------------------------------------------

  abort(): void {
    this.reset(INTERNAL_ERROR);
  }

  /** By the end of the process. */
  cutOff(): void {
    this.sendClose(GOING_AWAY);
    this.#handler?.onRequestFault(
      new Fault(FAULTS.shuttingDown, { cause: 'cut off: the gateway or its listener ends' }),
    );
  }

  exchangeDone(_nowMs: number): void {
    const { host } = this.#connection;
    this.#handler = null;
    this.#isDone = true;
    this.#giveBack();
    if (this.isClosed) return;
    if (this.#isTunnel) this.sendLast(null);
    else if (!this.#responseWhole) this.reset(INTERNAL_ERROR);
    else if (this.localEnded) this.#endUnread();
    if (!this.isClosed && this.#deadline !== null) host.wheel.clear(this.#deadline);
  }

  /** The response is sent to its end, and the request has not come to its own. */
  onLocalEnd(): void {
    if (this.#isDone) this.#endUnread();
  }

  /** RFC 9113 §8.1: asks the client to stop sending what is not read, without an error. */
  #endUnread(): void {
    if (!this.remoteEnded) this.reset(NO_ERROR);
  }

  onRemoteReset(_code: number): void {
    this.#gone();
  }

  onConnectionGone(_cause: string, _notProcessed: boolean): void {
    this.#gone();
  }

  onSendStalled(fault: Fault): void {
    this.reset(CANCEL);
    this.#handler?.onRequestFault(fault);
  }

  #gone(): void {
    const handler = this.#handler;
    this.#handler = null;
    handler?.onDownstreamGone();
    this.#giveBack();
  }

  #giveBack(): void {
    if (this.#incoming !== null) this.#connection.host.giveBuffers(this.#incoming);
    this.#incoming = null;
  }

  onClosed(): void {
    if (this.#isTunnel) this.#connection.host.onTunnel(-1);
    this.#isTunnel = false;
    this.#stopAwaiting();
    if (this.#deadline !== null) this.#connection.host.wheel.remove(this.#deadline);
  }
}
