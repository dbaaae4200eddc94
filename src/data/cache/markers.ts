/**
 * The markers of a worker's look-ups: a marker lies under the first key of a URL with several responses and says which
 * fields choose among them (keys.ts). Those that were read last are remembered, by the state of their entry: as long as
 * that is the same, so is the marker.
 */
import { FLAGS, IS_MARKER } from './store/layout.ts';
import { Queues } from './store/queues.ts';
import { Reader } from './store/reader.ts';
import { type CacheStore, type Entry, NOTHING } from './store/store.ts';

export interface Marker {
  /** Unique to it: another marker of the same key has another one. */
  readonly id: string;
  /** Lower-case names of fields. */
  readonly vary: readonly string[];
}

interface Remembered {
  readonly entry: Entry;
  readonly state: number;
  readonly marker: Marker;
}

/** A power of two. */
const SLOTS = 256;
const NO_NAMES: readonly string[] = [];

export class Markers {
  readonly #store: CacheStore;
  readonly #slots: (Remembered | null)[] = new Array(SLOTS).fill(null);

  constructor(store: CacheStore) {
    this.#store = store;
  }

  /** What the latest `find` found, if it is a marker; it must be glanced at still. */
  ofLive(): Marker | null {
    const store = this.#store;
    const { live, words } = store;
    if (live === NOTHING) return null;
    const at = store.at(live);
    if ((words[at + FLAGS]! & IS_MARKER) === 0) return null;
    const state = Atomics.load(words, at);
    const known = this.#slots[live & (SLOTS - 1)]!;
    if (known !== null && known.entry === live && known.state === state) {
      Queues.hit(words, at);
      return known.marker;
    }
    return this.#read(live, at);
  }

  #read(entry: Entry, at: number): Marker | null {
    const store = this.#store;
    const reader = Reader.open(store, entry);
    if (reader === null) return null;
    const names = reader.head().toString('latin1');
    // Entry and state together are unique: the state counts up with every use of the entry.
    const state = Atomics.load(store.words, at);
    reader.close();
    const marker = { id: `${entry}.${state >>> 3}`, vary: names === '' ? NO_NAMES : names.split(',') };
    this.#slots[entry & (SLOTS - 1)] = { entry, state, marker };
    return marker;
  }
}
