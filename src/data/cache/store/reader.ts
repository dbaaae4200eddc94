/** Reads one stored object, or one that is still being filled, in order. The entry is pinned until `close`. */
import type { Cursor } from './chains.ts';
import type { Terms } from './fill.ts';
import {
  ABORTED,
  BODY_BYTES,
  BORN_MS,
  CHUNK_BYTES,
  FILLING,
  FIRST_CHUNK,
  FLAGS,
  FRESH_UNTIL_MS,
  IS_MARKER,
  KIND,
  LIVE,
  META_BYTES,
  STALE_IF_ERROR_S,
  STALE_WHILE_REVALIDATE_S,
  WRITTEN,
} from './layout.ts';
import { headStart } from './meta.ts';
import { NO_PIN } from './pins.ts';
import { Queues } from './queues.ts';
import type { CacheStore, Entry } from './store.ts';

export class Reader {
  readonly entry: Entry;
  readonly #store: CacheStore;
  readonly #at: number;
  /** Shared by all readers that hold the entry with one pin. */
  readonly #pin: { slot: number; readers: number };
  #isOpen = true;
  readonly #cursor: Cursor = { chunk: 0, offset: 0 };
  /** Of the body. */
  #read = 0;

  /**
   * Of an entry that is glanced at or otherwise known to be there; null when it is gone or this worker reads too many.
   * `isUse`: it counts as a hit, when room has to be made.
   */
  static open(store: CacheStore, entry: Entry, isUse = true): Reader | null {
    const before = Atomics.load(store.words, store.at(entry));
    const pin = store.hold(entry);
    if (pin === NO_PIN) return null;
    if (Atomics.load(store.words, store.at(entry)) === before) {
      if (isUse && (before & KIND) === LIVE) Queues.hit(store.words, store.at(entry));
      return new Reader(store, entry, { slot: pin, readers: 1 });
    }
    store.drop(entry, pin);
    return null;
  }

  private constructor(store: CacheStore, entry: Entry, pin: { slot: number; readers: number }) {
    this.#store = store;
    this.entry = entry;
    this.#at = store.at(entry);
    this.#pin = pin;
  }

  /** Another reader of the same entry, at its beginning. */
  share(): Reader {
    if (!this.#isOpen) throw new TypeError('a reader that is closed holds no entry');
    this.#pin.readers++;
    return new Reader(this.#store, this.entry, this.#pin);
  }

  get kind(): number {
    return Atomics.load(this.#store.words, this.#at) & KIND;
  }

  get flags(): number {
    return this.#store.words[this.#at + FLAGS]!;
  }

  get isMarker(): boolean {
    return (this.flags & IS_MARKER) !== 0;
  }

  /** Until when it is fresh, and the like; once its head has come. */
  get terms(): Terms {
    const { words, floats } = this.#store;
    const at = this.#at;
    return {
      bornMs: floats[(at + BORN_MS) >> 1]!,
      freshUntilMs: floats[(at + FRESH_UNTIL_MS) >> 1]!,
      staleWhileRevalidateS: words[at + STALE_WHILE_REVALIDATE_S]!,
      staleIfErrorS: words[at + STALE_IF_ERROR_S]!,
      flags: words[at + FLAGS]!,
    };
  }

  /** The head has come. */
  get hasHead(): boolean {
    const meta = this.#store.words[this.#at + META_BYTES]!;
    return meta > 0 && Atomics.load(this.#store.words, this.#at + WRITTEN) >= meta;
  }

  /** -1: not known yet. */
  get bodyBytes(): number {
    return this.#store.words[this.#at + BODY_BYTES]!;
  }

  /** Nobody will write more of it: it is whole, or was given up. */
  get isOver(): boolean {
    const { kind } = this;
    if (kind === FILLING) return false;
    if (kind === LIVE || this.bodyBytes === ABORTED) return true;
    return this.hasHead && this.bodyBytes >= 0 && this.available + this.#read >= this.bodyBytes;
  }

  get bodyRead(): number {
    return this.#read;
  }

  /** Bytes of the body that can be read now. */
  get available(): number {
    const { words } = this.#store;
    return Atomics.load(words, this.#at + WRITTEN) - words[this.#at + META_BYTES]! - this.#read;
  }

  /** The head as bytes of HTTP/1.1, in memory of its own. Puts the reader at the beginning of the body. */
  head(): Buffer {
    const { words, chains } = this.#store;
    const length = words[this.#at + META_BYTES]!;
    const meta = Buffer.allocUnsafe(length);
    this.#cursor.chunk = words[this.#at + FIRST_CHUNK]!;
    this.#cursor.offset = 0;
    chains.readOn(this.#cursor, length, meta, 0);
    this.#read = 0;
    return meta.subarray(headStart(meta, 0));
  }

  /** Moves on to this byte of the body, which must be there. */
  skipTo(byte: number): void {
    const { words, chains } = this.#store;
    let chunk = words[this.#at + FIRST_CHUNK]!;
    let offset = words[this.#at + META_BYTES]! + byte;
    for (; offset > CHUNK_BYTES; offset -= CHUNK_BYTES) chunk = chains.next(chunk);
    this.#cursor.chunk = chunk;
    this.#cursor.offset = offset;
    this.#read = byte;
  }

  /** Copies the next `length` bytes of the body, which must be available. */
  read(target: Buffer, at: number, length: number): void {
    this.#store.chains.readOn(this.#cursor, length, target, at);
    this.#read += length;
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    if (--this.#pin.readers === 0) this.#store.drop(this.entry, this.#pin.slot);
  }
}
