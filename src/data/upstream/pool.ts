/**
 * The connections of one worker to one instance: idle ones are reused last-in first-out, so that those the traffic
 * does not need grow old and are closed; beyond `maxConnections`, and beyond the share of their address, exchanges wait
 * in a bounded queue with a deadline, addresses in turn (pool-shares.ts).
 * Owner: the worker's thread. It knows connections, not requests; whether to try again is decided elsewhere.
 */

import type { Clock } from '../../base/clock.ts';
import type { FaultKind } from '../../base/errors.ts';
import { FAULTS } from '../../base/errors.ts';
import type { MetricsBank } from '../../base/metrics.ts';
import type { DeadlineOwner, TimerWheel } from '../../base/timers.ts';
import { Deadline } from '../../base/timers.ts';
import type { PoolSettings } from '../contract/snapshot.ts';
import type { StreamPool, StreamWaiter } from '../exchange/upstream-stream.ts';
import type { Session, SessionOwner } from '../http1/session.ts';
import type { UpstreamConnection } from '../http2/upstream-connection.ts';
import { isTooOld } from '../wire/connection-age.ts';
import type { ConnectionCounts } from './connection-counts.ts';
import type { AlpnResult, DialResult, DialTarget, ProtocolPools } from './dial.ts';
import { areInterchangeable, dial, dialByAlpn } from './dial.ts';
import { type Holding, PoolShares, shareCause, shareOf } from './pool-shares.ts';

/** A pool of any protocol, as the service's owner sees it. */
export interface UpstreamPool extends StreamPool {
  update(target: DialTarget, settings: PoolSettings, connectMs: number): void;
  close(): void;
}

export interface PoolEnvironment {
  readonly metrics: MetricsBank;
  /** Of the service. */
  readonly counts: ConnectionCounts;
  readonly wheel: TimerWheel;
  readonly clock: Clock;
}

/** How often idle connections are looked over. */
const SWEEP_MS = 1_000;

export class Pool implements UpstreamPool, SessionOwner, DeadlineOwner {
  target: DialTarget;
  settings: PoolSettings;
  connectMs: number;
  /** Counts up when connections made before are not what new ones would be; those in use end after their request. */
  epoch = 0;
  /** Of an instance that chooses the protocol; null: it speaks HTTP/1.1. */
  readonly alpn: ProtocolPools | null;
  readonly #environment: PoolEnvironment;
  readonly #idle: Session[] = [];
  readonly #shares = new PoolShares<Queued>();
  readonly #dialling = new Set<Dialling>();
  readonly #sweep: Deadline = new Deadline(this, 0);
  /** Open and connecting. */
  #count = 0;
  #closed = false;
  #isServing = false;

  constructor(
    target: DialTarget,
    settings: PoolSettings,
    connectMs: number,
    environment: PoolEnvironment,
    alpn: ProtocolPools | null = null,
  ) {
    this.target = target;
    this.settings = settings;
    this.connectMs = connectMs;
    this.alpn = alpn;
    this.#environment = environment;
    this.#setShares();
  }

