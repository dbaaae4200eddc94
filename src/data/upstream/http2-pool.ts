/**
 * The HTTP/2 connections of one worker to one instance: the first with room takes the next request, so that those the
 * traffic does not need become idle and end; a new one is made when all are full. Who finds neither, or whose address
 * has its share of the streams, waits in a bounded queue with a deadline, addresses in turn (pool-shares.ts). A request
 * with a body rather takes one whose window has room for it: 64 KB, which many servers leave it at, hold bodies of 1 KB of
 * two thirds of a connection's streams. Owner: the worker's thread.
 *
 * A connection that takes no more requests (old, or the instance said GOAWAY) ends with its last one. Until then
 * another stands in its place: at most `maxConnections` take requests, and as many again may be finishing theirs.
 */
import type { FaultKind } from '../../base/errors.ts';
import { FAULTS } from '../../base/errors.ts';
import type { DeadlineOwner, TimerWheel } from '../../base/timers.ts';
import { Deadline } from '../../base/timers.ts';
import type { PoolSettings } from '../contract/snapshot.ts';
import type { StreamWaiter, UpstreamStream } from '../exchange/upstream-stream.ts';
import type { Session } from '../http1/session.ts';
import type { ResponseStream } from '../http2/response-stream.ts';
import type { UpstreamConnection, UpstreamConnectionOwner } from '../http2/upstream-connection.ts';
import { MOST_STREAMS } from '../http2/upstream-connection.ts';
import { isTooOld } from '../wire/connection-age.ts';
import type { AlpnResult, DialTarget, Http2DialResult, ProtocolPools } from './dial.ts';
import { areInterchangeable, dialByAlpn, dialHttp2 } from './dial.ts';
import type { PoolEnvironment, UpstreamPool } from './pool.ts';
import { type Holding, PoolShares, shareCause, shareOf } from './pool-shares.ts';

/** How often connections are looked over. */
const SWEEP_MS = 1_000;

export class Http2Pool implements UpstreamPool, UpstreamConnectionOwner, DeadlineOwner {
  #target: DialTarget;
  #settings: PoolSettings;
  #connectMs: number;
  /** Of an instance that chooses the protocol; null: it speaks HTTP/2. */
  readonly alpn: ProtocolPools | null;
  readonly #environment: PoolEnvironment;
  /** Those that take requests. */
  readonly #connections: UpstreamConnection[] = [];
  /** Those that only finish what they have. */
  readonly #finishing = new Set<UpstreamConnection>();
  readonly #shares = new PoolShares<Waiting>();
  readonly #dialling = new Set<Dialling>();
  readonly #sweep = new Deadline(this, 0);
  /** How much later than the settings say a PING is sent, since the instance has said that there are too many. */
  #pingPatience = 1;
  #closed = false;

  constructor(
    target: DialTarget,
    settings: PoolSettings,
    connectMs: number,
    environment: PoolEnvironment,
    alpn: ProtocolPools | null = null,
  ) {
    this.alpn = alpn;
    this.#target = target;
    this.#settings = settings;
    this.#connectMs = connectMs;
    this.#environment = environment;
    this.#setShares();
  }

