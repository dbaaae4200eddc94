/**
 * Batches that one worker took ahead, so that most decisions need no round trip. A batch starts with one request and
 * doubles while it is used up in time, up to a share of the limit; a slow caller is counted exactly. All of a batch was
 * charged in Redis before any of it is used, and it ends after `leaseMs`: so at most one batch per worker and caller
 * passes above the limit of any window, and no more than that is lost to a caller. Refusals are remembered until they
 * may end.
 */
import type { Decision } from '../limiter.ts';

export class Lease {
  left = 0;
  size = 1;
  untilMs = 0;
  /** What the last answer of Redis said; `remaining` counts what lay in Redis beside the batch. */
  decision: Decision | null = null;
  refusedUntilMs = 0;
  /** The question that is under way. */
  pending: Promise<void> | null = null;
}

/** Longest time that a refusal is remembered without asking again: others may give back, plans may change. */
const LONGEST_REFUSAL_MS = 1_000;

export class LeaseBook {
  readonly #leases = new Map<number, Lease>();
  readonly #most: number;
  readonly #leaseMs: number;

  constructor(leaseMs: number, most = 50_000) {
    this.#leaseMs = leaseMs;
    this.#most = most;
  }

  get size(): number {
    return this.#leases.size;
  }

  of(key: number, nowMs: number): Lease {
    let lease = this.#leases.get(key);
    if (lease === undefined) {
      if (this.#leases.size >= this.#most) this.#makeRoom(nowMs);
      lease = new Lease();
      this.#leases.set(key, lease);
    }
    return lease;
  }

  /** How many to ask for: twice as many after a batch that was used up in time, half after one that was not. */
  want(lease: Lease, most: number, nowMs: number): number {
    if (lease.untilMs > 0) lease.size = lease.left === 0 && nowMs < lease.untilMs ? lease.size * 2 : lease.size >> 1;
    lease.size = Math.max(1, Math.min(most, lease.size));
    return lease.size;
  }

  granted(lease: Lease, decision: Decision, count: number, nowMs: number): void {
    // What is left of the batch before is within its time still: a renewal ahead of need adds to it.
    lease.left = nowMs < lease.untilMs ? lease.left + count : count;
    lease.untilMs = nowMs + this.#leaseMs;
    lease.decision = decision;
    if (count === 0) lease.refusedUntilMs = nowMs + Math.min(decision.retryMs, LONGEST_REFUSAL_MS);
  }

  clear(): void {
    this.#leases.clear();
  }

  /** Drops what is over; if nothing is, the oldest tenth, whose batches are lost. */
  #makeRoom(nowMs: number): void {
    for (const [key, lease] of this.#leases) {
      if (lease.pending === null && lease.untilMs <= nowMs && lease.refusedUntilMs <= nowMs) this.#leases.delete(key);
    }
    let excess = this.#leases.size - Math.floor(this.#most * 0.9);
    for (const key of this.#leases.keys()) {
      if (excess-- <= 0) return;
      this.#leases.delete(key);
    }
  }
}
