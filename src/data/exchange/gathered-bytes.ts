/** Bytes that come in pieces of any size, put together in one piece of memory that grows with them. */

const FIRST_BYTES = 2 * 1024;

export class GatheredBytes {
  #memory: Buffer;
  #used = 0;
  readonly #usualBytes: number;

  /** `usualBytes`: how many are expected in the end. More may come. */
  constructor(usualBytes: number) {
    this.#usualBytes = usualBytes;
    this.#memory = Buffer.allocUnsafeSlow(Math.min(FIRST_BYTES, usualBytes));
  }

  add(bytes: Uint8Array): void {
    const needed = this.#used + bytes.length;
    if (needed > this.#memory.length) {
      const doubled = Math.min(this.#memory.length * 2, this.#usualBytes);
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, doubled));
      this.#memory.copy(larger, 0, 0, this.#used);
      this.#memory = larger;
    }
    this.#memory.set(bytes, this.#used);
    this.#used = needed;
  }

  get bytes(): Buffer {
    return this.#memory.subarray(0, this.#used);
  }
}
