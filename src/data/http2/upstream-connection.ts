/**
 * One HTTP/2 connection to an instance (RFC 9113): many requests at a time, up to what the instance takes. Its loss is
 * that of the streams on it; those that the instance says it has not seen (GOAWAY, §6.8) may be sent again. Opened and
 * kept by upstream/http2-pool.ts. Owner: the worker's thread.
 */
import type { Socket } from 'node:net';
import type { Clock } from '../../base/clock.ts';
import { isTls } from '../../base/on-demand.ts';
import type { TimerWheel } from '../../base/timers.ts';
import type { ConnectionEnd } from '../contract/service-state.ts';
import { MessageFraming } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';
import { nextAgeShare } from '../wire/connection-age.ts';
import { Outbox } from '../wire/outbox.ts';
import { Http2Connection } from './connection.ts';
import {
  END_STREAM,
  ENHANCE_YOUR_CALM,
  errorName,
  FRAME_BYTES,
  MOST_STREAM_ID,
  PREFACE,
  PROTOCOL_ERROR,
  pingFrame,
  SETTING_ENABLE_PUSH,
  SETTING_INITIAL_WINDOW_SIZE,
  SETTING_MAX_HEADER_LIST_SIZE,
  settingsFrame,
} from './frames.ts';
import type { FieldSink } from './hpack/decoder.ts';
import { type KnownResponse, RepeatedBlock } from './known-block.ts';
import { MAX_HEAD_BYTES, responseHead } from './response-head.ts';
import { ResponseStream } from './response-stream.ts';
import type { Http2Stream } from './stream.ts';
import { trailerReader } from './trailers.ts';

/** Streams at a time; more of them on one connection would wait for each other's bytes. */
export const MOST_STREAMS = 100;
/**
 * What one slow client may let lie here; the window of the connection has room for all streams, so that none stops
 * others.
 */
const STREAM_WINDOW = 128 * 1024;
const CONNECTION_WINDOW = MOST_STREAMS * STREAM_WINDOW;
/** What all connections read to; whatever is kept of it is copied. */
const SHARED = Buffer.allocUnsafeSlow(64 * 1024);
const OPENING = Buffer.concat([
  PREFACE,
  settingsFrame([
    [SETTING_ENABLE_PUSH, 0],
    [SETTING_INITIAL_WINDOW_SIZE, STREAM_WINDOW],
    [SETTING_MAX_HEADER_LIST_SIZE, MAX_HEAD_BYTES],
  ]),
]);
const PING = Buffer.from('gh-alive', 'latin1');

const IGNORED: FieldSink = { onField: () => {} };

export interface UpstreamConnectionOwner {
  /** There is room for another stream, or there may be. */
  onRoom(connection: UpstreamConnection): void;
  /** No new streams on it; those that are open go on. */
  onGoingAway(connection: UpstreamConnection): void;
  /** The instance ends it, and perhaps because of our PINGs: gRPC servers say so in this way (gRFC A8). */
  onTooManyPings(connection: UpstreamConnection): void;
  /** Once. */
  onClosed(connection: UpstreamConnection): void;
}

export class UpstreamConnection extends Http2Connection {
  readonly isSecure: boolean;
  readonly openedMs: number;
  /** The pool's: what of the most age it may have. */
  readonly ageShare: number = nextAgeShare();
  /** When the last stream ended. */
  idleSinceMs: number;
  /** When something was last read, up to a tick before. */
  lastReadMs: number;
  /** When a PING was sent that has no reply yet; 0: none. */
  pingedMs = 0;
  /** Why it has ended or takes no new streams. */
  end: ConnectionEnd = 'other';
  readonly #owner: UpstreamConnectionOwner;
  readonly #wheel: TimerWheel;
  readonly #repeated = new RepeatedBlock<KnownResponse>();
  /** Sound ones that end a stream. */
  readonly #trailers = new RepeatedBlock<Head>();
  #nextId = 1;
  #served = 0;
  #isGoingAway = false;
  #wasPinged = false;

