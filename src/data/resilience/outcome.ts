/**
 * What the end of an attempt says about its instance: good, failed, or nothing. One rule for breakers, ejection and
 * latencies, so that they agree: the upstream's faults, the error statuses, and responses slower than the breaker's
 * timeout are failures. What the caller or the gateway did says nothing about the upstream.
 */
import type { FaultKind } from '../../base/errors.ts';
import { FAULTS } from '../../base/errors.ts';
import type { BreakerSettings } from '../contract/snapshot.ts';

const STATUSES = 1_000;

export class OutcomeRules {
  readonly #isError = new Uint8Array(STATUSES);
  readonly #slowMs: number;

  /** Without a breaker, which says what an error is, every 5xx is one. */
  constructor(breaker: BreakerSettings | null) {
    if (breaker === null) this.#isError.fill(1, 500, 600);
    else for (const status of breaker.errorStatuses) this.#isError[status] = 1;
    this.#slowMs = breaker !== null && breaker.timeoutMs > 0 ? breaker.timeoutMs : Number.POSITIVE_INFINITY;
  }

  /**
   * A pause in a body may be the nature of the response (a long poll): its end is no failure. A fault in `pick` is the
   * gateway's own queueing (no free connection), although it is reckoned to the upstream's side.
   */
  saysNothing(fault: FaultKind | null, cancelled: boolean): boolean {
    if (cancelled || fault === null) return cancelled;
    return fault.side !== 'upstream' || fault.phase === 'pick' || fault === FAULTS.upstreamIdleTimeout;
  }

  hasFailed(status: number, fault: FaultKind | null, firstByteMs: number): boolean {
    return fault !== null || this.#isError[status] === 1 || firstByteMs > this.#slowMs;
  }
}

/** Faults by which an upstream shows that it has more to do than it can. */
export function isTimeout(fault: FaultKind | null): boolean {
  return fault !== null && fault.status === 504 && fault.side === 'upstream';
}
