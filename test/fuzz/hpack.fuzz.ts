/**
 * Blocks of HPACK: the decoder ends, tells only lines that are whole, keeps its table within what was announced, and
 * reads its own fields again after our encoder wrote them. The input is two blocks, one behind the other, on one
 * connection.
 */
import assert from 'node:assert/strict';
import { HpackDecoder } from '../../src/data/http2/hpack/decoder.ts';
import { corpus, type FuzzTarget } from './support/target.ts';

/**
 * More than a block of this size can stand for is memory that grows without bound: a byte is a line of the table at
 * most.
 */
const MOST_LINE = 4_096 + 64;

export const hpack: FuzzTarget = {
  name: 'hpack',
  seeds: corpus('hpack'),
  check(input) {
    const bytes = Buffer.from(input, 'latin1');
    const middle = bytes.length >> 1;
    const decoder = new HpackDecoder();
    const first = decode(decoder, bytes, 0, middle);
    if (first === null) return `bad: ${decoder.problem}`;
    const second = decode(decoder, bytes, middle, bytes.length);
    const fields = [...first, ...(second ?? [])];
    // As literals without indexing (RFC 7541 §6.2.2), which every decoder reads alike.
    const again = decode(new HpackDecoder(), Buffer.concat(fields.map(literal)), 0, -1);
    assert.deepEqual(again, fields);
    return second === null
      ? `first ${first.length}, then bad: ${decoder.problem}`
      : `${first.length} and ${second.length}`;
  },
};

type Field = readonly [name: string, value: string];

function decode(decoder: HpackDecoder, bytes: Buffer, start: number, end: number): Field[] | null {
  const to = end < 0 ? bytes.length : end;
  const fields: Field[] = [];
  const fine = decoder.decode(bytes, start, to, {
    onField: (from, at, nameLength, valueLength) => {
      assert.ok(at >= 0 && at + nameLength + valueLength + 4 <= from.length, 'a line outside of its memory');
      assert.ok(nameLength + valueLength <= Math.max(MOST_LINE, (to - start) * 2), 'a line longer than it can be');
      assert.equal(from.latin1Slice(at + nameLength, at + nameLength + 2), ': ');
      const value = at + nameLength + 2;
      assert.equal(from.latin1Slice(value + valueLength, value + valueLength + 2), '\r\n');
      fields.push([from.latin1Slice(at, at + nameLength), from.latin1Slice(value, value + valueLength)]);
    },
  });
  return fine ? fields : null;
}

function literal([name, value]: Field): Buffer {
  return Buffer.concat([Buffer.of(0), text(name), text(value)]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1');
  if (bytes.length < 127) return Buffer.concat([Buffer.of(bytes.length), bytes]);
  const rest: number[] = [];
  let left = bytes.length - 127;
  for (; left > 127; left >>= 7) rest.push((left & 127) | 128);
  return Buffer.concat([Buffer.of(127, ...rest, left), bytes]);
}
