/** What the tests of HPACK share: a sink that keeps fields, and both ends of it driven with texts. */
import type { FieldSink } from './decoder.ts';
import { HpackDecoder } from './decoder.ts';
import { HpackEncoder } from './encoder.ts';
import { INVALID } from './field-kinds.ts';

export type Pair = readonly [name: string, value: string];

export class Fields implements FieldSink {
  readonly pairs: [string, string][] = [];
  invalid = 0;

  onField(bytes: Buffer, start: number, nameLength: number, valueLength: number, kind: number): void {
    const nameEnd = start + nameLength;
    this.pairs.push([bytes.latin1Slice(start, nameEnd), bytes.latin1Slice(nameEnd + 2, nameEnd + 2 + valueLength)]);
    if (kind === INVALID) this.invalid++;
  }
}

/** The fields of a block, or what is wrong with it. */
export function decodeBlock(decoder: HpackDecoder, bytes: Buffer): Pair[] | string {
  const fields = new Fields();
  return decoder.decode(bytes, 0, bytes.length, fields) ? fields.pairs : decoder.problem;
}

export function encodeBlock(encoder: HpackEncoder, pairs: readonly Pair[]): Buffer {
  encoder.begin();
  for (const [name, value] of pairs) {
    const line = Buffer.from(`${name}: ${value}\r\n`, 'latin1');
    encoder.field(line, 0, name.length, value.length);
  }
  const block = Buffer.from(encoder.bytes.subarray(0, encoder.length));
  encoder.end();
  return block;
}

export { HpackDecoder, HpackEncoder };
