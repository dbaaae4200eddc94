/** Sockets that read to memory of their reader: those of a server, and those of TLS. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import { before, describe, test } from 'node:test';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { Authority, type Certificate } from '../../../test/support/certificates.ts';
import { suiteScope } from '../../../test/support/scope.ts';
import { adoptAccepted, type Reader, readInto } from './adopt.ts';

/** More than one record of TLS, and more than one read. */
const BYTES = Buffer.from(Array.from({ length: 300_000 }, (_, at) => (at * 7 + (at >> 8)) & 255));

class Gathering implements Reader {
  /** As connections do: one buffer after the other, of different sizes. */
  readonly buffers = [Buffer.alloc(1000), Buffer.alloc(64 * 1024), Buffer.alloc(16 * 1024)];
  readonly parts: Buffer[] = [];
  reads = 0;
  strange = 0;
  readonly #socket: Socket;
  #next: Buffer = this.buffers[0]!;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  nextBuffer(): Buffer {
    this.#next = this.buffers[this.reads % this.buffers.length]!;
    return this.#next;
  }

  onRead(length: number, bytes: Buffer): void {
    this.reads++;
    if (bytes !== this.#next) this.strange++;
    this.parts.push(Buffer.from(bytes.subarray(0, length)));
    if (this.reads % 5 !== 0) return;
    this.#socket.pause();
    setImmediate(() => this.#socket.resume());
  }

  get whole(): Buffer {
    return Buffer.concat(this.parts);
  }
}

describe('a socket that reads to memory of its reader', () => {
  const scope = suiteScope();
  let certificate: Certificate;

  before(async () => {
    const authority = await Authority.create(scope);
    certificate = await authority.issue('server', ['localhost']);
  });

  async function port(server: Server): Promise<number> {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    scope.after(() => void server.close());
    return (server.address() as AddressInfo).port;
  }

  /** Says of the socket, in the turn that brings it, who reads. */
  function begin(socket: Socket): { socket: Socket; reader: Gathering } {
    const reader = new Gathering(socket);
    assert.equal(readInto(socket, reader), true, 'this Node keeps `onread` elsewhere');
    socket.on('data', () => assert.fail('bytes went the usual way'));
    return { socket, reader };
  }

  async function gathers(begun: Promise<ReturnType<typeof begin>>, client: Socket): Promise<Gathering> {
    client.write(BYTES.subarray(0, 10));
    client.end(BYTES.subarray(10));
    const { socket, reader } = await begun;
    await once(socket, 'end');
    assert.ok(reader.whole.equals(BYTES), `${reader.whole.length} bytes of ${BYTES.length}, or others`);
    socket.destroy();
    return reader;
  }

  test('an accepted one', async () => {
    const server = createServer();
    const to = await port(server);
    const begun = new Promise<ReturnType<typeof begin>>((resolve) =>
      adoptAccepted(server, (socket) => resolve(begin(socket))),
    );
    const client = connect(to, '127.0.0.1');
    scope.after(() => void client.destroy());
    const { strange } = await gathers(begun, client);
    assert.equal(strange, 1, 'only the first read is in memory of adopt.ts');
  });

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`one of ${version}, whose client sends with its Finished`, async () => {
      const { certPem: cert, keyPem: key } = certificate;
      const server = createTlsServer({ cert, key, minVersion: version, maxVersion: version });
      const to = await port(server);
      const begun = new Promise<ReturnType<typeof begin>>((resolve) =>
        server.once('secureConnection', (socket) => resolve(begin(socket))),
      );
      const client = connectTls({ port: to, host: '127.0.0.1', rejectUnauthorized: false });
      scope.after(() => void client.destroy());
      const { strange } = await gathers(begun, client);
      assert.equal(strange, 0, 'reads that came in another buffer than the last one given');
    });
  }

  test('a socket that the program made without it stays as it is', async () => {
    const server = createServer();
    const to = await port(server);
    const client = connect(to, '127.0.0.1');
    scope.after(() => void client.destroy());
    assert.equal(readInto(client, new Gathering(client)), false);
  });
});
