/**
 * May this response be stored, and on which terms (RFC 9111 §3, §3.5; RFC 5861; RFC 9213)? One function, one reason:
 * what it says goes into the log, the metrics and the `Cache-Status` field.
 */
import type { Head } from '../../parser/head.ts';
import { ABSENT, type Directives } from './directives.ts';
import { guessedLifetime, initialAge, lifetimeOf } from './freshness.ts';
import { governing } from './targeted.ts';

// --- flags of a stored object ---
/** Never used without validation: `no-cache`, or nothing says how long it is fresh. */
export const NEEDS_VALIDATION = 1;
/**
 * Not used stale, whatever the request allows: `must-revalidate`, `proxy-revalidate`, `s-maxage` (§5.2.2.2, .8, .10).
 */
export const NEVER_STALE = 2;
export const IS_200 = 8;
/** RFC 8246: it does not change while it is fresh. */
export const IS_IMMUTABLE = 16;

/** Why a response is not stored, or a request not answered from the store. */
export type StoreRefusal =
  | 'method'
  | 'status'
  | 'partial'
  | 'request_no_store'
  | 'no_store'
  | 'private'
  | 'authorization'
  | 'set_cookie'
  | 'vary_star'
  | 'no_lifetime'
  | 'too_large';

export interface StoringRules {
  /** Lower-case names of targeted fields, the nearest first. */
  readonly targets: readonly string[];
  /** Seconds for responses that say nothing, by status; empty unless configured. */
  readonly defaultSeconds: ReadonlyMap<number, number>;
  /** Of the time since `Last-Modified`, for responses that say nothing; 0 unless configured. */
  readonly heuristicShare: number;
  readonly staleWhileRevalidateS: number;
  readonly staleIfErrorS: number;
  readonly storesSetCookie: boolean;
}

/** What of the request decides. */
export interface StoringRequest {
  readonly method: string;
  readonly hasCredentials: boolean;
  readonly noStore: boolean;
  /** Each user has a key of their own, so that nothing is shared. */
  readonly isPerUser: boolean;
}

export interface Storing {
  readonly bornMs: number;
  readonly freshUntilMs: number;
  readonly staleWhileRevalidateS: number;
  readonly staleIfErrorS: number;
  readonly flags: number;
  /** Lower-case names of fields that must not be stored with it. */
  readonly withheld: readonly string[];
}

/** Status codes whose meaning for caches is known here: all final ones of RFC 9110 but 206 and 304. */
const UNDERSTOOD = new Set([
  200, 203, 204, 300, 301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413,
  414, 415, 416, 417, 421, 422, 425, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 508, 511,
]);
/** RFC 9110 §15.1: those that may be stored without an explicit lifetime, here only to be validated on each use. */
const CACHEABLE_BY_DEFAULT = new Set([200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501]);

export function mayStore(
  request: StoringRequest,
  head: Head,
  rules: StoringRules,
  requestMs: number,
  responseMs: number,
): Storing | StoreRefusal {
  if (request.method !== 'GET') return 'method';
  if (request.noStore) return 'request_no_store';
  const { status } = head;
  if (status === 206) return 'partial';
  if (status < 200 || status === 304) return 'status';
  const { directives, isTargeted } = governing(head, rules.targets);
  const refusal = refusalOf(request, head, directives, rules);
  if (refusal !== null) return refusal;
  let lifetime = lifetimeOf(head, directives, isTargeted, responseMs);
  if (lifetime === ABSENT) lifetime = rules.defaultSeconds.get(status) ?? ABSENT;
  if (lifetime === ABSENT && (CACHEABLE_BY_DEFAULT.has(status) || directives.isPublic))
    lifetime = guessedLifetime(head, rules.heuristicShare, responseMs);
  let flags = status === 200 ? IS_200 : 0;
  if (directives.noCache) flags |= NEEDS_VALIDATION;
  if (directives.immutable) flags |= IS_IMMUTABLE;
  if (directives.mustRevalidate || directives.proxyRevalidate || directives.sMaxage !== ABSENT) flags |= NEVER_STALE;
  if (lifetime === ABSENT) {
    // §3: without a lifetime only what can be validated is worth its place.
    if (!CACHEABLE_BY_DEFAULT.has(status) || !hasValidator(head)) return 'no_lifetime';
    flags |= NEEDS_VALIDATION;
    lifetime = 0;
  }
  const age = initialAge(head, requestMs, responseMs);
  const isStaleForGood = lifetime <= age || directives.noCache;
  if (isStaleForGood && !hasValidator(head) && !hasStaleUse(directives, rules)) return 'no_lifetime';
  const bornMs = responseMs - age * 1000;
  const neverStale = (flags & NEVER_STALE) !== 0 || directives.noCache;
  return {
    bornMs,
    freshUntilMs: bornMs + lifetime * 1000,
    staleWhileRevalidateS: neverStale ? 0 : orDefault(directives.staleWhileRevalidate, rules.staleWhileRevalidateS),
    staleIfErrorS: neverStale ? 0 : orDefault(directives.staleIfError, rules.staleIfErrorS),
    flags,
    withheld: directives.withheld,
  };
}

function refusalOf(
  request: StoringRequest,
  head: Head,
  directives: Readonly<Directives>,
  rules: StoringRules,
): StoreRefusal | null {
  // §5.2.2.3: a cache that understands the status ignores `no-store` beside `must-understand`; others must not store
  // it.
  if (directives.mustUnderstand) {
    if (!UNDERSTOOD.has(head.status)) return 'status';
  } else if (directives.noStore) return 'no_store';
  if (directives.isPrivate && !request.isPerUser) return 'private';
  if (request.hasCredentials && !request.isPerUser && !maySharePrivileged(directives)) return 'authorization';
  if (!rules.storesSetCookie && !request.isPerUser && head.valueOf('set-cookie') !== null) return 'set_cookie';
  const vary = head.valueOf('vary');
  if (vary !== null && /(^|,)[ \t]*\*[ \t]*(,|$)/.test(vary)) return 'vary_star';
  return null;
}

/** §3.5: these three alone let the response to a request with credentials be given to others. */
function maySharePrivileged(directives: Readonly<Directives>): boolean {
  return directives.isPublic || directives.mustRevalidate || directives.sMaxage !== ABSENT;
}

export function hasValidator(head: Head): boolean {
  return head.valueOf('etag') !== null || head.valueOf('last-modified') !== null;
}

function hasStaleUse(directives: Readonly<Directives>, rules: StoringRules): boolean {
  if (directives.noCache) return false;
  return (
    orDefault(directives.staleWhileRevalidate, rules.staleWhileRevalidateS) > 0 ||
    orDefault(directives.staleIfError, rules.staleIfErrorS) > 0
  );
}

const orDefault = (seconds: number, otherwise: number): number => (seconds === ABSENT ? otherwise : seconds);
