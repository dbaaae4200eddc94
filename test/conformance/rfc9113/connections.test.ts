/** RFC 9113 §9: what a connection is good for, and what TLS below it must be. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { before, describe, test } from 'node:test';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { connect as connectTls } from 'node:tls';
import * as f from '../../../src/data/http2/frames.ts';
import { Authority } from '../../support/certificates.ts';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { get, Http2Peer } from '../../support/http2-peer.ts';
import { suiteScope } from '../../support/scope.ts';

describe('a connection of HTTP/2', () => {
  const scope = suiteScope();
  let gateway: TestGateway;
  before(async () => {
    const { cert, key } = await (await Authority.create(scope)).issue('gateway', ['a.test', 'b.test']);
    gateway = await startTestGateway(scope, {
      gateway: {
        host: undefined,
        port: undefined,
        listeners: [{ host: '127.0.0.1', port: 0, tls: { certificates: [{ cert, key }] } }],
      },
      routes: ['a', 'b'].map((name) => ({
        match: { path: '/*', hosts: [`${name}.test`] },
        respond: { status: 200, body: name },
        auth: 'public',
      })),
    });
  });

  const secure = async (options: ConnectionOptions = {}): Promise<TLSSocket> => {
    const socket = connectTls({
      port: gateway.port,
      host: '127.0.0.1',
      servername: 'a.test',
      rejectUnauthorized: false,
      ALPNProtocols: ['h2'],
      ...options,
    });
    scope.after(() => void socket.destroy());
    await once(socket, 'secureConnect');
    assert.equal(socket.alpnProtocol, 'h2');
    return socket;
  };
  const speak = (socket: TLSSocket): Http2Peer => {
    const peer = new Http2Peer(socket);
    peer.send(f.PREFACE, f.settingsFrame([]));
    return peer;
  };
  const at = (authority: string) =>
    get('/').map(([name, value]) => [name, name === ':authority' ? authority : value] as const);

  test('§9.1.1: one connection serves every host that the gateway has, and says 404 and not 421 to others', async () => {
    const peer = speak(await secure());
    const found: [string, string][] = [];
    for (const [i, host] of ['a.test', 'b.test', 'c.test'].entries()) {
      peer.headers(2 * i + 1, at(host));
      const { status, body } = await peer.response(2 * i + 1);
      found.push([status, status === '200' ? body : '']);
    }
    assert.deepEqual(found, [
      ['200', 'a'],
      ['200', 'b'],
      ['404', ''],
    ]);
  });

  test('§9.2.1: TLS 1.2 is not negotiated anew', async () => {
    const socket = await secure({ maxVersion: 'TLSv1.2' });
    const peer = speak(socket);
    peer.headers(1, at('a.test'));
    assert.equal((await peer.response(1)).status, '200');
    const error = await new Promise<Error | null>((resolve) => {
      socket.on('error', resolve);
      socket.renegotiate({ rejectUnauthorized: false }, resolve);
    });
    assert.ok(error instanceof Error, 'a second handshake was made');
  });

  test('§9.2.2: TLS 1.2 with ephemeral keys and AEAD speaks HTTP/2', async () => {
    const socket = await secure({
      maxVersion: 'TLSv1.2',
      ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256',
      ecdhCurve: 'P-256',
    });
    const peer = speak(socket);
    peer.headers(1, at('a.test'));
    assert.equal((await peer.response(1)).status, '200');
    assert.equal(socket.getCipher().standardName, 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256');
  });
});
