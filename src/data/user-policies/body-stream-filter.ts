/**
 * A body on its way through a generator of the user's: pieces wait until they are asked for, and beyond a bound the
 * source is held back; what the generator yields waits until the other side takes it. It counts as running while it
 * works, and not while it waits for bytes or for the other side.
 */
import type { Fault } from '../../base/errors.ts';
import type { BodyFilter, BodyOutput } from '../contract/body-access.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import type { Attendance } from './attendance.ts';

/** Bytes that wait for the generator. */
const MOST_WAITING_BYTES = 65_536;

export class BodyStreamFilter implements BodyFilter, AsyncIterable<Buffer> {
  readonly #attendance: Attendance;
  #generator: AsyncIterator<Uint8Array | string> | null = null;
  #out: BodyOutput | null = null;
  readonly #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #holdsBack = false;
  #isWhole = false;
  #isOver = false;
  #trailers: FieldBlock | null = null;
  /** Who waits for a piece. */
  #wanted: { resolve(piece: IteratorResult<Buffer>): void; reject(error: unknown): void } | null = null;
  /** Goes on when the other side takes bytes again. */
  #whenTaken: (() => void) | null = null;

  /** `attend` is told when the generator is late. */
  constructor(attend: (onLate: (fault: Fault) => void) => Attendance) {
    this.#attendance = attend((fault) => this.#fail(fault));
  }

  /** Once, before `attach`. */
  run(generator: AsyncIterable<Uint8Array | string>): void {
    this.#generator = generator[Symbol.asyncIterator]();
  }

  attach(out: BodyOutput): void {
    this.#out = out;
    void this.#pass(out);
  }

  async #pass(out: BodyOutput): Promise<void> {
    const generator = this.#generator!;
    const attendance = this.#attendance;
    try {
      for (;;) {
        const step = await attendance.step(() => generator.next());
        if (this.#isOver) return;
        if (step.done === true) break;
        const piece = bytesOf(step.value);
        if (!out.write(piece, 0, piece.length)) {
          out.flush();
          await new Promise<void>((resolve) => {
            this.#whenTaken = resolve;
          });
          if (this.#isOver) return;
        } else out.flush();
      }
    } catch (error) {
      // Nobody is there any more to whom it would matter.
      if (!this.#isOver) this.#fail(attendance.faultOf(error));
      return;
    }
    this.#isOver = true;
    out.end(this.#trailers);
    out.flush();
  }

  #fail(fault: Fault): void {
    if (this.#isOver) return;
    const out = this.#out;
    this.abandon();
    out?.fail(fault);
    out?.flush();
  }

  // --- what comes ------------------------------------------------------------------------------------------------

  write(bytes: Buffer, start: number, end: number): boolean {
    if (this.#isOver) return true;
    const piece = Buffer.from(bytes.subarray(start, end));
    const wanted = this.#wanted;
    if (wanted !== null) {
      this.#wanted = null;
      this.#attendance.busy();
      wanted.resolve({ done: false, value: piece });
      return true;
    }
    this.#waiting.push(piece);
    this.#waitingBytes += piece.length;
    this.#holdsBack = this.#waitingBytes >= MOST_WAITING_BYTES;
    return !this.#holdsBack;
  }

  flush(): void {}

  end(trailers: FieldBlock | null): void {
    this.#isWhole = true;
    this.#trailers = trailers;
    const wanted = this.#wanted;
    this.#wanted = null;
    if (wanted === null) return;
    this.#attendance.busy();
    wanted.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): AsyncIterator<Buffer> {
    return { next: () => this.#next() };
  }

  #next(): Promise<IteratorResult<Buffer>> {
    if (this.#isOver) return Promise.reject(new DOMException('the exchange is over', 'AbortError'));
    const piece = this.#waiting.shift();
    if (piece !== undefined) {
      this.#waitingBytes -= piece.length;
      if (this.#holdsBack && this.#waitingBytes < MOST_WAITING_BYTES / 2) {
        this.#holdsBack = false;
        this.#out?.resume();
      }
      return Promise.resolve({ done: false, value: piece });
    }
    if (this.#isWhole) return Promise.resolve({ done: true, value: undefined });
    this.#attendance.idle();
    return new Promise((resolve, reject) => {
      this.#wanted = { resolve, reject };
    });
  }

  // --- what goes -------------------------------------------------------------------------------------------------

  resume(): void {
    const whenTaken = this.#whenTaken;
    this.#whenTaken = null;
    whenTaken?.();
  }

  abandon(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#waiting.length = 0;
    this.#attendance.idle();
    this.#wanted?.reject(new DOMException('the exchange is over', 'AbortError'));
    this.#wanted = null;
    this.resume();
    // What it has open (files, connections) is closed by its own `finally`.
    void Promise.resolve(this.#generator?.return?.()).catch(() => {});
  }
}

function bytesOf(piece: unknown): Buffer {
  if (typeof piece === 'string') return Buffer.from(piece, 'utf8');
  if (piece instanceof Uint8Array) return Buffer.from(piece.buffer, piece.byteOffset, piece.length);
  throw new TypeError('it yielded neither a Uint8Array nor a string');
}
