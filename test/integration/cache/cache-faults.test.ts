/**
 * The cache when something goes wrong while it fills or sends: services that are slow, stop or lie, clients that go,
 * workers that die, purges at the wrong moment, and load that wants to empty it.
 */
import assert from 'node:assert/strict';
import { Agent, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { after, before, beforeEach, describe, test } from 'node:test';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { type Scope, suiteScope } from '../../support/scope.ts';
import { until } from '../../support/until.ts';
import { httpUpstream } from '../../support/upstream.ts';

const SOON_MS = 60_000;
const FRESH = { 'Cache-Control': 'max-age=600' };
const agents: Agent[] = [];
after(() => {
  for (const agent of agents) agent.destroy();
});

/** Connections of their own, so that each worker gets some. */
function connections(most: number): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: most });
  agents.push(agent);
  return agent;
}

interface Got {
  readonly status: number;
  readonly how: string;
  readonly body: string;
}

/** Rejects when the response breaks off. */
function get(url: string, agent?: Agent): Promise<Got> {
  return new Promise((resolve, reject) => {
    const call = request(url, agent === undefined ? {} : { agent }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode!,
          how: String(response.headers['cache-status'] ?? ''),
          body: Buffer.concat(parts).toString('latin1'),
        }),
      );
    });
    call.on('error', reject).end();
  });
}

/** A response whose head has come. */
function open(url: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request(url, { agent: false }, resolve).on('error', reject).end();
  });
}

async function gatewayTo(
  scope: Scope,
  service: string,
  more: { readonly workers?: number; readonly memory?: string; readonly liar?: string } = {},
): Promise<TestGateway> {
  const route = (path: string, to: string, cache: object = {}) => ({
    match: { path },
    service: to,
    auth: 'public',
    cache,
  });
  return await startTestGateway(scope, {
    gateway: { workers: more.workers ?? 2 },
    stores: { cacheMemory: more.memory ?? '16mb' },
    services: {
      things: { instances: [{ url: service }], retries: 0 },
      liar: { instances: [{ url: more.liar ?? service }], retries: 0 },
    },
    routes: [route('/lie/*', 'liar'), route('/impatient/*', 'things', { wait: '300ms' }), route('/*', 'things')],
  });
}

const LIES: Readonly<Record<string, string>> = {
  '/less': 'HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 100\r\n\r\nshort',
  '/chunk': 'HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nshort',
  '/last': 'HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n',
  '/size':
    'HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nshort\r\n0\r\n\r\n',
  '/two': 'HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nshort!',
  '/more': 'HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 5\r\n\r\nshort and then some more',
};

interface Liar {
  readonly asked: string[];
  readonly url: Promise<string>;
}

