/**
 * nginx: `server`, `location`, `upstream` and some thirty directives. The order in which nginx chooses a location
 * (exact, longest prefix with `^~`, expressions in order, longest prefix) becomes priorities. What guards a location
 * and is not known here closes its route.
 */
import { Draft, type DraftRoute } from './draft.ts';
import { type Folders, NginxFiles } from './nginx-files.ts';
import { applyLocation, nearest, type Scope, scopeOf } from './nginx-location.ts';
import type { Directive } from './nginx-parser.ts';
import { regexProblem } from './regex.ts';

/** Said once, since they change nothing of what is imported. */
const IGNORED = new Set([
  'user',
  'worker_processes',
  'worker_connections',
  'pid',
  'events',
  'include',
  'error_log',
  'access_log',
  'log_format',
  'sendfile',
  'tcp_nopush',
  'tcp_nodelay',
  'keepalive_timeout',
  'keepalive_requests',
  'types_hash_max_size',
  'server_tokens',
  'default_type',
  'gzip',
  'gzip_types',
  'gzip_min_length',
  'gzip_vary',
  'gzip_proxied',
  'gzip_comp_level',
  'server_names_hash_bucket_size',
  'index',
  'charset',
  'worker_rlimit_nofile',
  'daemon',
  'load_module',
  'client_body_temp_path',
  'proxy_temp_path',
  'fastcgi_temp_path',
  'uwsgi_temp_path',
  'scgi_temp_path',
  'proxy_http_version',
  'proxy_buffering',
  'proxy_buffers',
  'proxy_buffer_size',
  'limit_req_zone',
  'map',
  'types',
]);

/** Throws a `SyntaxError` with the line for a text that is no nginx configuration. */
export function importNginx(text: string, folders: Folders): Draft {
  const draft = new Draft();
  const files = new NginxFiles(text, folders);
  const top = files.directives();
  const http = top.find(({ name }) => name === 'http')?.block ?? top;
  const outer = scopeOf(http, null);
  for (const { name, args, block, line } of http)
    if (name === 'upstream' && block !== null) outer.upstreams.set(args[0] ?? '', { block, line });
  outer.hasDefault = http.some(
    ({ name, block }) =>
      name === 'server' && (block ?? []).some((each) => each.name === 'listen' && each.args.includes('default_server')),
  );
  for (const { name, args, line, block } of http) {
    if (name === 'limit_req_zone') outer.zones.set(/zone=([^:]+)/.exec(args.join(' '))?.[1] ?? '', args);
    if (name === 'map') draft.lost(`map ${args.join(' ')}`, 'variables that are computed have no counterpart', line);
    if (name === 'include' && !args.join('').includes('mime.types'))
      draft.lost(`include ${args.join(' ')}`, 'the file is not here: run nginx -T and import its output', line);
    if (block === null || IGNORED.has(name) || ['server', 'upstream', 'geo', 'split_clients'].includes(name)) continue;
    draft.lost(`${name} ${args.join(' ')}`.trim(), 'it is not known here', line);
  }
  for (const server of http.filter(({ name }) => name === 'server')) importServer(draft, server, outer, files);
  // Where there is one listener, it needs no condition.
  const listeners = (draft.gateway['listeners'] ?? []) as readonly unknown[];
  if (listeners.length <= 1) for (const { match } of draft.routes) delete match['listener'];
  return draft;
}

function importServer(draft: Draft, server: Directive, outer: Scope, files: NginxFiles): void {
  const block = server.block ?? [];
  const scope = scopeOf(block, outer);
  const names = block.filter(({ name }) => name === 'server_name').flatMap(({ args }) => args);
  const listens = block.filter(({ name }) => name === 'listen').map(({ args }) => args);
  const isDefault = listens.some((args) => args.includes('default_server'));
  const hosts = names.filter((name) => /^(\*\.)?[A-Za-z0-9][A-Za-z0-9.-]*$/.test(name) && name !== '_');
  for (const name of names)
    if (!hosts.includes(name) && name !== '_' && name !== '')
      draft.lost(`server_name ${name}`, 'names that are expressions, or end in *, are not matched', server.line);
  const source = `server ${names.join(' ') || '_'}`;
  if (names.length > 0 && hosts.length === 0 && !names.includes('_') && !isDefault) return;
  addListeners(draft, scope, files, listens, server.line);
  const listener = listenersOf(listens).map(({ port }) => `port-${port}`);
  // The first server of an address is its default. Named servers go before it, exact names before wildcards.
  const groups: Group[] = [
    { hosts: hosts.filter((host) => !host.startsWith('*.')), priority: 2 * PER_SERVER },
    { hosts: hosts.filter((host) => host.startsWith('*.')), priority: PER_SERVER },
  ].filter((group) => group.hosts.length > 0);
  const isFirst = !draft.routes.some(({ match }) => String(match['listener']) === String(listener));
  if (isDefault || hosts.length === 0 || (isFirst && !outer.hasDefault)) groups.push({ hosts: [], priority: 0 });
  for (const { hosts: own, priority } of groups) {
    const base = { ...(own.length === 0 ? {} : { hosts: own }), listener };
    importLocations(draft, server, scope, { base, priority, source, label: own[0] ?? 'default' });
  }
}

