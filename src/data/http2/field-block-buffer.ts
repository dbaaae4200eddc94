/**
 * A field block that comes in several frames (RFC 9113 §4.3, §6.10), put together. One that comes in one frame is
 * decoded where it lies and never here. Owner: the connection.
 */
import { FRAME_BYTES } from './frames.ts';

const NOTHING = Buffer.alloc(0);

export class FieldBlockBuffer {
  /** The stream whose block is not whole; 0: none. */
  stream = 0;
  /** Of its HEADERS frame. */
  flags = 0;
  bytes: Buffer = NOTHING;
  length = 0;
  frames = 0;
  readonly #maxBytes: number;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  begin(stream: number, flags: number): void {
    this.stream = stream;
    this.flags = flags;
    this.length = 0;
    this.frames = 0;
  }

  /** False: longer than a block may be. */
  add(bytes: Buffer, start: number, end: number): boolean {
    const length = this.length + end - start;
    if (length > this.#maxBytes) return false;
    if (length > this.bytes.length) {
      const larger = Buffer.allocUnsafe(Math.min(Math.max(length * 2, FRAME_BYTES), this.#maxBytes));
      this.bytes.copy(larger, 0, 0, this.length);
      this.bytes = larger;
    }
    bytes.copy(this.bytes, this.length, start, end);
    this.length = length;
    return true;
  }

  /** The block is whole, or the connection has ended: its memory is not kept. */
  release(): void {
    this.stream = 0;
    this.bytes = NOTHING;
  }
}
