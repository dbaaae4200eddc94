/**
 * Purging without looking for what is purged: a purge writes down what it means and its number, and an entry that began
 * before that number is compared with what is written down when it is next found. So a purge costs the same however
 * much is stored, holds for all workers with one store of a word, and catches what was on its way from the upstream
 * meanwhile. An entry that passed the comparison takes the number, so that its next hits are compared with one word
 * only.
 *
 * Writing happens under the lock of the store. When a table is full the store looks through all entries once and
 * empties both (`CacheStore.sweep`).
 */
import type { Layout } from './layout.ts';
import {
  MAX_PREFIX_BYTES,
  MAX_PREFIXES,
  PREFIX_COUNT,
  PREFIX_WORDS,
  PURGE_SEQUENCE,
  PURGED_ALL,
  TAG_COUNT,
  TAG_SLOTS,
} from './layout.ts';

const PROBES = 16;

export class Purges {
  readonly #words: Int32Array;
  readonly #layout: Layout;
  readonly #bytes: Buffer;

  constructor(memory: SharedArrayBuffer, words: Int32Array, layout: Layout) {
    this.#words = words;
    this.#layout = layout;
    this.#bytes = Buffer.from(memory, layout.prefixes * 4, MAX_PREFIXES * PREFIX_WORDS * 4);
  }

  /** Number of the latest purge. */
  get sequence(): number {
    return Atomics.load(this.#words, PURGE_SEQUENCE);
  }

  all(): void {
    const next = this.sequence + 1;
    Atomics.store(this.#words, PURGED_ALL, next);
    Atomics.store(this.#words, PURGE_SEQUENCE, next);
  }

  /** False: no room, sweep first. */
  tag(hash: number): boolean {
    const words = this.#words;
    const next = this.sequence + 1;
    const tag = hash === 0 ? 1 : hash;
    for (let i = 0; i < PROBES; i++) {
      const slot = this.#layout.tags + ((tag + i) & (TAG_SLOTS - 1)) * 2;
      if (words[slot] !== 0 && words[slot] !== tag) continue;
      if (words[slot] === 0) words[TAG_COUNT]!++;
      words[slot + 1] = next;
      Atomics.store(words, slot, tag);
      Atomics.store(words, PURGE_SEQUENCE, next);
      return true;
    }
    return false;
  }

  /** `prefix`: of keys, Latin-1, at most `MAX_PREFIX_BYTES`. False: no room, sweep first. */
  prefix(prefix: string): boolean {
    if (prefix.length > MAX_PREFIX_BYTES) throw new TypeError(`a prefix of ${prefix.length} bytes is too long`);
    const words = this.#words;
    const next = this.sequence + 1;
    const count = words[PREFIX_COUNT]!;
    let i = 0;
    while (i < count && this.#prefixAt(i) !== prefix) i++;
    if (i === MAX_PREFIXES) return false;
    const at = this.#layout.prefixes + i * PREFIX_WORDS;
    if (i === count) {
      words[at + 1] = this.#bytes.latin1Write(prefix, i * PREFIX_WORDS * 4 + 8);
      Atomics.store(words, at, next);
      Atomics.store(words, PREFIX_COUNT, count + 1);
    } else Atomics.store(words, at, next);
    Atomics.store(words, PURGE_SEQUENCE, next);
    return true;
  }

  purgedAll(sequence: number): boolean {
    return sequence < Atomics.load(this.#words, PURGED_ALL);
  }

  purgedTag(hash: number, sequence: number): boolean {
    const words = this.#words;
    const tag = hash === 0 ? 1 : hash;
    for (let i = 0; i < PROBES; i++) {
      const slot = this.#layout.tags + ((tag + i) & (TAG_SLOTS - 1)) * 2;
      const seen = Atomics.load(words, slot);
      if (seen === 0) return false;
      if (seen === tag) return sequence < words[slot + 1]!;
    }
    return false;
  }

  purgedPrefix(key: string, sequence: number): boolean {
    const words = this.#words;
    const count = Atomics.load(words, PREFIX_COUNT);
    for (let i = 0; i < count; i++) {
      if (sequence < Atomics.load(words, this.#layout.prefixes + i * PREFIX_WORDS) && key.startsWith(this.#prefixAt(i)))
        return true;
    }
    return false;
  }

  /** After a sweep: every entry that is left has passed them all. */
  clear(): void {
    const { tags } = this.#layout;
    this.#words.fill(0, tags, tags + TAG_SLOTS * 2);
    this.#words[PREFIX_COUNT] = 0;
    this.#words[TAG_COUNT] = 0;
  }

  #prefixAt(i: number): string {
    const start = i * PREFIX_WORDS * 4 + 8;
    return this.#bytes.latin1Slice(start, start + this.#words[this.#layout.prefixes + i * PREFIX_WORDS + 1]!);
  }
}
