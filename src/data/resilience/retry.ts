/**
 * May a failed attempt be tried again, and after how long? A pure decision from the settings, the request and how it
 * failed. The service takes from the retry budget last, because asking consumes it.
 *
 * What may be sent twice: anything of which no byte was sent (the fault's advice is `always`); after that only
 * idempotent methods (RFC 9110 §9.2.2) and requests whose caller vouches with an `Idempotency-Key`. A lost connection
 * that had been reused is the ordinary race with the upstream's idle timeout (RFC 9112 §9.3.1), so there the list of
 * faults is not asked and there is no pause. Nor for an instance whose connection pool is full.
 */
import type { FaultKind } from '../../base/errors.ts';
import { FAULTS } from '../../base/errors.ts';
import type { RetrySettings } from '../contract/snapshot.ts';
import { isRepeatable, type ResendRequest } from './may-resend.ts';

/** What the decision needs to know of a request. */
export type RetryRequest = ResendRequest;

export interface FailedAttempt {
  /** 1 after the first. */
  readonly attemptsMade: number;
  readonly fault: FaultKind | null;
  /** Status of the response; 0 when there was none. */
  readonly status: number;
  readonly reusedConnection: boolean;
  /** From the response; -1 when it did not say. */
  readonly retryAfterSeconds: number;
}

/** Milliseconds to wait, or -1 for "not again". */
export function retryDelayMs(
  settings: RetrySettings,
  request: RetryRequest,
  failed: FailedAttempt,
  random: () => number,
): number {
  if (failed.attemptsMade > settings.attempts || !request.bodyReplayable) return -1;
  const { fault } = failed;
  const mayRepeat = isRepeatable(settings, request);
  if (fault === null) {
    if (!mayRepeat || !settings.statuses.includes(failed.status)) return -1;
    return afterResponse(settings, failed, random);
  }
  if (fault.retry === 'never' || (fault.retry === 'idempotent' && !mayRepeat)) return -1;
  // The pool of the instance had no free connection: nothing was sent, and another instance may have one.
  if (fault.phase === 'pick') return 0;
  // An upload that was cut off is a reset too, but does not count against the instance.
  const reason = fault === FAULTS.uploadCutOff ? FAULTS.upstreamReset.reason : fault.reason;
  if (failed.reusedConnection && reason === 'upstream_reset') return 0;
  if (!settings.faults.includes(reason)) return -1;
  return backoffMs(settings, failed.attemptsMade, random);
}

/** An upstream that names a time later than we would wait gets no retry: an earlier one would be against its word. */
function afterResponse(settings: RetrySettings, failed: FailedAttempt, random: () => number): number {
  const pauseMs = backoffMs(settings, failed.attemptsMade, random);
  if (failed.retryAfterSeconds < 0) return pauseMs;
  const askedMs = failed.retryAfterSeconds * 1_000;
  return askedMs > settings.backoffMaxMs ? -1 : Math.max(pauseMs, askedMs);
}

/** Exponential with full jitter: anywhere between 0 and the step, so that callers who failed together spread out. */
export function backoffMs(settings: RetrySettings, attemptsMade: number, random: () => number): number {
  const step = Math.min(settings.backoffMaxMs, settings.backoffBaseMs * 2 ** (attemptsMade - 1));
  return Math.floor(random() * step);
}
