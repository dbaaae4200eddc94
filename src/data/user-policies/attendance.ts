/**
 * The watch over work of a user's that goes on for as long as a body: it counts as running while it works, with a time
 * of its own for each step, and not while it waits for bytes or for who takes them.
 */

import type { Fault } from '../../base/errors.ts';
import { type Cancel, systemTimers } from '../../base/system-timers.ts';
import type { PolicyWatch } from '../contract/policy-watch.ts';
import { hasNewMember } from './intrinsics.ts';

export interface AttendanceParts {
  readonly slot: number;
  readonly watch: PolicyWatch;
  /** Longest time of one step. */
  readonly timeoutMs: number;
  /** What is wrong with what a step threw. */
  faultOf(error: unknown): Fault;
  /** Puts back what all code shares; says what was changed. */
  putBack(): string;
  /** A step took too long. */
  late(): void;
}

export class Attendance {
  readonly #parts: AttendanceParts;
  #isBusy = false;
  #cancel: Cancel | null = null;

  constructor(parts: AttendanceParts) {
    this.#parts = parts;
  }

  /** Up to what it gives, unless it waits in between. */
  async step<T>(work: () => Promise<T>): Promise<T> {
    const { watch, slot } = this.#parts;
    this.busy();
    let result: Promise<T>;
    watch.enter(slot);
    try {
      result = work();
    } finally {
      watch.leave();
    }
    try {
      const made = await result;
      if (hasNewMember()) throw new TypeError(this.#parts.putBack());
      return made;
    } finally {
      this.idle();
    }
  }

  busy(): void {
    if (this.#isBusy) return;
    this.#isBusy = true;
    const { watch, slot, timeoutMs } = this.#parts;
    watch.begin(slot);
    this.#cancel = systemTimers.after(timeoutMs, () => this.#parts.late());
  }

  idle(): void {
    if (!this.#isBusy) return;
    this.#isBusy = false;
    this.#parts.watch.end(this.#parts.slot);
    this.#cancel?.();
  }

  faultOf(error: unknown): Fault {
    return this.#parts.faultOf(error);
  }
}
