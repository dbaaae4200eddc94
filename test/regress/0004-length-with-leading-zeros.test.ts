/**
 * Symptom: `Content-Length: 010` was taken for ten bytes and passed on as `010`, which a service that reads numbers
 * as C does takes for eight: two bytes of the body would begin its next request.
 * Cause: a field line that is understood is copied as it came.
 * Fix: leading zeros are not part of the value, so that the line is written anew without them.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageFraming, readRequestFraming } from '../../src/data/parser/framing.ts';
import { Head, readRequestHead } from '../../src/data/parser/head.ts';
import { dropMask } from '../../src/data/parser/head-writer.ts';
import { fieldLines } from '../support/field-lines.ts';

const LIMITS = { maxHeadBytes: 1_024, maxTargetBytes: 256, maxFields: 16 };

for (const [written, length] of [
  ['010', 10],
  ['000', 0],
  ['0', 0],
  ['00000000000012', 12],
] as const) {
  test(`a length of ${written} is passed on as ${length}`, () => {
    // Without the space too: then the value begins where it does in an ordinary line, one zero further on.
    for (const blank of [' ', '', '\t', '  ']) {
      const text = `POST / HTTP/1.1\r\nHost: a\r\nContent-Length:${blank}${written}\r\nX: y\r\n\r\n`;
      const bytes = Buffer.from(text, 'latin1');
      const head = new Head(16);
      const meaning = new MessageFraming();
      assert.ok(readRequestHead(bytes, 0, bytes.length, LIMITS, head) > 0);
      assert.ok(readRequestFraming(head, meaning));
      assert.equal(meaning.bodyLength, length);
      assert.equal(fieldLines(head, dropMask([]), null, null), `Host: a\r\nContent-Length: ${length}\r\nX: y\r\n`);
    }
  });
}
