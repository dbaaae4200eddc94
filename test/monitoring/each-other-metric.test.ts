/** Metrics of the cluster, of issuers, API documents and waiting spans, after what moves them. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { it } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { httpCollector } from '../support/otlp-collector.ts';
import { assertSeries, some } from '../support/series.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

const ROOT = 'root-key-0123456789abcdef0123456789';

it('each metric of a node of a cluster', { timeout: 240_000 }, async (t) => {
  const gateway = await startTestGateway(
    t,
    {
      cluster: { name: 'test', node: 'one', heartbeat: '300ms', rollout: { watch: '0s', waves: ['100%'] } },
      abuse: {},
      routes: [{ match: { path: '/hello' }, auth: 'public', respond: { status: 200, body: 'own' } }],
    },
    {
      GATEHOUSE_MASTER_KEY: 'a-master-key-of-at-least-32-bytes-012345',
      API_KEY_1: `${ROOT}:root:limits:admin,cluster:admin:premium`,
    },
  );
  await assertSeries(gateway.url, [
    ['gatehouse_cluster_queen', 1],
    ['gatehouse_cluster_epoch', some],
    ['gatehouse_cluster_store_available', 1],
    ['gatehouse_cluster_version', 0],
  ]);
  const post = async (path: string, body: object): Promise<void> => {
    const init = { method: 'POST', headers: { 'x-api-key': ROOT, 'content-type': 'application/json' } };
    const response = await fetch(`${gateway.url}/api/v1${path}`, { ...init, body: JSON.stringify(body) });
    assert.ok(response.status < 300, `${path}: ${response.status} ${await response.text()}`);
  };
  await post('/bans', { kind: 'address', subject: '192.0.2.9', reason: 'test', for: '1h' });
  const document = 'routes: [{ match: { path: /hello }, auth: public, respond: { status: 200, body: new } }]';
  await post('/cluster/rollouts', { document, reason: 'test' });
  const abort = new AbortController();
  t.after(() => abort.abort());
  const stream = await fetch(`${gateway.url}/api/v1/cluster/events`, {
    headers: { 'x-api-key': ROOT, accept: 'text/event-stream' },
    signal: abort.signal,
  });
  assert.equal(stream.status, 200);
  await assertSeries(gateway.url, [
    ['gatehouse_cluster_version', 1],
    ['gatehouse_cluster_event_listeners', 1],
    ['gatehouse_cluster_rollouts_total{end="done",judged="no"}', 1],
    ['gatehouse_cluster_facts_total{direction="told"}', some],
    ['gatehouse_cluster_facts_waiting', 0],
  ]);
  // Read to the end, or the client would close it.
  assert.equal(stream.bodyUsed, false);
});

it('keys of issuers that come and that do not', { timeout: 240_000 }, async (t) => {
  const jwk = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' });
  const upstream = await httpUpstream(t, (request, response) => {
    response.setHeader('content-type', 'application/json');
    if (request.url === '/good') response.end(JSON.stringify({ keys: [{ ...jwk, kid: 'one', alg: 'ES256' }] }));
    else response.writeHead(500).end();
  });
  const issuer = (name: string) => ({
    issuer: `https://${name}.example`,
    audience: 'api',
    jwks: `${upstream.url}/${name}`,
  });
  const gateway = await startTestGateway(t, {
    issuers: { good: issuer('good'), bad: issuer('bad') },
    routes: [{ match: { path: '/a' }, respond: { status: 200 }, auth: { jwt: {} } }],
  });
  await assertSeries(gateway.url, [
    ['gatehouse_issuer_keys', 1],
    ['gatehouse_issuer_fetch_failures', some],
  ]);
});

it('API documents that cannot be fetched', { timeout: 240_000 }, async (t) => {
  const upstream = await httpUpstream(t, (_, response) => void response.writeHead(500).end());
  const gateway = await startTestGateway(t, {
    openapi: { services: { pets: { path: '/openapi.json' } } },
    services: { pets: { instances: [upstream.url] } },
    routes: [{ match: { path: '/*' }, service: 'pets', auth: 'public' }],
  });
  assert.equal((await fetch(`${gateway.url}/openapi.json`)).status, 200);
  await assertSeries(gateway.url, [
    ['gatehouse_openapi_fetch_failures_total', 1],
    ['gatehouse_openapi_problems', some],
  ]);
});

it('spans that wait for a collector that takes none', { timeout: 240_000 }, async (t) => {
  const collector = await httpCollector(t);
  collector.behaviour = 'silent';
  const gateway = await startTestGateway(t, {
    gateway: { tracing: { endpoint: collector.url, ratio: 1, timeout: '60s' } },
    routes: [{ match: { path: '/a' }, respond: { status: 200 }, auth: 'public' }],
  });
  // Two exports are under way for ever; what comes after them waits.
  const isTaken = async (): Promise<boolean> => {
    await (await fetch(`${gateway.url}/a`)).arrayBuffer();
    return collector.requests >= 2;
  };
  await until(isTaken, 'two exports are under way', 30_000);
  for (let i = 0; i < 10; i++) await (await fetch(`${gateway.url}/a`)).arrayBuffer();
  await assertSeries(gateway.url, [['gatehouse_trace_spans_waiting', some]]);
});
