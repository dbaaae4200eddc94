/**
 * Messages out of the body of a gRPC response, however it is cut into pieces: a byte of flags, four of length, the
 * message.
 */
import { GatheredBytes } from '../../base/gathered-bytes.ts';

const HEAD = 5;

export class MessageReader {
  readonly #maxBytes: number;
  readonly #onMessage: (message: Buffer) => void;
  /** Head and message so far; grows as bytes come, not as the length promises. */
  #gathered = new GatheredBytes();
  #needed = HEAD;

  /** `message` is valid until the callback returns. */
  constructor(maxBytes: number, onMessage: (message: Buffer) => void) {
    this.#maxBytes = maxBytes;
    this.#onMessage = onMessage;
  }

  /** All messages that began have ended. */
  get isAtEnd(): boolean {
    return this.#gathered.length === 0;
  }

  /** Why the bytes cannot be read, or null. */
  push(bytes: Buffer, start: number, end: number): string | null {
    let at = start;
    while (at < end) {
      if (this.#gathered.length === 0 && end - at >= HEAD) {
        const problem = this.#readHead(bytes, at);
        if (problem !== null) return problem;
        if (end - at >= this.#needed) {
          // The usual case: nothing is copied.
          const from = at + HEAD;
          at += this.#needed;
          this.#needed = HEAD;
          this.#onMessage(bytes.subarray(from, at));
          continue;
        }
      }
      const taken = Math.min(this.#needed - this.#gathered.length, end - at);
      this.#gathered.add(bytes, at, at + taken);
      at += taken;
      if (this.#gathered.length < this.#needed) continue;
      const whole = this.#gathered.bytes;
      if (this.#needed === HEAD) {
        const problem = this.#readHead(whole, 0);
        if (problem !== null) return problem;
        if (this.#needed > HEAD) continue;
      }
      this.#gathered = new GatheredBytes();
      this.#needed = HEAD;
      this.#onMessage(whole.subarray(HEAD));
    }
    return null;
  }

  #readHead(bytes: Buffer, at: number): string | null {
    const length = bytes.readUInt32BE(at + 1);
    if (bytes[at] !== 0) return 'a message is compressed, which was not asked for';
    if (length > this.#maxBytes) return `a message has ${length} bytes, ${this.#maxBytes} are allowed`;
    this.#needed = HEAD + length;
    return null;
  }
}

/** The room that a message needs in front of it for its frame. */
export const FRAME_ROOM = HEAD;

/** Writes the frame of the message that begins behind its room. */
export function frame(bytes: Buffer): Buffer {
  bytes[0] = 0;
  bytes.writeUInt32BE(bytes.length - HEAD, 1);
  return bytes;
}
