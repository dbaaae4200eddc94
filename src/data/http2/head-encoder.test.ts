import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FieldStart } from '../contract/field-block.ts';
import { VIA } from '../parser/field-names.ts';
import { Head, readRequestHead } from '../parser/head.ts';
import { dropMask } from '../parser/head-writer.ts';
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

const LIMITS = { maxHeadBytes: 64 * 1024, maxTargetBytes: 8 * 1024, maxFields: 100 };
const NO_DROP = dropMask([]);
const DROP_VIA = dropMask([VIA]);

function headOf(fields: readonly Pair[]): Head {
  const head = new Head(LIMITS.maxFields);
  const bytes = Buffer.from(`GET / HTTP/1.1\r\n${fields.map(([n, v]) => `${n}: ${v}\r\n`).join('')}\r\n`, 'latin1');
  assert.equal(readRequestHead(bytes, 0, bytes.length, LIMITS, head), bytes.length);
  head.major = 2;
  return head;
}

const field = fc.tuple(
  fc.constantFrom('via', 'vary', 'cookie', 'etag', 'x-a', 'x-b', 'content-type', 'authorization'),
  fc.constantFrom('1', 'two', 'v'.repeat(30), 'w'.repeat(300), 'x'.repeat(700)),
);
const url = fc.record({
  method: fc.constantFrom('GET', 'PUT'),
  authority: fc.constantFrom('a.test', 'b.test'),
  basePath: fc.constantFrom('', '/b'),
  path: fc.constantFrom('/', '/a'),
  query: fc.constantFrom(null, 'q'),
});

test('what is written once more from what was kept means what it meant, whatever came between', () => {
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ url, head: fc.constantFrom(0, 1, 16, 17), drop: fc.boolean(), removed: fc.nat(9) }),
    },
    { weight: 2, arbitrary: fc.record({ others: fc.array(field, { maxLength: 5 }) }) },
    { weight: 1, arbitrary: fc.record({ table: fc.constantFrom(0, 64, 200, 4096) }) },
  );
  const blocks = fc.array(fc.array(field, { maxLength: 6 }), { minLength: 18, maxLength: 18 });
  fc.assert(
    fc.property(blocks, fc.array(step, { minLength: 60, maxLength: 200 }), (fields, steps) => {
      const heads = fields.map((pairs) => headOf(pairs).copy().share());
      const encoder = new HpackEncoder();
      const out = new HeadEncoder(encoder);
      const decoder = new HpackDecoder();
      for (const each of steps) {
        if ('table' in each) {
          encoder.limitTable(each.table);
          continue;
        }
        const want: Pair[] = [];
        encoder.begin();
        if ('others' in each) {
          for (const [name, value] of each.others) out.field(name, value);
          want.push(...each.others);
        } else {
          const { method, authority, basePath, path, query } = each.url;
          out.url(method, '', false, authority, basePath, path, query);
          const whole = `${basePath}${path}${query === null ? '' : `?${query}`}`;
          want.push([':method', method], [':scheme', 'http'], [':authority', authority], [':path', whole]);
          const removed = each.removed === 0 ? ['x-a'] : null;
          out.copyFields(heads[each.head]!, each.drop ? DROP_VIA : NO_DROP, null, removed);
          want.push(
            ...fields[each.head]!.filter(([n]) => !(each.drop && n === 'via') && !(removed !== null && n === 'x-a')),
          );
        }
        const block = Buffer.from(encoder.bytes.subarray(0, encoder.length));
        encoder.end();
        assert.deepEqual(decodeBlock(decoder, block), want);
      }
    }),
    { seed: 9113, numRuns: 200 },
  );
});

test('what may be a secret is not kept, and the heads of two messages that look the same are two', () => {
  const encoder = new HpackEncoder();
  const out = new HeadEncoder(encoder);
  const lengthOf = (head: Head): number => {
    encoder.begin();
    out.copyFields(head, NO_DROP, null, null);
    const { length } = encoder;
    encoder.end();
    return length;
  };
  const secret = headOf([['authorization', 'Bearer abc']])
    .copy()
    .share();
  const before = encoder.unrepeatable;
  for (let i = 0; i < 4; i++) lengthOf(secret);
  assert.equal(encoder.unrepeatable, before + 4);
  const [one, two] = ['1', '22'].map((value) =>
    headOf([['etag', value]])
      .copy()
      .share(),
  );
  for (let i = 0; i < 3; i++) assert.equal(lengthOf(two!) - lengthOf(one!), 1);
});
