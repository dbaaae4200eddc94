/**
 * KrakenD 2 and 3: endpoints with one backend, JWT validation, rate limits, breakers, CORS. Enterprise keys that the
 * free edition ignores are reported as what they are: gaps that were there before.
 */
import { Draft, type DraftRoute, list, mapping, number, texts } from './draft.ts';

type Item = Readonly<Record<string, unknown>>;

/** The free edition reads over these without a word. */
const ENTERPRISE = [
  'auth/api-keys',
  'auth/basic',
  'security/policies',
  'qos/ratelimit/tiered',
  'auth/revoker',
  'validation/response-json-schema',
  'security/ip-filter',
  'plugin/req-resp-modifier',
];
const HARMLESS = ['telemetry/', 'documentation/', 'proxy', 'router', 'qos/http-cache', 'backend/http/client'];

export function importKrakend(document: unknown): Draft {
  const draft = new Draft();
  const root = mapping(document);
  const port = number(root['port']);
  if (port !== undefined) draft.gateway['port'] = port;
  if (!Array.isArray(root['endpoints'])) throw new Error('there are no endpoints in it');
  for (const endpoint of root['endpoints'])
    if (typeof mapping(endpoint)['endpoint'] !== 'string') throw new Error('an endpoint has no path (endpoint)');
  const guard = rootConfig(draft, mapping(root['extra_config'])) ?? tlsOf(draft, root);
  for (const endpoint of list(root['endpoints']).map(mapping)) {
    const route = importEndpoint(draft, endpoint, root);
    if (guard !== undefined && !draft.isClosed(route)) draft.close(route, guard.source, guard.note);
  }
  return draft;
}

/** What protects every endpoint and cannot be carried. */
interface Guard {
  readonly source: string;
  readonly note: string;
}

function tlsOf(draft: Draft, root: Item): Guard | undefined {
  const tls = mapping(root['tls']);
  if (Object.keys(tls).length === 0 || tls['disabled'] === true) return undefined;
  if (tls['enable_mtls'] === true)
    return {
      source: 'tls/enable_mtls',
      note: 'certificates of clients are asked for by gateway.listeners (docs/guide/tls.md)',
    };
  draft.lost('tls', 'write gateway.listeners with tls (docs/guide/tls.md); until then it listens without');
  return undefined;
}

function rootConfig(draft: Draft, extra: Item): Guard | undefined {
  let guard: Guard | undefined;
  for (const [key, value] of Object.entries(extra)) {
    const config = mapping(value);
    if (key === 'security/cors') {
      const origins = texts(config['allow_origins'] ?? '*');
      if (origins.includes('*') && config['allow_credentials'] === true) {
        draft.lost(
          `extra_config/${key}`,
          'all origins with credentials would let every page act as its visitor; name the origins',
        );
        continue;
      }
      draft.gateway['cors'] = {
        origins: origins.includes('*') ? '*' : origins,
        ...(list(config['allow_methods']).length === 0 ? {} : { methods: texts(config['allow_methods']) }),
        ...(list(config['allow_headers']).length === 0 ? {} : { headers: texts(config['allow_headers']) }),
        ...(config['allow_credentials'] === true ? { credentials: true } : {}),
      };
      draft.exact(`extra_config/${key}`);
    } else if (key === 'security/http') {
      draft.gateway['securityHeaders'] = {};
      draft.approximate(`extra_config/${key}`, 'securityHeaders has its own values; compare them');
    } else if (HARMLESS.some((prefix) => key.startsWith(prefix)))
      draft.approximate(`extra_config/${key}`, 'metrics, logs and documentation are set up anew');
    else guard ??= { source: `extra_config/${key}`, note: 'it may protect every endpoint, and is not known here' };
  }
  return guard;
}

function importEndpoint(draft: Draft, endpoint: Item, root: Item): DraftRoute {
  const path = String(endpoint['endpoint']);
  const method = String(endpoint['method'] ?? 'GET').toUpperCase();
  const source = `endpoints/${method} ${path}`;
  const route: DraftRoute = {
    name: draft.routeName(`${method} ${path}`),
    match: { path: patternOf(path), methods: [method] },
    auth: 'public',
  };
  draft.routes.push(route);
  actOf(draft, route, endpoint, root, source);
  return route;
}

