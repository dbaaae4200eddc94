/** How a listener accepts: several connections in a turn of the event loop, and none once it is closed. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { suiteScope } from '../../../test/support/scope.ts';
import { systemClock } from '../../base/clock.ts';
import type { ListenerSettings } from '../contract/snapshot.ts';
import type { WorkerRuntime } from '../runtime.ts';
import { ChallengeResponder } from './challenge.ts';
import { Listener } from './listener.ts';

const CLIENTS = 64;

describe('a listener', () => {
  const scope = suiteScope();

  /** Every client is banned, so nothing but accepting is done for it. */
  function listenerOn(port: number): Listener {
    const settings: ListenerSettings = {
      id: 'main',
      host: '127.0.0.1',
      port,
      protocols: ['h1'],
      proxyProtocol: false,
      tls: null,
    };
    const runtime = {
      clock: systemClock,
      connections: new Set(),
      limits: { maxConnections: 1_000, maxConnectionsPerAddress: 1_000, headTimeoutMs: 1_000 },
      live: { isBanned: () => true },
      metrics: { add() {} },
      log: { error() {}, warn() {} },
    };
    const made = new Listener(settings, {}, runtime as unknown as WorkerRuntime, new ChallengeResponder(() => 1_000));
    scope.after(() => made.close());
    return made;
  }

  function client(port: number): Socket {
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    scope.after(() => void socket.destroy());
    return socket;
  }

  const isLinux = process.platform === 'linux';
  test('accepts several connections in a turn of the event loop', { skip: !isLinux }, async () => {
    const listener = listenerOn(0);
    const port = await listener.listen();
    for (let i = 0; i < CLIENTS; i++) client(port);
    while (listener.taken === 0) await turn();
    let turns = 1;
    for (; listener.taken < CLIENTS; turns++) await turn();
    // By chance one of its sockets gets more than others; one alone would need 64 turns.
    assert.ok(turns <= CLIENTS / 2, `${turns} turns`);
  });

  test('listens no more once it is closed', async () => {
    const listener = listenerOn(0);
    const port = await listener.listen();
    listener.close();
    for (let i = 0; i < 16; i++) {
      const [error] = (await once(connect(port, '127.0.0.1'), 'error')) as [NodeJS.ErrnoException];
      assert.equal(error.code, 'ECONNREFUSED');
    }
    assert.equal(listener.taken, 0);
  });

  test('says so when another has the port, and holds nothing then', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as { port: number };
    await assert.rejects(listenerOn(port).listen(), { code: 'EADDRINUSE' });
    other.close();
    await once(other, 'close');
    const [error] = (await once(connect(port, '127.0.0.1'), 'error')) as [NodeJS.ErrnoException];
    assert.equal(error.code, 'ECONNREFUSED');
  });
});
