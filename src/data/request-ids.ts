/**
 * New request ids: UUIDs in form (RFC 9562 version 4), with 62 random bits per worker and a counter that starts at a
 * random place. Unique across workers, restarts and machines like random ones at a tenth of the cost; not secret.
 */
import { randomBytes } from 'node:crypto';

/** The counter's last three digits, ready made. */
const LAST_DIGITS = Array.from({ length: 4_096 }, (_, value) =>
  Buffer.from(value.toString(16).padStart(3, '0'), 'latin1'),
);
const MOST = 2 ** 36;
const LENGTH = 36;

export class RequestIds {
  readonly #text = Buffer.alloc(LENGTH);
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

  /** Writes the next one to the start of `out`; returns its length. */
  write(out: Buffer): number {
    if (this.#low === LAST_DIGITS.length) {
      this.#low = 0;
      this.#high = (this.#high + 1) % MOST;
      this.#writeHigh();
    }
    const text = this.#text;
    const last = LAST_DIGITS[this.#low++]!;
    for (let i = 0; i < LENGTH - 3; i++) out[i] = text[i]!;
    out[LENGTH - 3] = last[0]!;
    out[LENGTH - 2] = last[1]!;
    out[LENGTH - 1] = last[2]!;
    return LENGTH;
  }

  #writeHigh(): void {
    this.#text.latin1Write(this.#high.toString(16).padStart(9, '0'), LENGTH - 12);
  }
}
