/**
 * Stored responses that this worker sends again and again, their heads parsed once and small bodies beside them in
 * memory of its own: a hit then reads nothing of the store but whether it is still there. Whether it is purged or stale
 * is asked for each hit as ever.
 */
import { FieldBlock } from '../contract/field-block.ts';
import { CONTENT_LENGTH } from '../parser/field-names.ts';
import type { Head } from '../parser/head.ts';
import type { CachedRoute } from './cached-route.ts';
import { EntryMemory } from './entry-memory.ts';
import { cacheStatus } from './rules/cache-status.ts';
import { ageOf } from './rules/freshness.ts';
import { NEEDS_VALIDATION } from './rules/storing.ts';
import {
  BODY_BYTES,
  BORN_MS,
  FIRST_CHUNK,
  FLAGS,
  FRESH_UNTIL_MS,
  KIND,
  LIVE,
  META_BYTES,
  SEQUENCE,
} from './store/layout.ts';
import { headStart } from './store/meta.ts';
import type { CacheStore, Entry } from './store/store.ts';
import { readStored, roomyHead, withLength } from './stored-head.ts';

/** A power of two; with the two bounds below it holds 6 MB at most. */
const SLOTS = 512;
const MOST_META_BYTES = 4 * 1024;
/** Longer bodies go piece by piece out of the store (stored-sender.ts). */
const MOST_BODY_BYTES = 8 * 1024;

/** One remembered response. */
export class HotHead {
  readonly entry: Entry;
  /** Of the entry, as long as it is this response. */
  readonly state: number;
  /** With a `Content-Length`, unless it has no body by its status. */
  readonly head: Head;
  readonly bodyBytes: number;
  /** Null: it is too long to be remembered. */
  readonly body: Buffer | null;
  readonly #bornMs: number;
  readonly #freshUntilMs: number;
  /** What the latest hit said of its age, for the same second and route. */
  #route: CachedRoute | null = null;
  #age = -1;
  #ttl = -1;
  #fields: FieldBlock | null = null;

  constructor(
    { entry, state, head, bodyBytes, body }: Pick<HotHead, 'entry' | 'state' | 'head' | 'bodyBytes' | 'body'>,
    bornMs: number,
    freshUntilMs: number,
  ) {
    this.entry = entry;
    this.state = state;
    this.head = head;
    this.bodyBytes = bodyBytes;
    this.body = body;
    this.#bornMs = bornMs;
    this.#freshUntilMs = freshUntilMs;
  }

  isFresh(nowMs: number): boolean {
    return nowMs < this.#freshUntilMs;
  }

  /** `Age` and `Cache-Status` of a hit. */
  fields(route: CachedRoute, nowMs: number): FieldBlock {
    const age = ageOf(this.#bornMs, nowMs);
    const ttl = Math.floor((this.#freshUntilMs - nowMs) / 1_000);
    if (this.#fields !== null && age === this.#age && ttl === this.#ttl && route === this.#route) return this.#fields;
    this.#route = route;
    this.#age = age;
    this.#ttl = ttl;
    const names = ['Age'];
    const values = [`${age}`];
    if (route.settings.tellsStatus) {
      names.push('Cache-Status');
      values.push(cacheStatus(route.statusName, { ttl }));
    }
    this.#fields = new FieldBlock(names, values);
    return this.#fields;
  }
}

export class HotHeads {
  readonly #store: CacheStore;
  readonly #known: EntryMemory<HotHead>;
  /** What was asked for in vain: the second time in a row it is read. */
  readonly #wanted: EntryMemory<true>;
  readonly #head: Head = roomyHead();

  constructor(store: CacheStore) {
    this.#store = store;
    this.#known = new EntryMemory(store, SLOTS);
    this.#wanted = new EntryMemory(store, SLOTS);
  }

  /** What is remembered of an entry, if that is in this state still and not purged since it was last found. */
  inState(entry: Entry, state: number): HotHead | null {
    const { words, purges } = this.#store;
    const at = this.#store.at(entry);
    // First the number, then the state: of one state it is that of the one response.
    const sequence = Atomics.load(words, at + SEQUENCE);
    if (Atomics.load(words, at) !== state || sequence < purges.sequence) return null;
    return this.#known.get(entry, state);
  }

  /**
   * What is remembered of an entry that is glanced at; null for what is not asked for often, has a large head, is no
   * live response or may not be sent without asking the service.
   */
  of(entry: Entry): HotHead | null {
    const state = this.#known.stateOf(entry);
    const known = this.#known.get(entry, state);
    if (known !== null) return known;
    if (this.#wanted.get(entry, state) === null) {
      this.#wanted.set(entry, state, true);
      return null;
    }
    const hot = this.#read(entry, state);
    if (hot !== null) this.#known.set(entry, state, hot);
    return hot;
  }

  #read(entry: Entry, state: number): HotHead | null {
    const { words, floats, chains } = this.#store;
    const at = this.#store.at(entry);
    const metaBytes = words[at + META_BYTES]!;
    const bodyBytes = words[at + BODY_BYTES]!;
    if ((state & KIND) !== LIVE || (words[at + FLAGS]! & NEEDS_VALIDATION) !== 0) return null;
    if (metaBytes > MOST_META_BYTES || bodyBytes < 0) return null;
    const meta = Buffer.allocUnsafeSlow(metaBytes);
    const body = bodyBytes > MOST_BODY_BYTES ? null : Buffer.allocUnsafeSlow(bodyBytes);
    chains.read(words[at + FIRST_CHUNK]!, 0, metaBytes, meta, 0);
    if (body !== null) chains.read(words[at + FIRST_CHUNK]!, metaBytes, bodyBytes, body, 0);
    const bytes = meta.subarray(headStart(meta, 0));
    const head = readStored(bytes, this.#head);
    if (head.find(CONTENT_LENGTH) < 0 && head.status !== 204) readStored(withLength(bytes, bodyBytes), head);
    const bornMs = floats[(at + BORN_MS) >> 1]!;
    const freshUntilMs = floats[(at + FRESH_UNTIL_MS) >> 1]!;
    return new HotHead({ entry, state, head: head.copy(), bodyBytes, body }, bornMs, freshUntilMs);
  }
}
