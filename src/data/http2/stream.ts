/**
 * What a stream is on either side (RFC 9113 §5): how far both directions have come, both of its windows, and the bytes
 * that wait, for a window on the way out and for their reader on the way in. Downstream and upstream streams are
 * this with a request or a response around it. Credit goes back only for what was taken, so that a body waits at its
 * sender and not here. Owner: the connection.
 */
import type { Fault } from '../../base/errors.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import { Head } from '../parser/head.ts';
import { HeadBuilder } from '../parser/head-builder.ts';
import { passingTrailers } from '../parser/trailers.ts';
import { ByteQueue } from '../wire/byte-queue.ts';
import type { Http2Connection } from './connection.ts';
import { END_STREAM, numberFrame, RST_STREAM, WINDOW_UPDATE } from './frames.ts';

/** RFC 9218 §4.1. */
const DEFAULT_URGENCY = 3;

const NOT_DECLARED = -1;
const EMPTY = Buffer.alloc(0);

/** Nothing is to be sent behind the body yet. */
const GOES_ON = 0;
const ENDS = 1;
const ENDED = 2;

export abstract class Http2Stream {
  readonly connection: Http2Connection;
  readonly id: number;
  urgency = DEFAULT_URGENCY;
  incremental = false;

  /** What the peer still takes of this stream; below 0 after it made its window smaller (§6.9.2). */
  sendWindow: number;
  /** Bytes wait for the peer's window or for the socket. */
  isWaiting = false;
  /** Since when, or when it was last looked at, and what was sent since. */
  waitBeganMs = 0;
  waitedBytes = 0;
  /** What waits; made when bytes do for the first time. */
  #queue: ByteQueue | null = null;
  #sending = GOES_ON;
  #trailers: FieldBlock | null = null;

  receiveWindow: number;
  /** The peer has said END_STREAM. */
  remoteEnded = false;
  /** The stream is gone: reset, or ended both ways. */
  isClosed = false;
  /** What the head has declared and has not come yet, or -1. */
  #declared = NOT_DECLARED;
  /** Taken by who is behind us, and not given back yet to connection and stream. */
  #taken = 0;
  /** Given back to the connection, and not to the stream yet. */
  #owed = 0;
  #paused = false;
  #held: ByteQueue | null = null;
  #endHeld = false;
  /** What of the trailers passes. */
  #heldTrailers: FieldBlock | null = null;
  /** Among the streams that this read brought something for, and the one behind it. */
  isTouched = false;
  nextTouched: Http2Stream | null = null;

  constructor(connection: Http2Connection, id: number) {
    this.connection = connection;
    this.id = id;
    this.sendWindow = connection.peerSettings.window;
    this.receiveWindow = connection.streamWindow;
  }

  // --- sending -----------------------------------------------------------------------------------------------

  get hasQueue(): boolean {
    return this.#hasBytes || this.#sending === ENDS;
  }

