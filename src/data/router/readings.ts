/**
 * The other ways in which an upstream may read a path. The router matches a path as it is written, escapes in
 * capitals (RFC 3986 §6.2.2.1 makes `%c3` and `%C3` one). Many frameworks decode a path before they match it, and
 * servlet containers also cut `;parameters` off each segment; so with the routes `/users:export` (guarded) and `/*`
 * (open), `/users%3Aexport` or `/users:export;x` would reach the guarded resource by the open route. Neither form is
 * wrong in itself: e-mail addresses come as `bob%40example.com`, matrix parameters are in use. So they pass as long
 * as every reading chooses the same route, and are refused as ambiguous when another reading chooses another one.
 *
 * `%2F` is never read as a slash here: routes refuse it unless they opt in, and who opts in says that it is data.
 */

const ESCAPE = /%[0-9A-Fa-f]{2}/g;
/** RFC 3986 §3.3: what may stand in a segment without being encoded. */
const PLAIN = /[A-Za-z0-9\-._~!$&'()*+,;=:@]/;

/** Has the path more than one reading? */
export function needsReadings(path: string): boolean {
  return path.includes('%') || path.includes(';');
}

/** The path as it is matched; same length, so offsets are the same. */
export function capitalEscapes(path: string): string {
  return path.includes('%') ? path.replace(ESCAPE, (escaped) => escaped.toUpperCase()) : path;
}

/** As read by an upstream that decodes what needs no encoding. */
export function plainReading(path: string): string {
  if (!path.includes('%')) return path;
  return path.replace(ESCAPE, (escaped) => {
    const char = String.fromCharCode(Number.parseInt(escaped.slice(1), 16));
    return PLAIN.test(char) ? char : escaped;
  });
}

/** As read by an upstream that takes `;parameters` off each segment. */
export function withoutParameters(path: string): string {
  return path.includes(';') ? path.replace(/;[^/]*/g, '') : path;
}
