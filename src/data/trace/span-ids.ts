/**
 * Random ids of traces and spans, as words of 32 bits; and words as the hexadecimal digits that others read. A text is
 * made only where somebody wants one. Ids are no secrets: they come from a generator (sfc32 of PractRand) whose state
 * is random, which costs a tenth of asking the system for each.
 */
import { randomFillSync } from 'node:crypto';

/** Words that it takes until all of the state has reached the result. */
const WARM_UP = 16;

export class SpanIds {
  #a: number;
  #b: number;
  #c: number;
  #count: number;

  constructor() {
    const [a, b, c, count] = randomFillSync(new Int32Array(4)) as unknown as [number, number, number, number];
    this.#a = a;
    this.#b = b;
    this.#c = c;
    this.#count = count;
    for (let i = 0; i < WARM_UP; i++) this.word();
  }

  /** All zeros is no id (W3C Trace Context §3.2.2.3); with 64 random bits it does not come up. */
  word(): number {
    const b = this.#b;
    const c = this.#c;
    const word = (((this.#a + b) | 0) + this.#count) | 0;
    this.#count = (this.#count + 1) | 0;
    this.#a = b ^ (b >>> 9);
    this.#b = (c + (c << 3)) | 0;
    this.#c = (((c << 21) | (c >>> 11)) + word) | 0;
    return word;
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
