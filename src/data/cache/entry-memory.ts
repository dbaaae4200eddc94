/**
 * What a worker remembers of entries of the store, one value for each slot; another entry takes the place. A value
 * holds as long as its entry has the same state: that counts up with every use of the entry, so both together are
 * unique.
 */
import type { CacheStore, Entry } from './store/store.ts';

export class EntryMemory<T> {
  readonly #store: CacheStore;
  readonly #mask: number;
  /** Per slot: entry and state. */
  readonly #of: Int32Array;
  readonly #values: (T | null)[];

  /** `slots`: a power of two. */
  constructor(store: CacheStore, slots: number) {
    this.#store = store;
    this.#mask = slots - 1;
    this.#of = new Int32Array(slots * 2);
    this.#values = new Array(slots).fill(null);
  }

  stateOf(entry: Entry): number {
    return Atomics.load(this.#store.words, this.#store.at(entry));
  }

  /** What is remembered of an entry of this state; null: nothing. */
  get(entry: Entry, state: number): T | null {
    const slot = entry & this.#mask;
    return this.#of[slot * 2] === entry && this.#of[slot * 2 + 1] === state ? this.#values[slot]! : null;
  }

  set(entry: Entry, state: number, value: T): void {
    const slot = entry & this.#mask;
    this.#of[slot * 2] = entry;
    this.#of[slot * 2 + 1] = state;
    this.#values[slot] = value;
  }
}
