/**
 * Follows fills of other requests, of this worker or another one: one watch per entry and worker, however many wait
 * for it. It sleeps on a word of the entry (`Atomics.waitAsync`) and tells its followers when something has happened:
 * the head has come, more of the body, the end, or nothing for too long.
 */
import { systemClock } from '../../base/clock.ts';
import { BEHIND } from './store/layout.ts';
import { Reader } from './store/reader.ts';
import type { CacheStore, Entry } from './store/store.ts';

export interface Follower {
  /** Something happened to the entry; the follower looks what. */
  onProgress(): void;
  /** It takes too long: who has not begun to send goes on alone. */
  onFillTimeout(): void;
}

/** The watches of one worker. */
export class FillWatches {
  readonly #store: CacheStore;
  readonly #watches = new Map<Entry, FillWatch>();

  constructor(store: CacheStore) {
    this.#store = store;
  }

  /**
   * Watches an entry that was just found to be filled for this key; null when it is gone already or this worker watches
   * too many.
   */
  follow(entry: Entry, key: string, follower: Follower, longestMs: number): Reader | null {
    let watch = this.#watches.get(entry);
    if (watch !== undefined && !watch.isOver) {
      watch.followers.add(follower);
      return watch.reader.share();
    }
    const reader = Reader.open(this.#store, entry);
    if (reader === null) return null;
    // Nothing held the entry since it was found: another thread may have given it up and filled it for somebody else.
    if (!this.#store.isFor(entry, key)) {
      reader.close();
      return null;
    }
    watch = new FillWatch(this.#store, reader, longestMs, () => {
      if (this.#watches.get(entry) === watch) this.#watches.delete(entry);
    });
    this.#watches.set(entry, watch);
    watch.followers.add(follower);
    // Before it runs: a fill that is over by now ends the watch at once, and with it the pin that is not shared yet.
    const shared = reader.share();
    watch.run();
    return shared;
  }

  unfollow(entry: Entry, follower: Follower): void {
    const watch = this.#watches.get(entry);
    if (watch?.followers.delete(follower) === true && watch.followers.size === 0) watch.wake();
  }
}

class FillWatch {
  readonly reader: Reader;
  readonly followers = new Set<Follower>();
  isOver = false;
  readonly #words: Int32Array;
  readonly #word: number;
  readonly #untilMs: number;
  readonly #onOver: () => void;

  constructor(store: CacheStore, reader: Reader, longestMs: number, onOver: () => void) {
    this.reader = reader;
    this.#words = store.words;
    this.#word = store.at(reader.entry) + BEHIND;
    this.#untilMs = systemClock.monotonicMs() + longestMs;
    this.#onOver = onOver;
  }

  /** Nobody follows any more: what is asleep until then would hold the entry, as if somebody waited for it. */
  wake(): void {
    Atomics.notify(this.#words, this.#word);
  }

  /** Looks, sleeps, tells, until the fill has ended one way or the other. */
  run(): void {
    for (;;) {
      const seen = Atomics.load(this.#words, this.#word);
      if (this.reader.isOver) {
        this.#end();
        return;
      }
      const leftMs = this.#untilMs - systemClock.monotonicMs();
      // The fill may go on for as long as it likes for those who have begun to send it.
      const waiting = Atomics.waitAsync(this.#words, this.#word, seen, leftMs > 0 ? leftMs : 60_000);
      if (!waiting.async) continue;
      void waiting.value.then((woken) => {
        if (woken === 'timed-out') for (const follower of [...this.followers]) follower.onFillTimeout();
        else this.#tell();
        if (this.followers.size === 0) this.#end();
        else this.run();
      });
      return;
    }
  }

  #tell(): void {
    for (const follower of [...this.followers]) follower.onProgress();
  }

  #end(): void {
    this.isOver = true;
    this.#onOver();
    this.#tell();
    this.reader.close();
  }
}