  get #hasBytes(): boolean {
    return this.#queue !== null && !this.#queue.isEmpty;
  }

  get localEnded(): boolean {
    return this.#sending === ENDED;
  }

  /** The head was sent with END_STREAM. */
  protected endedWithHead(): void {
    this.#sending = ENDED;
  }

  /** Sends what the windows allow and queues a copy of the rest; `isLast` says END_STREAM with its last frame. */
  protected sendData(bytes: Buffer, start: number, end: number, isLast: boolean): void {
    if (this.#sending !== GOES_ON || this.isClosed) return;
    let at = start;
    if (!this.#hasBytes) {
      while (at < end) {
        const take = this.connection.mayTake(this, end - at);
        if (take <= 0) break;
        const ends = isLast && at + take === end;
        if (ends) this.#sending = ENDED;
        this.connection.writeData(this, bytes, at, at + take, ends ? END_STREAM : 0);
        at += take;
      }
      // To ask for room may end the connection, which has been cheated of its windows.
      if ((at === end && end > start) || this.isClosed) return;
    }
    if (isLast) this.#sending = ENDS;
    if (at < end) {
      this.#queue ??= new ByteQueue();
      this.#queue.add(bytes, at, end);
    }
    this.connection.wait(this);
  }

  /** Nothing more will be sent; trailers go out as a field block behind what waits. */
  protected sendLast(trailers: FieldBlock | null): void {
    if (this.#sending !== GOES_ON || this.isClosed) return;
    this.#trailers = trailers;
    this.#sending = ENDS;
    if (this.#hasBytes) this.connection.wait(this);
    else this.#writeEnd();
  }

  beginWait(nowMs: number): void {
    this.isWaiting = true;
    this.waitBeganMs = nowMs;
    this.waitedBytes = 0;
  }

  /** Is there something that its window and that of the connection let through? */
  canSendSome(connectionWindow: number): boolean {
    return !this.#hasBytes || (this.sendWindow > 0 && connectionWindow > 0);
  }

  /** One frame of what waits. Called by the connection when there may be room for it. */
  sendSome(): boolean {
    const queue = this.#queue;
    if (queue === null || queue.isEmpty) {
      if (this.#sending === ENDS) this.#writeEnd();
      return true;
    }
    const { first, firstStart: from } = queue;
    const take = this.connection.mayTake(this, queue.firstEnd - from);
    if (take <= 0) return false;
    queue.drop(take);
    const ends = queue.isEmpty && this.#sending === ENDS && this.#trailers === null;
    if (ends) this.#sending = ENDED;
    this.connection.writeData(this, first, from, from + take, ends ? END_STREAM : 0);
    return true;
  }

  #writeEnd(): void {
    this.#sending = ENDED;
    if (this.#trailers === null) this.connection.writeData(this, EMPTY, 0, 0, END_STREAM);
    else this.connection.writeTrailers(this, this.#trailers);
  }

  protected dropQueue(): void {
    this.#queue = null;
    this.#sending = ENDED;
  }

  // --- receiving ---------------------------------------------------------------------------------------------

  /** Of the head (RFC 9113 §8.1.1); -1: it declares nothing. */
  protected expectBytes(length: number): void {
    this.#declared = length;
  }

  /** False: a stream error, the window was not kept (§6.9). */
  takeWindow(length: number, padding: number): boolean {
    this.receiveWindow -= length;
    // What carries nothing is given back with the next credit.
    this.#taken += padding;
    return this.receiveWindow >= 0;
  }

  /** Bytes of the body as they came; the memory is used again afterwards. */
  receive(bytes: Buffer, start: number, end: number): boolean {
    const length = end - start;
    if (this.#declared !== NOT_DECLARED) {
      this.#declared -= length;
      if (this.#declared < 0) return false;
    }
    if (this.#paused) {
      this.#held ??= new ByteQueue();
      this.#held.add(bytes, start, end);
      return true;
    }
    this.#taken += length;
    this.onBody(bytes, start, end, true);
    return true;
  }

  /** END_STREAM has come. False: the body is shorter than declared. */
  receiveEnd(trailers: Head | null): boolean {
    this.remoteEnded = true;
    if (this.#declared > 0) return false;
    if (this.#held !== null) {
      this.#endHeld = true;
      this.#heldTrailers = passingTrailers(trailers);
    } else {
      this.onRemoteEnd(trailers);
    }
    return true;
  }

  /** What is read from now on is held, up to the window. */
  protected pauseReceiving(): void {
    this.#paused = true;
  }

  protected resumeReceiving(): void {
    if (!this.#paused) return;
    this.#paused = false;
    const held = this.#held;
    if (held !== null) {
      while (!held.isEmpty && !this.#paused && !this.isClosed) {
        const { first, firstStart, firstEnd } = held;
        held.drop(firstEnd - firstStart);
        this.#taken += firstEnd - firstStart;
        this.onBody(first, firstStart, firstEnd, false);
        this.onReadDone();
      }
      if (!held.isEmpty) return;
      this.#held = null;
      if (this.#endHeld && !this.isClosed) {
        this.#endHeld = false;
        this.onRemoteEnd(this.#heldTrailers === null ? null : headOf(this.#heldTrailers));
        if (!this.isClosed) this.onReadDone();
      }
    }
    this.credit();
  }

  get isPaused(): boolean {
    return this.#paused;
  }

  /** Gives back what was taken: to the connection at once, to the stream when it is worth a frame. */
  credit(): void {
    if (this.#paused || this.#taken === 0) return;
    this.connection.creditConnection(this.#taken);
    this.#owed += this.#taken;
    this.#taken = 0;
    if (this.remoteEnded || this.isClosed || this.#owed * 2 < this.connection.streamWindow) return;
    this.receiveWindow += this.#owed;
    this.connection.writeControl(numberFrame(WINDOW_UPDATE, this.id, this.#owed));
    this.#owed = 0;
  }

  // --- ending ------------------------------------------------------------------------------------------------

  /** Ends the stream with RST_STREAM, unless it is over. */
  reset(code: number): void {
    if (this.isClosed) return;
    this.connection.writeControl(numberFrame(RST_STREAM, this.id, code));
    this.close();
  }

  /** Forgets what waits and gives its part of the connection's window back. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.dropQueue();
    const bytes = this.#taken + (this.#held === null ? 0 : this.#held.length);
    this.#held = null;
    this.#taken = 0;
    this.connection.forget(this, bytes);
  }

  /** The body goes on. */
  protected abstract onBody(bytes: Buffer, start: number, end: number, isVolatile: boolean): void;
  /** The trailers are good until this returns. */
  protected abstract onRemoteEnd(trailers: Head | null): void;
  /** All of one read has been handed on. */
  abstract onReadDone(): void;
  /** What waited has been sent. */
  abstract onQueueSent(): void;
  abstract onRemoteReset(code: number): void;
  /** The connection has ended with this stream on it. */
  abstract onConnectionGone(cause: string, notProcessed: boolean): void;
  /** Bytes have been waiting for the peer's window for too long. */
  abstract onSendStalled(fault: Fault): void;
}

/** Trailers that were kept, as a head again. */
function headOf(block: FieldBlock): Head {
  const head = new Head(block.names.length);
  const bytes = block.names.reduce((sum, name, i) => sum + name.length + block.values[i]!.length + 4, 8);
  const builder = new HeadBuilder(head, Buffer.allocUnsafe(bytes));
  for (const [i, name] of block.names.entries()) builder.field(name, block.values[i]!);
  builder.end();
  return head;
}
