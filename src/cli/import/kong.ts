/**
 * Kong's declarative configuration (deck, `_format_version` 1.1 to 3.0): services, routes, upstreams, consumers, and
 * the plugins whose meaning we have. Plugins of the narrowest scope win, as in Kong: route, then service, then global.
 */

import { Draft, type DraftRoute, type FieldProblem, list, mapping, number, prefixPattern, texts } from './draft.ts';
import { applyKongPlugin, type KongConsumers, protects, readConsumers } from './kong-plugins.ts';
import { KongReferences } from './kong-references.ts';
import { beginningOf, caseless, literally, wholePath } from './regex.ts';

type Item = Readonly<Record<string, unknown>>;

interface Kong {
  readonly draft: Draft;
  readonly references: KongReferences;
  readonly consumers: KongConsumers;
  /** Before 3.0 a path with signs of expressions is one, without `~`. */
  readonly isOld: boolean;
  /** Of each route that was made, what Kong orders by before the length of the path. */
  readonly ranks: { readonly route: DraftRoute; readonly rank: readonly number[] }[];
}

export function importKong(document: unknown, fieldProblem: FieldProblem = () => undefined): Draft {
  const draft = new Draft();
  const root = mapping(document);
  if (root['services'] === undefined && root['routes'] === undefined)
    throw new Error('there are neither services nor routes in it');
  const references = new KongReferences(root);
  const consumers = readConsumers(draft, references, fieldProblem);
  const isOld = /^[12]\./.test(String(root['_format_version'] ?? ''));
  const kong: Kong = { draft, references, consumers, isOld, ranks: [] };
  for (const service of references.services) {
    const name = String(service['name'] ?? service['id'] ?? '');
    if (service['enabled'] === false) draft.exact(`services/${name} (turned off)`);
    else importService(kong, service);
  }
  for (const route of references.routesOf(null)) importRoute(kong, route, {}, null);
  const strays = references.strayRoutes();
  for (const route of strays)
    draft.lost(
      `routes/${String(route['name'] ?? route['id'])}`,
      'its service is not in the file; nothing of it answers',
    );
  for (const plugin of references.strayPlugins()) {
    const source = `plugins/${String(plugin['name'])}`;
    if (!protects(plugin)) draft.lost(source, 'what it belongs to is not in the file');
    else
      for (const route of draft.routes)
        if (route.service !== undefined)
          draft.close(route, source, 'what it protects is not in the file, so it may be this');
  }
  for (const key of [
    'certificates',
    'snis',
    'ca_certificates',
    'vaults',
    'consumer_groups',
    'partials',
    'keys',
    'key_sets',
  ])
    if (list(root[key]).length > 0) draft.lost(key, 'write it by hand: certificates under gateway.listeners');
  orderAsKong(kong);
  draft.settle();
  return draft;
}

/** More than the lengths of paths. */
const PER_RANK = 1_000;

/**
 * Kong asks first how many conditions a route has, then the number of its header fields, exact hosts, expressions,
 * `regex_priority`; only then the length of the path, as our patterns do by themselves.
 */
function orderAsKong({ draft, ranks }: Kong): void {
  const compare = (a: readonly number[], b: readonly number[]): number => {
    for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
    return 0;
  };
  const sorted = ranks.map(({ rank }) => rank).sort(compare);
  const different = sorted.filter((rank, index) => index === 0 || compare(rank, sorted[index - 1]!) !== 0);
  const orders = new Map(different.map((rank, index) => [String(rank), index * PER_RANK]));
  for (const { route, rank } of ranks) {
    const order = Math.min(orders.get(String(rank)) ?? 0, 900_000);
    if (order > 0) route.priority = (route.priority ?? 0) + order;
  }
  if (different.length > 1) draft.approximate('routes', "Kong's order of routes became priorities");
}

