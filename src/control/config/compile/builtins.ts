/**
 * What the gateway serves itself: built-in services as services like any other, on a socket of their own, and the
 * routes to them. The user's routes come first in everything; a built-in one that could then never be reached is a
 * problem, with the key that moves it.
 */

import { POLICY_OPTIONS } from '../../../data/catalog.ts';
import type { AuthSettings } from '../../../data/contract/auth.ts';
import { EVENTS_SERVICE, REALTIME_SERVICE } from '../../../data/contract/events.ts';
import type { RateLimitSettings } from '../../../data/contract/limits.ts';
import type { PolicyOptionsDefinition } from '../../../data/contract/options.ts';
import type { PolicySettings, RouteSettings, ServiceSettings } from '../../../data/contract/snapshot.ts';
import type { ControlPlan } from '../plan.ts';
import { CLOSED_ENDPOINTS, ENDPOINTS } from '../plan.ts';
import { hasErrors } from '../problems.ts';
import type { AddressLimit, BuiltinRoute } from '../section.ts';
import { BUILTIN } from './action.ts';
import { Compilation } from './context.ts';
import type { UnslottedInstance } from './instances.ts';
import { compilePolicies } from './policies.ts';
import type { UnslottedRoute } from './route.ts';
import type { UnslottedService } from './service.ts';

/** The one path that clients of grpc.health.v1 know. */
const GRPC_HEALTH = '/grpc.health.v1.Health/*';

/** Where health, status and metrics are answered. */
export const OPS = `${BUILTIN}ops`;

const NOTHING_ALLOWED: RouteSettings['pathSafety'] = {
  strict: false,
  allowDotSegments: false,
  allowEncodedSlash: false,
  allowEncodedBackslash: false,
  allowEncodedDot: false,
  allowDoubleSlash: false,
};

/** One more than a route of the document may have. */
const FIRST = 1_000_001;

const MAX_BUILTIN_BODY = 10 * 1024 ** 2;

export function endpointRoutes(
  endpoints: ControlPlan['endpoints'],
  operations: { readonly from: readonly string[]; readonly port?: number | undefined },
  answersGrpc: boolean,
): BuiltinRoute[] {
  const routes = ENDPOINTS.flatMap((name) => {
    const path = endpoints[name];
    const isClosed = CLOSED_ENDPOINTS.has(name);
    if (path === null || (isClosed && operations.port !== undefined)) return [];
    const route = { id: `${OPS}/${name}`, service: OPS, path, methods: ['GET', 'HEAD'], isOperations: true };
    return [{ ...route, movedBy: `gateway.endpoints.${name}`, ...(isClosed ? { from: operations.from } : {}) }];
  });
  if (!answersGrpc) return routes;
  const movedBy = 'gateway.endpoints.grpcHealth';
  const grpc = { id: `${OPS}/grpc-health`, service: OPS, path: GRPC_HEALTH, methods: ['POST'] };
  return [...routes, { ...grpc, movedBy, isOperations: true }];
}

/** Null for a route that needs to know its callers where nothing could authenticate one. */
export function compileBuiltinRoute(compilation: Compilation, route: BuiltinRoute): UnslottedRoute | null {
  const policies =
    route.authenticated === true ? policiesOfAuthenticated(compilation, route) : policiesOfOpen(compilation, route);
  if (policies === null) return null;
  return {
    id: route.id,
    match: {
      hosts: [],
      path: { kind: 'pattern', pattern: route.path },
      methods: route.methods ?? [],
      headers: [],
      query: [],
    },
    priority: route.goesFirst === true ? FIRST : 0,
    version: null,
    action: { kind: 'service', targets: [{ service: route.service, weight: 1 }], split: null },
    policies,
    maxRequestBytes: MAX_BUILTIN_BODY,
    requestBufferBytes: null,
    pathSafety: NOTHING_ALLOWED,
    rewrite: null,
    upgrades: route.upgrades ?? [],
    mirror: null,
  };
}

/**
 * What the gateway says of every response, for what no route of the document answered: which pages of other sites may
 * read it, and its fields. Requests of these never reach a service of the user, so changes of requests are not for
 * them.
 */
export function unroutedPolicies(compilation: Compilation): PolicySettings[] {
  return openPolicies(new Compilation(compilation.config), 'none', RESPONSE_KEYS);
}

const RESPONSE_KEYS: ReadonlySet<string> = new Set(['cors', 'headers', 'securityHeaders']);
const CALLER_KEYS: ReadonlySet<string> = new Set([...RESPONSE_KEYS, 'ipFilter', 'rateLimit']);
const OPERATIONS_KEYS: ReadonlySet<string> = new Set([...RESPONSE_KEYS, 'ipFilter']);

function openPolicies(attempt: Compilation, id: string, keys: ReadonlySet<string>): PolicySettings[] {
  const definitions = (POLICY_OPTIONS as readonly PolicyOptionsDefinition[]).filter(({ key }) => keys.has(key));
  const facts = { id, services: [] };
  return compilePolicies(attempt, attempt.config.document.routes.length, facts, definitions).map((policy) =>
    policy.name === 'headers' ? { ...policy, options: { ...(policy.options as object), request: null } } : policy,
  );
}

/**
 * The same, the gateway's address lists and limits, and an address list of its own. What is wrong with the gateway's
 * keys is reported where routes of the document have them.
 */
function policiesOfOpen(
  compilation: Compilation,
  { id, from, limits = [], isOperations = false }: BuiltinRoute,
): PolicySettings[] {
  const attempt = new Compilation(compilation.config);
  const policies = openPolicies(attempt, id, isOperations ? OPERATIONS_KEYS : CALLER_KEYS);
  keepTexts(compilation, attempt);
  policies.unshift(...limits.map(limitOf));
  if (from === undefined) return policies;
  const allow = compilation.options(['gateway', 'operations'], `builtin/${id}`).secret('allow', from.join('\n'));
  return [{ name: 'ip-filter', options: { allow, deny: null, phase: 'authenticate' } }, ...policies];
}

