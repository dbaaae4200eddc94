/** Kong's plugins on one route of ours. What protects and is not known here closes the route. */
import { type Draft, type DraftRoute, list, mapping, number, texts } from './draft.ts';

type Item = Readonly<Record<string, unknown>>;

export interface KongConsumers {
  /** As they stand in `auth.apiKey.keys`. */
  readonly keys: readonly object[];
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

export function readConsumers(draft: Draft, root: Item): KongConsumers {
  const keys: object[] = [];
  const limited = new Set(
    list(root['plugins'])
      .map((plugin) => String(mapping(plugin)['consumer'] ?? ''))
      .filter((name) => name !== ''),
  );
  for (const each of list(root['consumers']).map(mapping)) {
    const name = String(each['username'] ?? each['custom_id'] ?? each['id']);
    const source = `consumers/${name}`;
    if (list(each['plugins']).length > 0 || limited.has(name)) {
      draft.lost(
        source,
        'it has plugins of its own, which are not carried; so its keys are left out and it is refused',
      );
      continue;
    }
    const roles = list(each['acls']).map((acl) => String(mapping(acl)['group']));
    for (const credential of list(each['keyauth_credentials']).map(mapping)) {
      const key = String(credential['key'] ?? '');
      if (key.length < 16) {
        draft.lost(`${source}/keyauth_credentials`, 'the key is shorter than 16 characters; give it a new one');
        continue;
      }
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
      if (list(each[kind]).length > 0)
        draft.lost(`${source}/${kind}`, 'credentials of this kind are set up anew (docs/guide/authentication.md)');
    }
  }
  return { keys };
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
  if (plugin['consumer'] !== undefined) return; // said at the consumer
  const harmless = HARMLESS[name];
  if (harmless !== undefined) return draft.approximate(source, harmless);
  switch (name) {
    case 'key-auth':
      return keyAuth(draft, route, config, source, consumers);
    case 'acl': {
      const allow = texts(config['allow'] ?? config['whitelist']);
      if (allow.length === 0)
        return draft.close(route, source, 'groups that are denied have no counterpart; write auth.roles');
      route.auth = { ...authOf(route), roles: allow };
      return draft.exact(source);
    }
    case 'ip-restriction': {
      const allow = texts(config['allow'] ?? config['whitelist']);
      const deny = texts(config['deny'] ?? config['blacklist']);
      route['ipFilter'] = { ...(allow.length === 0 ? {} : { allow }), ...(deny.length === 0 ? {} : { deny }) };
      return draft.exact(source);
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
      return transformer(draft, route, config, source, 'request');
    case 'response-transformer':
      return transformer(draft, route, config, source, 'response');
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
  const limits = Object.entries(units).flatMap(([unit, window]) => {
    const limit = number(config[unit]);
    return limit === undefined ? [] : [{ limit, window, algorithm: 'fixed' }];
  });
  const by: Readonly<Record<string, string>> = { consumer: 'user', credential: 'user', ip: 'ip', service: 'service' };
  const who = String(config['limit_by'] ?? 'consumer');
  const key = who === 'header' ? `header:${String(config['header_name'])}` : by[who];
  if (limits.length === 0 || key === undefined)
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
): undefined {
  const pairs = (value: unknown): Record<string, string> =>
    Object.fromEntries(
      texts(mapping(value)['headers']).map((text) => {
        const colon = text.indexOf(':');
        return [text.slice(0, colon).trim(), text.slice(colon + 1).trim()];
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
  const others = Object.values(config).some((part) =>
    Object.keys(mapping(part)).some((key) => key !== 'headers' && list(mapping(part)[key]).length > 0),
  );
  const templated = Object.values(set).some((value) => value.includes('$('));
  if (templated) return draft.close(route, source, 'templates are written anew with placeholders (docs/guide/cors.md)');
  if (Object.keys(change).length > 0) {
    const headers = mapping(route['headers']);
    route['headers'] = { ...headers, [side]: change };
  }
  if (others) draft.lost(source, 'only header fields are carried; bodies and queries are not changed');
  else draft.approximate(source, 'add and replace became set');
}
