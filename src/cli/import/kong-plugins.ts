/** Kong's plugins on one route of ours. What protects and is not known here closes the route. */
import { type Draft, type DraftRoute, type FieldProblem, list, mapping, number, texts } from './draft.ts';
import type { KongReferences } from './kong-references.ts';

type Item = Readonly<Record<string, unknown>>;

export interface KongConsumers {
  /** As they stand in `auth.apiKey.keys`. */
  readonly keys: readonly object[];
  readonly fieldProblem: FieldProblem;
}

/** They protect nothing, and what they do is there without them, or elsewhere. */
const HARMLESS: Readonly<Record<string, string>> = {
  prometheus: 'metrics are at /metrics, with other names',
  'correlation-id': 'every request has X-Request-ID',
  'file-log': 'the access log is gateway.accessLog',
  'http-log': 'the access log is gateway.accessLog',
  'tcp-log': 'the access log is gateway.accessLog',
  'udp-log': 'the access log is gateway.accessLog',
  syslog: 'the access log is gateway.accessLog',
  'bot-detection': 'user agents are not looked at; a route with match.headers can refuse some',
  zipkin: 'tracing is set up anew',
  opentelemetry: 'tracing is set up anew',
  datadog: 'metrics are at /metrics',
  statsd: 'metrics are at /metrics',
};

/** Whether a route without this plugin is less guarded. */
export function protects(plugin: Item): boolean {
  const name = String(plugin['name']);
  return (
    HARMLESS[name] === undefined &&
    !['cors', 'proxy-cache', 'response-transformer', 'request-transformer'].includes(name)
  );
}

export function readConsumers(draft: Draft, references: KongReferences, fieldProblem: FieldProblem): KongConsumers {
  const keys: object[] = [];
  const known = new Set<string>();
  for (const each of references.consumers) {
    const name = String(each['username'] ?? each['custom_id'] ?? each['id']);
    const source = `consumers/${name}`;
    if (references.hasOwnPlugins(each)) {
      draft.lost(
        source,
        'it, or a group of it, has plugins of its own, which are not carried; so its keys are left out and it is refused',
      );
      continue;
    }
    const roles = references.credentialsOf(each, 'acls').map(({ group }) => String(group));
    for (const credential of references.credentialsOf(each, 'keyauth_credentials')) {
      const key = String(credential['key'] ?? '');
      const problem = keyProblem(key, known.has(key));
      if (problem !== undefined) {
        draft.lost(`${source}/keyauth_credentials`, problem);
        continue;
      }
      known.add(key);
      keys.push({
        key: draft.secret(`KONG_KEY_${name}`, key),
        subject: name,
        ...(roles.length === 0 ? {} : { roles }),
      });
      draft.exact(`${source}/keyauth_credentials`);
    }
    for (const kind of [
      'basicauth_credentials',
      'jwt_secrets',
      'hmacauth_credentials',
      'oauth2_credentials',
      'mtls_auth_credentials',
    ]) {
      if (references.credentialsOf(each, kind).length > 0)
        draft.lost(`${source}/${kind}`, 'credentials of this kind are set up anew (docs/guide/authentication.md)');
    }
  }
  return { keys, fieldProblem };
}