function keepTexts(compilation: Compilation, attempt: Compilation): void {
  Object.assign(compilation.secrets, attempt.secrets);
  for (const file of attempt.files) compilation.files.add(file);
}

function limitOf({ paths, scope, ...numbers }: AddressLimit): PolicySettings {
  const options: RateLimitSettings = {
    ...(paths === undefined ? {} : { paths }),
    refusalDelayMs: 250,
    blocks: [
      {
        by: [{ kind: 'ip' }],
        rules: [{ ...numbers, algorithm: 'gcra' }],
        plan: false,
        methods: [],
        cost: 1,
        costHeader: null,
        scope,
        phase: 'authenticate',
      },
    ],
    legacyHeaders: false,
    standardHeaders: false,
  };
  return { name: 'rate-limit', options };
}

/**
 * What the gateway says for every route, and authentication in any case, with the identity in the fields that built-in
 * services read. Not `abuse`: what built-in routes answer is counted by the engine. What is wrong with the gateway's
 * keys is reported where routes of the document have them; here it only means that the route cannot be.
 */
function policiesOfAuthenticated(
  compilation: Compilation,
  { id, service, stepUp, limits = [] }: BuiltinRoute,
): PolicySettings[] | null {
  const { document } = compilation.config;
  const definitions = (POLICY_OPTIONS as readonly PolicyOptionsDefinition[]).flatMap((definition) => {
    if (definition.key === 'abuse') return [];
    const isOpen = definition.key === 'auth' && (document.gateway as { auth?: unknown }).auth === 'public';
    return [isOpen ? { ...definition, levels: definition.levels.filter((level) => level !== 'gateway') } : definition];
  });
  const attempt = new Compilation(compilation.config);
  const policies = compilePolicies(attempt, document.routes.length, { id, services: [service] }, definitions);
  if (hasErrors(attempt.problems) || !policies.some(({ name }) => name === 'auth')) return null;
  keepTexts(compilation, attempt);
  const checked = policies.map((policy) =>
    policy.name === 'auth'
      ? {
          ...policy,
          options: ownOptions(policy.options as AuthSettings, stepUp === true ? stepUpSeconds(document) : 0),
        }
      : policy,
  );
  return [...limits.map(limitOf), ...checked];
}

/** Where a connection is a subscriber's, who may stay for hours: the service itself says when there are too many. */
const LONG_LIVED: ReadonlySet<string> = new Set([EVENTS_SERVICE, REALTIME_SERVICE]);
/**
 * More than sign-ins can wait in the identity service (102, then 503): they must not hold every connection to it. One
 * address has a few of them (32), since all that it asks is done by one thread, and what others ask waits behind it;
 * what it asks beyond that waits, up to 512 requests for each worker.
 */
const POOL = {
  maxConnections: 512,
  maxQueued: 8_192,
  queueTimeoutMs: 5_000,
  idleTimeoutMs: 4_000,
  maxAgeMs: 0,
  pingAfterMs: 0,
  pingTimeoutMs: 0,
  addressShare: 1 / 16,
};

function ownOptions(options: AuthSettings, freshFactorSeconds: number): AuthSettings {
  const { requirements } = options;
  return { ...options, forward: { kind: 'plain' }, requirements: { ...requirements, freshFactorSeconds } };
}

function stepUpSeconds(document: object): number {
  const { identity } = document as { readonly identity?: { readonly mfa?: { readonly stepUpTtl?: number } } };
  return (identity?.mfa?.stepUpTtl ?? 600_000) / 1_000;
}

/**
 * A service of this process. One that is being started anew refuses for a moment, so a connection is tried again once.
 */
export function compileBuiltinService(name: string, socketPath: string): UnslottedService {
  const instance: UnslottedInstance = {
    // The socket's name may change with the process; the instance is the same.
    id: name,
    url: `unix:${socketPath}`,
    protocol: 'http',
    host: 'localhost',
    port: 80,
    socketPath,
    basePath: '',
    weight: 1,
    zone: null,
    healthy: true,
    metadata: {},
  };
  const settings: Omit<ServiceSettings, 'slot' | 'instances'> = {
    name,
    balancer: { algorithm: 'round-robin', options: {} },
    // Who watches the health of a gateway that is well hears nothing for long.
    // Of thousands of subscribers that come back at once the last ones wait until they are accepted.
    timeouts: {
      connectMs: LONG_LIVED.has(name) ? 10_000 : 1_000,
      firstByteMs: 30_000,
      idleMs: name === OPS ? 0 : 60_000,
      totalMs: 0,
    },
    protocol: 'h1',
    pool: { ...POOL, ...(LONG_LIVED.has(name) ? { maxConnections: 1_000_000, addressShare: 0.75 } : {}) },
    requestBufferBytes: 64 * 1024,
    retries: {
      attempts: 1,
      faults: ['connect_failed', 'upstream_reset'],
      statuses: [],
      methods: ['GET', 'HEAD', 'OPTIONS'],
      perTryMs: 0,
      backoffBaseMs: 0,
      backoffMaxMs: 0,
      budgetRatio: 1,
      budgetMinPerSecond: 10,
      maxReplayBytes: 0,
    },
    tls: null,
    host: 'preserve',
    resilience: {
      breaker: null,
      ejection: null,
      concurrency: null,
      hedge: null,
      slowStartMs: 0,
      whenAllDown: 'try',
      sticky: null,
      zone: null,
      fallback: null,
    },
  };
  return { ...settings, instances: [instance] };
}
