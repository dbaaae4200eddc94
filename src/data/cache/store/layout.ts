/**
 * Where things lie in the memory of the cache: one SharedArrayBuffer for all threads. Main allocates it once
 * (`allocateCache`), every worker looks at it through `CacheStore`. Parts are touched from their beginning as they
 * fill, so that memory which the cache does not use is not resident.
 *
 *   header | hash key | pins | prefixes | tags | heads | ghosts | entries | next chunk | chunks
 *
 *   entry = state | hash a | hash b | next in bucket | first chunk | written | meta | body | born | fresh until
 *           | stale while revalidate | stale if error | purge sequence | before | behind | use | flags      20 words
 *
 * Body and head of an object lie in a chain of chunks of 2 KB, so a typical response of an API takes one or two.
 */
import { randomBytes } from 'node:crypto';
import { MAX_WORKERS } from '../../contract/shared.ts';

export const CHUNK_BYTES = 2_048;

// --- header words ---
export const LOCK = 0;
/** Chunks that were never used begin here; those that were given back hang on `FREE_CHUNKS`. */
export const FRESH_CHUNK = 1;
export const FREE_CHUNKS = 2;
export const FRESH_ENTRY = 3;
export const FREE_ENTRIES = 4;
export const USED_CHUNKS = 5;
export const LIVE_ENTRIES = 6;
/** First and last entry, and chunks, of the two queues of S3-FIFO. */
export const SMALL_FIRST = 7;
export const SMALL_LAST = 8;
export const SMALL_CHUNKS = 9;
export const MAIN_FIRST = 10;
export const MAIN_LAST = 11;
export const MAIN_CHUNKS = 12;
/** Evictions that made room; how many keys went through the ghosts. */
export const EVICTIONS = 13;
export const GHOST_CLOCK = 14;
/** Number of the latest purge by tag, prefix or of all; of the latest purge of all. */
export const PURGE_SEQUENCE = 15;
export const PURGED_ALL = 16;
export const PREFIX_COUNT = 17;
export const TAG_COUNT = 18;
/** Counts up when the store had to be emptied because its lock was held by a thread that died. */
export const RESETS = 19;
export const REFUSED = 20;
/** Rows of pins that were ever used. */
export const PIN_ROWS = 21;
/** The key of the hash. */
export const HASH_KEY = 24;
const HEADER_WORDS = 32;

/** Entries that one worker may hold at a time; the last word of its row says how many slots were ever used. */
export const PINS_PER_WORKER = 1_024;
export const MAX_PREFIXES = 64;
/** Words of one prefix: sequence, length in bytes, then the text. */
export const PREFIX_WORDS = 130;
export const MAX_PREFIX_BYTES = 512;
/** Slots of the tag table: hash and sequence. */
export const TAG_SLOTS = 16_384;

// --- words of an entry ---
export const ENTRY_WORDS = 20;
/** Low three bits: what it is. The others count up with every use, so that a reader sees that it has changed hands. */
export const STATE = 0;
export const KEY_A = 1;
export const KEY_B = 2;
export const NEXT_IN_BUCKET = 3;
export const FIRST_CHUNK = 4;
/** Bytes of the chain that readers may read. */
export const WRITTEN = 5;
export const META_BYTES = 6;
/** -1: not known yet. */
export const BODY_BYTES = 7;
/** Instead of a length: the fill was given up, what there is of the body is not all of it. */
export const ABORTED = -2;
/** Two words each: a float of 64 bits, milliseconds of the wall clock. */
export const BORN_MS = 8;
export const FRESH_UNTIL_MS = 10;
export const STALE_WHILE_REVALIDATE_S = 12;
export const STALE_IF_ERROR_S = 13;
export const SEQUENCE = 14;
/** In a queue: the entry nearer to its beginning. While it is filled: index of the worker that does, plus one. */
export const BEFORE = 15;
/**
 * In a queue: the entry nearer to its end. While it is filled: `PROGRESS` and a count of what happened; waiters sleep
 * on it.
 */
export const BEHIND = 16;
export const PROGRESS = 0x4000_0000;
/** Low two bits: hits since it was looked at for eviction, three at most. Third bit: in the main queue. Above: hits. */
export const USE = 17;
export const FLAGS = 18;
/** Of the flags: not a response, but what chooses one. The others below 0x100 are the caller's. */
export const IS_MARKER = 4;
/** Of the flags: taken away while it was filled, and still written to. */
export const IS_DOOMED = 0x100;
/** Chunks of the chain. */
export const CHUNKS = 19;

export const EMPTY = 0;
export const FILLING = 1;
export const LIVE = 2;
/** Nobody finds it any more; its chunks are free when nobody reads them. */
export const DYING = 3;
/** Its response could not be stored the last time: do not wait for each other (hit-for-miss). */
export const PASS = 4;
export const KIND = 7;

export interface Layout {
  readonly pins: number;
  readonly prefixes: number;
  readonly tags: number;
  readonly heads: number;
  /** A power of two. */
  readonly buckets: number;
  readonly ghosts: number;
  readonly entries: number;
  readonly nextChunk: number;
  /** Byte offset of chunk 0, which is never used: 0 ends a chain. */
  readonly chunkBytesAt: number;
  /** Chunks, chunk 0 included; as many entries. */
  readonly chunks: number;
}

/** Word offsets of the parts in a memory of this size. Throws a `TypeError` when it is too small to be of use. */
export function layoutOf(bytes: number): Layout {
  const pins = HEADER_WORDS;
  const prefixes = pins + MAX_WORKERS * PINS_PER_WORKER;
  const tags = prefixes + MAX_PREFIXES * PREFIX_WORDS;
  const heads = tags + TAG_SLOTS * 2;
  // Per chunk: an entry, its bucket and ghost (up to two words each because the buckets are a power of two), the chunk.
  const perChunk = ENTRY_WORDS * 4 + 4 + 16 + CHUNK_BYTES;
  const chunks = Math.floor((bytes - heads * 4 - CHUNK_BYTES) / perChunk);
  if (chunks < 64) throw new TypeError(`the memory of the cache is too small: ${bytes} bytes`);
  const buckets = 2 ** Math.floor(Math.log2(chunks));
  const ghosts = heads + buckets;
  const entries = evenWord(ghosts + buckets * 2);
  const nextChunk = entries + chunks * ENTRY_WORDS;
  const chunkBytesAt = Math.ceil(((nextChunk + chunks) * 4) / 64) * 64;
  return { pins, prefixes, tags, heads, buckets, ghosts, entries, nextChunk, chunkBytesAt, chunks };
}

const evenWord = (word: number): number => word + (word & 1);

/** Memory for a cache; what is not used of it is not resident. */
export function allocateCache(bytes: number): SharedArrayBuffer {
  layoutOf(bytes);
  const memory = new SharedArrayBuffer(Math.ceil(bytes / 64) * 64);
  const words = new Int32Array(memory);
  const key = randomBytes(8);
  words[HASH_KEY] = key.readInt32LE(0);
  words[HASH_KEY + 1] = key.readInt32LE(4);
  words[FRESH_CHUNK] = 1;
  words[FRESH_ENTRY] = 1;
  return memory;
}
