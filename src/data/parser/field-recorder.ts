/**
 * Keeps the fields that are written to it, for a message that is sent later or never (mirrors, stored responses,
 * tests).
 */
import { flat } from '../../base/text.ts';
import { FieldBlock, type FieldStart } from '../contract/field-block.ts';
import type { Head } from './head.ts';
import { type DropMask, fieldPasses, type HeadWriter } from './head-writer.ts';

export class FieldRecorder implements HeadWriter {
  readonly #names: string[] = [];
  readonly #values: string[] = [];
  #value = '';

  block(): FieldBlock {
    return new FieldBlock(this.#names, this.#values);
  }

  /** For one that is kept for long: of text in one piece, in arrays that have no room to spare. */
  keptBlock(): FieldBlock {
    return new FieldBlock(this.#names.slice(), this.#values.map(flat));
  }

  field(name: string, value: string): void {
    this.#names.push(name);
    this.#values.push(value);
  }

  fields(block: FieldBlock): void {
    this.#names.push(...block.names);
    this.#values.push(...block.values);
  }

  begin(start: FieldStart): void {
    this.#names.push(start.name);
    this.#value = start.value;
  }

  text(text: string): void {
    this.#value += text;
  }

  bytes(bytes: Buffer, start: number, end: number): void {
    this.#value += bytes.latin1Slice(start, end);
  }

  words(words: Int32Array, length: number): void {
    this.#value += Buffer.from(words.buffer, words.byteOffset, length).latin1Slice(0, length);
  }

  integer(value: number): void {
    this.#value += value;
  }

  end(): void {
    this.#values.push(this.#value);
  }

  copyFields(head: Head, drop: DropMask, nominated: readonly string[] | null, removed: readonly string[] | null): void {
    for (let i = 0; i < head.count; i++)
      if (fieldPasses(head, i, drop, nominated, removed)) this.field(head.name(i), head.value(i));
  }
}
