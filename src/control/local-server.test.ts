import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { describe, it } from 'node:test';
import { fetchListener, LocalServer, type UpgradeListener } from './local-server.ts';

const HANDSHAKE = 'GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';

async function serve(test: TestContext, onUpgrade?: UpgradeListener): Promise<LocalServer> {
  const folder = await mkdtemp(join(tmpdir(), 'gh-'));
  const server = new LocalServer(join(folder, 'x.sock'), (_, response) => void response.end('plain'), onUpgrade);
  await server.listen();
  test.after(async () => {
    await server.close();
    await rm(folder, { recursive: true, force: true });
  });
  return server;
}

/** Everything that comes until the connection ends. */
async function talk(path: string, text: string): Promise<string> {
  const socket = connect(path);
  let came = '';
  socket.setEncoding('latin1').on('data', (part: string) => {
    came += part;
    if (came.endsWith('plain')) socket.end();
  });
  socket.write(text);
  await once(socket, 'close');
  return came;
}

describe('a built-in service and upgrades (RFC 9110 §7.8)', () => {
  it('ignores Upgrade where it takes none', async (test) => {
    const server = await serve(test);
    const came = await talk(server.path, HANDSHAKE);
    assert.match(came, /^HTTP\/1\.1 200 /);
    assert.match(came, /plain$/);
  });

  it('gives the socket with the bytes that came after the head', async (test) => {
    const server = await serve(test, (request, socket, head) => {
      socket.end(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n${request.url} ${head}`);
    });
    assert.match(await talk(server.path, `${HANDSHAKE}early`), /101[\s\S]*\r\n\r\n\/ws early$/);
  });

  it('still answers requests without Upgrade, and upgrades survive a reset of the client', async (test) => {
    const server = await serve(test, (_, socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n');
      socket.resume();
    });
    const socket = connect(server.path);
    socket.write(HANDSHAKE);
    await once(socket, 'data');
    socket.destroy();
    const response = await new Promise<number | undefined>((resolve, reject) => {
      request({ socketPath: server.path, path: '/' }, (message) => resolve(message.resume().statusCode))
        .on('error', reject)
        .end();
    });
    assert.equal(response, 200);
  });

  it('ends what it upgraded when it closes', async (test) => {
    const server = await serve(test, (_, socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n');
    });
    const socket = connect(server.path);
    socket.on('error', () => {});
    socket.write(HANDSHAKE);
    await once(socket, 'data');
    const closed = once(socket, 'close');
    await server.close();
    await closed;
  });
});

it('an app answers from the first request on, bodies and all, also to several at once', async (test) => {
  const server = await serve(test);
  server.listener = fetchListener(async (asked) => new Response(`got ${(await asked.text()).length}`));
  const body = 'x'.repeat(100_000);
  const ask = async (): Promise<string> => {
    const call = request({ socketPath: server.path, path: '/', method: 'POST' }).end(body);
    const [response] = (await once(call, 'response')) as [IncomingMessage];
    return (await response.toArray()).join('');
  };
  assert.deepEqual(await Promise.all([ask(), ask(), ask()]), ['got 100000', 'got 100000', 'got 100000']);
  assert.equal(await ask(), 'got 100000');
});