  #setShares(): void {
    const { maxConnections, maxQueued, addressShare } = this.settings;
    this.#shares.mostHeld = shareOf(maxConnections, addressShare);
    this.#shares.mostWaiting = shareOf(maxQueued, addressShare);
  }

  /** After a reload. Connections that are not interchangeable with new ones end: their TLS is another one. */
  update(target: DialTarget, settings: PoolSettings, connectMs: number): void {
    const interchangeable = areInterchangeable(target, this.target);
    this.target = target;
    this.settings = settings;
    this.connectMs = connectMs;
    this.#setShares();
    if (interchangeable) return;
    this.epoch++;
    for (const session of this.#idle.splice(0)) session.close('other');
  }

  /**
   * An idle session at once, or null: then the waiter hears later. `fresh` asks for a new connection, after a reused
   * one turned out to be stale.
   */
  acquire(waiter: StreamWaiter, fresh: boolean): Session | null {
    const shares = this.#shares;
    const holding = shares.of(waiter.source);
    if (shares.mayHold(holding)) {
      const session = fresh ? null : this.#takeIdle();
      if (session !== null) {
        this.#give(session, holding);
        return session;
      }
      if (this.#count < this.settings.maxConnections) {
        this.#dial(waiter, holding);
        return null;
      }
    } else this.#environment.metrics.add('address_waits', 1);
    if (shares.waiting >= this.settings.maxQueued || !waiter.mayQueue) {
      waiter.onNoStream(FAULTS.overloaded, 'connection pool and queue are full');
    } else if (!shares.mayWait(holding)) {
      this.#environment.metrics.add('address_refused', 1);
      waiter.onNoStream(FAULTS.overloaded, shareCause(holding));
    } else {
      shares.wait(new Queued(this, waiter, holding, this.#environment.wheel));
    }
    return null;
  }

  #takeIdle(): Session | null {
    for (let session = this.#idle.pop(); session !== undefined; session = this.#idle.pop()) {
      if (!session.isOpen) continue;
      if (session.idleLimitMs === Infinity || !this.#isIdleTooLong(session)) return session;
      session.close('idle');
    }
    return null;
  }

  /** The instance may be about to close it. */
  #isIdleTooLong(session: Session): boolean {
    return this.#environment.clock.monotonicMs() - session.idleSinceMs >= session.idleLimitMs;
  }

  #give(session: Session, holding: Holding<Queued>): void {
    holding.held++;
    session.holding = holding;
  }

  #dial(waiter: StreamWaiter, holding: Holding<Queued>): void {
    holding.held++;
    this.#dialling.add(new Dialling(this, waiter, holding, this.#environment));
  }

  /** A connection that another pool has made, and that turned out to speak HTTP/1.1. */
  adopt(session: Session): void {
    this.#count++;
    session.epoch = this.epoch;
    this.#environment.metrics.add('upstream_connections_opened', 1);
    this.onIdle(session);
  }

  /** Those in the queue that another protocol serves as well; they are none of this pool's any more. */
  takeQueued(): StreamWaiter[] {
    const taken = [...this.#shares.all].filter(({ waiter }) => waiter.upgrade === '');
    for (const queued of taken) this.dropQueued(queued);
    return taken.map(({ waiter }) => waiter);
  }

  /** The waiter does not want a connection any more. */
  cancel(waiter: StreamWaiter): void {
    const queued = this.#shares.find(waiter);
    if (queued !== undefined) {
      this.dropQueued(queued);
      return;
    }
    for (const dialling of this.#dialling) {
      if (dialling.waiter !== waiter) continue;
      dialling.waiter = null;
      dialling.holding.held--;
      this.#serveQueue();
    }
  }

  /** Lets exchanges in flight finish, closes everything else and takes no new ones. */
  close(): void {
    this.#closed = true;
    this.#environment.wheel.remove(this.#sweep);
    for (const session of this.#idle.splice(0)) session.close('other');
    for (const queued of [...this.#shares.all]) {
      this.dropQueued(queued);
      queued.waiter.onNoStream(FAULTS.noInstance, 'the instance was removed');
    }
  }

  onIdle(session: Session): void {
    this.#takeBack(session);
    const end = this.#closed || session.epoch !== this.epoch ? 'other' : this.#isOld(session) ? 'age' : null;
    if (end !== null) {
      session.close(end);
      return;
    }
    const queued = this.#shares.next();
    if (queued !== null) {
      this.dropQueued(queued);
      this.#give(session, queued.holding);
      queued.waiter.onStream(session);
      return;
    }
    session.idleSinceMs = this.#environment.wheel.coarseMs;
    this.#idle.push(session);
    if (!this.#sweep.isSet) this.#environment.wheel.set(this.#sweep, SWEEP_MS);
  }

  #takeBack(session: Session): void {
    const { holding } = session;
    if (holding === null) return;
    holding.held--;
    session.holding = null;
  }

  #isOld(session: Session): boolean {
    return isTooOld(session, this.settings.maxAgeMs, this.#environment.wheel.coarseMs);
  }

  onClosed(session: Session): void {
    this.#count--;
    this.#environment.counts.add(session.end);
    this.#takeBack(session);
    const at = this.#idle.indexOf(session);
    if (at >= 0) this.#idle.splice(at, 1);
    this.#serveQueue();
  }

  onDeadline(): void {
    const oldest = this.#environment.clock.monotonicMs() - this.settings.idleTimeoutMs;
    // Sessions are pushed in order of time, so the oldest stand in front.
    let old = 0;
    while (old < this.#idle.length && this.#idle[old]!.idleSinceMs <= oldest) old++;
    for (const session of this.#idle.splice(0, old)) session.close('idle');
    for (const session of [...this.#idle]) {
      if (session.idleLimitMs !== Infinity && this.#isIdleTooLong(session)) session.close('idle');
      else if (this.#isOld(session)) session.close('age');
    }
    if (this.#idle.length > 0 && !this.#closed) this.#environment.wheel.set(this.#sweep, SWEEP_MS);
  }

  /** @internal */ dialStarted(): void {
    this.#count++;
  }

  /** @internal */ dialEnded(dialling: Dialling, session: Session | null): void {
    this.#dialling.delete(dialling);
    const { holding, waiter } = dialling;
    if (session !== null) {
      this.#environment.metrics.add('upstream_connections_opened', 1);
      if (waiter !== null) session.holding = holding;
      return;
    }
    this.#count--;
    if (waiter !== null) holding.held--;
    this.#serveQueue();
  }

  /** @internal Made under the TLS settings of before a reload: who waits for it gets another one in its place. */
  dialAgain(dialling: Dialling, session: Session): void {
    this.dialEnded(dialling, session);
    this.#isServing = true;
    session.close('other');
    this.#isServing = false;
    if (dialling.waiter !== null) this.acquire(dialling.waiter, true);
    this.#serveQueue();
  }

  /** @internal */ dropQueued(queued: Queued): void {
    this.#shares.stopWaiting(queued);
    this.#environment.wheel.remove(queued.deadline);
  }

  #serveQueue(): void {
    // Closing an idle one leads here again.
    if (this.#closed || this.#isServing) return;
    this.#isServing = true;
    this.#serveAll();
    this.#isServing = false;
  }

  #serveAll(): void {
    for (let queued = this.#shares.next(); queued !== null; queued = this.#shares.next()) {
      const session = this.#takeIdle();
      if (session === null && this.#count >= this.settings.maxConnections) return;
      this.dropQueued(queued);
      if (session === null) this.#dial(queued.waiter, queued.holding);
      else {
        this.#give(session, queued.holding);
        queued.waiter.onStream(session);
      }
    }
  }

  /** @internal */ timedOut(queued: Queued): void {
    this.dropQueued(queued);
    const { holding, waiter } = queued;
    const cause = `waited ${this.settings.queueTimeoutMs} ms`;
    waiter.onNoStream(FAULTS.queueTimeout, this.#shares.mayHold(holding) ? cause : `${cause}; ${shareCause(holding)}`);
  }
}

/** One who waits for a connection to become free. */
class Queued implements DeadlineOwner {
  readonly waiter: StreamWaiter;
  readonly holding: Holding<Queued>;
  readonly deadline: Deadline;
  readonly #pool: Pool;

  constructor(pool: Pool, waiter: StreamWaiter, holding: Holding<Queued>, wheel: TimerWheel) {
    this.#pool = pool;
    this.waiter = waiter;
    this.holding = holding;
    this.deadline = new Deadline(this, 0);
    if (pool.settings.queueTimeoutMs > 0) wheel.set(this.deadline, pool.settings.queueTimeoutMs);
  }

  onDeadline(): void {
    this.#pool.timedOut(this);
  }
}

/** One connection being made, for one waiter; when it has gone it joins the idle ones. */
class Dialling implements DialResult, AlpnResult, DeadlineOwner {
  waiter: StreamWaiter | null;
  /** Whose share it is of, as long as the waiter waits. */
  readonly holding: Holding<Queued>;
  readonly #pool: Pool;
  readonly #wheel: TimerWheel;
  readonly #deadline: Deadline;
  readonly #giveUp: () => void;
  readonly #epoch: number;

  constructor(pool: Pool, waiter: StreamWaiter, holding: Holding<Queued>, { wheel, clock }: PoolEnvironment) {
    this.#pool = pool;
    this.waiter = waiter;
    this.holding = holding;
    this.#epoch = pool.epoch;
    this.#wheel = wheel;
    this.#deadline = new Deadline(this, 0);
    pool.dialStarted();
    if (pool.connectMs > 0) wheel.set(this.#deadline, pool.connectMs);
    const { alpn, target } = pool;
    // A tunnel comes here when it is to be one of HTTP/1.1.
    this.#giveUp =
      alpn === null || waiter.upgrade !== ''
        ? dial(target, pool, this, wheel)
        : dialByAlpn(target, alpn, this, wheel, clock);
  }

  onConnected(session: Session): void {
    this.#wheel.remove(this.#deadline);
    session.epoch = this.#epoch;
    if (this.#isOutdated) {
      this.#pool.dialAgain(this, session);
      return;
    }
    this.#pool.dialEnded(this, session);
    if (this.waiter === null) this.#pool.onIdle(session);
    else this.waiter.onStream(session);
  }

  /** A reload has come between with other settings of TLS: what this handshake has checked is not enough any more. */
  get #isOutdated(): boolean {
    return this.#epoch !== this.#pool.epoch;
  }

  onHttp1(session: Session): void {
    this.onConnected(session);
  }

  onHttp2(connection: UpstreamConnection): void {
    this.#wheel.remove(this.#deadline);
    this.#pool.alpn!.onHttp2(connection, this.waiter, this.#isOutdated);
    this.#pool.dialEnded(this, null);
  }

  onConnectFault(kind: FaultKind, cause: string): void {
    this.#wheel.remove(this.#deadline);
    this.#pool.dialEnded(this, null);
    this.waiter?.onNoStream(kind, cause);
  }

  onDeadline(): void {
    this.#giveUp();
    this.#pool.dialEnded(this, null);
    this.waiter?.onNoStream(FAULTS.connectTimeout, `not connected after ${this.#pool.connectMs} ms`);
  }
}
