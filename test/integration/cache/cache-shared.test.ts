/**
 * What the cache does over several workers: one request to the service for a thousand, clients that go, that read
 * slowly, workers that are killed; purges by API and command line; what operators see.
 */
import assert from 'node:assert/strict';
import { Agent, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { commandLine } from '../../../src/cli/command-line.suite.ts';
import { BEFORE } from '../../../src/data/cache/store/layout.ts';
import { CacheStore } from '../../../src/data/cache/store/store.ts';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import type { Scope } from '../../support/scope.ts';
import { until } from '../../support/until.ts';
import { httpUpstream } from '../../support/upstream.ts';

const agents: Agent[] = [];
after(() => {
  for (const agent of agents) agent.destroy();
});

interface Got {
  readonly status: number;
  readonly how: string;
  readonly body: Buffer;
}

function get(url: string, agent?: Agent, headers: Record<string, string> = {}): Promise<Got> {
  return new Promise((resolve, reject) => {
    const call = request(url, { headers, ...(agent === undefined ? {} : { agent }) }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          how: String(response.headers['cache-status'] ?? ''),
          body: Buffer.concat(parts),
        }),
      );
    });
    call.on('error', reject);
    call.end();
  });
}

async function cachedGateway(
  scope: Scope,
  listener: (request: IncomingMessage, response: ServerResponse) => void,
  cache: unknown = {},
  workers = 3,
): Promise<TestGateway> {
  const upstream = await httpUpstream(scope, listener);
  return await startTestGateway(scope, {
    gateway: { workers },
    services: { things: { instances: [{ url: upstream.url }] } },
    routes: [{ match: { path: '/*' }, service: 'things', auth: 'public', cache }],
  });
}

/** Many connections, so that every worker has some. */
function manyConnections(most: number): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: most });
  agents.push(agent);
  return agent;
}

test('a thousand requests at once over all workers are one request to the service', async (t) => {
  let asked = 0;
  const waiting: ServerResponse[] = [];
  // Longer than it can take a busy machine to make a thousand connections: who has waited `wait` asks for itself.
  const gateway = await cachedGateway(
    t,
    (_request, response) => {
      asked++;
      waiting.push(response);
    },
    { wait: '60s' },
  );
  const agent = manyConnections(1_000);
  const all = Promise.all(Array.from({ length: 1_000 }, () => get(`${gateway.url}/a`, agent)));
  const { primary } = gateway;
  await until(
    () => waiting.length > 0 && primary.opsSources().metrics.reader.number('exchanges_active') >= 900,
    'one request is at the service and most of the others wait for it',
    90_000,
  );
  const body = Buffer.alloc(50_000, 'x');
  for (const response of waiting)
    response.writeHead(200, { 'Cache-Control': 'max-age=60', 'Content-Length': body.length });
  for (const response of waiting) response.end(body);
  const got = await all;
  assert.equal(asked, 1);
  assert.ok(got.every((each) => each.status === 200 && each.body.equals(body)));
  assert.ok(got.filter(({ how }) => how.includes('collapsed')).length > 800);
});

test('who waits for a response that cannot be shared goes on alone, and the next ones do not wait for each other', async (t) => {
  let asked = 0;
  const held: ServerResponse[] = [];
  const gateway = await cachedGateway(t, (incoming, response) => {
    asked++;
    response.setHeader('Cache-Control', 'no-store');
    if (incoming.url === '/a' && asked === 1) held.push(response);
    else response.end(`${asked}`);
  });
  const agent = manyConnections(20);
  const all = Promise.all(Array.from({ length: 20 }, () => get(`${gateway.url}/a`, agent)));
  await until(() => held.length === 1, 'the first request');
  held[0]!.end('first');
  const bodies = (await all).map(({ body }) => body.toString());
  assert.equal(new Set(bodies).size, 20, 'nobody got what another got');
  assert.equal(asked, 20);
});

test('when the client that fetches goes, another one fetches', async (t) => {
  let asked = 0;
  const gateway = await cachedGateway(t, (_incoming, response) => {
    asked++;
    if (asked > 1) response.writeHead(200, { 'Cache-Control': 'max-age=60' }).end('whole');
  });
  const first = request(`${gateway.url}/a`).on('error', () => {});
  first.end();
  await until(() => asked === 1, 'the first request');
  const second = get(`${gateway.url}/a`);
  first.destroy();
  assert.equal((await second).body.toString(), 'whole');
  assert.equal(asked, 2);
});

