/**
 * What an unsafe request makes invalid when it was successful (RFC 9111 §4.4): its own URI, Location and
 * Content-Location.
 */

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'QUERY', 'PROPFIND', 'REPORT', 'SEARCH']);

/** RFC 9110 §9.2.1, for those that are known. */
export function isSafe(method: string): boolean {
  return SAFE.has(method);
}

export function invalidates(method: string, status: number): boolean {
  return !SAFE.has(method) && status >= 200 && status < 400;
}

/** Path and query that a field names, when it is of the same origin as the request; null otherwise. */
export function sameOriginTarget(field: string | null, origin: string, base: string): string | null {
  if (field === null) return null;
  try {
    const url = new URL(field, `${origin}${base}`);
    // Compared by scheme, host and port, each in its canonical form.
    if (url.origin !== new URL(origin).origin) return null;
    return `${url.pathname}${url.search}`;
  } catch {
    return null;
  }
}
