/**
 * Requests that wait for room in a service: first come, first served, bounded by its user, each with a deadline. Owner:
 * one service in one worker. It only keeps order; admission.ts decides when there is room and when time is up.
 */
import type { Fault } from '../../base/errors.ts';

/** Implemented by the exchange. Either is called once at most, and neither after `cancelWait`. */
export interface AttemptWaiter {
  /** There may be room: call `pick` again, inside this call. It may answer 'wait' again, which keeps the place. */
  onAdmitted(): void;
  onRefused(fault: Fault): void;
}

export class WaitQueue {
  /** Waiter and deadline. Insertion order is queue order, and a waiter who leaves is found in constant time. */
  readonly #deadlines = new Map<AttemptWaiter, number>();

  get size(): number {
    return this.#deadlines.size;
  }

  /** Who has waited longest. All wait equally long, so it also has the earliest deadline. */
  first(): AttemptWaiter | undefined {
    for (const waiter of this.#deadlines.keys()) return waiter;
    return undefined;
  }

  deadlineOf(waiter: AttemptWaiter): number {
    return this.#deadlines.get(waiter) ?? Number.POSITIVE_INFINITY;
  }

  has(waiter: AttemptWaiter): boolean {
    return this.#deadlines.has(waiter);
  }

  push(waiter: AttemptWaiter, deadlineMs: number): void {
    this.#deadlines.set(waiter, deadlineMs);
  }

  remove(waiter: AttemptWaiter): boolean {
    return this.#deadlines.delete(waiter);
  }
}
