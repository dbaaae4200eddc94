/**
 * Live objects made from a snapshot, off the hot path: router, routes with their policies in arrays per phase,
 * services with their pools. The worker swaps one pointer to it; exchanges that began before keep the old one.
 * Services live longer than a snapshot: one whose name stays keeps its connections, counts and breaker.
 */
import { CidrSet } from '../../base/ip.ts';
import { aggregateAction } from '../actions/aggregate.ts';
import { cachedAction } from '../actions/cached.ts';
import { handlerAction } from '../actions/handler.ts';
import { redirectAction } from '../actions/redirect.ts';
import { respondAction } from '../actions/respond.ts';
import { serviceAction } from '../actions/service.ts';
import { transcodeAction } from '../actions/transcode.ts';
import { CachedRoute, compileCaches, type RouteCache } from '../cache/cached-route.ts';
import type { WorkerCache } from '../cache/worker-cache.ts';
import type { PolicyDefinition, PolicyEnvironment, PolicyHooks } from '../contract/policy.ts';
import type { PolicySettings, RouteSettings, Snapshot } from '../contract/snapshot.ts';
import type { ActiveConfig, CompiledRoute, RouteAction } from '../exchange/active-config.ts';
import type { UpstreamService } from '../exchange/attempt.ts';
import { ResponseReferences } from '../exchange/response-references.ts';
import { strippedPrefixOf } from '../router/path-prefix.ts';
import { buildRouter } from '../router/router.ts';
import { versionFields } from '../router/versions.ts';
import { sparingHits } from './spared-hits.ts';

export interface LiveParts {
  readonly services: ReadonlyMap<string, UpstreamService>;
  readonly policies: ReadonlyMap<string, PolicyDefinition<never, unknown>>;
  environment(route: Pick<RouteSettings, 'id' | 'slot'>): PolicyEnvironment;
  /** What the environment of a response without a route is made of. */
  readonly noRoute: Pick<RouteSettings, 'id' | 'slot'>;
  /** What `prepare` of policies gave (prepare-policies.ts). */
  readonly prepared: ReadonlyMap<PolicySettings, unknown>;
  /** Asked for when a route has a cache. */
  cache(): WorkerCache;
  isBanned(address: string): boolean;
  /** Told once, when it is disposed of. */
  ended(live: ActiveConfig): void;
}

/** Throws a `TypeError` that names the route when something in the snapshot cannot be built. */
export function compileConfig(snapshot: Snapshot, parts: LiveParts): ActiveConfig {
  const made: PolicyHooks[] = [];
  const readOnlyWhilePending = new Set<unknown>();
  try {
    const caches = compileCaches(snapshot, parts.cache);
    const routes = snapshot.routes.map((route) => buildRoute(route, parts, caches, made, readOnlyWhilePending));
    const unrouted = (snapshot.unrouted ?? []).flatMap(({ name, options }) => {
      const created = parts.policies
        .get(name)
        ?.create(options as never, parts.environment(parts.noRoute), undefined as never);
      if (created !== undefined) made.push(created);
      return created?.responseHead ?? [];
    });
    const live: ActiveConfig = {
      unrouted,
      version: snapshot.version,
      gateway: snapshot.gateway,
      trusted: new CidrSet(snapshot.gateway.trustProxy),
      router: buildRouter(snapshot.routes),
      routes,
      services: parts.services,
      // What routes share acts once: the same function stands for the same settings.
      arrival: [...new Set(made.flatMap((hooks) => hooks.arrival ?? []))],
      readOnlyWhilePending,
      isBanned: parts.isBanned,
      active: 0,
      retired: false,
      dispose: () => {
        for (const { action } of routes) action.dispose?.();
        disposeAll(made);
        parts.ended(live);
      },
    };
    return live;
  } catch (error) {
    disposeAll(made);
    throw error;
  }
}

function disposeAll(made: readonly PolicyHooks[]): void {
  for (const hooks of made) hooks.dispose?.();
}

function buildRoute(
  settings: RouteSettings,
  parts: LiveParts,
  caches: ReadonlyMap<RouteSettings, RouteCache>,
  made: PolicyHooks[],
  readOnlyWhilePending: Set<unknown>,
): CompiledRoute {
  const environment = parts.environment(settings);
  const cache = caches.get(settings);
  const sparing = cache instanceof CachedRoute && !cache.settings.countsHits ? cache : null;
  const first: PolicyHooks[] = [];
  const others: PolicyHooks[] = [];
  const last: PolicyHooks[] = [];
  for (const policy of settings.policies) {
    const definition = parts.policies.get(policy.name);
    if (definition === undefined) throw new TypeError(`route "${settings.id}": there is no policy "${policy.name}"`);
    const created = definition.create(policy.options as never, environment, parts.prepared.get(policy) as never);
    made.push(created);
    const hooks = sparing === null ? created : sparingHits(sparing, policy.name, created);
    if (definition.readsRequestOnlyWhilePending === true)
      for (const hook of Object.values(hooks)) readOnlyWhilePending.add(hook);
    (definition.first === true ? first : definition.last === true ? last : others).push(hooks);
  }
  const hooks = [...first, ...others, ...last];
  const action = actionOf(settings, parts.services, environment);
  return {
    settings,
    isBuiltIn: settings.id.startsWith('builtin:'),
    latencyBoundMs: settings.latencyBoundMs ?? 0,
    preflight: hooks.find((each) => each.preflight !== undefined)?.preflight ?? null,
    authenticate: hooks.flatMap((each) => each.authenticate ?? []),
    authorize: hooks.flatMap((each) => each.authorize ?? []),
    limit: hooks.flatMap((each) => each.limit ?? []),
    requestHead: hooks.flatMap((each) => each.requestHead ?? []),
    requestBody: hooks.flatMap((each) => each.requestBody ?? []),
    responseHead: hooks.flatMap((each) => each.responseHead ?? []),
    finish: hooks.flatMap((each) => each.finish ?? []),
    action: cache === undefined ? action : cachedAction(cache, action),
    mirror: settings.mirror,
    strippedPrefix: strippedPrefixOf(settings.rewrite),
    references: ResponseReferences.of(settings, parts.services),
    takesGrpcWeb: asksGrpc(settings, parts.services),
    responseFields: versionFields(settings.version),
  };
}

function asksGrpc({ action }: RouteSettings, services: ReadonlyMap<string, UpstreamService>): boolean {
  if (action.kind !== 'service') return false;
  return action.targets.some(({ service }) => services.get(service)?.settings.protocol === 'grpc');
}

function actionOf(
  settings: RouteSettings,
  services: ReadonlyMap<string, UpstreamService>,
  environment: PolicyEnvironment,
): RouteAction {
  const { action, transcode } = settings;
  switch (action.kind) {
    case 'service': {
      const toService = serviceAction(settings, services);
      return transcode === undefined ? toService : transcodeAction(transcode, toService, environment.control);
    }
    case 'respond':
      return respondAction(action.response);
    case 'aggregate':
      return aggregateAction(action.aggregate, services);
    case 'handler':
      return handlerAction(action.handler, environment);
    case 'redirect':
      return redirectAction(action.status, action.location);
  }
}
