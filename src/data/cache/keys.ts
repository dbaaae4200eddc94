/**
 * Under which key a response is stored. The first key is the URL as the gateway matched it; what else chooses among the
 * responses of one URL (parts that the configuration names, and the fields of `Vary`) makes a second key, which hangs
 * on a marker that is stored under the first. Taking the marker away therefore takes all of them away at once.
 */
import type { KeySettings } from '../contract/cache.ts';
import type { Identity } from '../contract/policy.ts';
import { normalisedValue, varyNames } from './rules/vary.ts';

/** What a key is made of. */
export interface KeyRequest {
  /** What the client used, as a trusted proxy in front says. */
  readonly callerScheme: string;
  readonly authority: string;
  readonly path: string;
  readonly query: string;
  readonly identity: Identity | null;
  /**
   * Where the request goes, when that does not follow from its URL; null when it does. Part of the key under the name
   * `ELSEWHERE`.
   */
  readonly elsewhere: string | null;
  header(name: string): string | null;
  /** A field as the service gets it. */
  sentUpstream(name: string): string | null;
  cookie(name: string): string | null;
}

export function firstKey(settings: KeySettings, request: KeyRequest): string {
  return urlKey(settings, request.callerScheme, request.authority, request.path, request.query);
}

export function urlKey(settings: KeySettings, scheme: string, authority: string, path: string, query: string): string {
  const kept = query === '' || settings.query === null ? query : selected(query, settings.query);
  const url = `${scheme}://${authority.toLowerCase()}${path}`;
  const whole = kept === '' ? url : `${url}?${kept}`;
  // A space stands in no URL.
  return settings.partition === '' ? whole : `${whole} ${settings.partition}`;
}

/** Parameters that count, in the order of their names, so that the same ones in another order are the same. */
function selected(query: string, { mode, names }: NonNullable<KeySettings['query']>): string {
  const pairs = query.split('&').filter((pair) => {
    const equals = pair.indexOf('=');
    const name = equals < 0 ? pair : pair.slice(0, equals);
    return pair !== '' && names.includes(decoded(name)) === (mode === 'only');
  });
  return pairs.sort((a, b) => compare(nameOf(a), nameOf(b))).join('&');
}

const nameOf = (pair: string): string => pair.split('=', 1)[0]!;
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function decoded(name: string): string {
  if (!name.includes('%') && !name.includes('+')) return name;
  try {
    return decodeURIComponent(name.replaceAll('+', ' '));
  } catch {
    return name;
  }
}

/** The configuration alone makes a second key necessary. */
export function hasParts(settings: KeySettings): boolean {
  return settings.user || settings.plan || settings.headers.length > 0 || settings.cookies.length > 0;
}

/**
 * `marker`: what is unique to it; `vary`: names of fields. Values are told apart by a character that none of them can
 * contain, and each part by its kind and name, so that no two requests that differ have one key.
 */
export function secondKey(
  first: string,
  marker: string,
  settings: KeySettings,
  vary: readonly string[],
  request: KeyRequest,
): string {
  let key = `${first}\n${marker}`;
  for (const name of settings.headers) key += `\nh ${fieldPart(name, request)}`;
  for (const name of settings.cookies) key += `\nc ${name} ${valueOrNone(request.cookie(name))}`;
  if (settings.user) {
    const { identity } = request;
    // Equal subjects of two issuers are two users.
    key +=
      identity === null
        ? '\nu'
        : `\nu ${identity.method} ${latin1(identity.subject)}\x01${latin1(identity.issuer ?? '')}`;
  }
  if (settings.plan) key += `\np ${latin1(request.identity?.plan ?? '\x00')}`;
  for (const name of vary)
    key += name === ELSEWHERE ? `\nt ${valueOrNone(request.elsewhere)}` : `\nv ${fieldPart(name, request)}`;
  return key;
}

/** Stands among the names of `Vary` that a marker has; no field has such a name. */
export const ELSEWHERE = ':elsewhere';

/** The names of fields, and `ELSEWHERE`, that choose among the responses of one URL, by this response to a request. */
export function choosingNames(request: Pick<KeyRequest, 'elsewhere'>, vary: string | null): string[] {
  const names = varyNames(vary);
  return request.elsewhere === null ? names : [ELSEWHERE, ...names];
}

/** What the service sees decides; what the client sent besides can only tell more apart (a hidden credential). */
function fieldPart(name: string, request: KeyRequest): string {
  const sent = normalisedValue(name, request.sentUpstream(name));
  const own = normalisedValue(name, request.header(name));
  return own === sent ? `${name} ${sent}` : `${name} ${sent}\x01${own}`;
}

const valueOrNone = (value: string | null): string => value ?? '\x00';

/** Keys are stored as Latin-1; what is not is written so that it stays apart, line ends too. */
function latin1(text: string): string {
  return /^[\x20-\x7e]*$/.test(text) && !text.startsWith('%') ? text : `%${encodeURIComponent(text)}`;
}
