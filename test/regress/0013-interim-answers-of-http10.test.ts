/**
 * Symptom: `HTTP/1.0 103` of an upstream was taken for an interim answer, and what followed it for the final one.
 * Cause: the version was looked at for transfer codings only.
 * Fix: HTTP/1.0 knows no 1xx (RFC 9110 §15.2), so one is refused instead of read in one of two ways.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageFraming, readResponseFraming } from '../../src/data/parser/framing.ts';
import { Head, readResponseHead } from '../../src/data/parser/head.ts';

const LIMITS = { maxHeadBytes: 1_024, maxTargetBytes: 256, maxFields: 16 };

function understood(line: string): boolean {
  const bytes = Buffer.from(`${line}\r\nLink: </a>\r\n\r\n`, 'latin1');
  const head = new Head(16);
  assert.ok(readResponseHead(bytes, 0, bytes.length, LIMITS, head) > 0);
  return readResponseFraming(head, 'GET', new MessageFraming());
}

test('an interim answer has version 1.1', () => {
  for (const status of [100, 101, 103, 199]) {
    assert.equal(understood(`HTTP/1.0 ${status} x`), false);
    assert.equal(understood(`HTTP/1.1 ${status} x`), true);
  }
});
