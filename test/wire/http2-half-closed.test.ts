/**
 * A client that ends its side of an HTTP/2 connection and waits: what it asked for in whole is answered, the rest ends.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { before, describe, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import * as f from '../../src/data/http2/frames.ts';
import { Authority } from '../support/certificates.ts';
import { startTestGateway } from '../support/gateway.ts';
import { frame, get, Http2Peer, post } from '../support/http2-peer.ts';
import { type Scope, suiteScope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

const BODY = randomBytes(40_000).toString('hex');

describe('a client that ends its side', () => {
  const scope = suiteScope();
  let authority: Authority;
  const ports = { plain: 0, tls: 0 };
  const held = new Map<string, ServerResponse>();
  const gone = new Set<string>();
  before(async () => {
    authority = await Authority.create(scope);
    await authority.issue('localhost', ['localhost']);
    const [cert, key] = ['crt', 'key'].map((kind) => `${authority.folder}/localhost.${kind}`);
    const upstream = await httpUpstream(scope, (request, response) => {
      request.on('error', () => {});
      held.set(request.url!, response);
      response.on('close', () => {
        if (!response.writableFinished) gone.add(request.url!);
      });
    });
    const settings = {
      services: { s: { instances: [upstream.url], retries: 0 } },
      routes: [{ match: { path: '/*' }, service: 's', auth: 'public', requestBuffer: 'off' }],
    };
    const listener = { host: '127.0.0.1', port: 0, tls: { certificates: [{ cert, key }] } };
    const [plain, tls] = await Promise.all([
      startTestGateway(scope, settings),
      startTestGateway(scope, {
        ...settings,
        gateway: { port: undefined, host: undefined, listeners: [listener] },
      }),
    ]);
    ports.plain = plain.port;
    ports.tls = tls.port;
  });

  async function connect(t: Scope, kind: 'plain' | 'tls'): Promise<Http2Peer> {
    if (kind === 'plain') return Http2Peer.connect(t, ports.plain);
    const socket = connectTls({
      port: ports.tls,
      host: '127.0.0.1',
      servername: 'localhost',
      ca: authority.ca.certPem,
      ALPNProtocols: ['h2'],
    });
    t.after(() => void socket.destroy());
    const peer = new Http2Peer(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve);
      socket.once('error', reject);
    });
    peer.send(f.PREFACE, f.settingsFrame([]));
    return peer;
  }

  const asked = (path: string) => until(() => held.has(path), `the service has ${path}`, 60_000);

  for (const kind of ['plain', 'tls'] as const) {
    test(`gets whole responses to whole requests, and then the end (${kind})`, async (t) => {
      const peer = await connect(t, kind);
      const [one, two] = [`/one-${kind}`, `/two-${kind}`];
      peer.headers(1, get(one));
      peer.headers(3, post(two), f.END_HEADERS);
      peer.data(3, 'all of it', f.END_STREAM);
      peer.socket.end();
      await Promise.all([asked(one), asked(two)]);
      held.get(one)!.end('first');
      assert.equal((await peer.response(1)).body, 'first');
      held.get(two)!.end(BODY.slice(0, 30_000));
      assert.equal((await peer.response(3)).body, BODY.slice(0, 30_000));
      await peer.closed();
      assert.deepEqual([gone.has(one), gone.has(two)], [false, false]);
    });

    test(`a request that is not whole ends, and the others go on (${kind})`, async (t) => {
      const peer = await connect(t, kind);
      const [whole, part] = [`/whole-${kind}`, `/part-${kind}`];
      peer.headers(1, get(whole));
      peer.headers(3, post(part), f.END_HEADERS);
      peer.data(3, 'some of it');
      await Promise.all([asked(whole), asked(part)]);
      peer.socket.end();
      await until(() => gone.has(part), 'the service hears of it', 60_000);
      held.get(whole)!.end('whole');
      assert.equal((await peer.response(1)).body, 'whole');
      await peer.closed();
    });

    test(`a client that is gone is no client that waits: its requests are cancelled (${kind})`, async (t) => {
      const peer = await connect(t, kind);
      const path = `/gone-${kind}`;
      peer.headers(1, get(path));
      await asked(path);
      peer.socket.destroy();
      await until(() => gone.has(path), 'the service hears of it', 60_000);
    });
  }

  test('RFC 9113 §6.8: who says GOAWAY gets what it asked for before', async (t) => {
    const peer = await connect(t, 'plain');
    peer.headers(1, get('/before'));
    await asked('/before');
    peer.send(f.goawayFrame(0, f.NO_ERROR, ''));
    await peer.settled();
    held.get('/before')!.end('after');
    assert.equal((await peer.response(1)).body, 'after');
  });

  test('a frame that is cut off by the end opens nothing', async (t) => {
    const peer = await connect(t, 'plain');
    peer.headers(1, get('/rest'));
    peer.send(frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, 3, 'xxxx').subarray(0, 11));
    peer.socket.end();
    await asked('/rest');
    held.get('/rest')!.end('fine');
    assert.equal((await peer.response(1)).body, 'fine');
    await peer.closed();
  });

  test('without requests the connection ends at once', async (t) => {
    const peer = await connect(t, 'plain');
    await peer.settled();
    peer.socket.end();
    await peer.closed();
  });
});
