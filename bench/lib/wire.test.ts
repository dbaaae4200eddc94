import assert from 'node:assert/strict';
import { test } from 'node:test';
import { field, MessageReader } from './wire.ts';

function read(pieces: readonly Buffer[]): string[] {
  const seen: string[] = [];
  let body = '';
  const reader = new MessageReader({
    head: (head) => {
      seen.push(head.slice(0, head.indexOf('\r\n')));
      body = '';
    },
    body: (chunk) => {
      body += chunk.toString();
    },
    end: () => seen.push(`end:${body}`),
  });
  for (const piece of pieces) reader.feed(piece);
  return seen;
}

const messages = [
  {
    name: 'a message without a body',
    input: 'GET /a HTTP/1.1\r\nHost: a\r\n\r\n',
    want: ['GET /a HTTP/1.1', 'end:'],
  },
  {
    name: 'a body by length and the message after it',
    input: 'POST /a HTTP/1.1\r\ncontent-LENGTH: 3\r\n\r\nabcGET /b HTTP/1.1\r\nHost: a\r\n\r\n',
    want: ['POST /a HTTP/1.1', 'end:abc', 'GET /b HTTP/1.1', 'end:'],
  },
  {
    name: 'a chunked body with a trailer',
    input: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=1\r\n0123456789\r\n0\r\nx: y\r\n\r\n',
    want: ['HTTP/1.1 200 OK', 'end:abc0123456789'],
  },
];

for (const { name, input, want } of messages) {
  test(`reads ${name}, split at every offset`, () => {
    const bytes = Buffer.from(input);
    for (let at = 0; at <= bytes.length; at++) {
      assert.deepEqual(read([bytes.subarray(0, at), bytes.subarray(at)]), want, `split at ${at}`);
    }
  });
}

test('field finds a value in any case and does not match within another name', () => {
  const head = 'HTTP/1.1 200 OK\r\nX-Content-Length: 9\r\nContent-Length:  12 \r\nA: b';
  assert.equal(field(head, 'content-length'), '12');
  assert.equal(field(head, 'a'), 'b');
  assert.equal(field(head, 'length'), undefined);
});
