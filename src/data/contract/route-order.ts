/**
 * Which of several routes that match goes first: the one total order, used by the router, by `gatehouse routes` and
 * by the search for routes that never match. A route counts once for each of its hosts. From first to last:
 *
 *   1. priority, the higher first
 *   2. host: exact, then `*.example.com` (the longer suffix first), then any
 *   3. path, segment by segment from the left: literal, then `:param`, then `/*`; regular expressions after all these
 *   4. conditions on header fields, query and version (by header or `Accept`): the more first
 *   5. the caller's preference (`q`) where `Accept` names several versions; known only with the request
 *   6. methods: the fewer first, "any" last; HEAD counts where GET brings it, so a route for HEAD goes before it
 *   7. order in the configuration
 */
import { atOnce, mapSteps, type Steps, sortSteps } from '../../base/slices.ts';
import { type Pattern, parsePattern } from './route-pattern.ts';
import type { RouteSettings } from './snapshot.ts';

export interface RouteEntry {
  readonly route: RouteSettings;
  /** Index of the route in the snapshot. */
  readonly index: number;
  /** One of the route's hosts; empty is any. */
  readonly host: string;
  /** Null for a regular expression. */
  readonly pattern: Pattern | null;
  /** Place in the whole order, from 0. */
  readonly rank: number;
  /** Same for neighbours that only criteria 5 to 7 tell apart. */
  readonly group: number;
}

interface Key {
  readonly route: RouteSettings;
  readonly index: number;
  readonly host: string;
  readonly hostRank: number;
  readonly pattern: Pattern | null;
  readonly shape: string;
  readonly conditions: number;
  readonly methods: number;
}

/** All routes, once per host, first to last. Throws a TypeError on a path that is no pattern. */
export function orderRoutes(routes: readonly RouteSettings[]): RouteEntry[] {
  return atOnce(orderSteps(routes));
}

/** The same, beside other work. */
export function* orderSteps(routes: readonly RouteSettings[]): Steps<RouteEntry[]> {
  const keys = yield* sortSteps((yield* mapSteps(routes, keysOf)).flat(), compare);
  const entries: RouteEntry[] = [];
  let group = 0;
  for (let rank = 0; rank < keys.length; rank++) {
    const key = keys[rank]!;
    if (rank > 0 && compareStatic(keys[rank - 1]!, key) !== 0) group++;
    entries.push({ route: key.route, index: key.index, host: key.host, pattern: key.pattern, rank, group });
    if (rank % 64 === 0) yield;
  }
  return entries;
}

/** Conditions beyond host, path and method. */
function conditionCount(route: RouteSettings): number {
  const byVersion = route.version !== null && route.version.by.kind !== 'path' ? 1 : 0;
  return route.match.headers.length + route.match.query.length + byVersion;
}

/** Does a route with `methods` serve `method`? GET also serves HEAD (RFC 9110 §9.3.2). */
export function servesMethod(methods: readonly string[], method: string): boolean {
  if (methods.length === 0 || methods.includes(method)) return true;
  return method === 'HEAD' && methods.includes('GET');
}

function keysOf(route: RouteSettings, index: number): Key[] {
  const { match } = route;
  const pattern = match.path.kind === 'pattern' ? parsePattern(match.path.pattern) : null;
  const hosts = match.hosts.length === 0 ? [''] : [...new Set(match.hosts)];
  return hosts.map((host) => ({
    route,
    index,
    host,
    hostRank: hostRank(host),
    pattern,
    shape: shapeOf(pattern),
    conditions: conditionCount(route),
    methods: methodCount(match.methods),
  }));
}

function methodCount(methods: readonly string[]): number {
  if (methods.length === 0) return Number.POSITIVE_INFINITY;
  return methods.includes('GET') && !methods.includes('HEAD') ? methods.length + 1 : methods.length;
}

/** Exact names are 0; suffixes are negative lengths turned round so that longer ones come first; any is last. */
function hostRank(host: string): number {
  if (host === '') return 1_000;
  return host.startsWith('*.') ? 999 - host.length : 0;
}

/** Letters that sort as criterion 3 says; two patterns that match one path differ in it unless they are one shape. */
function shapeOf(pattern: Pattern | null): string {
  if (pattern === null) return 'r';
  const letters = pattern.segments.map((segment) => (segment.kind === 'literal' ? 'l' : 'p'));
  // End sorts before everything: `/a` goes before `/a/*`, and no other pattern that goes on matches `/a`.
  return `${letters.join('')}${pattern.wildcard ? 'q' : ' '}`;
}

function compareStatic(a: Key, b: Key): number {
  if (a.route.priority !== b.route.priority) return b.route.priority - a.route.priority;
  if (a.hostRank !== b.hostRank) return a.hostRank - b.hostRank;
  if (a.shape !== b.shape) return a.shape < b.shape ? -1 : 1;
  return b.conditions - a.conditions;
}

function compare(a: Key, b: Key): number {
  const order = compareStatic(a, b);
  if (order !== 0) return order;
  // Infinity minus Infinity is not a number, hence no subtraction.
  if (a.methods !== b.methods) return a.methods < b.methods ? -1 : 1;
  return a.index - b.index;
}
