/**
 * Where a connection reads to. Heads go through one buffer that all connections of a worker share and are copied out
 * of it, so that an idle connection holds none; the bytes of a large body go through a buffer of the connection's own
 * and on to the upstream without a copy. A buffer that is still referred to is not read into again.
 */

/** What is read here is copied, so no more of a large body than is cheap to copy; the rest has a buffer of its own. */
const SHARED_BYTES = 16 * 1024;
const SMALL_BYTES = 64 * 1024;
/** Larger reads are fewer system calls; measured worth it from a few hundred kilobytes of body on. */
const LARGE_BYTES = 256 * 1024;
/** A rest of a body below this comes through the shared buffer: a copy is cheaper than anything else. */
const SMALL_BODY = 16 * 1024;
const MOST_IN_STOCK = 32;

/** Buffers of one worker. */
export class BufferPool {
  readonly shared = Buffer.allocUnsafeSlow(SHARED_BYTES);
  readonly #small: Buffer[] = [];
  readonly #large: Buffer[] = [];

  take(bytes: number): Buffer {
    const [stock, size] = bytes > LARGE_BYTES ? [this.#large, LARGE_BYTES] : [this.#small, SMALL_BYTES];
    return stock.pop() ?? Buffer.allocUnsafeSlow(size);
  }

  give(buffer: Buffer): void {
    const stock = buffer.length === LARGE_BYTES ? this.#large : this.#small;
    if (stock.length < MOST_IN_STOCK) stock.push(buffer);
  }
}

/** The buffers of one connection. */
export class ReadBuffers {
  readonly #stock: BufferPool;
  #own: Buffer | null = null;
  /** The one before, with bytes that had not been taken when reading was paused. */
  #before: Buffer | null = null;
  /** Bytes of the last read are still referred to. */
  held = false;

  constructor(stock: BufferPool) {
    this.#stock = stock;
  }

  isOwn(bytes: Buffer): boolean {
    return bytes === this.#own;
  }

  /**
   * The buffer for the next read. `bodyBytes` is how much of a body is to come: 0 for none, infinite when not known.
   * A held buffer is not read into again, paused or not: bytes may also be held for a further try of the request.
   */
  next(bodyBytes: number, paused: boolean): Buffer {
    if (bodyBytes <= SMALL_BODY) {
      this.release();
      return this.#stock.shared;
    }
    if (this.#own !== null && this.held) {
      if (paused) this.#before = this.#own;
      this.#own = null;
    }
    this.#own ??= this.#stock.take(bodyBytes);
    this.held = false;
    return this.#own;
  }

  /** Reading goes on. `stillHeld`: some of what was read before is still referred to. */
  resume(stillHeld: boolean): void {
    if (this.#before !== null && !stillHeld) this.#stock.give(this.#before);
    this.#before = null;
  }

  release(): void {
    if (this.#own !== null && !this.held) this.#stock.give(this.#own);
    this.#own = null;
    this.#before = null;
    this.held = false;
  }
}
