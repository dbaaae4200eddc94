/** The field lines of a head that pass, as text. */
import type { ByteWriter } from '../../src/data/contract/byte-writer.ts';
import { writeFieldLines } from '../../src/data/http1/field-lines.ts';
import type { Head } from '../../src/data/parser/head.ts';
import type { DropMask } from '../../src/data/parser/head-writer.ts';

class TextWriter implements ByteWriter {
  whole = '';

  text(text: string): void {
    this.whole += text;
  }

  bytes(bytes: Buffer, start: number, end: number): void {
    this.whole += bytes.latin1Slice(start, end);
  }

  words(words: Int32Array, length: number): void {
    this.whole += Buffer.from(words.buffer, words.byteOffset, length).latin1Slice(0, length);
  }

  integer(value: number): void {
    this.whole += value;
  }
}

export function fieldLines(
  head: Head,
  drop: DropMask,
  nominated: readonly string[] | null,
  removed: readonly string[] | null,
): string {
  const out = new TextWriter();
  writeFieldLines(out, head, drop, nominated, removed);
  return out.whole;
}
