/**
 * Bytes that wait, in their order, copied together in blocks of memory: a peer that sends a byte at a time makes us
 * hold a byte for each, not an object, and taking the first costs the same however many wait (`shift` of an array with
 * 260,000 buffers took 6 s in all).
 */
import { Buffer } from 'node:buffer';

/** A small piece gets a block of at most this much to itself; further ones join it. */
const BLOCK_BYTES = 16 * 1024;

export class ByteQueue {
  /** Of all blocks. */
  length = 0;
  readonly #blocks: Buffer[] = [];
  /** In the first block. */
  #start = 0;
  /** In the last block. */
  #end = 0;

  get isEmpty(): boolean {
    return this.length === 0;
  }

  add(bytes: Buffer, start: number, end: number): void {
    const last = this.#blocks.at(-1);
    let from = start;
    if (last !== undefined && this.#end < last.length) {
      const joined = Math.min(last.length - this.#end, end - from);
      bytes.copy(last, this.#end, from, from + joined);
      this.#end += joined;
      from += joined;
    }
    // The first piece has memory of its own size, those behind it grow with what waits.
    const left = end - from;
    if (left > 0) {
      const block = Buffer.allocUnsafe(Math.max(left, Math.min(BLOCK_BYTES, this.length)));
      bytes.copy(block, 0, from, end);
      this.#blocks.push(block);
      this.#end = left;
    }
    this.length += end - start;
  }

  /** The memory in which the first bytes stand, from `firstStart` to `firstEnd`. Not when it is empty. */
  get first(): Buffer {
    return this.#blocks[0]!;
  }

  get firstStart(): number {
    return this.#start;
  }

  get firstEnd(): number {
    return this.#blocks.length === 1 ? this.#end : this.#blocks[0]!.length;
  }

  /** `count` bytes of the first block do not wait any more; what stood there stays as it is. */
  drop(count: number): void {
    this.#start += count;
    this.length -= count;
    if (this.#start < this.firstEnd) return;
    this.#blocks.shift();
    this.#start = 0;
  }
}
