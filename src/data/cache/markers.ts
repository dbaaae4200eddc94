/**
 * The markers of a worker's look-ups: a marker lies under the first key of a URL with several responses and says which
 * fields choose among them (keys.ts). Those that were read last are remembered.
 */
import { EntryMemory } from './entry-memory.ts';
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

/** A power of two. */
const SLOTS = 256;
const NO_NAMES: readonly string[] = [];

export class Markers {
  readonly #store: CacheStore;
  readonly #known: EntryMemory<Marker>;

  constructor(store: CacheStore) {
    this.#store = store;
    this.#known = new EntryMemory(store, SLOTS);
  }

  /** What the latest `find` found, if it is a marker; it must be glanced at still. */
  ofLive(): Marker | null {
    const { live, words } = this.#store;
    if (live === NOTHING) return null;
    const at = this.#store.at(live);
    if ((words[at + FLAGS]! & IS_MARKER) === 0) return null;
    const known = this.#known.get(live, this.#known.stateOf(live));
    if (known === null) return this.#read(live);
    Queues.hit(words, at);
    return known;
  }

  #read(entry: Entry): Marker | null {
    const reader = Reader.open(this.#store, entry);
    if (reader === null) return null;
    const names = reader.head().toString('latin1');
    const state = this.#known.stateOf(entry);
    reader.close();
    const marker = { id: `${entry}.${state >>> 3}`, vary: names === '' ? NO_NAMES : names.split(',') };
    this.#known.set(entry, state, marker);
    return marker;
  }
}
