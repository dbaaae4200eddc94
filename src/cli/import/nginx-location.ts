/** What one location of nginx does, on one route of ours, with what it inherits from server and http. */
import type { Draft, DraftRoute } from './draft.ts';
import { meaningOf } from './nginx-directives.ts';
import { headersOf } from './nginx-headers.ts';
import type { Directive } from './nginx-parser.ts';
import { carriesRealIp, nearest, type Scope } from './nginx-scope.ts';

export function applyLocation(
  draft: Draft,
  route: DraftRoute,
  location: Directive,
  scope: Scope,
  prefix: string,
  modifier: string,
  source: string,
): undefined {
  const { line } = location;
  if (location.name === 'location' && scope.own.some(({ name }) => name === 'internal')) {
    route.respond = { status: 404 };
    return draft.exact(`${source} internal`, line);
  }
  if (scope.closedBy !== null) {
    const { source: by, note, line: at } = scope.closedBy;
    return draft.close(route, by, note, at);
  }
  // What a server or a location takes from a file that is not here may guard it.
  for (let level: Scope | null = scope; level !== null; level = level.outer) {
    const missing = level.own.find(({ name, args }) => name === 'include' && !isHarmlessFile(args[0] ?? ''));
    if (missing === undefined) continue;
    const name = `${level.outer === null ? '' : `${source} `}include ${missing.args.join(' ')}`;
    return draft.close(route, name, 'the file is not here: run nginx -T and import its output', missing.line);
  }
  for (let level: Scope | null = scope; level !== null; level = level.outer) {
    for (const { name, line: at } of level.own) {
      const meaning = meaningOf(name);
      if (meaning === 'missing')
        draft.lost(`${level === scope ? `${source} ` : ''}${name}`, 'it has no counterpart', at);
      if (meaning !== 'guard' || name === 'if' || name === 'rewrite') continue;
      if (nearest(scope, name)[0]?.args[0] === 'off') continue;
      return draft.close(
        route,
        `${source} ${name}`,
        name.startsWith('auth_')
          ? `${name} is written anew (docs/guide/authentication.md)`
          : 'it may guard this, and is not known here',
        at,
      );
    }
  }
  const [decided] = nearest(scope, 'if');
  if (decided !== undefined)
    return draft.close(route, `${source} if`, 'what `if` decides is written anew as routes with match', decided.line);
  for (const { name, args, line: at } of scope.own) {
    if (name === 'location' && location.name === 'location')
      return draft.close(
        route,
        `${source} location ${args.join(' ')}`,
        'a location in a location is written beside it',
        at,
      );
  }
  if (!addresses(draft, route, scope, source) || !limit(draft, route, scope, source)) return;
  if (refusesAll(route) && !scope.own.some(({ name }) => name === 'proxy_pass')) {
    delete route['ipFilter'];
    route.respond = { status: 403 };
    return;
  }
  const size = nearest(scope, 'client_max_body_size')[0]?.args[0];
  route['maxRequestSize'] = size === undefined ? '1mb' : sizeOf(size);
  headersOf(draft, route, scope, source);
  act(draft, route, scope, prefix, modifier, source, line);
}

function act(
  draft: Draft,
  route: DraftRoute,
  scope: Scope,
  prefix: string,
  modifier: string,
  source: string,
  line: number,
): undefined {
  // One of the server goes before all that its locations do.
  const [back] = scope.outer === null ? [] : [...nearest(scope.outer, 'return'), ...nearest(scope, 'return')];
  const [proxy] = scope.own.filter(({ name }) => name === 'proxy_pass');
  const [rewrite] = nearest(scope, 'rewrite');
  if (rewrite !== undefined)
    return draft.close(
      route,
      `${source} rewrite`,
      'rewrite is written anew (rewrite.regex, or a redirect)',
      rewrite.line,
    );
  if (back !== undefined) return answer(draft, route, back, source);
  if (proxy === undefined) {
    const other = scope.own.find(({ name }) => /_pass$/.test(name));
    if (other !== undefined) draft.lost(`${source} ${other.name}`, 'put a service that speaks HTTP behind it', line);
    else draft.lost(source, 'files are not served here; put a service behind the route', line);
    route.respond = { status: 501, body: 'Not carried over: files\n' };
    return;
  }
  const target = /^(https?):\/\/(unix:[^:]+|[^/:][^/]*)(?::?(\/.*))?$/.exec(proxy.args[0] ?? '');
  if (target === null || target[0].includes('$'))
    return draft.close(route, `${source} proxy_pass`, 'an address with variables cannot be carried', proxy.line);
  const [, protocol = 'http', authority = '', uri] = target;
  const host = nearest(scope, 'proxy_set_header').find(({ args }) => args[0]?.toLowerCase() === 'host')?.args[1];
  const hostOption =
    host === undefined || host === '$proxy_host'
      ? { fixed: authority }
      : host === '$host' || host === '$http_host'
        ? 'preserve'
        : { fixed: host };
  if (typeof hostOption === 'object' && hostOption.fixed.includes('$'))
    return draft.close(route, `${source} proxy_set_header Host`, 'a host with variables cannot be carried', proxy.line);
  if (host === '$host')
    draft.approximate(`${source} proxy_set_header Host`, 'sent as it came, with its port and its capitals');
  route.service = service(draft, scope, protocol, authority, hostOption, source);
  if (uri === undefined) return draft.exact(`${source} proxy_pass`, proxy.line);
  if (modifier === '=') {
    route['rewrite'] = { path: uri };
    return draft.exact(`${source} proxy_pass`, proxy.line);
  }
  // `location /api` with `proxy_pass .../`: nginx sends `//orders`, which nobody wants.
  if (uri === '/' && !prefix.endsWith('/'))
    draft.approximate(`${source} proxy_pass`, 'nginx sends //x for what is sent as /x here', proxy.line);
  else if (prefix.endsWith('/') !== uri.endsWith('/') && prefix !== '/')
    return draft.close(
      route,
      `${source} proxy_pass`,
      `${prefix} is replaced by ${uri} in the middle of a segment`,
      proxy.line,
    );
  const strip = prefix.replace(/\/+$/, '');
  const add = uri.replace(/\/+$/, '');
  if (strip !== '' || add !== '')
    route['rewrite'] = { ...(strip === '' ? {} : { stripPrefix: strip }), ...(add === '' ? {} : { addPrefix: add }) };
  draft.exact(`${source} proxy_pass`, proxy.line);
}