  constructor(socket: Socket, owner: UpstreamConnectionOwner, wheel: TimerWheel, clock: Clock) {
    const isSecure = isTls(socket);
    super(
      socket,
      new Outbox(socket, isSecure),
      clock,
      { maxBlockBytes: MAX_HEAD_BYTES, streamWindow: STREAM_WINDOW, connectionWindow: CONNECTION_WINDOW },
      false,
    );
    this.isSecure = isSecure;
    this.#owner = owner;
    this.#wheel = wheel;
    this.openedMs = clock.monotonicMs();
    this.idleSinceMs = this.openedMs;
    this.lastReadMs = this.openedMs;
    socket.on('drain', () => this.pump());
    socket.on('end', () => this.#lose('closed by the upstream', 'instance'));
    socket.on('error', (error: NodeJS.ErrnoException) => this.#lose(error.code ?? error.message, 'instance'));
    socket.on('close', () => this.#lose('closed', 'instance'));
    this.writeOpening(OPENING);
  }

  static nextBuffer(): Buffer {
    return SHARED;
  }

  onRead(length: number, bytes: Buffer): void {
    if (this.isClosed) return;
    this.lastReadMs = this.#wheel.coarseMs;
    this.pingedMs = 0;
    this.readBytes(bytes, 0, length);
  }

  get hasRoom(): boolean {
    return (
      !this.isClosed && !this.#isGoingAway && this.streams.size < Math.min(MOST_STREAMS, this.peerSettings.mostStreams)
    );
  }

  /** The instance takes little more of bodies before it has read what is on its way. */
  get isTight(): boolean {
    return this.sendWindow < FRAME_BYTES;
  }

  /** Whether it takes an extended CONNECT (RFC 8441 §3); null: its first settings are not here yet. */
  get takesTunnels(): boolean | null {
    return this.peerSettings.hasCome ? this.peerSettings.takesConnect : null;
  }

  /** Only with `hasRoom`. */
  open(): ResponseStream {
    const stream = new ResponseStream(this, this.#nextId, this.#served > 0);
    this.streams.add(stream);
    this.#nextId += 2;
    this.#served++;
    if (this.#nextId > MOST_STREAM_ID) this.retire('other');
    return stream;
  }

  setDeadline(stream: ResponseStream, ms: number): void {
    this.#wheel.set(stream.deadline, ms);
  }

  /** No new streams; it ends when it has none. */
  retire(end: ConnectionEnd): void {
    if (this.#isGoingAway || this.isClosed) return;
    this.#isGoingAway = true;
    this.end = end;
    this.#owner.onGoingAway(this);
    if (this.streams.size === 0) this.close();
  }

  close(): void {
    if (this.isClosed) return;
    this.writeGoaway(0);
    this.flushNow();
    this.endConnection('ended');
    this.socket.destroySoon();
  }

  /** Asks whether the instance is still there (§6.7): whatever is read next is the reply. */
  ping(nowMs: number): void {
    this.pingedMs = nowMs;
    this.#wasPinged = true;
    this.writeControl(pingFrame(0, PING, 0));
  }

  /** The instance does not reply to PING, so it hears of nothing any more. */
  giveUp(): void {
    this.end = 'ping';
    this.endConnection('no reply to PING');
    this.socket.destroy();
  }

  // --- frames ------------------------------------------------------------------------------------------------

  protected get lastStream(): number {
    return 0;
  }

  protected isIdle(id: number): boolean {
    return id >= this.#nextId || (id & 1) === 0;
  }

  protected onFieldBlock(id: number, flags: number, bytes: Buffer, start: number, end: number): boolean {
    const ended = (flags & END_STREAM) !== 0;
    const stream = this.streams.get(id) as ResponseStream | null;
    if (stream === null) {
      if (this.isIdle(id)) return this.fail(PROTOCOL_ERROR, 'a response to a request that was not sent');
      return this.decoder.decode(bytes, start, end, IGNORED) || this.failCompression();
    }
    if (stream.hasHead) return this.#onTrailers(stream, ended, bytes, start, end);
    const known = stream.takesKnownHead ? this.#repeated.find(bytes, start, end, ended, this.decoder.changes) : null;
    if (known !== null) {
      stream.onSoundHead(known.head, known.meaning, ended);
      return !this.isClosed;
    }
    const before = this.decoder.changes;
    responseHead.begin();
    if (!this.decoder.decode(bytes, start, end, responseHead)) return this.failCompression();
    const isSound = stream.finishHead(ended);
    if (!isSound) return !this.isClosed;
    const { head, meaning } = responseHead;
    if (
      stream.takesKnownHead &&
      head.status >= 200 &&
      this.#repeated.isRepeated(bytes, start, end, ended, before, this.decoder.changes)
    )
      this.#repeated.keep(bytes, start, end, {
        head: head.copy().share(),
        meaning: Object.assign(new MessageFraming(), meaning),
      });
    stream.onSoundHead(head, meaning, ended);
    return !this.isClosed;
  }

  #onTrailers(stream: ResponseStream, ended: boolean, bytes: Buffer, start: number, end: number): boolean {
    const before = this.decoder.changes;
    let head = this.#trailers.find(bytes, start, end, ended, before);
    if (head === null) {
      trailerReader.begin();
      if (!this.decoder.decode(bytes, start, end, trailerReader)) return this.failCompression();
      this.touch(stream);
      if (!ended || trailerReader.isMalformed || trailerReader.isTooLarge) {
        stream.onBadBody('the trailers are malformed');
        return !this.isClosed;
      }
      head = trailerReader.finish();
      if (this.#trailers.isRepeated(bytes, start, end, ended, before, this.decoder.changes))
        this.#trailers.keep(bytes, start, end, head.copy());
    } else this.touch(stream);
    if (!stream.receiveEnd(head)) stream.onBadBody('the body is shorter than Content-Length');
    return !this.isClosed;
  }

  protected override onBadLength(stream: Http2Stream): boolean {
    (stream as ResponseStream).onBadBody('the body does not have the length that Content-Length says');
    return !this.isClosed;
  }

  protected onGoaway(lastStream: number, code: number): void {
    if (code === ENHANCE_YOUR_CALM && this.#wasPinged) this.#owner.onTooManyPings(this);
    // First, since who hears of it may ask for another stream at once.
    this.retire('goaway');
    const cause = `GOAWAY ${errorName(code)}`;
    for (const stream of this.streams.all()) {
      if (stream.id <= lastStream) continue;
      stream.close();
      stream.onConnectionGone(cause, true);
    }
  }

  protected override onPeerSettings(): void {
    // Perhaps it takes fewer than we have opened; those it refuses may be sent again. Or more than before.
    if (this.hasRoom) this.#owner.onRoom(this);
  }

  protected onStreamClosed(stream: Http2Stream): void {
    const { deadline, holding } = stream as ResponseStream;
    this.#wheel.remove(deadline);
    if (holding !== null) holding.held--;
    if (this.isClosed) return;
    if (this.streams.size === 0) {
      this.idleSinceMs = this.#wheel.coarseMs;
      if (this.#isGoingAway) {
        this.close();
        return;
      }
    }
    if (this.hasRoom) this.#owner.onRoom(this);
  }

  protected onLocalEnd(): void {}
  protected onPong(): void {}
  protected onAbuse(): void {}
  protected onBehind(): void {}
  protected onWaiting(): void {}

  #lose(cause: string, end: ConnectionEnd): void {
    if (this.isClosed) return;
    if (!this.#isGoingAway) this.end = end;
    this.endConnection(cause);
  }

  protected override endConnection(cause: string): void {
    if (this.isClosed) return;
    super.endConnection(cause);
    this.#owner.onClosed(this);
    // After `fail` the GOAWAY still goes out.
    this.socket.destroySoon();
  }
}
