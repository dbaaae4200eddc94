/**
 * Requests that wait for room in a service: those of one address first come, first served, addresses in turn; bounded
 * by its user, each with a deadline. Owner: one service in one worker. It only keeps order; admission.ts decides when
 * there is room, for whom, and when time is up.
 */
import type { Fault } from '../../base/errors.ts';
import type { Source } from '../wire/sources.ts';

/** Implemented by the exchange. Either is called once at most, and neither after `cancelWait`. */
export interface AttemptWaiter {
  /** On whose behalf; null or none: the gateway's own. */
  readonly source?: Source | null;
  /** There may be room: call `pick` again, inside this call. It may answer 'wait' again, which keeps the place. */
  onAdmitted(): void;
  onRefused(fault: Fault): void;
}

export function sourceOf(waiter: AttemptWaiter): Source | null {
  return waiter.source ?? null;
}

export class WaitQueue {
  /** Waiters and deadlines by address. Insertion order is queue order, and a waiter who leaves is found at once. */
  readonly #sources = new Map<Source | null, Map<AttemptWaiter, number>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  sizeOf(source: Source | null): number {
    return this.#sources.get(source)?.size ?? 0;
  }

  /** Whose turn it is among the addresses that `may` enter. */
  next(may: (source: Source | null) => boolean): AttemptWaiter | undefined {
    for (const [source, waiters] of this.#sources) if (may(source)) for (const waiter of waiters.keys()) return waiter;
    return undefined;
  }

  /** The address has had its turn. */
  rotate(source: Source | null): void {
    const waiters = this.#sources.get(source);
    if (waiters === undefined || this.#sources.size === 1) return;
    this.#sources.delete(source);
    this.#sources.set(source, waiters);
  }

  /** A waiter whose time is up. Those of one address wait equally long, so its first has the earliest deadline. */
  expired(nowMs: number): AttemptWaiter | undefined {
    for (const waiters of this.#sources.values())
      for (const [waiter, deadlineMs] of waiters) {
        if (deadlineMs <= nowMs) return waiter;
        break;
      }
    return undefined;
  }

  has(waiter: AttemptWaiter): boolean {
    return this.#sources.get(sourceOf(waiter))?.has(waiter) === true;
  }

  push(waiter: AttemptWaiter, deadlineMs: number): void {
    const source = sourceOf(waiter);
    let waiters = this.#sources.get(source);
    if (waiters === undefined) {
      waiters = new Map();
      this.#sources.set(source, waiters);
    }
    waiters.set(waiter, deadlineMs);
    this.#size++;
  }

  remove(waiter: AttemptWaiter): boolean {
    const source = sourceOf(waiter);
    const waiters = this.#sources.get(source);
    if (waiters?.delete(waiter) !== true) return false;
    this.#size--;
    if (waiters.size === 0) this.#sources.delete(source);
    return true;
  }
}
