import assert from 'node:assert/strict';
import { it } from 'node:test';
import { WireReader, WireWriter } from '../../base/protobuf/wire.ts';
import type { TraceRecord } from '../../data/contract/tracing.ts';
import { BatchEnvelope, writeAttribute } from './span-batch.ts';
import { SpanWriter, spansIn } from './spans.ts';
import { readRejected } from './trace-response.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';

function record(wallMs: number): TraceRecord {
  const attempt = ['b7ad6b7169203331', '', 'a', 'i', 1, 2, 0, 200, '', 0, 1] as const;
  const inner = ['b7ad6b7169203332', 'limit', 0, 1, ''] as const;
  return [
    ...([TRACE, 'b7ad6b7169203330', '', '', 's', wallMs, 5] as const),
    ...(['GET', 'http', 'h', '/p', '/*', 'r', 200, '', '127.0.0.1', '1.1', 'id', '', '/p', 0, 0] as const),
    [attempt],
    [inner],
  ];
}

/** The field of a message, as its bytes or number. */
function* fields(bytes: Buffer): Generator<readonly [number, Buffer | number]> {
  const reader = new WireReader();
  reader.open(bytes);
  while (reader.at < reader.end) {
    const tag = reader.varint();
    if ((tag & 7) === 2) yield [tag >>> 3, reader.blob()];
    else {
      const from = reader.at;
      reader.skip(tag);
      yield [tag >>> 3, bytes.subarray(from, reader.at)];
    }
  }
}

it('are whole messages, as many as they say, in a batch with its resource and scope', () => {
  const writer = new SpanWriter(() => undefined);
  writer.add(record(1_800_000_000_000));
  writer.add(record(1_800_000_000_001));
  assert.equal(spansIn(record(0)), 3);
  assert.equal(writer.spans, 6);
  const batch = writer.take();
  assert.equal(writer.spans, 0);
  const envelope = new BatchEnvelope({ 'service.name': 'x'.repeat(300) }, { name: 'n', version: 'v' }, 'https://s');
  const [[, resourceSpans] = []] = [...fields(envelope.around(batch))];
  const [resource, scopeSpans, schema] = [...fields(resourceSpans as Buffer)];
  assert.deepEqual([resource?.[0], scopeSpans?.[0], String(schema?.[1])], [1, 2, 'https://s']);
  const numbers = [...fields(scopeSpans?.[1] as Buffer)].map(([number]) => number);
  assert.deepEqual(numbers, [1, 2, 2, 2, 2, 2, 2, 3]);
});

it('have times to the nanosecond that a double holds', () => {
  for (const wallMs of [
    0, 1, 999.999_999, 65_535_999.5, 65_536_000, 1_234_567_890_123.456, 1_800_000_000_000.75, 4e12,
  ]) {
    const out = new WireWriter();
    out.nanoseconds(wallMs);
    const seconds = Math.floor(wallMs / 1_000);
    const expected = BigInt(seconds) * 1_000_000_000n + BigInt(Math.round((wallMs - seconds * 1_000) * 1e6));
    assert.equal(out.done().readBigUInt64LE(), expected, `${wallMs}`);
  }
});

it('have ids in bytes, of either case', () => {
  const out = new WireWriter();
  out.hex('00ff10AbcDeF9a');
  assert.equal(out.done().toString('hex'), '0700ff10abcdef9a');
});

it('have attributes of each kind', () => {
  const kinds = [];
  for (const value of ['é'.repeat(30), '', true, 0, 2 ** 40, 1.5, -1]) {
    const out = new WireWriter();
    writeAttribute(out, 10, 'k', value);
    const [[, pair] = []] = [...fields(out.done())];
    const [, [, inner] = []] = [...fields(pair as Buffer)];
    kinds.push([...fields(inner as Buffer)][0]?.[0]);
  }
  assert.deepEqual(kinds, [1, 1, 2, 3, 3, 4, 4]);
});

it('are lost as far as the collector says so and can be understood', () => {
  assert.equal(readRejected(Buffer.alloc(0)), 0);
  assert.equal(readRejected(Buffer.from([0x0a, 0x02, 0x08, 0x05])), 5);
  assert.equal(readRejected(Buffer.from([0x0a, 0x04, 0x12, 0x02, 0x68, 0x69])), 0);
  assert.equal(readRejected(Buffer.from([0x12, 0x01, 0x00, 0x0a, 0x03, 0x08, 0x80, 0x02])), 256);
  for (const nonsense of ['ffffffff7f010203', '0a', '0a7f08', '0a0208'])
    assert.equal(readRejected(Buffer.from(nonsense, 'hex')), 0, nonsense);
});
