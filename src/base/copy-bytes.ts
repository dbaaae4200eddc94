/**
 * Copies the parts of a head (names, values, lines). Most are so short that a loop is cheaper than a call out of
 * JavaScript.
 */
const LOOP_BYTES = 32;

/** Short bytes that are written often, padded to whole words in the order of memory. */
export class ShortBytes {
  readonly length: number;
  readonly words: Int32Array;

  constructor(bytes: Uint8Array) {
    this.length = bytes.length;
    const padded = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
    padded.set(bytes);
    this.words = new Int32Array(padded.buffer);
  }
}

/** Four bytes at a time; up to three bytes behind `length` are written too. The caller has made room. */
export function copyWords(from: Int32Array, length: number, to: DataView, at: number): void {
  for (let word = 0; word * 4 < length; word++) to.setInt32(at + word * 4, from[word]!, IS_LITTLE_ENDIAN);
}

/** Copies from one memory to another that is not the same, four bytes at a time, like `copyWords`. */
export function copyByView(from: DataView, start: number, length: number, to: DataView, at: number): void {
  for (let done = 0; done < length; done += 4) to.setInt32(at + done, from.getInt32(start + done));
}

const IS_LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** Copies `from`, from `start` up to `end`, into `to` at `at`. The caller has made room. */
export function copyBytes(from: Buffer, start: number, end: number, to: Buffer, at: number): void {
  if (end - start > LOOP_BYTES) from.copy(to, at, start, end);
  else for (let i = start; i < end; i++) to[at++] = from[i]!;
}
