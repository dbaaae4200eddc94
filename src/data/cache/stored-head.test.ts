import assert from 'node:assert/strict';
import { test } from 'node:test';
import { responseHead } from './rules/head.suite.ts';
import {
  headForStore,
  mergedHead,
  notModifiedHead,
  partialHead,
  readStored,
  roomyHead,
  unsatisfiableHead,
} from './stored-head.ts';

const text = (bytes: Buffer): string => bytes.toString('latin1');

test('RFC 9111 §3.1: fields of the connection, those it names, and withheld ones are not stored', () => {
  const head = responseHead(
    200,
    'Connection: a, close',
    'A: 1',
    'B: 2',
    'Keep-Alive: timeout=5',
    'Proxy-Authenticate: Basic',
    'Proxy-Authentication-Info: x',
    'Proxy-Connection: close',
    'Trailer: b',
    'TE: x',
    'Upgrade: h2c',
    'Transfer-Encoding: chunked',
    'Age: 7',
    'Set-Cookie: s',
    'ETag:   "x"  ',
  );
  assert.equal(text(headForStore(head, ['a'], ['set-cookie'])), 'HTTP/1.1 200 Reason\r\nB: 2\r\nETag: "x"\r\n\r\n');
});

test('RFC 9111 §3.2: a 304 replaces what it says and keeps what it does not', () => {
  const stored = responseHead(200, 'ETag: "x"', 'A: 1', 'A: 2', 'B: 3', 'Content-Length: 5', 'Content-Encoding: gzip');
  const update = responseHead(
    304,
    'A: 9',
    'C: 4',
    'Cache-Control: max-age=5',
    'Content-Length: 10',
    'Content-Encoding: br',
    'Content-MD5: z',
    'ETag: "y"',
    'Connection: close',
    'Age: 3',
  );
  assert.equal(
    text(mergedHead(stored, update, null, ['b'])),
    'HTTP/1.1 200 Reason\r\nETag: "x"\r\nContent-Length: 5\r\nContent-Encoding: gzip\r\nA: 9\r\nC: 4\r\nCache-Control: max-age=5\r\n\r\n',
  );
});

test('RFC 9110 §15.4.5, §15.3.7, §15.5.17: 304, 206 and 416 of a stored response', () => {
  const stored = responseHead(200, 'Content-Type: text/plain', 'ETag: "x"', 'Content-Length: 11', 'Vary: a');
  assert.equal(text(notModifiedHead(stored)), 'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nVary: a\r\n\r\n');
  assert.equal(
    text(partialHead(stored, 2, 4, 11)),
    'HTTP/1.1 206 Partial Content\r\nContent-Type: text/plain\r\nETag: "x"\r\nVary: a\r\nContent-Range: bytes 2-4/11\r\nContent-Length: 3\r\n\r\n',
  );
  assert.match(text(unsatisfiableHead(11)), /^HTTP\/1.1 416 .*\r\nContent-Range: bytes \*\/11\r\n/);
});

test('what is stored is read again byte for byte', () => {
  const head = responseHead(299, 'X: \xe4\xff', 'Y:');
  const again = readStored(headForStore(head, null, []), roomyHead());
  assert.equal(again.status, 299);
  assert.equal(again.valueOf('x'), '\xe4\xff');
  assert.equal(again.valueOf('y'), '');
});
