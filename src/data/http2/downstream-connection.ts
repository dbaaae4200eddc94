/**
 * One downstream HTTP/2 connection (RFC 9113): opens a stream for each request and hands it to a new exchange, within
 * the limits on what one connection may ask for. It keeps the deadlines of the connection and ends it in two steps, so
 * that no request is lost on drain and reload (§6.8). Made by the listener by ALPN, or when an HTTP/1.1 connection
 * finds the preface of HTTP/2. Owner: the worker's thread.
 */
import type { Socket } from 'node:net';
import type { FaultKind } from '../../base/errors.ts';
import { FAULTS, Fault } from '../../base/errors.ts';
import type { DeadlineOwner } from '../../base/timers.ts';
import { Deadline } from '../../base/timers.ts';
import type { Http2Settings } from '../contract/snapshot.ts';
import type { Peer } from '../exchange/downstream.ts';
import { PerConnectionCache } from '../exchange/per-connection-cache.ts';
import type { RequestBuffers } from '../exchange/request-buffers.ts';
import { type Reader, readInto } from '../wire/adopt.ts';
import { Outbox } from '../wire/outbox.ts';
import { isTooSlow, ReadWatch, type ReadWatchOwner, stalledReader } from '../wire/read-watch.ts';
import type { AbuseKind } from './abuse-budget.ts';
import { Http2Connection } from './connection.ts';
import {
  END_STREAM,
  MOST_STREAM_ID,
  PROTOCOL_ERROR,
  pingFrame,
  REFUSED_STREAM,
  SETTING_ENABLE_CONNECT_PROTOCOL,
  SETTING_INITIAL_WINDOW_SIZE,
  SETTING_MAX_CONCURRENT_STREAMS,
  SETTING_MAX_HEADER_LIST_SIZE,
  SETTING_NO_RFC7540_PRIORITIES,
  STREAM_CLOSED,
  settingsFrame,
} from './frames.ts';
import type { Http2Host } from './host.ts';
import type { FieldSink } from './hpack/decoder.ts';
import { KnownRequest, RepeatedBlock } from './known-block.ts';
import { readPriority } from './priority.ts';
import { requestHead } from './request-head.ts';
import { RequestStream } from './request-stream.ts';
import type { Http2Stream } from './stream.ts';
import { trailerReader } from './trailers.ts';

/** Field blocks are compressed, so one that is longer than this unfolds to more than any head may be. */
const LEAST_BLOCK_BYTES = 32 * 1024;
/** Between the two steps of an end: time for what the client sent before it received the first. */
const SECOND_STEP_MS = 1_000;
const LINGER_MS = 2_000;
/** What all connections read to; whatever is kept of it is copied. */
const SHARED = Buffer.allocUnsafeSlow(64 * 1024);
const DRAIN_PING = Buffer.from('gh-drain', 'latin1');
const PRESENCE_PING = Buffer.from('gh-there', 'latin1');
/** How often a client that sends nothing more is looked after. */
const PRESENCE_MS = 500;

/** Kinds of deadlines. */
const CONNECTION = 0;
const STALL = 1;
const SECOND_STEP = 2;

/** What the deadline of the connection is set for. */
const NOTHING = 0;
const HEAD = 1;
const IDLE = 2;
const LINGER = 3;
const PRESENCE = 4;

const IGNORED: FieldSink = { onField: () => {} };

export class DownstreamConnection extends Http2Connection implements DeadlineOwner, Reader, ReadWatchOwner {
  readonly peer: Peer;
  readonly host: Http2Host;
  readonly cache: PerConnectionCache;
  readonly #settings: Http2Settings;
  readonly #deadline = new Deadline(this, CONNECTION);
  /** Made when bytes of a stream wait for the first time. */
  #stall: Deadline | null = null;
  #secondStep: Deadline | null = null;
  readonly #repeated = new RepeatedBlock<KnownRequest>();
  #awaited = NOTHING;
  #lastOpened = 0;
  /** The last stream that is served; the client knows that those above are not. */
  #lastServed = MOST_STREAM_ID;
  #requests = 0;
  /** Made when the socket is behind for the first time. */
  #readWatch: ReadWatch | null = null;
  #isGone = false;
  /** The client sends nothing more, and waits for the rest of what it has asked for. */
  #isHalfClosed = false;

