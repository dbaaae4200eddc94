/**
 * The request body between the two sides: what has come, what waits for a connection, and what is kept so that a
 * further attempt can send it again. Held memory is bounded: while no upstream takes bytes the downstream is paused,
 * and what is kept for replay ends at the service's `maxReplayBytes`.
 */
import type { FieldBlock } from '../contract/field-block.ts';

/**
 * The body of requests that have none: one for all, since nothing ever happens to it. A tunnel counts bytes and so has
 * one of its own.
 */
export function bodyOf(length: number, mayTunnel: boolean): RequestBody {
  return length === 0 && !mayTunnel ? NONE : new RequestBody(length);
}

export class RequestBody {
  /** Declared length, or `UNKNOWN_LENGTH` (framing.ts). */
  readonly length: number;
  received = 0;
  complete = false;
  /** Those that may pass, once complete. */
  trailers: FieldBlock | null = null;
  /** From the first byte on, as long as all of them are here. */
  readonly #kept: Uint8Array[] = [];
  #keptBytes = 0;
  #keeping = true;
  /** Bytes of the first attempt that found no connection yet; always also in `#kept` while that is complete. */
  #maxKept = 0;

  constructor(length: number) {
    this.length = length;
    this.complete = length === 0;
  }

  /** Everything that came so far can be sent again. */
  get isReplayable(): boolean {
    return this.#keeping;
  }

  /** Some of the bytes that were taken are still here. */
  get holdsBytes(): boolean {
    return this.#kept.length > 0;
  }

  get kept(): readonly Uint8Array[] {
    return this.#kept;
  }

  /** How much may be kept after it has been sent once; 0 when no further attempt is wanted. */
  allowReplay(maxBytes: number): void {
    this.#maxKept = maxBytes;
  }

  /**
   * Takes bytes in. `sent` when an upstream has them already, otherwise they must be held whatever their size. Volatile
   * ones are copied if they are kept.
   */
  take(bytes: Uint8Array, sent: boolean, isVolatile: boolean): void {
    this.received += bytes.length;
    if (!this.#keeping) return;
    if (sent && this.#keptBytes + bytes.length > this.#maxKept) {
      this.forget();
      return;
    }
    this.#kept.push(isVolatile ? Buffer.from(bytes) : bytes);
    this.#keptBytes += bytes.length;
  }

  /** All that was held has been sent: keep it only if it may be sent again. */
  handedOver(): void {
    if (this.#keptBytes > this.#maxKept) this.forget();
  }

  forget(): void {
    this.#keeping = this.received === 0;
    this.#kept.length = 0;
    this.#keptBytes = 0;
  }
}

const NONE = new RequestBody(0);
