/**
 * What the trusted proxies in front say of the client of a request: in `X-Forwarded-*`, else in `Forwarded` (RFC 7239).
 * Each proxy adds what it saw at the end of the list, so what counts is the entry of the last proxy that heard from an
 * address that is no trusted proxy itself; everything before it is the client's own word. Each part is read once.
 */
import type { CidrSet } from '../../base/ip.ts';
import { canonicalAddress } from '../../base/ip.ts';
import type { Head } from '../parser/head.ts';
import type { Peer } from './downstream.ts';

const QUOTE = 0x22;
const COMMA = 0x2c;
const SLASH = 0x2f;
const SEMICOLON = 0x3b;
const BACKSLASH = 0x5c;

const NO_HOPS: readonly string[] = [];
const NOTHING_SAID = /^[\s,"]*$/;

export class ProxiedClient {
  /** The client's address, as limits, logs and balancers go by it. */
  readonly address: string;
  /** `X-Forwarded-For` as it came; null where there is none. */
  readonly #list: string | null;
  readonly #forwarded: string | null;
  /** Entries of the list behind the one that counts. */
  readonly #behind: number;
  readonly #peer: Peer;
  readonly #head: Head;
  #elements: readonly string[] | null = null;
  #scheme: 'http' | 'https' | null = null;
  #host: string | null | undefined;

  /** Of a request that came from a trusted proxy. */
  constructor(peer: Peer, head: Head, trusted: CidrSet) {
    this.#peer = peer;
    this.#head = head;
    this.#list = head.valueOf('x-forwarded-for');
    this.#forwarded = head.valueOf('forwarded');
    const hops = this.#list !== null ? this.#list.split(',') : this.#said('for');
    let address = peer.address;
    let behind = 0;
    for (let i = hops.length - 1; i >= 0; i--) {
      const hop = hopAddress(hops[i]!);
      if (hop === undefined) break; // what an unknown word says of those before it is worth nothing
      address = hop;
      behind = hops.length - 1 - i;
      if (!trusted.has(hop)) break;
    }
    this.address = address;
    this.#behind = behind;
  }

  /** The scheme that the client used: in any case, in a list, of a WebSocket too. */
  get scheme(): 'http' | 'https' {
    this.#scheme ??= this.#readScheme();
    return this.#scheme;
  }

  #readScheme(): 'http' | 'https' {
    const own = this.#peer.secure ? 'https' : 'http';
    const list = this.#head.valueOf('x-forwarded-proto');
    const said = this.#counting(list !== null ? list.split(',') : this.#said('proto'))
      .trim()
      .toLowerCase();
    if (said === 'https' || said === 'wss') return 'https';
    return said === 'http' || said === 'ws' ? 'http' : own;
  }

  /** The host that the client asked for; null where no proxy says. */
  get host(): string | null {
    if (this.#host === undefined) this.#host = this.#readHost();
    return this.#host;
  }

  #readHost(): string | null {
    const said = this.#head.valueOf('x-forwarded-host');
    if (said !== null || this.#forwarded === null) return said;
    const host = this.#counting(this.#said('host'));
    return /^[\w.~-]+(?::\d+)?$|^\[[\da-fA-F:.]+\](?::\d+)?$/.test(host) ? host : null;
  }

  /** `X-Forwarded-Port`; null where there is none. */
  get port(): string | null {
    return this.#head.valueOf('x-forwarded-port');
  }

  /** The prefix that proxies have taken off, several joined to one path. */
  get prefix(): string {
    const said = this.#head.valueOf('x-forwarded-prefix');
    if (said === null) return '';
    const prefixes = said.split(',').map((prefix) => withoutSlashes(prefix.trim()));
    return prefixes.every((prefix) => /^(?:\/[!-~]+)?$/.test(prefix)) ? prefixes.join('') : '';
  }

  /** `X-Forwarded-For` for the service, with the proxy itself at the end. Both kinds say the same (RFC 7239 §7.4). */
  get forwardedFor(): string {
    const list = something(this.#list);
    if (list !== null) return `${list}, ${this.#peer.address}`;
    const forwarded = something(this.#forwarded);
    return forwarded === null ? this.#peer.address : `${this.#addresses()}, ${this.#peer.address}`;
  }

  /** `Forwarded` for the service, with `element` of this gateway at the end. */
  forwarded(element: string): string {
    const list = something(this.#list);
    const forwarded = something(this.#forwarded);
    if (list === null) return forwarded === null ? element : `${forwarded}, ${element}`;
    const addresses = list.split(',').map((hop) => hopAddress(hop) ?? 'unknown');
    // A Forwarded of other addresses has passed a proxy that does not know the field.
    const isSame = forwarded !== null && this.#addresses() === addresses.join(', ');
    return `${isSame ? forwarded : addresses.map((hop) => `for=${forwardedNode(hop)}`).join(', ')}, ${element}`;
  }

  #addresses(): string {
    return this.#said('for')
      .map((node) => hopAddress(node) ?? 'unknown')
      .join(', ');
  }

  /** The entry that counts; where a list is too short, the first one. */
  #counting(said: readonly string[]): string {
    return said[Math.max(0, said.length - 1 - this.#behind)] ?? '';
  }

  /** One parameter of each element of Forwarded, empty where an element does not have it. */
  #said(name: 'for' | 'proto' | 'host'): readonly string[] {
    if (this.#forwarded === null) return NO_HOPS;
    this.#elements ??= cutOutsideQuotes(this.#forwarded, COMMA);
    return this.#elements.map((element) => forwardedPair(element, name) ?? '');
  }
}

/** RFC 7239 §6: an IPv6 address stands in brackets and quotes. */
export function forwardedNode(address: string): string {
  return address.includes(':') ? `"[${address}]"` : address;
}

function something(value: string | null): string | null {
  return value === null || NOTHING_SAID.test(value) ? null : value;
}

/**
 * What stands between separators that are in no quotes, in one pass: what strangers write must not be searched again
 * from each quote. A quote without an end goes to the end of the text.
 */
function cutOutsideQuotes(text: string, separator: number): readonly string[] {
  const parts: string[] = [];
  let start = 0;
  let isQuoted = false;
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (char === QUOTE) isQuoted = !isQuoted;
    else if (char === BACKSLASH && isQuoted) i++;
    else if (char === separator && !isQuoted) {
      if (i > start) parts.push(text.slice(start, i));
      start = i + 1;
    }
  }
  if (start < text.length) parts.push(text.slice(start));
  return parts;
}

/** The value of one pair of an element, without quotes; names in any case (RFC 7239 §4). */
function forwardedPair(element: string, name: 'for' | 'proto' | 'host'): string | null {
  for (const pair of cutOutsideQuotes(element, SEMICOLON)) {
    const equals = pair.indexOf('=');
    if (equals < 0 || pair.slice(0, equals).trim().toLowerCase() !== name) continue;
    const value = pair.slice(equals + 1).trim();
    return value.startsWith('"') ? value.slice(1, -1).replaceAll(/\\(.)/g, '$1') : value;
  }
  return null;
}

function hopAddress(hop: string): string | undefined {
  return canonicalAddress(withoutPort(hop.trim()));
}

function withoutPort(hop: string): string {
  if (hop.startsWith('[')) {
    const close = hop.indexOf(']');
    return close < 0 ? hop : hop.slice(1, close);
  }
  const colon = hop.indexOf(':');
  return colon >= 0 && colon === hop.lastIndexOf(':') ? hop.slice(0, colon) : hop;
}

function withoutSlashes(path: string): string {
  let end = path.length;
  while (path.charCodeAt(end - 1) === SLASH) end--;
  return path.slice(0, end);
}
