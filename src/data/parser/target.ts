/**
 * The request target (RFC 9112 §3.2): which of its four forms it has, and its parts. Strings in, strings out; no
 * sockets, no configuration. Called by the connection for every request; the plain origin-form is one pass over it.
 * Whether a path that the grammar allows is also safe to route by is decided in path-safety.ts and router/readings.ts.
 *
 * Laxer than RFC 3986 where clients are: browsers (WHATWG URL) and SDKs send `|`, `[`, `^` or UTF-8 as they are. A path
 * gets one spelling, with such bytes percent-encoded: it is matched and forwarded so. A query is opaque and stays as
 * it came. Stricter once: host names may not hold `%` or the other characters that only generic URIs use, because
 * nothing that resolves names reads them alike.
 */
import { isIPv6 } from 'node:net';
import { escapedByte } from './path-safety.ts';

export { pathProblem } from './path-safety.ts';

export type TargetForm = 'origin' | 'absolute' | 'authority' | 'asterisk';

/** One request target, read. Reused from request to request. */
export class Target {
  form: TargetForm = 'origin';
  /**
   * Percent-encoded; as it came but for `isRespelled`. `/` for an absolute-form without one, `*` for the asterisk-form.
   */
  path = '/';
  /** Without the `?`; empty when there is none. */
  query = '';
  /** Tells `/a?` from `/a`. */
  hasQuery = false;
  /** Of absolute-form and authority-form: replaces what Host says (RFC 9112 §3.2.2). Null otherwise. */
  authority: string | null = null;
  /** Of absolute-form only. */
  scheme: 'http' | 'https' | '' = '';
  /** The path has a `%`, `;`, `//` or `/.`: another parser could read it differently. */
  isSuspicious = false;
  /** The path came with bytes that must be percent-encoded, which they are in `path`. */
  isRespelled = false;
}

/** Host and port, as a Host field or an authority names them. Reused. */
export class Authority {
  /** Lower case, without a final dot; IPv6 in brackets. Empty when Host is empty. */
  host = '';
  /** -1 when none is named. */
  port = -1;
}

/** What a character of a path may do. Everything not listed is refused. */
const PLAIN = 1;
const SLASH = 2;
const PERCENT = 3;
const SEMICOLON = 4;
const QUESTION = 5;
/** May come as it is and is percent-encoded. */
const ENCODE = 6;