interface Group {
  readonly hosts: readonly string[];
  readonly priority: number;
}

interface Place {
  readonly base: Record<string, unknown>;
  readonly priority: number;
  readonly source: string;
  readonly label: string;
}

/** More than the priorities within one server. */
const PER_SERVER = 300_000;

function importLocations(
  draft: Draft,
  server: Directive,
  scope: Scope,
  { base, priority, source, label }: Place,
): void {
  const block = server.block ?? [];
  const locations = block.filter(({ name }) => name === 'location');
  const regexes = locations.filter(({ args }) => args[0] === '~' || args[0] === '~*');
  const add = (location: Directive, written: string, path: unknown, within: number): DraftRoute => {
    const route: DraftRoute = { name: draft.routeName(`${label}${written}`), match: { ...base, path }, auth: 'public' };
    if (priority + within !== 0) route.priority = priority + within;
    draft.routes.push(route);
    const modifier = location.args.length > 1 ? (location.args[0] ?? '') : '';
    const inner = location === server ? scope : scopeOf(location.block ?? [], scope);
    applyLocation(
      draft,
      route,
      location,
      inner,
      written,
      modifier,
      `${source} ${location === server ? '' : `location ${location.args.join(' ')}`}`.trim(),
    );
    return route;
  };
  const added: DraftRoute[] = [];
  let lostGuard: string | undefined;
  for (const location of locations) {
    const [first = '/', second = ''] = location.args;
    const modifier = second === '' ? '' : first;
    const written = second === '' ? first : second;
    const at = `${source} location ${location.args.join(' ')}`;
    if (written.startsWith('@')) {
      draft.lost(at, 'named locations have no counterpart', location.line);
      continue;
    }
    const path = pathOf(draft, modifier, written, at, location.line);
    if (path === null) {
      if (guards(location)) lostGuard = at;
      continue;
    }
    added.push(add(location, written, path, priorityOf(modifier, written, regexes.indexOf(location), regexes.length)));
  }
  const isWhole = locations.some(({ args }) => args.length === 1 && args[0] === '/');
  const action = block.find(({ name }) => name === 'return' || name === 'proxy_pass' || name === 'root');
  if (!isWhole && action !== undefined) added.push(add(server, '/', '/*', 0));
  // Its requests would be taken by the others.
  if (lostGuard !== undefined)
    for (const route of added)
      if (route.service !== undefined)
        draft.close(route, lostGuard, 'a location that refuses something cannot be matched');
}

/** Does a location refuse or limit anything? */
function guards({ block }: Directive): boolean {
  return (block ?? []).some(
    ({ name, args }) =>
      ['deny', 'internal', 'limit_req', 'limit_conn', 'satisfy'].includes(name) ||
      name.startsWith('auth_') ||
      (name === 'return' && /^[45]/.test(args[0] ?? '')),
  );
}

function pathOf(draft: Draft, modifier: string, written: string, source: string, line: number): unknown {
  if (modifier === '=') return written;
  if (modifier === '~' || modifier === '~*') {
    // nginx searches anywhere in the path; a route here matches all of it.
    const expression = modifier === '~*' ? caseless(written) : written;
    const whole = wholeOf(expression);
    const problem = regexProblem(whole);
    if (problem === undefined) return { regex: whole };
    draft.lost(source, `the expression is not taken here: ${problem}; other locations take its requests`, line);
    return null;
  }
  if (written === '/') return '/*';
  if (!/^(\/[^\s*:{}]*)+$/.test(written)) {
    draft.lost(source, 'the path cannot be written as a pattern', line);
    return null;
  }
  if (!written.endsWith('/'))
    draft.approximate(source, `nginx also takes ${written}x; here a prefix ends at a slash`, line);
  else draft.approximate(source, `${written.slice(0, -1)} without the slash is taken too; nginx redirects it`, line);
  return `${written.replace(/\/+$/, '')}/*`;
}

/** Exact before `^~`, before expressions in their order, before prefixes; longer prefixes first is our own order. */
function priorityOf(modifier: string, written: string, index: number, count: number): number {
  if (modifier === '=') return 200_000;
  if (modifier === '^~') return 100_000 + written.length;
  return index < 0 ? 0 : 1_000 + (count - index);
}

