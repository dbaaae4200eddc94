/**
 * Express Gateway's `gateway.config.yml`: API endpoints, service endpoints and the policies of pipelines, in their
 * order.
 */
import { Draft, type DraftRoute, list, mapping, number, texts } from './draft.ts';
import { caseless, literally, regexProblem } from './regex.ts';

type Item = Readonly<Record<string, unknown>>;

export function importExpressGateway(document: unknown): Draft {
  const draft = new Draft();
  const root = mapping(document);
  if (Object.keys(mapping(root['pipelines'])).length === 0) throw new Error('there are no pipelines in it');
  const port = number(mapping(root['http'])['port']);
  if (port !== undefined) draft.gateway['port'] = port;
  if (root['https'] !== undefined) draft.lost('https', 'write gateway.listeners with tls (docs/guide/tls.md)');
  const endpoints = mapping(root['apiEndpoints']);
  const services = mapping(root['serviceEndpoints']);
  const pipelines = Object.entries(mapping(root['pipelines']));
  const allowed = root['policies'] === undefined ? null : texts(root['policies']);
  const all: {
    readonly name: string;
    readonly endpoint: string;
    readonly api: Item;
    readonly policies: readonly Item[];
  }[] = [];
  for (const [name, value] of pipelines) {
    const pipeline = mapping(value);
    for (const endpoint of texts(pipeline['apiEndpoints'] ?? pipeline['apiEndpoint'])) {
      if (endpoints[endpoint] === undefined)
        draft.lost(`pipelines/${name}/apiEndpoints/${endpoint}`, 'it is not in the file');
      for (const api of list(endpoints[endpoint]).map(mapping))
        all.push({ name, endpoint, api, policies: list(pipeline['policies']).map(mapping) });
    }
  }
  const isOpen = all.every(({ policies }) =>
    policies.every((policy) => UNGUARDED.includes(Object.keys(policy)[0] ?? '')),
  );
  // Express takes the first that fits, whatever is longer, and hosts with a name before others.
  all.forEach((each, index) => {
    importPipeline(draft, { ...each, services, allowed, order: all.length - index, isOpen });
  });
  if (!isOpen)
    draft.approximate(
      'pipelines',
      'the order of pipelines became priorities, and guarded paths are taken without case',
    );
  draft.settle();
  return draft;
}

const UNGUARDED = ['proxy', 'cors', 'log'];

interface Pipeline {
  readonly name: string;
  readonly endpoint: string;
  readonly api: Item;
  readonly policies: readonly Item[];
  readonly services: Item;
  /** Policies that the gateway may load; null for all. */
  readonly allowed: readonly string[] | null;
  readonly order: number;
  /** Nothing is guarded anywhere, so that plain patterns do. */
  readonly isOpen: boolean;
}

const NAMED_HOST = 100_000;

