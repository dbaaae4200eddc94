/**
 * nginx: `server`, `location`, `upstream` and some thirty directives. The order in which nginx chooses a location
 * (exact, longest prefix with `^~`, expressions in order, longest prefix) becomes priorities. What guards a location
 * and is not known here closes its route.
 */
import { Draft, type DraftRoute, type FieldProblem } from './draft.ts';
import { meaningOf } from './nginx-directives.ts';
import { type Folders, NginxFiles } from './nginx-files.ts';
import { addListeners, listenersOf, type Server } from './nginx-listeners.ts';
import { applyLocation } from './nginx-location.ts';
import type { Directive } from './nginx-parser.ts';
import { carriesRealIp, type Scope, scopeOf } from './nginx-scope.ts';
import { wholePath } from './regex.ts';

/** Throws a `SyntaxError` with the line for a text that is no nginx configuration. */
export function importNginx(text: string, folders: Folders, fieldProblem: FieldProblem = () => undefined): Draft {
  const draft = new Draft();
  const files = new NginxFiles(text, folders);
  const top = files.directives();
  const blocks = top.filter(({ name }) => name === 'http');
  const http = blocks.length === 0 ? top : blocks.flatMap(({ block }) => block ?? []);
  if (!http.some(({ name, block }) => name === 'server' && block !== null))
    throw new SyntaxError('there is no server in it');
  const outer = scopeOf(http, null, fieldProblem);
  for (const { name, args, block, line } of http)
    if (name === 'upstream' && block !== null) outer.upstreams.set(args[0] ?? '', { block, line });
  for (const { name, args, line } of http) {
    if (name === 'limit_req_zone') outer.zones.set(/zone=([^:]+)/.exec(args.join(' '))?.[1] ?? '', args);
    if (name === 'map') draft.lost(`map ${args.join(' ')}`, 'variables that are computed have no counterpart', line);
  }
  for (const { name, line } of top)
    if (blocks.length > 0 && ['stream', 'mail', 'rtmp'].includes(name))
      draft.lost(name, 'only HTTP is carried; TCP needs a proxy beside the gateway', line);
  if (carriesRealIp(outer)) {
    draft.gateway['trustProxy'] = http.filter(({ name }) => name === 'set_real_ip_from').flatMap(({ args }) => args);
    draft.approximate(
      'set_real_ip_from',
      'the client is the last address in X-Forwarded-For that is none of these, as with real_ip_recursive',
    );
  }
  const servers = http.filter(({ name, block }) => name === 'server' && block !== null);
  const all = servers.map((directive) => {
    const names = namesOf(directive);
    return {
      directive,
      scope: scopeOf(withoutTurns(directive.block!), outer),
      source: `server ${names.join(' ') || '_'}`,
    };
  });
  addListeners(draft, all, files);
  for (const server of all) importServer(draft, server);
  draft.settle();
  // Where there is one listener, it needs no condition.
  const listeners = (draft.gateway['listeners'] ?? []) as readonly unknown[];
  if (listeners.length <= 1) for (const { match } of draft.routes) delete match['listener'];
  return draft;
}

function namesOf({ block }: Directive): string[] {
  return (block ?? []).filter(({ name }) => name === 'server_name').flatMap(({ args }) => args);
}

function importServer(draft: Draft, { directive: server, scope, source }: Server): undefined {
  const names = namesOf(server);
  const hosts = names
    .flatMap((name) => (name.startsWith('.') ? [name.slice(1), `*${name}`] : [name]))
    .filter((name) => /^(\*\.)?[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name) && !name.endsWith('.*'));
  const hasNone = names.every((name) => name === '_' || name === '');
  for (const name of names)
    if (!hosts.includes(name.replace(/^\./, '')) && name !== '_' && name !== '')
      draft.lost(`server_name ${name}`, 'names that are expressions, or end in *, are not matched', server.line);
  const listener = listenersOf(draft, scope.own);
  if (listener.length === 0)
    return draft.lost(source, 'none of its addresses could be carried, so nothing of it answers', server.line);
  // The first server of an address is its default. Named servers go before it, exact names before wildcards.
  const defaultOf = listener.filter((name) => scope.defaults.get(name) === server);
  if (!hasNone && hosts.length === 0 && defaultOf.length === 0) return;
  const groups: Group[] = [
    { hosts: hosts.filter((host) => !host.startsWith('*.')), priority: 2 * PER_SERVER, listener },
    { hosts: hosts.filter((host) => host.startsWith('*.')), priority: PER_SERVER, listener },
  ].filter((group) => group.hosts.length > 0);
  if (defaultOf.length > 0) groups.push({ hosts: [], priority: 0, listener: defaultOf });
  if (groups.length === 0)
    return draft.lost(source, 'no request has this name, since it is not the default server', server.line);
  for (const { hosts: own, priority, listener: where } of groups) {
    const base = { ...(own.length === 0 ? {} : { hosts: own }), listener: where };
    importLocations(draft, server, scope, { base, priority, source, label: own[0] ?? 'default' });
  }
}

/** `if ($host = NAME) { return ...; }` and `if ($scheme = http) { return ...; }`: a route of its own. */
interface Turn {
  readonly hosts: readonly string[] | null;
  readonly scheme: string | null;
  readonly block: readonly Directive[];
  readonly line: number;
}