  constructor(socket: Socket, peer: Peer, host: Http2Host, settings: Http2Settings) {
    super(
      socket,
      new Outbox(socket, peer.secure),
      host.clock,
      {
        maxBlockBytes: Math.max(LEAST_BLOCK_BYTES, host.limits.maxHeadBytes),
        streamWindow: settings.streamWindow,
        connectionWindow: Math.max(settings.connectionWindow, settings.streamWindow),
      },
      true,
    );
    this.peer = peer;
    this.cache = new PerConnectionCache('h2', peer.source);
    this.host = host;
    this.#settings = settings;
    // Its side is ended by us: see `#onEnd`.
    socket.allowHalfOpen = true;
    socket.on('end', () => this.#onEnd());
    socket.on('error', () => this.#onGone('reset by the client'));
    socket.on('close', () => this.#onClosed());
    socket.on('drain', () => this.#onDrain());
    this.writeOpening(openingFor(settings, host.limits.maxHeadBytes));
    this.#await(HEAD);
    if (!readInto(socket, this)) socket.on('data', (chunk: Buffer) => this.onRead(chunk.length, chunk));
  }

  // --- reading -----------------------------------------------------------------------------------------------

  nextBuffer(): Buffer {
    return SHARED;
  }

  onRead(length: number, bytes: Buffer): void {
    if (this.isClosed) return;
    this.readBytes(bytes, 0, length);
    this.#setDeadline();
  }

  protected get lastStream(): number {
    return Math.min(this.#lastOpened, this.#lastServed);
  }

  protected isIdle(id: number): boolean {
    return id > this.#lastOpened || (id & 1) === 0;
  }

  protected onFieldBlock(id: number, flags: number, bytes: Buffer, start: number, end: number): boolean {
    const ended = (flags & END_STREAM) !== 0;
    const stream = this.streams.get(id);
    if (stream !== null) return this.#onTrailers(stream, ended, bytes, start, end);
    // §5.1.1: odd, and higher than all before.
    if ((id & 1) === 0) return this.fail(PROTOCOL_ERROR, 'a client opens streams of odd numbers');
    if (id <= this.#lastOpened) {
      // Perhaps sent before our reset came; §4.3 wants it decoded.
      if (!this.decoder.decode(bytes, start, end, IGNORED)) return this.failCompression();
      return this.takeBudget('empty_frame');
    }
    if (id > this.#lastServed) return this.decoder.decode(bytes, start, end, IGNORED) || this.failCompression();
    this.#lastOpened = id;
    return this.#open(id, ended, bytes, start, end);
  }

  #open(id: number, ended: boolean, bytes: Buffer, start: number, end: number): boolean {
    const { host } = this;
    const incoming = host.takeBuffers();
    const known = this.#repeated.find(bytes, start, end, ended, this.decoder.changes);
    let problem: FaultKind | null = null;
    let priority: string;
    if (known !== null && known.limits === host.limits) {
      known.fill(incoming);
      priority = known.priority;
    } else {
      const before = this.decoder.changes;
      requestHead.begin(incoming, host.limits);
      if (!this.decoder.decode(bytes, start, end, requestHead)) {
        host.giveBuffers(incoming);
        return this.failCompression();
      }
      problem = requestHead.finish(ended);
      priority = requestHead.priority;
      if (problem === null && this.#repeated.isRepeated(bytes, start, end, ended, before, this.decoder.changes))
        this.#keep(bytes, start, end, incoming, priority);
    }
    const stream = new RequestStream(this, id);
    if (this.streams.size >= this.#settings.maxConcurrentStreams) {
      // §5.1.2: not processed, so the client may send it again.
      host.giveBuffers(incoming);
      this.streams.add(stream);
      stream.reset(REFUSED_STREAM);
      return this.takeBudget('provoked_reset');
    }
    this.streams.add(stream);
    this.#requests++;
    if (problem !== null) {
      const fault = new Fault(problem, { detail: requestHead.detail });
      stream.refuse(fault, () => requestHead.refusedHead(incoming.head), ended);
      host.giveBuffers(incoming);
      return this.takeBudget(problem === FAULTS.headTooLarge ? 'field_block' : 'provoked_reset');
    }
    if (priority !== '') readPriority(priority, stream);
    host.onHttp2Request();
    stream.begin(incoming, ended);
    const isLeaving = host.leaving || this.peer.admission.isOver;
    if (this.#requests === host.limits.maxRequestsPerConnection || (isLeaving && this.#secondStep === null))
      this.drain();
    return !this.isClosed;
  }

  #keep(bytes: Buffer, start: number, end: number, incoming: RequestBuffers, priority: string): void {
    // A request for a tunnel has a key of its own, and a head of another memory does not fit in that of requests.
    if (incoming.meaning.upgrade >= 0 || incoming.head.bytes !== incoming.bytes) return;
    this.#repeated.keep(bytes, start, end, new KnownRequest(incoming, this.host.limits, priority));
  }

  /** §8.1: a second field block ends the request. */
  #onTrailers(stream: Http2Stream, ended: boolean, bytes: Buffer, start: number, end: number): boolean {
    trailerReader.begin();
    if (!this.decoder.decode(bytes, start, end, trailerReader)) return this.failCompression();
    if (stream.remoteEnded) return this.streamError(stream, STREAM_CLOSED);
    if (!ended || trailerReader.isMalformed) return this.#badBody(stream, 'the trailers are malformed');
    if (trailerReader.isTooLarge) return this.#badBody(stream, 'the trailers are too large');
    this.touch(stream);
    if (!stream.receiveEnd(trailerReader.finish())) return this.onBadLength(stream);
    return !this.isClosed;
  }

  protected override onBadLength(stream: Http2Stream): boolean {
    return this.#badBody(stream, 'the body does not have the length that Content-Length says');
  }

  #badBody(stream: Http2Stream, detail: string): boolean {
    (stream as RequestStream).onBadBody(new Fault(FAULTS.malformedBody, { detail }));
    stream.reset(PROTOCOL_ERROR);
    return !this.isClosed && this.takeBudget('provoked_reset');
  }

  // --- what a stream tells -----------------------------------------------------------------------------------

  protected override onWasReset(): boolean {
    return this.takeBudget('rapid_reset');
  }

  protected onLocalEnd(stream: Http2Stream): void {
    (stream as RequestStream).onLocalEnd();
  }

  protected onStreamClosed(stream: Http2Stream): void {
    (stream as RequestStream).onClosed();
    if (this.streams.size === 0 && !this.isClosed) this.#onNoStreams();
  }

  #onNoStreams(): void {
    if (this.#lastServed !== MOST_STREAM_ID || this.#isHalfClosed) this.#finish();
    else this.#setDeadline();
  }

  protected onAbuse(kind: AbuseKind): void {
    this.host.onHttp2Abuse(kind, this.peer);
  }

  protected onGoaway(): void {
    // The client opens no more streams; those that are open go on.
  }

  protected onPong(high: number, low: number): void {
    if (high === DRAIN_PING.readUInt32BE(0) && low === DRAIN_PING.readUInt32BE(4)) this.#endStreams();
  }

  // --- deadlines ---------------------------------------------------------------------------------------------

  #setDeadline(): void {
    if (this.isClosed) return;
    if (this.isInsideBlock || this.#lastOpened + this.streams.size === 0) {
      if (!this.reader.hasPreface || this.isInsideBlock) this.#await(HEAD);
      else this.#await(IDLE);
    } else if (this.streams.size === 0) this.#await(IDLE);
    else this.#await(NOTHING);
  }

  #await(what: number): void {
    if (what === this.#awaited) return;
    this.#awaited = what;
    const { limits, wheel } = this.host;
    if (what === NOTHING) wheel.clear(this.#deadline);
    else if (what === HEAD) wheel.set(this.#deadline, limits.headTimeoutMs);
    else if (what === IDLE) wheel.set(this.#deadline, limits.keepAliveTimeoutMs);
    else if (what === PRESENCE) wheel.set(this.#deadline, PRESENCE_MS);
    else wheel.set(this.#deadline, LINGER_MS);
  }

  onDeadline(kind: number): void {
    if (kind === STALL) this.#onStreamsStalled();
    else if (kind === SECOND_STEP) this.#endStreams();
    else if (this.#awaited === HEAD) this.fail(PROTOCOL_ERROR, 'a frame did not come to its end in time');
    else if (this.#awaited === IDLE) this.#finish();
    else if (this.#awaited === PRESENCE) this.#askForPresence();
    else this.#destroy();
  }

  protected onWaiting(): void {
    const { writeTimeoutMs } = this.host.limits;
    if (writeTimeoutMs <= 0) return;
    this.#stall ??= new Deadline(this, STALL);
    if (!this.#stall.isSet) this.host.wheel.set(this.#stall, writeTimeoutMs);
  }

  /**
   * Streams whose client gives no window, or gives it more slowly than the least rate, end; others have their time
   * again.
   */
  #onStreamsStalled(): void {
    const { writeTimeoutMs, minReadBytesPerSecond } = this.host.limits;
    const nowMs = this.clock.monotonicMs();
    let nextMs = writeTimeoutMs;
    for (const stream of [...this.waiting]) {
      const ms = nowMs - stream.waitBeganMs;
      if (ms < writeTimeoutMs) nextMs = Math.min(nextMs, writeTimeoutMs - ms);
      else if (isTooSlow(stream.waitedBytes, ms, minReadBytesPerSecond))
        stream.onSendStalled(stalledReader(stream.waitedBytes, ms));
      else stream.beginWait(nowMs);
    }
    if (this.waiting.length > 0) this.host.wheel.set(this.#stall!, Math.max(1, nextMs));
  }

  protected onBehind(): void {
    this.#readWatch ??= new ReadWatch(this.socket, this.host, this);
    this.#readWatch.behind();
  }

  #onDrain(): void {
    this.#readWatch?.caughtUp();
    this.pump();
  }

  onReaderTooSlow(fault: Fault): void {
    if (this.#isGone) return;
    for (const stream of this.streams.all()) stream.onSendStalled(fault);
    this.#destroy();
  }

  // --- ending ------------------------------------------------------------------------------------------------

  /**
   * RFC 9113 §6.8: first says that there will be an end, then, when what was on its way has come, which stream is the
   * last. An idle connection ends as well in this way, since a request may be on its way to it.
   */
  drain(): void {
    if (this.isClosed || this.#secondStep !== null) return;
    this.#secondStep = new Deadline(this, SECOND_STEP);
    this.host.wheel.set(this.#secondStep, SECOND_STEP_MS);
    this.writeGoaway(MOST_STREAM_ID);
    this.writeControl(pingFrame(0, DRAIN_PING, 0));
  }

  #endStreams(): void {
    if (this.isClosed || this.#lastServed !== MOST_STREAM_ID) return;
    this.#lastServed = this.#lastOpened;
    if (this.streams.size === 0) this.#finish();
    else this.writeGoaway(this.#lastServed);
  }

  /** Nothing is open: says that it ends, ends our side and waits a moment for the other. */
  #finish(): void {
    this.writeGoaway(this.lastStream);
    this.flushNow();
    this.endConnection('finished');
  }

  protected override endConnection(cause: string): void {
    if (this.isClosed) return;
    super.endConnection(cause);
    if (this.#stall !== null) this.host.wheel.remove(this.#stall);
    if (this.#secondStep !== null) this.host.wheel.remove(this.#secondStep);
    if (this.#isGone) return;
    this.#awaited = NOTHING;
    this.#await(LINGER);
    this.socket.end();
  }

  /** Requests cut off by the process's end get `shutting_down`. */
  abort(): void {
    if (!this.isClosed) {
      for (const stream of this.streams.all()) (stream as RequestStream).cutOff();
      if (!this.isClosed) this.flushNow();
    }
    this.#destroy();
  }

  #destroy(): void {
    this.#isGone = true;
    this.endConnection('ended');
    this.socket.destroy();
  }

  /**
   * The client has ended its side (FIN, or close_notify of TLS). Requests that came whole are answered, all others end,
   * tunnels too. Whether it is still there is found out by PINGs: the kernel of one that is gone resets the connection,
   * which the second of them hears, since nothing is read any more.
   */
  #onEnd(): void {
    if (this.isClosed) {
      this.#isGone = true;
      this.socket.destroySoon();
      return;
    }
    this.#isHalfClosed = true;
    this.reader.stop();
    for (const stream of this.streams.all()) {
      if (stream.remoteEnded) continue;
      stream.close();
      stream.onConnectionGone('closed by the client', false);
    }
    if (this.isClosed) return;
    if (this.streams.size === 0) {
      this.#onGone('closed by the client');
      return;
    }
    this.#askForPresence();
  }

  #askForPresence(): void {
    this.#awaited = NOTHING;
    this.#await(PRESENCE);
    this.writeControl(pingFrame(0, PRESENCE_PING, 0));
  }

  #onGone(cause: string): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.endConnection(cause);
    this.socket.destroy();
  }

  #onClosed(): void {
    this.#onGone('closed');
    this.host.wheel.remove(this.#deadline);
    this.#readWatch?.remove();
    this.host.onHttp2Closed(this);
  }
}

let lastSettings: Http2Settings | null = null;
let lastHeadBytes = 0;
let lastOpening: Buffer = SHARED;

/** Made once per configuration. */
function openingFor(settings: Http2Settings, maxHeadBytes: number): Buffer {
  if (settings !== lastSettings || maxHeadBytes !== lastHeadBytes) {
    lastSettings = settings;
    lastHeadBytes = maxHeadBytes;
    lastOpening = settingsFrame([
      [SETTING_MAX_CONCURRENT_STREAMS, settings.maxConcurrentStreams],
      [SETTING_INITIAL_WINDOW_SIZE, settings.streamWindow],
      [SETTING_MAX_HEADER_LIST_SIZE, maxHeadBytes],
      [SETTING_ENABLE_CONNECT_PROTOCOL, 1],
      [SETTING_NO_RFC7540_PRIORITIES, 1],
    ]);
  }
  return lastOpening;
}
