/**
 * Watches a client that reads more slowly than we write: what it takes, while it is behind, must be more than nothing
 * and not less than the least rate. Time in which it is not behind does not count, and a few bytes now and then do not
 * start the time anew. It costs nothing until a client is behind for the first time. Owner: the connection.
 */
import type { Socket } from 'node:net';
import type { Clock } from '../../base/clock.ts';
import { FAULTS, Fault } from '../../base/errors.ts';
import { Deadline, type DeadlineOwner, type TimerWheel } from '../../base/timers.ts';
import type { ConnectionLimits } from '../contract/snapshot.ts';

export interface ReadWatchOwner {
  /** Once in a while of `writeTimeoutMs` that the client was behind. */
  onReaderTooSlow(fault: Fault): void;
}

interface Host {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly limits: Pick<ConnectionLimits, 'writeTimeoutMs' | 'minReadBytesPerSecond'>;
}

export class ReadWatch implements DeadlineOwner {
  readonly #socket: Socket;
  readonly #host: Host;
  readonly #owner: ReadWatchOwner;
  readonly #deadline = new Deadline(this, 0);
  #sinceMs = -1;
  #takenBefore = 0;
  /** Of the window: the time that the client was behind, and what it took then. */
  #behindMs = 0;
  #taken = 0;

  constructor(socket: Socket, host: Host, owner: ReadWatchOwner) {
    this.#socket = socket;
    this.#host = host;
    this.#owner = owner;
  }

  /** Bytes wait for the client. */
  behind(): void {
    if (this.#sinceMs >= 0) return;
    const { clock, limits } = this.#host;
    if (limits.writeTimeoutMs <= 0) return;
    this.#sinceMs = clock.monotonicMs();
    this.#takenBefore = takenBy(this.#socket);
    this.#set();
  }

  /** It has taken all of them. */
  caughtUp(): void {
    if (this.#sinceMs < 0) return;
    this.#add(this.#host.clock.monotonicMs());
    this.#sinceMs = -1;
    this.#host.wheel.clear(this.#deadline);
  }

  remove(): void {
    this.#sinceMs = -1;
    this.#host.wheel.remove(this.#deadline);
  }

  #add(nowMs: number): void {
    const taken = takenBy(this.#socket);
    this.#behindMs += nowMs - this.#sinceMs;
    this.#taken += taken - this.#takenBefore;
    this.#sinceMs = nowMs;
    this.#takenBefore = taken;
  }

  #set(): void {
    const { wheel, limits } = this.#host;
    wheel.set(this.#deadline, Math.max(1, limits.writeTimeoutMs - this.#behindMs));
  }

  onDeadline(): void {
    if (this.#sinceMs < 0) return;
    const { clock, limits } = this.#host;
    this.#add(clock.monotonicMs());
    if (this.#behindMs < limits.writeTimeoutMs) {
      this.#set();
      return;
    }
    const taken = this.#taken;
    const ms = this.#behindMs;
    this.#taken = 0;
    this.#behindMs = 0;
    if (isTooSlow(taken, ms, limits.minReadBytesPerSecond)) this.#owner.onReaderTooSlow(stalledReader(taken, ms));
    else this.#set();
  }
}

export function isTooSlow(taken: number, ms: number, bytesPerSecond: number): boolean {
  return taken <= 0 || taken * 1_000 < bytesPerSecond * ms;
}

export function stalledReader(taken: number, ms: number): Fault {
  return new Fault(FAULTS.downstreamStalled, { cause: `took ${taken} bytes in ${Math.round(ms)} ms` });
}

/** What the kernel has of all that was written. Of a handle that does not tell: what was written whole. */
function takenBy(socket: Socket): number {
  const { _handle: handle } = socket as unknown as {
    readonly _handle?: { readonly bytesWritten?: number; readonly writeQueueSize?: number } | null;
  };
  if (handle?.bytesWritten === undefined || handle.writeQueueSize === undefined)
    return socket.bytesWritten - socket.writableLength;
  return handle.bytesWritten - handle.writeQueueSize;
}
