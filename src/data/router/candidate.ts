/**
 * One route under one of its hosts, compiled so that a request can be held against it. Where it stands among the
 * others is decided in contract/route-order.ts; whether its host and path fit is found out by host-table.ts and
 * path-trie.ts before it is asked.
 */
import { literalPrefix, wholeRegex } from '../../base/safe-regex.ts';
import type { RouteEntry } from '../contract/route-order.ts';
import { isParamName } from '../contract/route-pattern.ts';
import { compileFieldTests, type FieldTest } from './field-tests.ts';
import { NO_PARAMS } from './match-result.ts';
import { compileVersion, type VersionTest } from './version-test.ts';

export interface Candidate extends RouteEntry {
  /** As configured, and HEAD where GET is; null is any. */
  readonly methods: readonly string[] | null;
  readonly headers: readonly FieldTest[];
  readonly query: readonly FieldTest[];
  readonly version: VersionTest | null;
  /** Null for patterns. */
  readonly regex: RegExp | null;
  /** What a path must begin with before it is worth running `regex`. */
  readonly regexPrefix: string;
  readonly paramNames: readonly string[];
  /** Which segment each parameter is. */
  readonly paramSegments: readonly number[];
  /** Segments before the `/*`; -1 without one. */
  readonly wildcardSegment: number;
  /** The pattern itself has a `;`, so that one in a path need not begin a parameter. */
  readonly hasSemicolon: boolean;
}

export function compileCandidate(entry: RouteEntry): Candidate {
  const { match, version } = entry.route;
  const segments = entry.pattern?.segments ?? [];
  const paramSegments = segments.flatMap((segment, at) => (segment.kind === 'param' ? [at] : []));
  const source = match.path.kind === 'regex' ? match.path.source : null;
  return {
    ...entry,
    methods: methodsOf(match.methods),
    headers: compileFieldTests(match.headers),
    query: compileFieldTests(match.query),
    version: compileVersion(version),
    regex: source === null ? null : wholeRegex(source),
    regexPrefix: source === null ? '' : literalPrefix(source),
    paramNames: segments.flatMap((segment) => (segment.kind === 'param' ? [segment.name] : [])),
    paramSegments,
    wildcardSegment: entry.pattern?.wildcard === true ? segments.length : -1,
    hasSemicolon: match.path.kind === 'pattern' && match.path.pattern.includes(';'),
  };
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

/** The parameters that a path, known to match, gives. */
export function readParams(candidate: Candidate, path: string): Readonly<Record<string, string>> {
  if (candidate.regex !== null) return regexParams(candidate.regex, path);
  const { paramNames, paramSegments } = candidate;
  if (paramNames.length === 0) return NO_PARAMS;
  const params: Record<string, string> = {};
  let start = 1;
  let segment = 0;
  for (let i = 0; i < paramNames.length; i++) {
    for (; segment < paramSegments[i]!; segment++) start = path.indexOf('/', start) + 1;
    const slash = path.indexOf('/', start);
    params[paramNames[i]!] = decode(slash < 0 ? path.slice(start) : path.slice(start, slash));
  }
  return params;
}

/** Offset of what the `/*` took, its slash included; -1 without one. */
export function wildcardStart(candidate: Candidate, path: string): number {
  if (candidate.wildcardSegment < 0) return -1;
  let at = 0;
  for (let segment = 0; segment < candidate.wildcardSegment; segment++) {
    at = path.indexOf('/', at + 1);
    if (at < 0) return path.length;
  }
  return at;
}

function regexParams(regex: RegExp, path: string): Readonly<Record<string, string>> {
  const groups = regex.exec(path)?.groups;
  if (groups === undefined) return NO_PARAMS;
  const params: Record<string, string> = {};
  for (const [name, value] of Object.entries(groups)) {
    if (value !== undefined && isParamName(name)) params[name] = decode(value);
  }
  return params;
}

function methodsOf(methods: readonly string[]): readonly string[] | null {
  if (methods.length === 0) return null;
  return methods.includes('GET') && !methods.includes('HEAD') ? [...methods, 'HEAD'] : methods;
}

function decode(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
