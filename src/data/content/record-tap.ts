/**
 * Looks at the records of a stream (NDJSON, server-sent events) while it passes unchanged, until its owner has seen
 * enough or a record is too long to be kept.
 */
import type { BodyFilter, BodyOutput } from '../contract/body-access.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import type { Record, Records } from './value-filters.ts';

export class RecordTap implements BodyFilter {
  readonly #look: (value: Buffer | null) => boolean;
  readonly #maxBytes: number;
  /** Null: no longer used. */
  #records: Records | null;
  #out: BodyOutput | null = null;

  /** `look` gets each value, null for a record that is longer than `maxBytes`. False: it has seen enough. */
  constructor(look: (value: Buffer | null) => boolean, records: Records, maxBytes: number) {
    this.#look = look;
    this.#records = records;
    this.#maxBytes = maxBytes;
  }

  attach(out: BodyOutput): void {
    this.#out = out;
  }

  write(bytes: Buffer, start: number, end: number): boolean {
    const records = this.#records;
    if (records !== null) {
      this.#lookAt(records.push(bytes.subarray(start, end)));
      if (this.#records !== null && records.waiting > this.#maxBytes) {
        this.#look(null);
        this.#records = null;
      }
    }
    return this.#out === null || this.#out.write(bytes, start, end);
  }

  #lookAt(records: readonly Record[]): void {
    for (const { value } of records) {
      if (value === null || this.#look(value)) continue;
      this.#records = null;
      return;
    }
  }

  flush(): void {
    this.#out?.flush();
  }

  end(trailers: FieldBlock | null): void {
    if (this.#records !== null) this.#lookAt(this.#records.rest());
    this.#out?.end(trailers);
    this.#out?.flush();
  }

  resume(): void {
    this.#out?.resume();
  }

  abandon(): void {
    this.#out = null;
    this.#records = null;
  }
}
