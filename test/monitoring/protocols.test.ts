/**
 * The protocols of clients and instances in the metrics: bounded, each where it is spoken, and none that nobody speaks.
 */
import assert from 'node:assert/strict';
import { createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { it } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { get, Http2Peer } from '../support/http2-peer.ts';
import { RawCaller } from '../support/raw.ts';
import { assertSeries, readSeries } from '../support/series.ts';
import { httpUpstream } from '../support/upstream.ts';

it('requests are counted by the protocol of the client and by that of the instance', async (t) => {
  const one = await httpUpstream(t, (_, response) => response.end('one'));
  const two = createServer((_, response) => response.end('two'));
  const sessions: { destroy(): void }[] = [];
  two.on('session', (session) => void sessions.push(session));
  await new Promise<void>((resolve) => two.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const session of sessions) session.destroy();
    two.close();
  });
  const url = `http://127.0.0.1:${(two.address() as AddressInfo).port}`;
  const gateway = await startTestGateway(t, {
    services: { one: { instances: [one.url] }, two: { instances: [url], protocol: 'h2' } },
    routes: ['one', 'two'].map((name) => ({ name, match: { path: `/${name}` }, service: name, auth: 'public' })),
  });
  const multiplexed = await Http2Peer.connect(t, gateway.port);
  for (const [stream, path] of [
    [1, '/one'],
    [3, '/two'],
    [5, '/two'],
  ] as const) {
    multiplexed.headers(stream, get(path));
    assert.equal((await multiplexed.response(stream)).status, '200');
  }
  const plain = new RawCaller(gateway.port);
  assert.equal((await plain.send('GET /two HTTP/1.1\r\nHost: a\r\n\r\n').answer()).status, 200);
  plain.close();

  const ofRoute = (route: string, protocol: string) =>
    `gatehouse_protocol_requests_total{route="${route}",protocol="${protocol}"}`;
  const ofInstance = (service: string, instance: string, protocol: string) =>
    `gatehouse_upstream_protocol_requests_total{service="${service}",instance="${instance}",protocol="${protocol}"}`;
  await assertSeries(gateway.url, [
    [ofRoute('one', 'h2'), 1],
    [ofRoute('two', 'h2'), 2],
    [ofRoute('two', 'http/1.1'), 1],
    [ofInstance('one', one.url, 'http/1.1'), 1],
    [ofInstance('two', url, 'h2'), 3],
    ['gatehouse_upstream_http2_connections_active', 1],
    ['gatehouse_upstream_http2_connections_opened_total', 1],
  ]);
  const series = await readSeries(gateway.url);
  assert.equal(series.has(ofRoute('one', 'http/1.1')), false);
  assert.equal(series.has(ofInstance('two', url, 'http/1.1')), false);
  // The instance ends its connection.
  for (const session of sessions) session.destroy();
  await assertSeries(gateway.url, [['gatehouse_upstream_http2_connections_active', 0]]);
});
