/**
 * The store of the cache: finds what is stored, begins and ends fills, and purges. Its entries are in entries.ts, what
 * a death leaves behind in after-death.ts. One object per thread over the memory that all share (layout.ts). Finding
 * and reading take no lock: a reader pins the entry (pins.ts) and then looks whether it is still the same. Everything
 * that changes buckets, queues or free lists happens under one lock for about a microsecond (lock.ts); if it is not to
 * be had the request goes on without the cache.
 *
 *   EMPTY -> FILLING -> LIVE -> DYING -> EMPTY          FILLING -> DYING (given up)          EMPTY -> PASS -> EMPTY
 */
import { KeyHash } from '../../../base/key-hash.ts';
import { rebuild, takeBack } from './after-death.ts';
import { Chains } from './chains.ts';
import { Entries, type Entry, LONGEST_BUCKET, NOTHING } from './entries.ts';
import {
  ABORTED,
  BEFORE,
  BEHIND,
  BODY_BYTES,
  CHUNK_BYTES,
  CHUNKS,
  DYING,
  ENTRY_WORDS,
  FILLING,
  FIRST_CHUNK,
  FLAGS,
  FRESH_ENTRY,
  FRESH_UNTIL_MS,
  HASH_KEY,
  KEY_A,
  KEY_B,
  KIND,
  type Layout,
  LIVE,
  LIVE_ENTRIES,
  layoutOf,
  META_BYTES,
  NEXT_IN_BUCKET,
  PASS,
  PROGRESS,
  SEQUENCE,
  USE,
  WRITTEN,
} from './layout.ts';
import { StoreLock } from './lock.ts';
import { hasKey, MAX_KEY_BYTES, writeKey } from './meta.ts';
import { NO_PIN, Pins } from './pins.ts';
import { Purges } from './purges.ts';
import { Queues } from './queues.ts';

export { type Entry, NOTHING } from './entries.ts';

export class CacheStore {
  readonly words: Int32Array;
  readonly floats: Float64Array;
  readonly chains: Chains;
  readonly pins: Pins;
  readonly purges: Purges;
  readonly queues: Queues;
  readonly entries: Entries;
  readonly lock: StoreLock;
  readonly layout: Layout;
  readonly hash: KeyHash;
  readonly worker: number;
  /** What the latest `find` found: a response, one that somebody fetches, and that nobody should wait for one. */
  live: Entry = NOTHING;
  filling: Entry = NOTHING;
  passes = false;
  /** The key of the latest `find`. */
  a = 0;
  b = 0;
  begunPin = NO_PIN;
  /** What this thread glances at. */
  #glanced: Entry = NOTHING;
  /** Entries that could not be freed because the lock was not to be had. */
  readonly #later: Entry[] = [];

  /** `worker`: index of the worker; -1 is the main thread. */
  constructor(memory: SharedArrayBuffer, worker: number) {
    this.layout = layoutOf(memory.byteLength);
    this.words = new Int32Array(memory);
    this.floats = new Float64Array(memory);
    this.worker = worker;
    this.hash = new KeyHash(this.words[HASH_KEY]!, this.words[HASH_KEY + 1]!);
    this.chains = new Chains(memory, this.words, this.layout);
    this.pins = new Pins(this.words, this.layout, worker);
    this.purges = new Purges(memory, this.words, this.layout);
    this.queues = new Queues(this.words, this.layout);
    this.entries = new Entries(this.words, this.layout, this.chains, this.pins, this.queues);
    this.lock = new StoreLock(this.words, worker);
  }

  /** Word where an entry begins. */
  at(entry: Entry): number {
    return this.layout.entries + entry * ENTRY_WORDS;
  }

  kindOf(entry: Entry): number {
    return Atomics.load(this.words, this.at(entry)) & KIND;
  }

  keyOf(entry: Entry): string {
    return this.entries.keyOf(entry);
  }

  // --- finding -----------------------------------------------------------------------------------------------------

  /**
   * Looks a key up; `live`, `filling` and `passes` say what there is. A live entry is pinned for this callback: pin it
   * longer (`hold`) or read it, and call `glanceEnd` in any case.
   */
  find(key: string, nowMs: number): void {
    this.live = NOTHING;
    this.filling = NOTHING;
    this.passes = false;
    this.hash.text(key);
    this.a = this.hash.a;
    this.b = this.hash.b;
    const words = this.words;
    let entry = Atomics.load(words, this.entries.bucket(this.a));
    for (let i = 0; entry !== 0 && i < LONGEST_BUCKET; i++) {
      const at = this.at(entry);
      if (words[at + KEY_A] === this.a && words[at + KEY_B] === this.b) this.#look(entry, at, key, nowMs);
      entry = Atomics.load(words, at + NEXT_IN_BUCKET);
    }
  }

