/**
 * A policy waits for the whole request body: `PolicyContext.readBody`. The bytes stay in `RequestBody`, from where they
 * are sent on as if nobody had read them; here is only who waits, and how much it takes at most. Called by exchange.ts.
 */
import type { Fault } from '../../base/errors.ts';
import type { RequestBody } from './request-body.ts';
import { tooLarge } from './route-faults.ts';

export class BodyReading {
  readonly promise: Promise<Buffer>;
  readonly #maxBytes: number;
  readonly #settle: { resolve(bytes: Buffer): void; reject(fault: Fault): void };

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    this.promise = promise;
    this.#settle = { resolve, reject };
  }

  /** False: it is longer than may be, which the policy now learns. */
  fits(bytes: number): boolean {
    if (bytes <= this.#maxBytes) return true;
    this.#settle.reject(tooLarge(this.#maxBytes));
    return false;
  }

  complete(body: RequestBody): void {
    const { kept } = body;
    const whole = kept.length === 1 ? kept[0]! : Buffer.concat(kept);
    this.#settle.resolve(Buffer.from(whole.buffer, whole.byteOffset, whole.length));
  }

  fail(fault: Fault): void {
    this.#settle.reject(fault);
  }
}