function answer(draft: Draft, route: DraftRoute, { args, line }: Directive, source: string): undefined {
  const isUrl = !/^\d+$/.test(args[0] ?? '');
  const status = isUrl ? 302 : Number(args[0]);
  const text = (isUrl ? args[0] : args[1]) ?? '';
  const place = text
    .replaceAll(/\$request_uri\b|\$\{request_uri\}/g, '{path}{search}')
    .replaceAll(/\$uri\b/g, '{path}')
    .replaceAll(/\$host\b|\$\{host\}/g, '{hostname}')
    .replaceAll('$is_args$args', '{search}')
    .replaceAll('$scheme', schemeOf(draft, route) ?? '');
  if (place.includes('$'))
    return draft.close(route, `${source} return`, 'variables in an answer cannot be carried', line);
  if ([301, 302, 303, 307, 308].includes(status)) {
    const scheme = schemeOf(draft, route);
    if (text.includes('$scheme') && scheme === undefined)
      return draft.close(route, `${source} return`, '$scheme cannot be carried', line);
    route.redirect = { location: place, status };
  } else if (status === 444)
    return draft.close(route, `${source} return`, '444 closes the connection; there is no such answer here', line);
  else route.respond = { status, ...(place === '' ? {} : { body: place }) };
  draft.exact(`${source} return`, line);
}

/** Undefined where the route's listeners differ. */
function schemeOf(draft: Draft, { match }: DraftRoute): 'http' | 'https' | undefined {
  const names = match['listener'] as readonly string[];
  const listeners = (draft.gateway['listeners'] ?? []) as readonly { readonly name: string; readonly tls?: unknown }[];
  const own = listeners.filter(({ name }) => names.includes(name)).map(({ tls }) => tls !== undefined);
  if (own.length === 0 || own.includes(!own[0])) return undefined;
  return own[0] === true ? 'https' : 'http';
}

function service(
  draft: Draft,
  scope: Scope,
  protocol: string,
  authority: string,
  host: unknown,
  source: string,
): string {
  const upstream = scope.upstreams.get(authority);
  const seconds = (name: string): string | undefined => {
    const written = nearest(scope, name)[0]?.args[0];
    return written === undefined ? undefined : /^\d+$/.test(written) ? `${written}s` : written;
  };
  const connect = seconds('proxy_connect_timeout') ?? '60s';
  const read = seconds('proxy_read_timeout') ?? '60s';
  const options: Record<string, unknown> = {
    ...instances(draft, upstream, protocol, authority, source),
    timeouts: { connect, firstByte: read, idle: read },
    host,
  };
  return draft.serviceFor(authority.replace(/:.*/, ''), options);
}

