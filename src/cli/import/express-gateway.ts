/**
 * Express Gateway's `gateway.config.yml`: API endpoints, service endpoints and the policies of pipelines, in their
 * order.
 */
import { Draft, type DraftRoute, list, mapping, number, texts } from './draft.ts';

type Item = Readonly<Record<string, unknown>>;

export function importExpressGateway(document: unknown): Draft {
  const draft = new Draft();
  const root = mapping(document);
  const port = number(mapping(root['http'])['port']);
  if (port !== undefined) draft.gateway['port'] = port;
  if (root['https'] !== undefined) draft.lost('https', 'write gateway.listeners with tls (docs/guide/tls.md)');
  const endpoints = mapping(root['apiEndpoints']);
  const services = mapping(root['serviceEndpoints']);
  const pipelines = Object.entries(mapping(root['pipelines']));
  for (const [name, value] of pipelines) {
    const pipeline = mapping(value);
    for (const endpoint of texts(pipeline['apiEndpoints'] ?? pipeline['apiEndpoint'])) {
      for (const each of list(endpoints[endpoint]).map(mapping))
        importPipeline(draft, name, endpoint, each, list(pipeline['policies']).map(mapping), services);
    }
  }
  return draft;
}

function importPipeline(
  draft: Draft,
  name: string,
  endpoint: string,
  api: Item,
  policies: readonly Item[],
  services: Item,
): undefined {
  const paths = texts(api['paths'] ?? '*');
  const hosts = texts(api['host']).filter((host) => host !== '*');
  const methods = texts(api['methods'])
    .flatMap((text) => text.split(','))
    .map((text) => text.trim())
    .filter((text) => text !== '*' && text !== '');
  for (const path of paths) {
    const source = `apiEndpoints/${endpoint}${path === '*' ? '' : ` ${path}`}`;
    const pattern = path === '*' || path === '/*' ? '/*' : path.replace(/\*$/, '*');
    if (!/^\/[^*?()+]*(\/\*)?$/.test(pattern) || api['pathRegex'] !== undefined) {
      draft.lost(source, 'this path cannot be written as a pattern; nothing answers there (404)');
      continue;
    }
    const route: DraftRoute = {
      name: draft.routeName(`${endpoint}${paths.length > 1 ? path : ''}`),
      match: { path: pattern, ...(hosts.length === 0 ? {} : { hosts }), ...(methods.length === 0 ? {} : { methods }) },
      auth: 'public',
    };
    draft.routes.push(route);
    for (const policy of policies) {
      const [kind = '', steps] = Object.entries(policy)[0] ?? [];
      for (const step of list(steps ?? {}).map(mapping))
        if (!draft.isClosed(route)) applyPolicy(draft, route, kind, step, `pipelines/${name}/${kind}`, services);
      if (list(steps ?? {}).length === 0 && !draft.isClosed(route))
        applyPolicy(draft, route, kind, {}, `pipelines/${name}/${kind}`, services);
    }
    if (draft.isClosed(route)) continue;
    if (route.service === undefined && route.respond === undefined) {
      draft.lost(source, 'the pipeline has no proxy that could be carried');
      route.respond = { status: 501, body: 'Not carried over\n' };
    } else draft.exact(source);
  }
}

function applyPolicy(
  draft: Draft,
  route: DraftRoute,
  kind: string,
  step: Item,
  source: string,
  services: Item,
): undefined {
  const condition = mapping(step['condition'])['name'];
  const action = mapping(step['action']);
  if (condition !== undefined && condition !== 'always')
    return draft.close(route, source, `the condition ${String(condition)} is written anew as a route with match`);
  switch (kind) {
    case 'proxy':
      return proxy(draft, route, action, source, services);
    case 'rate-limit': {
      const by = action['rateLimitBy'];
      if (by !== undefined && !String(by).includes('egContext.req.ip') && !String(by).includes('req.ip'))
        return draft.close(route, source, 'limits by something else than the address are written anew');
      route['rateLimit'] = {
        by: 'ip',
        limits: [
          { limit: number(action['max']) ?? 5, window: number(action['windowMs']) ?? 60_000, algorithm: 'fixed' },
        ],
      };
      return draft.approximate(source, 'counted over all workers of this machine, by address');
    }
    case 'cors': {
      const origins = texts(action['origin'] ?? '*');
      if (origins.includes('*') && action['credentials'] === true)
        return draft.lost(
          source,
          'all origins with credentials would let every page act as its visitor; name the origins',
        );
      route['cors'] = {
        origins: origins.includes('*') ? '*' : origins,
        ...(action['credentials'] === true ? { credentials: true } : {}),
      };
      return draft.approximate(source, 'methods and fields are the defaults of docs/guide/cors.md');
    }
    case 'log':
      return draft.approximate(source, 'the access log is gateway.accessLog');
    case 'key-auth':
    case 'basic-auth':
    case 'oauth2':
      return draft.close(
        route,
        source,
        'its users are in a database of Express Gateway; make accounts or keys here (docs/guide/api-keys.md)',
      );
    default:
      return draft.close(route, source, 'this policy is not known here');
  }
}

function proxy(draft: Draft, route: DraftRoute, action: Item, source: string, services: Item): undefined {
  const wanted = String(action['serviceEndpoint'] ?? '');
  const endpoint = mapping(services[wanted]);
  const urls = texts(endpoint['urls'] ?? endpoint['url']);
  if (urls.length === 0) return draft.close(route, source, `there is no service endpoint ${wanted}`);
  const key = `${wanted}${action['changeOrigin'] === false ? '-host' : ''}`;
  draft.services[key] ??= {
    instances: urls.map((url) => ({ url: url.replace(/\/+$/, '') })),
    host: action['changeOrigin'] === false ? 'preserve' : 'instance',
  };
  route.service = key;
  const { path } = route.match as { path: string };
  if (action['stripPath'] === true && path !== '/*') route['rewrite'] = { stripPrefix: path.replace(/\/\*$/, '') };
  if (action['ignorePath'] === true) return draft.close(route, source, 'ignorePath has no counterpart');
  draft.exact(source);
}
