import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WebSocketFrames } from './websocket-frames.ts';

function frame(length: number, isMasked: boolean): Buffer {
  const mask = isMasked ? 0x80 : 0;
  const head =
    length < 126
      ? [0x82, mask | length]
      : length < 65_536
        ? [0x82, mask | 126, 0, 0]
        : [0x82, mask | 127, 0, 0, 0, 0, 0, 0, 0, 0];
  const bytes = Buffer.concat([Buffer.from(head), Buffer.alloc((isMasked ? 4 : 0) + length, 0x81)]);
  if (length >= 65_536) bytes.writeUInt32BE(length, 6);
  else if (length >= 126) bytes.writeUInt16BE(length, 2);
  return bytes;
}

for (const isMasked of [false, true]) {
  test(`frames of every size end where they end, however they are cut${isMasked ? ', masked' : ''}`, () => {
    for (const length of [0, 1, 125, 126, 65_535, 65_536, 70_000]) {
      const bytes = frame(length, isMasked);
      const frames = new WebSocketFrames();
      const step = bytes.length > 1_000 ? 997 : 1;
      for (let at = 0; at < bytes.length; at += step) {
        frames.pass(bytes, at, Math.min(bytes.length, at + step));
        assert.equal(frames.isBetween, at + step >= bytes.length, `${length} bytes, ${at + step} of ${bytes.length}`);
      }
      const both = Buffer.concat([bytes, frame(3, isMasked)]);
      frames.pass(both, 0, both.length);
      assert.ok(frames.isBetween);
    }
  });
}
