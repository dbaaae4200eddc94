/**
 * What is about to be written to one socket, gathered over one callback and handed to the kernel at once: head and
 * body of a small message in one write (a second write costs 3.5 to 6 microseconds), pieces of a large one corked
 * into one `writev` without copying. Used by both sides. A writer calls `flush` before it returns to the event loop;
 * large pieces may point into a read buffer that is reused afterwards (see `holdsBytes`).
 *
 * Text and small pieces are copied to scratch memory as they come, so that a message needs no string or buffer of its
 * own: flat text goes in at a fifth of the cost of text that was joined first.
 */
import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { copyBytes, copyWords } from '../../base/copy-bytes.ts';
import type { ByteWriter } from '../contract/byte-writer.ts';
import { digitsOf, MOST_DIGITS_VALUE, writeDigits } from './digits.ts';
import { giveScratch, giveScratchLater, NO_SCRATCH, type Scratch, takeScratch } from './scratch.ts';

/** Up to here joining by copy is cheaper than two buffers in one writev (measured: equal at about 16 KB). */
export const JOIN_BYTES = 16 * 1024;
/** The same for text. */
export const SHORT_TEXT = 6;

/** Bytes of a constant text, for `bytes`. */
export function constant(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

export class Outbox implements ByteWriter {
  readonly #socket: Socket;
  /** What TLS is given is encrypted, or copied, before its write returns, unless another one is on its way. */
  readonly #secure: boolean;
  #memory: Scratch = NO_SCRATCH;
  /** The bytes of it. */
  #scratch: Buffer = NO_SCRATCH.bytes;
  #used = 0;
  /** Where the part of the scratch begins that is not among the pieces yet. */
  #sealed = 0;
  readonly #pieces: Uint8Array[] = [];
  #gathered = 0;
  #refersToPieces = false;

  constructor(socket: Socket, secure: boolean) {
    this.#socket = socket;
    this.#secure = secure;
  }

  text(text: string): void {
    const length = text.length;
    if (this.#used + length > this.#scratch.length) this.#makeRoom(length);
    if (length > SHORT_TEXT) this.#scratch.latin1Write(text, this.#used, length);
    else for (let i = 0; i < length; i++) this.#scratch[this.#used + i] = text.charCodeAt(i);
    this.#used += length;
    this.#gathered += length;
  }

  bytes(bytes: Buffer, start: number, end: number): void {
    const length = end - start;
    if (this.#used + length > this.#scratch.length) this.#makeRoom(length);
    copyBytes(bytes, start, end, this.#scratch, this.#used);
    this.#used += length;
    this.#gathered += length;
  }

  words(words: Int32Array, length: number): void {
    if (this.#used + length + 3 > this.#scratch.length) this.#makeRoom(length + 3);
    copyWords(words, length, this.#memory.view, this.#used);
    this.#used += length;
    this.#gathered += length;
  }

  integer(value: number): void {
    if (value > MOST_DIGITS_VALUE) {
      this.text(`${value}`);
      return;
    }
    const digits = digitsOf(value);
    if (this.#used + digits > this.#scratch.length) this.#makeRoom(digits);
    writeDigits(this.#scratch, this.#used, digits, value);
    this.#used += digits;
    this.#gathered += digits;
  }

  /** A part of a body: copied when it is small or volatile, otherwise referred to. */
  piece(bytes: Uint8Array, isVolatile = false): void {
    const length = bytes.length;
    this.#gathered += length;
    if (length > JOIN_BYTES) {
      this.#seal();
      if (!isVolatile) this.#refersToPieces = true;
      this.#pieces.push(isVolatile ? Buffer.from(bytes) : bytes);
      return;
    }
    if (this.#used + length > this.#scratch.length) this.#makeRoom(length);
    this.#scratch.set(bytes, this.#used);
    this.#used += length;
  }

  /** `bytes[start, end)` of a body, like `piece`. */
  part(bytes: Buffer, start: number, end: number): void {
    if (end - start > JOIN_BYTES) this.piece(bytes.subarray(start, end));
    else this.bytes(bytes, start, end);
  }

  get isEmpty(): boolean {
    return this.#gathered === 0;
  }

  /** Pieces that are not flushed, or written as they are and not taken whole: their memory must be left alone. */
  get holdsBytes(): boolean {
    if (!this.#refersToPieces) return false;
    if (this.#pieces.length > 0) return true;
    this.#refersToPieces = this.#socket.writableLength > 0;
    return this.#refersToPieces;
  }

  /**
   * False when the peer reads too slowly: stop producing until the socket's `drain`. What `write` returns is not
   * asked: it says "wait" for every piece above the high-water mark, also when the kernel took all of it at once.
   */
  flush(): boolean {
    const socket = this.#socket;
    if (this.#gathered === 0) return !socket.writableNeedDrain;
    this.#gathered = 0;
    const memory = this.#memory;
    const isOnePiece = this.#pieces.length === 0;
    if (isOnePiece) {
      const whole = memory.first(this.#used);
      const isLater = socket.writableLength > 0 || socket.connecting;
      socket.write(this.#secure && isLater ? Buffer.from(whole) : whole);
    } else {
      this.#writePieces();
    }
    this.#memory = NO_SCRATCH;
    this.#scratch = NO_SCRATCH.bytes;
    this.#used = 0;
    this.#sealed = 0;
    const taken = socket.writableLength === 0;
    // Bytes that the kernel has not taken must stay; pieces are copies or refer elsewhere.
    if (taken || this.#secure || !isOnePiece) giveScratch(memory);
    else giveScratchLater(memory, socket);
    return taken || !socket.writableNeedDrain;
  }

  #writePieces(): void {
    const socket = this.#socket;
    const pieces = this.#pieces;
    this.#seal();
    if (pieces.length === 1) {
      socket.write(pieces[0]!);
    } else {
      socket.cork();
      for (let i = 0; i < pieces.length; i++) socket.write(pieces[i]!);
      socket.uncork();
    }
    pieces.length = 0;
  }

  /** What was gathered so far becomes a piece of its own, so that later bytes stand behind it. */
  #seal(): void {
    if (this.#used === this.#sealed) return;
    this.#pieces.push(Buffer.from(this.#scratch.subarray(this.#sealed, this.#used)));
    this.#sealed = this.#used;
  }

  /** The scratch is full, or there is none. */
  #makeRoom(length: number): void {
    this.#seal();
    giveScratch(this.#memory);
    this.#memory = takeScratch(length);
    this.#scratch = this.#memory.bytes;
    this.#used = 0;
    this.#sealed = 0;
  }
}
