/**
 * Kong's declarative configuration (deck, `_format_version` 1.1 to 3.0): services, routes, upstreams, consumers, and
 * the plugins whose meaning we have. Plugins of the narrowest scope win, as in Kong: route, then service, then global.
 */

import { literalPrefix } from '../../base/safe-regex.ts';
import { Draft, type DraftRoute, list, mapping, number, prefixPattern, texts } from './draft.ts';
import { applyKongPlugin, type KongConsumers, protects, readConsumers } from './kong-plugins.ts';
import { regexProblem } from './regex.ts';

type Item = Readonly<Record<string, unknown>>;

export function importKong(document: unknown): Draft {
  const draft = new Draft();
  const root = mapping(document);
  const upstreams = new Map(list(root['upstreams']).map((each) => [String(mapping(each)['name']), mapping(each)]));
  const consumers = readConsumers(draft, root);
  const global = list(root['plugins']).map(mapping);
  const services = list(root['services']).map(mapping);
  const loose = list(root['routes']).map(mapping);
  for (const service of services) {
    const own = loose.filter((route) => serviceOf(route) === String(service['name']));
    const routes = [...list(service['routes']).map(mapping), ...own];
    importService(draft, service, routes, upstreams, global, consumers);
  }
  for (const route of loose) {
    if (serviceOf(route) !== '') continue;
    importRoute(draft, route, {}, null, global, consumers);
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
  ]) {
    if (list(root[key]).length > 0) draft.lost(key, 'write it by hand: certificates under gateway.listeners');
  }
  draft.settle();
  return draft;
}

function serviceOf(route: Item): string {
  const { service } = route;
  return String(typeof service === 'object' ? (mapping(service)['name'] ?? '') : (service ?? ''));
}

function importService(
  draft: Draft,
  service: Item,
  routes: readonly Item[],
  upstreams: ReadonlyMap<string, Item>,
  global: readonly Item[],
  consumers: KongConsumers,
): undefined {
  const name = String(service['name'] ?? service['host'] ?? 'service');
  const { protocol, host, port, path } = addressOf(service);
  const source = `services/${name}`;
  const upstream = upstreams.get(host);
  if (!['http', 'https'].includes(protocol))
    draft.lost(source, `the protocol ${protocol} needs a service with protocol: grpc or another way`);
  const base = {
    instances:
      upstream === undefined ? [{ url: `${protocol}://${host}:${port}${path}` }] : targetsOf(upstream, protocol, path),
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
    draft.services[key] = { ...base, host: preserve ? 'preserve' : 'instance' };
    for (const route of own) importRoute(draft, route, service, key, global, consumers);
  }
  draft.approximate(
    source,
    'timeouts between two bytes, and which faults are tried again, are ours; see docs/guide/timeouts.md',
  );
}

function addressOf(service: Item): { protocol: string; host: string; port: number; path: string } {
  const url = service['url'] === undefined ? null : new URL(String(service['url']));
  const protocol = url?.protocol.replace(':', '') ?? String(service['protocol'] ?? 'http');
  const port = url === null ? number(service['port']) : number(url.port || undefined);
  const path = url === null ? String(service['path'] ?? '') : url.pathname;
  return {
    protocol,
    host: url?.hostname ?? String(service['host'] ?? 'localhost'),
    port: port ?? (protocol === 'https' ? 443 : 80),
    path: path === '/' ? '' : path.replace(/\/+$/, ''),
  };
}

function targetsOf(upstream: Item, protocol: string, path: string): object[] {
  return list(upstream['targets']).map((each) => {
    const { target, weight } = mapping(each);
    const address = String(target).includes(':') ? String(target) : `${target}:8000`;
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

function importRoute(
  draft: Draft,
  route: Item,
  service: Item,
  key: string | null,
  global: readonly Item[],
  consumers: KongConsumers,
): undefined {
  const name = String(route['name'] ?? `${String(service['name'] ?? '')}-route`);
  const source = `routes/${name}`;
  const paths = texts(route['paths'] ?? '/');
  const plugins = effectivePlugins(name, String(service['name'] ?? ''), route, service, global);
  for (const path of paths) {
    const match = matchOf(draft, route, path, source);
    if (match === null) {
      // Its requests would be taken by wider routes, without what guarded it.
      if (plugins.some(protects))
        draft.closeWider(path.startsWith('~') ? literalPrefix(path.slice(1).replace(/^\^/, '')) : path, source);
      continue;
    }
    const draftRoute: DraftRoute = { name: draft.routeName(paths.length > 1 ? `${name}${path}` : name), match };
    const priority = number(route['regex_priority']);
    if (path.startsWith('~') && priority !== undefined && priority !== 0) draftRoute.priority = priority;
    if (key === null) draftRoute.respond = { status: 404 };
    else draftRoute.service = key;
    if (key !== null && route['strip_path'] !== false && path !== '/') {
      if (path.startsWith('~'))
        draft.approximate(`${source}/strip_path`, 'a path that a regular expression matches is sent on whole');
      else draftRoute['rewrite'] = { stripPrefix: path.replace(/\/+$/, '') };
    }
    draftRoute.auth = 'public';
    draft.routes.push(draftRoute);
    for (const plugin of plugins)
      if (!draft.isClosed(draftRoute)) applyKongPlugin(draft, draftRoute, plugin, source, consumers);
    if (!path.startsWith('~') && path !== '/' && !path.endsWith('/'))
      draft.approximate(`${source}${path}`, `Kong also takes ${path}x; here a prefix ends at a slash`);
    else draft.exact(`${source}${path}`);
  }
}

function matchOf(draft: Draft, route: Item, path: string, source: string): Record<string, unknown> | null {
  const match: Record<string, unknown> = {};
  if (path.startsWith('~')) {
    const written = path.slice(1);
    const regex = written.endsWith('$') ? written.slice(0, -1) : `${written}.*`;
    const problem = regexProblem(regex);
    if (problem !== undefined) {
      draft.lost(`${source}${path}`, `the expression is not taken here: ${problem}; other routes take its requests`);
      return null;
    }
    match['path'] = { regex: regex.replace(/^\^/, '') };
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
        const all = texts(values);
        return [
          field,
          all.length === 1
            ? all[0]
            : { regex: all.map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|') },
        ];
      }),
    );
  }
  const protocols = texts(route['protocols']);
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

/**
 * One of each name: that of the route, else of the service, else the global one; with those for consumers beside them.
 */
function effectivePlugins(
  route: string,
  service: string,
  ofRoute: Item,
  ofService: Item,
  global: readonly Item[],
): Item[] {
  const scoped = (key: string, name: string): Item[] =>
    global.filter((plugin) => name !== '' && nameOf(plugin[key]) === name);
  const levels = [
    [...list(ofRoute['plugins']).map(mapping), ...scoped('route', route)],
    [...list(ofService['plugins']).map(mapping), ...scoped('service', service)],
    global.filter((plugin) => plugin['route'] === undefined && plugin['service'] === undefined),
  ];
  const chosen = new Map<string, Item>();
  for (const level of levels) {
    for (const plugin of level) {
      if (plugin['enabled'] === false) continue;
      const key = `${String(plugin['name'])} ${nameOf(plugin['consumer'])}`;
      if (!chosen.has(key)) chosen.set(key, plugin);
    }
  }
  return [...chosen.values()];
}

function nameOf(value: unknown): string {
  return String(
    typeof value === 'object' && value !== null
      ? (mapping(value)['name'] ?? mapping(value)['username'] ?? '')
      : (value ?? ''),
  );
}
