/**
 * Lets a multipart body pass as it comes while it is checked. Its last bytes wait for the verdict, so a service never
 * has the whole of a body that is wrong.
 */
import type { Fault } from '../../base/errors.ts';
import type { BodyFilter, BodyOutput } from '../contract/body-access.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import type { MultipartCheck } from './multipart-check.ts';
import { MultipartReader } from './multipart-reader.ts';

export class MultipartFilter implements BodyFilter {
  readonly #check: MultipartCheck;
  /** Null once something was wrong that is only reported. */
  #reader: MultipartReader<Fault> | null;
  readonly #length: number;
  readonly #report: ((fault: Fault) => void) | null;
  #out: BodyOutput | null = null;
  #received = 0;
  #held: Buffer[] = [];

  /**
   * `length`: declared for the body, -1 for none. `report`: the body passes, and this is called with what is wrong with
   * it.
   */
  constructor(boundary: string, check: MultipartCheck, length: number, report: ((fault: Fault) => void) | null) {
    this.#check = check;
    this.#reader = new MultipartReader(boundary, check);
    this.#length = length;
    this.#report = report;
  }

  attach(out: BodyOutput): void {
    this.#out = out;
  }

  write(bytes: Buffer, start: number, end: number): boolean {
    const out = this.#out;
    if (out === null) return true;
    const reader = this.#reader;
    if (reader === null) return out.write(bytes, start, end);
    const piece = bytes.subarray(start, end);
    this.#received += piece.length;
    let fault = reader.push(piece);
    // Who has all the bytes that were declared takes the request for whole.
    if (fault === null && this.#received === this.#length && !reader.isClosed)
      fault = this.#check.malformed('a closing boundary at the end');
    if (fault !== null) {
      if (!this.#isWrong(fault)) return true;
    } else if (reader.isClosed && this.#report === null) {
      this.#held.push(Buffer.from(piece));
      return true;
    }
    return out.write(bytes, start, end);
  }

  /** False: it ended here. */
  #isWrong(fault: Fault): boolean {
    const out = this.#out;
    this.#reader = null;
    if (this.#report !== null) {
      this.#report(fault);
      return true;
    }
    this.abandon();
    out?.fail(fault);
    out?.flush();
    return false;
  }

  flush(): void {
    this.#out?.flush();
  }

  end(trailers: FieldBlock | null): void {
    const out = this.#out;
    if (out === null) return;
    const fault = this.#reader === null ? null : (this.#reader.end() ?? this.#check.atEnd());
    if (fault !== null && !this.#isWrong(fault)) return;
    for (const piece of this.#held) out.write(piece, 0, piece.length);
    this.#held = [];
    out.end(trailers);
  }

  resume(): void {
    this.#out?.resume();
  }

  abandon(): void {
    this.#out = null;
    this.#held = [];
  }
}
