/**
 * The lock of the cache: whoever changes queues, buckets or the free lists holds it, for a microsecond or so. Looking
 * up and reading need no lock. The word holds the index of the owner plus one, so that main can tell that a thread died
 * with it; nobody waits longer than `LONGEST_WAIT_MS`, and who did not get it goes on without the cache.
 */
import { systemClock } from '../../../base/clock.ts';
import { LOCK } from './layout.ts';

const SPINS = 200;
const LONGEST_WAIT_MS = 50;
/** After a wait that long, how long nobody here tries again: the owner is dead and main has not noticed yet. */
const GIVE_UP_MS = 200;
/** Of main, which has no index. */
const MAIN_OWNER = 0xffff;

export class StoreLock {
  readonly #words: Int32Array;
  readonly #owner: number;
  #againAt = 0;

  constructor(words: Int32Array, worker: number) {
    this.#words = words;
    this.#owner = worker < 0 ? MAIN_OWNER : worker + 1;
  }

  /** False: it is not to be had in time, do without. */
  take(): boolean {
    const words = this.#words;
    for (let i = 0; i < SPINS; i++) if (Atomics.compareExchange(words, LOCK, 0, this.#owner) === 0) return true;
    return this.#wait();
  }

  release(): void {
    Atomics.store(this.#words, LOCK, 0);
    Atomics.notify(this.#words, LOCK, 1);
  }

  /** Takes it away from a thread that is dead. */
  takeFrom(dead: number): boolean {
    return Atomics.compareExchange(this.#words, LOCK, dead + 1, this.#owner) === dead + 1;
  }

  #wait(): boolean {
    const words = this.#words;
    const start = systemClock.monotonicMs();
    if (start < this.#againAt) return false;
    for (;;) {
      const seen = Atomics.compareExchange(words, LOCK, 0, this.#owner);
      if (seen === 0) return true;
      const left = start + LONGEST_WAIT_MS - systemClock.monotonicMs();
      if (left <= 0) {
        this.#againAt = systemClock.monotonicMs() + GIVE_UP_MS;
        return false;
      }
      Atomics.wait(words, LOCK, seen, Math.min(left, 1));
    }
  }
}
