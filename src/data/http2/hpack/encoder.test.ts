import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeLiterals } from './encoder.ts';
import type { Pair } from './hpack.suite.ts';
import { decodeBlock, encodeBlock, HpackDecoder, HpackEncoder } from './hpack.suite.ts';

const names = fc.oneof(
  fc.constantFrom(
    'server',
    'date',
    'via',
    'vary',
    'content-type',
    'content-length',
    'set-cookie',
    'x-a',
    'x-b',
    'etag',
  ),
  fc.stringMatching(/^[a-z][a-z0-9-]{0,40}$/),
);
const values = fc.oneof(
  fc.constantFrom('', 'a', 'text/plain', 'gzip', '0'),
  fc.string({ maxLength: 80, unit: fc.integer({ min: 0x21, max: 0xff }).map((code) => String.fromCharCode(code)) }),
  fc.nat(700).map((length) => 'v'.repeat(length)),
);
const block = fc.array(fc.tuple(names, values), { maxLength: 20 });

test('what is encoded is decoded to the same fields, block after block, whatever the size of the table', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(block, fc.constantFrom(-1, 0, 64, 200, 4096, 65_536)), { maxLength: 30 }),
      (blocks) => {
        const encoder = new HpackEncoder();
        const decoder = new HpackDecoder();
        for (const [pairs, tableBytes] of blocks) {
          if (tableBytes >= 0) encoder.limitTable(tableBytes);
          assert.deepEqual(decodeBlock(decoder, encodeBlock(encoder, pairs)), pairs);
        }
      },
    ),
    { seed: 7541, numRuns: 300 },
  );
});

test('a line of a known origin is named by its entry as long as that is there, and never one that may be a secret', () => {
  const encoder = new HpackEncoder();
  const decoder = new HpackDecoder();
  /** From another connection's table, where each pair has its origin. */
  const pass = (pairs: readonly (readonly [Pair, number])[]): [bytes: number, same: boolean] => {
    encoder.begin();
    for (const [[name, value], origin] of pairs) {
      const line = Buffer.from(`${name}: ${value}\r\n`, 'latin1');
      if (!encoder.writeKnown(origin)) encoder.field(line, 0, name.length, value.length, origin);
    }
    const bytes = Buffer.from(encoder.bytes.subarray(0, encoder.length));
    encoder.end();
    const decoded = decodeBlock(decoder, bytes);
    return [bytes.length, JSON.stringify(decoded) === JSON.stringify(pairs.map(([pair]) => pair))];
  };
  const one: Pair = ['server', 'something long enough'];
  const sizes = Array.from({ length: 4 }, () => pass([[one, 100]]));
  assert.deepEqual(sizes.slice(2), [
    [1, true],
    [1, true],
  ]);
  // Origins that share a place in memory of the encoder.
  for (let i = 0; i < 3; i++)
    assert.equal(
      pass([
        [['server', 'another one'], 164],
        [one, 100],
      ])[1],
      true,
    );
  // RFC 7541 Appendix A, entry 16.
  assert.deepEqual(pass([[['accept-encoding', 'gzip, deflate'], 16]]), [1, true]);
  for (let i = 0; i < 4; i++) {
    const [bytes, same] = pass([[['authorization', 'Bearer x'], 200]]);
    assert.ok(same && bytes > 9, `${bytes} bytes`);
  }
  // What pushes it out of the table.
  for (let i = 0; i < 300; i++)
    for (let twice = 0; twice < 2; twice++)
      assert.equal(pass([[['x-long', `${i}`.padStart(200, 'v')], 1000 + i]])[1], true);
  assert.equal(pass([[one, 100]])[1], true);
  encoder.limitTable(0);
  assert.equal(pass([[one, 100]])[1], true);
});

test('a field costs one byte from its third time on, one that changes never fills the table', () => {
  const encoder = new HpackEncoder();
  const same: Pair = ['server', 'something long enough to be worth it'];
  encodeBlock(encoder, [same]);
  encodeBlock(encoder, [same]);
  assert.equal(encodeBlock(encoder, [same]).length, 1);
  for (let i = 0; i < 1000; i++) encodeBlock(encoder, [['x-trace', `${i}`.padStart(30, '0')]]);
  assert.equal(encodeBlock(encoder, [same]).length, 1);
});

test('RFC 7541 §7.1.3: what may be a secret is a literal that is never indexed', () => {
  const encoder = new HpackEncoder();
  for (const name of [
    'authorization',
    'cookie',
    'set-cookie',
    'x-api-key',
    'www-authenticate',
    'proxy-authorization',
  ]) {
    for (let i = 0; i < 4; i++) {
      const bytes = encodeBlock(encoder, [[name, 'secret']]);
      assert.equal(bytes[0]! & 0xf0, 0x10, name);
      assert.ok(bytes.includes('secret'));
    }
    assert.equal(encodeLiterals([name], ['secret'])[0]! & 0xf0, 0x10, name);
  }
});

test('§4.2: a smaller table is told at the beginning of the next block, and a dip below it as well', () => {
  const encoder = new HpackEncoder();
  encoder.limitTable(64);
  assert.deepEqual([...encodeBlock(encoder, [])], [0x3f, 33]);
  encoder.limitTable(0);
  encoder.limitTable(4096);
  assert.deepEqual([...encodeBlock(encoder, [])], [0x20, 0x3f, 0xe1, 0x1f]);
  assert.equal(encodeBlock(encoder, []).length, 0);
});

test('prepared fields are the same on every connection', () => {
  const bytes = Buffer.from(encodeLiterals(['X-Frame-Options', 'Vary', 'Empty'], ['DENY', 'Origin, Accept', '']));
  const want = [
    ['x-frame-options', 'DENY'],
    ['vary', 'Origin, Accept'],
    ['empty', ''],
  ];
  assert.deepEqual(decodeBlock(new HpackDecoder(), bytes), want);
  assert.deepEqual(decodeBlock(new HpackDecoder(0), bytes), want);
});

const PYTHON = '/usr/bin/python3';

test('an independent implementation reads what is encoded here, and the other way', () => {
  const blocks = fc.sample(block, { seed: 9113, numRuns: 400 });
  const encoder = new HpackEncoder();
  const ours = blocks.map((pairs, i) => {
    if (i % 50 === 49) encoder.limitTable(i % 100 === 99 ? 4096 : 100);
    return encodeBlock(encoder, pairs).toString('hex');
  });
  const script = `
import json, sys, hpack
given = json.load(sys.stdin)
d, e = hpack.Decoder(), hpack.Encoder()
d.max_header_list_size = 1 << 24
read = [[[n.decode('latin1'), v.decode('latin1')] for n, v in d.decode(bytes.fromhex(b), raw=True)] for b in given['ours']]
made = []
for i, pairs in enumerate(given['blocks']):
    if i % 40 == 20: e.header_table_size = 4096 if i % 80 == 20 else 200
    made.append(e.encode([(n.encode('latin1'), v.encode('latin1')) for n, v in pairs], huffman=i % 3 != 0).hex())
json.dump({'read': read, 'made': made}, sys.stdout)`;
  const run = spawnSync(PYTHON, ['-c', script], { input: JSON.stringify({ ours, blocks }), maxBuffer: 1 << 28 });
  assert.equal(run.status, 0, run.stderr.toString());
  const { read, made } = JSON.parse(run.stdout.toString()) as { read: Pair[][]; made: string[] };
  assert.deepEqual(read, blocks);
  const decoder = new HpackDecoder();
  for (const [i, bytes] of made.entries()) assert.deepEqual(decodeBlock(decoder, Buffer.from(bytes, 'hex')), blocks[i]);
});
