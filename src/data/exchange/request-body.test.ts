/** Bodies that come in crumbs, kept for who reads them whole or sends them again. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { UNKNOWN_LENGTH } from '../parser/framing.ts';
import { RequestBody } from './request-body.ts';

for (const isVolatile of [true, false])
  test(`a body in pieces of a byte is kept in a few blocks (${isVolatile ? 'copied' : 'referred to'} otherwise)`, () => {
    const bytes = randomBytes(300_000);
    const body = new RequestBody(UNKNOWN_LENGTH);
    for (let at = 0; at < bytes.length; at++) body.take(bytes.subarray(at, at + 1), isVolatile);
    assert.ok(body.kept.length < 30, `${body.kept.length} pieces`);
    const memory = new Set(body.kept.slice(1).map((piece) => piece.buffer));
    assert.ok(!memory.has(bytes.buffer), 'what was put together is not the memory that is read to');
    assert.ok(body.whole().equals(bytes));
  });

test('small and large pieces stay in their order', () => {
  const bytes = randomBytes(200_000);
  const body = new RequestBody(UNKNOWN_LENGTH);
  const sizes = [1, 5_000, 3, 2, 40_000, 1, 1, 2_048, 2_049, 15_000, 1];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const end = Math.min(bytes.length, at + sizes[i % sizes.length]!);
    body.take(bytes.subarray(at, end), i % 2 === 0);
    at = end;
  }
  assert.ok(body.whole().equals(bytes));
});

test('a short body is kept in memory of its call until somebody else refers to it, and none of it is left there', () => {
  const memory = Buffer.alloc(8);
  const body = new RequestBody(UNKNOWN_LENGTH, { bodyMemory: () => memory });
  body.allowReplay(100);
  const sent: string[] = [];
  const taker = { sendBody: (bytes: Uint8Array) => void sent.push(Buffer.from(bytes).toString()) };
  body.take(Buffer.from('abc'), true);
  body.take(Buffer.from('de'), true);
  assert.equal(memory.toString('latin1', 0, 5), 'abcde');
  body.sendKept(taker);
  // Too much for it, and what stays as it is anyway, stand behind.
  body.take(Buffer.from('fghi'), true);
  body.take(Buffer.from('j'), false);
  memory.fill('x');
  body.sendKept(taker);
  assert.deepEqual(sent, ['abcde', 'abcde', 'fghij']);
  assert.equal(body.whole().toString(), 'abcdefghij');

  const short = new RequestBody(UNKNOWN_LENGTH, { bodyMemory: () => memory });
  short.take(Buffer.from('abc'), true);
  const { kept } = short;
  memory.fill('y');
  assert.deepEqual(kept, [Buffer.from('abc')]);

  const over = new RequestBody(UNKNOWN_LENGTH, { bodyMemory: () => memory });
  over.take(Buffer.from('abc'), true);
  over.leaveMemory();
  assert.deepEqual([over.kept, over.isReplayable], [[], false]);
});
