/** What a response says about its bytes, and what becomes of that when the gateway sends others. */
import type { PolicyContext } from '../contract/policy.ts';

/** Digests of the bytes as they were sent, in requests and responses (RFC 9530, and what came before it). */
export const DIGESTS: readonly string[] = ['content-digest', 'repr-digest', 'digest', 'content-md5'];
/** Of a response: with ranges of those bytes (RFC 9110 §14.3). */
export const DIGESTS_AND_RANGES: readonly string[] = [...DIGESTS, 'accept-ranges'];

/** In `responseHead`. Digests and ranges go; the tag becomes weak (RFC 9110 §8.8.3.3). */
export function sendsOtherBytes(exchange: PolicyContext): void {
  for (const name of DIGESTS_AND_RANGES) if (exchange.sentHeader(name) !== null) exchange.removeResponseHeader(name);
  const tag = exchange.sentHeader('etag');
  if (tag?.startsWith('"') === true) exchange.setResponseHeader('ETag', `W/${tag}`);
}

/** The response is for this caller alone, whatever the service says of caches on the way. */
export function makePrivate(exchange: PolicyContext): void {
  exchange.setResponseHeader('Cache-Control', privateOf(exchange.sentHeader('cache-control') ?? ''));
}

/** A `Cache-Control` that keeps what it says, but for caches that several callers share. */
export function privateOf(written: string): string {
  const kept = written
    .split(',')
    .map((directive) => directive.trim())
    .filter((directive) => directive !== '' && !/^(public|private|s-maxage)\b/i.test(directive));
  return [...kept, 'private'].join(', ');
}
