/**
 * One object on its way into the store, chunk by chunk, written by the one thread that fetches it; readers follow it
 * (reader.ts). Ends with `commit` or `giveUp`, once. The entry stays pinned until then, so that even a purge or an
 * emptied store leaves the memory that is written to alone.
 */
import { type Cursor, chunksFor } from './chains.ts';
import {
  BODY_BYTES,
  BORN_MS,
  CHUNK_BYTES,
  CHUNKS,
  FILLING,
  FIRST_CHUNK,
  FLAGS,
  FRESH_UNTIL_MS,
  META_BYTES,
  STALE_IF_ERROR_S,
  STALE_WHILE_REVALIDATE_S,
  WRITTEN,
} from './layout.ts';
import { metaRest } from './meta.ts';
import type { CacheStore, Entry } from './store.ts';
import { NOTHING } from './store.ts';

/** Chunks that an object of unknown length grows by, at most. */
const MOST_GROWTH = 64;

/** What is kept of a response beside its bytes. */
export interface Terms {
  /** When its age was 0, and until when it is fresh: milliseconds of the wall clock. */
  readonly bornMs: number;
  readonly freshUntilMs: number;
  readonly staleWhileRevalidateS: number;
  readonly staleIfErrorS: number;
  readonly flags: number;
}

export class Fill {
  readonly entry: Entry;
  readonly #store: CacheStore;
  readonly #at: number;
  readonly #pin: number;
  readonly #cursor: Cursor;
  readonly #keyBytes: number;
  #last: number;
  #room: number;
  #written: number;
  #bodyBytes = -1;
  #ended = false;

  /**
   * The fill of the key that the store looked up last; a negative entry is another's; NOTHING when the store cannot.
   */
  static begin(store: CacheStore, key: string): Fill | Entry {
    const entry = store.begin(key);
    return entry <= NOTHING ? entry : new Fill(store, entry, store.begunPin, key.length + 2);
  }

  private constructor(store: CacheStore, entry: Entry, pin: number, keyBytes: number) {
    this.#store = store;
    this.entry = entry;
    this.#at = store.at(entry);
    this.#pin = pin;
    this.#keyBytes = keyBytes;
    const first = store.words[this.#at + FIRST_CHUNK]!;
    this.#cursor = { chunk: first, offset: keyBytes };
    this.#last = first;
    this.#room = CHUNK_BYTES;
    this.#written = keyBytes;
  }

  /** Still wanted: it has not been purged while it was on its way. */
  get isWanted(): boolean {
    return !this.#ended && this.#store.kindOf(this.entry) === FILLING;
  }

  /** There is room for all of it. */
  get hasKnownLength(): boolean {
    return this.#bodyBytes >= 0;
  }

  /** Bytes of body that have been written. */
  get bodyWritten(): number {
    return this.#written - this.#store.words[this.#at + META_BYTES]!;
  }

  /** Writes what stands before the body and makes room for it. `bodyBytes` -1: not known. False: there is no room. */
  head(head: Uint8Array, tags: readonly number[], bodyBytes: number, terms: Terms): boolean {
    const { words, floats } = this.#store;
    const at = this.#at;
    const rest = metaRest(tags, head);
    const metaBytes = this.#keyBytes + rest.length;
    this.#bodyBytes = bodyBytes;
    if (!this.#ensure(metaBytes + Math.max(0, bodyBytes))) return false;
    this.#write(rest, 0, rest.length);
    words[at + META_BYTES] = metaBytes;
    words[at + BODY_BYTES] = bodyBytes;
    floats[(at + BORN_MS) >> 1] = terms.bornMs;
    floats[(at + FRESH_UNTIL_MS) >> 1] = terms.freshUntilMs;
    words[at + STALE_WHILE_REVALIDATE_S] = terms.staleWhileRevalidateS;
    words[at + STALE_IF_ERROR_S] = terms.staleIfErrorS;
    words[at + FLAGS] = terms.flags;
    this.#publish();
    return true;
  }

  /** The next `bytes[start, end)` of the body. False: more than was announced, or there is no room. */
  append(bytes: Uint8Array, start: number, end: number): boolean {
    const length = end - start;
    if (this.#bodyBytes >= 0 && this.bodyWritten + length > this.#bodyBytes) return false;
    if (!this.#ensure(this.#written + length)) return false;
    this.#write(bytes, start, end);
    this.#publish();
    return true;
  }

  /** The body of another entry, which the caller has pinned. */
  appendFrom(other: Entry): boolean {
    const { words, chains } = this.#store;
    const at = this.#store.at(other);
    const length = words[at + BODY_BYTES]!;
    if (!this.#ensure(this.#written + length)) return false;
    const from = words[at + META_BYTES]!;
    const piece = Buffer.allocUnsafe(Math.min(length, 32 * CHUNK_BYTES));
    for (let done = 0; done < length; done += piece.length) {
      const part = Math.min(piece.length, length - done);
      chains.read(words[at + FIRST_CHUNK]!, from + done, part, piece, 0);
      this.#write(piece, 0, part);
    }
    this.#publish();
    return true;
  }

  /** The body is whole. False: shorter than announced, or purged meanwhile. */
  commit(): boolean {
    if (this.#ended) return false;
    if (this.#bodyBytes >= 0 && this.bodyWritten !== this.#bodyBytes) {
      this.giveUp();
      return false;
    }
    const { words } = this.#store;
    words[this.#at + BODY_BYTES] = this.bodyWritten;
    this.#ended = true;
    const isLive = this.#store.commit(this.entry);
    this.#store.drop(this.entry, this.#pin);
    return isLive;
  }

  /** `passUntilMs` above 0: until then nobody waits for a response of this key. */
  giveUp(passUntilMs = 0): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#store.giveUp(this.entry, passUntilMs);
    this.#store.drop(this.entry, this.#pin);
  }

  #ensure(bytes: number): boolean {
    if (bytes <= this.#room) return true;
    const missing = chunksFor(bytes - this.#room);
    const held = this.#store.words[this.#at + CHUNKS]!;
    const isUnknown = this.#bodyBytes < 0 && this.#written > this.#keyBytes;
    const count = isUnknown ? Math.max(missing, Math.min(held, MOST_GROWTH)) : missing;
    if (!this.#store.grow(this.entry, this.#last, count)) return false;
    this.#last = this.#store.chains.last(this.#last);
    this.#room += count * CHUNK_BYTES;
    return true;
  }

  #write(bytes: Uint8Array, start: number, end: number): void {
    this.#store.chains.writeOn(this.#cursor, bytes, start, end);
    this.#written += end - start;
  }

  #publish(): void {
    Atomics.store(this.#store.words, this.#at + WRITTEN, this.#written);
    this.#store.entries.progress(this.#at);
  }
}
