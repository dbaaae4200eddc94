/**
 * One route under one of its hosts, compiled for matching. Where it stands among the
 * others is decided in contract/route-order.ts; whether its host and path fit is found out by host-table.ts and
 * path-table.ts before it is asked.
 */
import { literalPrefix, wholeRegex } from '../../base/safe-regex.ts';
import { isSameData } from '../../base/same-data.ts';
import type { RouteEntry } from '../contract/route-order.ts';
import { isParamName, type Pattern } from '../contract/route-pattern.ts';
import type { PathSafety, RouteSettings } from '../contract/snapshot.ts';
import { compileFieldTests, type FieldTest } from './field-tests.ts';
import { strippedPrefixOf } from './path-prefix.ts';
import { compileVersion, type VersionTest } from './requested-version.ts';

/** Fields that a match reads come first; a class keeps them in this order in memory. Patterns are not kept. */
export class Candidate {
  readonly rank: number;
  readonly group: number;
  /** As configured, and HEAD where GET is; null is any. */
  readonly methods: readonly string[] | null;
  readonly headers: readonly FieldTest[];
  readonly query: readonly FieldTest[];
  readonly version: VersionTest | null;
  /** Null for patterns. */
  readonly regex: RegExp | null;
  readonly params: PathParams;
  /** Segments before the `/*`; -1 without one. */
  readonly wildcardSegment: number;
  /** Of the route in the snapshot; the route itself is the router's to give, which outlives one. */
  readonly index: number;
  readonly pathSafety: PathSafety;
  /** What a path must begin with before it is worth running `regex`. */
  readonly regexPrefix: string;
  /** The pattern itself has a `;`, so that one in a path need not begin a parameter. */
  readonly hasSemicolon: boolean;
  readonly host: string;
  /** What the route takes off the front of the path, as paths are spelled; empty for nothing. */
  readonly strippedPrefix: string;

  constructor(entry: RouteEntry, pool: Pool) {
    const { route, pattern } = entry;
    const { match } = route;
    const source = match.path.kind === 'regex' ? match.path.source : null;
    this.rank = entry.rank;
    this.group = entry.group;
    this.methods = pool.methods(match.methods);
    this.headers = match.headers.length === 0 ? NO_TESTS : compileFieldTests(match.headers);
    this.query = match.query.length === 0 ? NO_TESTS : compileFieldTests(match.query);
    this.version = compileVersion(route.version);
    this.regex = source === null ? null : wholeRegex(source);
    this.params = pattern === null ? NO_PATH_PARAMS : pool.params(pattern);
    this.wildcardSegment = pattern?.wildcard === true ? pattern.segments.length : -1;
    this.index = entry.index;
    this.pathSafety = route.pathSafety;
    this.regexPrefix = source === null ? '' : literalPrefix(source);
    this.hasSemicolon = match.path.kind === 'pattern' && match.path.pattern.includes(';');
    this.host = entry.host.toLowerCase();
    this.strippedPrefix = strippedPrefixOf(route.rewrite);
  }
}

/** True when candidates of both routes would be the same in all that `Candidate` and contract/route-order.ts read. */
export function isFoundAlike(a: RouteSettings, b: RouteSettings): boolean {
  if (a === b) return true;
  return (
    a.priority === b.priority &&
    isSameData(a.match, b.match) &&
    isSameData(a.version, b.version) &&
    isSameData(a.pathSafety, b.pathSafety) &&
    strippedPrefixOf(a.rewrite) === strippedPrefixOf(b.rewrite)
  );
}

/** Which segments are parameters, and their names. */
interface PathParams {
  readonly names: readonly string[];
  readonly segments: readonly number[];
}

const NO_TESTS: readonly FieldTest[] = [];
const NO_PATH_PARAMS: PathParams = { names: [], segments: [] };

/**
 * Small things that thousands of candidates share: with one copy each, a match among 10,000 routes finds them in the
 * processor's cache (it took half as long again without).
 */
export class Pool {
  readonly #methods = new Map<string, readonly string[]>();
  readonly #params = new Map<string, PathParams>();

  methods(methods: readonly string[]): readonly string[] | null {
    if (methods.length === 0) return null;
    const all = methods.includes('GET') && !methods.includes('HEAD') ? [...methods, 'HEAD'] : methods;
    return shared(this.#methods, all.join(), () => all);
  }

  params({ segments }: Pattern): PathParams {
    const at = segments.flatMap((segment, index) => (segment.kind === 'param' ? [index] : []));
    // Keys of an object, because storing under any other string makes the engine look it up first.
    const names = Object.keys(
      Object.fromEntries(segments.flatMap((segment) => (segment.kind === 'param' ? [[segment.name, 0]] : []))),
    );
    return names.length === 0
      ? NO_PATH_PARAMS
      : shared(this.#params, `${names} ${at}`, () => ({ names, segments: at }));
  }
}

function shared<Value>(values: Map<string, Value>, key: string, make: () => Value): Value {
  let value = values.get(key);
  if (value === undefined) {
    value = make();
    values.set(key, value);
  }
  return value;
}

export function takesMethod(candidate: Candidate, method: string): boolean {
  const { methods } = candidate;
  if (methods === null) return true;
  for (let i = 0; i < methods.length; i++) if (methods[i] === method) return true;
  return false;
}

export function matchesRegex(candidate: Candidate, path: string): boolean {
  const { regex } = candidate;
  return regex === null || (path.startsWith(candidate.regexPrefix) && regex.test(path));
}

export type Params = Readonly<Record<string, string>>;

export const NO_PARAMS: Params = Object.freeze({});

/** The parameters that a path, known to match, gives. */
export function readParams(candidate: Candidate | null, path: string): Params {
  if (candidate === null) return NO_PARAMS;
  if (candidate.regex !== null) return regexParams(candidate.regex, path);
  const { names, segments } = candidate.params;
  if (names.length === 0) return NO_PARAMS;
  const params: Record<string, string> = {};
  let start = 1;
  let segment = 0;
  for (let i = 0; i < names.length; i++) {
    for (; segment < segments[i]!; segment++) start = path.indexOf('/', start) + 1;
    const slash = path.indexOf('/', start);
    params[names[i]!] = decode(slash < 0 ? path.slice(start) : path.slice(start, slash));
  }
  return params;
}

/** Offset of what the `/*` took, its slash included; -1 without one. */
export function wildcardStart(candidate: Candidate | null, path: string): number {
  if (candidate === null || candidate.wildcardSegment < 0) return -1;
  let at = 0;
  for (let segment = 0; segment < candidate.wildcardSegment; segment++) {
    at = path.indexOf('/', at + 1);
    if (at < 0) return path.length;
  }
  return at;
}

function regexParams(regex: RegExp, path: string): Params {
  const groups = regex.exec(path)?.groups;
  if (groups === undefined) return NO_PARAMS;
  const params: Record<string, string> = {};
  for (const [name, value] of Object.entries(groups)) {
    if (value !== undefined && isParamName(name)) params[name] = decode(value);
  }
  return params;
}

function decode(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
