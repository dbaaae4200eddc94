/**
 * Symptom: `Connection: close` followed by `Connection: x, keep-alive` left the connection open.
 * Cause: each Connection field was judged for itself, and the last one that spoke won.
 * Fix: `close` in any of them wins over everything else (RFC 9112 §9.3).
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageFraming, readRequestFraming } from '../../src/data/parser/framing.ts';
import { Head, readRequestHead } from '../../src/data/parser/head.ts';

const LIMITS = { maxHeadBytes: 1_024, maxTargetBytes: 256, maxFields: 16 };

function keepsAlive(version: string, ...options: string[]): boolean {
  const fields = options.map((value) => `Connection: ${value}\r\n`).join('');
  const bytes = Buffer.from(`GET / ${version}\r\nHost: a\r\n${fields}\r\n`, 'latin1');
  const head = new Head(16);
  const meaning = new MessageFraming();
  assert.ok(readRequestHead(bytes, 0, bytes.length, LIMITS, head) > 0);
  assert.ok(readRequestFraming(head, meaning));
  return meaning.keepAlive;
}

test('close wins wherever it stands', () => {
  for (const version of ['HTTP/1.1', 'HTTP/1.0']) {
    assert.equal(keepsAlive(version, 'close', 'keep-alive'), false);
    assert.equal(keepsAlive(version, 'close', 'x, keep-alive'), false);
    assert.equal(keepsAlive(version, 'keep-alive', 'x, Close', 'keep-alive'), false);
    assert.equal(keepsAlive(version, 'close, keep-alive'), false);
    assert.equal(keepsAlive(version, 'x', 'y, keep-alive'), true);
  }
});
