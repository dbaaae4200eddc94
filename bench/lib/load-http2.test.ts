import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { getRequest, Http2Reader, opening } from './http2.ts';
import { type Http2Plan, readH2load } from './load-http2.ts';
import { grpcMessage } from './note.ts';

const plan: Http2Plan = { port: 1, tls: false, path: '/', expectBytes: 100, connections: 1, streams: 1, seconds: 2 };
const printed = (good: number, bad: number, bytes: number) => `finished in 2.00s, 1500.00 req/s, 1.60MB/s
requests: ${good + bad} total, ${good + bad} started, ${good + bad} done, ${good + bad} succeeded, 0 failed, 0 errored, 0 timeout
status codes: ${good + 1} 2xx, 0 3xx, 0 4xx, ${bad} 5xx
traffic: 3.19MB (3347148) total, 31.37KB (32124) headers (space savings 92.41%), 2.93MB (${bytes}) data
`;
const log = '1\t200\t1000\n2\t200\t2000\n3\t200\t3000\n';

describe('what h2load printed', () => {
  test('is good answers, their time and no errors', () => {
    const { requests, errors, seconds, p50Ms } = readH2load(printed(3, 0, 300), log, plan);
    assert.deepEqual({ requests, errors, seconds, p50Ms }, { requests: 3, errors: 0, seconds: 2, p50Ms: 2 });
  });

  test('has errors where answers failed, and where bodies were shorter than they should be', () => {
    assert.ok(readH2load(printed(3, 2, 300), log, plan).errors >= 2);
    assert.equal(readH2load(printed(3, 0, 299), log, plan).errors, 3);
  });

  test('is refused when it is something else', () => {
    assert.throws(() => readH2load('usage: h2load', log, plan), /something else/);
  });
});

describe('frames of an idle connection', () => {
  const frame = (type: number, flags: number, payload: Buffer) =>
    Buffer.concat([Buffer.of(0, 0, payload.length, type, flags, 0, 0, 0, 1), payload]);

  test('a response is read whatever its pieces, settings and pings are acknowledged', () => {
    const ends: [boolean, number][] = [];
    const sent: Buffer[] = [];
    const reader = new Http2Reader({
      end: (good, bytes) => ends.push([good, bytes]),
      send: (bytes) => sent.push(bytes),
    });
    const bytes = Buffer.concat([
      frame(4, 0, Buffer.alloc(0)),
      frame(6, 0, Buffer.from('12345678')),
      frame(1, 4, Buffer.of(0x3f, 0xe1, 0x1f, 0x88)),
      frame(0, 0, Buffer.alloc(10)),
      frame(0, 1, Buffer.alloc(5)),
      frame(1, 5, Buffer.of(0x8d)),
    ]);
    for (const byte of bytes) reader.feed(Buffer.of(byte));
    assert.deepEqual(
      sent.map((one) => one[3]),
      [4, 6],
    );
    assert.equal(ends.length, 2);
    assert.equal(ends[1]![0], false, '404 is not good');
  });

  test('requests and messages have the lengths that stand in front of them', () => {
    assert.equal(opening.toString('latin1', 0, 24), 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    const request = getRequest(1, '/a', 'b:1');
    assert.equal(request.readUIntBE(0, 3), request.length - 9);
    const message = grpcMessage({ title: 't', text: 'x'.repeat(200), tags: ['a'], id: '300' });
    assert.equal(message.readUInt32BE(1), message.length - 5);
    assert.deepEqual([...message.subarray(-3)], [0x20, 0xac, 0x02]);
  });
});