function turnOf({ name, args, block, line }: Directive): Turn | null {
  if (name !== 'if' || block?.length !== 1 || block[0]!.name !== 'return') return null;
  const condition = args
    .join(' ')
    .replace(/^\(\s*|\s*\)$/g, '')
    .trim();
  const host = /^\$(?:http_)?host = ([A-Za-z0-9][A-Za-z0-9.-]*)$/.exec(condition)?.[1];
  if (host !== undefined) return { hosts: [host], scheme: null, block, line };
  const scheme = /^\$scheme (?:= http|!= https)$/.test(condition);
  return scheme ? { hosts: null, scheme: 'http', block, line } : null;
}

function withoutTurns(block: readonly Directive[]): Directive[] {
  return block.filter((directive) => turnOf(directive) === null);
}

interface Group {
  readonly hosts: readonly string[];
  readonly listener: readonly string[];
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
    const inner = location === server ? scope : scopeOf(withFallback(location, locations, draft, source), scope);
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
  for (const turn of block.map(turnOf)) {
    if (turn === null) continue;
    const match = { ...base, ...(turn.hosts === null ? { scheme: turn.scheme } : { hosts: turn.hosts }) };
    const name = draft.routeName(`${label} ${turn.hosts === null ? turn.scheme : `if ${turn.hosts.join(' ')}`}`);
    const route: DraftRoute = { name, match: { ...match, path: '/*' }, auth: 'public', priority: priority + FIRST };
    draft.routes.push(route);
    const whole: Directive = { name: 'server', args: [], line: turn.line, block: turn.block };
    applyLocation(draft, route, whole, { ...scope, own: turn.block, outer: scope.outer }, '/', '', `${source} if`);
  }
  const added: DraftRoute[] = [];
  let lostGuard: string | undefined;
  for (const location of locations) {
    const [first = '/', second = ''] = location.args;
    const modifier = second === '' ? '' : first;
    const written = second === '' ? first : second;
    const at = `${source} location ${location.args.join(' ')}`;
    if (written.startsWith('@')) {
      if (!locations.some((each) => fallbackOf(each) === written))
        draft.lost(at, 'named locations have no counterpart', location.line);
      continue;
    }
    const path = pathOf(draft, location, modifier, written, at);
    if (path === null) {
      if (guards(location)) lostGuard = at;
      continue;
    }
    const order = priorityOf(modifier, written, regexes.indexOf(location), regexes.length);
    const route = add(location, written, path, order);
    added.push(route);
    // Longer prefixes go first among patterns by themselves, not where one is an expression.
    if (modifier === '' || modifier === '^~')
      draft.prefix({
        route,
        text: written,
        source: at,
        group: `${source} ${label}`,
        order: modifier === '' ? Math.min(written.length, FIRST_REGEX - 1) : 0,
      });
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

/** `try_files $uri @app`: the named location, where this one says nothing else of what to do. */
function fallbackOf({ block }: Directive): string | undefined {
  const [files] = (block ?? []).filter(({ name }) => name === 'try_files');
  const last = files?.args.at(-1);
  const isElse = (block ?? []).some(({ name }) => name === 'proxy_pass' || name === 'return');
  return last?.startsWith('@') && !isElse ? last : undefined;
}

/** There are no files here, so all requests are for the fallback. What either refuses is refused. */
function withFallback(
  location: Directive,
  locations: readonly Directive[],
  draft: Draft,
  source: string,
): readonly Directive[] {
  const own = location.block ?? [];
  const name = fallbackOf(location);
  const named = name === undefined ? undefined : locations.find(({ args }) => args[0] === name);
  if (named === undefined) return own;
  draft.approximate(
    `${source} location ${location.args.join(' ')} try_files`,
    `files are not served here; all requests go to ${name}`,
    location.line,
  );
  return [...own, ...(named.block ?? [])];
}

/** Does a location refuse or limit anything, or might it? */
function guards({ block }: Directive): boolean {
  return (block ?? []).some(
    (each) =>
      ['allow', 'deny', 'internal', 'limit_req', 'include', 'if', 'rewrite', 'location'].includes(each.name) ||
      (meaningOf(each.name) === 'guard' && each.args[0] !== 'off') ||
      (each.name === 'return' && /^[45]/.test(each.args[0] ?? '')),
  );
}

/** It does nothing else. */
function onlyRefuses({ block }: Directive): boolean {
  return (
    (block ?? []).some(
      ({ name, args }) => (name === 'deny' && args[0] === 'all') || (name === 'return' && /^4/.test(args[0] ?? '')),
    ) && !(block ?? []).some(({ name }) => ['allow', 'satisfy', 'proxy_pass', 'if', 'location'].includes(name))
  );
}

function pathOf(draft: Draft, location: Directive, modifier: string, written: string, source: string): unknown {
  const { line } = location;
  if (modifier === '=') return written;
  if (modifier === '~' || modifier === '~*') {
    // nginx searches anywhere in the path; a route here matches all of it.
    const reading = { isSearched: true, isCaseless: modifier === '~*' };
    const whole = wholePath(written, reading);
    if ('regex' in whole) return whole;
    const wider = wholePath(written, { ...reading, widely: true });
    if (onlyRefuses(location) && 'regex' in wider) {
      draft.approximate(source, `more is refused than there: ${whole.problem}`, line);
      return wider;
    }
    draft.lost(source, `the expression is not taken here: ${whole.problem}; other locations take its requests`, line);
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

const FIRST_REGEX = 1_000;
/** Before all locations. */
const FIRST = 250_000;

/** Exact before `^~`, before expressions in their order, before prefixes; longer prefixes first is our own order. */
function priorityOf(modifier: string, written: string, index: number, count: number): number {
  if (modifier === '=') return 200_000;
  if (modifier === '^~') return 100_000 + Math.min(written.length, 90_000);
  return index < 0 ? 0 : FIRST_REGEX + (count - index);
}
