/**
 * Looks at a whole body without changing it. Held: nothing of it goes on before the verdict. Not held: it passes as it
 * comes, and the verdict is there before its end.
 */
import type { Fault } from '../../base/errors.ts';
import { GatheredBytes } from '../../base/gathered-bytes.ts';
import type { BodyFilter, BodyOutput } from '../contract/body-access.ts';
import type { FieldBlock } from '../contract/field-block.ts';

/** Null: the body was longer than may be kept. A `Fault` ends the exchange. */
export type Verdict = (body: Buffer | null) => Fault | null;

export class CheckingFilter implements BodyFilter {
  readonly #verdict: Verdict;
  readonly #maxBytes: number;
  readonly #isHeld: boolean;
  #out: BodyOutput | null = null;
  #kept = new GatheredBytes();
  #length = 0;

  constructor(verdict: Verdict, maxBytes: number, isHeld: boolean) {
    this.#verdict = verdict;
    this.#maxBytes = maxBytes;
    this.#isHeld = isHeld;
  }

  attach(out: BodyOutput): void {
    this.#out = out;
  }

  write(bytes: Buffer, start: number, end: number): boolean {
    const out = this.#out;
    if (out === null) return true;
    this.#length += end - start;
    if (this.#length <= this.#maxBytes) this.#kept.add(bytes, start, end);
    else if (this.#kept.length > 0 || this.#isHeld) this.#tooLong();
    return this.#isHeld || out.write(bytes, start, end);
  }

  #tooLong(): void {
    this.#kept = new GatheredBytes();
    if (!this.#isHeld) return;
    const fault = this.#verdict(null);
    if (fault !== null) this.#fail(fault);
  }

  flush(): void {
    if (!this.#isHeld) this.#out?.flush();
  }

  end(trailers: FieldBlock | null): void {
    const out = this.#out;
    if (out === null) return;
    const body = this.#length > this.#maxBytes ? null : this.#kept.bytes;
    this.#kept = new GatheredBytes();
    const fault = this.#verdict(body);
    if (fault !== null) {
      this.#fail(fault);
      return;
    }
    if (this.#isHeld && trailers === null) out.whole(body!);
    else {
      if (this.#isHeld) out.write(body!, 0, body!.length);
      out.end(trailers);
    }
    out.flush();
  }

  #fail(fault: Fault): void {
    const out = this.#out;
    this.abandon();
    out?.fail(fault);
    out?.flush();
  }

  resume(): void {
    this.#out?.resume();
  }

  abandon(): void {
    this.#out = null;
    this.#kept = new GatheredBytes();
  }
}
