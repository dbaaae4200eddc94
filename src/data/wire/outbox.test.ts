/** What is written arrives as it was, although the memory that it was put together in is used again at once. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import { before, describe, test } from 'node:test';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { Authority, type Certificate } from '../../../test/support/certificates.ts';
import { suiteScope } from '../../../test/support/scope.ts';
import { Outbox } from './outbox.ts';

/** Below and above a record of TLS, what a socket's high-water mark is, and the scratch memory. */
const SIZES = [1, 700, 5_000, 16_384, 17_000, 31_000, 33_000, 90_000];
const TURNS = 150;

describe('memory that is used again', () => {
  const scope = suiteScope();
  let certificate: Certificate;

  before(async () => {
    const authority = await Authority.create(scope);
    certificate = await authority.issue('server', ['localhost']);
  });

  async function pair(server: Server, event: string, open: (port: number) => Socket): Promise<[Socket, Socket]> {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const accepted = once(server, event) as Promise<[Socket]>;
    const client = open((server.address() as AddressInfo).port);
    const [socket] = await accepted;
    scope.after(() => {
      client.destroy();
      socket.destroy();
      server.close();
    });
    return [socket, client];
  }

  /** Several messages a turn, so that some find another one on its way, to a client that begins to read late. */
  async function send([socket, client]: [Socket, Socket], secure: boolean): Promise<void> {
    const outboxes = [new Outbox(socket, secure), new Outbox(socket, secure)];
    const sent: Buffer[] = [];
    let fill = 0;
    for (let turn = 0; turn < TURNS; turn++) {
      for (const size of SIZES.slice(turn % 3, (turn % 3) + 3 + (turn % 4))) {
        const message = Buffer.alloc(size, ++fill & 0xff);
        sent.push(Buffer.from(message));
        const outbox = outboxes[fill & 1]!;
        // Large ones are referred to, as bodies are, and stay as they are; small ones are copied.
        outbox.piece(message);
        outbox.text('end');
        outbox.flush();
        sent.push(Buffer.from('end'));
        if (size < 16_384) message.fill(0);
      }
      await new Promise(setImmediate);
    }
    socket.end();
    const got: Buffer[] = [];
    client.on('data', (part: Buffer) => got.push(part));
    await once(client, 'end');
    const want = Buffer.concat(sent);
    const whole = Buffer.concat(got);
    assert.equal(whole.length, want.length);
    // Not `deepEqual`, which shows megabytes.
    assert.ok(whole.equals(want), 'bytes of one message are those of another');
  }

  test('by a plain socket', async () => {
    await send(await pair(createServer(), 'connection', (port) => connect(port, '127.0.0.1')), false);
  });

  test('by a TLS socket', async () => {
    const { certPem: cert, keyPem: key } = certificate;
    const server = createTlsServer({ cert, key });
    const open = (port: number) => connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
    await send(await pair(server, 'secureConnection', open), true);
  });
});
