/**
 * The entries of the store, their buckets, and what becomes of them: taken into use, linked where they are found, taken
 * out, and freed with their chunks when nobody reads them any more. Under the lock of the store, all but looking.
 */
import type { Chains } from './chains.ts';
import {
  BEHIND,
  CHUNK_BYTES,
  DYING,
  EMPTY,
  ENTRY_WORDS,
  EVICTIONS,
  FIRST_CHUNK,
  FLAGS,
  FREE_ENTRIES,
  FRESH_ENTRY,
  IS_DOOMED,
  KEY_A,
  KEY_B,
  KIND,
  type Layout,
  LIVE_ENTRIES,
  META_BYTES,
  NEXT_IN_BUCKET,
  PROGRESS,
} from './layout.ts';
import { keyIn, tagsIn } from './meta.ts';
import type { Pins } from './pins.ts';
import type { Queues } from './queues.ts';

/** An entry that was found or begun. `NOTHING` when there is none. */
export type Entry = number;
export const NOTHING = 0;

/** Entries of one bucket that are looked at; there is about one in each. */
export const LONGEST_BUCKET = 64;
/** Evictions to make room for one object. */
const MOST_EVICTIONS = 4_096;

export class Entries {
  readonly words: Int32Array;
  readonly layout: Layout;
  readonly chains: Chains;
  readonly pins: Pins;
  readonly queues: Queues;

  constructor(words: Int32Array, layout: Layout, chains: Chains, pins: Pins, queues: Queues) {
    this.words = words;
    this.layout = layout;
    this.chains = chains;
    this.pins = pins;
    this.queues = queues;
  }

  /** Word where an entry begins. */
  at(entry: Entry): number {
    return this.layout.entries + entry * ENTRY_WORDS;
  }

  kindOf(entry: Entry): number {
    return Atomics.load(this.words, this.at(entry)) & KIND;
  }

  keyOf(entry: Entry): string {
    return keyIn(this.chains.bytes, this.words[this.at(entry) + FIRST_CHUNK]! * CHUNK_BYTES);
  }

  /** Hashes of the tags of a response. */
  tagsOf(at: number): number[] {
    const words = this.words;
    const length = words[at + META_BYTES]!;
    const first = words[at + FIRST_CHUNK]!;
    if (length <= CHUNK_BYTES) return tagsIn(this.chains.bytes, first * CHUNK_BYTES);
    const meta = Buffer.allocUnsafe(length);
    this.chains.read(first, 0, length, meta, 0);
    return tagsIn(meta, 0);
  }

  bucket(a: number): number {
    return this.layout.heads + ((a >>> 7) & (this.layout.buckets - 1));
  }

  link(entry: Entry, at: number): void {
    const head = this.bucket(this.words[at + KEY_A]!);
    Atomics.store(this.words, at + NEXT_IN_BUCKET, this.words[head]!);
    Atomics.store(this.words, head, entry);
  }

  unlink(entry: Entry, at: number): void {
    const words = this.words;
    let place = this.bucket(words[at + KEY_A]!);
    for (let i = 0; words[place] !== 0 && i < 2 * LONGEST_BUCKET; i++) {
      if (words[place] === entry) {
        Atomics.store(words, place, words[at + NEXT_IN_BUCKET]!);
        return;
      }
      place = this.at(words[place]!) + NEXT_IN_BUCKET;
    }
  }

  /** Another entry of the same key and of this kind. */
  siblingOf(entry: Entry, at: number, kind: number): Entry {
    const words = this.words;
    for (let other = words[this.bucket(words[at + KEY_A]!)]!; other !== 0; ) {
      const otherAt = this.at(other);
      if (
        other !== entry &&
        words[otherAt + KEY_A] === words[at + KEY_A] &&
        words[otherAt + KEY_B] === words[at + KEY_B] &&
        (words[otherAt]! & KIND) === kind &&
        this.keyOf(other) === this.keyOf(entry)
      )
        return other;
      other = words[otherAt + NEXT_IN_BUCKET]!;
    }
    return NOTHING;
  }

  setKind(at: number, kind: number): void {
    Atomics.store(this.words, at, ((this.words[at]! & ~KIND) + KIND + 1) | kind);
  }

  // --- room ---

  /** Evicts until so many chunks are free. */
  makeRoom(chunks: number): boolean {
    for (let i = 0; this.chains.free < chunks; i++) {
      const victim = i < MOST_EVICTIONS ? this.queues.victim() : NOTHING;
      if (victim === NOTHING) return false;
      this.words[EVICTIONS]!++;
      this.remove(victim);
    }
    return true;
  }

  /** An entry that nobody uses; NOTHING when there is none and none can be had. */
  take(): Entry {
    const words = this.words;
    for (let i = 0; i < MOST_EVICTIONS; i++) {
      const free = words[FREE_ENTRIES]!;
      if (free !== 0) {
        words[FREE_ENTRIES] = words[this.at(free) + NEXT_IN_BUCKET]!;
        return free;
      }
      if (words[FRESH_ENTRY]! < this.layout.chunks) return words[FRESH_ENTRY]!++;
      const victim = this.queues.victim();
      if (victim === NOTHING) return NOTHING;
      words[EVICTIONS]!++;
      this.remove(victim);
    }
    return NOTHING;
  }

  /** Gives an entry back that was taken and has no chunks. */
  give(entry: Entry): void {
    const words = this.words;
    words[this.at(entry) + NEXT_IN_BUCKET] = words[FREE_ENTRIES]!;
    words[FREE_ENTRIES] = entry;
  }

  // --- the end of an entry ---

  /** Something happened to an entry that is being filled: wakes those who wait for it. */
  progress(at: number): void {
    const words = this.words;
    const seen = Atomics.load(words, at + BEHIND);
    Atomics.store(words, at + BEHIND, PROGRESS | ((seen + 1) & (PROGRESS - 1)));
    Atomics.notify(words, at + BEHIND);
  }

  /** Out of its bucket and its queue; its chunks are freed now or when nobody reads them any more. */
  remove(entry: Entry): void {
    this.unlink(entry, this.at(entry));
    this.queues.remove(entry);
    this.kill(entry);
  }

  /** The same for one that is in neither any more. */
  kill(entry: Entry): void {
    this.words[LIVE_ENTRIES]!--;
    this.setKind(this.at(entry), DYING);
    this.free(entry);
  }

  /** What is being filled leaves the index; its readers go on, and `commit` finds it dying. */
  doom(entry: Entry, at: number): void {
    this.unlink(entry, at);
    this.words[at + FLAGS]! |= IS_DOOMED;
    this.setKind(at, DYING);
    this.progress(at);
    this.free(entry);
  }

  /** A dying entry, if nobody reads it: its last reader comes again. */
  free(entry: Entry): void {
    const words = this.words;
    const at = this.at(entry);
    if ((words[at]! & KIND) !== DYING || this.pins.names(entry)) return;
    const first = words[at + FIRST_CHUNK]!;
    words[at + FIRST_CHUNK] = 0;
    this.setKind(at, EMPTY);
    if (first !== 0) this.chains.give(first);
    this.give(entry);
  }
}
