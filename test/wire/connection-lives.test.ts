/**
 * How connections to instances end, with whole gateways: by age under load, by silence, by idleness, by the instance.
 * No request is lost that need not be, and each end is counted by its reason.
 */
import assert from 'node:assert/strict';
import { createServer as createHttp2 } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import * as f from '../../src/data/http2/frames.ts';
import { Authority } from '../support/certificates.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { block, frame, Http2Peer } from '../support/http2-peer.ts';
import { RawCaller } from '../support/raw.ts';
import type { Scope } from '../support/scope.ts';
import { assertSeries, readSeries, some } from '../support/series.ts';
import { until } from '../support/until.ts';
import { httpUpstream, readAll } from '../support/upstream.ts';

const BODY = 'x'.repeat(20_000);

const gatewayFor = (t: Scope, url: string, pool: object, more: object = {}): Promise<TestGateway> =>
  startTestGateway(t, {
    services: { s: { instances: [url], retries: 0, pool, ...more } },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
  });

const ended = (reason: string): string => `gatehouse_upstream_connections_closed_total{service="s",reason="${reason}"}`;

/** Uploads and downloads without a pause until `isEnough`; what came that is not right. */
async function load(url: string, clients: number, isEnough: () => boolean): Promise<{ asked: number; bad: string[] }> {
  const bad: string[] = [];
  let asked = 0;
  const client = async (): Promise<void> => {
    while (!isEnough()) {
      asked++;
      const response = await fetch(url, { method: 'POST', body: BODY });
      const text = await response.text();
      if (response.status !== 200 || text !== BODY) bad.push(`${response.status} ${text.slice(0, 200)}`);
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  return { asked, bad };
}

describe('connections to instances', () => {
  test('over HTTP/1.1 they end by age under load and no request is lost', async (t) => {
    let connections = 0;
    const upstream = await httpUpstream(t, (request, response) => {
      readAll(request).then(
        (body) => response.end(body),
        () => {},
      );
    });
    upstream.server.on('connection', () => void connections++);
    const gateway = await gatewayFor(t, upstream.url, { maxAge: '1s', maxConnections: 4 });
    const { asked, bad } = await load(gateway.url, 8, () => connections >= 12);
    assert.deepEqual(bad, []);
    assert.ok(asked > 50, `${asked} requests`);
    await assertSeries(gateway.url, [[ended('age'), (count) => count >= 8]]);
    assert.equal((await readSeries(gateway.url)).get(ended('instance')), 0);
  });

  test('over HTTP/2 likewise, on one connection at a time', async (t) => {
    let connections = 0;
    const server = createHttp2((request, response) => {
      readAll(request as never).then(
        (body) => response.end(body),
        () => {},
      );
    });
    const sessions: { destroy(): void }[] = [];
    server.on('session', (session) => {
      connections++;
      sessions.push(session);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => {
      for (const session of sessions) session.destroy();
      server.close();
    });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const gateway = await gatewayFor(t, url, { maxAge: '1s', maxConnections: 1 }, { protocol: 'h2' });
    const { asked, bad } = await load(gateway.url, 8, () => connections >= 4);
    assert.deepEqual(bad, []);
    assert.ok(asked > 50, `${asked} requests`);
    await assertSeries(gateway.url, [[ended('age'), (count) => count >= 3]]);
  });

  test('an instance that never replies to PING is found out with a request on it, and while idle', async (t) => {
    const peers: Http2Peer[] = [];
    const upstream = await Http2Peer.serve(t, (peer, nth) => {
      // It reads, and says nothing: not to the request, not to PING, not to SETTINGS.
      const { send } = peer;
      peer.send = (...frames) => {
        if (frames.every((bytes) => bytes[3] !== f.SETTINGS || bytes[4] !== f.ACK)) send.call(peer, ...frames);
      };
      peers.push(peer);
      if (nth === 0) return;
      const answer = async (): Promise<void> => {
        const { stream } = await peer.request();
        peer.send(frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, stream, block([[':status', '204']])));
      };
      answer().catch(() => {});
    });
    const pool = { pingAfter: '1s', pingTimeout: '1s', idleTimeout: '1h' };
    const gateway = await gatewayFor(t, upstream.url, pool, { protocol: 'h2' });
    const hung = await fetch(`${gateway.url}/hung`);
    const { reason } = (await hung.json()) as { reason: string };
    assert.deepEqual([hung.status, reason], [502, 'upstream_reset']);
    await assertSeries(gateway.url, [
      ['gatehouse_upstream_pings_sent_total{service="s"}', 1],
      ['gatehouse_upstream_pings_unanswered_total{service="s"}', 1],
      [ended('ping'), 1],
    ]);
    // The second one serves a request, then dies while nothing is asked of it.
    assert.equal((await fetch(`${gateway.url}/well`)).status, 204);
    await peers[1]!.closed();
    assert.equal((await fetch(`${gateway.url}/well`)).status, 204);
    assert.equal(upstream.connections, 3);
    await assertSeries(gateway.url, [[ended('ping'), some]]);
  });

  test('those that are idle, or that the instance ends, are counted as that', async (t) => {
    const upstream = await httpUpstream(t, (request, response) => {
      if (request.url === '/close') response.setHeader('connection', 'close');
      response.end('yes');
    });
    const gateway = await gatewayFor(t, upstream.url, { idleTimeout: '200ms' });
    const caller = new RawCaller(gateway.port);
    t.after(() => caller.close());
    assert.equal((await caller.send('GET /close HTTP/1.1\r\nHost: a\r\n\r\n').answer()).status, 200);
    assert.equal((await caller.send('GET /stay HTTP/1.1\r\nHost: a\r\n\r\n').answer()).status, 200);
    await assertSeries(gateway.url, [
      [ended('instance'), 1],
      [ended('idle'), 1],
      [ended('age'), 0],
    ]);
  });

  test('one made under the TLS of before a reload takes no request after it, also when it was in use', async (t) => {
    const authority = await Authority.create(t);
    const { certPem, keyPem } = await authority.issue('localhost', ['localhost', 'other.test']);
    const { createServer } = await import('node:https');
    const names: string[] = [];
    let release = (): void => {};
    const server = createServer({ cert: certPem, key: keyPem }, (request, response) => {
      names.push((request.socket as unknown as { servername: string }).servername);
      if (request.url === '/slow') release = () => response.end('slow');
      else response.end('quick');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    const tls = { ca: authority.ca.cert, serverName: 'localhost' };
    const url = `https://localhost:${(server.address() as AddressInfo).port}`;
    const gateway = await gatewayFor(t, url, {}, { tls });
    const slow = fetch(`${gateway.url}/slow`);
    await until(() => names.length === 1, 'the slow request');
    tls.serverName = 'other.test';
    assert.equal((await gateway.reload()).ok, true);
    release();
    assert.equal(await (await slow).text(), 'slow');
    assert.equal(await (await fetch(`${gateway.url}/quick`)).text(), 'quick');
    assert.deepEqual(names, ['localhost', 'other.test']);
  });
});
