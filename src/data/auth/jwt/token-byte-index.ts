/**
 * In front of the token cache: finds a verified token by the bytes of its field in the request's head, so that the
 * usual request builds no string of its token (300 characters are expensive to copy and to hash). The index is the
 * token's last bytes, which belong to the signature and are as good as random; then all bytes are compared. It holds
 * tokens that the token cache has returned at least once; when the cache drops any (age, revocations, changed keys),
 * this drops all, by the cache's version.
 *
 * Everything lies in a few arrays, token behind token: with a thousand callers taking turns, the cache of the processor
 * holds nothing about the next one, and each extra object costs a memory access. Owner: one worker, one bearer method.
 */
import { Buffer } from 'node:buffer';
import type { FieldRange, PolicyContext } from '../../contract/policy.ts';
import type { CacheEntry, TokenCache } from './token-cache.ts';

/** Fewer bytes than this are no signed token. */
const LEAST_BYTES = 32;

/** Words of a slot: hash of the token's end (never 0), its offset and length, and its number among the entries. */
const HASH = 0;
const OFFSET = 1;
const LENGTH = 2;
const NUMBER = 3;
const SLOT_WORDS = 4;

const FIRST_SLOTS = 256;
const FIRST_BYTES = 64 * 1024;
/** Of all tokens together; beyond it everything is forgotten and found again as it comes. */
const MOST_BYTES = 16 * 1024 * 1024;

export class TokenByteIndex<Entry extends CacheEntry> {
  readonly #cache: TokenCache<Entry>;
  readonly #mostEntries: number;
  readonly #range: FieldRange = { bytes: Buffer.alloc(0), view: null, start: 0, end: 0 };
  /** Open addressing, at most half full. */
  #slots = new Int32Array(FIRST_SLOTS * SLOT_WORDS);
  #tokens = new DataView(new ArrayBuffer(FIRST_BYTES));
  #usedBytes = 0;
  readonly #entries: Entry[] = [];
  readonly #validUntilMs: number[] = [];
  /** Of the token cache, when the first of the entries was remembered. */
  #version = 0;

  constructor(cache: TokenCache<Entry>, mostEntries: number) {
    this.#cache = cache;
    this.#mostEntries = mostEntries;
  }

  /** The entry of the token in the Authorization field, if it is known here and still counts at `wallMs`. */
  get(exchange: PolicyContext, wallMs: number): Entry | undefined {
    if (this.#entries.length === 0) return undefined;
    if (this.#version !== this.#cache.version) {
      this.#forget();
      return undefined;
    }
    const range = this.#range;
    if (exchange.authorizationAt?.(range) !== true || range.end - range.start < LEAST_BYTES) return undefined;
    const number = this.#find(viewOf(range), range.start, range.end);
    if (number < 0 || wallMs >= this.#validUntilMs[number]!) return undefined;
    this.#cache.hits++;
    return this.#entries[number];
  }

  /** The token cache has had `entry` for the Authorization field of this exchange. */
  remember(exchange: PolicyContext, entry: Entry): void {
    const range = this.#range;
    if (exchange.authorizationAt?.(range) !== true) return;
    const { bytes, start, end } = range;
    const length = end - start;
    if (length < LEAST_BYTES) return;
    const view = viewOf(range);
    const isFull = this.#entries.length >= this.#mostEntries || this.#usedBytes + length > MOST_BYTES;
    if (isFull || this.#version !== this.#cache.version) this.#forget();
    const known = this.#find(view, start, end);
    if (known >= 0) {
      this.#entries[known] = entry;
      this.#validUntilMs[known] = entry.validUntilMs;
      return;
    }
    if (this.#usedBytes + length > this.#tokens.byteLength) this.#growTokens(length);
    if ((this.#entries.length + 1) * 2 * SLOT_WORDS > this.#slots.length) this.#growSlots();
    new Uint8Array(this.#tokens.buffer).set(bytes.subarray(start, end), this.#usedBytes);
    const slots = this.#slots;
    const at = freeSlot(slots, hashOfEnd(view, end));
    slots[at + OFFSET] = this.#usedBytes;
    slots[at + LENGTH] = length;
    slots[at + NUMBER] = this.#entries.length;
    // The next one begins at a whole word.
    this.#usedBytes += (length + 3) & ~3;
    this.#entries.push(entry);
    this.#validUntilMs.push(entry.validUntilMs);
  }

  /** The number of the token in `view[start, end)`, or -1. */
  #find(view: DataView, start: number, end: number): number {
    const length = end - start;
    const hash = hashOfEnd(view, end);
    const slots = this.#slots;
    const last = slots.length - SLOT_WORDS;
    for (let at = (hash * SLOT_WORDS) & last; slots[at + HASH] !== 0; at = (at + SLOT_WORDS) & last) {
      if (slots[at + HASH] !== hash || slots[at + LENGTH] !== length) continue;
      if (isEqual(view, start, this.#tokens, slots[at + OFFSET]!, length)) return slots[at + NUMBER]!;
    }
    return -1;
  }

  #forget(): void {
    this.#version = this.#cache.version;
    this.#slots.fill(0);
    this.#usedBytes = 0;
    this.#entries.length = 0;
    this.#validUntilMs.length = 0;
  }

  #growTokens(length: number): void {
    const grown = new Uint8Array(Math.max(this.#tokens.byteLength * 2, this.#usedBytes + length));
    grown.set(new Uint8Array(this.#tokens.buffer, 0, this.#usedBytes));
    this.#tokens = new DataView(grown.buffer);
  }

  #growSlots(): void {
    const before = this.#slots;
    const grown = new Int32Array(before.length * 2);
    for (let at = 0; at < before.length; at += SLOT_WORDS) {
      if (before[at + HASH] === 0) continue;
      const to = freeSlot(grown, before[at + HASH]!);
      for (let word = OFFSET; word < SLOT_WORDS; word++) grown[to + word] = before[at + word]!;
    }
    this.#slots = grown;
  }
}

/** The first free slot for a hash, which it has then. */
function freeSlot(slots: Int32Array, hash: number): number {
  const last = slots.length - SLOT_WORDS;
  let at = (hash * SLOT_WORDS) & last;
  while (slots[at + HASH] !== 0) at = (at + SLOT_WORDS) & last;
  slots[at + HASH] = hash;
  return at;
}

function viewOf({ bytes, view }: FieldRange): DataView {
  return view ?? new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** A positive small integer. */
function hashOfEnd(view: DataView, end: number): number {
  let hash = view.getInt32(end - 12, true);
  hash = Math.imul(hash ^ view.getInt32(end - 8, true), 0x2c1b3c6d);
  hash = Math.imul(hash ^ (hash >>> 15) ^ view.getInt32(end - 4, true), 0x297a2d39);
  return ((hash ^ (hash >>> 15)) & 0x1fffffff) | 0x20000000;
}

function isEqual(a: DataView, fromA: number, b: DataView, fromB: number, length: number): boolean {
  const words = length & ~3;
  let i = 0;
  for (; i < words; i += 4) if (a.getInt32(fromA + i, true) !== b.getInt32(fromB + i, true)) return false;
  for (; i < length; i++) if (a.getUint8(fromA + i) !== b.getUint8(fromB + i)) return false;
  return true;
}
