/**
 * One connection to an instance, speaking HTTP/1.1 (RFC 9112), one exchange at a time: writes what an attempt gives
 * it, reads the answer with the same strictness as requests, and tells the attempt what it found. It does not choose
 * instances, retry, or know routes. Opened and kept by pool.ts; after each answer it is either reusable or closed.
 *
 * Heads are read into a buffer that all sessions share; a long body into one of the session's own (`onread`), without a
 * copy: what the downstream's kernel has not taken by the end of a callback keeps the old buffer and the session reads
 * into a new one.
 *
 *   IDLE -> HEAD (-> HEAD for 1xx) -> BODY -> IDLE | CLOSED        HEAD -> TUNNEL on 101
 */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { FaultKind } from '../../base/errors.ts';
import { FAULTS } from '../../base/errors.ts';
import type { DeadlineOwner, TimerWheel } from '../../base/timers.ts';
import { Deadline } from '../../base/timers.ts';
import { BAD, ChunkedDecoder, DATA, END } from '../parser/chunked.ts';
import { CHUNKED, MessageFraming, readResponseFraming, UNTIL_CLOSE } from '../parser/framing.ts';
import type { HeadLimits } from '../parser/head.ts';
import { Head, INCOMPLETE, mayBeComplete, REFUSED, readResponseHead } from '../parser/head.ts';
import { Outbox } from '../wire/outbox.ts';
import type { Holder } from './buffer-pool.ts';
import { giveBuffer, SHARED_BUFFER, SMALL_BUFFER, takeBuffer } from './buffer-pool.ts';

/** Upstream heads may be larger than those of callers: they are trusted more and carry cookies. */
const HEAD_LIMITS: HeadLimits = { maxHeadBytes: 64 * 1024, maxTargetBytes: 0, maxFields: 256 };

const TUNNEL_END_MS = 2_000;

const IDLE = 0;
const READING_HEAD = 1;
const READING_BODY = 2;
const TUNNEL = 3;
const CLOSED = 4;

/** What a session tells the attempt that uses it. */
export interface SessionHandler {
  onInterimHead(head: Head): void;
  onResponseHead(head: Head, meaning: MessageFraming): void;
  /** `bytes[start, end)`; a view of its own for each part of a body would be dear. */
  onResponseBody(bytes: Buffer, start: number, end: number): void;
  onResponseEnd(trailers: Head | null): void;
  /** 101: from here on the socket belongs to the tunnel; `rest` came with the head. */
  onUpgraded(head: Head, rest: Buffer): void;
  /** All of one read has been told. Returns who still refers to bytes of it, or null. */
  onReadDone(): Holder | null;
  onUpstreamDrain(): void;
  /** Once, and nothing after it. `anyByte`: part of an answer had come, so the upstream has seen the request. */
  onSessionFault(kind: FaultKind, cause: string, anyByte: boolean): void;
  /** What `deadline` was set for has not come in time. */
  onSessionDeadline(): void;
}

export interface SessionOwner {
  /** The session is idle and may serve another exchange. */
  onIdle(session: Session): void;
  /** Once. */
  onClosed(session: Session): void;
}

export class Session implements DeadlineOwner {
  readonly socket: Socket;
  readonly outbox: Outbox;
  readonly #owner: SessionOwner;
  readonly #head = new Head(HEAD_LIMITS.maxFields);
  readonly #meaning = new MessageFraming();
  #decoder: ChunkedDecoder | null = null;
  #user: SessionHandler | null = null;
  #state: number = IDLE;
  #method = '';
  #remaining = 0;
  #partial: Buffer | null = null;
  #requestDone = false;
  #anyByte = false;
  #stayOpen = false;
  #buffer: Buffer = SHARED_BUFFER;
  /** Who still refers to bytes in the buffer. */
  #holder: Holder | null = null;
  #paused = false;
  readonly #secure: boolean;
  #fullReads = 0;
  #lastRead = 0;
  /** This answer had a read that the shared buffer cannot hold more than; the last one had. */
  #isLong = false;
  #lastWasLong = false;
  /** Bytes of interim heads in this exchange. */
  #interimBytes = 0;
  /** An interim head has said that the connection will be closed (RFC 9112 §9.6). */
  #closeAnnounced = false;
  /** Exchanges begun on this connection. */
  served = 0;
  /** When it became idle, by the pool's clock. */
  idleSinceMs = 0;
  /** The user's deadline; it lives here because connections are few and attempts are many. */
  readonly deadline: Deadline;
  readonly #wheel: TimerWheel;

