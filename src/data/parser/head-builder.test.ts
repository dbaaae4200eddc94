import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fieldLines } from '../../../test/support/field-lines.ts';
import { AUTHORIZATION, fieldId, HOST } from './field-names.ts';
import { MessageFraming, readRequestFraming } from './framing.ts';
import { Head, readRequestHead } from './head.ts';
import { HeadBuilder } from './head-builder.ts';
import { dropMask } from './head-writer.ts';

const FIELDS = [
  ['host', 'a.test'],
  ['authorization', 'Bearer x'],
  ['x-empty', ''],
  ['content-length', '5'],
] as const;
const LIMITS = { maxHeadBytes: 4096, maxTargetBytes: 1024, maxFields: 10 };

function built(memory: Buffer, maxBytes: number): Head | null {
  const head = new Head(10);
  const builder = new HeadBuilder(head, memory, maxBytes);
  if (!builder.request('POST', '/a?b')) return null;
  for (const [i, [name, value]] of FIELDS.entries()) {
    const bytes = Buffer.from(`${name}: ${value}\r\n`, 'latin1');
    const isWritten =
      i % 2 === 0
        ? builder.field(name, value)
        : builder.line(bytes, 0, name.length, value.length, fieldId(bytes, 0, name.length));
    if (!isWritten) return null;
  }
  builder.end();
  return head;
}

test('what is built reads like what is parsed, in memory that is given and in memory of its own', () => {
  const bytes = Buffer.from(`POST /a?b HTTP/1.1\r\n${FIELDS.map(([n, v]) => `${n}: ${v}\r\n`).join('')}\r\n`, 'latin1');
  const parsed = new Head(10);
  assert.equal(readRequestHead(bytes, 0, bytes.length, LIMITS, parsed), bytes.length);
  for (const room of [4096, 8]) {
    const head = built(Buffer.alloc(room), 4096);
    assert.ok(head !== null);
    assert.equal(head.bytes.latin1Slice(head.targetStart, head.targetEnd), '/a?b');
    assert.equal(head.seen, parsed.seen);
    assert.deepEqual(head.find(HOST), parsed.find(HOST));
    assert.equal(head.valueOf('authorization'), 'Bearer x');
    const framing = new MessageFraming();
    assert.ok(readRequestFraming(head, framing));
    assert.equal(framing.bodyLength, 5);
    const drop = dropMask([AUTHORIZATION]);
    assert.equal(fieldLines(head, drop, null, ['x-empty']), fieldLines(parsed, drop, null, ['x-empty']));
    assert.equal(fieldLines(head, dropMask([]), null, null), fieldLines(parsed, dropMask([]), null, null));
  }
});

test('neither more bytes nor more fields than allowed', () => {
  const whole = built(Buffer.alloc(4096), 4096)!;
  for (let max = 1; max < whole.end; max++) assert.equal(built(Buffer.alloc(1), max), null, `${max} bytes`);
  assert.ok(built(Buffer.alloc(1), whole.end) !== null);
  const builder = new HeadBuilder(new Head(1), Buffer.alloc(100));
  assert.ok(builder.field('a', '1'));
  assert.equal(builder.field('b', '2'), false);
});
