/**
 * Finds routes that can never match, because one that goes before them takes every request that they could take:
 * duplicates, routes behind a wildcard of higher priority, regular expressions behind a pattern. Such a mistake would
 * stay unseen until the rules of the route are needed, so the configuration is refused (compile.ts).
 *
 * Only what is certain is reported: one single route must cover the other's host, path, methods and conditions. What
 * several routes cover together, and what regular expressions have in common, is left alone. Routes are taken in
 * their total order (data/contract/route-order.ts) and looked up in an index of those before them, so that 10,000
 * routes take a fraction of a second.
 */

import { literalPrefix, matchesEverything, wholeRegex } from '../../base/safe-regex.ts';
import { atOnce, type Steps } from '../../base/slices.ts';
import { orderSteps, type RouteEntry } from '../../data/contract/route-order.ts';
import type { RouteSettings } from '../../data/contract/snapshot.ts';
import { type Conditions, conditionsOf, coversConditions, coversMethods } from './route-conditions.ts';

export interface RouteConflict {
  /** Index of the route that never matches. */
  readonly route: number;
  /** Index of the route that takes its requests; the route itself where its conditions contradict each other. */
  readonly other: number;
  readonly problem: string;
}

/** Throws a TypeError on a path that is no pattern or an expression that is refused; both are reported before. */
export function findRouteConflicts(routes: readonly RouteSettings[]): RouteConflict[] {
  return atOnce(conflictSteps(routes));
}

/** The same, beside other work. */
export function* conflictSteps(routes: readonly RouteSettings[]): Steps<RouteConflict[]> {
  const conditions = routes.map(conditionsOf);
  const index = new Index(commonness(conditions));
  /** Of each route, the hosts under which it can still match. */
  const open = routes.map((route) => Math.max(new Set(route.match.hosts).size, 1));
  const conflicts: RouteConflict[] = [];
  for (const entry of yield* orderSteps(routes)) {
    yield;
    const own = conditions[entry.index]!;
    if (own.contradiction !== null) {
      if (open[entry.index] !== 0)
        conflicts.push({ route: entry.index, other: entry.index, problem: own.contradiction });
      open[entry.index] = 0;
      continue;
    }
    const item: Item = { entry, conditions: own };
    const cover = index.findCover(item);
    if (cover === null) {
      index.add(item);
      continue;
    }
    open[entry.index]!--;
    if (open[entry.index] === 0) conflicts.push(conflictOf(entry, cover.entry));
  }
  return conflicts.sort((a, b) => a.route - b.route);
}

function conflictOf(entry: RouteEntry, cover: RouteEntry): RouteConflict {
  const name = `routes[${cover.index}] (${cover.route.id})`;
  const mine = entry.route;
  const other = cover.route;
  let why = 'it goes before this one';
  if (other.priority > mine.priority) why = `its priority ${other.priority} is higher`;
  else if (mine.match.path.kind === 'regex' && other.match.path.kind === 'pattern') {
    why = 'patterns go before regular expressions; give this one a higher priority';
  } else if (samePath(entry, cover)) why = 'it matches the same and stands earlier';
  return { route: entry.index, other: cover.index, problem: `can never match: ${name} takes every request; ${why}` };
}

function samePath(a: RouteEntry, b: RouteEntry): boolean {
  const [one, other] = [a.route.match.path, b.route.match.path];
  if (one.kind === 'regex' || other.kind === 'regex') return false;
  const shape = (entry: RouteEntry) =>
    JSON.stringify([
      entry.host,
      entry.pattern?.wildcard,
      entry.pattern?.segments.map((segment) => (segment.kind === 'literal' ? segment.text : null)),
    ]);
  return shape(a) === shape(b);
}

interface Item {
  readonly entry: RouteEntry;
  readonly conditions: Conditions;
}

/** How many routes have a condition; the rarest one of a route is the one to find it by. */
function commonness(all: readonly Conditions[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { own } of all) for (const key of own) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
}

/** Routes that have one path pattern, or one expression, by what they ask besides. */
class Group {
  readonly #counts: ReadonlyMap<string, number>;
  readonly #unconditional: Item[] = [];
  readonly #byRarest = new Map<string, Item[]>();

  constructor(counts: ReadonlyMap<string, number>) {
    this.#counts = counts;
  }

