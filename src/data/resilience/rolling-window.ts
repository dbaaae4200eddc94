/**
 * Two counters, total and marked, over the last so many seconds, in constant shared memory: a ring of buckets, each
 * with the number of the period (epoch) that it counts. Breakers mark errors, the retry budget marks retries. Any
 * worker may count at any time; the first to meet a bucket of an old period takes its old counts out.
 *
 *   bucket i:  [ epoch | total | marked ]      epoch = tick / bucketTicks,  i = epoch % buckets
 *
 * No count is lost by a race: the old counts are read before the epoch is swapped and subtracted after, so what others
 * add meanwhile stays. A count that comes late may land in the next period, which is harmless.
 */
import { BUCKET_WORDS } from '../contract/instance-layout.ts';

export class RollingWindow {
  readonly #words: Int32Array;
  readonly #at: number;
  readonly #buckets: number;
  readonly #bucketTicks: number;
  /** Results of the last `sum`. */
  total = 0;
  marked = 0;

  constructor(words: Int32Array, at: number, buckets: number, bucketTicks: number) {
    this.#words = words;
    this.#at = at;
    this.#buckets = buckets;
    this.#bucketTicks = bucketTicks;
  }

  epochOf(tick: number): number {
    return Math.floor((tick >>> 0) / this.#bucketTicks) | 0;
  }

  addTotal(tick: number): void {
    Atomics.add(this.#words, this.#bucket(tick) + 1, 1);
  }

  addMarked(tick: number): void {
    Atomics.add(this.#words, this.#bucket(tick) + 2, 1);
  }

  removeMarked(tick: number): void {
    Atomics.sub(this.#words, this.#bucket(tick) + 2, 1);
  }

  /** Adds up the periods that `tick` looks back over, the current one included, into `total` and `marked`. */
  sum(tick: number): void {
    const words = this.#words;
    const epoch = this.epochOf(tick);
    let total = 0;
    let marked = 0;
    for (let i = 0, at = this.#at; i < this.#buckets; i++, at += BUCKET_WORDS) {
      const age = (epoch - Atomics.load(words, at)) | 0;
      if (age < 0 || age >= this.#buckets) continue;
      total += Atomics.load(words, at + 1);
      marked += Atomics.load(words, at + 2);
    }
    this.total = total;
    this.marked = marked;
  }

  /** Reads one whole period into `total` and `marked`; zeros if its bucket counts another by now. */
  readEpoch(epoch: number): void {
    const at = this.#at + ((epoch >>> 0) % this.#buckets) * BUCKET_WORDS;
    const holds = Atomics.load(this.#words, at) === epoch;
    this.total = holds ? Atomics.load(this.#words, at + 1) : 0;
    this.marked = holds ? Atomics.load(this.#words, at + 2) : 0;
  }

  clear(): void {
    for (let i = 0; i < this.#buckets; i++) {
      Atomics.store(this.#words, this.#at + i * BUCKET_WORDS + 1, 0);
      Atomics.store(this.#words, this.#at + i * BUCKET_WORDS + 2, 0);
    }
  }

  /** Offset of the tick's bucket, brought to its period. */
  #bucket(tick: number): number {
    const epoch = this.epochOf(tick);
    const at = this.#at + ((epoch >>> 0) % this.#buckets) * BUCKET_WORDS;
    if (this.#words[at] !== epoch) this.#turn(at, epoch);
    return at;
  }

  #turn(at: number, epoch: number): void {
    const words = this.#words;
    const before = Atomics.load(words, at);
    // A thread that is late must not turn a bucket back to a period that is over.
    if (((epoch - before) | 0) <= 0) return;
    const total = Atomics.load(words, at + 1);
    const marked = Atomics.load(words, at + 2);
    if (Atomics.compareExchange(words, at, before, epoch) !== before) return;
    Atomics.sub(words, at + 1, total);
    Atomics.sub(words, at + 2, marked);
  }
}
