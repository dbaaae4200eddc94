/**
 * Writes a client's fields as the metadata of a call that the gateway makes for it: those that are about the request in
 * HTTP alone (its content, its range, what it accepts) are left out, as is what would be taken for a field of gRPC's
 * own.
 */
import type { FieldBlock, FieldStart } from '../contract/field-block.ts';
import type { Head } from '../parser/head.ts';
import { type DropMask, fieldPasses, type HeadWriter } from '../parser/head-writer.ts';

const NOT_PASSED = /^(accept|accept-encoding|range|if-.*|content-.*|expect|te|grpc-.*)$/i;

export class MetadataWriter implements HeadWriter {
  readonly #out: HeadWriter;
  /** Between `begin` and `end` of a field that is left out. */
  #skips = false;

  constructor(out: HeadWriter) {
    this.#out = out;
  }

  field(name: string, value: string): void {
    if (!NOT_PASSED.test(name)) this.#out.field(name, value);
  }

  fields(block: FieldBlock): void {
    if (!block.names.some((name) => NOT_PASSED.test(name))) this.#out.fields(block);
    else for (const [i, name] of block.names.entries()) this.field(name, block.values[i]!);
  }

  begin(start: FieldStart): void {
    this.#skips = NOT_PASSED.test(start.name);
    if (!this.#skips) this.#out.begin(start);
  }

  text(text: string): void {
    if (!this.#skips) this.#out.text(text);
  }

  bytes(bytes: Buffer, start: number, end: number): void {
    if (!this.#skips) this.#out.bytes(bytes, start, end);
  }

  words(words: Int32Array, length: number): void {
    if (!this.#skips) this.#out.words(words, length);
  }

  integer(value: number): void {
    if (!this.#skips) this.#out.integer(value);
  }

  end(): void {
    if (!this.#skips) this.#out.end();
    this.#skips = false;
  }

  copyFields(head: Head, drop: DropMask, nominated: readonly string[] | null, removed: readonly string[] | null): void {
    const left: string[] = removed === null ? [] : [...removed];
    for (let i = 0; i < head.count; i++) {
      if (!fieldPasses(head, i, drop, nominated, removed)) continue;
      const name = head.name(i);
      if (NOT_PASSED.test(name)) left.push(name.toLowerCase());
    }
    this.#out.copyFields(head, drop, nominated, left);
  }
}
