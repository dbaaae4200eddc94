/** May a stored response be used for this request, and how (RFC 9111 §4, §5.2.1; RFC 5861)? Pure arithmetic. */
import { ABSENT, type Directives } from './directives.ts';
import { IS_IMMUTABLE, NEEDS_VALIDATION, NEVER_STALE } from './storing.ts';

export interface StoredTerms {
  readonly bornMs: number;
  readonly freshUntilMs: number;
  readonly staleWhileRevalidateS: number;
  readonly staleIfErrorS: number;
  readonly flags: number;
}

/**
 * `hit`: as it is. `stale`: as it is, and refreshed beside (RFC 5861 §3). `validate`: not before the service has said
 * so.
 */
export type Reuse = 'hit' | 'stale' | 'validate';

/** `request`: what it says, or `NO_DIRECTIVES` where requests are not obeyed. */
export function reuseOf(stored: StoredTerms, request: Readonly<Directives>, nowMs: number): Reuse {
  if ((stored.flags & NEEDS_VALIDATION) !== 0 || request.noCache) return 'validate';
  // RFC 8246 §2: a reload asks for nothing new of what does not change; `no-cache` is how a client insists.
  const isReload = request.maxAge === 0 && (stored.flags & IS_IMMUTABLE) !== 0 && nowMs < stored.freshUntilMs;
  if (request.maxAge !== ABSENT && !isReload && nowMs - stored.bornMs > request.maxAge * 1000) return 'validate';
  if (request.minFresh !== ABSENT && stored.freshUntilMs - nowMs < request.minFresh * 1000) return 'validate';
  const staleMs = nowMs - stored.freshUntilMs;
  if (staleMs < 0) return 'hit';
  if (request.maxStale !== ABSENT && staleMs <= request.maxStale * 1000 && (stored.flags & NEVER_STALE) === 0)
    return 'hit';
  return staleMs < stored.staleWhileRevalidateS * 1000 ? 'stale' : 'validate';
}

/** RFC 5861 §4: when the service fails. A request may ask for it as well, within what the response allows. */
export function mayUseOnError(stored: StoredTerms, request: Readonly<Directives>, nowMs: number): boolean {
  if ((stored.flags & (NEVER_STALE | NEEDS_VALIDATION)) !== 0) return false;
  const allowedS = Math.max(stored.staleIfErrorS, request.staleIfError);
  return nowMs - stored.freshUntilMs < allowedS * 1000;
}

/** RFC 5861 §4: the statuses that count as the service's failure. */
export function isErrorStatus(status: number): boolean {
  return status === 500 || status === 502 || status === 503 || status === 504;
}
