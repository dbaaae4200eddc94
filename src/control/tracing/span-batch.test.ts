import assert from 'node:assert/strict';
import { it } from 'node:test';
import { WireReader } from '../../base/protobuf/wire.ts';
import { BatchEnvelope } from './span-batch.ts';
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
  const batch = { pages: [Buffer.concat([span, span]), span], length: 9, spans: 3 };
  const [[, resourceSpans] = []] = fieldsOf(envelope.around(batch));
  const [resource, scopeSpans, schema] = fieldsOf(resourceSpans!);
  assert.deepEqual([resource?.[0], scopeSpans?.[0], String(schema?.[1])], [1, 2, 'https://s']);
  const inside = fieldsOf(scopeSpans![1]);
  assert.deepEqual(
    inside.map(([number]) => number),
    [1, 2, 2, 2, 3],
  );
});

it('spans are lost as far as the collector says so and can be understood', () => {
  assert.equal(readRejected(Buffer.alloc(0)), 0);
  assert.equal(readRejected(Buffer.from([0x0a, 0x02, 0x08, 0x05])), 5);
  assert.equal(readRejected(Buffer.from([0x0a, 0x04, 0x12, 0x02, 0x68, 0x69])), 0);
  assert.equal(readRejected(Buffer.from([0x12, 0x01, 0x00, 0x0a, 0x03, 0x08, 0x80, 0x02])), 256);
  for (const nonsense of ['ffffffff7f010203', '0a', '0a7f08', '0a0208'])
    assert.equal(readRejected(Buffer.from(nonsense, 'hex')), 0, nonsense);
});