function importService(kong: Kong, service: Item): undefined {
  const { draft, references } = kong;
  const routes = references.routesOf(service);
  const name = String(service['name'] ?? service['host'] ?? service['id'] ?? 'service');
  const source = `services/${name}`;
  const address = addressOf(service);
  const { protocol, host, port, path } = address ?? { protocol: 'http', host: '', port: 0, path: '' };
  const upstream = references.upstream(host);
  const isHttp = address !== null && ['http', 'https'].includes(protocol);
  if (!isHttp)
    draft.lost(source, 'only services over HTTP with an address of their own are carried; its routes answer 501');
  for (const key of ['client_certificate', 'ca_certificates', 'tls_verify'])
    if (service[key] !== undefined && service[key] !== null && list(service[key]).length > 0)
      draft.lost(`${source}/${key}`, 'write it under services.NAME.tls');
  const base = {
    instances:
      upstream === undefined
        ? [{ url: `${protocol}://${host}:${port}${path}` }]
        : targetsOf(references, upstream, protocol, path),
    timeouts: {
      connect: number(service['connect_timeout']) ?? 60_000,
      firstByte: number(service['read_timeout']) ?? 60_000,
    },
    retries: Math.min(number(service['retries']) ?? 5, 10),
    ...(upstream === undefined ? {} : upstreamOptions(draft, upstream)),
  };
  for (const preserve of [false, true]) {
    const own = routes.filter((route) => (route['preserve_host'] === true) === preserve);
    if (own.length === 0) continue;
    const key = draft.serviceName(preserve && own.length < routes.length ? `${name}-host` : name);
    if (isHttp) draft.services[key] = { ...base, host: preserve ? 'preserve' : 'instance' };
    for (const route of own) importRoute(kong, route, service, isHttp ? key : null);
  }
  draft.approximate(
    source,
    'timeouts between two bytes, and which faults are tried again, are ours; see docs/guide/timeouts.md',
  );
}

/** Null where it has none that can be read. */
function addressOf(service: Item): { protocol: string; host: string; port: number; path: string } | null {
  const written = service['url'];
  const url = written === undefined || written === null ? null : URL.parse(String(written));
  if (url === null && typeof written === 'string') return null;
  const protocol = url?.protocol.replace(':', '') ?? String(service['protocol'] ?? 'http');
  const port = url === null ? number(service['port']) : number(url.port || undefined);
  const path = url === null ? String(service['path'] ?? '') : url.pathname;
  const host = url?.hostname ?? String(service['host'] ?? '');
  return {
    protocol,
    host: host.includes(':') && !host.startsWith('[') ? `[${host}]` : host,
    port: port ?? (protocol === 'https' ? 443 : 80),
    path: path === '/' ? '' : path.replace(/\/+$/, ''),
  };
}

function targetsOf(references: KongReferences, upstream: Item, protocol: string, path: string): object[] {
  return references.targetsOf(upstream).map(({ target, weight }) => {
    const address = /^(\[.*\]|[^:]+):\d+$/.test(String(target)) ? String(target) : `${target}:8000`;
    return { url: `${protocol}://${address}${path}`, weight: number(weight) ?? 100 };
  });
}

function upstreamOptions(draft: Draft, upstream: Item): object {
  const source = `upstreams/${String(upstream['name'])}`;
  const algorithm = String(upstream['algorithm'] ?? 'round-robin');
  const ours: Readonly<Record<string, string>> = {
    'round-robin': 'weighted-round-robin',
    'least-connections': 'least-connections',
  };
  if (ours[algorithm] === undefined)
    draft.approximate(
      `${source}/algorithm`,
      `${algorithm} became weighted-round-robin; docs/guide/load-balancing.md has others`,
    );
  else draft.exact(source);
  const active = mapping(mapping(upstream['healthchecks'])['active']);
  const healthy = mapping(active['healthy']);
  const unhealthy = mapping(active['unhealthy']);
  const interval = number(healthy['interval']) ?? 0;
  if (Object.keys(mapping(mapping(upstream['healthchecks'])['passive'])).length > 0)
    draft.approximate(
      `${source}/healthchecks/passive`,
      'ejection is on by default with rules of its own (docs/guide/resilience.md)',
    );
  return {
    loadBalancing: { algorithm: ours[algorithm] ?? 'weighted-round-robin' },
    ...(interval <= 0
      ? {}
      : {
          healthCheck: {
            path: String(active['http_path'] ?? '/'),
            interval: `${interval}s`,
            healthyThreshold: Math.max(1, number(healthy['successes']) ?? 1),
            unhealthyThreshold: Math.max(1, number(unhealthy['http_failures']) ?? 1),
          },
        }),
  };
}