function addListeners(
  draft: Draft,
  scope: Scope,
  files: NginxFiles,
  listens: readonly (readonly string[])[],
  line: number,
): void {
  const listeners = (draft.gateway['listeners'] ?? []) as Record<string, unknown>[];
  for (const args of listens.length > 0 ? listens : [['80']]) {
    const address = args[0] ?? '80';
    if (address.startsWith('unix:') || address.startsWith('[')) {
      draft.lost(`listen ${args.join(' ')}`, 'write it under gateway.listeners', line);
      continue;
    }
    const { host, port } = addressOf(address);
    const existing = listeners.find((each) => each['port'] === port);
    const listener = existing ?? { name: `port-${port}`, host, port };
    if (existing === undefined) listeners.push(listener);
    if (args.includes('proxy_protocol'))
      draft.lost(`listen ${args.join(' ')}`, 'proxyProtocol needs gateway.trustProxy', line);
    if (!args.includes('ssl')) continue;
    const certificates = certificatesOf(draft, scope, files);
    const tls = (listener['tls'] ?? { certificates: [] }) as { certificates: Certificate[] };
    for (const one of certificates)
      if (!tls.certificates.some(({ cert }) => cert === one.cert)) tls.certificates.push(one);
    if (tls.certificates.length === 0) continue;
    listener['tls'] = tls;
    const [wanted, authorities] = ['ssl_verify_client', 'ssl_client_certificate'].map(
      (name) => nearest(scope, name)[0],
    );
    const verify = wanted?.args[0] ?? 'off';
    if (verify === 'optional_no_ca')
      draft.lost('ssl_verify_client optional_no_ca', 'certificates are verified here, or not asked for', wanted?.line);
    if ((verify === 'on' || verify === 'optional') && authorities !== undefined) {
      const clientCertificate = verify === 'on' ? 'required' : 'optional';
      Object.assign(tls, { clientCertificate, clientCa: files.place(authorities.args[0] ?? '') });
    }
  }
  if (listeners.length > 0) draft.gateway['listeners'] = listeners;
}

interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** Of the server, or else of all. */
function certificatesOf(draft: Draft, scope: Scope, files: NginxFiles): Certificate[] {
  const keys = nearest(scope, 'ssl_certificate_key');
  return nearest(scope, 'ssl_certificate').flatMap(({ args: [cert = ''], line }, index) => {
    const [key = ''] = keys[index]?.args ?? [];
    if (cert !== '' && key !== '' && ![cert, key].some((file) => /\$|^(?:data|engine|store):/.test(file)))
      return [{ cert: files.place(cert), key: files.place(key) }];
    draft.lost(`ssl_certificate ${cert}`, 'only files are taken; write it under gateway.listeners', line);
    return [];
  });
}

function addressOf(address: string): { host: string; port: number } {
  const [host = '', port = '80'] = /^\d+$/.test(address) ? ['*', address] : address.split(':');
  return { host: host === '*' ? '0.0.0.0' : host, port: Number(port) };
}

function listenersOf(listens: readonly (readonly string[])[]): { host: string; port: number }[] {
  const addresses = listens.length === 0 ? ['80'] : listens.map(([address = '80']) => address);
  return addresses.filter((address) => !/^(unix:|\[)/.test(address)).map(addressOf);
}

/** An expression that matches somewhere, as one that matches a whole path. */
function wholeOf(expression: string): string {
  const isEnded = /(?<!\\)\$$/.test(expression);
  const middle = expression.replace(/^\^/, '').replace(/(?<!\\)\$$/, '');
  const begin = expression.startsWith('^') ? '' : '/.*';
  return `${begin}${middle}${isEnded ? '' : '.*'}`.replace(/^\/\.\*\//, '(?:/.*)?/');
}

/** `php` as `[pP][hH][pP]`, classes with both cases; escapes stay. */
function caseless(expression: string): string {
  return expression.replace(/\\.|\[(?:\\.|[^\]\\])*\]|[A-Za-z]/g, (part) => {
    if (part.startsWith('\\')) return part;
    if (!part.startsWith('[')) return `[${part.toLowerCase()}${part.toUpperCase()}]`;
    const content = part.slice(1, -1).replace(/^\^/, '');
    const other = content.replace(/\\.|[A-Za-z]/g, (each) =>
      each.startsWith('\\') ? '' : each === each.toLowerCase() ? each.toUpperCase() : each.toLowerCase(),
    );
    return `[${part.startsWith('[^') ? '^' : ''}${content}${other}]`;
  });
}
