import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FieldNames } from '../contract/field-names.ts';
import { Head, readResponseHead } from './head.ts';

const limits = { maxHeadBytes: 65_536, maxTargetBytes: 8_192, maxFields: 100 };

function headOf(...lines: string[]): Head {
  const bytes = Buffer.from(`HTTP/1.1 200 OK\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`, 'latin1');
  const head = new Head(100);
  assert.ok(readResponseHead(bytes, 0, bytes.length, limits, head) > 0);
  return head;
}

test('names are found in any spelling, and nothing else of the same length and first letter', () => {
  const names = new FieldNames(['Server', 'X-Powered-By', 'vary']);
  for (const name of ['server', 'SERVER', 'x-powered-by', 'Vary']) assert.equal(names.has(name), true, name);
  for (const name of ['sorver', 'date', 'v', '', 'x-powered-bye']) assert.equal(names.has(name), false, name);
});

test('a head has one of them, or none', () => {
  const names = new FieldNames(['Server', 'X-Powered-By']);
  assert.equal(headOf('Date: x', 'Content-Length: 0').hasAny(names), false);
  assert.equal(headOf().hasAny(names), false);
  assert.equal(headOf('Sorver: x').hasAny(names), false);
  assert.equal(headOf('Date: x', 'SERVER: y').hasAny(names), true);
  assert.equal(headOf('Date: x', 'x-powered-by: y').hasAny(names), true);
});
