/**
 * Which paths may be routed by, whatever the routes are. The gateway matches and forwards one path and resolves nothing
 * in it. Called with the matched route's settings; router/readings.ts asks the other half of the question, whether
 * another reading would choose another route or climb.
 *
 * Refused always: dot segments, unless the route opts in; encoded control characters (NUL ends strings); overlong UTF-8
 * (`%C0%AF` is a slash to some decoders). With `strict`, for services whose parsing is unknown, whatever
 * could be read in another way is refused although no route of this gateway is concerned: `//`, `%2F`, `%5C` and `%2E`
 * (also encoded twice), each with an opt-in; unneeded escapes, bytes that are not UTF-8 and bytes that came unencoded.
 *
 * The path is not replaced by a decoded one: the service must see the bytes that the caller signed or caches by.
 */
import type { PathSafety } from '../contract/snapshot.ts';
import { HEX } from './bytes.ts';

/** Says why `path` is refused, or nothing. Takes any string; `isRespelled`: bytes of it came unencoded. */
export function pathProblem(path: string, isRespelled: boolean, safety: PathSafety): string | undefined {
  const length = path.length;
  if (path.charCodeAt(0) !== SLASH) return path === '*' ? undefined : 'the path does not begin with a slash';
  if (isRespelled && safety.strict) return 'the path has a character that must be percent-encoded';
  let hasHighBytes = false;
  for (let i = 0; i < length; i++) {
    const code = path.charCodeAt(i);
    if (code === SLASH) {
      const next = path.charCodeAt(i + 1);
      if (next === SLASH && safety.strict && !safety.allowDoubleSlash) return 'the path has a double slash';
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
  if (!hasHighBytes) return undefined;
  if (OVERLONG.test(path)) return 'the path has an overlong encoding';
  return safety.strict && !isUtf8(path) ? 'the path has encoded bytes that are not UTF-8' : undefined;
}

const SLASH = 0x2f;
const DOT = 0x2e;
const PERCENT = 0x25;
const BACKSLASH = 0x5c;
const TILDE = 0x7e;
/** RFC 3629 §3: the shortest form is the only one. */
const OVERLONG = /%(?:C[01]%[89AB]|E0%[89]|F0%8)/i;

function escapeProblem(path: string, at: number, safety: PathSafety): string | undefined {
  const code = escapedByte(path, at);
  if (code < 0) return 'a "%" in the path does not begin an encoded byte';
  if (code < 0x20 || code === 0x7f) return 'the path has an encoded control character';
  if (code !== PERCENT) return safety.strict ? (delimiterProblem(code, safety) ?? unreservedProblem(code)) : undefined;
  // `%252F` is `%2F` to an upstream behind another proxy that decodes once more than it should.
  const inner = hexByte(path, at + 3);
  if (inner === 0) return 'the path has an encoded control character';
  return inner < 0 || !safety.strict ? undefined : delimiterProblem(inner, safety);
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
