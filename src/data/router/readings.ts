/**
 * The other ways in which a service may read a path. The router matches a path as it is written, escapes in capitals
 * (RFC 3986 §6.2.2.1 makes `%c3` and `%C3` one). Many frameworks decode a path before they match it, once or twice;
 * servers merge slashes; Windows and browsers take `\` for `/`; servlet containers cut `;parameters` off each segment;
 * `new URL(target, base)` takes what stands behind `//` for a host. So with the routes `/admin/*` (guarded) and `/*`
 * (open), `/%61dmin/x`, `//admin/x`, `/;/admin/x` or `/x%2F..%2Fadmin` would reach the guarded resource by the open
 * route. None of these forms is wrong in itself: package names hold `%2F`, joined base URLs make `//`, e-mail
 * addresses come as `bob%40example.com`. So they pass as long as no reading belongs to another route or climbs.
 *
 * The readings are everything that these steps make of the path in any order and number. Each step only shortens or
 * simplifies, so there is an end; a path with more than `MAX_READINGS` was made by an attacker.
 */
import type { PathSafety } from '../contract/snapshot.ts';

const ESCAPE = /%[0-9A-Fa-f]{2}/g;
/** RFC 3986 §3.3: what may stand in a segment without being encoded. */
const PLAIN = /[A-Za-z0-9\-._~!$&'()*+,;=:@]/;

const MAX_READINGS = 256;
/** Characters in all readings together: bounds the work for a long path. */
const MAX_CHARACTERS = 128 * 1024;

/** Has the path more than one reading? */
export function needsReadings(path: string): boolean {
  return path.includes('%') || path.includes(';') || path.includes('//');
}

/** The path as it is matched; same length, so offsets are the same. */
export function capitalEscapes(path: string): string {
  return path.includes('%') ? path.replace(ESCAPE, (escaped) => escaped.toUpperCase()) : path;
}

/**
 * The spelling that RFC 3986 §6.2.2.2 calls equivalent, slashes merged: what a path is matched by that matches nothing
 * as it was written. It loses nothing that could be data.
 */
export function plainSpelling(path: string): string {
  return mergeSlashes(unescapePlain(path));
}

/** Which readings are not looked at because the route says that the form is data to its service. */
export interface ReadAsData {
  readonly slash: boolean;
  readonly backslash: boolean;
  readonly doubleSlash: boolean;
  readonly semicolon: boolean;
}

const NO_DATA: ReadAsData = { slash: false, backslash: false, doubleSlash: false, semicolon: false };

/** `hasSemicolon`: the route's own pattern has one, so that one in a path need not begin a parameter. */
export function readAsData(safety: PathSafety, hasSemicolon: boolean): ReadAsData {
  const { allowEncodedSlash, allowEncodedBackslash, allowDoubleSlash } = safety;
  if (!allowEncodedSlash && !allowEncodedBackslash && !allowDoubleSlash && !hasSemicolon) return NO_DATA;
  return {
    slash: allowEncodedSlash,
    backslash: allowEncodedBackslash,
    doubleSlash: allowDoubleSlash,
    semicolon: hasSemicolon,
  };
}

/** All readings of a path in capital escapes, itself first; null: too many. */
export function readingsOf(path: string, data: ReadAsData = NO_DATA): readonly string[] | null {
  const readings = new Set([path]);
  let characters = path.length;
  // A Set also gives what is added while it is gone through.
  for (const known of readings) {
    for (const reading of stepsFrom(known, data)) {
      if (readings.has(reading)) continue;
      characters += reading.length;
      if (readings.size === MAX_READINGS || characters > MAX_CHARACTERS) return null;
      readings.add(reading);
    }
  }
  return [...readings];
}

/** RFC 3986 §5.2.4, also when a `;` follows the dots. */
export function hasDotSegment(path: string): boolean {
  return path.includes('/.') && /\/\.\.?(?:[/;]|$)/.test(path);
}

function stepsFrom(path: string, data: ReadAsData): string[] {
  const next: string[] = [];
  if (path.includes('%')) {
    next.push(unescapePlain(path), path.replaceAll(/%25(?=[0-9A-Fa-f]{2})/g, '%').replace(ESCAPE, capitals));
    if (!data.slash) next.push(path.replaceAll('%2F', '/'));
    if (!data.backslash) next.push(path.replaceAll('%5C', '/'));
  }
  if (path.includes(';') && !data.semicolon) next.push(path.replaceAll(/;[^/]*/g, ''));
  if (path.includes('//') && !data.doubleSlash) {
    next.push(mergeSlashes(path));
    if (path.startsWith('//')) next.push(path.replace(/^\/+[^/]*/, '') || '/');
  }
  return next;
}

function capitals(escaped: string): string {
  return escaped.toUpperCase();
}

/** As read by a service that decodes what needs no encoding. */
function unescapePlain(path: string): string {
  if (!path.includes('%')) return path;
  return path.replace(ESCAPE, (escaped) => {
    const char = String.fromCharCode(Number.parseInt(escaped.slice(1), 16));
    return PLAIN.test(char) ? char : escaped;
  });
}

function mergeSlashes(path: string): string {
  return path.includes('//') ? path.replaceAll(/\/{2,}/g, '/') : path;
}
