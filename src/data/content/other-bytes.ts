/** What a response says about its bytes, and what becomes of that when the gateway sends others. */
import type { PolicyContext } from '../contract/policy.ts';

/** They are about the bytes as the service sent them (RFC 9530, RFC 9110 §14.3). */
const OF_OTHER_BYTES = ['Content-Digest', 'Repr-Digest', 'Digest', 'Content-MD5', 'Accept-Ranges'];

/** In `responseHead`. Digests and ranges go; the tag becomes weak (RFC 9110 §8.8.3.3). */
export function sendsOtherBytes(exchange: PolicyContext): void {
  for (const name of OF_OTHER_BYTES)
    if (exchange.sentHeader(name.toLowerCase()) !== null) exchange.removeResponseHeader(name);
  const tag = exchange.sentHeader('etag');
  if (tag?.startsWith('"') === true) exchange.setResponseHeader('ETag', `W/${tag}`);
}

/** The response is for this caller alone, whatever the service says of caches on the way. */
export function makePrivate(exchange: PolicyContext): void {
  const written = exchange.sentHeader('cache-control') ?? '';
  const kept = written
    .split(',')
    .map((directive) => directive.trim())
    .filter((directive) => directive !== '' && !/^(public|private|s-maxage)\b/i.test(directive));
  exchange.setResponseHeader('Cache-Control', [...kept, 'private'].join(', '));
}
