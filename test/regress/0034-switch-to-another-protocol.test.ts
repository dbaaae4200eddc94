/**
 * Symptom: a caller who asked for a WebSocket got a tunnel to whatever protocol the upstream switched to, or said no
 * word about.
 * Cause: 101 was accepted whenever an upgrade had been asked for, whichever.
 * Fix: the upstream may only switch to the protocol that the request named, and has to say so (RFC 9110 §7.8).
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Scene } from '../conformance/support/scene.ts';

const ASK = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';

describe('RFC 9110 §7.8 switching protocols', () => {
  const scene = new Scene({}, { upgrades: ['websocket'] });
  for (const fields of ['', 'Upgrade: h2c\r\n', 'Upgrade: websocket, h2c\r\n', 'Upgrade: websocket/13\r\n']) {
    test(`101 with ${JSON.stringify(fields)} is 502`, async () => {
      scene.behaviour = `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n${fields}\r\n`;
      assert.equal((await scene.ask(ASK)).status, 502);
    });
  }

  test('101 to the protocol that was asked for, in any case, is passed on', async () => {
    scene.behaviour = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n';
    assert.equal((await scene.ask(ASK)).status, 101);
  });
});
