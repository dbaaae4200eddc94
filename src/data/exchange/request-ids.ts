/**
 * New request ids: UUIDs of version 4 (RFC 9562 §5.4) with 80 fresh random bits each, from a pool that is filled now
 * and then, beside 42 of the worker. Two ids tell nothing of how many there were between them, as a counter would, and
 * they cost little more than one.
 */
import { randomBytes, randomFillSync } from 'node:crypto';

const LENGTH = 36;
/** Words of an id. */
export const ID_WORDS: number = LENGTH / 4;
/** Digits 0 to 7 and 24 to 35: whole words, 16 bits each. */
const RANDOM_WORDS = [0, 1, 6, 7, 8] as const;
const IDS_IN_POOL = 1_024;

/** Two digits of a byte, in the order of memory. */
const DIGITS = Uint16Array.from({ length: 256 }, (_, value) => {
  const pair = new Uint16Array(1);
  Buffer.from(pair.buffer).latin1Write(value.toString(16).padStart(2, '0'), 0);
  return pair[0]!;
});
const IS_LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

export class RequestIds {
  readonly #words = new Int32Array(ID_WORDS);
  readonly #pool = new Uint8Array(IDS_IN_POOL * RANDOM_WORDS.length * 2);
  readonly #fill: (pool: Uint8Array) => void;
  #used: number;

  constructor(random: Buffer = randomBytes(16), fill: (pool: Uint8Array) => void = randomFillSync) {
    const hex = random.toString('hex');
    const variant = ((random[8]! & 0x3f) | 0x80).toString(16).padStart(2, '0');
    Buffer.from(this.#words.buffer).latin1Write(
      `00000000-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(18, 20)}-000000000000`,
      0,
    );
    this.#fill = fill;
    this.#used = this.#pool.length;
  }

  /** Writes the next one to `out`; returns its length in bytes. */
  write(out: Int32Array): number {
    if (this.#used === this.#pool.length) {
      this.#fill(this.#pool);
      this.#used = 0;
    }
    const words = this.#words;
    const pool = this.#pool;
    let at = this.#used;
    for (let i = 0; i < ID_WORDS; i++) out[i] = words[i]!;
    for (let i = 0; i < RANDOM_WORDS.length; i++, at += 2) {
      const first = DIGITS[pool[at]!]!;
      const second = DIGITS[pool[at + 1]!]!;
      out[RANDOM_WORDS[i]!] = IS_LITTLE_ENDIAN ? first | (second << 16) : (first << 16) | second;
    }
    this.#used = at;
    return LENGTH;
  }
}
