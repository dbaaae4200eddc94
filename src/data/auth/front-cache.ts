/**
 * In front of the token cache: finds a verified token by the bytes of its field, where they lie, so that the usual
 * request makes no text of its token (a text of 300 characters is dear to make and to hash). Found by the last bytes,
 * which are the signature's and as good as random, and then compared whole. It holds what the token cache has given out
 * at least once; whenever that forgets anything (age, revocations, changed keys) this forgets all, by its version.
 * Owner: one worker, one bearer method.
 */
import { Buffer } from 'node:buffer';
import type { FieldRange, PolicyContext } from '../contract/policy.ts';
import type { CacheEntry, TokenCache } from './token-cache.ts';

/** Fewer bytes than this are no signed token. */
const LEAST_BYTES = 32;

interface Known<Entry> {
  readonly bytes: Buffer;
  readonly entry: Entry;
  readonly version: number;
}

export class FrontCache<Entry extends CacheEntry> {
  readonly #cache: TokenCache<Entry>;
  readonly #mostEntries: number;
  readonly #known = new Map<number, Known<Entry>>();
  readonly #range: FieldRange = { bytes: Buffer.alloc(0), start: 0, end: 0 };

  constructor(cache: TokenCache<Entry>, mostEntries: number) {
    this.#cache = cache;
    this.#mostEntries = mostEntries;
  }

  /** The entry of the token in the Authorization field, if it is known here and still counts at `wallMs`. */
  get(exchange: PolicyContext, wallMs: number): Entry | undefined {
    const range = this.#range;
    if (exchange.authorizationAt?.(range) !== true) return undefined;
    const { bytes, start, end } = range;
    if (end - start < LEAST_BYTES) return undefined;
    const known = this.#known.get(hashOfEnd(bytes, end));
    if (known === undefined || known.version !== this.#cache.version || wallMs >= known.entry.validUntilMs)
      return undefined;
    const { length } = known.bytes;
    if (length !== end - start || bytes.compare(known.bytes, 0, length, start, end) !== 0) return undefined;
    this.#cache.hits++;
    return known.entry;
  }

  /** The token cache has had `entry` for the Authorization field of this exchange. */
  remember(exchange: PolicyContext, entry: Entry): void {
    const range = this.#range;
    if (exchange.authorizationAt?.(range) !== true || range.end - range.start < LEAST_BYTES) return;
    if (this.#known.size >= this.#mostEntries) this.#known.clear();
    const bytes = Buffer.from(range.bytes.subarray(range.start, range.end));
    this.#known.set(hashOfEnd(bytes, bytes.length), { bytes, entry, version: this.#cache.version });
  }
}

/** A small integer, which a Map finds without a look at memory elsewhere. */
function hashOfEnd(bytes: Buffer, end: number): number {
  let hash = 0;
  for (let i = end - 12; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  return (hash ^ (hash >>> 15)) & 0x3fffffff;
}
