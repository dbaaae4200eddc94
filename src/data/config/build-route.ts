/** One route of a snapshot as requests use it: its policies in arrays by phase, and its action. */
import { aggregateAction } from '../actions/aggregate.ts';
import { cachedAction } from '../actions/cached.ts';
import { channelAction, isChannelRoute } from '../actions/channel.ts';
import { handlerAction } from '../actions/handler.ts';
import { redirectAction } from '../actions/redirect.ts';
import { respondAction } from '../actions/respond.ts';
import { serviceAction } from '../actions/service.ts';
import { ticketAction } from '../actions/ticket.ts';
import { transcodeAction } from '../actions/transcode.ts';
import { CachedRoute, makesReplies, type RouteCaches } from '../cache/cached-route.ts';
import type { PolicyDefinition, PolicyEnvironment, PolicyHook, PolicyHooks } from '../contract/policy.ts';
import { nameHooks } from '../contract/policy-names.ts';
import type { PolicySettings, RouteSettings } from '../contract/snapshot.ts';
import type { CompiledRoute, RouteAction } from '../exchange/active-config.ts';
import type { UpstreamService } from '../exchange/attempt.ts';
import { ResponseReferences } from '../exchange/response-references.ts';
import { strippedPrefixOf } from '../router/path-prefix.ts';
import { versionFields } from '../router/versions.ts';
import { sparingHits, sparingOf } from './spared-hits.ts';

export interface RouteParts {
  readonly services: ReadonlyMap<string, UpstreamService>;
  readonly policies: ReadonlyMap<string, PolicyDefinition<never, unknown>>;
  environment(route: Pick<RouteSettings, 'id' | 'slot'>): PolicyEnvironment;
  /** What `prepare` of policies gave (prepare-policies.ts). */
  readonly prepared: ReadonlyMap<PolicySettings, unknown>;
}

/** A route that configurations have in common as long as nothing of it changes. */
export interface BuiltRoute extends CompiledRoute {
  readonly made: readonly PolicyHooks[];
  readonly arrival: readonly PolicyHook[];
  /** Hooks of policies that only read the request while their promise is pending. */
  readonly readOnlyWhilePending: readonly unknown[];
  /** Configurations that have it and are not disposed of. */
  users: number;
}

/** Throws a `TypeError` that names the route when it cannot be built, and keeps nothing. */
export function buildRoute(settings: RouteSettings, parts: RouteParts, caches: RouteCaches): BuiltRoute {
  const made: PolicyHooks[] = [];
  try {
    return built(settings, parts, caches, made);
  } catch (error) {
    for (const hooks of made) hooks.dispose?.();
    throw error;
  }
}

export function disposeRoute({ action, made }: BuiltRoute): void {
  action.dispose?.();
  for (const hooks of made) hooks.dispose?.();
}

function built(settings: RouteSettings, parts: RouteParts, caches: RouteCaches, made: PolicyHooks[]): BuiltRoute {
  const environment = parts.environment(settings);
  const cache = caches.get(settings);
  const sparing =
    cache instanceof CachedRoute && !cache.settings.countsHits ? sparingOf(cache, settings.policies) : null;
  const readOnlyWhilePending: unknown[] = [];
  const first: PolicyHooks[] = [];
  const others: PolicyHooks[] = [];
  const last: PolicyHooks[] = [];
  for (const policy of settings.policies) {
    const definition = parts.policies.get(policy.name);
    if (definition === undefined) throw new TypeError(`route "${settings.id}": there is no policy "${policy.name}"`);
    const created = definition.create(policy.options as never, environment, parts.prepared.get(policy) as never);
    made.push(created);
    const hooks = sparing === null ? created : sparingHits(sparing, policy.name, created);
    nameHooks(hooks, policy.name);
    if (definition.readsRequestOnlyWhilePending === true) readOnlyWhilePending.push(...Object.values(hooks));
    (definition.first === true ? first : definition.last === true ? last : others).push(hooks);
  }
  const hooks = [...first, ...others, ...last];
  const action = actionOf(settings, parts.services, environment);
  return {
    settings,
    isBuiltIn: settings.id.startsWith('builtin:'),
    latencyBoundMs: settings.latencyBoundMs ?? 0,
    preflight: hooks.find((each) => each.preflight !== undefined)?.preflight ?? null,
    refusalFields: refusalFieldsOf(hooks),
    authenticate: hooks.flatMap((each) => each.authenticate ?? []),
    authorize: hooks.flatMap((each) => each.authorize ?? []),
    limit: hooks.flatMap((each) => each.limit ?? []),
    requestHead: hooks.flatMap((each) => each.requestHead ?? []),
    requestBody: hooks.flatMap((each) => each.requestBody ?? []),
    responseHead: hooks.flatMap((each) => each.responseHead ?? []),
    finish: hooks.flatMap((each) => each.finish ?? []),
    action: cache === undefined ? action : cachedAction(cache, action, makesReplies(settings)),
    mirror: settings.mirror,
    strippedPrefix: strippedPrefixOf(settings.rewrite),
    references: ResponseReferences.of(settings, parts.services),
    takesGrpcWeb: asksGrpc(settings, parts.services),
    responseFields: versionFields(settings.version),
    made,
    arrival: made.flatMap((each) => each.arrival ?? []),
    readOnlyWhilePending,
    users: 0,
  };
}

/** Of the first policy that has any. */
export function refusalFieldsOf(hooks: readonly PolicyHooks[]): CompiledRoute['refusalFields'] {
  return hooks.find((each) => each.refusalFields !== undefined)?.refusalFields ?? null;
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
      if (isChannelRoute(settings)) return channelAction(settings, environment);
      const toService = serviceAction(settings, services);
      return transcode === undefined ? toService : transcodeAction(transcode, toService, environment.control);
    }
    case 'respond':
      return respondAction(action.response);
    case 'aggregate':
      return aggregateAction(action.aggregate, services);
    case 'handler':
      return handlerAction(action.handler, environment);
    case 'ticket':
      return ticketAction(settings, action.ttlMs, environment);
    case 'redirect':
      return redirectAction(action.status, action.location);
  }
}
