/** Where frames of a WebSocket begin and end (RFC 6455 §5.2) in bytes that pass as they are. */

/** A close frame with status 1001, "going away" (§7.4.1), as servers send it. */
export const GOING_AWAY: Buffer = Buffer.from([0x88, 0x02, 0x03, 0xe9]);

/** The same with 1008, "policy violation": what the caller came in with is no longer good. */
export const NO_LONGER_ALLOWED: Buffer = Buffer.from([0x88, 0x02, 0x03, 0xf0]);

/** Longest header: two bytes, eight of length, four of mask. */
const HEADER_BYTES = 14;

export class WebSocketFrames {
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #known = 0;
  /** Of the payload of the frame that has begun. */
  #left = 0;

  /** Between two frames, so that one of our own can be sent. */
  get isBetween(): boolean {
    return this.#known === 0 && this.#left === 0;
  }

  pass(bytes: Uint8Array, start: number, end: number): void {
    let at = start;
    while (at < end) {
      if (this.#left > 0) {
        const take = Math.min(this.#left, end - at);
        this.#left -= take;
        at += take;
        continue;
      }
      this.#header[this.#known++] = bytes[at++]!;
      if (this.#known < this.#headerBytes()) continue;
      this.#left = this.#payloadBytes();
      this.#known = 0;
    }
  }

  #headerBytes(): number {
    if (this.#known < 2) return 2;
    const second = this.#header[1]!;
    const length = second & 0x7f;
    return 2 + (length === 127 ? 8 : length === 126 ? 2 : 0) + ((second & 0x80) === 0 ? 0 : 4);
  }

  #payloadBytes(): number {
    const length = this.#header[1]! & 0x7f;
    if (length < 126) return length;
    if (length === 126) return this.#header.readUInt16BE(2);
    return this.#header.readUInt32BE(2) * 2 ** 32 + this.#header.readUInt32BE(6);
  }
}
