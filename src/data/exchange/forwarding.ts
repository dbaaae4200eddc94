/**
 * Who called, and the fields that tell the upstream: `X-Forwarded-For/Proto/Host/Port`, `Forwarded` (RFC 7239),
 * `Via` (RFC 9110 §7.6.3). What callers say of themselves is dropped, unless their address lies in `trustProxy`;
 * then their list is kept and the caller is the last address in it that is not a trusted proxy itself.
 */
import type { CidrSet } from '../../base/ip.ts';
import { canonicalAddress } from '../../base/ip.ts';
import type { FieldWriter } from '../contract/field-writer.ts';
import type { GatewaySettings, InstanceSettings } from '../contract/snapshot.ts';
import {
  CONTENT_LENGTH,
  FORWARDED,
  HOST,
  IDENTITY,
  PROXY_ONLY,
  RATE_LIMIT,
  TRACEPARENT,
  TRACESTATE,
  VIA,
  X_FORWARDED_FOR,
  X_FORWARDED_HOST,
  X_FORWARDED_PORT,
  X_FORWARDED_PROTO,
  X_REAL_IP,
  X_REQUEST_ID,
} from '../parser/field-names.ts';
import { isHopByHop } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';
import type { DropMask } from '../parser/head-writer.ts';
import { dropMask } from '../parser/head-writer.ts';
import type { Peer } from './downstream.ts';
import type { Exchange } from './exchange.ts';

const QUOTE = 0x22;
const COMMA = 0x2c;
const SLASH = 0x2f;
const SEMICOLON = 0x3b;
const BACKSLASH = 0x5c;

/** Fields of a request that are not copied, because the gateway writes its own or they are forbidden. */
export const REQUEST_DROP: DropMask = dropMask(
  [
    HOST,
    X_FORWARDED_FOR,
    X_FORWARDED_PROTO,
    X_FORWARDED_HOST,
    X_FORWARDED_PORT,
    X_REAL_IP,
    FORWARDED,
    VIA,
    X_REQUEST_ID,
    IDENTITY,
    PROXY_ONLY,
  ],
  isHopByHop,
);

/** The same where the client is a trusted proxy. */
const REQUEST_DROP_TRUSTED: DropMask = Uint8Array.from(REQUEST_DROP, (drops, id) => (id === PROXY_ONLY ? 0 : drops));

const withLength = (mask: DropMask): DropMask =>
  Uint8Array.from(mask, (drops, id) => (id === CONTENT_LENGTH ? 1 : drops));

/** The same where the length of the body is not what the client said. */
const REQUEST_DROP_LENGTH: DropMask = withLength(REQUEST_DROP);
const REQUEST_DROP_TRUSTED_LENGTH: DropMask = withLength(REQUEST_DROP_TRUSTED);
/** The same where there is a trace. */
const TRACED: readonly DropMask[] = [
  REQUEST_DROP,
  REQUEST_DROP_TRUSTED,
  REQUEST_DROP_LENGTH,
  REQUEST_DROP_TRUSTED_LENGTH,
].map((mask) => mask.with(TRACEPARENT, 1).with(TRACESTATE, 1));

/** `isTraced`: the gateway says itself where each attempt stands in the trace. */
export function requestDrop(isTrusted: boolean, changesLength: boolean, isTraced: boolean): DropMask {
  if (isTraced) return TRACED[(isTrusted ? 1 : 0) + (changesLength ? 2 : 0)]!;
  if (changesLength) return isTrusted ? REQUEST_DROP_TRUSTED_LENGTH : REQUEST_DROP_LENGTH;
  return isTrusted ? REQUEST_DROP_TRUSTED : REQUEST_DROP;
}

/** Fields of a response that are not copied. */
export const RESPONSE_DROP: DropMask = dropMask([VIA, X_REQUEST_ID], isHopByHop);
/** The same where the gateway tells of limits itself. */
export const RESPONSE_DROP_LIMITS: DropMask = dropMask([VIA, X_REQUEST_ID, RATE_LIMIT], isHopByHop);
/** The same for a response without a length, or whose length means nothing (204, 101). */
export const RESPONSE_DROP_LENGTH: DropMask = dropMask([VIA, X_REQUEST_ID, CONTENT_LENGTH], isHopByHop);
export const RESPONSE_DROP_LIMITS_LENGTH: DropMask = dropMask(
  [VIA, X_REQUEST_ID, RATE_LIMIT, CONTENT_LENGTH],
  isHopByHop,
);

