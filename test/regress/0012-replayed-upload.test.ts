/**
 * Symptom: an upload that was tried again at another connection could arrive with other bytes than the caller sent.
 * Cause: while reading was paused the same buffer was read into next, on the ground that the upstream had by then taken
 * everything; but what is kept for a further try, or waits for a connection, lay in that buffer too.
 * Fix: a pause reads on into another buffer; the first goes back to the stock when nobody refers to it any more.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import { until } from '../support/until.ts';
import { rawUpstream } from '../support/upstream.ts';

const SIZE = 600_000;
const PIECE = 40_000;
const TRIES = 6;

test('each try of an upload gets the bytes that the caller sent', async (t) => {
  const body = randomBytes(SIZE);
  const tries: { socket: Socket; received: Buffer }[] = [];
  const upstream = await rawUpstream(t, (socket, nth) => {
    tries[nth] = { socket, received: Buffer.alloc(0) };
    socket.on('data', (bytes: Buffer) => {
      tries[nth]!.received = Buffer.concat([tries[nth]!.received, bytes]);
    });
  });
  const gateway = await startTestGateway(t, {
    services: {
      s: {
        instances: [{ url: upstream.url }],
        requestBuffer: 'off',
        retries: { attempts: TRIES, maxReplaySize: '1mb', budget: '100%' },
      },
    },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
  });
  const caller = new RawCaller(gateway.port);
  caller.send(`PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: ${SIZE}\r\n\r\n`);
  let sent = 0;
  const send = (): void => {
    caller.send(body.subarray(sent, sent + PIECE));
    sent += PIECE;
  };
  const arrived = async (nth: number): Promise<void> => {
    const bytes = (): Buffer => {
      const all = tries[nth]?.received ?? Buffer.alloc(0);
      const end = all.indexOf('\r\n\r\n');
      return end < 0 ? all.subarray(0, 0) : all.subarray(end + 4);
    };
    await until(() => bytes().length >= sent, `try ${nth} has ${sent} bytes`);
    assert.ok(bytes().equals(body.subarray(0, sent)), `try ${nth} got other bytes`);
  };
  send();
  await arrived(0);
  for (let nth = 0; nth < TRIES; nth++) {
    tries[nth]!.socket.resetAndDestroy();
    send(); // comes while there is no connection to pass it on
    await arrived(nth + 1);
    send();
    await arrived(nth + 1);
  }
  while (sent < SIZE) send();
  await arrived(TRIES);
  tries[TRIES]!.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  assert.equal((await caller.answer()).status, 200);
  caller.close();
});
