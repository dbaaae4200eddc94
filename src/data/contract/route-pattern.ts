/**
 * The grammar of path and host patterns, for those who check them (control) and those who match them (data/router):
 * one reading for both. Literals are compared as percent-encoded text in one spelling: what a path may hold plainly
 * is plain, everything else is `%XX` in capitals, so `/café`, `/caf%c3%a9` and `/caf%C3%A9` are one pattern.
 */

export type Segment =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'param'; readonly name: string };

export interface Pattern {
  /** `/` is one empty literal, `/a/` ends in one, `/*` has none. */
  readonly segments: readonly Segment[];
  /** Ends in `/*`: the rest, also nothing. */
  readonly wildcard: boolean;
}

const MAX_PATTERN_LENGTH = 2_048;
const MAX_SEGMENTS = 128;

const PARAM_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** RFC 3986 §3.3: what a path segment may hold as it is. */
const PLAIN = /[A-Za-z0-9\-._~!$&'()*+,;=:@]/;
const HOST_LABELS = /^[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/;
const IPV6_LITERAL = /^\[[0-9a-f:.]+\]$/;

/** Says why `pattern` is none, or nothing. */
export function patternProblem(pattern: string): string | undefined {
  if (!pattern.startsWith('/')) return `the path "${pattern}" must begin with "/"`;
  if (pattern.length > MAX_PATTERN_LENGTH) return `the path is longer than ${MAX_PATTERN_LENGTH} characters`;
  if (/[?#]/.test(pattern)) return `the path "${pattern}" must have no "?" or "#"; conditions on the query have a key`;
  const parts = split(pattern);
  if (parts.length > MAX_SEGMENTS) return `the path has more than ${MAX_SEGMENTS} segments`;
  const names = new Set<string>();
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i]!;
    const isLast = i === parts.length - 1;
    if (part === '*' && isLast) continue;
    const problem = part.startsWith(':') ? paramProblem(part.slice(1), names) : literalProblem(part, isLast);
    if (problem !== undefined) return `the path "${pattern}": ${problem}`;
  }
  return undefined;
}

/** Throws a TypeError where `patternProblem` finds one. */
export function parsePattern(pattern: string): Pattern {
  const problem = patternProblem(pattern);
  if (problem !== undefined) throw new TypeError(problem);
  const parts = split(pattern);
  const wildcard = parts.at(-1) === '*';
  if (wildcard) parts.pop();
  const segments = parts.map<Segment>((part) =>
    part.startsWith(':') ? { kind: 'param', name: part.slice(1) } : { kind: 'literal', text: spellLiteral(part) },
  );
  return { segments, wildcard };
}

/** A host pattern is a name or address in lower case, or `*.` and a name. Says what is wrong, or nothing. */
export function hostProblem(host: string): string | undefined {
  if (host === '*') return 'the host "*" is written by leaving the hosts out';
  const name = host.startsWith('*.') ? host.slice(2) : host;
  if (name.length > 253) return 'the host is longer than 253 characters';
  if (HOST_LABELS.test(name) || (name === host && IPV6_LITERAL.test(name))) return undefined;
  if (name !== name.toLowerCase()) return `the host "${host}" must be in lower case`;
  if (/:\d*$/.test(name)) return `the host "${host}" must have no port`;
  if (host.includes('*')) return `the host "${host}" may have a "*" only as its whole first label: "*.example.com"`;
  return `"${host}" is not a host name`;
}

/** Parameter names of a pattern, in order. */
export function paramNames(pattern: Pattern): string[] {
  return pattern.segments.flatMap((segment) => (segment.kind === 'param' ? [segment.name] : []));
}

/** Is `name` safe as a key of an ordinary object? */
export function isParamName(name: string): boolean {
  return PARAM_NAME.test(name) && name !== '__proto__';
}

function split(pattern: string): string[] {
  return pattern.slice(1).split('/');
}

function paramProblem(name: string, names: Set<string>): string | undefined {
  if (!isParamName(name)) return `":${name}" is not a parameter; its name is letters, digits and "_"`;
  if (names.has(name)) return `the parameter ":${name}" is there twice`;
  names.add(name);
  return undefined;
}

function literalProblem(text: string, isLast: boolean): string | undefined {
  if (text === '') return isLast ? undefined : 'an empty segment ("//") never matches';
  if (text === '.' || text === '..') return `a segment "${text}" never matches`;
  if (text.includes('*')) return '"*" must be the whole last segment; for more use a regular expression';
  if (text.includes('\\')) return 'a backslash never matches';
  if (/[\x00-\x1f\x7f]/.test(text) || !text.isWellFormed()) return 'a control character never matches';
  if (/^\{.*\}$/.test(text)) return `a parameter is written ":${text.slice(1, -1)}"`;
  for (let at = text.indexOf('%'); at >= 0; at = text.indexOf('%', at + 1)) {
    const hex = /^[0-9a-f]{2}/i.exec(text.slice(at + 1, at + 3))?.[0];
    if (hex === undefined) return 'a "%" must begin an encoded byte such as "%20"';
    const code = Number.parseInt(hex, 16);
    if (code < 0x20 || code === 0x7f) return `a control character ("%${hex}") never matches`;
    const char = String.fromCharCode(code);
    if (PLAIN.test(char)) return `write "${char}" instead of "%${hex}"; both are matched as "${char}"`;
  }
  return isUtf8(text) ? undefined : 'what is percent-encoded must be UTF-8';
}

function isUtf8(encoded: string): boolean {
  try {
    decodeURIComponent(encoded);
    return true;
  } catch {
    return false;
  }
}

/** The one spelling of a literal, of one segment. */
export function spellLiteral(text: string): string {
  let spelled = '';
  for (const char of text.replace(/%[0-9a-f]{2}/gi, (encoded) => encoded.toUpperCase())) {
    spelled += char === '%' || PLAIN.test(char) ? char : encodeURIComponent(char);
  }
  return spelled;
}

/** A prefix in the spelling of paths, without a slash at the end. */
export function spellPrefix(text: string): string {
  return text.replace(/\/+$/, '').split('/').map(spellLiteral).join('/');
}
