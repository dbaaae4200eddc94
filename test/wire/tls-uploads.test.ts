/**
 * Uploads over TLS, which come record by record: nothing is lost, moved or read into what is still to be sent, whatever
 * stands behind the body and however slowly the service reads.
 */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, Server } from 'node:http';
import { before, describe, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { connect } from 'node:tls';
import { Authority } from '../support/certificates.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import { suiteScope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const MEGABYTE = 1024 * 1024;

describe('uploads over TLS', () => {
  const scope = suiteScope();
  let gateway: TestGateway;
  let authority: Authority;
  let server: Server;
  before(async () => {
    authority = await Authority.create(scope);
    const { cert, key } = await authority.issue('localhost', ['localhost']);
    const upstream = await httpUpstream(scope, (request, response) => {
      const hash = createHash('sha256');
      let bytes = 0;
      const slow = request.url === '/slow';
      request.on('data', (chunk: Buffer) => {
        hash.update(chunk);
        bytes += chunk.length;
        if (!slow) return;
        request.pause();
        setTimeout(() => request.resume(), 2);
      });
      request.on('error', () => {});
      request.on('end', () => response.end(`${bytes} ${hash.digest('hex')}`));
    });
    server = upstream.server;
    gateway = await startTestGateway(scope, {
      gateway: {
        listeners: [{ name: 'main', host: '127.0.0.1', port: 0, tls: { certificates: [{ cert, key }] } }],
        port: undefined,
        host: undefined,
      },
      services: { s: { instances: [upstream.url], retries: 0 } },
      routes: [{ match: { path: '/*' }, service: 's', auth: 'public', maxRequestSize: '64mb' }],
    });
  });

  const post = (path: string, body: Buffer): Buffer =>
    Buffer.concat([Buffer.from(`POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`), body]);

  for (const path of ['/quick', '/slow']) {
    test(`bodies of all sizes around records and buffers arrive as they were sent (${path})`, async () => {
      const caller = new RawCaller(gateway.port, true);
      scope.after(() => caller.close());
      for (const size of [1, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537, 262_144, 262_145, 3 * MEGABYTE + 7]) {
        const body = randomBytes(size);
        const { status, body: text } = await caller.send(post(path, body)).answer();
        assert.deepEqual([status, text.toString()], [200, `${size} ${sha(body)}`]);
      }
    });
  }

  test('a request right behind a large body, in the same write, is read as what it is', async () => {
    const caller = new RawCaller(gateway.port, true);
    scope.after(() => caller.close());
    for (const size of [65_536, 200_000, MEGABYTE]) {
      const [first, second, third] = [randomBytes(size), randomBytes(size + 1), randomBytes(10)];
      caller.send(Buffer.concat([post('/a', first), post('/slow', second), post('/c', third)]));
      for (const body of [first, second, third]) {
        const { status, body: text } = await caller.answer();
        assert.deepEqual([status, text.toString()], [200, `${body.length} ${sha(body)}`]);
      }
    }
  });

  test('chunks, with a request right behind the last one', async () => {
    const body = randomBytes(MEGABYTE);
    const chunks: Buffer[] = [Buffer.from('POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n')];
    for (let at = 0; at < body.length; at += 50_001) {
      const part = body.subarray(at, at + 50_001);
      chunks.push(Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n'));
    }
    chunks.push(Buffer.from('0\r\n\r\n'));
    const caller = new RawCaller(gateway.port, true);
    scope.after(() => caller.close());
    caller.send(Buffer.concat([...chunks, post('/next', body)]));
    for (let i = 0; i < 2; i++) {
      const { status, body: text } = await caller.answer();
      assert.deepEqual([status, text.toString()], [200, `${body.length} ${sha(body)}`]);
    }
  });

  test('a client that breaks off in a body leaves no request open at the service', async () => {
    let begun = 0;
    let aborted = 0;
    const onRequest = (request: IncomingMessage): void => {
      begun++;
      request.on('error', () => void aborted++);
    };
    server.on('request', onRequest);
    for (let i = 0; i < 10; i++) {
      const socket = await secured();
      const body = randomBytes(MEGABYTE);
      await new Promise((resolve) => socket.write(post('/quick', body).subarray(0, 600_000), resolve));
      await until(() => begun === i + 1, 'the request');
      socket.destroy();
    }
    await until(() => aborted === 10, 'all of them end at the service');
    server.off('request', onRequest);
  });

  async function secured(): Promise<TLSSocket> {
    const socket = connect({
      port: gateway.port,
      host: '127.0.0.1',
      servername: 'localhost',
      ca: authority.ca.certPem,
    });
    socket.on('error', () => {});
    scope.after(() => void socket.destroy());
    await once(socket, 'secureConnect');
    return socket;
  }
});
