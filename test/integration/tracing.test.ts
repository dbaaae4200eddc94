/**
 * Traces from a request to a collector of the real protocol: whole, joined with those of others, sampled as said, and
 * no burden when the collector is.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { type Collector, grpcCollector, httpCollector, type ReceivedSpan } from '../support/otlp-collector.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';
const KINDS = { internal: 1, server: 2, client: 3 };

const spansArrive = (collector: Collector, count: number) =>
  until(() => collector.spans.length >= count, `${count} spans at the collector`, 30_000);
const kindOf = (spans: readonly ReceivedSpan[], kind: keyof typeof KINDS) =>
  spans.filter((span) => span.kind === KINDS[kind]);

describe('traces', () => {
  it('have a span for the exchange and one for each attempt, as the services were told', async (t) => {
    const collector = await httpCollector(t);
    const told: string[] = [];
    let count = 0;
    const upstream = await httpUpstream(t, (request, response) => {
      told.push(String(request.headers['traceparent']));
      response.statusCode = count++ === 0 ? 503 : 200;
      response.end('ok');
    });
    const gateway = await startTestGateway(t, {
      gateway: {
        tracing: { endpoint: collector.url, ratio: 1, attributes: { 'deployment.environment.name': 'test' } },
      },
      services: {
        notes: {
          instances: [{ url: `${upstream.url}/base` }],
          retries: { attempts: 2, statuses: [503], backoff: { base: 1, max: 2 } },
        },
      },
      routes: [{ name: 'notes', match: { path: '/api/notes/:id' }, service: 'notes', auth: 'public' }],
    });
    const response = await fetch(`${gateway.url}/api/notes/7?secret=1`, {
      headers: { traceparent: `00-${TRACE}-${PARENT}-00`, tracestate: 'vendor=1,ot=th:8;rv:1', baggage: 'tenant=a' },
    });
    assert.equal(response.status, 200);
    await spansArrive(collector, 3);
    const [server] = kindOf(collector.spans, 'server');
    const clients = kindOf(collector.spans, 'client');
    assert.ok(server !== undefined && clients.length === 2);
    assert.equal(server.name, 'GET /api/notes/:id');
    assert.deepEqual([server.traceId, server.parentId], [TRACE, PARENT]);
    // The decision is this gateway's own: its probability takes the place of another's.
    assert.equal(server.traceState, 'ot=th:0,vendor=1');
    assert.equal(server.attributes['http.response.status_code'], 200);
    assert.equal(server.attributes['url.path'], '/api/notes/7');
    assert.equal(server.attributes['gatehouse.route'], 'notes');
    assert.equal(server.schemaUrl, 'https://opentelemetry.io/schemas/1.45.0');
    assert.equal(server.resource['service.name'], 'gatehouse');
    assert.equal(server.resource['deployment.environment.name'], 'test');
    assert.deepEqual(
      clients.map(({ parentId, traceId }) => [parentId, traceId]),
      [
        [server.spanId, TRACE],
        [server.spanId, TRACE],
      ],
    );
    assert.deepEqual(
      clients.map(({ attributes }) => attributes['http.response.status_code']),
      [503, 200],
    );
    assert.equal(clients[1]?.attributes['http.request.resend_count'], 1);
    assert.deepEqual(
      clients.map(({ status }) => status),
      [2, 0],
    );
    assert.equal(clients[0]?.attributes['url.full'], `${upstream.url}/base/api/notes/7`);
    // Each attempt was told the id of its own span.
    assert.deepEqual(
      told,
      clients.map(({ spanId }) => `00-${TRACE}-${spanId}-01`),
    );
    for (const client of clients) assert.ok(client.startMs >= server.startMs && client.endMs <= server.endMs + 0.01);
    assert.doesNotMatch(JSON.stringify(collector.spans), /secret/);
  });

  it('go on under the id of whoever called, but strangers do not decide what is sampled', async (t) => {
    const collector = await httpCollector(t);
    const seen: Record<string, unknown>[] = [];
    const upstream = await httpUpstream(t, (request, response) => {
      seen.push({ ...request.headers });
      response.end('ok');
    });
    const document = (trustProxy: string[], parent: string) => ({
      gateway: { trustProxy, tracing: { endpoint: collector.url, ratio: 0, parent } },
      services: { a: { instances: [{ url: upstream.url }] } },
      routes: [{ match: { path: '/*' }, service: 'a', auth: 'public' }],
    });
    const sampled = { traceparent: `00-${TRACE}-${PARENT}-01`, tracestate: 'v=1', baggage: 'tenant=a' };
    const stranger = await startTestGateway(t, document([], 'trusted'));
    await (await fetch(`${stranger.url}/`, { headers: sampled })).text();
    assert.match(String(seen[0]?.['traceparent']), new RegExp(`^00-${TRACE}-[0-9a-f]{16}-00$`));
    assert.deepEqual([seen[0]?.['tracestate'], seen[0]?.['baggage']], ['v=1', 'tenant=a']);
    const trusting = await startTestGateway(t, document(['127.0.0.1'], 'trusted'));
    await (await fetch(`${trusting.url}/`, { headers: sampled })).text();
    assert.match(String(seen[1]?.['traceparent']), new RegExp(`^00-${TRACE}-[0-9a-f]{16}-01$`));
    await spansArrive(collector, 2);
    assert.equal(collector.spans.length, 2);
    // What is no context begins a new trace, and takes its state along.
    for (const traceparent of [
      '00-0-0-01',
      `00-${'0'.repeat(32)}-${PARENT}-01`,
      `ff-${TRACE}-${PARENT}-01`,
      'x'.repeat(3_000),
    ]) {
      await (await fetch(`${trusting.url}/`, { headers: { traceparent, tracestate: 'v=1' } })).text();
      const last = seen.at(-1)!;
      assert.match(String(last['traceparent']), /^00-[0-9a-f]{32}-[0-9a-f]{16}-02$/);
      assert.ok(!String(last['traceparent']).includes(TRACE));
      assert.equal(last['tracestate'], undefined);
    }
  });

  it('are recorded when they failed or were slow, though nobody sampled them', async (t) => {
    const collector = await httpCollector(t);
    const upstream = await httpUpstream(t, (request, response) => {
      if (request.url === '/broken') response.writeHead(500).end();
      else if (request.url === '/slow') setTimeout(() => response.end('late'), 2_100);
      else if (request.url === '/cut') {
        response.write('begun');
        setTimeout(() => request.socket.destroy(), 20);
      } else response.writeHead(request.url === '/missing' ? 404 : 200).end();
    });
    const gateway = await startTestGateway(t, {
      gateway: { tracing: { endpoint: collector.url, ratio: 0, slowerThan: '2s' } },
      services: { a: { instances: [{ url: upstream.url }] } },
      routes: [{ match: { path: '/*' }, service: 'a', auth: 'public' }],
    });
    for (const path of ['/fine', '/missing', '/broken', '/slow', '/cut'])
      await fetch(gateway.url + path)
        .then((response) => response.text())
        .catch(() => {});
    await spansArrive(collector, 6);
    const found = kindOf(collector.spans, 'server').map(({ attributes }) => [
      attributes['url.path'],
      attributes['gatehouse.recorded'],
    ]);
    assert.deepEqual(found.sort(), [
      ['/broken', 'error'],
      ['/cut', 'error'],
      ['/slow', 'slow'],
    ]);
  });

  it('show the parts of a composition with their attempts, and policies that waited', async (t) => {
    const collector = await httpCollector(t);
    const asked: string[] = [];
    const authorizer = await httpUpstream(t, (request, response) => {
      asked.push(String(request.headers['traceparent']));
      setTimeout(() => response.end(), 30);
    });
    const upstream = await httpUpstream(t, (request, response) => {
      response.setHeader('content-type', 'application/json');
      response.statusCode = request.url === '/bad' ? 500 : 200;
      response.end('{}');
    });
    const gateway = await startTestGateway(t, {
      gateway: { tracing: { endpoint: collector.url, ratio: 1, policies: 10 } },
      services: { a: { instances: [{ url: upstream.url }] } },
      routes: [
        {
          name: 'both',
          match: { path: '/both' },
          auth: { external: { url: authorizer.url } },
          aggregate: {
            parts: {
              one: { service: 'a', path: '/one' },
              two: { service: 'a', path: '/bad', onFailure: 'omit' },
            },
          },
        },
      ],
    });
    await (await fetch(`${gateway.url}/both`, { headers: { authorization: 'Bearer x' } })).text();
    await spansArrive(collector, 6);
    const inner = kindOf(collector.spans, 'internal');
    assert.deepEqual(inner.map(({ name }) => name).sort(), ['authenticate', 'part one', 'part two']);
    const identity = inner.find(({ name }) => name === 'authenticate')!;
    assert.equal(identity.attributes['gatehouse.policy'], 'auth');
    assert.equal(identity.attributes['gatehouse.route'], 'both');
    assert.equal(identity.attributes['server.address'], new URL(authorizer.url).host);
    assert.ok(identity.endMs - identity.startMs >= 29);
    // The authorizer goes on in the same trace, below that span.
    assert.deepEqual(asked, [`00-${identity.traceId}-${identity.spanId}-03`]);
    const part = inner.find(({ name }) => name === 'part two')!;
    assert.equal(part.status, 2);
    const attempt = kindOf(collector.spans, 'client').find(({ parentId }) => parentId === part.spanId);
    assert.equal(attempt?.attributes['http.response.status_code'], 500);
  });

  it('show what a handler asks of services, which get the trace', async (t) => {
    const collector = await httpCollector(t);
    const told = new Map<string, string[]>();
    const upstream = await httpUpstream(t, (request, response) => {
      const { traceparent = [] } = request.headersDistinct;
      told.set(request.url ?? '', traceparent);
      if (request.url === '/gone') {
        request.socket.destroy();
        return;
      }
      response.statusCode = request.url === '/bad' ? 500 : 200;
      response.end('ok');
    });
    const folder = await mkdtemp(join(tmpdir(), 'gh-traced-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const file = join(folder, 'mine.ts');
    await writeFile(
      file,
      `import { defineHandler } from 'gatehouse/policy';
      export default defineHandler(async (request, context) => {
        const good = await context.fetch('service:a/good', { headers: request.headers });
        const bad = await context.fetch('service:a/bad');
        const gone = await context.fetch('service:a/gone').catch(({ reason }) => reason);
        return new Response(await good.text() + bad.status + await bad.text() + gone);
      });`,
    );
    const gateway = await startTestGateway(t, {
      gateway: { tracing: { endpoint: collector.url, ratio: 1 } },
      services: {
        a: { instances: [{ url: upstream.url }], retries: 0 },
      },
      routes: [{ match: { path: '/h' }, auth: 'public', handler: file }],
    });
    const headers = { traceparent: `00-${TRACE}-${PARENT}-01` };
    assert.equal(await (await fetch(`${gateway.url}/h`, { headers })).text(), 'ok500okupstream_reset');
    await spansArrive(collector, 7);
    const [server] = kindOf(collector.spans, 'server');
    const inner = kindOf(collector.spans, 'internal');
    assert.deepEqual(
      inner.map(({ name, status, parentId }) => [name, status, parentId]),
      [
        ['service a', 0, server!.spanId],
        ['service a', 2, server!.spanId],
        ['service a', 2, server!.spanId],
      ],
    );
    const clients = kindOf(collector.spans, 'client');
    assert.deepEqual(
      clients.map(({ parentId }) => parentId),
      inner.map(({ spanId }) => spanId),
    );
    assert.ok([server!, ...inner, ...clients].every(({ traceId }) => traceId === TRACE));
    assert.deepEqual(told.get('/good'), [`00-${TRACE}-${clients[0]!.spanId}-01`]);
    assert.deepEqual(told.get('/bad'), [`00-${TRACE}-${clients[1]!.spanId}-01`]);
  });

  it('show an introspection however fast it was, and a policy that computed for long', async (t) => {
    const collector = await httpCollector(t);
    const asked: string[] = [];
    const issuer = await httpUpstream(t, (request, response) => {
      asked.push(String(request.headers['traceparent']));
      response.setHeader('content-type', 'application/json');
      response.end('{"active":true,"sub":"ann"}');
    });
    const folder = await mkdtemp(join(tmpdir(), 'gh-slow-policy-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const file = join(folder, 'slow.mjs');
    await writeFile(
      file,
      `import { definePolicy } from 'gatehouse/policy';
      export default definePolicy({
        name: 'slow',
        create: () => ({
          requestHead() {
            const untilMs = performance.now() + 20;
            while (performance.now() < untilMs);
          },
        }),
      });`,
    );
    const gateway = await startTestGateway(t, {
      gateway: { tracing: { endpoint: collector.url, ratio: 1, policies: '19ms' } },
      routes: [
        { name: 'who', match: { path: '/who' }, auth: { introspect: { url: issuer.url } }, respond: { body: 'you' } },
        { name: 'slow', match: { path: '/slow' }, auth: 'public', use: file, respond: { body: 'late' } },
      ],
    });
    assert.equal((await fetch(`${gateway.url}/who`, { headers: { authorization: 'Bearer opaque' } })).status, 200);
    assert.equal((await fetch(`${gateway.url}/slow`)).status, 200);
    await spansArrive(collector, 4);
    const inner = kindOf(collector.spans, 'internal');
    const who = inner.find(({ name }) => name === 'authenticate');
    assert.deepEqual(
      [who?.attributes['gatehouse.route'], who?.attributes['server.address']],
      ['who', new URL(issuer.url).host],
    );
    assert.deepEqual(asked, [`00-${who?.traceId}-${who?.spanId}-03`]);
    const slow = inner.find(({ name }) => name === 'requestHead');
    assert.deepEqual([slow?.attributes['gatehouse.policy'], slow?.attributes['gatehouse.route']], ['slow', 'slow']);
    assert.ok(slow!.endMs - slow!.startMs >= 19);
  });

  it('go by gRPC as well, with fields of the configuration, and are named by the standard variables', async (t) => {
    const collector = await grpcCollector(t);
    const upstream = await httpUpstream(t, (_, response) => void response.end('ok'));
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
      OTEL_EXPORTER_OTLP_HEADERS: 'x-key=abc%20d',
      OTEL_TRACES_SAMPLER: 'parentbased_always_on',
      OTEL_SERVICE_NAME: 'edge',
      OTEL_RESOURCE_ATTRIBUTES: 'team=core,region=eu',
    };
    const gateway = await startTestGateway(
      t,
      {
        services: { a: { instances: [{ url: upstream.url }] } },
        routes: [{ match: { path: '/*' }, service: 'a', auth: 'public' }],
      },
      env,
    );
    await (await fetch(`${gateway.url}/`)).text();
    await spansArrive(collector, 2);
    assert.equal(collector.fields['x-key'], 'abc d');
    const { resource } = collector.spans[0]!;
    assert.deepEqual([resource['service.name'], resource['team'], resource['region']], ['edge', 'core', 'eu']);
  });

  it('go where the standard variables say, named and sampled as they say, or not at all', async (t) => {
    const collector = await httpCollector(t);
    const document = { routes: [{ match: { path: '/*' }, respond: { body: 'x' }, auth: 'public' as const }] };
    const start = (env: Record<string, string>) =>
      startTestGateway(t, document, { OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}/otlp`, ...env });
    const sampled = await start({
      OTEL_TRACES_SAMPLER: 'traceidratio',
      OTEL_SERVICE_NAME: 'edge',
      OTEL_RESOURCE_ATTRIBUTES: 'service.name=other,team=a%2Cb',
      OTEL_PROPAGATORS: 'b3',
    });
    await (await fetch(`${sampled.url}/seen`)).text();
    await spansArrive(collector, 1);
    assert.equal(collector.fields['path'], '/otlp/v1/traces');
    const { resource } = collector.spans[0]!;
    assert.deepEqual([resource['service.name'], resource['team']], ['edge', 'a,b']);
    assert.equal(sampled.logged.filter((line) => line.includes('OTEL_PROPAGATORS has no effect')).length, 1);
    const before = collector.requests;
    for (const env of [
      { OTEL_SDK_DISABLED: 'true' },
      { OTEL_TRACES_EXPORTER: 'none' },
      { OTEL_TRACES_SAMPLER: 'always_off' },
    ] satisfies Record<string, string>[]) {
      const silent = await start(env);
      await (await fetch(`${silent.url}/unseen`)).text();
      // What is left is sent before it has stopped.
      await silent.stop();
    }
    assert.equal(collector.requests, before);
  });

  it('are named in the access log', async (t) => {
    const collector = await httpCollector(t);
    const upstream = await httpUpstream(t, (_, response) => void response.end('ok'));
    const folder = await mkdtemp(join(tmpdir(), 'gh-trace-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const file = join(folder, 'access.log');
    const gateway = await startTestGateway(t, {
      gateway: { accessLog: { file }, tracing: { endpoint: collector.url, ratio: 1 } },
      services: { a: { instances: [{ url: upstream.url }] } },
      routes: [{ match: { path: '/*' }, service: 'a', auth: 'public' }],
    });
    await (await fetch(`${gateway.url}/`)).text();
    await spansArrive(collector, 2);
    await until(() => readFileSync(file, 'utf8').includes('\n'), 'the record');
    const record = JSON.parse(readFileSync(file, 'utf8').split('\n')[0]!) as { trace_id: string };
    assert.equal(record.trace_id, collector.spans[0]?.traceId);
  });
});
