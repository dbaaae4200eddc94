/**
 * What an HTTP/2 connection is on either side (RFC 9113): frames as they are read, settings, what we take of the peer,
 * field blocks, and the limits on what a peer may cost. The downstream and upstream connections add requests to it;
 * what is sent is output.ts. Owner: the worker's thread.
 */
import type { Socket } from 'node:net';
import type { Clock } from '../../base/clock.ts';
import type { Outbox } from '../wire/outbox.ts';
import type { AbuseKind } from './abuse-budget.ts';
import { AbuseBudget } from './abuse-budget.ts';
import { FieldBlockBuffer } from './field-block-buffer.ts';
import type { FrameHandler } from './frame-reader.ts';
import { FrameReader } from './frame-reader.ts';
import {
  ACK,
  COMPRESSION_ERROR,
  CONTINUATION,
  END_HEADERS,
  END_STREAM,
  ENHANCE_YOUR_CALM,
  errorName,
  FLOW_CONTROL_ERROR,
  FRAME_BYTES,
  FRAME_SIZE_ERROR,
  GOAWAY,
  goawayFrame,
  HAS_PRIORITY,
  HEADERS,
  INITIAL_WINDOW,
  integer31,
  integer32,
  MOST_WINDOW,
  NO_ERROR,
  numberFrame,
  PING,
  PRIORITY,
  PRIORITY_UPDATE,
  PROTOCOL_ERROR,
  PUSH_PROMISE,
  pingFrame,
  RST_STREAM,
  SETTINGS,
  SETTINGS_ACK,
  STREAM_CLOSED,
  WINDOW_UPDATE,
} from './frames.ts';
import { HpackDecoder } from './hpack/decoder.ts';
import { Http2Output, TINY_WINDOW } from './output.ts';
import { readPriority } from './priority.ts';
import type { Http2Stream } from './stream.ts';
import { StreamTable } from './stream-table.ts';

/** A peer that lets this much of ours lie while it asks for more replies is not reading. */
const UNREAD_REPLIES = 64 * 1024;
/** Frames of one field block above this cost something. */
const FREE_BLOCK_FRAMES = 8;

export interface Http2Limits {
  /** Bytes of one field block, as it comes. */
  readonly maxBlockBytes: number;
  /** What we take at a time of one stream, and of all of them. */
  readonly streamWindow: number;
  readonly connectionWindow: number;
}

export abstract class Http2Connection extends Http2Output implements FrameHandler {
  protected readonly reader: FrameReader;
  protected readonly decoder = new HpackDecoder();
  readonly streams = new StreamTable<Http2Stream>();
  readonly #abuse: AbuseBudget;
  readonly #limits: Http2Limits;
  readonly #fromClient: boolean;

  #receiveWindow: number;
  #uncredited = 0;
  /** Streams that this read brought body bytes for. */
  #firstTouched: Http2Stream | null = null;
  #lastTouched: Http2Stream | null = null;
  /** The stream of the DATA frame that is being read. */
  #dataStream: Http2Stream | null = null;

  readonly #block: FieldBlockBuffer;

  constructor(socket: Socket, outbox: Outbox, clock: Clock, limits: Http2Limits, fromClient: boolean) {
    super(socket, outbox, clock);
    this.#limits = limits;
    this.#fromClient = fromClient;
    this.#block = new FieldBlockBuffer(limits.maxBlockBytes);
    this.#abuse = new AbuseBudget(clock);
    this.reader = new FrameReader(this, fromClient);
    this.#receiveWindow = limits.connectionWindow;
  }

  get streamWindow(): number {
    return this.#limits.streamWindow;
  }

  /** Settings and the window of the connection: the first that we send (§3.4). */
  protected writeOpening(opening: Buffer): void {
    this.writeControl(opening);
    const more = this.#limits.connectionWindow - INITIAL_WINDOW;
    if (more > 0) this.writeControl(numberFrame(WINDOW_UPDATE, 0, more));
  }

