/**
 * Requests that operators try (control/admin/try-request.ts): control names one to the workers before it sends it, and
 * the worker that gets it says afterwards what each step took. All other requests are not timed.
 */
import type { Phase } from '../../base/vocabulary.ts';

/** Control to workers: a `TriesOrder`, or null while none is tried. */
export const TRIES_TOPIC = 'admin:tries';
/** Workers to control: the number of an order that a worker has now. */
export const TRIES_KNOWN_TOPIC = 'admin:tries-known';
/** Workers to control: `TriedSteps`, when the exchange is over. */
export const TRIED_TOPIC = 'admin:tried';

export interface TriesOrder {
  readonly order: number;
  /** Of the requests that are tried now. */
  readonly ids: readonly string[];
}

export interface TriedStep {
  readonly phase: Phase;
  /** What acted: a policy, a route, an instance, a part. Empty: the gateway itself. */
  readonly name: string;
  /** Milliseconds since the head of the request was whole. */
  readonly startMs: number;
  readonly ms: number;
  /** Why it failed or refused the request; empty: it did not. */
  readonly failed: string;
}

export interface TriedSteps {
  readonly requestId: string;
  /** In the order in which they began. */
  readonly steps: readonly TriedStep[];
}
