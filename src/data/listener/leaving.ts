/**
 * The end of connections whose listener a reload took away, or made stricter than they are: each response says that it
 * is the last of its connection, then idle ones end, and what is still there when the drain time is over is cut off.
 * HTTP/2 connections get their GOAWAY in two steps on the way (RFC 9113 §6.8), so no request is lost that arrives in
 * time. Owner: the worker.
 */
import { Deadline, type DeadlineOwner } from '../../base/timers.ts';
import type { Admission } from '../exchange/downstream.ts';
import type { WorkerRuntime } from '../runtime.ts';

/** Idle connections stay so long, for requests that are on their way to them. */
const IDLE_MS = 1_000;

const IDLE_END = 0;
const END = 1;

export class LeavingConnections implements DeadlineOwner {
  readonly #runtime: WorkerRuntime;
  readonly #admission: Admission;
  readonly #listener: string;

  constructor(runtime: WorkerRuntime, admission: Admission, listener: string) {
    this.#runtime = runtime;
    this.#admission = admission;
    this.#listener = listener;
  }

  begin(): void {
    this.#admission.isOver = true;
    const { wheel, live } = this.#runtime;
    const { shutdownTimeoutMs } = live.gateway;
    wheel.set(new Deadline(this, IDLE_END), Math.max(1, Math.min(IDLE_MS, shutdownTimeoutMs / 2)));
    wheel.set(new Deadline(this, END), Math.max(2, shutdownTimeoutMs));
  }

  onDeadline(kind: number): void {
    const left = [...this.#runtime.connections].filter(({ peer }) => peer.admission === this.#admission);
    for (const connection of left)
      if (kind === IDLE_END) connection.drain();
      else connection.abort();
    if (kind === END && left.length > 0)
      this.#runtime.log.warn('connections were cut off: a reload took their listener away', {
        listener: this.#listener,
        connections: left.length,
      });
  }
}