function importPipeline(
  draft: Draft,
  { name, endpoint, api, policies, services, allowed, order, isOpen }: Pipeline,
): undefined {
  const paths = texts(api['paths'] ?? api['path'] ?? (api['pathRegex'] === undefined ? '*' : []));
  const hosts = texts(api['host']).filter((host) => host !== '*');
  const methods = texts(api['methods'])
    .flatMap((text) => text.split(','))
    .map((text) => text.trim().toUpperCase())
    .filter((text) => text !== '*' && text !== '');
  const kinds = policies.map((policy) => Object.keys(policy)[0] ?? '');
  const isGuarded = kinds.some((kind) => !UNGUARDED.includes(kind));
  if (api['pathRegex'] !== undefined) {
    draft.lost(
      `apiEndpoints/${endpoint}/pathRegex`,
      'an expression is written anew; other endpoints take its requests',
    );
    if (isGuarded) draft.closeWider('', `apiEndpoints/${endpoint}/pathRegex`);
  }
  for (const path of paths) {
    const source = `apiEndpoints/${endpoint}${path === '*' ? '' : ` ${path}`}`;
    const pattern = patternOf(path, !isGuarded);
    if (pattern === null) {
      draft.lost(source, 'this path cannot be written as a pattern; other endpoints take its requests');
      if (isGuarded) draft.closeWider(/^[^*?()+:]*/.exec(path)?.[0] ?? '', source);
      continue;
    }
    const route: DraftRoute = {
      name: draft.routeName(`${endpoint}${paths.length > 1 ? path : ''}`),
      match: { path: pattern, ...(hosts.length === 0 ? {} : { hosts }), ...(methods.length === 0 ? {} : { methods }) },
      auth: 'public',
    };
    if (!isOpen) route.priority = order + (hosts.length > 0 ? NAMED_HOST : 0);
    draft.routes.push(route);
    const unknown = allowed === null ? undefined : kinds.find((kind) => !allowed.includes(kind));
    if (unknown !== undefined) draft.close(route, `pipelines/${name}/${unknown}`, 'it is not in the list of policies');
    for (const policy of policies) {
      const [kind = '', steps] = Object.entries(policy)[0] ?? [];
      for (const step of list(steps ?? {}).map(mapping))
        if (!draft.isClosed(route)) applyPolicy(draft, route, kind, step, path, `pipelines/${name}/${kind}`, services);
      if (list(steps ?? {}).length === 0 && !draft.isClosed(route))
        applyPolicy(draft, route, kind, {}, path, `pipelines/${name}/${kind}`, services);
    }
    if (draft.isClosed(route)) continue;
    if (list(api['scopes']).length > 0)
      draft.close(route, `apiEndpoints/${endpoint}/scopes`, 'scopes are written anew (auth.scopes)');
    else if (route.service === undefined && route.respond === undefined) {
      draft.lost(source, 'the pipeline has no proxy that could be carried');
      route.respond = { status: 501, body: 'Not carried over\n' };
    } else draft.exact(source);
  }
}

/**
 * Null: there is none. Express takes any case and a slash at the end, which matters where something is guarded. `*` is
 * any text there, not only after a slash.
 */
function patternOf(path: string, isOpen: boolean): string | { readonly regex: string } | null {
  if (/[?()+[\]\\]/.test(path)) return null;
  const absolute = path.startsWith('/') || path.startsWith('*') ? path : `/${path}`;
  if (absolute === '*' || absolute === '/*') return '/*';
  if (isOpen && /^\/[^*]*(\/\*)?$/.test(absolute)) return absolute;
  const pieces = absolute.replace(/\/$/, '').split(/(\/\*$|\*|:\w+)/);
  const each = pieces.map((piece) => {
    if (piece === '/*') return '/[\\s\\S]*';
    if (piece === '*') return '[\\s\\S]*';
    return piece.startsWith(':') ? '[^/]+' : caseless(literally(piece));
  });
  const regex = absolute.endsWith('*') ? each.join('') : `${each.join('')}/?`;
  return regexProblem(regex) === undefined ? { regex } : null;
}

function applyPolicy(
  draft: Draft,
  route: DraftRoute,
  kind: string,
  step: Item,
  path: string,
  source: string,
  services: Item,
): undefined {
  const condition = mapping(step['condition'])['name'];
  const action = mapping(step['action']);
  if (condition !== undefined && condition !== 'always')
    return draft.close(route, source, `the condition ${String(condition)} is written anew as a route with match`);
  switch (kind) {
    case 'proxy':
      return proxy(draft, route, action, path, source, services);
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

function proxy(draft: Draft, route: DraftRoute, action: Item, path: string, source: string, services: Item): undefined {
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
  if (action['stripPath'] === true && path !== '/*' && path !== '*') {
    if (/[*:]/.test(path.replace(/\/\*$/, '')))
      return draft.close(route, source, 'a path with signs in the middle is not taken off (rewrite)');
    if (typeof route.match['path'] !== 'string')
      route['rewrite'] = {
        regex: { pattern: `${caseless(literally(path.replace(/\/?\*?$/, '')))}/?([\\s\\S]*)`, replacement: '/$1' },
      };
    else route['rewrite'] = { stripPrefix: path.replace(/\/\*$/, '') };
  }
  if (action['ignorePath'] === true) return draft.close(route, source, 'ignorePath has no counterpart');
  draft.exact(source);
}