  #look(entry: Entry, at: number, key: string, nowMs: number): void {
    const words = this.words;
    const state = Atomics.load(words, at);
    const kind = state & KIND;
    if (kind === PASS) {
      this.passes = this.floats[(at + FRESH_UNTIL_MS) >> 1]! > nowMs;
      return;
    }
    if (kind !== LIVE && kind !== FILLING) return;
    // The glance is for the live one; of the other only its first chunk is read, and its state says whether that was
    // so.
    if (this.live === NOTHING) this.#glance(entry);
    if (Atomics.load(words, at) !== state) return;
    const isSame = hasKey(this.chains.bytes, words[at + FIRST_CHUNK]! * CHUNK_BYTES, key);
    if (Atomics.load(words, at) !== state || !isSame) return;
    if (kind === FILLING) this.filling = entry;
    else if (!this.#isPurged(at, key)) this.live = entry;
  }

  #glance(entry: Entry): void {
    const former = this.#glanced;
    this.#glanced = entry;
    this.pins.glance(entry);
    if (former !== NOTHING && this.kindOf(former) === DYING) this.#free(former);
  }

  /** Compares an entry with the purges since it began or was last compared. */
  #isPurged(at: number, key: string): boolean {
    const { words, purges } = this;
    const sequence = words[at + SEQUENCE]!;
    const latest = purges.sequence;
    if (sequence >= latest) return false;
    if (purges.purgedAll(sequence) || purges.purgedPrefix(key, sequence)) return true;
    for (const tag of this.entries.tagsOf(at)) if (purges.purgedTag(tag, sequence)) return true;
    Atomics.compareExchange(words, at + SEQUENCE, sequence, latest);
    return false;
  }

  /** Is a pinned entry the one of this key, whole or being filled? */
  isFor(entry: Entry, key: string): boolean {
    const kind = this.kindOf(entry);
    if (kind !== LIVE && kind !== FILLING) return false;
    return hasKey(this.chains.bytes, this.words[this.at(entry) + FIRST_CHUNK]! * CHUNK_BYTES, key);
  }

  /** Pins an entry that is glanced at or that the caller has made; `NO_PIN` when this worker holds too many. */
  hold(entry: Entry): number {
    return this.pins.pin(entry);
  }

  /** Does anybody but its filler read an entry that is being filled? */
  isReadByOthers(entry: Entry): boolean {
    return this.pins.hasReaders(entry, 2);
  }

  /** The entry is no longer read by the holder of the pin. */
  drop(entry: Entry, pin: number): void {
    this.pins.unpin(pin);
    if (this.kindOf(entry) === DYING) this.#free(entry);
  }

  /** Ends the glance of `find`. */
  glanceEnd(): void {
    if (this.#glanced !== NOTHING) this.#glance(NOTHING);
  }

  // --- filling -----------------------------------------------------------------------------------------------------

  /**
   * Makes this thread the one that fetches the key of the latest `find`. Returns the entry to fill; or, negative, the
   * entry that somebody else fills; or NOTHING when neither is possible (no lock, no room, key too long). An entry to
   * fill is pinned in `begunPin` before anybody can find it, or a purge at this very moment would free it.
   */
  begin(key: string): Entry {
    if (key.length > MAX_KEY_BYTES || !this.#locked()) return NOTHING;
    try {
      const words = this.words;
      const head = this.entries.bucket(this.a);
      let steps = 0;
      for (let entry = words[head]!; entry !== 0 && steps < LONGEST_BUCKET; steps++) {
        const at = this.at(entry);
        const next = words[at + NEXT_IN_BUCKET]!;
        if (words[at + KEY_A] === this.a && words[at + KEY_B] === this.b) {
          const kind = words[at]! & KIND;
          if (kind === FILLING && this.entries.keyOf(entry) === key) return -entry;
          if (kind === PASS) this.entries.remove(entry);
        }
        entry = next;
      }
      // Longer ones would be searched in vain.
      if (steps === LONGEST_BUCKET || !this.entries.makeRoom(1)) return NOTHING;
      const entry = this.entries.take();
      if (entry === NOTHING) return NOTHING;
      const at = this.at(entry);
      this.begunPin = this.hold(entry);
      if (this.begunPin === NO_PIN) {
        this.entries.give(entry);
        return NOTHING;
      }
      const first = this.chains.take(1);
      words[at + KEY_A] = this.a;
      words[at + KEY_B] = this.b;
      words[at + FIRST_CHUNK] = first;
      words[at + CHUNKS] = 1;
      words[at + WRITTEN] = 0;
      words[at + META_BYTES] = 0;
      words[at + BODY_BYTES] = -1;
      words[at + SEQUENCE] = this.purges.sequence;
      words[at + BEFORE] = this.worker + 1;
      words[at + BEHIND] = PROGRESS;
      words[at + USE] = 0;
      words[at + FLAGS] = 0;
      writeKey(this.chains.bytes, first * CHUNK_BYTES, key);
      this.entries.setKind(at, FILLING);
      this.entries.link(entry, at);
      return entry;
    } finally {
      this.lock.release();
    }
  }

  /** Makes the chain of an entry that is being filled `count` chunks longer. False: there is no room. */
  grow(entry: Entry, last: number, count: number): boolean {
    if (!this.#locked()) return false;
    try {
      if (!this.entries.makeRoom(count)) return false;
      this.chains.extend(last, this.chains.take(count));
      this.words[this.at(entry) + CHUNKS]! += count;
      return true;
    } finally {
      this.lock.release();
    }
  }

  /**
   * The entry is whole: from now on it is found, instead of a former one of its key. False: it was taken away
   * meanwhile.
   */
  commit(entry: Entry): boolean {
    const at = this.at(entry);
    const words = this.words;
    if (!this.#locked()) {
      // Whole, but it cannot be put where it is found: who is sending it goes on to its end.
      this.#later.push(entry);
      this.entries.setKind(at, DYING);
      this.entries.progress(at);
      return false;
    }
    try {
      if ((words[at]! & KIND) !== FILLING) {
        this.entries.progress(at);
        return false;
      }
      const former = this.entries.siblingOf(entry, at, LIVE);
      if (former === NOTHING) this.queues.add(entry);
      else {
        this.queues.addLike(entry, former);
        this.entries.unlink(former, this.at(former));
        this.queues.remove(former);
        this.entries.kill(former);
      }
      words[LIVE_ENTRIES]!++;
      this.entries.setKind(at, LIVE);
    } finally {
      this.lock.release();
    }
    Atomics.notify(words, at + BEHIND);
    return true;
  }

  /**
   * The entry will not become whole. `passUntilMs` above 0: the next requests must not wait for each other until then.
   */
  giveUp(entry: Entry, passUntilMs = 0): void {
    const at = this.at(entry);
    const words = this.words;
    if (!this.#locked()) {
      // Waiters see that it has ended; it is taken out of its bucket later.
      this.#later.push(entry);
      Atomics.store(words, at + BODY_BYTES, ABORTED);
      this.entries.setKind(at, DYING);
      this.entries.progress(at);
      return;
    }
    try {
      Atomics.store(words, at + BODY_BYTES, ABORTED);
      if ((words[at]! & KIND) === FILLING) {
        this.entries.unlink(entry, at);
        this.entries.setKind(at, DYING);
        this.entries.progress(at);
        if (passUntilMs > 0) this.#pass(words[at + KEY_A]!, words[at + KEY_B]!, passUntilMs);
        this.entries.free(entry);
      } else this.entries.progress(at);
    } finally {
      this.lock.release();
    }
  }

  #pass(a: number, b: number, untilMs: number): void {
    const entry = this.entries.take();
    if (entry === NOTHING) return;
    const at = this.at(entry);
    const words = this.words;
    words[at + KEY_A] = a;
    words[at + KEY_B] = b;
    words[at + FIRST_CHUNK] = 0;
    words[at + CHUNKS] = 0;
    words[at + FLAGS] = 0;
    this.floats[(at + FRESH_UNTIL_MS) >> 1] = untilMs;
    this.entries.setKind(at, PASS);
    this.entries.link(entry, at);
    this.queues.add(entry);
    words[LIVE_ENTRIES]!++;
  }

  // --- taking away -------------------------------------------------------------------------------------------------

  /** Takes what is stored under a key away, and what is on its way. True: there was something. */
  remove(key: string): boolean {
    return this.#remove(key, false) === true;
  }

  /** The same, but leaves what is known about the key: that nobody should wait for its response. */
  removeLive(key: string): boolean {
    return this.#remove(key, true) === true;
  }

  /** True: nothing of the key is left, whether there was something or not. */
  removeSurely(key: string): boolean {
    return this.#remove(key, false) !== null;
  }

  /** The key of a live entry that is not pinned; null when it is gone. */
  liveKeyOf(entry: Entry): string | null {
    if (!this.#locked()) return null;
    const at = this.at(entry);
    const key = (this.words[at]! & KIND) === LIVE ? this.entries.keyOf(entry) : null;
    const isThere = key !== null && !this.#isPurged(at, key);
    this.lock.release();
    return isThere ? key : null;
  }

  /** Null: the lock was not to be had. */
  #remove(key: string, leavesPass: boolean): boolean | null {
    this.hash.text(key);
    this.a = this.hash.a;
    this.b = this.hash.b;
    if (!this.#locked()) return null;
    let found = false;
    try {
      const words = this.words;
      for (let entry = words[this.entries.bucket(this.a)]!; entry !== 0; ) {
        const at = this.at(entry);
        const next = words[at + NEXT_IN_BUCKET]!;
        if (words[at + KEY_A] === this.a && words[at + KEY_B] === this.b) {
          const kind = words[at]! & KIND;
          if (kind === FILLING && this.entries.keyOf(entry) === key) this.entries.doom(entry, at);
          else if (kind === LIVE && this.entries.keyOf(entry) === key) this.entries.remove(entry);
          else if (kind !== PASS) {
            entry = next;
            continue;
          } else if (!leavesPass) this.entries.remove(entry);
          found = true;
        }
        entry = next;
      }
    } finally {
      this.lock.release();
    }
    return found;
  }

  purgeAll(): boolean {
    return this.#purging(() => {
      this.purges.all();
      return true;
    });
  }

  purgeTag(tag: string): boolean {
    const hash = this.tagHash(tag);
    return this.#purging(() => this.purges.tag(hash));
  }

  purgePrefix(prefix: string): boolean {
    return this.#purging(() => this.purges.prefix(prefix));
  }

  tagHash(tag: string): number {
    this.hash.text(`tag\n${tag}`);
    return this.hash.a;
  }

  #purging(write: () => boolean): boolean {
    if (!this.#locked()) return false;
    try {
      if (write()) return true;
      this.#sweep();
      return write();
    } finally {
      this.lock.release();
    }
  }

  /** Under the lock: compares all entries with all purges and forgets these. */
  #sweep(): void {
    const { words, purges } = this;
    const latest = purges.sequence;
    for (let entry = 1; entry < words[FRESH_ENTRY]!; entry++) {
      const at = this.at(entry);
      const kind = words[at]! & KIND;
      if (kind === FILLING) this.entries.doom(entry, at);
      else if (kind === LIVE) {
        if (this.#isPurged(at, this.entries.keyOf(entry))) this.entries.remove(entry);
        else words[at + SEQUENCE] = latest;
      }
    }
    purges.clear();
  }

  // --- room --------------------------------------------------------------------------------------------------------

  /** The last reader of a dying entry, or whoever made it one, frees it. */
  #free(entry: Entry): void {
    if (!this.#locked()) {
      this.#later.push(entry);
      return;
    }
    this.entries.free(entry);
    this.lock.release();
  }

  /** Takes the lock, and catches up with what waited for it. */
  #locked(): boolean {
    if (!this.lock.take()) return false;
    while (this.#later.length > 0) {
      const entry = this.#later.pop()!;
      this.entries.unlink(entry, this.at(entry));
      this.entries.free(entry);
    }
    return true;
  }

  // --- after a death -----------------------------------------------------------------------------------------------

  /** Main: a worker is gone. Its pins and fills are taken back; if it died inside the lock the store is emptied. */
  clearWorker(worker: number): void {
    if (this.lock.takeFrom(worker)) {
      try {
        this.pins.clearRow(worker);
        rebuild(this.entries, worker);
      } finally {
        this.lock.release();
      }
      return;
    }
    const named = this.pins.clearRow(worker);
    this.#whenLocked(() => takeBack(this.entries, worker, named));
  }

  #whenLocked(task: () => void): void {
    for (let i = 0; i < 100; i++) {
      if (!this.#locked()) continue;
      try {
        task();
      } finally {
        this.lock.release();
      }
      return;
    }
  }
}
