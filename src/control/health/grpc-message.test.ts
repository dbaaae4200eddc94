import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeResponse, encodeRequest } from './grpc-message.ts';

const framed = (...message: number[]): Buffer => Buffer.from([0, 0, 0, 0, message.length, ...message]);

describe('health check messages', () => {
  it('sends an empty message for the server as a whole', () => {
    assert.deepEqual(encodeRequest(''), framed());
  });

  it('sends the service name as field 1', () => {
    assert.deepEqual(encodeRequest('ab'), framed(0x0a, 2, 0x61, 0x62));
  });

  it('writes a long name with a length of two bytes', () => {
    const request = encodeRequest('x'.repeat(200));
    assert.deepEqual(request.subarray(0, 8), Buffer.from([0, 0, 0, 0, 203, 0x0a, 0xc8, 0x01]));
  });

  const rows: { name: string; input: Buffer; want: number | undefined }[] = [
    { name: 'an empty message is UNKNOWN', input: framed(), want: 0 },
    { name: 'reads SERVING', input: framed(0x08, 1), want: 1 },
    { name: 'reads NOT_SERVING', input: framed(0x08, 2), want: 2 },
    { name: 'the last of two values counts', input: framed(0x08, 1, 0x08, 2), want: 2 },
    {
      name: 'skips unknown fields of every wire type',
      input: framed(0x10, 0x81, 0x01, 0x1a, 1, 9, 0x25, 1, 2, 3, 4, 0x29, 1, 2, 3, 4, 5, 6, 7, 8, 0x08, 1),
      want: 1,
    },
    { name: 'refuses a compressed frame', input: Buffer.from([1, 0, 0, 0, 2, 8, 1]), want: undefined },
    { name: 'refuses a cut frame', input: Buffer.from([0, 0, 0, 0, 2, 8]), want: undefined },
    { name: 'refuses a short head', input: Buffer.from([0, 0]), want: undefined },
    { name: 'refuses a value without an end', input: framed(0x08, 0xff), want: undefined },
    { name: 'refuses a field that runs over the end', input: framed(0x1a, 9, 1), want: undefined },
    { name: 'refuses a status that is not a number', input: framed(0x0a, 1, 1), want: undefined },
    { name: 'refuses a wire type that does not exist', input: framed(0x0f), want: undefined },
    { name: 'refuses an endless varint', input: framed(0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1), want: undefined },
  ];
  for (const { name, input, want } of rows) {
    it(name, () => assert.equal(decodeResponse(input), want));
  }
});
