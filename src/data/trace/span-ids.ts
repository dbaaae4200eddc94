/**
 * Random ids of traces and spans, as words of 32 bits, cut from a block of random bytes that is filled anew when it is
 * used up; and words as the hexadecimal digits that others read. A text is made only where somebody wants one.
 */
import { randomFillSync } from 'node:crypto';

const BLOCK_WORDS = 2_048;

export class SpanIds {
  readonly #block = new Int32Array(BLOCK_WORDS);
  #used = BLOCK_WORDS;

  /** All zeros is no id (W3C Trace Context §3.2.2.3); with 64 random bits it does not come up. */
  word(): number {
    if (this.#used === BLOCK_WORDS) {
      randomFillSync(this.#block);
      this.#used = 0;
    }
    return this.#block[this.#used++]!;
  }
}

const DIGITS = Uint8Array.from(Buffer.from('0123456789abcdef', 'latin1'));

/** Eight digits to `bytes[at, at + 8)`. */
export function writeHex(bytes: Uint8Array, at: number, word: number): void {
  bytes[at] = DIGITS[word >>> 28]!;
  bytes[at + 1] = DIGITS[(word >>> 24) & 15]!;
  bytes[at + 2] = DIGITS[(word >>> 20) & 15]!;
  bytes[at + 3] = DIGITS[(word >>> 16) & 15]!;
  bytes[at + 4] = DIGITS[(word >>> 12) & 15]!;
  bytes[at + 5] = DIGITS[(word >>> 8) & 15]!;
  bytes[at + 6] = DIGITS[(word >>> 4) & 15]!;
  bytes[at + 7] = DIGITS[word & 15]!;
}

/** The word that eight digits are. */
export function wordOf(digits: string): number {
  return Number.parseInt(digits, 16) | 0;
}
