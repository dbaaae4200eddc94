/**
 * Which paths may be routed by. The gateway matches and forwards one path, byte for byte, and resolves nothing in it:
 * a path that an upstream could read as another one, and so reach what another route guards, is refused (400
 * `unsafe_path`). Called with the matched route's settings; router/readings.ts asks the other half of the question,
 * whether a second reading would choose another route.
 *
 * Nothing is decoded here for good, so a percent-encoded letter does not match a literal route: with the routes
 * `/admin` (guarded) and `/*` (open), `/%61dmin` would match `/*` and an upstream that decodes would serve `/admin`.
 * Normalising it would be the other way out, but then the upstream sees bytes that the caller did not sign or cache
 * by, and one that does not decode sees another path than the caller asked for. RFC 3986 §2.3 says that unreserved
 * characters should not be encoded by producers, so hardly anybody loses by the refusal. `%7E` is let through:
 * RFC 1738 counted `~` as unsafe and some libraries still encode it; the second reading guards that case.
 *
 * The same reasoning refuses, always: encoded control characters (NUL ends strings), bytes that are not UTF-8
 * (overlong forms of `/` and `.`), and a raw backslash (a slash to some). What a route may opt in to, with
 * `PathSafety`: dot segments, `//`, and `%2F`, `%5C`, `%2E`, each also when encoded twice (`%252F`).
 */
import type { PathSafety } from '../contract/snapshot.ts';
import { HEX } from './bytes.ts';

/** Says why `path` is refused, or nothing. Takes any string; whatever is no path at all is refused too. */
export function pathProblem(path: string, safety: PathSafety): string | undefined {
  const length = path.length;
  if (path.charCodeAt(0) !== SLASH) return path === '*' ? undefined : 'the path does not begin with a slash';
  let hasHighBytes = false;
  for (let i = 0; i < length; i++) {
    const code = path.charCodeAt(i);
    if (code === SLASH) {
      const next = path.charCodeAt(i + 1);
      if (next === SLASH && !safety.allowDoubleSlash) return 'the path has a double slash';
      // A dot segment may begin with a dot or, encoded, with a percent sign.
      if ((next === DOT || next === PERCENT) && !safety.allowDotSegments && isDotSegment(path, i + 1)) {
        return 'the path has a dot segment';
      }
    } else if (code === PERCENT) {
      const problem = escapeProblem(path, i, safety);
      if (problem !== undefined) return problem;
      if (path.charCodeAt(i + 1) >= 0x38) hasHighBytes = true;
      i += 2;
    } else if (code === BACKSLASH) return 'the path has a backslash';
    else if (code <= 0x20 || code >= 0x7f || code === 0x3f || code === 0x23) {
      return 'the path has a character that must be percent-encoded';
    }
  }
  if (hasHighBytes && !isUtf8(path)) return 'the path has encoded bytes that are not UTF-8';
  return undefined;
}

const SLASH = 0x2f;
const DOT = 0x2e;
const PERCENT = 0x25;
const BACKSLASH = 0x5c;
const TILDE = 0x7e;

function escapeProblem(path: string, at: number, safety: PathSafety): string | undefined {
  const code = escapedByte(path, at);
  if (code < 0) return 'a "%" in the path does not begin an encoded byte';
  if (code < 0x20 || code === 0x7f) return 'the path has an encoded control character';
  if (code !== PERCENT) return delimiterProblem(code, safety) ?? unreservedProblem(code);
  // `%252F` is `%2F` to an upstream behind another proxy that decodes once more than it should.
  const inner = hexByte(path, at + 3);
  if (inner === 0) return 'the path has an encoded control character';
  return inner < 0 ? undefined : delimiterProblem(inner, safety);
}

function delimiterProblem(code: number, safety: PathSafety): string | undefined {
  if (code === SLASH) return safety.allowEncodedSlash ? undefined : 'the path has an encoded slash';
  if (code === BACKSLASH) return safety.allowEncodedBackslash ? undefined : 'the path has an encoded backslash';
  if (code === DOT) return safety.allowEncodedDot ? undefined : 'the path has an encoded dot';
  return undefined;
}

function unreservedProblem(code: number): string | undefined {
  if (code === TILDE || code === DOT || !isUnreserved(code)) return undefined;
  return 'the path has an encoded character that needs no encoding';
}

/**
 * RFC 3986 §5.2.4, for `.` and `..`, either dot encoded or not. What stands behind a `;` does not count: servlet
 * containers take it off before they look at the segment, so that `/..;/` climbs there.
 */
function isDotSegment(path: string, start: number): boolean {
  let at = start;
  let dots = 0;
  for (; dots < 3; dots++) {
    if (path.charCodeAt(at) === DOT) at++;
    else if (escapedByte(path, at) === DOT) at += 3;
    else break;
  }
  if (dots === 0 || dots === 3) return false;
  const next = path.charCodeAt(at);
  return at >= path.length || next === SLASH || next === 0x3b || escapedByte(path, at) === 0x3b;
}

/** The byte that the escape at `percent` stands for, or -1 where there is none. */
export function escapedByte(text: string, percent: number): number {
  return text.charCodeAt(percent) === PERCENT ? hexByte(text, percent + 1) : -1;
}

/** Two hexadecimal digits, or -1. */
function hexByte(text: string, at: number): number {
  const high = HEX[text.charCodeAt(at)] ?? 255;
  const low = HEX[text.charCodeAt(at + 1)] ?? 255;
  return high === 255 || low === 255 ? -1 : high * 16 + low;
}

/** RFC 3986 §2.3. */
function isUnreserved(code: number): boolean {
  return (
    (code >= 0x61 && code <= 0x7a) ||
    (code >= 0x41 && code <= 0x5a) ||
    (code >= 0x30 && code <= 0x39) ||
    code === 0x2d ||
    code === DOT ||
    code === 0x5f ||
    code === TILDE
  );
}

function isUtf8(path: string): boolean {
  try {
    decodeURIComponent(path);
    return true;
  } catch {
    return false;
  }
}
