/**
 * Buffers that responses are read into, used again and again: allocating them anew made the garbage collector mark the
 * whole heap for every few megabytes that went through. One whose bytes a slow caller has not taken yet waits until
 * they are gone. Owner: the thread.
 */

import type { BytesHolder } from '../exchange/upstream-stream.ts';
import { JOIN_BYTES } from '../wire/outbox.ts';

/**
 * What all sessions of the thread read to unless much is to come: heads, short bodies, frames of tunnels. An idle
 * session holds no buffer, and a response mostly lies where the last one was, in the nearest cache. The bytes are gone
 * with the next read: no reference outlives the callback, because an outbox copies pieces of this size (`JOIN_BYTES`).
 */
export const SHARED_BUFFER: Buffer = Buffer.allocUnsafeSlow(JOIN_BYTES);

export const SMALL_BUFFER = 64 * 1024;
/** Pays only for large bodies (measured -20 % CPU at 1 MB), so a session grows into it and gives it back. */
export const LARGE_BUFFER = 256 * 1024;

const MOST_FREE = 16;
/** Those above are left to the garbage collector. */
const MOST_WAITING = 32;

class Stock {
  readonly #size: number;
  readonly #free: Buffer[] = [];
  readonly #waiting: { readonly buffer: Buffer; readonly holder: BytesHolder }[] = [];

  constructor(size: number) {
    this.#size = size;
  }

  take(): Buffer {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    const waiting = this.#waiting;
    for (let i = 0; i < waiting.length; i++) {
      if (waiting[i]!.holder.holdsBytes) continue;
      const { buffer } = waiting[i]!;
      waiting[i] = waiting[waiting.length - 1]!;
      waiting.pop();
      return buffer;
    }
    return Buffer.allocUnsafeSlow(this.#size);
  }

  give(buffer: Buffer, holder: BytesHolder | null): void {
    if (holder?.holdsBytes !== true) {
      if (this.#free.length < MOST_FREE) this.#free.push(buffer);
      return;
    }
    if (this.#waiting.length >= MOST_WAITING) this.#waiting.shift();
    this.#waiting.push({ buffer, holder });
  }
}

const small = new Stock(SMALL_BUFFER);
const large = new Stock(LARGE_BUFFER);

export function takeBuffer(isLarge: boolean): Buffer {
  return (isLarge ? large : small).take();
}

/** `holder` may still refer to its bytes; null: no one does. */
export function giveBuffer(buffer: Buffer, holder: BytesHolder | null): void {
  if (buffer.length === LARGE_BUFFER) large.give(buffer, holder);
  else if (buffer.length === SMALL_BUFFER) small.give(buffer, holder);
}