  #setShares(): void {
    const { maxConnections, maxQueued, addressShare } = this.#settings;
    this.#shares.mostHeld = shareOf(maxConnections * MOST_STREAMS, addressShare);
    this.#shares.mostWaiting = shareOf(maxQueued + MOST_STREAMS, addressShare);
  }

  update(target: DialTarget, settings: PoolSettings, connectMs: number): void {
    const interchangeable = areInterchangeable(target, this.#target);
    if (settings.pingAfterMs !== this.#settings.pingAfterMs) this.#pingPatience = 1;
    this.#target = target;
    this.#settings = settings;
    this.#connectMs = connectMs;
    this.#setShares();
    if (interchangeable) return;
    for (const dialling of this.#dialling) dialling.isOutdated = true;
    for (const connection of [...this.#connections]) connection.retire('other');
  }

  /** Those that only finish, and those being made, too. */
  get open(): number {
    return this.#connections.length + this.#finishing.size + this.#dialling.size;
  }

  get #mayDial(): boolean {
    const { maxConnections } = this.#settings;
    const beyond = Math.max(0, this.#finishing.size - maxConnections);
    return this.#connections.length + this.#dialling.size + beyond < maxConnections;
  }

  get idle(): number {
    return this.#connections.filter(({ streams }) => streams.size === 0).length;
  }

  get queued(): number {
    return this.#shares.waiting;
  }

  acquire(waiter: StreamWaiter, _fresh: boolean): UpstreamStream | null {
    const shares = this.#shares;
    const holding = shares.of(waiter.source);
    const isFree = shares.mayHold(holding);
    if (isFree) {
      // A connection that was lost is not among them, so any is as good as a fresh one.
      const connection = this.#choose(waiter);
      if (connection !== null) return isOffered(connection, waiter) ? this.#open(connection, holding) : null;
    } else this.#environment.metrics.add('address_waits', 1);
    const coming = this.#dialling.size * MOST_STREAMS;
    const mayDial = isFree && this.#mayDial;
    const mostQueued = waiter.mayQueue ? this.#settings.maxQueued : 0;
    if (shares.waiting >= coming + (mayDial ? MOST_STREAMS : mostQueued)) {
      waiter.onNoStream(FAULTS.overloaded, 'connection pool and queue are full');
      return null;
    }
    if (!isFree && !shares.mayWait(holding)) {
      this.#environment.metrics.add('address_refused', 1);
      waiter.onNoStream(FAULTS.overloaded, shareCause(holding));
      return null;
    }
    shares.wait(new Waiting(this, waiter, holding, this.#environment.wheel, this.#settings.queueTimeoutMs));
    if (mayDial && shares.waiting > coming) this.#dial();
    return null;
  }

  #choose(waiter: StreamWaiter): UpstreamConnection | null {
    let tight: UpstreamConnection | null = null;
    for (let i = 0; i < this.#connections.length; i++) {
      const connection = this.#connections[i]!;
      if (!connection.hasRoom || !mayServe(connection, waiter)) continue;
      if (!connection.isTight || !waiter.hasBody) return connection;
      tight ??= connection;
    }
    return tight;
  }

  #open(connection: UpstreamConnection, holding: Holding<Waiting>): ResponseStream {
    const stream = connection.open();
    holding.held++;
    stream.holding = holding;
    return stream;
  }

  #dial(): void {
    this.#dialling.add(new Dialling(this, this.#target, this.#connectMs, this.#environment));
  }

  cancel(waiter: StreamWaiter): void {
    const waiting = this.#shares.find(waiter);
    if (waiting !== undefined) this.dropWaiting(waiting);
  }

  close(): void {
    this.#closed = true;
    for (const connection of [...this.#connections]) connection.retire('other');
    this.#failWaiting(FAULTS.noInstance, 'the instance was removed');
  }

  // --- what connections tell ---------------------------------------------------------------------------------

  onRoom(connection: UpstreamConnection): void {
    while (connection.hasRoom) {
      const waiting = this.#shares.next();
      // Its settings will come, and then this is called again.
      if (waiting === null || !mayServe(connection, waiting.waiter)) break;
      this.dropWaiting(waiting);
      if (!isOffered(connection, waiting.waiter)) continue;
      waiting.waiter.onStream(this.#open(connection, waiting.holding));
    }
  }

  onGoingAway(connection: UpstreamConnection): void {
    if (this.#takeAway(connection)) this.#finishing.add(connection);
    this.#dialForWaiting();
  }

  onClosed(connection: UpstreamConnection): void {
    const { metrics, counts } = this.#environment;
    metrics.add('upstream_http2_connections_active', -1);
    counts.add(connection.end);
    this.#takeAway(connection);
    this.#finishing.delete(connection);
    this.#dialForWaiting();
  }

  /** From those that take requests. */
  #takeAway(connection: UpstreamConnection): boolean {
    const place = this.#connections.indexOf(connection);
    if (place >= 0) this.#connections.splice(place, 1);
    return place >= 0;
  }

  onTooManyPings(): void {
    this.#pingPatience *= 2;
  }

  /** Who waited for one that is gone needs another. */
  #dialForWaiting(): void {
    if (this.#closed || this.#shares.waiting <= this.#dialling.size * MOST_STREAMS) return;
    if (this.#mayDial) this.#dial();
  }

  onDeadline(): void {
    const nowMs = this.#environment.clock.monotonicMs();
    for (const connection of this.#finishing) this.#askIfAlive(connection, nowMs);
    for (const connection of [...this.#connections]) {
      this.#askIfAlive(connection, nowMs);
      if (this.#isOld(connection, nowMs)) connection.retire('age');
      else if (connection.streams.size === 0 && nowMs - connection.idleSinceMs >= this.#settings.idleTimeoutMs)
        connection.retire('idle');
    }
    if (this.#connections.length + this.#finishing.size > 0) this.#environment.wheel.set(this.#sweep, SWEEP_MS);
  }

  /** One that has requests is not replaced while as many as may be are finishing theirs. */
  #isOld(connection: UpstreamConnection, nowMs: number): boolean {
    const { maxAgeMs, maxConnections } = this.#settings;
    if (connection.streams.size > 0 && this.#finishing.size >= maxConnections) return false;
    return isTooOld(connection, maxAgeMs, nowMs);
  }

  /** A connection that has died without a word is found out (RFC 9113 §6.7). */
  #askIfAlive(connection: UpstreamConnection, nowMs: number): void {
    const { pingAfterMs, pingTimeoutMs } = this.#settings;
    if (connection.pingedMs > 0) {
      if (nowMs - connection.pingedMs < pingTimeoutMs) return;
      this.#environment.counts.add('pingsUnanswered');
      connection.giveUp();
    } else if (pingAfterMs > 0 && nowMs - connection.lastReadMs >= pingAfterMs * this.#pingPatience) {
      this.#environment.counts.add('pingsSent');
      connection.ping(nowMs);
    }
  }

  /** @internal */ onDialled(dialling: Dialling, connection: UpstreamConnection): void {
    this.#dialling.delete(dialling);
    this.#take(connection, dialling.isOutdated);
  }

  /** @internal It speaks HTTP/1.1. */ onOther(dialling: Dialling, session: Session): void {
    this.#dialling.delete(dialling);
    if (dialling.isOutdated) {
      session.close('other');
      this.#dialForWaiting();
    } else this.alpn!.onHttp1(session);
  }

  /**
   * A connection that another pool has made, and that turned out to speak HTTP/2. `isOutdated`: its handshake was begun
   * before a reload changed the settings of TLS.
   */
  adopt(connection: UpstreamConnection, isOutdated: boolean): void {
    this.#take(connection, isOutdated);
  }

  /** Those that wait; they are none of this pool's any more. */
  takeWaiting(): StreamWaiter[] {
    const taken = [...this.#shares.all];
    for (const waiting of taken) this.dropWaiting(waiting);
    return taken.map(({ waiter }) => waiter);
  }

  /** Whether an instance has said that it takes tunnels. */
  get takesTunnels(): boolean {
    return this.#connections.some(({ takesTunnels }) => takesTunnels === true);
  }

  #take(connection: UpstreamConnection, isOutdated: boolean): void {
    const { metrics } = this.#environment;
    metrics.add('upstream_connections_opened', 1);
    metrics.add('upstream_http2_connections_opened', 1);
    metrics.add('upstream_http2_connections_active', 1);
    this.#connections.push(connection);
    if (!this.#sweep.isSet) this.#environment.wheel.set(this.#sweep, SWEEP_MS);
    if (this.#closed || isOutdated) connection.retire('other');
    else this.onRoom(connection);
  }

  /** @internal A connection could not be made: those that waited for it hear so, as long as no other one is coming. */
  onDialFailed(dialling: Dialling, kind: FaultKind, cause: string): void {
    this.#dialling.delete(dialling);
    // Under the TLS settings of now it may be made.
    if (dialling.isOutdated) this.#dialForWaiting();
    else if (this.#dialling.size === 0) this.#failWaiting(kind, cause);
  }

  #failWaiting(kind: FaultKind, cause: string): void {
    for (const waiting of [...this.#shares.all]) {
      // One that hears may ask again, and the new one is not among those that failed.
      this.dropWaiting(waiting);
      waiting.waiter.onNoStream(kind, cause);
    }
  }

  /** @internal */ dropWaiting(waiting: Waiting): void {
    this.#shares.stopWaiting(waiting);
    this.#environment.wheel.remove(waiting.deadline);
  }
}

/** A tunnel is asked for when the instance has said whether it takes any (RFC 8441 §3). */
function mayServe(connection: UpstreamConnection, waiter: StreamWaiter): boolean {
  return connection.takesTunnels !== null || waiter.upgrade === '';
}

/** False: there is none, and the waiter's callback was called. */
function isOffered(connection: UpstreamConnection, waiter: StreamWaiter): boolean {
  if (connection.takesTunnels !== false || waiter.upgrade === '') return true;
  waiter.onNoStream(FAULTS.tunnelNotOffered, 'no SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441)');
  return false;
}

/** One who waits for a connection, or for room on one. */
class Waiting implements DeadlineOwner {
  readonly waiter: StreamWaiter;
  readonly holding: Holding<Waiting>;
  readonly deadline: Deadline;
  readonly #pool: Http2Pool;
  readonly #timeoutMs: number;

  constructor(pool: Http2Pool, waiter: StreamWaiter, holding: Holding<Waiting>, wheel: TimerWheel, timeoutMs: number) {
    this.#pool = pool;
    this.waiter = waiter;
    this.holding = holding;
    this.deadline = new Deadline(this, 0);
    this.#timeoutMs = timeoutMs;
    if (timeoutMs > 0) wheel.set(this.deadline, timeoutMs);
  }

  onDeadline(): void {
    this.#pool.dropWaiting(this);
    this.waiter.onNoStream(FAULTS.queueTimeout, `waited ${this.#timeoutMs} ms`);
  }
}

/** One connection being made. */
class Dialling implements Http2DialResult, AlpnResult, DeadlineOwner {
  /** The settings of TLS that it is made under are not the pool's any more. */
  isOutdated = false;
  readonly #pool: Http2Pool;
  readonly #wheel: TimerWheel;
  readonly #deadline: Deadline;
  readonly #connectMs: number;
  readonly #giveUp: () => void;

  constructor(pool: Http2Pool, target: DialTarget, connectMs: number, { wheel, clock }: PoolEnvironment) {
    this.#pool = pool;
    this.#wheel = wheel;
    this.#connectMs = connectMs;
    this.#deadline = new Deadline(this, 0);
    if (connectMs > 0) wheel.set(this.#deadline, connectMs);
    this.#giveUp =
      pool.alpn === null
        ? dialHttp2(target, pool, this, wheel, clock)
        : dialByAlpn(target, pool.alpn, this, wheel, clock);
  }

  onConnected(connection: UpstreamConnection): void {
    this.#wheel.remove(this.#deadline);
    this.#pool.onDialled(this, connection);
  }

  onHttp2(connection: UpstreamConnection): void {
    this.onConnected(connection);
  }

  onHttp1(session: Session): void {
    this.#wheel.remove(this.#deadline);
    this.#pool.onOther(this, session);
  }

  onConnectFault(kind: FaultKind, cause: string): void {
    this.#wheel.remove(this.#deadline);
    this.#pool.onDialFailed(this, kind, cause);
  }

  onDeadline(): void {
    this.#giveUp();
    this.#pool.onDialFailed(this, FAULTS.connectTimeout, `not connected after ${this.#connectMs} ms`);
  }
}
