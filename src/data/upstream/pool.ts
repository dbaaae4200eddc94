/**
 * The connections of one worker to one instance: idle ones are reused last-in first-out, so that those the traffic
 * does not need grow old and are closed; beyond `maxConnections` exchanges wait in a bounded queue with a deadline.
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
import type { DialResult, DialTarget } from './dial.ts';
import { dial } from './dial.ts';

/** A pool of any protocol, as the service's owner sees it. */
export interface UpstreamPool extends StreamPool {
  update(target: DialTarget, settings: PoolSettings, connectMs: number): void;
  close(): void;
}

export interface PoolEnvironment {
  readonly metrics: MetricsBank;
  readonly wheel: TimerWheel;
  readonly clock: Clock;
}

/** How often idle connections are looked over. */
const SWEEP_MS = 1_000;

export class Pool implements UpstreamPool, SessionOwner, DeadlineOwner {
  target: DialTarget;
  settings: PoolSettings;
  connectMs: number;
  readonly #environment: PoolEnvironment;
  readonly #idle: Session[] = [];
  readonly #queue = new Set<Queued>();
  readonly #dialling = new Set<Dialling>();
  readonly #sweep: Deadline = new Deadline(this, 0);
  /** Open and connecting. */
  #count = 0;
  #closed = false;

  constructor(target: DialTarget, settings: PoolSettings, connectMs: number, environment: PoolEnvironment) {
    this.target = target;
    this.settings = settings;
    this.connectMs = connectMs;
    this.#environment = environment;
  }

  /** After a reload. Connections made under other TLS settings are not interchangeable with new ones and end. */
  update(target: DialTarget, settings: PoolSettings, connectMs: number): void {
    const interchangeable =
      JSON.stringify(target.tls) === JSON.stringify(this.target.tls) &&
      target.secureContext === this.target.secureContext;
    this.target = target;
    this.settings = settings;
    this.connectMs = connectMs;
    if (!interchangeable) for (const session of this.#idle.splice(0)) session.close();
  }

  /**
   * An idle session at once, or null: then the waiter hears later. `fresh` asks for a new connection, after a reused
   * one turned out to be stale.
   */
  acquire(waiter: StreamWaiter, fresh: boolean): Session | null {
    if (!fresh) {
      for (let session = this.#idle.pop(); session !== undefined; session = this.#idle.pop()) {
        if (session.isOpen) return session;
      }
    }
    if (this.#count < this.settings.maxConnections) {
      this.#dialling.add(new Dialling(this, waiter, this.#environment.wheel));
    } else if (this.#queue.size < this.settings.maxQueued) {
      this.#queue.add(new Queued(this, waiter, this.#environment.wheel));
    } else {
      waiter.onNoStream(FAULTS.overloaded, 'connection pool and queue are full');
    }
    return null;
  }

  /** The waiter does not want a connection any more. */
  cancel(waiter: StreamWaiter): void {
    for (const queued of this.#queue) if (queued.waiter === waiter) this.dropQueued(queued);
    for (const dialling of this.#dialling) if (dialling.waiter === waiter) dialling.waiter = null;
  }

  /** Lets exchanges in flight finish, closes everything else and takes no new ones. */
  close(): void {
    this.#closed = true;
    this.#environment.wheel.remove(this.#sweep);
    for (const session of this.#idle.splice(0)) session.close();
    for (const queued of [...this.#queue]) {
      this.dropQueued(queued);
      queued.waiter.onNoStream(FAULTS.noInstance, 'the instance was removed');
    }
  }

  onIdle(session: Session): void {
    if (this.#closed) {
      session.close();
      return;
    }
    for (const queued of this.#queue) {
      this.dropQueued(queued);
      queued.waiter.onStream(session);
      return;
    }
    session.idleSinceMs = this.#environment.wheel.coarseMs;
    this.#idle.push(session);
    if (!this.#sweep.isSet) this.#environment.wheel.set(this.#sweep, SWEEP_MS);
  }

  onClosed(session: Session): void {
    this.#count--;
    const at = this.#idle.indexOf(session);
    if (at >= 0) this.#idle.splice(at, 1);
    this.#serveQueue();
  }

  onDeadline(): void {
    const oldest = this.#environment.clock.monotonicMs() - this.settings.idleTimeoutMs;
    // Sessions are pushed in order of time, so the oldest stand in front.
    let old = 0;
    while (old < this.#idle.length && this.#idle[old]!.idleSinceMs <= oldest) old++;
    for (const session of this.#idle.splice(0, old)) session.close();
    if (this.#idle.length > 0 && !this.#closed) this.#environment.wheel.set(this.#sweep, SWEEP_MS);
  }

  /** @internal */ dialStarted(): void {
    this.#count++;
  }

  /** @internal */ dialEnded(dialling: Dialling, session: Session | null): void {
    this.#dialling.delete(dialling);
    if (session !== null) this.#environment.metrics.add('upstream_connections_opened', 1);
    else {
      this.#count--;
      this.#serveQueue();
    }
  }

  /** @internal */ dropQueued(queued: Queued): void {
    this.#queue.delete(queued);
    this.#environment.wheel.remove(queued.deadline);
  }

  #serveQueue(): void {
    if (this.#closed) return;
    for (const queued of this.#queue) {
      if (this.#count >= this.settings.maxConnections) return;
      this.dropQueued(queued);
      this.#dialling.add(new Dialling(this, queued.waiter, this.#environment.wheel));
    }
  }
}

/** One who waits for a connection to become free. */
class Queued implements DeadlineOwner {
  readonly waiter: StreamWaiter;
  readonly deadline: Deadline;
  readonly #pool: Pool;

  constructor(pool: Pool, waiter: StreamWaiter, wheel: TimerWheel) {
    this.#pool = pool;
    this.waiter = waiter;
    this.deadline = new Deadline(this, 0);
    if (pool.settings.queueTimeoutMs > 0) wheel.set(this.deadline, pool.settings.queueTimeoutMs);
  }

  onDeadline(): void {
    this.#pool.dropQueued(this);
    this.waiter.onNoStream(FAULTS.queueTimeout, `waited ${this.#pool.settings.queueTimeoutMs} ms`);
  }
}

/** One connection being made, for one waiter; when he has gone it joins the idle ones. */
class Dialling implements DialResult, DeadlineOwner {
  waiter: StreamWaiter | null;
  readonly #pool: Pool;
  readonly #wheel: TimerWheel;
  readonly #deadline: Deadline;
  readonly #giveUp: () => void;

  constructor(pool: Pool, waiter: StreamWaiter, wheel: TimerWheel) {
    this.#pool = pool;
    this.waiter = waiter;
    this.#wheel = wheel;
    this.#deadline = new Deadline(this, 0);
    pool.dialStarted();
    if (pool.connectMs > 0) wheel.set(this.#deadline, pool.connectMs);
    this.#giveUp = dial(pool.target, pool, this, wheel);
  }

  onConnected(session: Session): void {
    this.#wheel.remove(this.#deadline);
    this.#pool.dialEnded(this, session);
    if (this.waiter === null) this.#pool.onIdle(session);
    else this.waiter.onStream(session);
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
