/**
 * The field names that the engine itself understands, each with a small number, found from bytes without making a
 * string: a hash of length, first and last byte picks a short list, a byte loop confirms. Everything else is `OTHER`
 * and passes untouched. Names that differ only in another sign for `-` are `CONFUSABLE`: never understood, never
 * forwarded.
 */
import { FOLD } from './bytes.ts';

export const OTHER = 0;
export const CONFUSABLE = 1;
export const HOST = 2;
export const CONTENT_LENGTH = 3;
export const TRANSFER_ENCODING = 4;
export const CONNECTION = 5;
export const KEEP_ALIVE = 6;
export const PROXY_CONNECTION = 7;
export const TE = 8;
export const TRAILER = 9;
export const UPGRADE = 10;
export const EXPECT = 11;
export const X_FORWARDED_FOR = 12;
export const X_FORWARDED_PROTO = 13;
export const X_FORWARDED_HOST = 14;
export const X_FORWARDED_PORT = 15;
export const FORWARDED = 16;
export const VIA = 17;
export const X_REQUEST_ID = 18;
export const DATE = 19;
export const PROXY_AUTHENTICATE = 20;
export const PROXY_AUTHORIZATION = 21;
export const X_REAL_IP = 22;
export const HTTP2_SETTINGS = 23;
/** Names that only the gateway may say (who the caller is); copies from outside are removed. */
export const IDENTITY = 24;
const RETRY_AFTER = 25;
export const USER_AGENT = 26;
export const IDEMPOTENCY_KEY = 27;
export const MAX_FORWARDS = 28;
export const AUTHORIZATION = 29;
/** What services tell of limits of their own in the same words as the gateway. */
export const RATE_LIMIT = 30;
/** Fields that only proxies in front set and services believe: removed from untrusted clients. */
export const PROXY_ONLY = 31;
export const TRACEPARENT = 32;
export const TRACESTATE = 33;

const KNOWN: readonly (readonly [string, number])[] = [
  ['host', HOST],
  ['content-length', CONTENT_LENGTH],
  ['transfer-encoding', TRANSFER_ENCODING],
  ['connection', CONNECTION],
  ['keep-alive', KEEP_ALIVE],
  ['proxy-connection', PROXY_CONNECTION],
  ['te', TE],
  ['trailer', TRAILER],
  ['upgrade', UPGRADE],
  ['expect', EXPECT],
  ['x-forwarded-for', X_FORWARDED_FOR],
  ['x-forwarded-proto', X_FORWARDED_PROTO],
  ['x-forwarded-host', X_FORWARDED_HOST],
  ['x-forwarded-port', X_FORWARDED_PORT],
  ['forwarded', FORWARDED],
  ['via', VIA],
  ['x-request-id', X_REQUEST_ID],
  ['date', DATE],
  ['proxy-authenticate', PROXY_AUTHENTICATE],
  ['proxy-authorization', PROXY_AUTHORIZATION],
  ['x-real-ip', X_REAL_IP],
  ['http2-settings', HTTP2_SETTINGS],
  ['retry-after', RETRY_AFTER],
  ['user-agent', USER_AGENT],
  ['idempotency-key', IDEMPOTENCY_KEY],
  ['max-forwards', MAX_FORWARDS],
  ['authorization', AUTHORIZATION],
  ['traceparent', TRACEPARENT],
  ['tracestate', TRACESTATE],
  ['x-ratelimit-limit', RATE_LIMIT],
  ['x-ratelimit-remaining', RATE_LIMIT],
  ['x-ratelimit-reset', RATE_LIMIT],
];

export const PROXY_ONLY_NAMES: readonly string[] = [
  ...['prefix', 'ssl', 'scheme', 'protocol', 'user', 'email', 'groups', 'preferred-username', 'access-token'].map(
    (end) => `x-forwarded-${end}`,
  ),
  ...['client-cert', 'tls-client-cert', 'tls-client-cert-info', 'path', 'uri', 'method', 'server', 'by'].map(
    (end) => `x-forwarded-${end}`,
  ),
  ...['x-original-url', 'x-rewrite-url', 'x-original-uri', 'x-original-method', 'x-original-host', 'x-url-scheme'],
  ...['x-original-forwarded-for', 'x-client-ip', 'x-cluster-client-ip', 'true-client-ip', 'cf-connecting-ip'],
  ...['client-cert', 'client-cert-chain', 'x-client-cert', 'ssl-client-cert', 'x-ssl-client-cert', 'ssl-client-verify'],
  ...['x-ssl-client-verify', 'x-ssl-client-s-dn', 'ssl-client-s-dn', 'remote-user', 'x-remote-user', 'x-remote-group'],
  ...['front-end-https', 'x-envoy-external-address', 'proxy'],
];

interface Known {
  readonly bytes: Uint8Array;
  readonly id: number;
}

const BUCKETS: Known[][] = Array.from({ length: 256 }, () => []);

function bucketOf(length: number, first: number, last: number): number {
  return (length * 37 + first * 5 + last) & 255;
}

function add(name: string, id: number): void {
  const bytes = Uint8Array.from(Buffer.from(name, 'latin1'));
  BUCKETS[bucketOf(bytes.length, bytes[0] ?? 0, bytes[bytes.length - 1] ?? 0)]?.push({ bytes, id });
}

for (const [name, id] of KNOWN) add(name, id);
for (const name of PROXY_ONLY_NAMES) add(name, PROXY_ONLY);

const identityNames = new Set<string>();

/** Adds names (lower case) to those that only the gateway may say. Called while a worker starts. */
export function reserveIdentityNames(names: readonly string[]): void {
  for (const name of names) {
    if (identityNames.has(name) || KNOWN.some(([known]) => known === name)) continue;
    identityNames.add(name);
    add(name, IDENTITY);
  }
  idsOfNames.clear();
}

/** Of names that services choose, so there may be any number of them. */
const MOST_NAMES = 500;
const idsOfNames = new Map<string, number>();

/** The id of a lower-case name. */
export function idOfName(name: string): number {
  const known = idsOfNames.get(name);
  if (known !== undefined) return known;
  const bytes = Buffer.from(name, 'latin1');
  const id = bytes.length === 0 ? OTHER : fieldId(bytes, 0, bytes.length);
  if (idsOfNames.size >= MOST_NAMES) idsOfNames.clear();
  idsOfNames.set(name, id);
  return id;
}

/** The id of the name in `bytes[start, end)`. */
export function fieldId(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  const candidates = BUCKETS[bucketOf(length, FOLD[bytes[start]!]!, FOLD[bytes[end - 1]!]!)]!;
  for (let c = 0; c < candidates.length; c++) {
    const known = candidates[c]!;
    const name = known.bytes;
    if (name.length !== length) continue;
    let id = known.id;
    let i = 0;
    for (; i < length; i++) {
      const byte = bytes[start + i]!;
      if (FOLD[byte] !== name[i]) break;
      if (name[i] === 0x2d && byte !== 0x2d) id = CONFUSABLE;
    }
    if (i === length) return id;
  }
  return OTHER;
}

/** Is the name in `bytes[start, end)` the given lower-case one? Here `_` and `-` differ. */
export function nameIs(bytes: Uint8Array, start: number, end: number, lowerName: string): boolean {
  if (end - start !== lowerName.length) return false;
  for (let i = 0; i < lowerName.length; i++) {
    const byte = bytes[start + i]!;
    const lower = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
    if (lower !== lowerName.charCodeAt(i)) return false;
  }
  return true;
}
