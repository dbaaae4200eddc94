/**
 * Chunks and the chains that objects are made of: allocating and freeing (under the lock of the store), writing at the
 * end, reading from anywhere. A chain belongs to one entry; who reads it has pinned that entry.
 */
import { CHUNK_BYTES, FREE_CHUNKS, FRESH_CHUNK, type Layout, USED_CHUNKS } from './layout.ts';

/** Takes any bytes. */
const { copy } = Buffer.prototype;

export class Chains {
  readonly bytes: Buffer;
  readonly #words: Int32Array;
  readonly #layout: Layout;

  constructor(memory: SharedArrayBuffer, words: Int32Array, layout: Layout) {
    this.#words = words;
    this.#layout = layout;
    this.bytes = Buffer.from(memory, layout.chunkBytesAt, layout.chunks * CHUNK_BYTES);
  }

  get total(): number {
    return this.#layout.chunks - 1;
  }

  /** Under the lock. */
  get free(): number {
    return this.total - this.#words[USED_CHUNKS]!;
  }

  next(chunk: number): number {
    return this.#words[this.#layout.nextChunk + chunk]!;
  }

  /**
   * Under the lock, with at least `count` free: a chain of so many chunks. In the order in which they lie in memory,
   * where that can be: what is read in one run is read in one go.
   */
  take(count: number): number {
    const words = this.#words;
    const { nextChunk } = this.#layout;
    let first = 0;
    let last = 0;
    for (let i = 0; i < count; i++) {
      let chunk = words[FREE_CHUNKS]!;
      if (chunk !== 0) words[FREE_CHUNKS] = words[nextChunk + chunk]!;
      else chunk = words[FRESH_CHUNK]!++;
      if (last === 0) first = chunk;
      else words[nextChunk + last] = chunk;
      last = chunk;
    }
    if (last !== 0) words[nextChunk + last] = 0;
    words[USED_CHUNKS]! += count;
    return first;
  }

  /** Under the lock: gives a whole chain back. */
  give(first: number): void {
    const words = this.#words;
    const { nextChunk } = this.#layout;
    let count = 1;
    let last = first;
    for (let chunk = words[nextChunk + last]!; chunk !== 0; chunk = words[nextChunk + chunk]!) {
      last = chunk;
      count++;
    }
    words[nextChunk + last] = words[FREE_CHUNKS]!;
    words[FREE_CHUNKS] = first;
    words[USED_CHUNKS]! -= count;
  }

  /** Under the lock: all chunks that were ever used are free, except these. */
  rebuild(kept: ReadonlySet<number>): void {
    const words = this.#words;
    words[FREE_CHUNKS] = 0;
    // From the end, so that they are taken in the order in which they lie.
    for (let chunk = words[FRESH_CHUNK]! - 1; chunk > 0; chunk--) {
      if (kept.has(chunk)) continue;
      words[this.#layout.nextChunk + chunk] = words[FREE_CHUNKS]!;
      words[FREE_CHUNKS] = chunk;
    }
    words[USED_CHUNKS] = kept.size;
  }

  /** Hangs `more` behind the last chunk of a chain. */
  extend(last: number, more: number): void {
    this.#words[this.#layout.nextChunk + last] = more;
  }

  last(first: number): number {
    let chunk = first;
    for (let next = this.next(chunk); next !== 0; next = this.next(chunk)) chunk = next;
    return chunk;
  }

  /** Copies `[from, from + length)` of a chain to `target` at `at`. */
  read(first: number, from: number, length: number, target: Buffer, at: number): void {
    let chunk = first;
    let skip = from;
    for (; skip >= CHUNK_BYTES; skip -= CHUNK_BYTES) chunk = this.next(chunk);
    const cursor = { chunk, offset: skip };
    this.readOn(cursor, length, target, at);
  }

  /** Copies the next `length` bytes and moves the cursor behind them. */
  readOn(cursor: Cursor, length: number, target: Buffer, at: number): void {
    let left = length;
    let to = at;
    while (left > 0) {
      const part = this.run(cursor, left);
      const start = this.#pass(cursor, part);
      this.bytes.copy(target, to, start, start + part);
      to += part;
      left -= part;
    }
  }

  /** How many bytes from the cursor on lie in one piece of memory, `most` at most, which the chain must have. */
  run(cursor: Cursor, most: number): number {
    if (cursor.offset === CHUNK_BYTES) {
      cursor.chunk = this.next(cursor.chunk);
      cursor.offset = 0;
    }
    let length = CHUNK_BYTES - cursor.offset;
    for (let { chunk } = cursor; length < most && this.next(chunk) === chunk + 1; chunk++) length += CHUNK_BYTES;
    return Math.min(length, most);
  }

  /** Moves the cursor over a whole run or the beginning of one; returns where that lies in `bytes`. */
  #pass(cursor: Cursor, length: number): number {
    const start = cursor.chunk * CHUNK_BYTES + cursor.offset;
    const end = cursor.offset + length;
    const chunks = Math.floor((end - 1) / CHUNK_BYTES);
    cursor.chunk += chunks;
    cursor.offset = end - chunks * CHUNK_BYTES;
    return start;
  }

  /** Writes `source[start, end)` and moves the cursor behind it; the chain must be long enough. */
  writeOn(cursor: Cursor, source: Uint8Array, start: number, end: number): void {
    for (let from = start; from < end; ) {
      const part = this.run(cursor, end - from);
      // `set` on shared memory goes word by word, and wants a view of the part.
      copy.call(source, this.bytes, this.#pass(cursor, part), from, from + part);
      from += part;
    }
  }
}

/** A place in a chain. */
export interface Cursor {
  chunk: number;
  offset: number;
}

export const chunksFor = (bytes: number): number => Math.max(1, Math.ceil(bytes / CHUNK_BYTES));
