import assert from 'node:assert/strict';
import { it } from 'node:test';
import { WireReader } from '../../base/protobuf/wire.ts';
import { BatchEnvelope, SpanBatch } from './span-batch.ts';
import { readRejected } from './trace-response.ts';

/** Fields of a message, each with its bytes. */
function fieldsOf(bytes: Buffer): (readonly [number, Buffer])[] {
  const reader = new WireReader();
  const found: (readonly [number, Buffer])[] = [];
  reader.open(bytes);
  while (reader.at < reader.end) found.push([reader.varint() >>> 3, reader.blob()]);
  return found;
}

it('a batch stands inside of its resource and its scope', () => {
  const envelope = new BatchEnvelope({ 'service.name': 'x'.repeat(300) }, { name: 'n', version: 'v' }, 'https://s');
  const span = Buffer.from([0x12, 0x01, 0x2a]);
  const batch = new SpanBatch(envelope, 20_003);
  const numbers = (): number[] => {
    const [[, resourceSpans] = []] = fieldsOf(batch.message);
    const [resource, scopeSpans, schema] = fieldsOf(resourceSpans!);
    assert.deepEqual([resource?.[0], scopeSpans?.[0], String(schema?.[1])], [1, 2, 'https://s']);
    return fieldsOf(scopeSpans![1]).map(([number]) => number);
  };
  assert.deepEqual(numbers(), [1, 3]);
  batch.add(Buffer.concat([span, span]), 2);
  batch.add(span, 1);
  assert.equal(batch.spans, 3);
  assert.deepEqual(numbers(), [1, 2, 2, 2, 3]);
  batch.clear();
  for (let i = 0; i < 6_667; i++) batch.add(span, 1);
  assert.equal(batch.room, 2);
  assert.equal(numbers().length, 6_669);
});

it('what stands around a page is written into the room around it, and nowhere else', () => {
  const envelope = new BatchEnvelope({ 'service.name': 'x'.repeat(300) }, { name: 'n', version: 'v' }, 'https://s');
  const span = Buffer.from([0x12, 0x01, 0x2a]);
  const batch = new SpanBatch(envelope, 100);
  batch.add(Buffer.concat([span, span]), 2);
  const at = 5_000;
  const memory = Buffer.from(new SharedArrayBuffer(10_000)).fill(7);
  memory.set(Buffer.concat([span, span]), at);
  const message = envelope.around(memory, at, 6);
  assert.deepEqual(message, batch.message);
  const begin = at - envelope.head.length;
  assert.deepEqual([memory[begin - 1], memory[begin + message!.length]], [7, 7]);
  const large = new BatchEnvelope({ a: 'x'.repeat(5_000) }, { name: 'n', version: 'v' }, 'https://s');
  assert.equal(large.around(memory, at, 6), null);
});

it('spans are lost as far as the collector says so and can be understood', () => {
  assert.equal(readRejected(Buffer.alloc(0)), 0);
  assert.equal(readRejected(Buffer.from([0x0a, 0x02, 0x08, 0x05])), 5);
  assert.equal(readRejected(Buffer.from([0x0a, 0x04, 0x12, 0x02, 0x68, 0x69])), 0);
  assert.equal(readRejected(Buffer.from([0x12, 0x01, 0x00, 0x0a, 0x03, 0x08, 0x80, 0x02])), 256);
  for (const nonsense of ['ffffffff7f010203', '0a', '0a7f08', '0a0208'])
    assert.equal(readRejected(Buffer.from(nonsense, 'hex')), 0, nonsense);
});
