/**
 * One request to an instance over HTTP/2, as an attempt sees it: a stream of an upstream connection. A stream that ends
 * without END_STREAM is never a whole response, and one that the instance says it has not processed (RFC 9113 §8.7) may
 * be sent again whatever its method. A request for a WebSocket is an extended CONNECT (RFC 8441), and the stream a
 * tunnel once the instance agrees.
 *
 *   head -> body -> response -> END_STREAM     head -> 2xx -> tunnel -> END_STREAM both ways     any -> RST_STREAM
 */
import { FAULTS } from '../../base/errors.ts';
import type { DeadlineOwner } from '../../base/timers.ts';
import { Deadline } from '../../base/timers.ts';
import { type FieldBlock, FieldStart } from '../contract/field-block.ts';
import type { UpstreamHandler, UpstreamStream } from '../exchange/upstream-stream.ts';
import type { MessageFraming } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';
import type { HeadWriter } from '../parser/head-writer.ts';
import { CANCEL, END_STREAM, errorName, NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM } from './frames.ts';
import { responseHead } from './response-head.ts';
import { Http2Stream } from './stream.ts';
import type { UpstreamConnection } from './upstream-connection.ts';

const LENGTH = new FieldStart('content-length');
const NOTHING = Buffer.alloc(0);
/** After the client has left a tunnel, for the instance to do the same. */
const TUNNEL_END_MS = 2_000;

export class ResponseStream extends Http2Stream implements UpstreamStream, DeadlineOwner {
  readonly isReused: boolean;
  readonly deadline: Deadline;
  /** Whose share of the pool it is; the pool's. */
  holding: { held: number } | null = null;
  readonly #connection: UpstreamConnection;
  #handler: UpstreamHandler | null = null;
  #begun = false;
  #method = '';
  #responseBegan = false;
  /** The final head has come. */
  #hasHead = false;
  /** What is left of a request body whose length is known, or -1. */
  #left = -1;
  #interimBytes = 0;
  /** It asks for a tunnel, and has one. */
  #asksForTunnel = false;
  #isTunnel = false;

  constructor(connection: UpstreamConnection, id: number, isReused: boolean) {
    super(connection, id);
    this.#connection = connection;
    this.isReused = isReused;
    this.deadline = new Deadline(this, 0);
  }

  // --- the request -------------------------------------------------------------------------------------------

