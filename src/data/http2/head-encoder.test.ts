import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FieldStart } from '../contract/field-block.ts';
import { HeadEncoder } from './head-encoder.ts';
import { decodeBlock, HpackDecoder, HpackEncoder, type Pair } from './hpack/hpack.suite.ts';

/** One whose value changes each time by itself, by its index in the static table, with a beginning, and others. */
const STARTS = ['X-Request-ID', 'Content-Length', 'RateLimit', 'X-Other', 'Set-Cookie'].map(
  (name) => new FieldStart(name, name === 'RateLimit' ? '"a";r=' : ''),
);

test('a field put together from pieces is the one that was meant, whatever it follows and however long it is', () => {
  const encoder = new HpackEncoder();
  const out = new HeadEncoder(encoder);
  const decoder = new HpackDecoder();
  for (let length = 0; length < 300; length = length < 140 ? length + 1 : length + 37) {
    const value = Buffer.alloc(Math.ceil(length / 4) * 4, 'abcdefghijklmnopqrstuvw');
    const words = new Int32Array(value.buffer.slice(value.byteOffset, value.byteOffset + value.length));
    const given = value.latin1Slice(0, length);
    const pairs: Pair[] = [];
    encoder.begin();
    for (const start of STARTS) {
      for (const write of [() => out.words(words, length), () => out.bytes(value, 0, length), () => out.text(given)]) {
        out.begin(start);
        write();
        out.integer(length);
        out.end();
        pairs.push([start.name.toLowerCase(), `${start.value}${given}${length}`]);
      }
      out.field('Vary', 'x');
      pairs.push(['vary', 'x']);
    }
    const block = Buffer.from(encoder.bytes.subarray(0, encoder.length));
    encoder.end();
    assert.deepEqual(decodeBlock(decoder, block), pairs);
  }
});

test('a line that outgrows its memory keeps what it began with', () => {
  const encoder = new HpackEncoder();
  const out = new HeadEncoder(encoder);
  for (const length of [4_090, 4_095, 4_097, 8_201, 20_003, 20_005]) {
    const value = Buffer.alloc(Math.ceil(length / 4) * 4, 'abcdefghijklmnopqrstuvw');
    encoder.begin();
    out.begin(STARTS[0]!);
    out.text('begins with this ');
    out.words(new Int32Array(value.buffer.slice(value.byteOffset, value.byteOffset + value.length)), length);
    out.end();
    const block = Buffer.from(encoder.bytes.subarray(0, encoder.length));
    encoder.end();
    const [[name, got] = []] = decodeBlock(new HpackDecoder(), block) as Pair[];
    assert.deepEqual([name, got], ['x-request-id', `begins with this ${value.latin1Slice(0, length)}`]);
  }
});
