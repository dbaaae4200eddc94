/**
 * Symptom: a head of 30 KB that is one Connection field with 15,000 options took milliseconds, hundreds of times what
 * other heads of that size take.
 * Cause: every option was compared with the name of every field.
 * Fix: a message has 64 connection options at most.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageFraming, readRequestFraming } from '../../src/data/parser/framing.ts';
import { Head, readRequestHead } from '../../src/data/parser/head.ts';

const LIMITS = { maxHeadBytes: 64 * 1024, maxTargetBytes: 256, maxFields: 100 };

function understood(fields: readonly string[]): { understood: boolean; status: number; nominated: number } {
  const lines = fields.map((value) => `Connection: ${value}\r\n`).join('');
  const bytes = Buffer.from(`GET / HTTP/1.1\r\nHost: a\r\n${lines}\r\n`, 'latin1');
  const head = new Head(LIMITS.maxFields);
  const meaning = new MessageFraming();
  assert.ok(readRequestHead(bytes, 0, bytes.length, LIMITS, head) > 0);
  const isUnderstood = readRequestFraming(head, meaning);
  return { understood: isUnderstood, status: head.problem.status, nominated: meaning.nominated?.length ?? 0 };
}

const options = (count: number): string => Array.from({ length: count }, (_, i) => `x-${i}`).join(', ');

test('sixty-four connection options are understood, in one field or in several', () => {
  assert.deepEqual(understood([options(64)]), { understood: true, status: 400, nominated: 64 });
  assert.equal(understood([options(32), options(32)]).nominated, 64);
  assert.equal(understood(Array.from({ length: 90 }, () => 'keep-alive')).understood, true);
});

test('more are refused', () => {
  for (const fields of [[options(65)], [options(64), 'x'], [options(6_000)], [','.repeat(20_000)]]) {
    const { understood: isUnderstood, status } = understood(fields);
    assert.deepEqual([isUnderstood, status], [false, 400]);
  }
});