  // --- reading -----------------------------------------------------------------------------------------------

  /** `bytes` are used again as soon as this returns. */
  protected readBytes(bytes: Buffer, start: number, end: number): void {
    this.reader.read(bytes, start, end);
    for (let stream = this.#firstTouched; stream !== null; stream = this.#firstTouched) {
      this.#firstTouched = stream.nextTouched;
      if (this.#firstTouched === null) this.#lastTouched = null;
      stream.nextTouched = null;
      stream.isTouched = false;
      if (!stream.isClosed) stream.onReadDone();
      stream.credit();
    }
  }

  /** `onReadDone` of the stream is called at the end of this read. */
  touch(stream: Http2Stream): void {
    if (stream.isTouched) return;
    stream.isTouched = true;
    if (this.#lastTouched === null) this.#firstTouched = stream;
    else this.#lastTouched.nextTouched = stream;
    this.#lastTouched = stream;
  }

  get isInsideBlock(): boolean {
    return this.#block.stream !== 0 || this.reader.isInsideFrame;
  }

  onFrame(type: number, flags: number, stream: number, bytes: Buffer, start: number, end: number): boolean {
    // §4.3: nothing may stand between the frames of a field block.
    if (this.#block.stream !== 0 && (type !== CONTINUATION || stream !== this.#block.stream))
      return this.fail(PROTOCOL_ERROR, 'a frame inside a field block');
    // §3.4: settings come first.
    if (!this.peerSettings.hasCome && (type !== SETTINGS || (flags & ACK) !== 0))
      return this.fail(PROTOCOL_ERROR, 'the first frame is not SETTINGS');
    const length = end - start;
    switch (type) {
      case HEADERS:
        return this.#onHeadersFrame(flags, stream, bytes, start, end);
      case CONTINUATION:
        return this.#onContinuation(flags, bytes, start, end);
      case PRIORITY:
        // RFC 9113 §5.3.2: the old signals are read and not followed.
        if (stream === 0) return this.fail(PROTOCOL_ERROR, 'PRIORITY on stream 0');
        if (length !== 5) return this.fail(FRAME_SIZE_ERROR, 'PRIORITY that is not 5 bytes long');
        return this.takeBudget('priority');
      case RST_STREAM:
        return this.#onReset(stream, bytes, start, length);
      case SETTINGS:
        return this.#onSettings(flags, stream, bytes, start, length);
      case PING:
        if (stream !== 0) return this.fail(PROTOCOL_ERROR, 'PING on a stream');
        if (length !== 8) return this.fail(FRAME_SIZE_ERROR, 'PING that is not 8 bytes long');
        if ((flags & ACK) !== 0) {
          this.onPong(integer32(bytes, start), integer32(bytes, start + 4));
          return true;
        }
        return this.#reply('ping', pingFrame(ACK, bytes, start));
      case GOAWAY:
        if (stream !== 0) return this.fail(PROTOCOL_ERROR, 'GOAWAY on a stream');
        if (length < 8) return this.fail(FRAME_SIZE_ERROR, 'GOAWAY that is too short');
        this.onGoaway(integer31(bytes, start), integer32(bytes, start + 4));
        return !this.isClosed && this.takeBudget('settings');
      case WINDOW_UPDATE:
        return this.#onWindowUpdate(stream, bytes, start, length);
      case PRIORITY_UPDATE:
        return this.#onPriorityUpdate(stream, bytes, start, length);
      case PUSH_PROMISE:
        // Clients may not push (§8.4), and our settings forbid it to servers.
        return this.fail(PROTOCOL_ERROR, 'PUSH_PROMISE');
      default:
        // §5.5: unknown frames are ignored.
        return this.takeBudget('priority');
    }
  }

  onFrameError(code: number, problem: string): void {
    this.fail(code, problem);
  }

  onDataFrame(flags: number, id: number, length: number, padding: number): boolean {
    if (this.#block.stream !== 0) return this.fail(PROTOCOL_ERROR, 'a frame inside a field block');
    if (!this.peerSettings.hasCome) return this.fail(PROTOCOL_ERROR, 'the first frame is not SETTINGS');
    if (id === 0) return this.fail(PROTOCOL_ERROR, 'DATA on stream 0');
    this.#receiveWindow -= length;
    if (this.#receiveWindow < 0) return this.fail(FLOW_CONTROL_ERROR, 'the window of the connection was not kept');
    if (length === padding && (flags & END_STREAM) === 0 && !this.takeBudget('empty_frame')) return false;
    let stream = this.streams.get(id);
    if (stream === null) {
      if (this.isIdle(id)) return this.fail(PROTOCOL_ERROR, 'DATA on a stream that is idle');
      // What is on its way to a stream that we have ended; its window is given back (§6.9).
      this.creditConnection(length);
      this.#dataStream = null;
      return this.takeBudget('empty_frame');
    }
    if (stream.remoteEnded) {
      this.creditConnection(length);
      if (!this.streamError(stream, STREAM_CLOSED)) return false;
      stream = null;
    } else if (!stream.takeWindow(length, padding)) {
      // Padding was counted as taken.
      this.creditConnection(length - padding);
      if (!this.streamError(stream, FLOW_CONTROL_ERROR)) return false;
      stream = null;
    } else this.touch(stream);
    this.#dataStream = stream;
    return true;
  }

  onData(_id: number, bytes: Buffer, start: number, end: number): boolean {
    const stream = this.#dataStream;
    if (stream === null) return !this.isClosed;
    if (stream.isClosed) {
      // It ended in the middle of this frame, all of which was taken off the window.
      this.creditConnection(end - start);
      return !this.isClosed;
    }
    // A frame may go on in a later read than the one that brought its header.
    this.touch(stream);
    if (stream.receive(bytes, start, end)) return !this.isClosed;
    this.creditConnection(end - start);
    return this.onBadLength(stream);
  }

  onDataFrameEnd(flags: number): boolean {
    const stream = this.#dataStream;
    this.#dataStream = null;
    if (stream === null || stream.isClosed || (flags & END_STREAM) === 0) return !this.isClosed;
    this.touch(stream);
    if (!stream.receiveEnd(null)) return this.onBadLength(stream);
    return !this.isClosed;
  }

  #onHeadersFrame(flags: number, stream: number, bytes: Buffer, from: number, end: number): boolean {
    if (stream === 0) return this.fail(PROTOCOL_ERROR, 'HEADERS on stream 0');
    let start = from;
    if ((flags & HAS_PRIORITY) !== 0) {
      start += 5;
      if (start > end) return this.fail(FRAME_SIZE_ERROR, 'HEADERS without the priority that they announce');
    }
    if ((flags & END_HEADERS) !== 0) return this.onFieldBlock(stream, flags, bytes, start, end);
    this.#block.begin(stream, flags);
    return this.#gatherBlock(bytes, start, end);
  }

  #onContinuation(flags: number, bytes: Buffer, start: number, end: number): boolean {
    if (this.#block.stream === 0) return this.fail(PROTOCOL_ERROR, 'CONTINUATION without HEADERS');
    if (!this.#gatherBlock(bytes, start, end)) return false;
    if ((flags & END_HEADERS) === 0) return true;
    const { stream, flags: first, bytes: whole, length } = this.#block;
    this.#block.release();
    return this.onFieldBlock(stream, first, whole, 0, length);
  }

  #gatherBlock(bytes: Buffer, start: number, end: number): boolean {
    if (++this.#block.frames > FREE_BLOCK_FRAMES && !this.takeBudget('continuation')) return false;
    if (start === end && !this.takeBudget('empty_frame')) return false;
    if (this.#block.add(bytes, start, end)) return true;
    this.onAbuse('continuation');
    return this.fail(ENHANCE_YOUR_CALM, 'a field block that is too long');
  }

  #onReset(id: number, bytes: Buffer, start: number, length: number): boolean {
    if (length !== 4) return this.fail(FRAME_SIZE_ERROR, 'RST_STREAM that is not 4 bytes long');
    if (id === 0 || this.isIdle(id)) return this.fail(PROTOCOL_ERROR, 'RST_STREAM on a stream that is idle');
    const stream = this.streams.get(id);
    if (stream === null) return this.takeBudget('empty_frame');
    stream.close();
    stream.onRemoteReset(integer32(bytes, start));
    return !this.isClosed && this.onWasReset();
  }

  /** A stream was reset by the peer before it was over. */
  protected onWasReset(): boolean {
    return true;
  }

  #onSettings(flags: number, stream: number, bytes: Buffer, start: number, length: number): boolean {
    if (stream !== 0) return this.fail(PROTOCOL_ERROR, 'SETTINGS on a stream');
    if ((flags & ACK) !== 0)
      return length === 0 || this.fail(FRAME_SIZE_ERROR, 'a SETTINGS acknowledgement with content');
    if (length % 6 !== 0) return this.fail(FRAME_SIZE_ERROR, 'SETTINGS that are cut off');
    const { peerSettings } = this;
    const isFirst = !peerSettings.hasCome;
    const window = peerSettings.window;
    const code = peerSettings.read(bytes, start, start + length);
    if (code !== 0) return this.fail(code, peerSettings.problem);
    if (peerSettings.window !== window && !this.#moveWindows(peerSettings.window - window)) return false;
    if (isFirst) {
      this.writeControl(SETTINGS_ACK);
    } else if (!this.#reply('settings', SETTINGS_ACK)) return false;
    this.onPeerSettings();
    this.pump();
    return !this.isClosed;
  }

  /** §6.9.2: all streams move by the difference, below zero as well. */
  #moveWindows(change: number): boolean {
    for (const stream of this.streams.all()) {
      stream.sendWindow += change;
      if (stream.sendWindow > MOST_WINDOW) return this.fail(FLOW_CONTROL_ERROR, 'a window that is too large');
    }
    return true;
  }

  #onWindowUpdate(id: number, bytes: Buffer, start: number, length: number): boolean {
    if (length !== 4) return this.fail(FRAME_SIZE_ERROR, 'WINDOW_UPDATE that is not 4 bytes long');
    const increment = integer31(bytes, start);
    if (increment > 0 && increment < TINY_WINDOW && !this.takeBudget('tiny_window')) return false;
    if (id === 0) {
      if (increment === 0) return this.fail(PROTOCOL_ERROR, 'WINDOW_UPDATE by 0');
      this.sendWindow += increment;
      if (this.sendWindow > MOST_WINDOW) return this.fail(FLOW_CONTROL_ERROR, 'a window that is too large');
    } else {
      const stream = this.streams.get(id);
      if (stream === null)
        return !this.isIdle(id) || this.fail(PROTOCOL_ERROR, 'WINDOW_UPDATE on a stream that is idle');
      if (increment === 0) return this.streamError(stream, PROTOCOL_ERROR);
      stream.sendWindow += increment;
      if (stream.sendWindow > MOST_WINDOW) return this.streamError(stream, FLOW_CONTROL_ERROR);
      if (!stream.hasQueue) return true;
    }
    this.pump();
    return !this.isClosed;
  }

  /** RFC 9218 §7.1. */
  #onPriorityUpdate(id: number, bytes: Buffer, start: number, length: number): boolean {
    if (!this.#fromClient) return this.fail(PROTOCOL_ERROR, 'PRIORITY_UPDATE of a server');
    if (id !== 0) return this.fail(PROTOCOL_ERROR, 'PRIORITY_UPDATE on a stream');
    if (length < 4) return this.fail(FRAME_SIZE_ERROR, 'PRIORITY_UPDATE that is too short');
    const about = integer31(bytes, start);
    if (about === 0) return this.fail(PROTOCOL_ERROR, 'PRIORITY_UPDATE for stream 0');
    const stream = this.streams.get(about);
    if (stream !== null) readPriority(bytes.latin1Slice(start + 4, start + length), stream);
    return this.takeBudget('priority');
  }

  // --- windows of the connection -----------------------------------------------------------------------------

  /** Body bytes that were taken, or never will be. */
  creditConnection(bytes: number): void {
    this.#uncredited += bytes;
    if (this.isClosed || this.#uncredited * 2 < this.#limits.connectionWindow) return;
    this.#receiveWindow += this.#uncredited;
    this.writeControl(numberFrame(WINDOW_UPDATE, 0, this.#uncredited));
    this.#uncredited = 0;
  }

  /** The peer may send no body on any stream: this side has taken nothing yet. */
  get holdsAllOfWindow(): boolean {
    return this.#receiveWindow < FRAME_BYTES;
  }

  /** A reply to what costs the peer nothing. */
  #reply(kind: AbuseKind, frame: Buffer): boolean {
    if (!this.takeBudget(kind)) return false;
    if (this.socket.writableLength > UNREAD_REPLIES) {
      this.onAbuse(kind);
      return this.fail(ENHANCE_YOUR_CALM, 'replies are not read');
    }
    this.writeControl(frame);
    return true;
  }

  // --- ending ------------------------------------------------------------------------------------------------

  /** Called by a stream that is over; `bytes` of its body will not be taken by anybody. */
  forget(stream: Http2Stream, bytes: number): void {
    this.streams.remove(stream);
    if (stream.isWaiting) this.order.remove(stream);
    if (bytes > 0) this.creditConnection(bytes);
    this.onStreamClosed(stream);
  }

  /** Ends one stream for what the peer did on it (§5.4.2). False when the connection has ended with it. */
  streamError(stream: Http2Stream, code: number): boolean {
    stream.reset(code);
    stream.onRemoteReset(code);
    return !this.isClosed && this.takeBudget('provoked_reset');
  }

  /** The body is longer or shorter than declared (§8.1.1). */
  protected onBadLength(stream: Http2Stream): boolean {
    return this.streamError(stream, PROTOCOL_ERROR);
  }

  /** Ends the connection for what the peer did (§5.4.1). Always false, so that it can be returned. */
  protected fail(code: number, problem: string): false {
    if (this.isClosed) return false;
    this.writeControl(goawayFrame(this.lastStream, code, problem));
    this.flushNow();
    this.endConnection(`${errorName(code)}: ${problem}`);
    return false;
  }

  protected takeBudget(kind: AbuseKind): boolean {
    if (this.#abuse.take(kind)) return true;
    this.onAbuse(kind);
    return this.fail(ENHANCE_YOUR_CALM, kind.replace('_', ' '));
  }

  protected failCompression(): false {
    return this.fail(COMPRESSION_ERROR, this.decoder.problem);
  }

  /** All streams end with it; nothing is read or written any more. */
  protected endConnection(cause: string): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.reader.stop();
    for (const stream of this.streams.all()) {
      stream.close();
      stream.onConnectionGone(cause, false);
    }
    this.order.clear();
    this.#block.release();
  }

  protected writeGoaway(lastStream: number): void {
    this.writeControl(goawayFrame(lastStream, NO_ERROR, ''));
  }

  /** The highest stream of the peer that we may have acted on (§6.8). */
  protected abstract get lastStream(): number;
  /** Has no such stream been opened yet (§5.1.1)? */
  protected abstract isIdle(id: number): boolean;
  /** A whole field block; it must be decoded, whatever becomes of its stream (§4.3). */
  protected abstract onFieldBlock(stream: number, flags: number, bytes: Buffer, start: number, end: number): boolean;
  protected abstract onGoaway(lastStream: number, code: number): void;
  protected abstract onPong(high: number, low: number): void;
  protected abstract onAbuse(kind: AbuseKind): void;
  protected abstract onStreamClosed(stream: Http2Stream): void;
  /** Settings of the peer have come, the first ones or others. */
  protected onPeerSettings(): void {}
}
