/**
 * Live objects made from a snapshot, beside the traffic of the one before: router, routes with their policies in arrays
 * per phase, services with their pools. The worker swaps one pointer to it; exchanges that began before keep the old
 * one. Services live longer than a snapshot: one whose name stays keeps its connections, counts and breaker. So does a
 * route of which nothing has changed, neither itself nor what it was made with.
 */
import { CidrSet } from '../../base/ip.ts';
import { isSameData } from '../../base/same-data.ts';
import { atOnce, inSlices, type Steps } from '../../base/slices.ts';
import { RouteCaches } from '../cache/cached-route.ts';
import type { WorkerCache } from '../cache/worker-cache.ts';
import type { PolicyHook, PolicyHooks } from '../contract/policy.ts';
import type { RouteSettings, Secrets, ServiceSettings, Snapshot } from '../contract/snapshot.ts';
import type { ActiveConfig } from '../exchange/active-config.ts';
import { routerSteps } from '../router/router.ts';
import { type BuiltRoute, buildRoute, disposeRoute, type RouteParts, refusalFieldsOf } from './build-route.ts';

export interface LiveConfig extends ActiveConfig {
  readonly routes: readonly BuiltRoute[];
  /** What it was made of. Instances of services may be others meanwhile. */
  readonly snapshot: Snapshot;
  readonly secrets: Secrets;
  readonly caches: RouteCaches;
}

export interface LiveParts extends RouteParts {
  /** The same object as long as none of them changes. */
  readonly secrets: Secrets;
  /** What the environment of a response without a route is made of. */
  readonly noRoute: Pick<RouteSettings, 'id' | 'slot'>;
  /** Routes of the configuration before that stay as they are (`keptSteps`). */
  readonly kept: ReadonlyMap<RouteSettings, BuiltRoute>;
  readonly caches: RouteCaches;
  isBanned(address: string): boolean;
  /** Called once, when it is disposed of. */
  ended(live: ActiveConfig): void;
}

/** `make` is asked for only when a route has a cache. */
export function cacheSteps(snapshot: Snapshot, make: () => WorkerCache, former: LiveConfig | null): Steps<RouteCaches> {
  return RouteCaches.of(snapshot, make, former?.caches ?? null);
}

/**
 * Routes of `former` that the snapshot has too, with the same secrets, caches and services. `services` are those that
 * the snapshot will have.
 */
export function* keptSteps(
  { routes, services: settings }: Snapshot,
  former: LiveConfig | null,
  { secrets, caches, services }: Pick<LiveParts, 'secrets' | 'caches' | 'services'>,
): Steps<Map<RouteSettings, BuiltRoute>> {
  const kept = new Map<RouteSettings, BuiltRoute>();
  if (former === null || former.secrets !== secrets || former.caches !== caches) return kept;
  const before = new Map(former.snapshot.services.map((each) => [each.name, each]));
  const unchanged = new Set<string>();
  for (const each of settings) {
    const { name } = each;
    if (former.services.get(name) === services.get(name) && isSameBesideInstances(before.get(name), each))
      unchanged.add(name);
    yield;
  }
  const known = new Map<RouteSettings, BuiltRoute>();
  for (const route of former.routes) {
    known.set(route.settings, route);
    yield;
  }
  for (const route of routes) {
    const found = known.get(route);
    if (found !== undefined && servicesOf(route.action).every((name) => unchanged.has(name))) kept.set(route, found);
    yield;
  }
  return kept;
}

function isSameBesideInstances(before: ServiceSettings | undefined, after: ServiceSettings): boolean {
  return before === after || (before !== undefined && isSameData({ ...before, instances: after.instances }, after));
}

function servicesOf(action: RouteSettings['action']): readonly string[] {
  if (action.kind === 'aggregate') return action.aggregate.parts.map(({ service }) => service);
  return action.kind === 'service' ? action.targets.map(({ service }) => service) : [];
}

/** Throws a `TypeError` that names the route when something in the snapshot cannot be built. */
export function compileConfig(snapshot: Snapshot, parts: LiveParts, former: LiveConfig | null = null): LiveConfig {
  return atOnce(compileSteps(snapshot, parts, former));
}

/**
 * The same, beside the traffic of `former`, which it will replace. Nothing of the result refers to `former`: each
 * configuration would keep all before it.
 */
export function* compileSteps(
  snapshot: Snapshot,
  parts: LiveParts,
  former: LiveConfig | null = null,
): Steps<LiveConfig> {
  const { ended } = parts;
  const fresh: BuiltRoute[] = [];
  const unrouted: PolicyHooks[] = [];
  try {
    const routes: BuiltRoute[] = [];
    const arrival = new Set<PolicyHook>();
    const readOnlyWhilePending = new Set<unknown>();
    for (const settings of snapshot.routes) {
      const kept = parts.kept.get(settings);
      const route = kept ?? buildRoute(settings, parts, parts.caches);
      if (kept === undefined) fresh.push(route);
      routes.push(route);
      // What routes share acts once: the same function stands for the same settings.
      for (const hook of route.arrival) arrival.add(hook);
      for (const hook of route.readOnlyWhilePending) readOnlyWhilePending.add(hook);
      yield;
    }
    for (const { name, options } of snapshot.unrouted ?? []) {
      const environment = parts.environment(parts.noRoute);
      const created = parts.policies.get(name)?.create(options as never, environment, undefined as never);
      if (created !== undefined) unrouted.push(created);
    }
    const live: LiveConfig = {
      unrouted: unrouted.flatMap(({ responseHead }) => responseHead ?? []),
      refusalFields: refusalFieldsOf(unrouted),
      asksOriginOfRefused:
        refusalFieldsOf(unrouted) !== null || routes.some(({ refusalFields }) => refusalFields !== null),
      version: snapshot.version,
      gateway: snapshot.gateway,
      trusted: new CidrSet(snapshot.gateway.trustProxy),
      router: yield* routerSteps(snapshot.routes, former?.router),
      routes,
      services: parts.services,
      arrival: [...arrival],
      readOnlyWhilePending,
      isBanned: parts.isBanned,
      active: 0,
      retired: false,
      snapshot,
      secrets: parts.secrets,
      caches: parts.caches,
      dispose: () => {
        ended(live);
        for (const hooks of unrouted) hooks.dispose?.();
        void inSlices(releaseSteps(routes));
      },
    };
    for (const route of routes) route.users++;
    return live;
  } catch (error) {
    for (const hooks of unrouted) hooks.dispose?.();
    for (const route of fresh) disposeRoute(route);
    throw error;
  }
}

function* releaseSteps(routes: readonly BuiltRoute[]): Steps<void> {
  for (const route of routes) {
    if (--route.users === 0) disposeRoute(route);
    yield;
  }
}
