/**
 * What is evicted first: S3-FIFO (SOSP'23). New entries go to a small queue, a tenth of the chunks; those that were
 * used more than once until they reach its end go to the main queue, the others leave their key among the ghosts, and a
 * key that comes back while it is there goes to the main queue at once. A hit sets two bits and moves nothing. Scans
 * and cache busting pass through the small queue and leave the main one alone. Everything here happens under the lock
 * of the store.
 */
import {
  BEFORE,
  BEHIND,
  CHUNKS,
  ENTRY_WORDS,
  GHOST_CLOCK,
  KEY_A,
  KEY_B,
  type Layout,
  LIVE_ENTRIES,
  MAIN_CHUNKS,
  MAIN_FIRST,
  MAIN_LAST,
  SMALL_CHUNKS,
  SMALL_FIRST,
  SMALL_LAST,
  USE,
} from './layout.ts';

const HITS_MASK = 3;
const IN_MAIN = 4;
/** A hit in the part of `USE` that counts them all; the count stops below the sign. */
export const ONE_HIT = 8;
const MOST_HITS = 0x7fff_fff0;
/** Under the lock nobody looks longer than this for an entry that was not used. */
const MOST_TURNS = 10_000;

export class Queues {
  readonly #words: Int32Array;
  readonly #layout: Layout;
  readonly #smallTarget: number;

  constructor(words: Int32Array, layout: Layout) {
    this.#words = words;
    this.#layout = layout;
    this.#smallTarget = Math.max(1, Math.floor(layout.chunks / 10));
  }

  /** A hit: no lock, and one that gets lost between two threads is no loss. */
  static hit(words: Int32Array, at: number): void {
    const use = words[at + USE]!;
    if (use >= MOST_HITS) return;
    words[at + USE] = (use & HITS_MASK) === HITS_MASK ? use + ONE_HIT : use + ONE_HIT + 1;
  }

  /** A new entry: to the main queue if its key is among the ghosts. */
  add(entry: number): void {
    const at = this.#at(entry);
    const words = this.#words;
    const isMain = this.#takeGhost(words[at + KEY_A]!, words[at + KEY_B]!);
    words[at + USE] = isMain ? IN_MAIN : 0;
    this.#push(entry, at, isMain);
  }

  /** Puts an entry where another one of the same key was, with its hits. */
  addLike(entry: number, former: number): void {
    const at = this.#at(entry);
    const use = this.#words[this.#at(former) + USE]!;
    this.#words[at + USE] = use;
    this.#push(entry, at, (use & IN_MAIN) !== 0);
  }

  remove(entry: number): void {
    const at = this.#at(entry);
    this.#unlink(at, (this.#words[at + USE]! & IN_MAIN) !== 0);
  }

  /** The entry to evict; 0 when there is none. It stays where it is: the caller removes it. */
  victim(): number {
    const words = this.#words;
    // Each turn either finds one, moves one from small to main, or takes one of at most three hits.
    for (let turns = Math.min(MOST_TURNS, 4 * (words[LIVE_ENTRIES]! + 1)); turns > 0; turns--) {
      const fromSmall =
        words[SMALL_LAST] !== 0 && (words[SMALL_CHUNKS]! >= this.#smallTarget || words[MAIN_LAST] === 0);
      const entry = words[fromSmall ? SMALL_LAST : MAIN_LAST]!;
      if (entry === 0) return words[SMALL_LAST]!;
      const at = this.#at(entry);
      const hits = words[at + USE]! & HITS_MASK;
      if (fromSmall) {
        if (hits <= 1) {
          this.#addGhost(words[at + KEY_A]!, words[at + KEY_B]!);
          return entry;
        }
        this.#unlink(at, false);
        words[at + USE] = (words[at + USE]! & ~HITS_MASK) | IN_MAIN;
        this.#push(entry, at, true);
      } else {
        if (hits === 0) return entry;
        this.#unlink(at, true);
        words[at + USE]!--;
        this.#push(entry, at, true);
      }
    }
    return words[MAIN_LAST]!;
  }

  /** Forgets all entries. */
  clear(): void {
    for (const word of [SMALL_FIRST, SMALL_LAST, SMALL_CHUNKS, MAIN_FIRST, MAIN_LAST, MAIN_CHUNKS])
      this.#words[word] = 0;
  }

  #at(entry: number): number {
    return this.#layout.entries + entry * ENTRY_WORDS;
  }

  #push(entry: number, at: number, isMain: boolean): void {
    const words = this.#words;
    const first = isMain ? MAIN_FIRST : SMALL_FIRST;
    const before = words[first]!;
    words[at + BEFORE] = 0;
    words[at + BEHIND] = before;
    if (before === 0) words[isMain ? MAIN_LAST : SMALL_LAST] = entry;
    else words[this.#at(before) + BEFORE] = entry;
    words[first] = entry;
    words[isMain ? MAIN_CHUNKS : SMALL_CHUNKS]! += words[at + CHUNKS]!;
  }

  #unlink(at: number, isMain: boolean): void {
    const words = this.#words;
    const before = words[at + BEFORE]!;
    const behind = words[at + BEHIND]!;
    if (before === 0) words[isMain ? MAIN_FIRST : SMALL_FIRST] = behind;
    else words[this.#at(before) + BEHIND] = behind;
    if (behind === 0) words[isMain ? MAIN_LAST : SMALL_LAST] = before;
    else words[this.#at(behind) + BEFORE] = before;
    words[isMain ? MAIN_CHUNKS : SMALL_CHUNKS]! -= words[at + CHUNKS]!;
  }

  /** A slot holds the key and when it came; a key is a ghost for as many evictions as there are live entries. */
  #addGhost(a: number, b: number): void {
    const words = this.#words;
    const slot = this.#ghostAt(a);
    words[GHOST_CLOCK] = (words[GHOST_CLOCK]! + 1) | 0;
    words[slot] = b;
    words[slot + 1] = words[GHOST_CLOCK]!;
  }

  #takeGhost(a: number, b: number): boolean {
    const words = this.#words;
    const slot = this.#ghostAt(a);
    if (words[slot] !== b || (words[slot + 1] === 0 && b === 0)) return false;
    const age = (words[GHOST_CLOCK]! - words[slot + 1]!) | 0;
    words[slot] = 0;
    words[slot + 1] = 0;
    return age >= 0 && age <= words[LIVE_ENTRIES]!;
  }

  #ghostAt(a: number): number {
    return this.#layout.ghosts + (a & (this.#layout.buckets - 1)) * 2;
  }
}
