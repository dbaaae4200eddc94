/**
 * The cache of one route of the live configuration: its settings in the forms that requests need, its counts, and what
 * a response may do to things that are stored already.
 */
import type { Steps } from '../../base/slices.ts';
import { type CacheSettings, keyOfRoute } from '../contract/cache.ts';
import { FieldNames } from '../contract/field-names.ts';
import type { RouteSettings, Snapshot } from '../contract/snapshot.ts';
import type { ResponseHandler } from '../exchange/response-source.ts';
import type { Head } from '../parser/head.ts';
import { Invalidator } from './invalidator.ts';
import type { Place } from './lookup.ts';
import type { RouteCounts } from './route-counts.ts';
import { statusName } from './rules/cache-status.ts';
import type { StoringRules } from './rules/storing.ts';
import type { Reader } from './store/reader.ts';
import { readStored } from './stored-head.ts';
import type { RedisTier } from './tier/redis-tier.ts';
import type { WorkerCache } from './worker-cache.ts';

/**
 * What the cache is for one route: it stores responses, or it only watches for requests that make stored ones invalid.
 */
export type RouteCache = CachedRoute | Invalidator;

/** The caches of one configuration. */
export class RouteCaches {
  readonly #routes: readonly RouteSettings[];
  readonly #via: string;
  readonly #cached: ReadonlyMap<RouteSettings, CachedRoute>;
  readonly #invalidator: Invalidator | null;

  /** Those of `former` where they are the same: then what was made with them may stay. */
  static *of(snapshot: Snapshot, make: () => WorkerCache, former: RouteCaches | null): Steps<RouteCaches> {
    const { via } = snapshot.gateway;
    const routes: RouteSettings[] = [];
    for (const route of snapshot.routes) {
      if (route.policies.some(({ name }) => name === 'cache')) routes.push(route);
      yield;
    }
    if (former?.isFor(routes, via) === true) return former;
    return new RouteCaches(routes, via, routes.length === 0 ? null : make());
  }

  private constructor(routes: readonly RouteSettings[], via: string, cache: WorkerCache | null) {
    this.#routes = routes;
    this.#via = via;
    const all = routes.map((route) => {
      const settings = route.policies.find(({ name }) => name === 'cache')!.options as CacheSettings;
      return { route, settings: { ...settings, key: keyOfRoute(route, settings) } };
    });
    const invalidator =
      cache === null
        ? null
        : new Invalidator(
            cache,
            all.map(({ settings }) => settings),
          );
    this.#invalidator = invalidator;
    this.#cached = new Map(
      all.map(({ route, settings }) => [route, new CachedRoute(cache!, settings, route.id, via, invalidator!)]),
    );
  }

  isFor(routes: readonly RouteSettings[], via: string): boolean {
    if (routes.length !== this.#routes.length || (routes.length > 0 && via !== this.#via)) return false;
    return routes.every((route, index) => route === this.#routes[index]);
  }

  /**
   * Where any route has a cache, unsafe requests on all others that lead to a service, a handler or a composition make
   * invalid what is stored: what reads and what writes a resource are often two routes.
   */
  get(route: RouteSettings): RouteCache | undefined {
    const own = this.#cached.get(route);
    if (own !== undefined) return own;
    const { kind } = route.action;
    return kind === 'service' || makesReplies(route) ? (this.#invalidator ?? undefined) : undefined;
  }
}

/** Its responses are made in the gateway. */
export function makesReplies({ action: { kind } }: RouteSettings): boolean {
  return kind === 'handler' || kind === 'aggregate';
}

/** Begins a request like this one, with these fields in place of its conditions, that nobody waits for. */
export type Refresh = (conditions: readonly (readonly [string, string])[], handler: ResponseHandler) => void;

const MORE = ['range', 'if-none-match', 'if-modified-since'];
const WANTS_MORE = new FieldNames(MORE);
const WANTS_MORE_OR_OTHER = new FieldNames([...MORE, 'cache-control']);

export class CachedRoute {
  readonly cache: WorkerCache;
  readonly settings: CacheSettings;
  readonly rules: StoringRules;
  readonly counts: RouteCounts;
  readonly statusName: string;
  readonly mostBytes: number;
  readonly invalidator: Invalidator;
  /** Fields of a request that wants something else than what is stored as it is. */
  readonly asksForMore: FieldNames;

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
    this.asksForMore = settings.obeysRequests ? WANTS_MORE_OR_OTHER : WANTS_MORE;
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