/** The address that limits, logs and balancers go by. */
export function callerAddress(peer: Peer, head: Head, trusted: CidrSet): string {
  if (!peer.trusted) return peer.address;
  const hops = hopsOf(head);
  const { address } = callerHop(peer, hops, trusted);
  return address;
}

/** Who each proxy on the way says it heard from, the nearest last: of X-Forwarded-For, else of Forwarded (RFC 7239). */
function hopsOf(head: Head): readonly string[] {
  const list = head.valueOf('x-forwarded-for');
  if (list !== null) return list.split(',');
  const forwarded = head.valueOf('forwarded');
  return forwarded === null ? [] : forwardedElements(forwarded).map((element) => forwardedPair(element, 'for') ?? '');
}

/** The nearest hop that is no trusted proxy; `behind`: how many entries stand behind its own in the list. */
function callerHop(peer: Peer, hops: readonly string[], trusted: CidrSet): { address: string; behind: number } {
  let address = peer.address;
  let behind = 0;
  for (let i = hops.length - 1; i >= 0; i--) {
    const hop = hopAddress(hops[i]!);
    if (hop === undefined) break; // what an unknown word says of those before it is worth nothing
    address = hop;
    behind = hops.length - 1 - i;
    if (!trusted.has(hop)) break;
  }
  return { address, behind };
}

/** The scheme that the client used, as a trusted proxy says: in any case, in a list, of a WebSocket too. */
export function callerScheme(peer: Peer, head: Head, trusted: CidrSet | null = null): 'http' | 'https' {
  const own = peer.secure ? 'https' : 'http';
  if (!peer.trusted) return own;
  const list = head.valueOf('x-forwarded-proto');
  const forwarded = list === null ? head.valueOf('forwarded') : null;
  if (list === null && forwarded === null) return own;
  const said =
    list !== null
      ? list.split(',')
      : forwardedElements(forwarded!).map((element) => forwardedPair(element, 'proto') ?? '');
  // Each proxy adds what it saw. That of the nearest client's hop counts, not what a client put in front.
  const { behind } = trusted === null ? { behind: 0 } : callerHop(peer, hopsOf(head), trusted);
  // A field may be empty, or hold nothing that can be read.
  const scheme = (said[Math.max(0, said.length - 1 - behind)] ?? '').trim().toLowerCase();
  if (scheme === 'https' || scheme === 'wss') return 'https';
  return scheme === 'http' || scheme === 'ws' ? 'http' : own;
}