const CLASS = new Uint8Array(256);
for (let code = 0x21; code < 256; code++) {
  // RFC 3986 §3.3: pchar = unreserved / pct-encoded / sub-delims / ":" / "@"
  if (/[A-Za-z0-9\-._~!$&'()*+,=:@]/.test(String.fromCharCode(code))) CLASS[code] = PLAIN;
  else if (code !== 0x23 && code !== 0x7f) CLASS[code] = ENCODE;
}
CLASS[0x2f] = SLASH;
CLASS[0x25] = PERCENT;
CLASS[0x3b] = SEMICOLON;
CLASS[0x3f] = QUESTION;

const BAD_CHARACTER = 'the request target has a space or another character that must be percent-encoded';
const FRAGMENT = 'the request target has a fragment';
const BAD_AUTHORITY = 'the host or port is not valid';

/**
 * Reads `target` into `out`. `method` decides between forms: only OPTIONS takes `*`, only CONNECT takes an authority.
 * Says what is wrong (400), or nothing. The characters must be visible ASCII or bytes above, as the head's parser
 * leaves them.
 */
export function readTarget(target: string, method: string, out: Target): string | undefined {
  out.authority = null;
  out.scheme = '';
  if (method === 'CONNECT') return readAuthorityForm(target, out);
  if (target.charCodeAt(0) === 0x2f) {
    out.form = 'origin';
    return readPathAndQuery(target, 0, out);
  }
  if (target === '*') {
    if (method !== 'OPTIONS') return 'only OPTIONS takes the target "*"';
    return asterisk(out);
  }
  return readAbsoluteForm(method, target, out);
}

/** What a log may show of a target that was refused: short, without a query, and without a character to escape. */
export function shownTarget(target: string): string {
  const query = target.indexOf('?');
  return target
    .slice(0, Math.min(query < 0 ? target.length : query, 200))
    .replaceAll(/[^A-Za-z0-9\-._~!$&'()*+,;=:@/%]/g, (char) => ESCAPES[char.charCodeAt(0) & 0xff]!);
}

/** Reads `host[:port]`, the value of Host or an authority (RFC 9110 §7.2). Says what is wrong, or nothing. */
export function readAuthority(text: string, out: Authority): string | undefined {
  out.host = '';
  out.port = -1;
  if (text.length === 0) return undefined;
  let end = text.length;
  let isLower = true;
  let i = 0;
  if (text.charCodeAt(0) === 0x5b) {
    i = text.indexOf(']') + 1;
    if (i === 0 || !isIPv6(text.slice(1, i - 1)) || text.includes('%')) return BAD_AUTHORITY;
    end = i;
    isLower = false;
  } else {
    for (; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code === 0x3a) break;
      if (code >= 0x41 && code <= 0x5a) isLower = false;
      else if (!isHostCharacter(code)) return BAD_AUTHORITY;
      if (code === 0x2e && (i === 0 || text.charCodeAt(i - 1) === 0x2e)) return BAD_AUTHORITY;
    }
    if (i === 0 || i > 254) return BAD_AUTHORITY;
    end = i;
    // `example.com.` is `example.com` to everything that resolves names, so it must not be another host here.
    if (text.charCodeAt(end - 1) === 0x2e) end--;
    if (end === 0 || end > 253) return BAD_AUTHORITY;
  }
  if (i < text.length) {
    const port = readPort(text, i);
    if (port === undefined) return BAD_AUTHORITY;
    out.port = port;
  }
  const host = end === text.length ? text : text.slice(0, end);
  out.host = isLower ? host : host.toLowerCase();
  return undefined;
}

/** From the colon to the end; RFC 3986 §3.2.3 allows no digits at all, which means none is named. */
function readPort(text: string, colon: number): number | undefined {
  if (text.charCodeAt(colon) !== 0x3a || text.length - colon > 6) return undefined;
  let port = 0;
  for (let i = colon + 1; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return undefined;
    port = port * 10 + digit;
  }
  if (text.length === colon + 1) return -1;
  return port <= 65_535 ? port : undefined;
}

/** Lower-case letters, digits, `-`, `.` and `_`; capitals are looked at before. */
function isHostCharacter(code: number): boolean {
  return (
    (code >= 0x61 && code <= 0x7a) || (code >= 0x30 && code <= 0x39) || code === 0x2d || code === 0x2e || code === 0x5f
  );
}

/** RFC 9112 §3.2.1. `start` is where the path begins. */
function readPathAndQuery(target: string, start: number, out: Target): string | undefined {
  let isSuspicious = false;
  let isRespelled = false;
  let i = start;
  for (; i < target.length; i++) {
    const kind = CLASS[target.charCodeAt(i)];
    if (kind === PLAIN) continue;
    if (kind === SLASH) {
      const next = target.charCodeAt(i + 1);
      if (next === 0x2f || next === 0x2e) isSuspicious = true;
    } else if (kind === QUESTION) break;
    else if (kind === SEMICOLON) isSuspicious = true;
    else if (kind === PERCENT) {
      isSuspicious = true;
      if (escapedByte(target, i) < 0) isRespelled = true;
      else i += 2;
    } else if (kind === ENCODE) isRespelled = true;
    else return target.charCodeAt(i) === 0x23 ? FRAGMENT : BAD_CHARACTER;
  }
  const path = start === 0 && i === target.length ? target : target.slice(start, i);
  out.path = isRespelled ? spellPath(path) : path;
  out.isSuspicious = isSuspicious || isRespelled;
  out.isRespelled = isRespelled;
  out.hasQuery = i < target.length;
  out.query = '';
  return out.hasQuery ? readQuery(target, i + 1, out) : undefined;
}

/** Encodes what must be encoded. A `%` that begins no encoded byte is one of itself. */
function spellPath(path: string): string {
  let spelled = '';
  for (let i = 0; i < path.length; i++) {
    const code = path.charCodeAt(i);
    const kind = CLASS[code];
    spelled += kind === ENCODE || (kind === PERCENT && escapedByte(path, i) < 0) ? ESCAPES[code] : path[i];
  }
  return spelled;
}

const ESCAPES = Array.from({ length: 256 }, (_, code) => `%${code.toString(16).toUpperCase().padStart(2, '0')}`);

/** Whatever it holds, it is passed on as it came; only what would end the request line is looked for. */
function readQuery(target: string, start: number, out: Target): string | undefined {
  for (let i = start; i < target.length; i++) {
    const code = target.charCodeAt(i);
    if (code <= 0x20 || code === 0x7f || code > 0xff) return BAD_CHARACTER;
  }
  out.query = target.slice(start);
  return undefined;
}

/** RFC 9112 §3.2.2, which a proxy must take from anyone. */
function readAbsoluteForm(method: string, target: string, out: Target): string | undefined {
  const prefix = /^(https?):\/\//i.exec(target);
  if (prefix === null) return 'the request target is neither a path nor an http or https URI';
  const start = prefix[0].length;
  let end = start;
  while (end < target.length && !isAuthorityEnd(target.charCodeAt(end))) end++;
  const authority = target.slice(start, end);
  // RFC 9110 §4.2.1: an empty host is invalid; §4.2.4: user information is to be treated as an error.
  if (authority.length === 0 || readAuthority(authority, scratch) !== undefined) return BAD_AUTHORITY;
  out.form = 'absolute';
  out.authority = authority;
  out.scheme = prefix[1]!.length === 5 ? 'https' : 'http';
  if (target.charCodeAt(end) === 0x2f) return readPathAndQuery(target, end, out);
  // RFC 9112 §3.2.4: OPTIONS for an authority without path and query is the server-wide one.
  if (method === 'OPTIONS' && end === target.length) return asterisk(out);
  const problem = readPathAndQuery(target, end, out);
  out.path = '/';
  return problem;
}

const scratch = new Authority();

function isAuthorityEnd(code: number): boolean {
  return code === 0x2f || code === 0x3f || code === 0x23;
}

/** RFC 9112 §3.2.3: host and port, both there. */
function readAuthorityForm(target: string, out: Target): string | undefined {
  if (readAuthority(target, scratch) !== undefined || scratch.host === '' || scratch.port < 0) {
    return 'CONNECT takes a host and a port';
  }
  out.form = 'authority';
  out.authority = target;
  return noPath(out, '');
}

/** RFC 9112 §3.2.4. */
function asterisk(out: Target): undefined {
  out.form = 'asterisk';
  return noPath(out, '*');
}

function noPath(out: Target, path: string): undefined {
  out.path = path;
  out.query = '';
  out.hasQuery = false;
  out.isSuspicious = false;
  out.isRespelled = false;
}
