/** Metrics of what should not happen, and does here: each above 0 after the traffic that moves it. */
import assert from 'node:assert/strict';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { Authority } from '../support/certificates.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { assertSeries } from '../support/series.ts';
import { until } from '../support/until.ts';
import { deadPort, httpUpstream, rawUpstream } from '../support/upstream.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const SOON_MS = 60_000;

const get = async ({ url }: TestGateway, path: string): Promise<number> => {
  const response = await fetch(url + path);
  await response.arrayBuffer();
  return response.status;
};

describe('metrics of what is rare', () => {
  it('count hedges, and requests that met a connection which the service was closing', async (t) => {
    const slow = await httpUpstream(t, (_, response) => void setTimeout(() => response.end('late'), 400));
    // The first request of a connection is answered; the next one finds it ended.
    const stale = await rawUpstream(t, (socket) => {
      let heads = 0;
      socket.on('data', () => (heads++ === 0 ? socket.write(OK) : socket.resetAndDestroy()));
    });
    const gateway = await startTestGateway(t, {
      services: {
        slow: { instances: [slow.url], hedge: { delay: '20ms' }, retries: { budget: '100%', budgetMinimum: 100 } },
        stale: { instances: [stale.url] },
      },
      routes: [
        { match: { path: '/slow' }, service: 'slow', auth: 'public' },
        { match: { path: '/stale' }, service: 'stale', auth: 'public' },
      ],
    });
    assert.equal(await get(gateway, '/slow'), 200);
    assert.equal(await get(gateway, '/stale'), 200);
    assert.equal(await get(gateway, '/stale'), 200);
    await assertSeries(gateway.url, [
      ['gatehouse_hedges_total', 1],
      ['gatehouse_stale_reuses_total', 1],
    ]);
  });

  it('count copies that were not sent, ejections and breakers of instances', async (t) => {
    const good = await httpUpstream(t, (_, response) => void response.end('ok'));
    const dead = `http://127.0.0.1:${await deadPort()}`;
    const bad = await httpUpstream(t, (_, response) => void response.writeHead(500).end());
    const gateway = await startTestGateway(t, {
      services: {
        good: { instances: [good.url] },
        pair: {
          instances: [good.url, dead],
          ejection: { consecutiveFaults: 1, baseEjection: '10m', maxEjection: '10m' },
          retries: 0,
        },
        bad: {
          instances: [bad.url],
          ejection: 'off',
          retries: 0,
          circuitBreaker: { volumeThreshold: 1, resetTimeout: '10m' },
        },
        full: { instances: [{ url: good.url, weight: 0 }] },
      },
      routes: [
        { match: { path: '/copied' }, service: 'good', mirror: { service: 'full' }, auth: 'public' },
        { match: { path: '/pair' }, service: 'pair', auth: 'public' },
        { match: { path: '/bad' }, service: 'bad', auth: 'public' },
      ],
    });
    assert.equal(await get(gateway, '/copied'), 200);
    for (let i = 0; i < 4; i++) await get(gateway, '/pair');
    assert.equal(await get(gateway, '/bad'), 500);
    await assertSeries(gateway.url, [
      ['gatehouse_mirror_dropped_total', 1],
      [`gatehouse_upstream_ejected{service="pair",instance="${dead}"}`, 1],
      [`gatehouse_upstream_ejected{service="pair",instance="${good.url}"}`, 0],
      [`gatehouse_upstream_ejections_total{service="pair",instance="${dead}"}`, 1],
      [`gatehouse_upstream_breaker_open{service="bad",instance="${bad.url}"}`, 1],
      ['gatehouse_breaker_open{service="bad"}', 1],
    ]);
  });

  it('count handshakes that failed, HTTP/2 connections that are open, and workers that were replaced', async (t) => {
    const authority = await Authority.create(t);
    const { cert, key } = await authority.issue('edge', ['localhost']);
    const gateway = await startTestGateway(t, {
      gateway: {
        port: undefined,
        host: undefined,
        listeners: [
          { name: 'plain', port: 0 },
          { name: 'edge', port: 0, tls: { certificates: [{ cert, key }] } },
        ],
      },
      routes: [{ match: { path: '/a' }, respond: { body: 'a' }, auth: 'public' }],
    });
    const { port } = gateway.addresses.find(({ id }) => id === 'edge')!;
    const nonsense = connect(port, '127.0.0.1', () => void nonsense.end('this is no handshake'));
    nonsense.on('error', () => {});
    const session = connectHttp2(`https://localhost:${port}`, { ca: authority.ca.certPem });
    session.on('error', () => {});
    t.after(() => session.destroy());
    await new Promise((resolve) => session.once('connect', resolve));
    await assertSeries(gateway.url, [
      ['gatehouse_tls_handshake_errors_total', 1],
      ['gatehouse_http2_connections_active', 1],
    ]);
    const { workers } = gateway.primary;
    await workers.terminate(0);
    await until(() => workers.listening === 1, 'another worker listens', SOON_MS);
    await assertSeries(gateway.url, [
      ['gatehouse_worker_restarts_total', 1],
      ['gatehouse_http2_connections_active', 0],
    ]);
  });
});
