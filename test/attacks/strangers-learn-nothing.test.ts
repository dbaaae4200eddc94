/**
 * Rule: what tells versions, processes, instances and routes is for operators. By default it answers this machine
 * alone, whatever a client says of its address, and with a listener of its own it is on no other.
 */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';

const CLOSED = ['/health/detailed', '/status', '/metrics', '/metrics/prometheus'];
const OPEN = ['/health', '/health/live', '/health/ready'];

const get = async (url: string, headers: Record<string, string> = {}): Promise<number> => {
  const response = await fetch(url, { headers });
  await response.arrayBuffer();
  return response.status;
};

test('a stranger gets 403 for what is for operators, this machine gets it, and probes are open', async (t) => {
  // Whatever comes with X-Forwarded-For comes from there: the proxy is this machine.
  const gateway = await startTestGateway(t, { gateway: { trustProxy: ['127.0.0.1/32'] } });
  for (const path of CLOSED) {
    assert.equal(await get(gateway.url + path), 200, path);
    for (const address of ['203.0.113.9', '2001:db8::1', '10.0.0.1', '::ffff:203.0.113.9', '128.0.0.1']) {
      assert.equal(await get(gateway.url + path, { 'x-forwarded-for': address }), 403, `${path} from ${address}`);
    }
  }
  for (const path of OPEN) assert.equal(await get(gateway.url + path, { 'x-forwarded-for': '203.0.113.9' }), 200, path);
});

test('who is not behind a trusted proxy cannot say that it is this machine', async (t) => {
  const gateway = await startTestGateway(t, { gateway: { operations: { from: ['192.0.2.0/24'] } } });
  for (const path of CLOSED) {
    assert.equal(await get(gateway.url + path), 403, path);
    for (const name of ['x-forwarded-for', 'forwarded', 'x-real-ip', 'true-client-ip', 'client-ip'])
      assert.equal(await get(gateway.url + path, { [name]: '192.0.2.1' }), 403, `${path} with ${name}`);
  }
});

test('with a listener of its own it is there and on no other, also after a reload', async (t) => {
  const probe = createServer().listen(0, '127.0.0.1');
  await new Promise((done) => probe.once('listening', done));
  const { port } = probe.address() as { port: number };
  await new Promise((done) => probe.close(done));
  const gateway = await startTestGateway(t, { gateway: { operations: { port } } });
  for (const path of CLOSED) {
    assert.equal(await get(gateway.url + path), 404, path);
    assert.equal(await get(`http://127.0.0.1:${port}${path}`), 200, path);
  }
  for (const path of OPEN) assert.equal(await get(gateway.url + path), 200, path);
});

test('responses without a route and those of built-in endpoints have the fields of CORS', async (t) => {
  const gateway = await startTestGateway(t, {
    gateway: { cors: { origins: ['https://app.example'] } },
    services: { a: { instances: [{ url: 'http://127.0.0.1:9' }] } },
    routes: [{ match: { path: '/only-get', methods: ['GET'] }, service: 'a', auth: 'public' }],
    identity: { enabled: true, firstAdmin: 'off' },
  });
  const read = async (path: string, method: string, origin: string): Promise<[number, string | null]> => {
    const response = await fetch(gateway.url + path, { method, headers: { origin } });
    await response.arrayBuffer();
    return [response.status, response.headers.get('access-control-allow-origin')];
  };
  for (const [path, method, status] of [
    ['/nowhere', 'GET', 404],
    ['/only-get', 'DELETE', 405],
    ['/health', 'GET', 200],
    ['/api/auth/me', 'GET', 401],
    ['/.well-known/jwks.json', 'GET', 200],
  ] as const) {
    assert.deepEqual(await read(path, method, 'https://app.example'), [status, 'https://app.example'], path);
    assert.deepEqual(await read(path, method, 'https://evil.example'), [status, null], path);
  }
  const asked = await fetch(`${gateway.url}/api/auth/login`, {
    method: 'OPTIONS',
    headers: { origin: 'https://app.example', 'access-control-request-method': 'POST' },
  });
  assert.deepEqual([asked.status, asked.headers.get('access-control-allow-origin')], [204, 'https://app.example']);
});

test('request ids tell nothing of how many requests there were between two of one caller', async (t) => {
  const gateway = await startTestGateway(t, {
    gateway: { auth: 'public' },
    routes: [{ match: { path: '/*' }, respond: { body: 'x' } }],
  });
  const ids = await Promise.all(
    Array.from({ length: 200 }, async () => {
      const response = await fetch(`${gateway.url}/x`);
      await response.arrayBuffer();
      return response.headers.get('x-request-id') ?? '';
    }),
  );
  assert.ok(ids.every((id) => /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id)));
  // Of a counter the digits that change often are at one place and near each other.
  for (const [from, to] of [
    [0, 8],
    [24, 30],
    [30, 36],
  ] as const) {
    const values = ids.map((id) => Number.parseInt(id.slice(from, to), 16)).toSorted((one, other) => one - other);
    assert.ok(new Set(values).size > 190, 'they differ');
    const spread = (values.at(-1) as number) - (values[0] as number);
    assert.ok(spread > 16 ** (to - from) / 2, `digits ${from} to ${to} are spread over ${spread}`);
  }
});
