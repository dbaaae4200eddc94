/**
 * Reads Cache-Control of requests and responses (RFC 9111 §5.2). Unknown directives are ignored; of several values of
 * one directive the most careful counts (§4.2.1); a number that is none means stale. Quoted and bare forms are the
 * same.
 */

/** Longest time that counts: about 68 years (RFC 9111 §1.2.2). */
export const MAX_DELTA_S = 2_147_483_648;
/** No such directive. */
export const ABSENT = -1;

export interface Directives {
  /** Seconds, or ABSENT. What cannot be read counts as 0. */
  maxAge: number;
  sMaxage: number;
  noStore: boolean;
  noCache: boolean;
  /**
   * Lower-case names of fields that `no-cache="..."` and `private="..."` name: the rest of the response is not
   * affected.
   */
  withheld: string[];
  isPrivate: boolean;
  isPublic: boolean;
  mustRevalidate: boolean;
  proxyRevalidate: boolean;
  mustUnderstand: boolean;
  immutable: boolean;
  noTransform: boolean;
  staleWhileRevalidate: number;
  staleIfError: number;
  /** Of requests. `maxStale`: any staleness is infinite. */
  onlyIfCached: boolean;
  maxStale: number;
  minFresh: number;
}

function none(): Directives {
  return {
    maxAge: ABSENT,
    sMaxage: ABSENT,
    noStore: false,
    noCache: false,
    withheld: [],
    isPrivate: false,
    isPublic: false,
    mustRevalidate: false,
    proxyRevalidate: false,
    mustUnderstand: false,
    immutable: false,
    noTransform: false,
    staleWhileRevalidate: ABSENT,
    staleIfError: ABSENT,
    onlyIfCached: false,
    maxStale: ABSENT,
    minFresh: ABSENT,
  };
}

export const NO_DIRECTIVES: Readonly<Directives> = Object.freeze(none());

let lastValue = '';
let lastDirectives: Readonly<Directives> = NO_DIRECTIVES;

/** `value`: all field lines joined by commas, or null. The result must not be changed. */
export function parseCacheControl(value: string | null): Readonly<Directives> {
  if (value === null || value === '') return NO_DIRECTIVES;
  // Services say the same again and again.
  if (value === lastValue) return lastDirectives;
  const directives = none();
  forEachDirective(value, (name, argument) => apply(directives, name, argument));
  lastValue = value;
  lastDirectives = directives;
  return directives;
}

function apply(found: Directives, name: string, argument: string | null): void {
  switch (name) {
    case 'max-age':
      found.maxAge = careful(found.maxAge, argument);
      break;
    case 's-maxage':
      found.sMaxage = careful(found.sMaxage, argument);
      break;
    case 'stale-while-revalidate':
      found.staleWhileRevalidate = careful(found.staleWhileRevalidate, argument);
      break;
    case 'stale-if-error':
      found.staleIfError = careful(found.staleIfError, argument);
      break;
    case 'min-fresh':
      found.minFresh = Math.max(found.minFresh, deltaSeconds(argument));
      break;
    case 'max-stale':
      found.maxStale = argument === null ? Number.POSITIVE_INFINITY : deltaSeconds(argument);
      break;
    case 'no-store':
      found.noStore = true;
      break;
    case 'no-cache':
      if (argument === null) found.noCache = true;
      else withhold(found, argument);
      break;
    case 'private':
      if (argument === null) found.isPrivate = true;
      else withhold(found, argument);
      break;
    case 'public':
      found.isPublic = true;
      break;
    case 'must-revalidate':
      found.mustRevalidate = true;
      break;
    case 'proxy-revalidate':
      found.proxyRevalidate = true;
      break;
    case 'must-understand':
      found.mustUnderstand = true;
      break;
    case 'immutable':
      found.immutable = true;
      break;
    case 'no-transform':
      found.noTransform = true;
      break;
    case 'only-if-cached':
      found.onlyIfCached = true;
      break;
    default:
  }
}

function careful(known: number, argument: string | null): number {
  const seconds = deltaSeconds(argument);
  return known === ABSENT ? seconds : Math.min(known, seconds);
}

/** 0 for what is not a number of seconds (RFC 9111 §4.2.1: consider it stale). */
export function deltaSeconds(text: string | null): number {
  if (text === null || !/^\d+$/.test(text)) return 0;
  return Math.min(MAX_DELTA_S, Number(text));
}

function withhold(found: Directives, argument: string): void {
  for (const name of argument.split(',')) {
    const trimmed = name.trim().toLowerCase();
    if (trimmed !== '') found.withheld.push(trimmed);
  }
}

/** Calls `each` with lower-case name and argument (unquoted, null without one) of every directive. */
function forEachDirective(value: string, each: (name: string, argument: string | null) => void): void {
  for (let at = 0; at < value.length; ) {
    const end = endOfItem(value, at);
    const item = value.slice(at, end).trim();
    at = end + 1;
    if (item === '') continue;
    const equals = item.indexOf('=');
    if (equals < 0) each(item.toLowerCase(), null);
    // White space around `=` is no syntax for a directive; who writes it means one all the same: its value is 0.
    else each(item.slice(0, equals).trim().toLowerCase(), unquoted(item.slice(equals + 1)));
  }
}

/** Index of the comma that ends the item at `from`, commas in quoted strings left out. */
function endOfItem(value: string, from: number): number {
  let isQuoted = false;
  for (let i = from; i < value.length; i++) {
    const c = value.charCodeAt(i);
    if (c === 0x22) isQuoted = !isQuoted;
    else if (c === 0x5c && isQuoted) i++;
    else if (c === 0x2c && !isQuoted) return i;
  }
  return value.length;
}

function unquoted(text: string): string {
  if (text.length < 2 || !text.startsWith('"') || !text.endsWith('"')) return text;
  return text.slice(1, -1).replace(/\\(.)/g, '$1');
}
