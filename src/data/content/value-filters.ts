/**
 * Bodies that are made of JSON values, on their way: one that is one value (held until it is whole, then sent with its
 * length), and those that are many, one a line (NDJSON) or one an event (server-sent events), each sent on when it is
 * there.
 */
import type { Fault } from '../../base/errors.ts';
import { GatheredBytes } from '../../base/gathered-bytes.ts';
import type { BodyFilter, BodyOutput } from '../contract/body-access.ts';
import type { FieldBlock } from '../contract/field-block.ts';

/** The bytes of one value to those that are sent instead; null leaves it out. A `Fault` ends the exchange. */
export type ValueChange = (bytes: Buffer) => Buffer | Fault | null | Promise<Buffer | Fault | null>;

const isPromise = (value: object | null): value is Promise<Buffer | Fault | null> => value !== null && 'then' in value;

export class WholeValueFilter implements BodyFilter {
  readonly #change: ValueChange;
  readonly #maxBytes: number;
  readonly #tooLarge: () => Fault;
  #out: BodyOutput | null = null;
  #kept = new GatheredBytes();
  #length = 0;

  constructor(change: ValueChange, maxBytes: number, tooLarge: () => Fault) {
    this.#change = change;
    this.#maxBytes = maxBytes;
    this.#tooLarge = tooLarge;
  }

  attach(out: BodyOutput): void {
    this.#out = out;
  }

  write(bytes: Buffer, start: number, end: number): boolean {
    if (this.#out === null) return true;
    this.#length += end - start;
    if (this.#length > this.#maxBytes) this.#finish(this.#tooLarge());
    else this.#kept.add(bytes, start, end);
    return true;
  }

  flush(): void {}

  end(): void {
    if (this.#out === null) return;
    const whole = this.#kept.bytes;
    this.#kept = new GatheredBytes();
    const made = this.#change(whole);
    if (!isPromise(made)) this.#finish(made);
    else void made.then((value) => this.#finish(value));
  }

  #finish(made: Buffer | Fault | null): void {
    const out = this.#out;
    this.abandon();
    if (out === null) return;
    if (made === null || Buffer.isBuffer(made)) out.whole(made ?? Buffer.alloc(0));
    else out.fail(made);
    out.flush();
  }

  resume(): void {}

  abandon(): void {
    this.#out = null;
    this.#kept = new GatheredBytes();
  }
}

/** How a stream is cut into records, and how a changed value is put back into its record. */
export interface Records {
  /** Takes bytes and gives the records that are whole with them. */
  push(bytes: Buffer): Record[];
  /** What is left at the end. */
  rest(): Record[];
  /** Bytes that wait for the end of their record. */
  readonly waiting: number;
}

export interface Record {
  /** Null: nothing to change, `bytes` pass. */
  readonly value: Buffer | null;
  readonly bytes: Buffer;
  put(value: Buffer): Buffer;
}

/** Records that wait while one is changed by a promise; beyond it the source is held back. */
const MOST_WAITING = 64;

export class RecordFilter implements BodyFilter {
  readonly #change: ValueChange;
  readonly #records: Records;
  readonly #maxBytes: number;
  readonly #tooLarge: () => Fault;
  #out: BodyOutput | null = null;
  readonly #queue: Record[] = [];
  #isWaiting = false;
  #isFull = false;
  #holdsBack = false;
  #ended: { readonly trailers: FieldBlock | null } | null = null;

  constructor(change: ValueChange, records: Records, maxBytes: number, tooLarge: () => Fault) {
    this.#change = change;
    this.#records = records;
    this.#maxBytes = maxBytes;
    this.#tooLarge = tooLarge;
  }

  attach(out: BodyOutput): void {
    this.#out = out;
  }

  write(bytes: Buffer, start: number, end: number): boolean {
    if (this.#out === null) return true;
    const records = this.#records.push(bytes.subarray(start, end));
    if (this.#records.waiting > this.#maxBytes) {
      this.#fail(this.#tooLarge());
      return true;
    }
    for (const record of records) this.#queue.push(record);
    this.#work();
    this.#holdsBack = this.#isFull || this.#queue.length > MOST_WAITING;
    return !this.#holdsBack;
  }

  flush(): void {
    this.#out?.flush();
  }

  end(trailers: FieldBlock | null): void {
    this.#queue.push(...this.#records.rest());
    this.#ended = { trailers };
    this.#work();
  }

  #work(): void {
    while (!this.#isWaiting && !this.#isFull && this.#out !== null) {
      const record = this.#queue.shift();
      if (record === undefined) {
        this.#drained();
        return;
      }
      const made = record.value === null ? record.bytes : this.#change(record.value);
      if (!isPromise(made)) this.#send(record, made);
      else {
        this.#isWaiting = true;
        void made.then((value) => {
          this.#isWaiting = false;
          this.#send(record, value);
          this.#work();
          this.#out?.flush();
        });
      }
    }
  }

  #send(record: Record, made: Buffer | Fault | null): void {
    const out = this.#out;
    if (out === null || made === null) return;
    if (!Buffer.isBuffer(made)) {
      this.#fail(made);
      return;
    }
    // What is left as it was keeps its spelling.
    const bytes = record.value === null || made === record.value ? record.bytes : record.put(made);
    if (!out.write(bytes, 0, bytes.length)) this.#isFull = true;
  }

  #drained(): void {
    const out = this.#out!;
    if (this.#ended !== null) {
      this.#out = null;
      out.end(this.#ended.trailers);
      return;
    }
    if (!this.#holdsBack) return;
    this.#holdsBack = false;
    out.resume();
  }

  #fail(fault: Fault): void {
    const out = this.#out;
    this.abandon();
    out?.fail(fault);
    out?.flush();
  }

  resume(): void {
    this.#isFull = false;
    this.#work();
    this.#out?.flush();
  }

  abandon(): void {
    this.#out = null;
    this.#queue.length = 0;
  }
}