function importRoute(kong: Kong, route: Item, service: Item, key: string | null): undefined {
  const { draft, references, consumers } = kong;
  const name = String(route['name'] ?? route['id'] ?? `${String(service['name'] ?? '')}-route`);
  const source = `routes/${name}`;
  const { plugins, problem } = references.pluginsOf(route, service);
  const isGuarded = problem !== undefined || plugins.some(protects);
  const paths = texts(route['paths'] ?? '/');
  if (route['expression'] !== undefined && route['expression'] !== null) {
    draft.lost(source, 'a route that is an expression is written anew; other routes take its requests');
    if (isGuarded) draft.closeWider('/', source);
    return;
  }
  for (const path of paths) {
    const match = matchOf(kong, route, path, source);
    const expression = expressionOf(path, kong.isOld);
    if (match === null) {
      // Its requests would be taken by other routes, without what guarded it.
      if (isGuarded) draft.closeWider(expression === null ? path : beginningOf(expression), source);
      continue;
    }
    const draftRoute: DraftRoute = { name: draft.routeName(paths.length > 1 ? `${name}${path}` : name), match };
    if (key !== null) draftRoute.service = key;
    else if (service['name'] === undefined && service['id'] === undefined && service['host'] === undefined)
      draftRoute.respond = { status: 404 };
    else draftRoute.respond = { status: 501, body: 'Not carried over: its service\n' };
    if (key !== null && route['strip_path'] !== false && path !== '/') {
      if (expression !== null)
        draft.approximate(`${source}/strip_path`, 'a path that a regular expression matches is sent on whole');
      else draftRoute['rewrite'] = { stripPrefix: path.replace(/\/+$/, '') };
    }
    draftRoute.auth = 'public';
    draft.routes.push(draftRoute);
    kong.ranks.push({ route: draftRoute, rank: rankOf(route, path, expression !== null) });
    if (problem !== undefined) draft.close(draftRoute, `${source}/plugins`, problem);
    for (const plugin of plugins)
      if (!draft.isClosed(draftRoute)) applyKongPlugin(draft, draftRoute, plugin, source, consumers);
    if (expression === null)
      draft.prefix({
        route: draftRoute,
        text: path,
        source: `${source}${path}`,
        group: 'kong',
        order: Math.min(path.length, PER_RANK - 1),
      });
    if (expression === null && path !== '/' && !path.endsWith('/'))
      draft.approximate(`${source}${path}`, `Kong also takes ${path}x; here a prefix ends at a slash`);
    else draft.exact(`${source}${path}`);
  }
}

/** Null for a prefix. */
function expressionOf(path: string, isOld: boolean): string | null {
  if (path.startsWith('~')) return path.slice(1);
  return isOld && !/^[\w.~/%-]*$/.test(path) ? path : null;
}

function rankOf(route: Item, path: string, isExpression: boolean): number[] {
  const hosts = texts(route['hosts']);
  const fields = Object.keys(mapping(route['headers'])).length;
  const has = [hosts.length, fields, list(route['methods']).length, 1].filter((count) => count > 0).length;
  const isExact = hosts.length > 0 && hosts.every((host) => !host.includes('*'));
  return [
    has,
    fields,
    (isExact ? 2 : 0) + (isExpression ? 1 : 0),
    isExpression ? (number(route['regex_priority']) ?? 0) : 0,
    isExpression ? path.length : 0,
  ];
}

function matchOf({ draft, isOld }: Kong, route: Item, path: string, source: string): Record<string, unknown> | null {
  const match: Record<string, unknown> = {};
  const expression = expressionOf(path, isOld);
  if (expression !== null) {
    const whole = wholePath(expression, { isSearched: false, isCaseless: false });
    if ('problem' in whole) {
      draft.lost(
        `${source}${path}`,
        `the expression is not taken here: ${whole.problem}; other routes take its requests`,
      );
      return null;
    }
    match['path'] = whole;
  } else match['path'] = prefixPattern(path);
  const hosts = texts(route['hosts']);
  const known = hosts.filter((host) => !host.endsWith('.*') && !host.includes(':'));
  if (known.length < hosts.length) {
    draft.lost(
      `${source}/hosts`,
      'hosts that end in .* or have a port are not matched; other routes take their requests',
    );
    if (known.length === 0) return null;
  }
  if (known.length > 0) match['hosts'] = known;
  const methods = texts(route['methods']);
  if (methods.length > 0) match['methods'] = methods;
  const headers = Object.entries(mapping(route['headers']));
  if (headers.length > 0) {
    match['headers'] = Object.fromEntries(
      headers.map(([field, values]) => {
        // Kong compares values without case; `~*` begins an expression.
        const all = texts(values).map((text) => caseless(text.startsWith('~*') ? text.slice(2) : literally(text)));
        return [field, { regex: all.length === 1 ? all[0] : `(?:${all.join('|')})` }];
      }),
    );
  }
  const protocols = texts(route['protocols']);
  if (protocols.length > 0 && !protocols.some((each) => each === 'http' || each === 'https')) {
    draft.lost(`${source}/protocols`, `${protocols.join(', ')} is not carried; other routes take its requests`);
    return null;
  }
  if (protocols.length > 0 && !protocols.includes('http')) {
    match['scheme'] = 'https';
    draft.approximate(`${source}/protocols`, 'over http Kong answers 426, here nothing matches (404)');
  }
  if (list(route['snis']).length + list(route['sources']).length + list(route['destinations']).length > 0) {
    draft.lost(`${source}/snis`, 'conditions on SNI and addresses are not carried; other routes take its requests');
    return null;
  }
  return match;
}
