/**
 * What two gateways of one cluster tell each other through its store, without Redis: bans, purges, hints of services in
 * trouble. Each has a data folder and a database of limits of its own. What was revoked comes by the database of
 * accounts.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { commandLine } from '../../src/cli/command-line.suite.ts';
import { assertCatalogued } from '../support/catalogued.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

const PATIENCE_MS = 30_000;
const ROOT = 'root-key-0123456789abcdef0123456789';
const KEYS = {
  GATEHOUSE_MASTER_KEY: 'a-master-key-of-at-least-32-bytes-012345',
  API_KEY_1: `${ROOT}:root:cache:admin,limits:admin,cluster:admin:premium`,
};

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'gh-cluster-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

interface Nodes {
  readonly folder: string;
  start(name: string, change?: object): Promise<TestGateway>;
}

async function nodesOf(t: TestContext, document: object): Promise<Nodes> {
  const folder = await folderFor(t);
  return {
    folder,
    start: (node, change = {}) => {
      const cluster = { name: 'test', node, store: `sqlite:${join(folder, 'cluster.db')}`, heartbeat: '500ms' };
      return startTestGateway(t, { cluster, ...document, ...change }, KEYS);
    },
  };
}

interface Called {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

async function call(gateway: TestGateway, method: string, path: string, body?: unknown): Promise<Called> {
  const response = await fetch(`${gateway.url}${path}`, {
    method,
    headers: { 'x-api-key': ROOT, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

const isOpen = (gateway: TestGateway): Promise<void> =>
  until(async () => (await call(gateway, 'GET', '/api/v1/cluster')).status === 200, 'the cluster is open', PATIENCE_MS);

test('a ban that one node makes or lifts holds or ends on the others, also on one that joins later', async (t) => {
  const nodes = await nodesOf(t, {
    gateway: { trustProxy: ['127.0.0.0/8'] },
    abuse: {},
    routes: [{ match: { path: '/hello' }, auth: 'public', respond: { status: 200, body: 'hello' } }],
  });
  const hello = async (gateway: TestGateway): Promise<number> => {
    const response = await fetch(`${gateway.url}/hello`, { headers: { 'x-forwarded-for': '192.0.2.9' } });
    await response.body?.cancel();
    return response.status;
  };
  const [one, two] = await Promise.all([nodes.start('one'), nodes.start('two')]);
  assert.deepEqual([await hello(one), await hello(two)], [200, 200]);
  const ban = { kind: 'address', subject: '192.0.2.9', reason: 'test', for: '1h' };
  const made = await call(one, 'POST', '/api/v1/bans', ban);
  assert.equal(made.status, 201, made.text);
  await until(async () => (await hello(two)) === 403, 'the other node bans, too', PATIENCE_MS);
  const three = await nodes.start('three');
  await until(async () => (await hello(three)) === 403, 'so does one that joins later', PATIENCE_MS);
  const { id } = JSON.parse(made.text) as { id: string };
  assert.equal((await call(two, 'DELETE', `/api/v1/bans/${id}`)).status, 204);
  for (const gateway of [one, two, three])
    await until(async () => (await hello(gateway)) === 200, 'the ban is lifted everywhere', PATIENCE_MS);
  const metrics = await (await fetch(`${three.url}/metrics`)).text();
  assertCatalogued(metrics);
  assert.match(metrics, /gatehouse_cluster_facts_total\{direction="heard"\} [1-9]/);
});

test('a purge at one node is one at all, by tag, prefix and everything', async (t) => {
  let asked = 0;
  const upstream = await httpUpstream(t, (request, response) => {
    response.setHeader('cache-control', 'max-age=600');
    response.setHeader('cache-tag', request.url?.startsWith('/t/tagged') === true ? 'books' : 'other');
    response.end(`answer ${++asked}`);
  });
  const nodes = await nodesOf(t, {
    services: { things: { instances: [{ url: upstream.url }] } },
    routes: [
      { match: { path: '/t/*' }, service: 'things', auth: 'public', cache: {} },
      { match: { path: '/api/v1/cache/*' }, builtin: 'cache', auth: { scopes: 'cache:admin' } },
    ],
  });
  const [one, two] = await Promise.all([nodes.start('one'), nodes.start('two')]);
  await Promise.all([one, two].map(isOpen));
  const get = async (path: string): Promise<string> => (await fetch(`${two.url}${path}`)).text();
  for (const [path, purge] of [
    ['/t/tagged', { tag: 'books' }],
    ['/t/deep/1', { prefix: `${two.url}/t/deep/` }],
    ['/t/all', { all: true }],
  ] as const) {
    const before = await get(path);
    await until(async () => (await get(path)) === before, `${path} is stored`, PATIENCE_MS);
    const { status, text } = await call(one, 'POST', '/api/v1/cache/purge', purge);
    assert.deepEqual([status, (JSON.parse(text) as { gateways?: string }).gateways], [200, 'all'], text);
    await until(async () => (await get(path)) !== before, `${path} is forgotten at the other node`, PATIENCE_MS);
  }
});

test('an unsafe request at one node makes invalid what the others have stored of its URL', async (t) => {
  let asked = 0;
  const upstream = await httpUpstream(t, (request, response) => {
    if (request.method === 'GET') response.setHeader('cache-control', 'max-age=600');
    else response.setHeader('location', '/t/made');
    response.end(`answer ${++asked}`);
  });
  const nodes = await nodesOf(t, {
    services: { things: { instances: [{ url: upstream.url }] } },
    routes: [{ match: { path: '/t/*' }, service: 'things', auth: 'public', cache: {} }],
  });
  const [one, two] = await Promise.all([nodes.start('one'), nodes.start('two')]);
  await Promise.all([one, two].map(isOpen));
  // One name for both, as behind a load balancer: the name is of the key.
  const ask = async (gateway: TestGateway, method: string, path: string): Promise<string> => {
    const { hostname, port } = new URL(gateway.url);
    return await new Promise((resolve, reject) => {
      const asking = request({ hostname, port, method, path, headers: { host: 'things.example' } }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (piece: string) => {
          text += piece;
        });
        response.on('end', () => resolve(text));
      });
      asking.on('error', reject).end();
    });
  };
  for (const path of ['/t/1', '/t/made', '/t/other']) {
    const before = await ask(two, 'GET', path);
    await until(async () => (await ask(two, 'GET', path)) === before, `${path} is stored`, PATIENCE_MS);
  }
  const kept = await ask(two, 'GET', '/t/other');
  const [first, made] = [await ask(two, 'GET', '/t/1'), await ask(two, 'GET', '/t/made')];
  await ask(one, 'PUT', '/t/1');
  await until(async () => (await ask(two, 'GET', '/t/1')) !== first, 'the URL is forgotten', PATIENCE_MS);
  await until(async () => (await ask(two, 'GET', '/t/made')) !== made, 'so is what it names', PATIENCE_MS);
  assert.equal(await ask(two, 'GET', '/t/other'), kept, 'and nothing else');
});

test('a purge before the store was reached says what it waits for, and reaches the others later', async (t) => {
  let asked = 0;
  const upstream = await httpUpstream(t, (_request, response) => {
    response.setHeader('cache-control', 'max-age=600');
    response.end(`answer ${++asked}`);
  });
  const nodes = await nodesOf(t, {
    services: { things: { instances: [{ url: upstream.url }] } },
    routes: [{ match: { path: '/t/*' }, service: 'things', auth: 'public', cache: {} }],
  });
  const two = await nodes.start('two');
  await isOpen(two);
  const get = async (): Promise<string> => (await fetch(`${two.url}/t/1`)).text();
  const before = await get();
  await until(async () => (await get()) === before, 'it is stored', PATIENCE_MS);
  // A folder that is not there yet: the store cannot be opened.
  const place = join(nodes.folder, 'later');
  const cluster = { name: 'test', node: 'one', store: `sqlite:${join(place, 'cluster.db')}`, heartbeat: '500ms' };
  await writeFile(place, 'not a folder');
  const one = await nodes.start('one', { cluster });
  const cli = commandLine();
  t.after(() => cli.remove());
  const { code, out, err } = await cli.run('cache', 'purge', '--all', '--socket', join(one.folder, 'gatehouse.sock'));
  assert.equal(code, 0, err);
  assert.equal(out, 'purged on this gateway; the others follow when the store of the cluster is back\n');
  assert.equal(await get(), before);
  await rm(place);
  await symlink(nodes.folder, place);
  await until(async () => (await get()) !== before, 'the other node has forgotten it', PATIENCE_MS);
});

test('one node finds an instance down: the other looks at once, and not after its ten minutes', async (t) => {
  let isWell = true;
  const upstream = await httpUpstream(t, (_request, response) => {
    response.statusCode = isWell ? 200 : 503;
    response.end();
  });
  const service = (interval: string) => ({
    services: {
      work: {
        instances: [{ url: upstream.url }],
        healthCheck: { path: '/health', interval, timeout: '1s', unhealthyThreshold: 1, healthyThreshold: 1 },
      },
    },
  });
  const nodes = await nodesOf(t, { routes: [{ match: { path: '/w/*' }, service: 'work', auth: 'public' }] });
  const [one, two] = await Promise.all([nodes.start('one', service('1s')), nodes.start('two', service('10m'))]);
  await Promise.all([one, two].map(isOpen));
  const says = (gateway: TestGateway, text: string) => async (): Promise<boolean> =>
    gateway.logged.some((line) => line.includes(text));
  await until(says(one, 'instance healthy'), 'one finds it well', PATIENCE_MS);
  await until(says(two, 'instance healthy'), 'two finds it well', PATIENCE_MS);
  isWell = false;
  await until(says(one, 'status 503'), 'one finds it down', PATIENCE_MS);
  await until(says(two, 'another node has trouble'), 'two hears of it', PATIENCE_MS);
  await until(says(two, 'status 503'), 'two has looked', PATIENCE_MS);
});

test('one node ejects an instance: at the other one fault of its own suffices', async (t) => {
  let isWell = true;
  const upstream = await httpUpstream(t, (_request, response) => {
    response.statusCode = isWell ? 200 : 500;
    response.end();
  });
  const spare = await httpUpstream(t, (_request, response) => response.end());
  const nodes = await nodesOf(t, {
    services: {
      work: {
        instances: [{ url: upstream.url }, { url: spare.url }],
        ejection: {
          counts: 'failures',
          consecutiveFaults: 4,
          deviationFactor: 0,
          baseEjection: '5m',
          maxEjected: '50%',
        },
        retries: 0,
      },
    },
    routes: [{ match: { path: '/w/*' }, service: 'work', auth: 'public' }],
  });
  const [one, two] = await Promise.all([nodes.start('one'), nodes.start('two')]);
  await Promise.all([one, two].map(isOpen));
  const faults = async (gateway: TestGateway, requests: number): Promise<number> => {
    let count = 0;
    for (let i = 0; i < requests; i++) {
      const response = await fetch(`${gateway.url}/w/1`);
      await response.body?.cancel();
      if (response.status === 500) count++;
    }
    return count;
  };
  const hinted = (times: number) => async (): Promise<boolean> =>
    two.logged.filter((line) => line.includes('another node has trouble')).length >= times;
  isWell = false;
  assert.equal(await faults(one, 20), 4, 'without a hint it takes four');
  await until(hinted(1), 'two hears of it', PATIENCE_MS);
  assert.equal(await faults(two, 20), 1, 'with the hint one');
});

test('a session that ends at one node is over at the other, with one database of accounts', async (t) => {
  const nodes = await nodesOf(t, {});
  const document = {
    stores: { sql: `sqlite:${join(nodes.folder, 'accounts.db')}` },
    identity: {
      enabled: true,
      firstAdmin: 'off',
      issuer: 'https://accounts.example',
      registration: { verifyEmail: 'off' },
      passwords: { memory: '8mb', passes: 1 },
    },
    routes: [{ match: { path: '/hello' }, auth: { jwt: {} }, respond: { status: 200, body: 'hello' } }],
  };
  const [one, two] = [await nodes.start('one', document), await nodes.start('two', document)];
  const ask = async (gateway: TestGateway, method: string, path: string, token?: string, body?: object) => {
    const headers: Record<string, string> = { 'content-type': 'application/json' };
    if (token !== undefined) headers['authorization'] = `Bearer ${token}`;
    const response = await fetch(`${gateway.url}${path}`, {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, text: await response.text() };
  };
  const account = { email: 'ada@example.com', username: 'ada', password: 'ancient walrus paints 9 fences' };
  const made = await ask(one, 'POST', '/api/auth/register', undefined, account);
  assert.equal(made.status, 201, made.text);
  const { accessToken } = JSON.parse(made.text) as { accessToken: string };
  await until(
    async () => (await ask(two, 'GET', '/hello', accessToken)).status === 200,
    'two takes the token',
    PATIENCE_MS,
  );
  assert.equal((await ask(one, 'POST', '/api/auth/logout', accessToken)).status, 200);
  await until(async () => (await ask(two, 'GET', '/hello', accessToken)).status === 401, 'two refuses it', PATIENCE_MS);
});
