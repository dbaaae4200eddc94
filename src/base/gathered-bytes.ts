/**
 * Bytes that come in pieces of any size, put together in one piece of memory that grows with them: who sends a byte at
 * a time costs a byte for each, and no object (a list of a million buffers of one byte took 200 MB).
 */

const FIRST_BYTES = 2 * 1024;
const NOTHING = Buffer.alloc(0);

export class GatheredBytes {
  #memory: Buffer = NOTHING;
  #used = 0;
  readonly #usualBytes: number;

  /** `usualBytes`: how many are expected in the end, 0: nobody knows. More may come. */
  constructor(usualBytes = 0) {
    this.#usualBytes = usualBytes;
  }

  get length(): number {
    return this.#used;
  }

  add(bytes: Uint8Array, start = 0, end: number = bytes.length): void {
    const needed = this.#used + end - start;
    if (needed > this.#memory.length) this.#grow(needed);
    this.#memory.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), this.#used);
    this.#used = needed;
  }

  #grow(needed: number): void {
    const { length } = this.#memory;
    const usual = this.#usualBytes;
    const doubled = length < usual ? Math.min(Math.max(length * 2, FIRST_BYTES), usual) : length * 2;
    const size = Math.max(needed, doubled);
    // What is known to grow has memory of its own, as it may wait; the rest shares some, as short copies do.
    const larger = usual > 0 ? Buffer.allocUnsafeSlow(size) : Buffer.allocUnsafe(size);
    this.#memory.copy(larger, 0, 0, this.#used);
    this.#memory = larger;
  }

  /** Good also when more comes. */
  get bytes(): Buffer {
    return this.#memory.subarray(0, this.#used);
  }
}
