/**
 * One connection to an instance, speaking HTTP/1.1 (RFC 9112), one exchange at a time: writes what an attempt gives
 * it, reads the response as strictly as requests, and reports it to the attempt. It does not choose
 * instances, retry, or know routes. Opened and kept by pool.ts; after each response it is either reusable or closed.
 *
 * Heads are read into a buffer that all sessions share; a long body into one of the session's own (`onread`), without a
 * copy: what the downstream's kernel has not taken by the end of a callback keeps the old buffer and the session reads
 * into a new one.
 *
 *   IDLE -> HEAD (-> HEAD for 1xx) -> BODY -> IDLE | CLOSED        HEAD -> TUNNEL on 101
 */
import type { Socket } from 'node:net';
import type { FaultKind } from '../../base/errors.ts';
import { FAULTS } from '../../base/errors.ts';
import { isTls } from '../../base/on-demand.ts';
import type { DeadlineOwner, TimerWheel } from '../../base/timers.ts';
import { Deadline } from '../../base/timers.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import type { ConnectionEnd } from '../contract/service-state.ts';
import type { BytesHolder, UpstreamHandler, UpstreamStream } from '../exchange/upstream-stream.ts';
import { BAD, ChunkedDecoder, DATA, END } from '../parser/chunked.ts';
import { KEEP_ALIVE } from '../parser/field-names.ts';
import { MessageFraming, readResponseFraming, UNKNOWN_LENGTH, UNTIL_CLOSE } from '../parser/framing.ts';
import type { HeadLimits } from '../parser/head.ts';
import { Head, INCOMPLETE, mayBeComplete, REFUSED, readResponseHead } from '../parser/head.ts';
import type { HeadWriter } from '../parser/head-writer.ts';
import { mendHead, mostStatus } from '../parser/lenient.ts';
import { nextAgeShare } from '../wire/connection-age.ts';
import { constant } from '../wire/outbox.ts';
import { giveBuffer, SHARED_BUFFER, SMALL_BUFFER, takeBuffer } from './buffer-pool.ts';
import { keepReadable, keptForMs } from './kept-connection.ts';
import { MessageWriter } from './message-writer.ts';
import { writeRequestLine } from './request-line.ts';

/** Upstream heads may be larger than those of callers: they are trusted more and carry cookies. */
const HEAD_LIMITS: HeadLimits = { maxHeadBytes: 64 * 1024, maxTargetBytes: 0, maxFields: 256 };

const TUNNEL_END_MS = 2_000;
/** How long a response may still take to arrive when the request cannot be sent any further. */
const AFTER_LOST_WRITE_MS = 1_000;

const CHUNKED = constant('Transfer-Encoding: chunked\r\n');
const TAKES_TRAILERS = constant('Connection: TE\r\nTE: trailers\r\n');

const IDLE = 0;
const READING_HEAD = 1;
const READING_BODY = 2;
const TUNNEL = 3;
const CLOSED = 4;

export interface SessionHolding {
  held: number;
}

export interface SessionOwner {
  /** The session is idle and may serve another exchange. */
  onIdle(session: Session): void;
  /** Once. */
  onClosed(session: Session): void;
}