/** Ends each connection behind what it sends. */
function lyingService(scope: Scope): Liar {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    socket.on('data', (bytes) => {
      const path = /^GET (\S+)/.exec(bytes.toString('latin1'))?.[1] ?? '';
      asked.push(path);
      socket.end(LIES[path.slice('/lie'.length)] ?? 'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n');
    });
  });
  scope.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const url = new Promise<string>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as { port: number }).port}`));
  });
  return { asked, url };
}

type Listener = (incoming: IncomingMessage, response: ServerResponse, nth: number) => void;

interface Scene {
  readonly gateway: TestGateway;
  readonly asked: () => number;
}

async function scene(scope: Scope, listener: Listener, more: Parameters<typeof gatewayTo>[2] = {}): Promise<Scene> {
  let asked = 0;
  const upstream = await httpUpstream(scope, (incoming, response) => listener(incoming, response, ++asked));
  return { gateway: await gatewayTo(scope, upstream.url, more), asked: () => asked };
}

describe('one gateway', () => {
  const scope = suiteScope();
  /** Of the test that runs. */
  let serve: Listener;
  let asked = 0;
  let gateway: TestGateway;
  const liar = lyingService(scope);

  before(async () => {
    const upstream = await httpUpstream(scope, (incoming, response) => serve(incoming, response, ++asked));
    gateway = await gatewayTo(scope, upstream.url, { liar: await liar.url });
  });
  beforeEach(() => {
    asked = 0;
  });

  test('a service that is slow to begin: who has waited long enough asks for itself', async () => {
    const held: ServerResponse[] = [];
    serve = (_incoming, response, nth) => {
      if (nth === 1) held.push(response);
      else response.writeHead(200, FRESH).end(`of request ${nth}`);
    };
    const first = get(`${gateway.url}/impatient/a`);
    await until(() => held.length === 1, 'the first request is at the service', SOON_MS);
    const second = await get(`${gateway.url}/impatient/a`);
    assert.equal(second.body, 'of request 2');
    assert.doesNotMatch(second.how, /; hit/);
    held[0]!.writeHead(200, FRESH).end('of request 1');
    assert.equal((await first).body, 'of request 1');
    assert.equal(asked, 2);
  });

  test('a service that is slow to go on: those who wait get its bytes as they come', async () => {
    const held: ServerResponse[] = [];
    serve = (_incoming, response) => {
      response.writeHead(200, { ...FRESH, 'Content-Length': 10 }).write('01234');
      held.push(response);
    };
    const url = `${gateway.url}/halves`;
    const all = await Promise.all([open(url), open(url), open(url)]);
    const got = all.map(() => '');
    for (const [i, response] of all.entries())
      response.setEncoding('latin1').on('data', (text: string) => {
        got[i] += text;
      });
    await until(() => got.every((text) => text === '01234'), 'all have the first half', SOON_MS);
    const ended = all.map((response) => new Promise((resolve) => response.on('end', resolve)));
    for (const response of held) response.end('56789');
    await Promise.all(ended);
    assert.deepEqual(new Set(got), new Set(['0123456789']));
    assert.equal(asked, 1);
  });

  test('services that lie about their bodies: less, more, a chunk that ends early; nothing of it is stored', async () => {
    for (const path of Object.keys(LIES)) {
      for (let round = 1; round <= 2; round++) {
        const got = await get(`${gateway.url}/lie${path}`).catch(() => null);
        if (path === '/more')
          assert.ok(got === null || got.body === 'short', 'what was announced, and not a byte more');
        else assert.ok(got === null || got.status === 502, `${path}: ${got?.status} ${got?.body}`);
        const times = liar.asked.filter((each) => each === `/lie${path}`).length;
        if (path !== '/more') assert.equal(times, round, `${path} is asked for again`);
      }
    }
  });

  test('purges that race a fetch, of every kind: what was on its way is given to who waits, and not stored', async () => {
    const held: ServerResponse[] = [];
    serve = (_incoming, response) => void held.push(response);
    const { cache } = gateway.primary;
    const agent = connections(10);
    for (const [i, purge] of [
      () => cache.purgeAll(),
      () => cache.purgeTag('racing'),
      () => cache.purgePrefix(`${gateway.url}/race`),
      (path: string) => cache.purgeKey(`${gateway.url}${path}`),
    ].entries()) {
      for (const moment of ['before its head', 'in its body'] as const) {
        const path = `/race-${i}-${moment === 'in its body' ? 'body' : 'head'}`;
        const before = asked;
        const all = Array.from({ length: 5 }, () => get(`${gateway.url}${path}`, agent));
        await until(() => held.length > 0, 'it is at the service', SOON_MS);
        const response = held.shift()!;
        const head = { ...FRESH, 'Cache-Tag': 'racing', 'Content-Length': 8 };
        const { objects } = cache.stats();
        if (moment === 'before its head') assert.equal(purge(path), true);
        response.writeHead(200, head).write('what');
        if (moment === 'in its body') {
          await open(`${gateway.url}${path}`).then((reader) => reader.on('error', () => {}).resume());
          assert.equal(purge(path), true);
        }
        response.end('ever');
        // Who came behind the purge may fetch for itself.
        const answering = setInterval(() => {
          for (const next of held.splice(0)) next.writeHead(200, head).end('newer it');
        }, 10);
        const got = await Promise.all(all.map((one) => one.catch(() => null)));
        assert.ok(got.every((each) => each === null || each.body === 'whatever' || each.body === 'newer it'));
        assert.ok(
          got.some((each) => each?.body === 'whatever'),
          'who fetched it has it',
        );
        const next = await get(`${gateway.url}${path}`, agent);
        clearInterval(answering);
        assert.equal(next.body, 'newer it', `${moment}: nobody gets later what was purged (purge ${i}, ${objects})`);
        assert.ok(asked > before + 1);
      }
    }
  });
});

test('a worker that is killed while it sends a hit: others go on, and what it read is free again', async (t) => {
  const body = Buffer.alloc(3_000_000, 'a hit of some length ').toString('latin1');
  const { gateway, asked } = await scene(
    t,
    (_incoming, response) => {
      response.writeHead(200, { ...FRESH, 'Content-Length': body.length }).end(body);
    },
    { workers: 3, memory: '32mb' },
  );
  await get(`${gateway.url}/a`);
  // Slow readers in all workers: none can have all of it, because nobody takes it.
  const slow = await Promise.all(Array.from({ length: 12 }, () => open(`${gateway.url}/a`)));
  const outcomes = slow.map(
    (response) =>
      new Promise<string>((resolve) => {
        let got = '';
        response.setEncoding('latin1').on('data', (text: string) => {
          got += text;
        });
        response.on('error', () => resolve('broken')).on('end', () => resolve(got));
        response.pause();
      }),
  );
  const { primary } = gateway;
  await primary.workers.terminate(0);
  for (const response of slow) response.resume();
  const got = await Promise.all(outcomes);
  // Nobody took a part for the whole.
  assert.ok(got.every((text) => text === 'broken' || text === body));
  assert.ok(
    got.some((text) => text === body),
    'those of other workers have all of it',
  );
  await until(() => primary.workers.listening === 3, 'the worker is replaced', SOON_MS);
  const agent = connections(12);
  const hits = await Promise.all(Array.from({ length: 12 }, () => get(`${gateway.url}/a`, agent)));
  assert.ok(hits.every(({ how, body: text }) => how.includes('; hit') && text === body));
  assert.equal(asked(), 1);
  // Its pins are gone with it: what is purged gives its memory back as soon as other things need it.
  primary.cache.purgeAll();
  for (let i = 0; i < 30; i++) await get(`${gateway.url}/${i}`);
  assert.match((await get(`${gateway.url}/29`)).how, /; hit/);
});

test('load that wants to empty the cache: memory holds, and what is asked for again and again stays', async (t) => {
  const body = 'x'.repeat(8_000);
  const counts = new Map<string, number>();
  const { gateway } = await scene(
    t,
    (incoming, response) => {
      const path = incoming.url!;
      counts.set(path, (counts.get(path) ?? 0) + 1);
      response.writeHead(200, FRESH).end(body);
    },
    { memory: '2mb' },
  );
  const agent = connections(16);
  const hot = Array.from({ length: 40 }, (_, i) => `/hot-${i}`);
  const asking = async (paths: readonly string[]): Promise<void> => {
    await Promise.all(paths.map((path) => get(`${gateway.url}${path}`, agent)));
  };
  for (let round = 0; round < 3; round++) await asking(hot);
  const { totalBytes } = gateway.primary.cache.stats();
  let busting = 0;
  // Ten times the memory of things that nobody asks for twice.
  while (busting * 12_000 < 10 * totalBytes) {
    await asking(Array.from({ length: 60 }, () => `/junk?${busting++}`));
    await asking(hot.slice(0, 20));
    await asking(hot.slice(20));
    assert.ok(gateway.primary.cache.stats().usedBytes <= totalBytes);
  }
  const fetched = hot.reduce((sum, path) => sum + counts.get(path)!, 0);
  const requests = hot.length * (3 + Math.ceil(busting / 60));
  assert.ok(fetched < requests * 0.1, `${fetched} of ${requests} requests for the hot set went to the service`);
  assert.ok(gateway.primary.cache.stats().evictions > 500);
});
