/**
 * Finds the token in a request. A token in `Authorization` is returned with its scheme, so that a cached one is found
 * without cutting a new string out of the field; `bareToken` cuts it when the cache does not know it.
 */

import type { TokenSource } from '../../contract/auth.ts';
import type { PolicyContext } from '../../contract/policy.ts';

/** RFC 9110 §11.1: the scheme compares without case, one space or more follow. */
const BEARER = /^bearer +(\S+)$/i;
const BEARER_SCHEME = /^bearer(?: |$)/i;

export class TokenFinder {
  readonly #sources: readonly TokenSource[];
  readonly #single: boolean;
  /** Index of the source of the last credential found. */
  lastIndex = 0;

  constructor(sources: readonly TokenSource[]) {
    this.#sources = sources;
    this.#single = sources.length === 1 && sources[0]?.in === 'authorization';
  }

  /** Nothing but the Authorization field is looked at. */
  get isSingle(): boolean {
    return this.#single;
  }

  get sources(): readonly TokenSource[] {
    return this.#sources;
  }

  /** The credential text of the first source that has one, or null; `lastIndex` then says which it was. */
  find(exchange: PolicyContext): string | null {
    if (this.#single) {
      this.lastIndex = 0;
      return exchange.header('authorization');
    }
    for (let index = 0; index < this.#sources.length; index++) {
      const source = this.#sources[index]!;
      let text: string | null;
      switch (source.in) {
        case 'authorization':
          text = exchange.header('authorization');
          // Another scheme here (Basic) does not hide a cookie.
          if (text !== null && !BEARER_SCHEME.test(text)) text = null;
          break;
        case 'header':
          text = exchange.header(source.name);
          break;
        case 'cookie':
          text = exchange.cookie(source.name);
          break;
      }
      if (text !== null && text !== '') {
        this.lastIndex = index;
        return text;
      }
    }
    return null;
  }

  /**
   * The token in a text that `find` gave: null when the field holds another scheme, empty when it is not well formed.
   */
  bareToken(text: string, sourceIndex: number): string | null {
    const source = this.#sources[sourceIndex];
    if (source === undefined || source.in !== 'authorization') return text;
    return BEARER.exec(text)?.[1] ?? (BEARER_SCHEME.test(text) ? '' : null);
  }

  hide(exchange: PolicyContext): void {
    for (const source of this.#sources) {
      if (source.in === 'cookie') hideCookie(exchange, source.name);
      else exchange.removeUpstreamHeader(source.in === 'authorization' ? 'authorization' : source.name);
    }
  }
}

/** Sends the other cookies on, as they were (RFC 6265 §4.2.1). */
function hideCookie(exchange: PolicyContext, name: string): void {
  const field = exchange.header('cookie');
  if (field === null) return;
  const rest = field
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair !== '' && pair.slice(0, Math.max(pair.indexOf('='), 0)).trim() !== name);
  if (rest.length === 0) exchange.removeUpstreamHeader('cookie');
  else exchange.setUpstreamHeader('cookie', rest.join('; '));
}

/**
 * May a request that a cookie authenticates change something? A browser sends cookies also with requests that other
 * sites make, so their own account of where a request comes from must agree (Fetch Metadata, then `Origin`). A caller
 * that sends neither is not a browser of this decade, and CSRF needs one; `SameSite` on the cookie covers older ones.
 */
export function cookieMayAct(exchange: PolicyContext, trustedSites: readonly string[]): boolean {
  if (SAFE_METHODS.has(exchange.method) && exchange.header('upgrade') === null) return true;
  const site = exchange.header('origin');
  if (site !== null && trustedSites.includes(site)) return true;
  const fetchSite = exchange.header('sec-fetch-site');
  if (fetchSite !== null) return fetchSite === 'same-origin' || fetchSite === 'none';
  return site === null || site.slice(site.indexOf('://') + 3) === exchange.header('host');
}

/** RFC 9110 §9.2.1. */
export function isSafeMethod(method: string): boolean {
  return SAFE_METHODS.has(method);
}

/** RFC 9110 §9.2.1. An upgrade to WebSocket is a GET, but no same-origin rule protects it, so it counts as unsafe. */
const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);
