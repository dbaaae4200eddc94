import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FAULTS } from '../../base/errors.ts';
import { MessageFraming, readRequestFraming, readResponseFraming, UNKNOWN_LENGTH, UNTIL_CLOSE } from './framing.ts';
import { Head, INCOMPLETE, mayBeComplete, REFUSED, readRequestHead, readResponseHead } from './head.ts';

const LIMITS = { maxHeadBytes: 1_024, maxTargetBytes: 256, maxFields: 16 };

function request(text: string): { after: number; head: Head; meaning: MessageFraming; understood: boolean } {
  const bytes = Buffer.from(text, 'latin1');
  const head = new Head(64);
  const meaning = new MessageFraming();
  const after = readRequestHead(bytes, 0, bytes.length, LIMITS, head);
  return { after, head, meaning, understood: after > 0 && readRequestFraming(head, meaning) };
}

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n';

describe('request heads that are refused', () => {
  const rows: { name: string; input: string; want: { status: number } }[] = [
    { name: 'a field folded over two lines (RFC 9112 §5.2)', input: `${GET}A: b\r\n c\r\n\r\n`, want: { status: 400 } },
    { name: 'a fold with a tab', input: `${GET}A: b\r\n\tc\r\n\r\n`, want: { status: 400 } },
    { name: 'a line that ends with LF alone', input: 'GET / HTTP/1.1\nHost: a\n\n', want: { status: 400 } },
    { name: 'a field line that ends with LF alone', input: `${GET}A: b\nC: d\r\n\r\n`, want: { status: 400 } },
    { name: 'a carriage return inside a value', input: `${GET}A: b\rc\r\n\r\n`, want: { status: 400 } },
    { name: 'NUL in a value', input: `${GET}A: b\0c\r\n\r\n`, want: { status: 400 } },
    { name: 'NUL in a name', input: `${GET}A\0: b\r\n\r\n`, want: { status: 400 } },
    { name: 'DEL in a value', input: `${GET}A: \x7f\r\n\r\n`, want: { status: 400 } },
    { name: 'a control character in a value', input: `${GET}A: \x01\r\n\r\n`, want: { status: 400 } },
    { name: 'a space before the colon (RFC 9112 §5.1)', input: `${GET}A : b\r\n\r\n`, want: { status: 400 } },
    { name: 'a tab before the colon', input: `${GET}A\t: b\r\n\r\n`, want: { status: 400 } },
    { name: 'a line without a colon', input: `${GET}Nonsense\r\n\r\n`, want: { status: 400 } },
    { name: 'an empty field name', input: `${GET}: b\r\n\r\n`, want: { status: 400 } },
    { name: 'a name that is not a token', input: `${GET}A(b): c\r\n\r\n`, want: { status: 400 } },
    { name: 'a name with a byte above 127', input: `${GET}\xc4: c\r\n\r\n`, want: { status: 400 } },
    { name: 'two spaces behind the method', input: 'GET  / HTTP/1.1\r\nHost: a\r\n\r\n', want: { status: 400 } },
    { name: 'two spaces before the version', input: 'GET /  HTTP/1.1\r\nHost: a\r\n\r\n', want: { status: 400 } },
    {
      name: 'a space at the end of the request line',
      input: 'GET / HTTP/1.1 \r\nHost: a\r\n\r\n',
      want: { status: 400 },
    },
    { name: 'a tab between method and target', input: 'GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n', want: { status: 400 } },
    { name: 'a method that is not a token', input: 'G=T / HTTP/1.1\r\nHost: a\r\n\r\n', want: { status: 400 } },
    { name: 'a line that starts with a space', input: ' GET / HTTP/1.1\r\nHost: a\r\n\r\n', want: { status: 400 } },
    { name: 'HTTP/0.9 without a version', input: 'GET /\r\n\r\n', want: { status: 400 } },
    { name: 'a version named 0.9', input: 'GET / HTTP/0.9\r\n\r\n', want: { status: 505 } },
    { name: 'a version named 2.0', input: 'GET / HTTP/2.0\r\nHost: a\r\n\r\n', want: { status: 505 } },
    { name: 'a version named 1.2', input: 'GET / HTTP/1.2\r\nHost: a\r\n\r\n', want: { status: 505 } },
    { name: 'a version in small letters', input: 'GET / http/1.1\r\nHost: a\r\n\r\n', want: { status: 400 } },
    { name: 'a version with two digits', input: 'GET / HTTP/1.10\r\nHost: a\r\n\r\n', want: { status: 400 } },
    { name: 'the HTTP/2 preface', input: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', want: { status: 505 } },
    { name: 'a TLS handshake', input: '\x16\x03\x01\x02\x00\x01\x00', want: { status: 400 } },
    {
      name: 'a target that is too long',
      input: `GET /${'a'.repeat(300)} HTTP/1.1\r\nHost: a\r\n\r\n`,
      want: { status: 414 },
    },
    { name: 'a target that is too long and goes on', input: `GET /${'a'.repeat(300)}`, want: { status: 414 } },
    {
      name: 'a method longer than any (RFC 9112 §3)',
      input: `${'G'.repeat(40)} / HTTP/1.1\r\n\r\n`,
      want: { status: 501 },
    },
    { name: 'a head that is too large', input: `${GET}A: ${'b'.repeat(2_000)}\r\n\r\n`, want: { status: 431 } },
    { name: 'a head that is too large and goes on', input: `${GET}A: ${'b'.repeat(2_000)}`, want: { status: 431 } },
    { name: 'too many fields', input: `${GET}${'A: b\r\n'.repeat(20)}\r\n`, want: { status: 431 } },
    { name: 'HTTP/1.1 without Host (RFC 9112 §3.2)', input: 'GET / HTTP/1.1\r\n\r\n', want: { status: 400 } },
    { name: 'two Host fields', input: `${GET}Host: b\r\n\r\n`, want: { status: 400 } },
    { name: 'two equal Host fields', input: `${GET}Host: a\r\n\r\n`, want: { status: 400 } },
    {
      name: 'two lengths that differ',
      input: `${GET}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`,
      want: { status: 400 },
    },
    { name: 'a list of lengths', input: `${GET}Content-Length: 1, 1\r\n\r\n`, want: { status: 400 } },
    { name: 'a signed length', input: `${GET}Content-Length: +1\r\n\r\n`, want: { status: 400 } },
    { name: 'a negative length', input: `${GET}Content-Length: -1\r\n\r\n`, want: { status: 400 } },
    { name: 'a hexadecimal length', input: `${GET}Content-Length: 0x10\r\n\r\n`, want: { status: 400 } },
    { name: 'an empty length', input: `${GET}Content-Length:\r\n\r\n`, want: { status: 400 } },
    {
      name: 'a length past the safe integers',
      input: `${GET}Content-Length: 99999999999999999999\r\n\r\n`,
      want: { status: 400 },
    },
    {
      name: 'length and coding together (RFC 9112 §6.1)',
      input: `${GET}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`,
      want: { status: 400 },
    },
    {
      name: 'coding and length together',
      input: `${GET}Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n`,
      want: { status: 400 },
    },
    {
      name: 'two transfer codings',
      input: `${GET}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n`,
      want: { status: 400 },
    },
    { name: 'chunked twice', input: `${GET}Transfer-Encoding: chunked, chunked\r\n\r\n`, want: { status: 400 } },
    { name: 'an unknown coding', input: `${GET}Transfer-Encoding: gzip, chunked\r\n\r\n`, want: { status: 501 } },
    {
      name: 'chunked that is not last',
      input: `${GET}Transfer-Encoding: chunked, identity\r\n\r\n`,
      want: { status: 501 },
    },
    {
      name: 'chunked with a vertical tab',
      input: `${GET}Transfer-Encoding: \x0bchunked\r\n\r\n`,
      want: { status: 400 },
    },
    { name: 'chunked with a parameter', input: `${GET}Transfer-Encoding: chunked;a=b\r\n\r\n`, want: { status: 501 } },
    {
      name: 'a coding in HTTP/1.0 (RFC 9112 §6.1)',
      input: 'POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n',
      want: { status: 400 },
    },
    { name: 'an unknown expectation (RFC 9110 §10.1.1)', input: `${GET}Expect: 200-ok\r\n\r\n`, want: { status: 417 } },
  ];
  for (const { name, input, want } of rows) {
    test(`refuses ${name}`, () => {
      const { head, understood } = request(input);
      assert.equal(understood, false);
      assert.equal(
        head.problem.status,
        want.status,
        `got ${head.problem.status} (${head.detail}), want ${want.status}`,
      );
    });
  }
});

describe('request heads that are understood', () => {
  test('gives method, target, version and fields', () => {
    const { after, head, understood } = request('PATCH /a?b HTTP/1.1\r\nHost: x\r\nA:b\r\nC:   d e \t\r\n\r\nrest');
    assert.ok(understood);
    assert.equal(head.method, 'PATCH');
    assert.equal(head.bytes.latin1Slice(head.targetStart, head.targetEnd), '/a?b');
    assert.equal(head.minor, 1);
    assert.equal(head.valueOf('a'), 'b');
    assert.equal(head.valueOf('c'), 'd e');
    assert.equal(head.bytes.latin1Slice(after, after + 4), 'rest');
  });

  test('ignores one empty line before the request (RFC 9112 §2.2)', () => {
    assert.ok(request(`\r\n${GET}\r\n`).understood);
  });

  test('joins fields of one name in order (RFC 9110 §5.3)', () => {
    assert.equal(request(`${GET}A: 1\r\nB: x\r\na: 2\r\n\r\n`).head.valueOf('a'), '1, 2');
  });

  const meanings: { name: string; input: string; want: Partial<MessageFraming> }[] = [
    { name: 'no body without length', input: `${GET}\r\n`, want: { bodyLength: 0, keepAlive: true } },
    { name: 'a length', input: `${GET}Content-Length: 12\r\n\r\n`, want: { bodyLength: 12 } },
    {
      name: 'chunks, in any case',
      input: `${GET}Transfer-Encoding: Chunked\r\n\r\n`,
      want: { bodyLength: UNKNOWN_LENGTH },
    },
    { name: 'close', input: `${GET}Connection: close\r\n\r\n`, want: { keepAlive: false } },
    {
      name: 'close in a list',
      input: `${GET}Connection: foo, Close\r\n\r\n`,
      want: { keepAlive: false, nominated: ['foo'] },
    },
    {
      name: 'close wins over keep-alive',
      input: `${GET}Connection: keep-alive\r\nConnection: close\r\n\r\n`,
      want: { keepAlive: false },
    },
    { name: 'HTTP/1.0 closes', input: 'GET / HTTP/1.0\r\n\r\n', want: { keepAlive: false } },
    {
      name: 'HTTP/1.0 asked to stay',
      input: 'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n',
      want: { keepAlive: true },
    },
    { name: 'an upgrade', input: `${GET}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n`, want: { upgrade: 2 } },
    { name: 'no upgrade without Connection', input: `${GET}Upgrade: websocket\r\n\r\n`, want: { upgrade: -1 } },
    {
      name: 'no upgrade with a body',
      input: `${GET}Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\n`,
      want: { upgrade: -1 },
    },
    {
      name: 'an expectation with a body',
      input: `${GET}Content-Length: 1\r\nExpect: 100-Continue\r\n\r\n`,
      want: { expectsContinue: true },
    },
    {
      name: 'no expectation without a body',
      input: `${GET}Expect: 100-continue\r\n\r\n`,
      want: { expectsContinue: false },
    },
    { name: 'trailers are welcome', input: `${GET}TE: trailers\r\n\r\n`, want: { takesTrailers: true } },
    { name: 'a length under another name is none', input: `${GET}Content_Length: 5\r\n\r\n`, want: { bodyLength: 0 } },
  ];
  for (const { name, input, want } of meanings) {
    test(`understands: ${name}`, () => {
      const { meaning, understood, head } = request(input);
      assert.ok(understood, head.detail);
      for (const [key, value] of Object.entries(want))
        assert.deepEqual(meaning[key as keyof MessageFraming], value, key);
    });
  }
});

test('a head split at every byte is incomplete until it is whole, and never refused', () => {
  const bytes = Buffer.from(`${GET}Content-Length: 3\r\nX-Long:   value  \r\n\r\n`, 'latin1');
  const head = new Head(64);
  for (let end = 1; end < bytes.length; end++)
    assert.equal(readRequestHead(bytes, 0, end, LIMITS, head), INCOMPLETE, `${end} bytes`);
  assert.equal(readRequestHead(bytes, 0, bytes.length, LIMITS, head), bytes.length);
});

test('mayBeComplete says yes exactly when the last byte or a bare line feed has come', () => {
  const bytes = Buffer.from(`${GET}A: b\r\n\r\n`, 'latin1');
  for (let end = 1; end < bytes.length; end++)
    assert.equal(mayBeComplete(bytes, 0, end - 1, end), false, `${end} bytes`);
  assert.equal(mayBeComplete(bytes, 0, bytes.length - 1, bytes.length), true);
  const bare = Buffer.from('GET / HTTP/1.1\nHost', 'latin1');
  assert.equal(mayBeComplete(bare, 0, 14, 15), true);
});

describe('response heads', () => {
  function response(text: string, method = 'GET') {
    const bytes = Buffer.from(text, 'latin1');
    const head = new Head(64);
    const meaning = new MessageFraming();
    const after = readResponseHead(bytes, 0, bytes.length, LIMITS, head);
    return { after, head, meaning, understood: after > 0 && readResponseFraming(head, method, meaning) };
  }

  const framings: { name: string; input: string; method?: string; want: number }[] = [
    { name: 'a length', input: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', want: 5 },
    { name: 'chunks', input: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', want: UNKNOWN_LENGTH },
    { name: 'neither: until the end of the connection', input: 'HTTP/1.1 200 OK\r\n\r\n', want: UNTIL_CLOSE },
    {
      name: 'the same length twice',
      input: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n',
      want: 5,
    },
    { name: 'an answer to HEAD', input: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', method: 'HEAD', want: 0 },
    { name: '204', input: 'HTTP/1.1 204 No Content\r\n\r\n', want: 0 },
    { name: '304 with a length', input: 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n', want: 0 },
    { name: 'no reason and no space before it', input: 'HTTP/1.1 200\r\nContent-Length: 1\r\n\r\n', want: 1 },
  ];
  for (const { name, input, method, want } of framings) {
    test(`frames ${name}`, () => {
      const { meaning, understood, head } = response(input, method);
      assert.ok(understood, head.detail);
      assert.equal(meaning.bodyLength, want);
    });
  }

  const refused: { name: string; input: string }[] = [
    {
      name: 'length and coding together',
      input: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n',
    },
    { name: 'two lengths', input: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n' },
    { name: 'a coding in HTTP/1.0', input: 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n' },
    { name: 'a status of two digits', input: 'HTTP/1.1 20 OK\r\n\r\n' },
    { name: 'a status above 599', input: 'HTTP/1.1 700 OK\r\n\r\n' },
    { name: 'a bare line feed', input: 'HTTP/1.1 200 OK\nA: b\n\n' },
    { name: 'a folded field', input: 'HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n' },
    { name: 'something else', input: 'SSH-2.0-OpenSSH_9.0\r\n' },
  ];
  for (const { name, input } of refused) {
    test(`refuses ${name}`, () => assert.equal(response(input).understood, false));
  }
});

test('the table of faults has a reason once only', () => {
  const reasons = Object.values(FAULTS).map((kind) => kind.reason);
  assert.equal(new Set(reasons).size, reasons.length);
  assert.ok(REFUSED < INCOMPLETE);
});
