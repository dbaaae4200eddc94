/**
 * Packs a response body on its way (gzip, br, zstd). A body of unknown length, events above all, is flushed after each
 * read from the service, so that nothing waits in here; while one flush is under way the next waits for it, so that a
 * fast service is packed in large pieces. Memory: what the stream has not taken yet, and its window.
 */
import { FAULTS, Fault, messageOf } from '../../base/errors.ts';
import type { BodyFilter, BodyOutput } from '../contract/body-access.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import { type Coding, type CodingStream, FLUSH_KINDS, packer, packNow } from './codings.ts';

/** Up to here a body is packed in this thread, in one piece and with its length: below 0.2 ms. */
export const PACKED_AT_ONCE = 8_192;

export interface PackCounter {
  /** Called once, when the body is whole. */
  packed(bytesIn: number, bytesOut: number): void;
}

export class PackFilter implements BodyFilter {
  readonly #coding: Coding;
  readonly #level: number;
  readonly #length: number;
  readonly #counter: PackCounter;
  #out: BodyOutput | null = null;
  /** Null while the body is gathered. */
  #stream: CodingStream | null = null;
  readonly #gathered: Buffer[] = [];
  #bytesIn = 0;
  #bytesOut = 0;
  #trailers: FieldBlock | null = null;
  #hasUnflushed = false;
  #isFlushing = false;

  /** `length`: of the body that comes, or -1. */
  constructor(coding: Coding, level: number, length: number, counter: PackCounter) {
    this.#coding = coding;
    this.#level = level;
    this.#length = length;
    this.#counter = counter;
  }

  attach(out: BodyOutput): void {
    this.#out = out;
    if (this.#length < 0 || this.#length > PACKED_AT_ONCE) this.#stream = this.#open();
  }

  #open(): CodingStream {
    const out = this.#out!;
    const stream = packer(this.#coding, this.#level, this.#length);
    stream.on('data', (bytes: Buffer) => {
      this.#bytesOut += bytes.length;
      if (!out.write(bytes, 0, bytes.length)) stream.pause();
      out.flush();
    });
    stream.on('drain', () => out.resume());
    stream.on('end', () => {
      this.#counter.packed(this.#bytesIn, this.#bytesOut);
      out.end(this.#trailers);
      out.flush();
    });
    stream.on('error', (error) => {
      out.fail(new Fault(FAULTS.internal, { cause: `${this.#coding}: ${messageOf(error)}` }));
      out.flush();
    });
    return stream;
  }

  write(bytes: Buffer, start: number, end: number): boolean {
    this.#bytesIn += end - start;
    // The stream looks at it later, from another thread.
    const copy = Buffer.from(bytes.subarray(start, end));
    if (this.#stream === null) {
      this.#gathered.push(copy);
      // More than was declared: a filter before this one made it longer.
      if (this.#bytesIn > PACKED_AT_ONCE) this.#stopGathering();
      return true;
    }
    this.#hasUnflushed = true;
    return this.#stream.write(copy);
  }

  #stopGathering(): void {
    this.#stream = this.#open();
    for (const part of this.#gathered) this.#stream.write(part);
    this.#gathered.length = 0;
  }

  flush(): void {
    if (this.#length >= 0 || this.#stream === null || !this.#hasUnflushed || this.#isFlushing) return;
    this.#isFlushing = true;
    this.#hasUnflushed = false;
    this.#stream.flush(FLUSH_KINDS[this.#coding], () => {
      this.#isFlushing = false;
      this.flush();
    });
  }

  end(trailers: FieldBlock | null): void {
    const out = this.#out!;
    if (this.#stream !== null) {
      this.#trailers = trailers;
      this.#hasUnflushed = false;
      this.#stream.end();
      return;
    }
    const packed = packNow(this.#coding, this.#level, Buffer.concat(this.#gathered));
    this.#counter.packed(this.#bytesIn, packed.length);
    if (trailers === null) out.whole(packed);
    else {
      out.write(packed, 0, packed.length);
      out.end(trailers);
    }
  }

  resume(): void {
    this.#stream?.resume();
  }

  abandon(): void {
    this.#stream?.destroy();
    this.#stream = null;
    this.#out = null;
  }
}