test('a worker that is killed while it fetches: those who wait in others fetch, and the cache goes on', async (t) => {
  let asked = 0;
  const gateway = await cachedGateway(t, (_incoming, response) => {
    asked++;
    if (asked > 1) response.writeHead(200, { 'Cache-Control': 'max-age=60' }).end('whole');
  });
  const { primary } = gateway;
  const agent = manyConnections(60);
  const all = Array.from({ length: 60 }, () => get(`${gateway.url}/a`, agent).catch(() => null));
  await until(() => primary.opsSources().metrics.reader.number('exchanges_active') === 60, 'all wait', 60_000);
  await until(() => asked > 0, 'one of them asks', 60_000);
  assert.equal(asked, 1);
  const store = new CacheStore(primary.cache.memory, -1);
  store.find(`${gateway.url}/a`, 0);
  const filler = store.words[store.at(store.filling) + BEFORE]! - 1;
  store.glanceEnd();
  await primary.workers.terminate(filler);
  const got = await Promise.all(all);
  const served = got.filter((each) => each !== null);
  assert.ok(served.length > 5, `${served.length} were with other workers`);
  for (const each of served) assert.equal(each.body.toString(), 'whole');
  assert.equal(asked, 2);
  await until(() => primary.workers.listening === 3, 'the worker is replaced', 60_000);
  assert.match((await get(`${gateway.url}/a`)).how, /; hit/);
});

test('a client that reads slowly holds up nobody who wants the same', async (t) => {
  const body = Buffer.alloc(6_000_000, 'slow and large ');
  const gateway = await cachedGateway(
    t,
    (_incoming, response) => {
      response.writeHead(200, { 'Cache-Control': 'max-age=60', 'Content-Length': body.length }).end(body);
    },
    {},
    2,
  );
  const slow = await new Promise<IncomingMessage>((resolve) => request(`${gateway.url}/a`, resolve).end());
  slow.pause();
  const fast = await get(`${gateway.url}/a`);
  assert.ok(fast.body.equals(body));
  const parts: Buffer[] = [];
  for await (const part of slow) parts.push(part as Buffer);
  assert.ok(Buffer.concat(parts).equals(body), 'the slow one gets all of it too');
});

test('a service that lies about the length: the client sees the break, nothing is stored', async (t) => {
  let asked = 0;
  const gateway = await cachedGateway(t, (_incoming, response) => {
    asked++;
    response.writeHead(200, { 'Cache-Control': 'max-age=60', 'Content-Length': 100 }).write('short');
    setImmediate(() => response.socket?.destroy());
  });
  await assert.rejects(get(`${gateway.url}/a`));
  await assert.rejects(get(`${gateway.url}/a`));
  assert.equal(asked, 2);
});

test('purges by tag, prefix, URL and of all, over the socket of the command line; contents and metrics', async (t) => {
  let asked = 0;
  const gateway = await cachedGateway(t, (incoming, response) => {
    asked++;
    response.writeHead(200, { 'Cache-Control': 'max-age=60', 'Cache-Tag': `all, tag-${incoming.url?.slice(1, 2)}` });
    response.end(`${asked}`);
  });
  const cli = commandLine();
  t.after(() => cli.remove());
  const control = async (...args: string[]): Promise<string> => {
    const { code, out, err } = await cli.run('cache', ...args, '--socket', join(gateway.folder, 'gatehouse.sock'));
    assert.equal(code, 0, err);
    return out;
  };
  const isHit = async (path: string): Promise<boolean> => (await get(`${gateway.url}${path}`)).how.includes('; hit');
  for (const path of ['/a', '/b', '/dir/c?x=1']) await isHit(path);
  for (const path of ['/a', '/b', '/dir/c?x=1']) assert.equal(await isHit(path), true);
  assert.equal(await control('purge', '--tag', 'tag-a'), 'purged\n');
  assert.equal(await isHit('/a'), false);
  assert.equal(await isHit('/b'), true);
  await control('purge', '--url', `${gateway.url}/b`);
  assert.equal(await isHit('/b'), false);
  await control('purge', '--prefix', `${gateway.url}/dir/`);
  assert.equal(await isHit('/dir/c?x=1'), false);
  assert.equal(await isHit('/a'), true);
  assert.match(await control(), /3 responses in .* MB, 0 evicted\n[\s\S]*largest:\n[\s\S]*\/dir\/c\?x=1/);
  await control('purge', '--all');
  for (const path of ['/a', '/b', '/dir/c?x=1']) assert.equal(await isHit(path), false);
  await until(
    () =>
      gateway.primary
        .opsSources()
        .metrics.extra()
        .find(({ name }) => name === 'gatehouse_cache_requests_total')
        ?.samples.some(({ labels }) => labels['result'] === 'hit') === true,
    'the counts are told',
    10_000,
  );
});
