/** Random ids of traces and spans, cut from a block of random bytes that is filled anew when it is used up. */
import { randomFillSync } from 'node:crypto';

const BLOCK_BYTES = 4_096;

export class SpanIds {
  readonly #block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  #used = BLOCK_BYTES;

  trace(): string {
    return this.#next(16);
  }

  span(): string {
    return this.#next(8);
  }

  #next(bytes: number): string {
    if (this.#used + bytes > BLOCK_BYTES) {
      randomFillSync(this.#block);
      this.#used = 0;
    }
    const start = this.#used;
    this.#used += bytes;
    // All zeros is no id (W3C Trace Context §3.2.2.3); with 64 random bits it does not come up.
    return this.#block.hexSlice(start, start + bytes);
  }
}
