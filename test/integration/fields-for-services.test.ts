/** Whose word counts for a field of the request that a service gets: the client’s, the gateway’s or a policy’s. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { type IncomingHttpHeaders, request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { policyFile } from '../support/policy-file.ts';
import { RawCaller } from '../support/raw.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

const KEY = 'key-of-bob-0123456789';
const apiKey = { apiKey: { keys: [{ key: KEY, subject: 'bob' }] } };

async function recorder(t: Scope): Promise<{ url: string; rawHeaders: string[][]; headers: IncomingHttpHeaders[] }> {
  const rawHeaders: string[][] = [];
  const headers: IncomingHttpHeaders[] = [];
  const { url } = await httpUpstream(t, (request, response) => {
    rawHeaders.push(request.rawHeaders);
    headers.push(request.headers);
    response.end('ok');
  });
  return { url, rawHeaders, headers };
}

const policyOf = (t: Scope, hooks: string): Promise<string> =>
  policyFile(
    t,
    `import { definePolicy } from 'gatehouse/policy';
let kept = null;
export default definePolicy({ name: 'mine', create: () => (${hooks}) });`,
  );

test('what a policy says of a field stands in place of what the gateway says, and in no second field', async (t) => {
  const service = await recorder(t);
  const collector = await httpUpstream(t, (_, response) => response.end());
  const use = await policyOf(
    t,
    `{ requestHead(request) {
      for (const name of ['X-Auth-Subject', 'X-Forwarded-For', 'X-Request-ID', 'Traceparent']) request.setUpstreamHeader(name, 'mine');
      for (const name of ['X-Auth-Method', 'Forwarded', 'Tracestate']) request.removeUpstreamHeader(name);
    } }`,
  );
  const gateway = await startTestGateway(t, {
    gateway: { tracing: { endpoint: collector.url, ratio: 1, timeout: '200ms' } },
    services: { live: { instances: [{ url: service.url }] } },
    routes: [{ match: { path: '/*' }, service: 'live', auth: apiKey, use }],
  });
  const response = await fetch(gateway.url, {
    headers: { 'x-api-key': KEY, 'x-auth-subject': 'forged', 'x-forwarded-for': '192.0.2.1', tracestate: 'a=b' },
  });
  assert.equal(response.status, 200);
  const names = service.rawHeaders[0]!.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
  assert.deepEqual(names, [...new Set(names)], 'no name twice');
  const seen = service.headers[0]!;
  for (const name of ['x-auth-subject', 'x-forwarded-for', 'x-request-id', 'traceparent'])
    assert.equal(seen[name], 'mine', name);
  for (const name of ['x-auth-method', 'forwarded', 'tracestate']) assert.equal(seen[name], undefined, name);
  assert.equal(seen['x-forwarded-proto'], 'http');
});

test('a credential that auth took off reaches neither a mirror nor another field', async (t) => {
  const service = await recorder(t);
  const shadow = await recorder(t);
  const gateway = await startTestGateway(t, {
    services: {
      live: { instances: [{ url: service.url }] },
      shadow: { instances: [{ url: shadow.url }] },
    },
    routes: [
      {
        match: { path: '/*' },
        service: 'live',
        auth: { ...apiKey, hideCredentials: true },
        mirror: { service: 'shadow' },
        headers: {
          request: {
            rename: { 'X-API-Key': 'X-Old-Key', 'X-Old': 'X-New' },
            add: { 'X-API-Key': 'own', 'X-Tag': 'b' },
          },
        },
      },
    ],
  });
  await fetch(gateway.url, { headers: { 'x-api-key': KEY, 'x-old': '1', 'x-tag': 'a' } });
  await until(() => shadow.headers.length === 1, 'the mirror is asked');
  for (const seen of [service.headers[0]!, shadow.headers[0]!]) {
    assert.equal(JSON.stringify(seen).includes(KEY), false);
    assert.deepEqual(
      ['x-api-key', 'x-old-key', 'x-old', 'x-new', 'x-tag', 'x-auth-subject'].map((name) => seen[name]),
      ['own', undefined, undefined, '1', 'a, b', 'bob'],
    );
  }
});

test('fields added by several levels stand beside one another', async (t) => {
  const service = await recorder(t);
  const add = (value: string) => ({ request: { add: { 'X-Tag': value } } });
  const gateway = await startTestGateway(t, {
    gateway: { headers: add('gateway') },
    services: { live: { instances: [{ url: service.url }], headers: add('service') } },
    routes: [{ match: { path: '/*' }, service: 'live', auth: 'public', headers: add('route') }],
  });
  await fetch(gateway.url, { headers: { 'x-tag': 'client' } });
  assert.deepEqual(String(service.headers[0]!['x-tag']).split(', ').toSorted(), [
    'client',
    'gateway',
    'route',
    'service',
  ]);
});

test('a policy that keeps an exchange sees nothing of the next request', async (t) => {
  const service = await recorder(t);
  const use = await policyOf(
    t,
    `{ requestHead(request) {
      const { path, query, params } = kept ?? {};
      request.setUpstreamHeader('X-Kept', JSON.stringify([path, query, params, kept?.header('x-who'), kept?.cookie('a')]));
      kept = request;
    } }`,
  );
  const gateway = await startTestGateway(t, {
    gateway: { workers: 1 },
    services: { live: { instances: [{ url: service.url }] } },
    routes: [{ match: { path: '/of/:id' }, service: 'live', auth: 'public', use }],
  });
  const ask = (id: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const headers = { 'x-who': id, cookie: `a=${id}` };
      request(`${gateway.url}/of/${id}?q=${id}`, { headers }, (response) => response.resume().once('end', resolve))
        .once('error', reject)
        .end();
    });
  await ask('ada');
  await ask('bob');
  assert.equal(service.headers[1]!['x-kept'], '["/","",{},null,null]');
});

/** What connections of one address share must be right for each of them. */
test('several clients of one address are each told of as they are, whatever came before', async (t) => {
  const service = await recorder(t);
  const gateway = await startTestGateway(t, {
    gateway: { accessLog: { file: 'access.log' } },
    services: { live: { instances: [{ url: service.url }] } },
    routes: [{ match: { path: '/*' }, service: 'live', auth: 'public' }],
  });
  const clients = [
    { version: '1.1', host: 'a.example', agent: 'one' },
    { version: '1.0', host: 'a.example', agent: 'one' },
    { version: '1.1', host: 'b.example', agent: 'one' },
    { version: '1.1', host: 'b.example', agent: 'two' },
    { version: '1.1', host: 'a.example', agent: 'one' },
    { version: '1.0', host: 'b.example', agent: undefined },
  ];
  for (const { version, host, agent } of clients) {
    const caller = new RawCaller(gateway.port);
    // Open until the end: what one connection has made is there for the next one.
    t.after(() => caller.close());
    const fields = agent === undefined ? '' : `User-Agent: ${agent}\r\n`;
    caller.send(`GET / HTTP/${version}\r\nHost: ${host}\r\nConnection: keep-alive\r\n${fields}\r\n`);
    assert.equal((await caller.answer()).status, 200);
  }
  assert.deepEqual(
    service.headers.map((seen) => ({ via: seen.via, host: seen['x-forwarded-host'], by: seen.forwarded })),
    clients.map(({ version, host }) => ({
      via: `${version} gatehouse`,
      host,
      by: `for=127.0.0.1;host="${host}";proto=http`,
    })),
  );
  const lines = async (): Promise<{ host: string; user_agent?: string; protocol: string }[]> => {
    const text = await readFile(join(gateway.folder, 'access.log'), 'utf8').catch(() => '');
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as { host: string; user_agent?: string; protocol: string });
  };
  await until(async () => (await lines()).length === clients.length, 'the log has them all');
  assert.deepEqual(
    (await lines()).map((line) => [line.host, line.user_agent, line.protocol]),
    clients.map(({ host, agent }) => [host, agent, 'http/1.1']),
  );
});

test('clients of one /64 of IPv6, which count as one, are told of by their own addresses', async (t) => {
  const service = await recorder(t);
  const gateway = await startTestGateway(t, {
    gateway: {
      host: undefined,
      port: undefined,
      trustProxy: ['127.0.0.1'],
      listeners: [{ name: 'behind', host: '127.0.0.1', port: 0, proxyProtocol: true }],
    },
    services: { live: { instances: [{ url: service.url }] } },
    routes: [{ match: { path: '/*' }, service: 'live', auth: 'public' }],
  });
  const addresses = ['2001:db8::1', '2001:db8::2', '2001:db8::1'];
  for (const address of addresses) {
    const caller = new RawCaller(gateway.port);
    t.after(() => caller.close());
    caller.send(`PROXY TCP6 ${address} 2001:db8::ffff 4000 80\r\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n`);
    assert.equal((await caller.answer()).status, 200);
  }
  assert.deepEqual(
    service.headers.map((seen) => seen['x-forwarded-for']),
    addresses,
  );
});
