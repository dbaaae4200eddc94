/**
 * What is known of a request whose head is refused (414, 431 and others), for the one thing that a browser needs of the
 * response: whether the page that asked may read it. Without that a script learns of a "network error" and no status.
 * The head was not read as a request, so nothing else is decided by what is found here.
 */
import { readTarget, Target } from '../parser/target.ts';
import { RouteMatchResult } from '../router/match-result.ts';
import type { ActiveConfig } from './active-config.ts';

export interface RefusedHead {
  /** Empty where it was not read; so are the others. */
  readonly method: string;
  /** As far as it was read. */
  readonly target: string;
  /** Host field or `:authority`. */
  readonly authority: string;
  /** Null: none was seen, which may also mean that it had not come. */
  readonly origin: string | null;
}

/**
 * What a log shows of a refused head: enough to find the client's mistake, and no query, password or name of a user.
 */
export interface RefusedLine {
  /** Empty where nothing was read; so is `path`. */
  readonly method: string;
  readonly path: string;
}

const MOST_METHOD = 32;
const MOST_PATH = 256;
/** A target may stand behind blank lines and before the field that is wrong. */
const MOST_LOOKED_AT = 2_048;

/** Of the bytes of an HTTP/1.1 head, as many as have come; they may be anything. */
export function refusedLineOf(bytes: Buffer): RefusedLine {
  const text = bytes.latin1Slice(0, Math.min(bytes.length, MOST_LOOKED_AT)).replace(/^[\r\n]+/, '');
  const end = text.search(/[\r\n]/);
  const [method = '', target = ''] = (end < 0 ? text : text.slice(0, end)).split(' ', 2);
  return shownLine({ method, target });
}

export function shownLine({ method, target }: Pick<RefusedHead, 'method' | 'target'>): RefusedLine {
  const path = withoutUser(target, method === 'CONNECT').replace(/[?#].*$/s, '');
  return { method: cut(method, MOST_METHOD), path: cut(path, MOST_PATH) };
}

/** An authority has nothing behind it, so all before its last `@` is a user's. Else that ends where a path begins. */
function withoutUser(target: string, isAuthority: boolean): string {
  return isAuthority ? target.slice(target.lastIndexOf('@') + 1) : target.replace(/^([^/?#]*:\/\/)?[^/?#]*@/, '$1');
}

function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most)}...`;
}

const LINE = /\r\n(origin|host):[ \t]*([^\r\n]*?)[ \t]*(?=\r\n)/gi;

/** Of the bytes of an HTTP/1.1 head, as many as have come. */
export function refusedHeadOf(bytes: Buffer, mostBytes: number): RefusedHead {
  const text = bytes.latin1Slice(0, Math.min(bytes.length, mostBytes + 1_024));
  const end = text.indexOf('\r\n\r\n');
  const head = end < 0 ? text : text.slice(0, end + 2);
  const [method = '', target = ''] = head.slice(0, Math.max(0, head.indexOf('\r\n'))).split(' ', 2);
  const found = new Map<string, string | null>();
  for (const [, name = '', value = ''] of head.matchAll(LINE)) {
    const field = name.toLowerCase();
    // Of two it is unknown which counts.
    found.set(field, found.has(field) ? null : value);
  }
  return { method, target, authority: found.get('host') ?? '', origin: found.get('origin') ?? null };
}

/** More of this head is to come, and with it who asks. */
export function mayNameOrigin(bytes: Buffer, mostBytes: number): boolean {
  return bytes.length < mostBytes && !bytes.includes('\r\n\r\n', 0, 'latin1');
}

/** CORS of the route that the request would have reached, else that of the gateway. */
export function fieldsOfRefusal(
  live: ActiveConfig,
  normalize: (authority: string) => string | null,
  { method, target, authority, origin }: RefusedHead,
): Readonly<Record<string, string>> | null {
  const { refusalFields } = routeOf(live, normalize, method, target, authority) ?? live;
  return refusalFields === null ? null : refusalFields(origin);
}

function routeOf(
  { router, routes }: ActiveConfig,
  normalize: (authority: string) => string | null,
  method: string,
  text: string,
  authority: string,
): ActiveConfig['routes'][number] | null {
  const target = new Target();
  if (text === '' || method === 'CONNECT' || readTarget(text, method, target) !== undefined) return null;
  const host = normalize(target.authority ?? authority);
  if (host === null) return null;
  const matched = new RouteMatchResult();
  const { path, query } = target;
  router.match({ method, host, path, query, header: () => null }, matched);
  return matched.route === null ? null : routes[matched.index]!;
}
