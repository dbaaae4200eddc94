/**
 * The fields that tell the upstream who called: `X-Forwarded-For/Proto/Host/Port`, `Forwarded` (RFC 7239), `Via` (RFC
 * 9110 §7.6.3). What callers say of themselves is dropped, unless their address lies in `trustProxy`: then it is what
 * a trusted proxy says of its client (proxied-client.ts).
 */
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
import { forwardedNode, type ProxiedClient } from './proxied-client.ts';

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

/** The fields that tell the upstream where the request came from. `client`: null where no trusted proxy is in front. */
export function writeForwarding(
  out: FieldWriter,
  { address, secure }: Peer,
  client: ProxiedClient | null,
  head: Head,
  authority: string,
  via: string,
): void {
  const own = secure ? 'https' : 'http';
  const element = `for=${forwardedNode(address)};host="${authority}";proto=${own}`;
  out.field('X-Forwarded-For', client === null ? address : client.forwardedFor);
  out.field('X-Forwarded-Proto', client === null ? own : client.scheme);
  out.field('X-Forwarded-Host', client?.host ?? authority);
  const port = client === null ? null : client.port;
  if (port !== null) out.field('X-Forwarded-Port', port);
  out.field('Forwarded', client === null ? element : client.forwarded(element));
  if (via !== '') out.field('Via', viaOf(head, via));
}

/** What `gateway.forwarded` asks for. */
export function writeAskedFor(
  out: FieldWriter,
  exchange: Exchange,
  asked: NonNullable<GatewaySettings['forwarded']>,
): void {
  const { client, authority, callerScheme } = exchange;
  if (asked.realIp) out.field('X-Real-IP', exchange.address);
  if (!asked.port || (client !== null && client.port !== null)) return;
  const port = /:(\d+)$/.exec(client?.host ?? authority)?.[1] ?? (callerScheme === 'https' ? '443' : '80');
  out.field('X-Forwarded-Port', port);
}

/** `earlier, 1.1 name` (RFC 9110 §7.6.3), of a request or a response. */
export function viaOf(head: Head, via: string): string {
  const earlier = head.find(VIA) < 0 ? null : head.valueOf('via');
  const own = `${head.major}.${head.minor} ${via}`;
  return earlier === null ? own : `${earlier}, ${own}`;
}

/** The authority of an instance's own address (RFC 3986 §3.2), without the port of its scheme. */
export function authorityOf({ host, port, protocol }: InstanceSettings): string {
  const name = host.includes(':') ? `[${host}]` : host;
  return port === (protocol === 'https' ? 443 : 80) ? name : `${name}:${port}`;
}