  constructor(socket: Socket, owner: SessionOwner, wheel: TimerWheel) {
    this.socket = socket;
    this.#secure = socket instanceof TLSSocket;
    this.#wheel = wheel;
    this.deadline = new Deadline(this, 0);
    this.outbox = new Outbox(socket, this.#secure);
    this.#owner = owner;
    socket.on('drain', () => this.#user?.onUpstreamDrain());
    socket.on('end', () => this.#onEnd());
    socket.on('error', (error: NodeJS.ErrnoException) => this.#fail(FAULTS.upstreamReset, error.code ?? error.message));
    socket.on('close', () => this.#onClose());
  }

  get isOpen(): boolean {
    return this.#state !== CLOSED;
  }

  onDeadline(): void {
    this.#user?.onSessionDeadline();
  }

  /** Begins an exchange. The request head follows by `outbox`, then `flush`. */
  begin(user: SessionHandler, method: string): void {
    this.#user = user;
    this.#method = method;
    this.#state = READING_HEAD;
    this.#requestDone = false;
    this.#anyByte = false;
    this.#interimBytes = 0;
    this.#closeAnnounced = false;
    this.served++;
  }

  /** The request has been written whole; only then may the connection be used again. */
  requestWritten(): void {
    this.#requestDone = true;
    if (this.#state === IDLE) this.#becomeIdle();
  }

  /** The user gives up; the connection cannot be used again, since its answer would belong to somebody else. */
  abandon(): void {
    this.#user = null;
    this.close();
  }

  /** Sends what is gathered, then the end, and waits a moment for the other side's. */
  endTunnel(): void {
    if (this.#state === CLOSED) return;
    this.#user = null;
    this.#state = CLOSED;
    this.#wheel.remove(this.deadline);
    this.#owner.onClosed(this);
    this.outbox.flush();
    this.socket.setTimeout(TUNNEL_END_MS, () => this.socket.destroy());
    this.socket.end();
    this.socket.resume();
  }

  close(): void {
    if (this.#state === CLOSED) return;
    this.#state = CLOSED;
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

  /** The buffer for the next read: the same one unless somebody still needs its bytes, or more or less is to come. */
  nextBuffer(): Buffer {
    if (!this.#muchToCome()) {
      if (this.#buffer !== SHARED_BUFFER) this.#exchangeBuffer(SHARED_BUFFER);
    } else if (this.#buffer === SHARED_BUFFER) {
      this.#buffer = takeBuffer(false);
    } else if (this.#holder !== null) {
      // Paused, nothing is read before the downstream has drained, and then nobody needs the old bytes any more. Only TLS
      // hands out what it has decrypted already, paused or not.
      if (!this.#paused || this.#secure) this.#exchangeBuffer(takeBuffer(this.#fullReads >= 2));
    } else if (this.#fullReads === 2 && this.#buffer.length === SMALL_BUFFER) {
      this.#exchangeBuffer(takeBuffer(true));
    } else if (this.#fullReads === 0 && this.#buffer.length > SMALL_BUFFER) {
      this.#exchangeBuffer(takeBuffer(false));
    }
    return this.#buffer;
  }

  /**
   * More than fits the shared buffer; where nobody knows (chunks, tunnels), a full read says so. After a long answer the next
   * one is taken for long from its head on: a first part that has to be copied is one write and one wait more.
   */
  #muchToCome(): boolean {
    if (this.#state === IDLE || this.#state === READING_HEAD) return this.#lastWasLong;
    if (this.#state === READING_BODY && this.#remaining >= 0) return this.#remaining > SHARED_BUFFER.length;
    return (this.#state === READING_BODY || this.#state === TUNNEL) && this.#lastRead >= SHARED_BUFFER.length;
  }

  /** Only where the socket is about to be told of the new one: until then it reads to the old. */
  #exchangeBuffer(next: Buffer): void {
    if (this.#buffer !== SHARED_BUFFER) giveBuffer(this.#buffer, this.#holder);
    this.#buffer = next;
    this.#holder = null;
  }

  /** Called by the socket with each read. */
  onRead(length: number, bytes: Buffer): void {
    if (length === bytes.length && bytes !== SHARED_BUFFER) this.#fullReads++;
    const user = this.#user;
    if (user === null) {
      if (this.#state === CLOSED) return;
      // Bytes that nobody asked for: an answer to nothing must never become the answer to the next request.
      this.close();
      return;
    }
    this.#anyByte = true;
    this.#lastRead = length;
    if (length >= SHARED_BUFFER.length) this.#isLong = true;
    if (this.#state === TUNNEL) {
      user.onResponseBody(bytes, 0, length);
    } else this.#read(user, bytes, length);
    this.#holder = user.onReadDone();
    if (this.#state === IDLE && this.#requestDone) this.#becomeIdle();
  }

  #read(user: SessionHandler, read: Buffer, length: number): void {
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
      const after = readResponseHead(bytes, i, end, HEAD_LIMITS, this.#head);
      if (after === INCOMPLETE) {
        this.#partial = Buffer.from(bytes.subarray(i, end));
        return;
      }
      if (after === REFUSED || !readResponseFraming(this.#head, this.#method, this.#meaning)) {
        this.#fail(FAULTS.upstreamMalformed, this.#head.detail);
        return;
      }
      const headBytes = after - i;
      i = after;
      if (this.#onHead(user, bytes, i, end, headBytes) || i === end) return;
    }
    if (this.#state === READING_BODY) i = this.#readBody(user, bytes, i, end);
    // Bytes behind the end of an answer: the connection is out of step.
    if (this.#state === IDLE && i < end) this.#stayOpen = false;
  }

  /** True when the rest of this read is none of the parser's business. */
  #onHead(user: SessionHandler, bytes: Buffer, after: number, end: number, headBytes: number): boolean {
    const head = this.#head;
    const meaning = this.#meaning;
    if (head.status === 101) {
      this.#state = TUNNEL;
      user.onUpgraded(head, bytes.subarray(after, end));
      return true;
    }
    if (head.status < 200) {
      // Nothing holds an upstream back that sends these without end to a caller who reads slowly.
      this.#interimBytes += headBytes;
      if (this.#interimBytes > HEAD_LIMITS.maxHeadBytes) {
        this.#fail(FAULTS.upstreamMalformed, 'too many interim answers');
        return true;
      }
      if (!meaning.keepAlive) this.#closeAnnounced = true;
      user.onInterimHead(head);
      return this.#user !== user;
    }
    this.#stayOpen = meaning.keepAlive && !this.#closeAnnounced;
    this.#remaining = meaning.bodyLength;
    this.#state = READING_BODY;
    if (meaning.bodyLength === CHUNKED) {
      this.#decoder ??= new ChunkedDecoder();
      this.#decoder.reset();
    }
    user.onResponseHead(head, meaning);
    if (this.#user !== user) return true;
    if (this.#remaining === 0) this.#endOfAnswer(user, null);
    return false;
  }

  #readBody(user: SessionHandler, bytes: Buffer, from: number, end: number): number {
    let i = from;
    if (this.#remaining === CHUNKED) {
      const decoder = this.#decoder!;
      while (i < end && this.#user === user) {
        const found = decoder.step(bytes, i, end);
        if (found === BAD) {
          this.#fail(FAULTS.upstreamTruncated, decoder.problem);
          return end;
        }
        i = decoder.position;
        if (found === DATA) user.onResponseBody(bytes, decoder.dataStart, decoder.dataEnd);
        if (found === END) {
          this.#endOfAnswer(user, decoder.trailers);
          break;
        }
      }
      return i;
    }
    if (i === end) return i;
    if (this.#remaining === UNTIL_CLOSE) {
      user.onResponseBody(bytes, i, end);
      return end;
    }
    const take = Math.min(this.#remaining, end - i);
    this.#remaining -= take;
    user.onResponseBody(bytes, i, i + take);
    if (this.#remaining === 0 && this.#user === user) this.#endOfAnswer(user, null);
    return i + take;
  }

  #endOfAnswer(user: SessionHandler, trailers: Head | null): void {
    this.#state = IDLE;
    user.onResponseEnd(trailers);
  }

  #becomeIdle(): void {
    if (!this.#stayOpen || !this.isOpen) {
      this.#user = null;
      this.close();
      return;
    }
    this.#user = null;
    this.#fullReads = 0;
    this.#lastWasLong = this.#isLong;
    this.#isLong = false;
    this.#owner.onIdle(this);
  }

  #onEnd(): void {
    const user = this.#user;
    if (user !== null && this.#state === READING_BODY && this.#remaining === UNTIL_CLOSE) {
      this.#stayOpen = false;
      this.#endOfAnswer(user, null);
      user.onReadDone();
      this.#user = null;
      this.close();
      return;
    }
    if (user !== null && this.#state === TUNNEL) {
      user.onResponseEnd(null);
      return;
    }
    this.#fail(
      this.#state === READING_BODY ? FAULTS.upstreamTruncated : FAULTS.upstreamReset,
      'closed by the upstream',
    );
  }

  #onClose(): void {
    // Nothing is read any more, so the buffer may go to another.
    this.#exchangeBuffer(SHARED_BUFFER);
    this.#fail(this.#state === READING_BODY ? FAULTS.upstreamTruncated : FAULTS.upstreamReset, 'closed');
  }

  #fail(kind: FaultKind, cause: string): void {
    const user = this.#state === IDLE && this.#requestDone ? null : this.#user;
    this.#user = null;
    this.close();
    user?.onSessionFault(kind, cause, this.#anyByte);
  }
}
