/** What a stream does when the connection ends under its hands. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Http2Connection } from './connection.ts';
import { Http2Stream } from './stream.ts';

class BareStream extends Http2Stream {
  send(bytes: Buffer, isLast: boolean): void {
    this.sendData(bytes, 0, bytes.length, isLast);
  }
  protected onBody(): void {}
  protected onRemoteEnd(): void {}
  onReadDone(): void {}
  onQueueSent(): void {}
  onRemoteReset(): void {}
  onConnectionGone(): void {}
  onSendStalled(): void {}
}

test('a connection that ends because a window is too small for what is sent keeps nothing waiting', () => {
  let waits = 0;
  const connection = {
    peerSettings: { window: 1 },
    streamWindow: 65_535,
    // As with a client whose windows of one byte have used up what it may cost.
    mayTake: () => {
      stream.close();
      return 0;
    },
    wait: () => void waits++,
    forget: () => {},
  };
  const stream = new BareStream(connection as unknown as Http2Connection, 1);
  stream.send(Buffer.from('a response'), true);
  assert.deepEqual([waits, stream.hasQueue, stream.localEnded], [0, false, true]);
});
