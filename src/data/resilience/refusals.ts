/**
 * The faults with which a service refuses, each with its `Retry-After`. They are made once and shared: refusing must
 * be the cheapest thing a gateway does, or an overload feeds itself.
 */
import type { FaultKind } from '../../base/errors.ts';
import { FAULTS, Fault } from '../../base/errors.ts';

const MAX_RETRY_AFTER_SECONDS = 60;
const made = new Map<FaultKind, (Fault | undefined)[]>();

/** The fault with `Retry-After` in whole seconds, from 1 to 60. */
export function refusal(kind: FaultKind, afterMs: number): Fault {
  const seconds = Math.min(MAX_RETRY_AFTER_SECONDS, Math.max(1, Math.ceil(afterMs / 1_000)));
  let faults = made.get(kind);
  if (faults === undefined) {
    faults = [];
    made.set(kind, faults);
  }
  let fault = faults[seconds];
  if (fault === undefined) {
    fault = new Fault(kind, { retryAfterSeconds: seconds });
    faults[seconds] = fault;
  }
  return fault;
}

export const circuitOpen = (afterMs: number): Fault => refusal(FAULTS.circuitOpen, afterMs);
export const noInstance = (afterMs: number): Fault => refusal(FAULTS.noInstance, afterMs);
export const overloaded = (): Fault => refusal(FAULTS.overloaded, 1_000);
export const queueTimeout = (): Fault => refusal(FAULTS.queueTimeout, 1_000);
export const shuttingDown = (): Fault => refusal(FAULTS.shuttingDown, 1_000);
