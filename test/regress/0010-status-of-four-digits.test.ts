/**
 * Symptom: an upstream that answers `HTTP/1.1 2000 OK` reached the caller as status 200 with the reason `0 OK`.
 * Cause: the space behind the status was optional, so whatever followed three digits was taken for the reason.
 * Fix: behind the status stands a space or the end of the line (RFC 9112 §4); anything else is refused.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Head, REFUSED, readResponseHead } from '../../src/data/parser/head.ts';

const LIMITS = { maxHeadBytes: 1_024, maxTargetBytes: 256, maxFields: 16 };

function read(line: string): number {
  const bytes = Buffer.from(`${line}\r\nContent-Length: 0\r\n\r\n`, 'latin1');
  return readResponseHead(bytes, 0, bytes.length, LIMITS, new Head(16));
}

test('a status is three digits and then a space or the end of the line', () => {
  for (const line of ['HTTP/1.1 2000 OK', 'HTTP/1.1 200OK', 'HTTP/1.1 200\tOK', 'HTTP/1.1 200-1'])
    assert.equal(read(line), REFUSED, line);
  for (const line of ['HTTP/1.1 200 OK', 'HTTP/1.1 200 ', 'HTTP/1.1 200']) assert.ok(read(line) > 0, line);
});
