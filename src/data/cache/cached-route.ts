/**
 * The cache of one route of the live configuration: its settings in the forms that requests need, its counts, and what
 * a response may do to things that are stored already.
 */
import { type CacheSettings, keyOfRoute } from '../contract/cache.ts';
import type { RouteSettings, Snapshot } from '../contract/snapshot.ts';
import type { ResponseHandler } from '../exchange/response-source.ts';
import type { Head } from '../parser/head.ts';
import { Invalidator } from './invalidator.ts';
import type { Place } from './lookup.ts';
import { statusName } from './rules/cache-status.ts';
import type { StoringRules } from './rules/storing.ts';
import type { Reader } from './store/reader.ts';
import { readStored } from './stored-head.ts';
import type { RedisTier } from './tier/redis-tier.ts';
import type { RouteCounts, WorkerCache } from './worker-cache.ts';

/**
 * What the cache is for one route: it stores responses, or it only watches for requests that make stored ones invalid.
 */
export type RouteCache = CachedRoute | Invalidator;

/**
 * The caches of a configuration. Where any route has one, unsafe requests on all others that lead to a service make
 * invalid what is stored: what reads and what writes a resource are often two routes.
 */
export function compileCaches(snapshot: Snapshot, make: () => WorkerCache): ReadonlyMap<RouteSettings, RouteCache> {
  const cached = snapshot.routes.flatMap((route) => {
    const settings = route.policies.find(({ name }) => name === 'cache')?.options as CacheSettings | undefined;
    return settings === undefined ? [] : [{ route, settings: { ...settings, key: keyOfRoute(route, settings) } }];
  });
  const caches = new Map<RouteSettings, RouteCache>();
  if (cached.length === 0) return caches;
  const cache = make();
  const invalidator = new Invalidator(
    cache,
    cached.map(({ settings }) => settings),
  );
  for (const route of snapshot.routes) if (route.action.kind === 'service') caches.set(route, invalidator);
  for (const { route, settings } of cached)
    caches.set(route, new CachedRoute(cache, settings, route.id, snapshot.gateway.via, invalidator));
  return caches;
}

/** Begins a request like this one, with these fields in place of its conditions, that nobody waits for. */
export type Refresh = (conditions: readonly (readonly [string, string])[], handler: ResponseHandler) => void;

export class CachedRoute {
  readonly cache: WorkerCache;
  readonly settings: CacheSettings;
  readonly rules: StoringRules;
  readonly counts: RouteCounts;
  readonly statusName: string;
  readonly mostBytes: number;
  readonly invalidator: Invalidator;

  constructor(
    cache: WorkerCache,
    settings: CacheSettings,
    routeId: string,
    gatewayName: string,
    invalidator: Invalidator,
  ) {
    this.cache = cache;
    this.settings = settings;
    this.counts = cache.countsOf(routeId);
    this.statusName = statusName(gatewayName);
    this.mostBytes = Math.min(settings.maxObjectBytes, cache.mostBytes);
    this.invalidator = invalidator;
    this.rules = {
      targets: settings.targets,
      defaultSeconds: new Map(settings.lifetimes),
      heuristicShare: settings.heuristicShare,
      staleWhileRevalidateS: settings.staleWhileRevalidateS,
      staleIfErrorS: settings.staleIfErrorS,
      storesSetCookie: settings.storesSetCookie,
    };
  }

  /** Redis, where this route uses it and it is configured. */
  get tier(): RedisTier | null {
    return this.settings.inRedis ? this.cache.tier : null;
  }

  /** RFC 9111 §4.3.5: a HEAD that speaks of another response than the stored one makes that one invalid. */
  afterHead(place: Place, stale: Reader | null, head: Head): void {
    if (stale === null || head.status !== 200) return;
    const stored = readStored(stale.head(), this.cache.head);
    for (const name of ['etag', 'last-modified', 'content-length']) {
      const now = head.valueOf(name);
      if (now !== null && now !== stored.valueOf(name)) {
        this.cache.store.removeLive(place.key);
        this.tier?.invalidate(place.firstKey, () => {});
        return;
      }
    }
  }
}