function keyProblem(key: string, isKnown: boolean): string | undefined {
  // As a key it would be one that everybody can read in the documentation.
  if (/^\{vault:\/\/|\$\{/.test(key)) return 'the key is a reference to somewhere else; write it as a variable by hand';
  if (isKnown) return 'another consumer has the same key';
  return key.length < 16 ? 'the key is shorter than 16 characters; give it a new one' : undefined;
}

export function applyKongPlugin(
  draft: Draft,
  route: DraftRoute,
  plugin: Item,
  where: string,
  consumers: KongConsumers,
): undefined {
  const name = String(plugin['name']);
  const source = `${where}/plugins/${name}`;
  const config = mapping(plugin['config']);
  const harmless = HARMLESS[name];
  if (harmless !== undefined) return draft.approximate(source, harmless);
  switch (name) {
    case 'key-auth':
      return keyAuth(draft, route, config, source, consumers);
    case 'acl': {
      const allow = texts(config['allow'] ?? config['whitelist']);
      if (allow.length === 0 || texts(config['deny'] ?? config['blacklist']).length > 0)
        return draft.close(route, source, 'groups that are denied have no counterpart; write auth.roles');
      if (config['always_use_authenticated_groups'] === true)
        return draft.close(route, source, 'groups that are not those of consumers are written anew (auth.roles)');
      route.auth = { ...authOf(route), roles: allow };
      return draft.exact(source);
    }
    case 'ip-restriction': {
      const allow = texts(config['allow'] ?? config['whitelist']);
      const deny = texts(config['deny'] ?? config['blacklist']);
      if (allow.length + deny.length === 0)
        return draft.close(route, source, 'its addresses are not in the file (ipFilter)');
      route['ipFilter'] = { ...(allow.length === 0 ? {} : { allow }), ...(deny.length === 0 ? {} : { deny }) };
      return draft.approximate(
        source,
        'by the address that connects; what trusted_ips was in kong.conf is gateway.trustProxy here',
      );
    }
    case 'rate-limiting':
      return rateLimit(draft, route, config, source);
    case 'request-size-limiting': {
      const unit: Readonly<Record<string, string>> = { megabytes: 'mb', kilobytes: 'kb', bytes: 'b' };
      const size = number(config['allowed_payload_size']) ?? 128;
      route['maxRequestSize'] = `${size}${unit[String(config['size_unit'] ?? 'megabytes')] ?? 'mb'}`;
      return draft.exact(source);
    }
    case 'cors':
      return cors(draft, route, config, source);
    case 'request-transformer':
      return transformer(draft, route, config, source, 'request', consumers.fieldProblem);
    case 'response-transformer':
      return transformer(draft, route, config, source, 'response', consumers.fieldProblem);
    case 'proxy-cache':
      route['cache'] = {};
      return draft.approximate(
        source,
        'responses are stored by what they say themselves (RFC 9111); docs/guide/caching.md',
      );
    case 'request-termination': {
      const status = number(config['status_code']) ?? 503;
      const body = config['body'] ?? JSON.stringify({ message: config['message'] ?? 'Service unavailable' });
      delete route.service;
      delete route['rewrite'];
      route.respond = {
        status,
        body: String(body),
        headers: { 'Content-Type': String(config['content_type'] ?? 'application/json') },
      };
      return draft.exact(source);
    }
    default:
      // It may protect something; this importer cannot know.
      return draft.close(route, source, 'this plugin is not known here');
  }
}

function authOf(route: DraftRoute): Record<string, unknown> {
  return route.auth === 'public' ? {} : { ...(route.auth as Record<string, unknown>) };
}

function keyAuth(draft: Draft, route: DraftRoute, config: Item, source: string, { keys }: KongConsumers): undefined {
  const names = texts(config['key_names'] ?? 'apikey');
  if (config['anonymous'] !== undefined && config['anonymous'] !== null && config['anonymous'] !== '')
    return draft.close(route, source, 'an anonymous consumer is auth.optional, which every service must be ready for');
  if (keys.length === 0) return draft.close(route, source, 'no consumer has a key that could be carried');
  route.auth = {
    ...authOf(route),
    apiKey: { header: names[0], ...(config['key_in_query'] === false ? {} : { query: names[0] }), keys },
    ...(config['hide_credentials'] === true ? { hideCredentials: true } : {}),
  };
  if (names.length > 1) draft.approximate(source, `only the name ${names[0]} is read`);
  else draft.approximate(source, 'the service gets X-Auth-Subject instead of X-Consumer-Username');
}

function rateLimit(draft: Draft, route: DraftRoute, config: Item, source: string): undefined {
  const units = { second: '1s', minute: '1m', hour: '1h', day: '1d' };
  const isLong = ['month', 'year'].some((unit) => (number(config[unit]) ?? 0) > 0);
  const limits = Object.entries(units).flatMap(([unit, window]) => {
    const limit = number(config[unit]);
    return limit === undefined || limit <= 0 ? [] : [{ limit, window, algorithm: 'fixed' }];
  });
  const by: Readonly<Record<string, string>> = { consumer: 'user', credential: 'user', ip: 'ip', service: 'all' };
  const who = String(config['limit_by'] ?? 'consumer');
  const key = who === 'header' ? `header:${String(config['header_name'])}` : by[who];
  if (limits.length === 0 || isLong || key === undefined)
    return draft.close(
      route,
      source,
      `limits by ${who}, or for months and years, have no counterpart; write rateLimit`,
    );
  route['rateLimit'] = { by: key, limits };
  draft.approximate(source, 'counted over all workers of this machine; stores.redis shares it with others');
}

function cors(draft: Draft, route: DraftRoute, config: Item, source: string): undefined {
  const origins = texts(config['origins'] ?? '*');
  const isAll = origins.includes('*');
  if (isAll && config['credentials'] === true)
    return draft.lost(source, 'all origins with credentials would let every page act as its visitor; name the origins');
  if (!origins.every((origin) => origin === '*' || /^https?:\/\/[a-z0-9.-]+(:\d+)?$/.test(origin)))
    return draft.lost(source, 'origins that are expressions are written by name, or as https://*.example.com');
  const seconds = number(config['max_age']);
  route['cors'] = {
    origins: isAll ? '*' : origins,
    ...(list(config['methods']).length === 0 ? {} : { methods: texts(config['methods']) }),
    ...(list(config['headers']).length === 0 ? {} : { headers: texts(config['headers']) }),
    ...(list(config['exposed_headers']).length === 0 ? {} : { exposedHeaders: texts(config['exposed_headers']) }),
    ...(config['credentials'] === true ? { credentials: true } : {}),
    ...(seconds === undefined ? {} : { maxAge: `${seconds}s` }),
  };
  draft.exact(source);
}

function transformer(
  draft: Draft,
  route: DraftRoute,
  config: Item,
  source: string,
  side: 'request' | 'response',
  fieldProblem: FieldProblem,
): undefined {
  const pairs = (value: unknown): Record<string, string> =>
    Object.fromEntries(
      texts(mapping(value)['headers']).map((text) => {
        const colon = text.indexOf(':');
        return [
          text.slice(0, colon).trim(),
          text
            .slice(colon + 1)
            .trim()
            .replace(/[{}]/g, '$&$&'),
        ];
      }),
    );
  const change: Record<string, unknown> = {};
  const rename = pairs(config['rename']);
  const remove = texts(mapping(config['remove'])['headers']);
  const set = { ...pairs(config['add']), ...pairs(config['replace']) };
  const add = pairs(config['append']);
  if (Object.keys(rename).length > 0) change['rename'] = rename;
  if (remove.length > 0) change['remove'] = remove;
  if (Object.keys(set).length > 0) change['set'] = set;
  if (Object.keys(add).length > 0) change['add'] = add;
  const values = { ...set, ...add };
  if (Object.values(values).some((value) => value.includes('$(')))
    return draft.close(route, source, 'templates are written anew with placeholders (docs/guide/cors.md)');
  const others = Object.entries(config).flatMap(([action, part]) =>
    typeof part === 'object'
      ? Object.entries(mapping(part)).flatMap(([key, value]) =>
          key !== 'headers' && list(value).length > 0 ? [`${action}.${key}`] : [],
        )
      : part === '' || action === 'dots_in_keys'
        ? []
        : [action],
  );
  // Where a request goes, and what is taken out of a body or a query, may be what protects.
  const taken = others.find((each) => /^(?:remove|rename|replace|allow|http_method)\b/.test(each));
  if (taken !== undefined) return draft.close(route, source, `${taken} is written anew (transform, rewrite)`);
  const unusable = [
    ...remove.map((name) => [name, 'x'] as const),
    ...Object.entries(rename),
    ...Object.entries(values),
  ].find(([name, value]) => fieldProblem(side, name, value) !== undefined);
  if (unusable !== undefined)
    return draft.close(
      route,
      source,
      `the field ${unusable[0]} is the gateway's own, or has a value that it does not take`,
    );
  if (Object.keys(change).length > 0) {
    const headers = mapping(route['headers']);
    route['headers'] = { ...headers, [side]: change };
  }
  if (others.length > 0) draft.lost(source, 'only header fields are carried; bodies and queries are not changed');
  else draft.approximate(source, 'add and replace became set');
}
