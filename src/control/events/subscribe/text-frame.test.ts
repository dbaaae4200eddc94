/** Frames of every form of length, read by the library that clients use. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as ws from 'ws';
import { textFrame } from './text-frame.ts';

/** What `ws` reads frames with; its types do not have it. */
const { Receiver } = ws as unknown as {
  readonly Receiver: new (options: object) => NodeJS.EventEmitter & { write(bytes: Buffer): void };
};

test('a text of any length is one frame that a client reads', async () => {
  for (const length of [0, 1, 125, 126, 127, 65_535, 65_536, 200_000]) {
    const text = 'ü'
      .repeat(length >> 1)
      .padEnd(length, 'x')
      .slice(0, Math.max(0, length - (length >> 1)));
    const payload = Buffer.from(text);
    const receiver = new Receiver({ isServer: false, maxPayload: 0 });
    const got = new Promise<string>((resolve, reject) => {
      receiver.on('message', (data: Buffer) => resolve(data.toString()));
      receiver.on('error', reject);
    });
    receiver.write(textFrame(payload));
    assert.equal(await got, text, `${payload.byteLength} bytes`);
  }
});
