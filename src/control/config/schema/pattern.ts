/**
 * The grammar of path patterns (`match.path`, `rewrite.path`): literal segments, `:name` for one segment, a final `*`
 * for the rest. Says what is wrong with one; how patterns match is the router's affair.
 */

export interface PatternParts {
  readonly names: readonly string[];
  readonly hasRest: boolean;
}

/** Unreserved characters, sub-delims, ":", "@" and percent-encoded octets (RFC 3986 §3.3). */
const SEGMENT = /^(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})*$/;

/** What is wrong with a pattern, or undefined. */
export function patternProblem(pattern: string): string | undefined {
  if (!pattern.startsWith('/')) return 'must start with "/"';
  if (/[?#]/.test(pattern)) return 'must not hold "?" or "#"; a query is matched by `query`';
  const segments = pattern.slice(1).split('/');
  const names = new Set<string>();
  for (const [index, segment] of segments.entries()) {
    const isLast = index === segments.length - 1;
    if (segment === '' && !isLast) return 'must not hold "//"';
    if (segment === '.' || segment === '..') return 'must not hold dot segments';
    if (segment.startsWith('{') && segment.endsWith('}')) return `must name parameters as ":${segment.slice(1, -1)}"`;
    if (segment === '*') {
      if (!isLast) return 'may hold "*" as its last segment only';
      continue;
    }
    if (segment.includes('*')) return 'may hold "*" as a whole segment only';
    if (segment.startsWith(':')) {
      const name = segment.slice(1);
      if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return `has a bad parameter name ":${name}"`;
      if (names.has(name)) return `has the parameter ":${name}" twice`;
      names.add(name);
    } else if (!SEGMENT.test(segment)) {
      return 'must hold characters of a URL path only; percent-encode the others';
    }
  }
  return undefined;
}

export function patternParts(pattern: string): PatternParts {
  const segments = pattern.split('/');
  const names = segments.filter((segment) => segment.startsWith(':')).map((segment) => segment.slice(1));
  return { names, hasRest: segments.at(-1) === '*' };
}

/** Parameters that a regular expression with named groups gives. */
export function regexParts(source: string): PatternParts {
  const names = [...source.matchAll(/\(\?<([A-Za-z_][A-Za-z0-9_]*)>/g)].map((match) => match[1] ?? '');
  return { names, hasRest: false };
}
