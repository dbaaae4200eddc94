/**
 * The connections to an instance that chooses between HTTP/2 and HTTP/1.1 (ALPN, RFC 7301): a pool of each, and the
 * protocol that the last handshake gave, by which requests go until another handshake gives the other one. So nothing
 * is asked twice, and an instance that changes its protocol (a new version, other machines behind one name) is
 * followed: the connection that shows it goes to the other pool, and who waited for it too. Owner: the worker's thread.
 */
import type { PoolSettings } from '../contract/snapshot.ts';
import type { StreamWaiter, UpstreamStream } from '../exchange/upstream-stream.ts';
import type { Session } from '../http1/session.ts';
import type { UpstreamConnection } from '../http2/upstream-connection.ts';
import type { DialTarget, ProtocolPools } from './dial.ts';
import { Http2Pool } from './http2-pool.ts';
import { Pool, type PoolEnvironment, type UpstreamPool } from './pool.ts';

export class AlpnPool implements UpstreamPool, ProtocolPools {
  readonly http1: Pool;
  readonly http2: Http2Pool;
  /** Before the first handshake it is HTTP/2, since who waits for that can share one connection. */
  #current: Pool | Http2Pool;

  constructor(target: DialTarget, settings: PoolSettings, connectMs: number, environment: PoolEnvironment) {
    this.http1 = new Pool(target, settings, connectMs, environment, this);
    this.http2 = new Http2Pool(target, settings, connectMs, environment, this);
    this.#current = this.http2;
  }

  update(target: DialTarget, settings: PoolSettings, connectMs: number): void {
    this.http1.update(target, settings, connectMs);
    this.http2.update(target, settings, connectMs);
  }

  close(): void {
    this.http1.close();
    this.http2.close();
  }

  /** Tunnels are of HTTP/1.1 unless the instance has said that it takes them over HTTP/2 (RFC 8441). */
  acquire(waiter: StreamWaiter, fresh: boolean): UpstreamStream | null {
    const isHttp1 = waiter.upgrade !== '' && !this.http2.takesTunnels;
    return (isHttp1 ? this.http1 : this.#current).acquire(waiter, fresh);
  }

  cancel(waiter: StreamWaiter): void {
    this.http1.cancel(waiter);
    this.http2.cancel(waiter);
  }

  onHttp1(session: Session): void {
    this.#current = this.http1;
    const waiting = this.http2.takeWaiting();
    this.http1.adopt(session);
    for (const waiter of waiting) this.#serve(waiter);
  }

  onHttp2(connection: UpstreamConnection, waiter: StreamWaiter | null, isOutdated: boolean): void {
    this.#current = this.http2;
    const waiting = this.http1.takeQueued();
    this.http2.adopt(connection, isOutdated);
    if (waiter !== null) this.#serve(waiter);
    for (const other of waiting) this.#serve(other);
  }

  #serve(waiter: StreamWaiter): void {
    const stream = this.acquire(waiter, false);
    if (stream !== null) waiter.onStream(stream);
  }
}
