import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventRecords, LineRecords } from './records.ts';
import type { Records } from './value-filters.ts';

/** What comes out when each value is put in brackets, for the stream cut into pieces of `size` bytes. */
function changed(records: Records, text: string, size: number): string {
  const bytes = Buffer.from(text);
  let out = '';
  const take = (made: ReturnType<Records['push']>): void => {
    for (const { value, bytes: as, put } of made) out += value === null ? as : put(Buffer.from(`<${value}>`));
  };
  for (let at = 0; at < bytes.length; at += size) take(records.push(bytes.subarray(at, at + size)));
  take(records.rest());
  return out;
}

test('lines are cut at their ends whatever pieces they come in, blank ones pass, the last needs no end', () => {
  const text = '{"a":1}\r\n\n  \n{"ä":2}\n[3]';
  for (let size = 1; size < 30; size++)
    assert.equal(changed(new LineRecords(), text, size), '<{"a":1}>\r\n\n  \n<{"ä":2}>\n<[3]>', `pieces of ${size}`);
});

test('events are cut at blank lines with each kind of end; texts, comments and what is not ended are no values', () => {
  const text = [
    ': hello\n\n',
    'id: 1\nevent: made\ndata: {"a":1}\n\n',
    'data:{"b":\r\ndata\r\ndata:2}\r\n\r\n',
    'data: [DONE]\r\r',
    'data: plain text\n\n',
    'retry: 10\ndatabase: x\n\n',
    'data: [1]\r\n\r\n',
    'data: {"lost":true}\n',
  ].join('');
  const expected = [
    ': hello\n\n',
    'id: 1\nevent: made\ndata: <{"a":1}>\n\n',
    'data: <{"b":\n\n2}>\n\n',
    'data: [DONE]\r\r',
    'data: plain text\n\n',
    'retry: 10\ndatabase: x\n\n',
    'data: <[1]>\n\n',
  ].join('');
  for (let size = 1; size < 60; size++)
    assert.equal(changed(new EventRecords(), text, size), expected, `pieces of ${size}`);
});

test('what waits for its end is counted', () => {
  const lines = new LineRecords();
  lines.push(Buffer.from('{"a":1}\n{"b"'));
  assert.equal(lines.waiting, 4);
  const events = new EventRecords();
  events.push(Buffer.from('data: 1\ndata: 2'));
  assert.equal(events.waiting, 15);
});

test('a long line in crumbs is looked at once: 300,000 of them took 45 s', () => {
  const line = `${'x'.repeat(299_998)}\r\n`;
  for (const records of [new LineRecords(), new EventRecords()]) {
    const bytes = Buffer.from(records instanceof EventRecords ? `data:[${line.slice(8)}\r\n` : line);
    const found = [];
    const beganMs = performance.now();
    for (let at = 0; at < bytes.length; at++) found.push(...records.push(bytes.subarray(at, at + 1)));
    const tookMs = performance.now() - beganMs;
    assert.ok(tookMs < 5_000, `${tookMs} ms`);
    assert.deepEqual(
      found.map((record) => record.bytes.toString()),
      [bytes.toString()],
    );
  }
});
