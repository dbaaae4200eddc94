/**
 * Symptom: a caller could send a field that only the gateway may say (who the caller is) as a trailer of a chunked
 * body, also spelled with `_`, and it reached the service.
 * Cause: trailers were filtered by a list of usual names; configured identity names and confusable ones are not in it.
 * Fix: a trailer whose name the engine itself understands, identity names among them, is dropped (RFC 9110 §6.5.1).
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChunkedDecoder, END } from '../../src/data/parser/chunked.ts';
import { reserveIdentityNames } from '../../src/data/parser/field-names.ts';
import { passingTrailers } from '../../src/data/parser/trailers.ts';

function passed(...trailers: string[]): string {
  const bytes = Buffer.from(`0\r\n${trailers.map((line) => `${line}\r\n`).join('')}\r\n`, 'latin1');
  const decoder = new ChunkedDecoder();
  decoder.reset();
  assert.equal(decoder.step(bytes, 0, bytes.length), END);
  return passingTrailers(decoder.trailers)?.lines ?? '';
}

test('what only the gateway may say does not pass as a trailer, however it is spelled', () => {
  reserveIdentityNames(['x-account-number']);
  assert.equal(passed('X-Account-Number: 1', 'x_account_number: 1', 'X-Account_Number: 1'), '');
  assert.equal(passed('X-Real-IP: 192.0.2.1', 'X-Request-ID: abcdefgh', 'HTTP2-Settings: x', 'Content_Length: 1'), '');
  assert.equal(passed('Digest: 1', 'grpc-status: 0'), 'Digest: 1\r\ngrpc-status: 0\r\n');
});
