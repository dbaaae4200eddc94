/** What control and the workers tell each other about the cache: settings of a route, topics, and counts. */
import type { RouteSettings } from './snapshot.ts';

/** Which parts of a request make the key of a stored response. */
export interface KeySettings {
  /** Names of query parameters: `only` keeps these, `without` drops these, null keeps the query as it is. */
  readonly query: { readonly mode: 'only' | 'without'; readonly names: readonly string[] } | null;
  /** Lower-case names of fields, beside those of `Vary`. */
  readonly headers: readonly string[];
  readonly cookies: readonly string[];
  /** Each user has responses of their own. */
  readonly user: boolean;
  readonly plan: boolean;
  /** Tells routes of one URL apart that are chosen by more than the URL; empty for others. */
  readonly partition: string;
}

/** `cache` of a route, compiled. */
export interface CacheSettings {
  readonly key: KeySettings;
  /** Lower-case names of targeted fields, the nearest first (RFC 9213). */
  readonly targets: readonly string[];
  /** Status and seconds, for responses that do not say how long they are fresh. */
  readonly lifetimes: readonly (readonly [status: number, seconds: number])[];
  /** Of the time since `Last-Modified`, for those without one; 0: no guesses. */
  readonly heuristicShare: number;
  readonly staleWhileRevalidateS: number;
  readonly staleIfErrorS: number;
  readonly maxObjectBytes: number;
  readonly storesSetCookie: boolean;
  /** Cache-Control of requests counts (RFC 9111 §5.2.1). */
  readonly obeysRequests: boolean;
  /** Send `Cache-Status` (RFC 9211). */
  readonly tellsStatus: boolean;
  /** Longest wait for a response that another request fetches; 0 never waits. */
  readonly waitMs: number;
  /** How long requests do not wait for a URL whose response could not be stored. */
  readonly passMs: number;
  /** Limits and quotas count hits too. */
  readonly countsHits: boolean;
  /** Redis is the second tier (`stores.redis`). */
  readonly inRedis: boolean;
}

/**
 * The key of a route: as configured, and what else of a request decides where the route sends it. Routes of one URL
 * that differ by fields must not share what is stored.
 */
export function keyOfRoute({ id, match, version, action }: RouteSettings, { key }: CacheSettings): KeySettings {
  const byFields = match.headers.length > 0 || (version !== null && version.by.kind !== 'path');
  const split = action.kind === 'service' ? action.split : null;
  if (!byFields && split === null) return key;
  return {
    ...key,
    headers: distinct(key.headers, split?.headers ?? []),
    cookies: [...new Set([...key.cookies, ...(split?.cookies ?? []).map(({ name }) => name)])].sort(),
    partition: byFields ? id : '',
  };
}

function distinct(names: readonly string[], rules: readonly { readonly name: string }[]): string[] {
  return [...new Set([...names, ...rules.map(({ name }) => name.toLowerCase())])].sort();
}

/** Worker to main: differences of counts, by `route<tab>result`. */
export const CACHE_COUNTS_TOPIC = 'cache:counts';

/**
 * Main to worker: true where other nodes of a cluster should hear what unsafe requests make invalid, and by no Redis.
 */
export const CACHE_PEERS_TOPIC = 'cache:peers';
/** Worker to main: first keys that unsafe requests made invalid. */
export const CACHE_GONE_TOPIC = 'cache:gone';

/** How a request was handled; also the value of `cache` in the access record. */
export const CACHE_RESULTS = ['hit', 'stale', 'revalidated', 'coalesced', 'miss', 'bypass', 'error'] as const;
export type CacheResult = (typeof CACHE_RESULTS)[number];

/**
 * Why a fetch that others wait for went on another way: its client went, the service broke off and was asked for the
 * rest, or it was lost and one who waited asked for the rest.
 */
export type Takeover = 'client_gone' | 'broken_off' | 'fill_lost';

/** The store as main sees it. */
export interface CacheControl {
  readonly memory: SharedArrayBuffer;
  /** A worker is gone: takes back what it read, filled or held locked. */
  clearWorker(index: number): void;
  /** Each holds for all workers when it returns. False: the store is busy, try again. */
  purgeAll(): boolean;
  purgeTag(tag: string): boolean;
  purgePrefix(prefix: string): boolean;
  /** All that is stored of a URL, by the keys of these routes. */
  purgeUrl(url: URL, keys: readonly KeySettings[]): boolean;
  /** What is stored under one first key. */
  purgeKey(key: string): boolean;
  /** The first keys of a URL, by the keys of these routes. */
  firstKeysOf(url: URL, keys: readonly KeySettings[]): readonly string[];
  stats(): CacheStats;
  /** The objects that are largest, or used most. */
  top(by: 'bytes' | 'hits', most: number): readonly CachedObject[];
}

export interface CacheStats {
  readonly objects: number;
  /** Of the chunks, not of the bodies alone. */
  readonly usedBytes: number;
  readonly totalBytes: number;
  readonly evictions: number;
  /** How often the store was emptied because a worker died inside its lock. */
  readonly resets: number;
}

export interface CachedObject {
  /** URL, and `(variant)` where several are stored. */
  readonly key: string;
  readonly bytes: number;
  readonly hits: number;
  readonly ageSeconds: number;
  /** Negative: stale. */
  readonly freshSeconds: number;
}

/** Bytes of the longest prefix that can be purged. */
export const MAX_PURGE_PREFIX = 512;
