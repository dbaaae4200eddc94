/**
 * Where callers find an operation that a service knows by a path of its own: rewriting undone, and the route's pattern
 * looked at. Paths are those of OpenAPI, with `{name}` in place of a value.
 */
import {
  type Pattern,
  parsePattern,
  type Segment,
  spellLiteral,
  spellPrefix,
} from '../../data/contract/route-pattern.ts';
import type { RewriteSettings, RouteSettings } from '../../data/contract/snapshot.ts';

/** A path, or why there is none; null where the route simply does not lead there. */
export type Routed = { readonly path: string } | { readonly problem: string } | null;

export function routedPath({ match, rewrite }: RouteSettings, upstream: string): Routed {
  if (match.path.kind === 'regex') return { problem: 'the route has a regular expression for a path' };
  const pattern = parsePattern(match.path.pattern);
  if (rewrite === null) return fits(pattern, upstream) ? { path: upstream } : null;
  if (rewrite.regex !== null) return { problem: 'rewrite.regex cannot be undone' };
  const inner = withoutPrefix(upstream, rewrite.addPrefix);
  if (inner === null) return null;
  if (rewrite.path !== null) return fromTemplate(pattern, parsePattern(rewrite.path), inner);
  for (const path of candidates(inner, rewrite)) if (fits(pattern, path)) return { path };
  return null;
}

/** Does the pattern match every path that the template stands for? */
export function fits({ segments, wildcard }: Pattern, path: string): boolean {
  const parts = segmentsOf(path);
  if (wildcard ? parts.length < segments.length : parts.length !== segments.length) return false;
  return segments.every((segment, i) => segment.kind === 'param' || spelled(parts[i]!) === segment.text);
}

/** `/a/{id}` as `['a', '{id}']`; `/` as one empty segment, as in patterns. */
function segmentsOf(path: string): string[] {
  return path.slice(1).split('/');
}

function spelled(segment: string): string {
  return segment.includes('{') ? segment : spellLiteral(segment);
}

/** The prefix is taken off when it is there, so both spellings may lead to a path. */
function candidates(inner: string, { stripPrefix }: RewriteSettings): string[] {
  if (stripPrefix === null) return [inner];
  const prefix = spellPrefix(stripPrefix);
  return [inner === '/' ? prefix : prefix + inner, inner];
}

function withoutPrefix(path: string, prefix: string | null): string | null {
  if (prefix === null) return path;
  const spelledPrefix = spellPrefix(prefix);
  if (path === spelledPrefix) return '/';
  return path.startsWith(`${spelledPrefix}/`) ? path.slice(spelledPrefix.length) : null;
}

/** `rewrite.path` filled in backwards. */
function fromTemplate(pattern: Pattern, template: Pattern, path: string): Routed {
  const parts = segmentsOf(path);
  if (template.wildcard ? parts.length < template.segments.length : parts.length !== template.segments.length)
    return null;
  const values = new Map<string, string>();
  for (const [i, segment] of template.segments.entries()) {
    const part = parts[i]!;
    if (segment.kind === 'param') values.set(segment.name, part);
    else if (spelled(part) !== segment.text) return null;
  }
  const rest = template.wildcard ? parts.slice(template.segments.length) : [];
  const value = (segment: Segment): string =>
    segment.kind === 'literal' ? segment.text : (values.get(segment.name) ?? `{${segment.name}}`);
  return { path: `/${[...pattern.segments.map(value), ...rest].join('/')}` };
}
