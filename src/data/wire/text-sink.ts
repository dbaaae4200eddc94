/** Field lines kept as text, for when what they go to is not there yet. */
import type { FieldWriter } from '../contract/field-writer.ts';

export class TextSink implements FieldWriter {
  whole = '';

  text(text: string): void {
    this.whole += text;
  }

  run(bytes: Buffer, start: number, end: number): void {
    this.whole += bytes.latin1Slice(start, end);
  }

  integer(value: number): void {
    this.whole += value;
  }
}