  begin(
    handler: UpstreamHandler,
    method: string,
    authority: string,
    basePath: string,
    path: string,
    query: string | null,
    upgrade: string,
  ): HeadWriter {
    this.#handler = handler;
    this.#begun = true;
    this.#asksForTunnel = upgrade !== '';
    this.#method = this.#asksForTunnel ? 'CONNECT' : method;
    const out = this.#connection.headEncoder;
    const { encoder } = this.#connection;
    encoder.begin();
    out.url(
      this.#method,
      this.#asksForTunnel ? upgrade.toLowerCase() : '',
      this.#connection.isSecure,
      authority,
      basePath,
      path,
      query,
    );
    // RFC 8441 §4, §5: there is no key to reply to.
    if (this.#asksForTunnel) out.omitted = 'sec-websocket-key';
    return out;
  }

  endHead(bodyLength: number, declareLength: boolean, takesTrailers: boolean): void {
    const out = this.#connection.headEncoder;
    if (this.#asksForTunnel) {
      out.omitted = null;
      this.#connection.writeFieldBlock(this, 0);
      return;
    }
    if (declareLength && bodyLength > 0) {
      out.begin(LENGTH);
      out.integer(bodyLength);
      out.end();
    }
    // RFC 9113 §8.2.2: the only value that TE may have.
    if (takesTrailers) out.field('te', 'trailers');
    this.#left = bodyLength;
    if (bodyLength === 0) this.endedWithHead();
    this.#connection.writeFieldBlock(this, bodyLength === 0 ? END_STREAM : 0);
  }

  sendBody(bytes: Uint8Array, _isVolatile: boolean): void {
    const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    if (this.#left > 0) this.#left -= bytes.length;
    this.sendData(buffer, 0, buffer.length, this.#left === 0);
  }

  sendEnd(trailers: FieldBlock | null): void {
    // A request for a tunnel has no body, and its stream goes on.
    if (!this.#asksForTunnel) this.sendLast(trailers);
  }

  flush(): boolean {
    return !this.hasQueue;
  }

  /** All that is sent is copied to where frames are put together. */
  get holdsBytes(): boolean {
    return false;
  }

  onQueueSent(): void {
    this.#handler?.onUpstreamDrain();
  }

  // --- the response ------------------------------------------------------------------------------------------

  /** What a head means does not depend on this request. */
  get takesKnownHead(): boolean {
    return this.#handler !== null && this.#method !== 'HEAD' && !this.#asksForTunnel;
  }

  /** A field block was decoded to `responseHead`. False: nothing waits for it, or it is malformed. */
  finishHead(ended: boolean): boolean {
    if (this.#handler === null) return false;
    this.#responseBegan = true;
    const problem = responseHead.finish(this.#method, ended);
    if (problem === '') return true;
    this.#failWith(FAULTS.upstreamMalformed, problem, PROTOCOL_ERROR);
    return false;
  }

  onSoundHead(head: Head, meaning: MessageFraming, ended: boolean): void {
    const handler = this.#handler!;
    this.#responseBegan = true;
    if (head.status < 200) {
      this.#interimBytes += head.end;
      if (this.#interimBytes > MAX_INTERIM_BYTES)
        this.#failWith(FAULTS.upstreamMalformed, 'too many interim responses', PROTOCOL_ERROR);
      else handler.onInterimHead(head);
      return;
    }
    this.#hasHead = true;
    if (this.#asksForTunnel && head.status < 300) {
      this.#isTunnel = true;
      this.#connection.touch(this);
      handler.onUpgraded(head, NOTHING);
      if (ended && !this.isClosed) this.receiveEnd(null);
      return;
    }
    // Of a response that has no content (HEAD, 204, 304, a length of 0) none may come (§8.1.1).
    if (meaning.bodyLength >= 0) this.expectBytes(meaning.bodyLength);
    this.#connection.touch(this);
    handler.onResponseHead(head, meaning);
    if (ended && !this.isClosed) this.receiveEnd(null);
  }

  get hasHead(): boolean {
    return this.#hasHead;
  }

  protected onBody(bytes: Buffer, start: number, end: number): void {
    if (!this.#hasHead) this.#failWith(FAULTS.upstreamMalformed, 'a body without a head', PROTOCOL_ERROR);
    else this.#handler?.onResponseBody(bytes, start, end);
  }

  protected onRemoteEnd(trailers: Head | null): void {
    const handler = this.#handler;
    if (!this.#hasHead) {
      this.#failWith(FAULTS.upstreamMalformed, 'a stream that ends without a response', PROTOCOL_ERROR);
      return;
    }
    this.#handler = null;
    handler?.onResponseEnd(trailers);
    if (this.#isTunnel && !this.isClosed) this.sendLast(null);
    if (this.localEnded) this.close();
    // The rest of the request is not needed any more (§8.1), and nothing waits for it.
    else this.reset(CANCEL);
  }

  onReadDone(): void {
    this.#handler?.onReadDone();
  }

  pause(): void {
    this.pauseReceiving();
  }

  resume(): void {
    this.resumeReceiving();
  }

  // --- ending ------------------------------------------------------------------------------------------------

  abandon(): void {
    this.#handler = null;
    if (this.#begun) this.reset(CANCEL);
    else this.close();
  }

  /** RFC 8441 §5: END_STREAM is what the end of the connection would be; the instance's own is waited for. */
  endTunnel(): void {
    this.#handler = null;
    this.sendLast(null);
    if (!this.isClosed) this.#connection.setDeadline(this, TUNNEL_END_MS);
  }

  onDeadline(): void {
    if (this.#handler === null) this.reset(CANCEL);
    else this.#handler.onStreamDeadline();
  }

  /** The body or the trailers are not what they should be. */
  onBadBody(cause: string): void {
    this.#failWith(FAULTS.upstreamTruncated, cause, PROTOCOL_ERROR);
  }

  #failWith(kind: (typeof FAULTS)['upstreamMalformed'], cause: string, code: number): void {
    const handler = this.#handler;
    this.#handler = null;
    this.reset(code);
    handler?.onStreamFault(kind, cause, this.#responseBegan);
  }

  onRemoteReset(code: number): void {
    const handler = this.#handler;
    this.#handler = null;
    // After a whole response it only says that the rest of the request is not wanted (§8.1).
    if (this.remoteEnded && code === NO_ERROR) return;
    if (code === REFUSED_STREAM && !this.#responseBegan)
      handler?.onStreamFault(FAULTS.upstreamRefused, errorName(code), false);
    else
      handler?.onStreamFault(
        this.#hasHead ? FAULTS.upstreamTruncated : FAULTS.upstreamReset,
        errorName(code),
        this.#responseBegan,
      );
  }

  onConnectionGone(cause: string, notProcessed: boolean): void {
    const handler = this.#handler;
    this.#handler = null;
    if (notProcessed) handler?.onStreamFault(FAULTS.upstreamRefused, cause, false);
    else
      handler?.onStreamFault(
        this.#hasHead ? FAULTS.upstreamTruncated : FAULTS.upstreamReset,
        cause,
        this.#responseBegan,
      );
  }

  onSendStalled(): void {
    // The deadlines of an attempt see to it.
  }
}

/** Nothing holds an instance back that sends interim responses without end to a client who reads slowly. */
const MAX_INTERIM_BYTES = 64 * 1024;
