/**
 * `compression`: packs responses for clients that want that, once, and says so: the coding in `Content-Encoding`,
 * `Vary` so that caches keep both forms apart, and a weak ETag, since the bytes are others now (RFC 9110 §8.8.3.3). It
 * is the last to look at a response, behind all transforms.
 */
import type { ProcessNumber } from '../../base/metrics-layout.ts';
import { type Coding, type Levels, preferredCoding } from '../content/codings.ts';
import { matchesType, mediaTypeOf } from '../content/media-type.ts';
import { sendsOtherBytes } from '../content/other-bytes.ts';
import { PACKED_AT_ONCE, PackFilter } from '../content/pack-filter.ts';
import type { PolicyContext } from '../contract/policy.ts';
import { definePolicy } from '../contract/policy.ts';

export interface CompressionSettings {
  /** Of those that a client likes equally, the first. */
  readonly codings: readonly Coding[];
  /** Such as `text/*`. */
  readonly types: readonly string[];
  /** A body that is known to be shorter stays as it is. */
  readonly minBytes: number;
  readonly levels: Levels;
}

const NO_TRANSFORM = /(?:^|,)\s*no-transform\s*(?:,|$)/i;
/** Clients send few different values. */
const MOST_KNOWN = 200;

export const compression = definePolicy<CompressionSettings>({
  name: 'compression',
  phases: ['responseHead'],
  last: true,
  create(settings, { count }) {
    const known = new Map<string, Coding | null>();
    const codingFor = (accept: string): Coding | null => {
      const before = known.get(accept);
      if (before !== undefined) return before;
      const coding = preferredCoding(accept, settings.codings);
      if (known.size >= MOST_KNOWN) known.clear();
      known.set(accept, coding);
      return coding;
    };
    return { responseHead: (exchange) => pack(settings, codingFor, exchange, count) };
  },
});

function pack(
  settings: CompressionSettings,
  codingFor: (accept: string) => Coding | null,
  exchange: PolicyContext,
  count: (name: ProcessNumber, change: number) => void,
): void {
  const { status } = exchange;
  if (exchange.fault !== null || status < 200 || status === 204 || status === 205) return;
  const accept = exchange.header('accept-encoding');
  if (status === 304) {
    onNotModified(exchange);
    return;
  }
  const type = mediaTypeOf(exchange.sentHeader('content-type'));
  if (!settings.types.some((pattern) => matchesType(pattern, type))) return;
  if (exchange.sentHeader('content-encoding') !== null) return;
  if (NO_TRANSFORM.test(exchange.sentHeader('cache-control') ?? '')) return;
  // RFC 9110 §15.3.7: with the `Vary` that a 200 would have.
  if (status === 206) addVary(exchange);
  if (status === 206 || exchange.sentHeader('content-range') !== null) return;
  const length = lengthOf(exchange);
  if (length >= 0 && length < settings.minBytes) return;
  // From here on another client could get another form of it.
  addVary(exchange);
  const coding = accept === null ? null : codingFor(accept);
  if (coding === null || NO_TRANSFORM.test(exchange.header('cache-control') ?? '')) return;
  exchange.setResponseHeader('Content-Encoding', coding);
  sendsOtherBytes(exchange);
  exchange.logField('coding', coding);
  const isSmall = length >= 0 && length <= PACKED_AT_ONCE;
  const filter = new PackFilter(coding, settings.levels[coding], length, {
    packed(bytesIn, bytesOut) {
      count('compressed_responses', 1);
      count('compression_bytes_in', bytesIn);
      count('compression_bytes_out', bytesOut);
    },
  });
  exchange.filterResponseBody(filter, { holdHead: isSmall });
}

/** That of the body a GET would bring, where HEAD asks for it. */
function lengthOf(exchange: PolicyContext): number {
  if (exchange.method !== 'HEAD') return exchange.responseLength;
  const text = exchange.sentHeader('content-length');
  return text === null || !/^\d{1,15}$/.test(text) ? -1 : Number(text);
}

/** RFC 9110 §15.4.5: a 304 has the fields that a 200 would have. A client that has the weak tag has the packed form. */
function onNotModified(exchange: PolicyContext): void {
  addVary(exchange);
  const tag = exchange.sentHeader('etag');
  if (tag?.startsWith('"') === true && exchange.header('if-none-match')?.includes(`W/${tag}`) === true)
    exchange.setResponseHeader('ETag', `W/${tag}`);
}

function addVary(exchange: PolicyContext): void {
  const vary = exchange.sentHeader('vary');
  if (vary !== null && /(?:^|,)\s*(?:\*|accept-encoding)\s*(?:,|$)/i.test(vary)) return;
  exchange.addResponseHeader('Vary', 'Accept-Encoding');
}
