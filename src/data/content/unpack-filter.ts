/**
 * Unpacks a body on its way. What a few bytes may become is bounded twice: by a number of bytes, and by a ratio to what
 * has come, so that a bomb is noticed long before it is large. A body that ends too early, or has bytes behind its end,
 * is wrong.
 */
import type { Fault } from '../../base/errors.ts';
import type { BodyFilter, BodyOutput } from '../contract/body-access.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import { type CodingStream, type UnpackableCoding, unpacker } from './codings.ts';

/** The ratio counts from here on: a small body of blanks is no bomb. */
const RATIO_FROM_BYTES = 64 * 1024;

export interface UnpackBounds {
  /** Of the unpacked body. */
  readonly maxBytes: number;
  readonly maxRatio: number;
}

export interface UnpackFaults {
  tooLarge(detail: string): Fault;
  malformed(detail: string): Fault;
}

export class UnpackFilter implements BodyFilter {
  readonly #coding: UnpackableCoding;
  readonly #bounds: UnpackBounds;
  readonly #faults: UnpackFaults;
  #out: BodyOutput | null = null;
  #stream: CodingStream | null = null;
  #bytesIn = 0;
  #bytesOut = 0;
  #trailers: FieldBlock | null = null;

  constructor(coding: UnpackableCoding, bounds: UnpackBounds, faults: UnpackFaults) {
    this.#coding = coding;
    this.#bounds = bounds;
    this.#faults = faults;
  }

  attach(out: BodyOutput): void {
    this.#out = out;
    const stream = unpacker(this.#coding);
    this.#stream = stream;
    stream.on('data', (bytes: Buffer) => this.#onUnpacked(bytes));
    stream.on('drain', () => out.resume());
    stream.on('end', () => {
      out.end(this.#trailers);
      out.flush();
    });
    stream.on('error', (error: NodeJS.ErrnoException) =>
      this.#fail(this.#faults.malformed(`a body in ${this.#coding} that is whole (${error.code ?? 'broken'})`)),
    );
  }

  #onUnpacked(bytes: Buffer): void {
    const out = this.#out;
    if (out === null) return;
    const { maxBytes, maxRatio } = this.#bounds;
    this.#bytesOut += bytes.length;
    if (this.#bytesOut > maxBytes) {
      this.#fail(this.#faults.tooLarge(`the limit is ${maxBytes} bytes unpacked`));
      return;
    }
    if (this.#bytesOut > RATIO_FROM_BYTES && this.#bytesOut > this.#bytesIn * maxRatio) {
      this.#fail(this.#faults.tooLarge(`unpacked it is more than ${maxRatio} times as long`));
      return;
    }
    if (!out.write(bytes, 0, bytes.length)) this.#stream?.pause();
    out.flush();
  }

  #fail(fault: Fault): void {
    const out = this.#out;
    if (out === null) return;
    this.abandon();
    out.fail(fault);
    out.flush();
  }

  write(bytes: Buffer, start: number, end: number): boolean {
    this.#bytesIn += end - start;
    // The stream looks at it later, from another thread. Once it has failed, whatever comes is swallowed.
    return this.#stream?.write(Buffer.from(bytes.subarray(start, end))) ?? true;
  }

  /** Whatever can be unpacked comes out by itself. */
  flush(): void {}

  end(trailers: FieldBlock | null): void {
    this.#trailers = trailers;
    this.#stream?.end();
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