export class Session implements UpstreamStream, DeadlineOwner {
  readonly socket: Socket;
  readonly #outbox: MessageWriter;
  readonly #owner: SessionOwner;
  readonly #head = new Head(HEAD_LIMITS.maxFields);
  readonly #meaning = new MessageFraming();
  #decoder: ChunkedDecoder | null = null;
  #handler: UpstreamHandler | null = null;
  #state: number = IDLE;
  #method = '';
  /** The protocol that the request asks for, or empty. */
  #upgrade = '';
  #remaining = 0;
  #partial: Buffer | null = null;
  /** The body of the request goes in chunks. */
  #chunked = false;
  #requestDone = false;
  /** The instance takes no more of the request; its response may be here already. */
  #cannotSend = false;
  /** Bytes of the body were given to this exchange's request. */
  #sentBody = false;
  #anyByte = false;
  #stayOpen = false;
  #buffer: Buffer = SHARED_BUFFER;
  /** Who still refers to bytes in the buffer. */
  #holder: BytesHolder | null = null;
  #paused = false;
  readonly #secure: boolean;
  #fullReads = 0;
  #lastRead = 0;
  /** This response had a read that filled the shared buffer; the last one had. */
  #isLong = false;
  #lastWasLong = false;
  /** Bytes of interim heads in this exchange. */
  #interimBytes = 0;
  /** An interim head has said that the connection will be closed (RFC 9112 §9.6). */
  #closeAnnounced = false;
  isReused = false;
  /** Whose share of the pool it is at the moment; the pool's. */
  holding: SessionHolding | null = null;
  #served = 0;
  /** How long the instance said that it keeps an idle connection, with a margin. */
  idleLimitMs = Infinity;
  /** When it became idle, by the pool's clock. */
  idleSinceMs = 0;
  readonly openedMs: number;
  /** The pool's: what of the most age it may have. */
  readonly ageShare: number = nextAgeShare();
  /** The pool's: which of its settings of TLS it was made under. */
  epoch = 0;
  /** Why it has ended. */
  end: ConnectionEnd = 'other';
  /** The user's deadline; it lives here because connections are few and attempts are many. */
  readonly deadline: Deadline;
  readonly #wheel: TimerWheel;

