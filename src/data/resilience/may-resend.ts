/**
 * The one rule that says whether a request may be sent again although the first may have had its effect: only
 * idempotent methods (RFC 9110 §9.2.2, which ones is configured) and requests whose client vouches with an
 * `Idempotency-Key`, and only as long as the whole body is still here. Retries, resends on a fresh connection and
 * mirrors ask here.
 */
import type { RetrySettings } from '../contract/snapshot.ts';

/** What the rule needs to know of a request. */
export interface ResendRequest {
  /** Upper case. */
  readonly method: string;
  readonly hasIdempotencyKey: boolean;
  /** The part of the body that was read can be sent again; true without a body. */
  readonly bodyReplayable: boolean;
}

export function mayResend(settings: RetrySettings, request: ResendRequest): boolean {
  return request.bodyReplayable && isRepeatable(settings, request);
}

/** The same before it is known how much of the body can be kept. */
export function isRepeatable(settings: RetrySettings, request: Omit<ResendRequest, 'bodyReplayable'>): boolean {
  return settings.methods.includes(request.method) || request.hasIdempotencyKey;
}
