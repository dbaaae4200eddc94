/**
 * What an HTTP/2 connection sends (RFC 9113 §4, §6.9): frames put together for the socket, the peer's window of the
 * connection, and the order in which waiting bytes go out (RFC 9218 §10). What one callback or one turn of the event
 * loop brings for the socket is written at once, since responses of many streams share it. The other half, what is
 * read, is connection.ts. Owner: the worker's thread.
 */
import type { Socket } from 'node:net';
import type { Clock } from '../../base/clock.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import type { Outbox } from '../wire/outbox.ts';
import type { AbuseKind } from './abuse-budget.ts';
import { flushLater } from './flush-later.ts';
import {
  CONTINUATION,
  DATA,
  END_HEADERS,
  END_STREAM,
  FRAME_BYTES,
  HEADER_BYTES,
  HEADERS,
  INITIAL_WINDOW,
  putHeader,
} from './frames.ts';
import { HeadEncoder } from './head-encoder.ts';
import { HpackEncoder } from './hpack/encoder.ts';
import { PeerSettings } from './peer-settings.ts';
import { SendOrder } from './send-order.ts';
import type { Http2Stream } from './stream.ts';

/** Gathered up to here before it is handed to the socket within one callback. */
const GATHER_BYTES = 32 * 1024;
/** Windows smaller than this make frames that are mostly header. */
export const TINY_WINDOW = 64;

export abstract class Http2Output {
  protected readonly outbox: Outbox;
  protected readonly socket: Socket;
  protected readonly clock: Clock;
  readonly encoder = new HpackEncoder();
  readonly headEncoder = new HeadEncoder(this.encoder);
  readonly peerSettings = new PeerSettings(this.encoder);
  protected isClosed = false;
  /** What the peer still takes of all streams together. */
  protected sendWindow = INITIAL_WINDOW;
  protected readonly order = new SendOrder();
  #gathered = 0;
  #isDirty = false;
  #isPumping = false;

  constructor(socket: Socket, outbox: Outbox, clock: Clock) {
    this.socket = socket;
    this.outbox = outbox;
    this.clock = clock;
  }

  // --- writing -----------------------------------------------------------------------------------------------

  /** How many of `length` bytes this stream may send in one frame now. */
  mayTake(stream: Http2Stream, length: number): number {
    if (this.#gathered >= GATHER_BYTES) this.flushNow();
    if (this.socket.writableNeedDrain) return 0;
    const take = Math.min(length, FRAME_BYTES, stream.sendWindow, this.sendWindow);
    if (take < length && take < TINY_WINDOW && take > 0 && !this.takeBudget('tiny_window')) return 0;
    return take;
  }

  writeData(stream: Http2Stream, bytes: Buffer, start: number, end: number, flags: number): void {
    const length = end - start;
    putHeader(header, 0, length, DATA, flags, stream.id);
    this.outbox.bytes(header, 0, HEADER_BYTES);
    if (length > 0) {
      stream.sendWindow -= length;
      this.sendWindow -= length;
      this.outbox.part(bytes, start, end);
      stream.waitedBytes += length;
    }
    this.#gathered += length + HEADER_BYTES;
    this.#makeDirty();
    if ((flags & END_STREAM) !== 0) this.#afterEnd(stream);
  }

  /** The open block of the encoder, as HEADERS and what CONTINUATION it needs. */
  writeFieldBlock(stream: Http2Stream, flags: number): void {
    const { encoder, outbox } = this;
    const { bytes, length } = encoder;
    for (let at = 0; at === 0 || at < length; at += FRAME_BYTES) {
      const end = Math.min(length, at + FRAME_BYTES);
      const last = end === length ? END_HEADERS : 0;
      putHeader(header, 0, end - at, at === 0 ? HEADERS : CONTINUATION, last | (at === 0 ? flags : 0), stream.id);
      outbox.bytes(header, 0, HEADER_BYTES);
      outbox.bytes(bytes, at, end);
    }
    encoder.end();
    this.#gathered += length + HEADER_BYTES;
    this.#makeDirty();
    if ((flags & END_STREAM) !== 0) this.#afterEnd(stream);
  }

  writeTrailers(stream: Http2Stream, trailers: FieldBlock): void {
    this.encoder.begin();
    this.headEncoder.fields(trailers);
    this.writeFieldBlock(stream, END_STREAM);
  }

  writeControl(frame: Buffer): void {
    if (this.isClosed) return;
    this.outbox.bytes(frame, 0, frame.length);
    this.#gathered += frame.length;
    this.#makeDirty();
  }

  #makeDirty(): void {
    if (this.#isDirty) return;
    this.#isDirty = true;
    flushLater(this);
  }

  /** Hands to the socket what is gathered. */
  flushNow(): void {
    this.#isDirty = false;
    this.#gathered = 0;
    if (!this.outbox.isEmpty && !this.outbox.flush()) this.onBehind();
  }

  /** Both sides have ended: the stream is over. */
  #afterEnd(stream: Http2Stream): void {
    if (stream.remoteEnded) stream.close();
    else this.onLocalEnd(stream);
  }

  // --- the order of what waits -------------------------------------------------------------------------------

  wait(stream: Http2Stream): void {
    if (stream.isWaiting) return;
    this.order.add(stream, this.clock.monotonicMs());
    this.onWaiting();
  }

  protected get waiting(): readonly Http2Stream[] {
    return this.order.streams;
  }

  /** Sends what waits, as far as socket and windows take it. */
  pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    for (let stream = this.#next(); stream !== null; stream = this.#next()) {
      if (!stream.sendSome()) break;
      if (stream.hasQueue) continue;
      this.order.remove(stream);
      if (!stream.isClosed) stream.onQueueSent();
    }
    this.#isPumping = false;
  }

  #next(): Http2Stream | null {
    if (this.#gathered >= GATHER_BYTES) this.flushNow();
    if (this.isClosed || this.socket.writableNeedDrain) return null;
    return this.order.next(this.sendWindow);
  }

  // --- what the connection says to it ------------------------------------------------------------------------

  /** False: the peer has cost too much, and the connection has ended. */
  protected abstract takeBudget(kind: AbuseKind): boolean;
  /** We have ended our side of a stream and the peer has not. */
  protected abstract onLocalEnd(stream: Http2Stream): void;
  /** The peer reads slower than we write. */
  protected abstract onBehind(): void;
  /** A stream begins to wait. */
  protected abstract onWaiting(): void;
}

const header = Buffer.alloc(HEADER_BYTES);
