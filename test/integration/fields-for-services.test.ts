/** Whose word counts for a field of the request that a service gets: the client’s, the gateway’s or a policy’s. */
import assert from 'node:assert/strict';
import { type IncomingHttpHeaders, request } from 'node:http';
import { test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { policyFile } from '../support/policy-file.ts';
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