function actOf(draft: Draft, route: DraftRoute, endpoint: Item, root: Item, source: string): undefined {
  const path = String(endpoint['endpoint']);
  const method = String(endpoint['method'] ?? 'GET').toUpperCase();
  const backends = list(endpoint['backend']).map(mapping);
  const [backend] = backends;
  if (backend === undefined || backends.length > 1)
    return draft.close(
      route,
      source,
      'several backends in one answer are written anew as aggregate (docs/guide/aggregation.md)',
    );
  for (const key of ['allow', 'deny', 'mapping', 'target', 'group', 'is_collection']) {
    const value = backend[key];
    if (
      value === undefined ||
      value === false ||
      value === '' ||
      (typeof value === 'object' && Object.keys(value ?? {}).length === 0)
    )
      continue;
    return draft.close(
      route,
      `${source}/backend/${key}`,
      'answers that are changed, or whose fields are hidden, are written anew (transform)',
    );
  }
  const hosts = texts(backend['host'] ?? root['host']);
  const discovery = String(backend['sd'] ?? 'static');
  if (discovery !== 'static' && discovery !== '')
    return draft.close(
      route,
      `${source}/backend/sd`,
      `instances found by ${discovery} are written anew (docs/guide/discovery.md)`,
    );
  if (hosts.length === 0 || hosts.some((host) => !URL.canParse(host.includes('://') ? host : `http://${host}`)))
    return draft.close(route, `${source}/backend/host`, 'there is no address of a service');
  const timeout = String(endpoint['timeout'] ?? root['timeout'] ?? '2s');
  const extra = mapping(backend['extra_config']);
  const breaker = mapping(extra['qos/circuit-breaker']);
  const options: Record<string, unknown> = {
    instances: hosts.map((host) => ({ url: host.includes('://') ? host : `http://${host}` })),
    timeouts: { firstByte: timeout, total: timeout },
    host: 'instance',
    ...(Object.keys(breaker).length === 0
      ? {}
      : {
          circuitBreaker: {
            resetTimeout: `${number(breaker['timeout']) ?? 10}s`,
            rollingCountTimeout: `${number(breaker['interval']) ?? 60}s`,
            volumeThreshold: number(breaker['max_errors']) ?? 1,
          },
        }),
  };
  if (Object.keys(breaker).length > 0)
    draft.approximate(`${source}/backend/qos/circuit-breaker`, 'it opens on a share of errors, not on a count');
  route.service = draft.serviceFor(
    new URL(String((options['instances'] as { url: string }[])[0]?.url)).hostname,
    options,
  );
  const target = patternOf(String(backend['url_pattern'] ?? path));
  if (target !== patternOf(path)) route['rewrite'] = { path: target };
  const backendMethod = String(backend['method'] ?? method).toUpperCase();
  if (backendMethod !== method)
    return draft.close(route, `${source}/backend/method`, 'the method of a request is not changed here');
  for (const [key, value] of Object.entries(mapping(endpoint['extra_config'])))
    if (!draft.isClosed(route)) endpointConfig(draft, route, key, mapping(value), source);
  for (const key of Object.keys(extra))
    if (key !== 'qos/circuit-breaker' && !draft.isClosed(route))
      endpointConfig(draft, route, key, mapping(extra[key]), `${source}/backend`);
  if (!draft.isClosed(route))
    draft.approximate(source, 'all header fields and the whole query are sent on; KrakenD sends those that are listed');
}

function patternOf(path: string): string {
  return path.replace(/\{([^}]+)\}/g, (_, name: string) => `:${name.replace(/[^A-Za-z0-9_]/g, '_')}`);
}

function endpointConfig(draft: Draft, route: DraftRoute, key: string, config: Item, where: string): undefined {
  const source = `${where}/${key}`;
  if (ENTERPRISE.includes(key))
    return draft.close(route, source, 'the free edition ignores this key, so nothing was protected by it so far');
  if (key === 'proxy' && ['flatmap_filter', 'static'].some((part) => config[part] !== undefined))
    return draft.close(
      route,
      source,
      'answers that are changed, or whose fields are hidden, are written anew (transform)',
    );
  if (HARMLESS.some((prefix) => key.startsWith(prefix))) return draft.approximate(source, 'it is set up anew');
  if (key === 'qos/ratelimit/router') {
    const window = String(config['every'] ?? '1s');
    const limits: object[] = [];
    const all = number(config['max_rate']) ?? 0;
    const each = number(config['client_max_rate']) ?? 0;
    if (all > 0) limits.push({ by: 'all', limits: [{ limit: Math.ceil(all), window }] });
    const strategy = String(config['strategy'] ?? 'ip');
    if (each > 0)
      limits.push({
        by: strategy === 'header' ? `header:${String(config['key'])}` : 'ip',
        limits: [{ limit: Math.ceil(each), window }],
      });
    if (limits.length === 0) return draft.exact(source);
    route['rateLimit'] = limits;
    return draft.approximate(source, 'refused with 429 where KrakenD answers 503 for all together');
  }
  if (key !== 'auth/validator') return draft.close(route, source, 'it is not known here');
  const { issuer, jwk_url: jwks, audience } = config;
  if (issuer === undefined || jwks === undefined || list(audience).length === 0)
    return draft.close(
      route,
      source,
      'tokens are taken by issuer, keys and audience; one of them is not said (issuers)',
    );
  if (texts(config['scopes']).length > 1 && config['scopes_matcher'] !== 'all')
    return draft.close(route, source, 'one of several scopes is written as authorize');
  const claims = list(config['propagate_claims']);
  if (claims.length > 0)
    return draft.close(
      route,
      `${source}/propagate_claims`,
      'the service believes fields that clients could now send themselves; write headers.request.set with {auth.CLAIM}',
    );
  for (const [key, ours] of Object.entries({ roles_key: 'roles', scopes_key: 'scope' }))
    if (config[`${key}_is_nested`] === true || (key === 'scopes_key' && (config[key] ?? ours) !== ours))
      return draft.close(route, `${source}/${key}`, 'where tokens have it is said at the issuer (issuers.NAME.claims)');
  const wanted = {
    issuer,
    jwks,
    audience: texts(audience),
    ...(config['alg'] === undefined ? {} : { algorithms: [config['alg']] }),
    ...(config['roles_key'] === undefined || config['roles_key'] === 'roles'
      ? {}
      : { claims: { roles: config['roles_key'] } }),
  };
  const base =
    String(issuer)
      .replace(/^https?:\/\//, '')
      .replace(/[^A-Za-z0-9]+/g, '-')
      .replace(/^-|-$/g, '')
      .toLowerCase() || 'issuer';
  // Endpoints that ask for other audiences or keys of the same issuer have one of their own.
  let name = base;
  for (let i = 2; name in draft.issuers && JSON.stringify(draft.issuers[name]) !== JSON.stringify(wanted); i++)
    name = `${base}-${i}`;
  draft.issuers[name] = wanted;
  const roles = texts(config['roles']);
  const scopes = texts(config['scopes']);
  route.auth = {
    jwt: { issuers: [name] },
    ...(roles.length === 0 ? {} : { roles }),
    ...(scopes.length === 0 ? {} : { scopes }),
  };
  draft.exact(source);
}