function instances(
  draft: Draft,
  upstream: { readonly block: readonly Directive[]; readonly line: number } | undefined,
  protocol: string,
  authority: string,
  source: string,
): object {
  const url = (address: string): string =>
    address.startsWith('unix:')
      ? address
      : `${protocol}://${/:\d+$/.test(address) ? address : `${address}:${protocol === 'https' ? 443 : 80}`}`;
  if (protocol === 'https')
    draft.approximate(`${source} proxy_pass`, 'the certificate of the service is verified here; nginx does not look');
  if (upstream === undefined) return { instances: [{ url: url(authority) }] };
  const found = upstream.block
    .filter(({ name, args }) => name === 'server' && !args.includes('down'))
    .map(({ args, line }) => {
      if (args.includes('backup'))
        draft.lost(`upstream server ${args[0]}`, 'a backup is a service of its own with fallback', line);
      return { args, weight: Number(/^weight=(\d+)$/m.exec(args.join('\n'))?.[1] ?? 1) };
    })
    .filter(({ args }) => !args.includes('backup'))
    .map(({ args, weight }) => ({ url: url(args[0] ?? ''), ...(weight === 1 ? {} : { weight }) }));
  const missing = upstream.block.find(({ name }) => name === 'include');
  if (missing !== undefined)
    draft.lost(`upstream ${authority} include ${missing.args.join(' ')}`, 'the file is not here', missing.line);
  const has = (name: string): boolean => upstream.block.some((each) => each.name === name);
  const algorithm = has('least_conn') ? 'least-connections' : has('ip_hash') ? 'ip-hash' : 'weighted-round-robin';
  if (has('hash') || has('random'))
    draft.approximate(`${source} upstream`, 'hash and random became weighted-round-robin', upstream.line);
  else draft.exact(`upstream ${authority}`, upstream.line);
  return { instances: found, loadBalancing: { algorithm } };
}

/** Files of nginx's packages and of certbot, which hold settings of TLS, types and parameters of FastCGI. */
function isHarmlessFile(name: string): boolean {
  return /(?:^|\/)(?:mime\.types|modules-enabled\/\*\.conf|options-ssl-nginx\.conf|(?:fastcgi|uwsgi|scgi)_params|fastcgi\.conf)$/.test(
    name,
  );
}

/** False: the route is closed, because addresses of clients are not those that nginx sees. */
function knowsAddresses(draft: Draft, route: DraftRoute, scope: Scope, source: string): boolean {
  const [from] = nearest(scope, 'set_real_ip_from');
  if (from === undefined || carriesRealIp(scope)) return true;
  draft.close(
    route,
    `${source} set_real_ip_from`,
    'the addresses of clients are taken from X-Forwarded-For, of the same proxies for all (gateway.trustProxy)',
    from.line,
  );
  return false;
}

/** False: the route is closed. nginx takes the first rule that fits. */
function addresses(draft: Draft, route: DraftRoute, scope: Scope, source: string): boolean {
  const rules = nearest(scope, 'allow', 'deny').map(({ name, args }) => ({ name, block: args[0] ?? '' }));
  if (rules.length === 0) return true;
  if (!knowsAddresses(draft, route, scope, source)) return false;
  const last = rules.at(-1)!;
  const others = rules.slice(0, -1);
  const of = (name: string): string[] =>
    rules.filter((rule) => rule.name === name && rule.block !== 'all').map(({ block }) => block);
  const isAllowList =
    last.name === 'deny' &&
    last.block === 'all' &&
    others.every(({ name, block }) => name === 'allow' && block !== 'all');
  const isDenyList =
    rules.every(({ name, block }) => (name === 'deny' && block !== 'all') || (name === 'allow' && block === 'all')) &&
    others.every(({ block }) => block !== 'all');
  if (isAllowList) route['ipFilter'] = { allow: of('allow') };
  else if (isDenyList) route['ipFilter'] = { deny: of('deny') };
  else {
    draft.close(route, `${source} allow, deny`, 'rules in this order are written anew (ipFilter)');
    return false;
  }
  draft.exact(`${source} allow, deny`);
  return true;
}

function refusesAll(route: DraftRoute): boolean {
  const { allow } = (route['ipFilter'] ?? {}) as { readonly allow?: readonly string[] };
  return allow?.length === 0;
}

function limit(draft: Draft, route: DraftRoute, scope: Scope, source: string): boolean {
  const rules = nearest(scope, 'limit_req');
  if (rules.length === 0) return true;
  if (!knowsAddresses(draft, route, scope, source)) return false;
  const limits: object[] = [];
  for (const { args, line } of rules) {
    const zone = scope.zones.get(/zone=(\S+)/.exec(args.join(' '))?.[1] ?? '');
    const rate = /rate=(\d+)r\/([sm])/.exec(zone?.join(' ') ?? '');
    if (rate === null || !['$binary_remote_addr', '$remote_addr'].includes(zone?.[0] ?? '')) {
      draft.close(
        route,
        `${source} limit_req`,
        'limits by something else than the address are written anew (rateLimit)',
        line,
      );
      return false;
    }
    const burst = Number(/burst=(\d+)/.exec(args.join(' '))?.[1] ?? 0) + 1;
    limits.push({ limit: Number(rate[1]), window: rate[2] === 's' ? '1s' : '1m', burst });
    draft.approximate(`${source} limit_req`, 'requests above the rate are refused with 429 and not delayed', line);
  }
  route['rateLimit'] = { by: 'ip', limits };
  return true;
}

function sizeOf(written: string): string {
  if (written === '0') return 'unlimited';
  return written
    .toLowerCase()
    .replace(/^(\d+)([kmg])$/, '$1$2b')
    .replace(/^(\d+)$/, '$1b');
}
