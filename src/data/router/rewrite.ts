/**
 * Changes the path before it is sent upstream. Compiled once per route; the exchange calls the result with the path
 * and what the router found in it. In this order: `path` replaces the path, or else `stripPrefix` shortens it; then
 * `regex`; then `addPrefix`. (The Host that a rewrite names is a plain text; the exchange sends it as it is.)
 *
 * What a caller sends must not become structure on the way: a parameter is put back percent-encoded, so that one with
 * a slash in it stays one segment, and a result that has a dot segment or a double slash where the caller's path had
 * none is refused (`null`: 400 `unsafe_path`), as is one that is no path any more.
 */
import { wholeRegex } from '../../base/safe-regex.ts';
import { parsePattern, spellPrefix } from '../contract/route-pattern.ts';
import type { PathMatch, RewriteSettings } from '../contract/snapshot.ts';
import { readTarget, Target } from '../parser/target.ts';
import { hasPrefix } from './path-prefix.ts';
import { capitalEscapes, hasDotSegment, readingsOf } from './readings.ts';

/** What the router found, as `RouteMatchResult` has it. */
export interface Matched {
  readonly params: Readonly<Record<string, string>>;
  readonly wildcard: string;
}

/**
 * Gives the path to send, or null when it would not be safe to send it. Empty: stripping has left nothing, so that an
 * instance with a path of its own gets that path alone.
 */
export type Rewrite = (path: string, matched: Matched) => string | null;

/**
 * Null when the path stays as it is. Throws a TypeError on a template or an expression that the check of the
 * configuration should have refused. `match` is the route's own path: a template names its parameters.
 */
export function compileRewrite(settings: RewriteSettings, match: PathMatch): Rewrite | null {
  const { path: template, stripPrefix, regex, addPrefix } = settings;
  const steps: Step[] = [];
  if (template !== null) steps.push(fill(template, match));
  else if (stripPrefix !== null) steps.push(strip(spellPrefix(stripPrefix)));
  if (regex !== null) steps.push(replace(regex.source, regex.replacement));
  if (addPrefix !== null && spellPrefix(addPrefix) !== '') steps.push(add(spellPrefix(addPrefix)));
  const [first, ...others] = steps;
  if (first === undefined) return null;
  // A prefix that comes or goes at the end of a segment makes no structure that was not there.
  const isSafe = template === null && regex === null;
  return (path, matched) => {
    let result = first(path, matched);
    for (const step of others) result = step(result, matched);
    return isSafe || result === path || isSafeChange(path, result) ? result : null;
  };
}

type Step = (path: string, matched: Matched) => string;

/** `/users/:id/*`: literals, parameters of the match, and its rest. */
function fill(template: string, match: PathMatch): Step {
  const { segments, wildcard } = parsePattern(template);
  if (wildcard && !(match.kind === 'pattern' && parsePattern(match.pattern).wildcard)) {
    throw new TypeError(`the path "${template}" ends in "/*" and that of the route does not`);
  }
  return (_path, matched) => {
    let result = '';
    for (const segment of segments) {
      result += '/';
      // A group of a regular expression that took no part is empty.
      result += segment.kind === 'literal' ? segment.text : encodeURIComponent(matched.params[segment.name] ?? '');
    }
    if (wildcard) result += matched.wildcard;
    return result === '' ? '/' : result;
  };
}

/**
 * Only whole segments: `/api` is taken off `/api/x` and `/api`, not off `/apix`. A base URL with a slash too many makes
 * `/api//x`; what is left of it is `/x`, because a URL parser reads `//x` as a host.
 */
function strip(prefix: string): Step {
  return (path) => {
    if (!hasPrefix(path, prefix)) return path;
    let at = prefix.length;
    while (path.charCodeAt(at + 1) === SLASH) at++;
    return path.slice(at);
  };
}

function add(prefix: string): Step {
  return (path) => prefix + path;
}

/** The expression must match the whole path, as in a route; a path that it does not match stays as it is. */
function replace(source: string, replacement: string): Step {
  const regex = wholeRegex(source);
  return (path) => capitalEscapes(path === '' ? '/' : path).replace(regex, replacement);
}

const scratch = new Target();

function isSafeChange(path: string, result: string): boolean {
  if (readTarget(result, 'GET', scratch) !== undefined || scratch.path !== result || scratch.hasQuery) return false;
  if (!scratch.isSuspicious) return true;
  return (!climbs(result) || climbs(path)) && (!result.includes('//') || path.includes('//'));
}

function climbs(path: string): boolean {
  return readingsOf(capitalEscapes(path))?.some(hasDotSegment) ?? true;
}

const SLASH = 0x2f;