/** The elements of a Forwarded field, cut at the commas that stand in no quotes. */
function forwardedElements(text: string): readonly string[] {
  return cutOutsideQuotes(text, COMMA);
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

/** How often a request may have come through gateways of this name before it goes in a circle (RFC 9110 §7.6.3). */
const MOST_PASSES = 8;

/** Has this request been here so often that it must be a loop? */
export function isLooping(head: Head, via: string): boolean {
  if (via === '' || head.find(VIA) < 0) return false;
  const passed = head.valueOf('via')!.split(',');
  let own = 0;
  for (const entry of passed) if (entry.trim().split(/[ \t]+/)[1] === via) own++;
  return own >= MOST_PASSES;
}

/** The fields that tell the upstream where the request came from. */
export function writeForwarding(
  out: FieldWriter,
  peer: Peer,
  head: Head,
  authority: string,
  via: string,
  trustedProxies: CidrSet | null = null,
): void {
  const { address, secure, trusted } = peer;
  const element = `for=${forwardedNode(address)};host="${authority}";proto=${secure ? 'https' : 'http'}`;
  // What a trusted proxy says of the client is kept, with the proxy itself behind it.
  const said = trusted ? sayingOf(head, 'x-forwarded-for') : null;
  const forwarded = trusted ? sayingOf(head, 'forwarded') : null;
  const list = said ?? (forwarded === null ? null : addressesOf(forwarded));
  const elements = said === null ? forwarded : elementsOf(said, forwarded);
  out.field('X-Forwarded-For', list === null ? address : `${list}, ${address}`);
  out.field('X-Forwarded-Proto', callerScheme(peer, head, trustedProxies));
  out.field('X-Forwarded-Host', trusted ? hostBefore(peer, head, trustedProxies, authority) : authority);
  const port = trusted ? head.valueOf('x-forwarded-port') : null;
  if (port !== null) out.field('X-Forwarded-Port', port);
  out.field('Forwarded', elements === null ? element : `${elements}, ${element}`);
  if (via !== '') out.field('Via', viaOf(head, via));
}

/** Null where there is no such field, or nothing in it. */
function sayingOf(head: Head, name: string): string | null {
  const value = head.valueOf(name);
  return value === null || /^[\s,"]*$/.test(value) ? null : value;
}

/** Both kinds of fields say the same, whichever of them a proxy has sent: RFC 7239 §7.4. */
function addressesOf(forwarded: string): string {
  return forwardedElements(forwarded)
    .map((element) => hopAddress(forwardedPair(element, 'for') ?? '') ?? 'unknown')
    .join(', ');
}

/** Of a list of addresses. A Forwarded of other addresses has passed a proxy that does not know the field. */
function elementsOf(list: string, forwarded: string | null): string {
  const addresses = list.split(',').map((hop) => hopAddress(hop) ?? 'unknown');
  if (forwarded !== null && addressesOf(forwarded) === addresses.join(', ')) return forwarded;
  return addresses.map((hop) => `for=${forwardedNode(hop)}`).join(', ');
}

/** The host that the client asked for, as trusted proxies say. */
export function hostBefore(peer: Peer, head: Head, trusted: CidrSet | null, authority: string): string {
  const said = head.valueOf('x-forwarded-host');
  const forwarded = said === null ? head.valueOf('forwarded') : null;
  if (forwarded === null) return said ?? authority;
  const elements = forwardedElements(forwarded);
  const { behind } = trusted === null ? { behind: 0 } : callerHop(peer, hopsOf(head), trusted);
  const host = forwardedPair(elements[Math.max(0, elements.length - 1 - behind)] ?? '', 'host');
  return host !== null && /^[\w.~-]+(?::\d+)?$|^\[[\da-fA-F:.]+\](?::\d+)?$/.test(host) ? host : authority;
}

function hopAddress(hop: string): string | undefined {
  return canonicalAddress(withoutPort(hop.trim()));
}

/** The prefix that trusted proxies in front have taken off, several joined to one path. */
export function prefixBefore(head: Head): string {
  const said = head.valueOf('x-forwarded-prefix');
  if (said === null) return '';
  const prefixes = said.split(',').map((prefix) => withoutSlashes(prefix.trim()));
  return prefixes.every((prefix) => /^(?:\/[!-~]+)?$/.test(prefix)) ? prefixes.join('') : '';
}

function withoutSlashes(path: string): string {
  let end = path.length;
  while (path.charCodeAt(end - 1) === SLASH) end--;
  return path.slice(0, end);
}

/** What `gateway.forwarded` asks for. */
export function writeAskedFor(
  out: FieldWriter,
  exchange: Exchange,
  head: Head,
  asked: NonNullable<GatewaySettings['forwarded']>,
): void {
  const { trusted } = exchange.peer;
  if (asked.realIp) out.field('X-Real-IP', exchange.address);
  if (!asked.port || (trusted && head.valueOf('x-forwarded-port') !== null)) return;
  const { peer, live } = exchange;
  const authority = trusted ? hostBefore(peer, head, live.trusted, exchange.authority) : exchange.authority;
  const port = /:(\d+)$/.exec(authority)?.[1] ?? (callerScheme(peer, head, live.trusted) === 'https' ? '443' : '80');
  out.field('X-Forwarded-Port', port);
}

/** `earlier, 1.1 name` (RFC 9110 §7.6.3), of a request or a response. */
export function viaOf(head: Head, via: string): string {
  const earlier = head.find(VIA) < 0 ? null : head.valueOf('via');
  const own = `${head.major}.${head.minor} ${via}`;
  return earlier === null ? own : `${earlier}, ${own}`;
}

/** RFC 7239 §6: an IPv6 address stands in brackets and quotes. */
function forwardedNode(address: string): string {
  return address.includes(':') ? `"[${address}]"` : address;
}

function withoutPort(hop: string): string {
  if (hop.startsWith('[')) {
    const close = hop.indexOf(']');
    return close < 0 ? hop : hop.slice(1, close);
  }
  const colon = hop.indexOf(':');
  return colon >= 0 && colon === hop.lastIndexOf(':') ? hop.slice(0, colon) : hop;
}

/** The authority of an instance's own address (RFC 3986 §3.2), without the port of its scheme. */
export function authorityOf({ host, port, protocol }: InstanceSettings): string {
  const name = host.includes(':') ? `[${host}]` : host;
  return port === (protocol === 'https' ? 443 : 80) ? name : `${name}:${port}`;
}
