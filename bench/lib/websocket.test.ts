import assert from 'node:assert/strict';
import { test } from 'node:test';
import { acceptKey, FrameReader, frame } from './websocket.ts';

test('the accept key is the example of RFC 6455 §1.3', () => {
  assert.equal(acceptKey('dGhlIHNhbXBsZSBub25jZQ=='), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
});

for (const length of [0, 5, 125, 126, 3000]) {
  for (const mask of [undefined, Buffer.from([1, 2, 3, 250])]) {
    test(`a ${mask === undefined ? 'bare' : 'masked'} frame of ${length} bytes survives any split`, () => {
      const payload = Buffer.alloc(length, 'payload ');
      const bytes = Buffer.concat([frame(payload, mask), frame(payload, mask)]);
      for (let at = 0; at <= Math.min(bytes.length, 400); at++) {
        const seen: Buffer[] = [];
        const reader = new FrameReader((found) => seen.push(Buffer.from(found)));
        // Copies, because the reader takes the mask off in place.
        reader.feed(Buffer.from(bytes.subarray(0, at)));
        reader.feed(Buffer.from(bytes.subarray(at)));
        assert.deepEqual(seen, [payload, payload], `split at ${at}`);
      }
    });
  }
}
