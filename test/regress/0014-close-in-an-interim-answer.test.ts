/**
 * Symptom: an upstream that said `Connection: close` in an interim answer got the next request on that connection.
 * Cause: only the final head was asked whether the connection stays.
 * Fix: a close in any head of the answer holds (RFC 9112 §9.6).
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { understandAnswer } from '../fuzz/support/driven-session.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

test('a close announced in an interim answer is heeded after the final one', async () => {
  const said = (options: string): Buffer =>
    Buffer.from(`HTTP/1.1 103 Early Hints\r\nConnection: ${options}\r\n\r\n${OK}`);
  const closing = await understandAnswer([said('close')], 'GET', false);
  assert.deepEqual([closing.complete, closing.body, closing.reusable], [true, 'ok', false]);
  const staying = await understandAnswer([said('keep-alive')], 'GET', false);
  assert.deepEqual([staying.complete, staying.body, staying.reusable], [true, 'ok', true]);
});