  add(item: Item): void {
    const keys = [...item.conditions.own];
    if (keys.length === 0) {
      this.#unconditional.push(item);
      return;
    }
    const rarest = keys.reduce((a, b) => ((this.#counts.get(b) ?? 0) < (this.#counts.get(a) ?? 0) ? b : a));
    const same = this.#byRarest.get(rarest);
    if (same === undefined) this.#byRarest.set(rarest, [item]);
    else same.push(item);
  }

  find(wanted: Item): Item | null {
    const covers = (item: Item) =>
      item.entry.index !== wanted.entry.index &&
      coversMethods(item.entry.route.match.methods, wanted.entry.route.match.methods) &&
      coversConditions(item.conditions, wanted.conditions);
    const unconditional = this.#unconditional.find(covers);
    if (unconditional !== undefined || this.#byRarest.size === 0) return unconditional ?? null;
    for (const key of wanted.conditions.implied) {
      const found = this.#byRarest.get(key)?.find(covers);
      if (found !== undefined) return found;
    }
    return null;
  }
}

class Node {
  readonly literals = new Map<string, Node>();
  param: Node | null = null;
  exits: Group | null = null;
  rests: Group | null = null;
}

/** The routes of one host pattern that came so far. */
class HostIndex {
  readonly root = new Node();
  readonly bySource = new Map<string, Group>();
  everything: Group | null = null;
  /** Expressions, to be tried on literal paths. */
  readonly regexes: { readonly regex: RegExp; readonly prefix: string; readonly group: Group }[] = [];
}

/**
 * Trying every expression on every literal path is the one thing here that grows with the square of the number of
 * routes. After this many the rest is not looked at: it would be possible to miss a conflict, never to invent one.
 */
const MAX_REGEX_TRIALS = 2_000_000;

class Index {
  readonly #counts: ReadonlyMap<string, number>;
  readonly #hosts = new Map<string, HostIndex>();
  #trials = 0;

  constructor(counts: ReadonlyMap<string, number>) {
    this.#counts = counts;
  }

  add(item: Item): void {
    const { entry } = item;
    let host = this.#hosts.get(entry.host);
    if (host === undefined) {
      host = new HostIndex();
      this.#hosts.set(entry.host, host);
    }
    this.#groupFor(host, entry).add(item);
  }

  /** A route before this one that takes all its requests, or null. */
  findCover(wanted: Item): Item | null {
    for (const name of coveringHosts(wanted.entry.host)) {
      const host = this.#hosts.get(name);
      const found = host === undefined ? null : this.#findIn(host, wanted);
      if (found !== null) return found;
    }
    return null;
  }

  #findIn(host: HostIndex, wanted: Item): Item | null {
    const { pattern, route } = wanted.entry;
    const found = host.everything?.find(wanted) ?? null;
    if (found !== null) return found;
    if (pattern !== null) {
      const texts = pattern.segments.map((segment) => (segment.kind === 'literal' ? segment.text : null));
      return findInTree(host.root, texts, 0, !pattern.wildcard, wanted) ?? this.#findRegex(host, texts, wanted);
    }
    const source = route.match.path.kind === 'regex' ? route.match.path.source : '';
    const same = host.bySource.get(source)?.find(wanted) ?? null;
    if (same !== null) return same;
    // Whatever the expression matches begins with these whole segments.
    const begin = literalPrefix(source).split('/').slice(1, -1);
    return findInTree(host.root, begin, 0, false, wanted);
  }

  /** An expression with more priority, or a more exact host, may match a literal path. */
  #findRegex(host: HostIndex, texts: readonly (string | null)[], wanted: Item): Item | null {
    if (host.regexes.length === 0 || wanted.entry.pattern!.wildcard || texts.includes(null)) return null;
    const path = `/${texts.join('/')}`;
    for (const { regex, prefix, group } of host.regexes) {
      if (++this.#trials > MAX_REGEX_TRIALS) return null;
      if (!path.startsWith(prefix) || !regex.test(path)) continue;
      const found = group.find(wanted);
      if (found !== null) return found;
    }
    return null;
  }

  #groupFor(host: HostIndex, entry: RouteEntry): Group {
    const { pattern, route } = entry;
    if (pattern === null) {
      const source = route.match.path.kind === 'regex' ? route.match.path.source : '';
      if (matchesEverything(source)) {
        host.everything ??= new Group(this.#counts);
        return host.everything;
      }
      let group = host.bySource.get(source);
      if (group === undefined) {
        group = new Group(this.#counts);
        host.bySource.set(source, group);
        host.regexes.push({ regex: wholeRegex(source), prefix: literalPrefix(source), group });
      }
      return group;
    }
    let node = host.root;
    for (const segment of pattern.segments) {
      let next = segment.kind === 'param' ? node.param : node.literals.get(segment.text);
      if (next === undefined || next === null) {
        next = new Node();
        if (segment.kind === 'param') node.param = next;
        else node.literals.set(segment.text, next);
      }
      node = next;
    }
    if (pattern.wildcard) {
      node.rests ??= new Group(this.#counts);
      return node.rests;
    }
    node.exits ??= new Group(this.#counts);
    return node.exits;
  }
}

/**
 * Patterns that match whatever `texts` does; null in it is a parameter. `ends`: the path ends behind the last
 * segment; otherwise anything may follow, so that only a final `/*` covers it.
 */
function findInTree(
  node: Node,
  texts: readonly (string | null)[],
  at: number,
  ends: boolean,
  wanted: Item,
): Item | null {
  const rest = node.rests?.find(wanted) ?? null;
  if (rest !== null) return rest;
  if (at === texts.length) return ends ? (node.exits?.find(wanted) ?? null) : null;
  const text = texts[at]!;
  const literal = text === null ? undefined : node.literals.get(text);
  const found = literal === undefined ? null : findInTree(literal, texts, at + 1, ends, wanted);
  if (found !== null) return found;
  // A parameter takes no empty segment.
  if (node.param === null || text === '') return null;
  return findInTree(node.param, texts, at + 1, ends, wanted);
}

/** The host patterns that match whatever `host` does, itself first. */
function coveringHosts(host: string): string[] {
  const covering = [host];
  const name = host.startsWith('*.') ? host.slice(2) : host;
  for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) covering.push(`*${name.slice(dot)}`);
  if (host !== '') covering.push('');
  return covering;
}