  constructor(socket: Socket, owner: SessionOwner, wheel: TimerWheel) {
    this.socket = socket;
    this.#secure = isTls(socket);
    this.#wheel = wheel;
    this.openedMs = wheel.coarseMs;
    this.deadline = new Deadline(this, 0);
    this.#outbox = new MessageWriter(socket, this.#secure);
    this.#owner = owner;
    socket.on('drain', () => this.#handler?.onUpstreamDrain());
    socket.on('end', () => this.#onEnd());
    socket.on('error', (error: NodeJS.ErrnoException) => this.#onError(error));
    keepReadable(socket);
    socket.on('close', () => this.#onClose());
  }

  get isOpen(): boolean {
    return this.#state !== CLOSED;
  }

  onDeadline(): void {
    this.#handler?.onStreamDeadline();
  }

  // --- the request ---------------------------------------------------------------------------------------------

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
    this.#method = method;
    this.#upgrade = upgrade;
    this.#state = READING_HEAD;
    this.#requestDone = false;
    this.#anyByte = false;
    this.#interimBytes = 0;
    this.#sentBody = false;
    this.#closeAnnounced = false;
    this.isReused = this.#served++ > 0;
    const outbox = this.#outbox;
    writeRequestLine(outbox, method, authority, basePath, path, query);
    return outbox;
  }

  endHead(bodyLength: number, declareLength: boolean, takesTrailers: boolean): void {
    const outbox = this.#outbox;
    this.#chunked = bodyLength === UNKNOWN_LENGTH;
    if (this.#chunked) outbox.bytes(CHUNKED, 0, CHUNKED.length);
    else if (declareLength && (bodyLength > 0 || /^P(OST|UT|ATCH)$/.test(this.#method)))
      outbox.field('Content-Length', `${bodyLength}`);
    if (this.#upgrade !== '') outbox.text(`Connection: Upgrade\r\nUpgrade: ${this.#upgrade}\r\n`);
    else if (takesTrailers) outbox.bytes(TAKES_TRAILERS, 0, TAKES_TRAILERS.length);
    outbox.end();
  }

  sendBody(bytes: Uint8Array, isVolatile: boolean): void {
    if (this.#cannotSend) return;
    this.#sentBody = true;
    const outbox = this.#outbox;
    if (!this.#chunked) {
      outbox.piece(bytes, isVolatile);
      return;
    }
    outbox.text(`${bytes.length.toString(16)}\r\n`);
    outbox.piece(bytes, isVolatile);
    outbox.end();
  }

  /** Only now may the connection be used again. */
  sendEnd(trailers: FieldBlock | null): void {
    if (this.#cannotSend) return;
    if (this.#chunked) this.#outbox.text(trailers === null ? '0\r\n\r\n' : `0\r\n${trailers.lines}\r\n`);
    this.#requestDone = true;
    if (this.#state === IDLE) this.#becomeIdle();
  }

  flush(): boolean {
    return this.#cannotSend || this.#outbox.flush();
  }

  get holdsBytes(): boolean {
    return !this.#cannotSend && this.#outbox.holdsBytes;
  }

  /** The handler gives up; the connection cannot be reused: the next request would get this response. */
  abandon(): void {
    this.#handler = null;
    this.close('other');
  }

  /** Sends what is gathered, then the end, and waits a moment for the other side's. */
  endTunnel(): void {
    if (this.#state === CLOSED) return;
    this.#handler = null;
    this.#state = CLOSED;
    this.#wheel.remove(this.deadline);
    this.#owner.onClosed(this);
    this.#outbox.flush();
    this.socket.setTimeout(TUNNEL_END_MS, () => this.socket.destroy());
    this.socket.end();
    this.socket.resume();
  }

  close(end: ConnectionEnd): void {
    if (this.#state === CLOSED) return;
    this.#state = CLOSED;
    this.end = end;
    this.#wheel.remove(this.deadline);
    this.socket.destroy();
    this.#owner.onClosed(this);
  }

  /** Until the downstream has taken all it was given; then `resume`. */
  pause(): void {
    this.#paused = true;
    this.socket.pause();
  }

  resume(): void {
    this.#paused = false;
    this.socket.resume();
  }

  // --- the response --------------------------------------------------------------------------------------------

  /** The buffer for the next read: the same one unless its bytes are still needed, or more or less is expected. */
  nextBuffer(): Buffer {
    if (!this.#muchToCome()) {
      if (this.#buffer !== SHARED_BUFFER) this.#exchangeBuffer(SHARED_BUFFER);
    } else if (this.#buffer === SHARED_BUFFER) {
      this.#buffer = takeBuffer(false);
    } else if (this.#holder !== null) {
      // Paused, nothing is read before the downstream has drained, and then the old bytes are not needed any more. Only
      // TLS hands out what it has decrypted already, paused or not.
      if (!this.#paused || this.#secure) this.#exchangeBuffer(takeBuffer(this.#fullReads >= 2));
    } else if (this.#fullReads === 2 && this.#buffer.length === SMALL_BUFFER) {
      this.#exchangeBuffer(takeBuffer(true));
    } else if (this.#fullReads === 0 && this.#buffer.length > SMALL_BUFFER) {
      this.#exchangeBuffer(takeBuffer(false));
    }
    return this.#buffer;
  }

  /**
   * More than fits the shared buffer; if the length is unknown (chunks, tunnels), a full read says so. After a large
   * response expect another: a private buffer from the start avoids a copy and a write.
   */
  #muchToCome(): boolean {
    if (this.#state === IDLE || this.#state === READING_HEAD) return this.#lastWasLong;
    if (this.#state === READING_BODY && this.#remaining >= 0) return this.#remaining > SHARED_BUFFER.length;
    return (this.#state === READING_BODY || this.#state === TUNNEL) && this.#lastRead >= SHARED_BUFFER.length;
  }

  /** Call only from nextBuffer: until then the socket still fills the old buffer. */
  #exchangeBuffer(next: Buffer): void {
    if (this.#buffer !== SHARED_BUFFER) giveBuffer(this.#buffer, this.#holder);
    this.#buffer = next;
    this.#holder = null;
  }

  /** Called by the socket with each read. */
  onRead(length: number, bytes: Buffer): void {
    if (length === bytes.length && bytes !== SHARED_BUFFER) this.#fullReads++;
    const handler = this.#handler;
    if (handler === null) {
      if (this.#state === CLOSED) return;
      // Unrequested bytes must never become the response to the next request.
      this.close('other');
      return;
    }
    this.#anyByte = true;
    this.#lastRead = length;
    if (length >= SHARED_BUFFER.length) this.#isLong = true;
    if (this.#state === TUNNEL) {
      handler.onResponseBody(bytes, 0, length);
    } else this.#read(handler, bytes, length);
    this.#holder = handler.onReadDone();
    if (this.#state === IDLE && this.#requestDone) this.#becomeIdle();
  }

  #read(handler: UpstreamHandler, read: Buffer, length: number): void {
    let bytes = read;
    let end = length;
    let i = 0;
    while (this.#state === READING_HEAD) {
      const partial = this.#partial;
      if (partial !== null) {
        bytes = Buffer.concat([partial, read.subarray(i, length)]);
        end = bytes.length;
        i = 0;
        this.#partial = null;
        if (end < HEAD_LIMITS.maxHeadBytes && !mayBeComplete(bytes, 0, partial.length, end)) {
          this.#partial = bytes;
          return;
        }
      }
      let after = readResponseHead(bytes, i, end, HEAD_LIMITS, this.#head);
      if (after === INCOMPLETE) {
        this.#partial = Buffer.from(bytes.subarray(i, end));
        return;
      }
      if (after === REFUSED || !readResponseFraming(this.#head, this.#method, this.#meaning)) {
        const { detail } = this.#head;
        after = handler.lenient === undefined ? REFUSED : this.#readLeniently(handler, bytes, i, end);
        if (after === INCOMPLETE) {
          this.#partial = Buffer.from(bytes.subarray(i, end));
          return;
        }
        if (after === REFUSED) {
          this.#fail(FAULTS.upstreamMalformed, detail);
          return;
        }
      }
      const headBytes = after - i;
      i = after;
      if (this.#onHead(handler, bytes, i, end, headBytes) || i === end) return;
    }
    if (this.#state === READING_BODY) i = this.#readBody(handler, bytes, i, end);
    // Bytes behind the end of a response: the connection is out of step.
    if (this.#state === IDLE && i < end) this.#stayOpen = false;
  }

  /** A head that is against the grammar, of a service that may be: read in the form that the grammar wants. */
  #readLeniently(handler: UpstreamHandler, bytes: Buffer, start: number, end: number): number {
    const { detail } = this.#head;
    const forms = handler.lenient!;
    const mended = mendHead(bytes, start, end, forms);
    if (mended === null) return end - start < HEAD_LIMITS.maxHeadBytes ? INCOMPLETE : REFUSED;
    const { head } = mended;
    if (readResponseHead(head, 0, head.length, HEAD_LIMITS, this.#head, mostStatus(forms)) <= 0) return REFUSED;
    if (!readResponseFraming(this.#head, this.#method, this.#meaning)) return REFUSED;
    handler.onLenient(detail);
    return mended.end;
  }

  /** True when the rest of this read is none of the parser's business. */
  #onHead(handler: UpstreamHandler, bytes: Buffer, after: number, end: number, headBytes: number): boolean {
    const head = this.#head;
    const meaning = this.#meaning;
    if (head.status === 101) {
      this.#state = TUNNEL;
      handler.onUpgraded(head, bytes.subarray(after, end));
      return true;
    }
    if (head.status < 200) {
      // Nothing holds an upstream back that sends these without end to a caller who reads slowly.
      this.#interimBytes += headBytes;
      if (this.#interimBytes > HEAD_LIMITS.maxHeadBytes) {
        this.#fail(FAULTS.upstreamMalformed, 'too many interim responses');
        return true;
      }
      if (!meaning.keepAlive) this.#closeAnnounced = true;
      handler.onInterimHead(head);
      return this.#handler !== handler;
    }
    this.#stayOpen = meaning.keepAlive && !this.#closeAnnounced && !this.#cannotSend;
    if (this.#stayOpen && head.find(KEEP_ALIVE) >= 0) this.idleLimitMs = keptForMs(head);
    this.#remaining = meaning.bodyLength;
    this.#state = READING_BODY;
    if (meaning.bodyLength === UNKNOWN_LENGTH) {
      this.#decoder ??= new ChunkedDecoder();
      this.#decoder.reset(handler.lenient?.includes('chunkPadding') === true);
    } else if (meaning.bodyLength === UNTIL_CLOSE) meaning.bodyLength = UNKNOWN_LENGTH;
    handler.onResponseHead(head, meaning);
    if (this.#handler !== handler) return true;
    if (this.#remaining === 0) this.#endResponse(handler, null);
    return false;
  }

  #readBody(handler: UpstreamHandler, bytes: Buffer, from: number, end: number): number {
    let i = from;
    if (this.#remaining === UNKNOWN_LENGTH) {
      const decoder = this.#decoder!;
      while (i < end && this.#handler === handler) {
        const found = decoder.step(bytes, i, end);
        if (found === BAD) {
          this.#fail(FAULTS.upstreamTruncated, decoder.problem);
          return end;
        }
        i = decoder.position;
        if (found === DATA) handler.onResponseBody(bytes, decoder.dataStart, decoder.dataEnd);
        if (found === END) {
          if (decoder.wasPadded) handler.onLenient('there are blanks behind the size of a chunk');
          this.#endResponse(handler, decoder.trailers);
          break;
        }
      }
      return i;
    }
    if (i === end) return i;
    if (this.#remaining === UNTIL_CLOSE) {
      handler.onResponseBody(bytes, i, end);
      return end;
    }
    const take = Math.min(this.#remaining, end - i);
    this.#remaining -= take;
    handler.onResponseBody(bytes, i, i + take);
    if (this.#remaining === 0 && this.#handler === handler) this.#endResponse(handler, null);
    return i + take;
  }

  #endResponse(handler: UpstreamHandler, trailers: Head | null): void {
    this.#state = IDLE;
    handler.onResponseEnd(trailers);
  }

  #becomeIdle(): void {
    if (!this.#stayOpen || !this.isOpen) {
      this.#handler = null;
      this.close('instance');
      return;
    }
    this.#handler = null;
    this.#fullReads = 0;
    this.#lastWasLong = this.#isLong;
    this.#isLong = false;
    this.#owner.onIdle(this);
  }

  #onEnd(): void {
    const handler = this.#handler;
    if (this.#state === CLOSED) {
      this.socket.destroy();
      return;
    }
    if (handler !== null && this.#state === READING_BODY && this.#remaining === UNTIL_CLOSE) {
      this.#stayOpen = false;
      this.#endResponse(handler, null);
      handler.onReadDone();
      this.#handler = null;
      this.close('instance');
      return;
    }
    if (handler !== null && this.#state === TUNNEL) {
      handler.onResponseEnd(null);
      return;
    }
    this.#fail(this.#lostKind(), 'closed by the upstream', 'instance');
  }

  /**
   * A service that refuses an upload (401, 413) responds, closes, and what is still sent to it comes back as a reset.
   * The response has arrived before that: sending ends, reading goes on until it is read or the connection is at its
   * end.
   */
  #onError(error: NodeJS.ErrnoException): void {
    const mayRead = this.#state === READING_HEAD || this.#state === READING_BODY;
    if (error.syscall === 'write' && mayRead && !this.socket.destroyed) {
      if (this.#cannotSend) return;
      this.#cannotSend = true;
      this.#stayOpen = false;
      this.socket.setTimeout(AFTER_LOST_WRITE_MS, () =>
        this.#fail(this.#lostKind(), error.code ?? error.message, 'instance'),
      );
      this.#handler?.onUpstreamDrain();
      return;
    }
    this.#fail(this.#lostKind(), error.code ?? error.message, 'instance');
  }

  /** An instance that did not take the whole request may have had a reason: it is not blamed. */
  #lostKind(): FaultKind {
    if (this.#state === READING_BODY) return FAULTS.upstreamTruncated;
    return this.#sentBody && !this.#requestDone ? FAULTS.uploadCutOff : FAULTS.upstreamReset;
  }

  #onClose(): void {
    // Nothing is read any more, so the buffer may go to another.
    this.#exchangeBuffer(SHARED_BUFFER);
    this.#fail(this.#lostKind(), 'closed', 'instance');
  }

  #fail(kind: FaultKind, cause: string, end: ConnectionEnd = 'other'): void {
    const handler = this.#state === IDLE && this.#requestDone ? null : this.#handler;
    this.#handler = null;
    this.close(end);
    handler?.onStreamFault(kind, cause, this.#anyByte);
  }
}
