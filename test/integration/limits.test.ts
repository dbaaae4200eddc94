/**
 * Limits through whole gateways: several workers, several processes' worth of gateways on one Redis, quotas, bans.
 * Clients send at the same time over many connections, so that every worker gets some.
 */
import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import { after, test } from 'node:test';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { startRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

const agents: Agent[] = [];
after(() => {
  for (const agent of agents) agent.destroy();
});

function send(url: string, headers: Record<string, string> = {}, agent?: Agent, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request(url, { method, headers, ...(agent === undefined ? {} : { agent }) }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => {
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(parts).toString('utf8'),
        });
      });
    });
    call.on('error', reject);
    call.end();
  });
}

/** Eight clients with a connection each send so many requests one after the other; how many got which status. */
async function flood(
  urls: readonly string[],
  each: number,
  headers: Record<string, string> = {},
): Promise<Map<number, number>> {
  const statuses = new Map<number, number>();
  const clients = Array.from({ length: 8 }, async (_, i) => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    agents.push(agent);
    for (let n = 0; n < each; n++) {
      const { status } = await send(urls[i % urls.length] ?? '', headers, agent);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  });
  await Promise.all(clients);
  return statuses;
}

const rateLimit = (text: string) => ({ by: 'ip', limits: [text] });

test('eight clients over three workers get exactly the limit, and are told how much is left', {
  timeout: 30_000,
}, async (t) => {
  const upstream = await httpUpstream(t, (_request, response) => response.end('hello'));
  const gateway = await startTestGateway(t, {
    gateway: { workers: 3 },
    services: { one: { instances: [upstream.url] } },
    routes: [
      { match: { path: '/a' }, service: 'one', auth: 'public', rateLimit: rateLimit('100/1h') },
      { match: { path: '/b' }, service: 'one', auth: 'public', rateLimit: { by: 'ip', limits: ['50/1h', '1000/10h'] } },
    ],
  });
  const statuses = await flood([`${gateway.url}/a`], 40);
  assert.deepEqual([statuses.get(200), statuses.get(429)], [100, 220]);
  const refused = await send(`${gateway.url}/a`);
  assert.equal(refused.headers['x-ratelimit-limit'], '100');
  assert.equal(refused.headers['x-ratelimit-remaining'], '0');
  assert.ok(Number(refused.headers['retry-after']) >= 1);
  assert.equal(JSON.parse(refused.body).code, 'RATE_LIMIT_EXCEEDED');
  const passed = await send(`${gateway.url}/b`);
  assert.equal(passed.headers['ratelimit-policy'], '"ip-1h";q=50;w=3600, "ip-10h";q=1000;w=36000');
  assert.equal(passed.headers['ratelimit'], '"ip-1h";r=49;t=3528');
});

test('limits of the gateway hold for every route without its own, whatever the document calls them', {
  timeout: 30_000,
}, async (t) => {
  const upstream = await httpUpstream(t, (_request, response) => response.end());
  const gateway = await startTestGateway(
    t,
    {
      gateway: { workers: 2, rateLimit: { windowMs: 3_600_000, max: 1_000 } },
      services: { one: { instances: [upstream.url] } },
      routes: [
        { match: { path: '/a' }, service: 'one', auth: 'public' },
        { match: { path: '/b' }, service: 'one', auth: 'public' },
        { match: { path: '/free' }, service: 'one', auth: 'public', rateLimit: 'off' },
      ],
    },
    { RATE_LIMIT_MAX: '30' },
  );
  const urls = ['a', 'b'].map((path) => `${gateway.url}/${path}`);
  assert.equal((await flood(urls, 10)).get(200), 30);
  assert.equal((await flood([`${gateway.url}/free`], 5)).get(200), 40);
});

test('a reload keeps the counts', { timeout: 30_000 }, async (t) => {
  const upstream = await httpUpstream(t, (_request, response) => response.end());
  const gateway = await startTestGateway(t, {
    services: { one: { instances: [upstream.url] } },
    routes: [{ match: { path: '/a' }, service: 'one', auth: 'public', rateLimit: rateLimit('5/1h') }],
  });
  for (let i = 0; i < 4; i++) assert.equal((await send(`${gateway.url}/a`)).status, 200);
  assert.equal((await gateway.reload()).ok, true);
  assert.equal((await send(`${gateway.url}/a`)).status, 200);
  assert.equal((await send(`${gateway.url}/a`)).status, 429);
});

test('two gateways that share Redis get exactly the limit together', { timeout: 30_000 }, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const upstream = await httpUpstream(t, (_request, response) => response.end());
  const document = {
    gateway: { workers: 2 },
    stores: { redis: redis.url },
    limits: { redis: { fallback: 'closed', timeout: '2s' } },
    services: { one: { instances: [upstream.url] } },
    routes: [
      { match: { path: '/a' }, service: 'one', auth: 'public', rateLimit: { ...rateLimit('100/1h'), name: 'shared' } },
    ],
  };
  const gateways: TestGateway[] = [await startTestGateway(t, document), await startTestGateway(t, document)];
  for (const { url } of gateways) {
    for (let i = 0; i < 4; i++) {
      const deadline = performance.now() + 8_000;
      while ((await send(`${url}/a`)).status === 503) assert.ok(performance.now() < deadline, 'Redis is reached');
    }
  }
  const before = 8;
  const counted = await redis.command('DBSIZE');
  assert.equal(counted, ':1');
  const statuses = await flood(
    gateways.map(({ url }) => `${url}/a`),
    30,
  );
  assert.deepEqual([statuses.get(200), (statuses.get(200) ?? 0) + (statuses.get(429) ?? 0)], [100 - before, 240]);
});

test('a quota of stories: five a day over all workers, failed ones are free, and the usage is billed', {
  timeout: 30_000,
}, async (t) => {
  const upstream = await httpUpstream(t, (incoming, response) => {
    response.statusCode = incoming.url === '/fail' ? 500 : 201;
    response.end();
  });
  const gateway = await startTestGateway(
    t,
    {
      gateway: { workers: 2 },
      quotas: { stories: { per: 'day', timeZone: 'Europe/Berlin' } },
      plans: { basic: { limits: ['1000/1m'], quotas: { stories: 5 } } },
      services: { one: { instances: [upstream.url] } },
      routes: [
        { match: { path: '/make' }, service: 'one', auth: { apiKey: {} }, quota: 'stories' },
        { match: { path: '/fail' }, service: 'one', auth: { apiKey: {} }, quota: 'stories' },
        { match: { path: '/api/v1/usage/*' }, builtin: 'limits', auth: { apiKey: {} } },
      ],
    },
    { API_KEY_1: 'sesame-0123456789abcdef0123456789:ada:stories:basic' },
  );
  const key = { 'x-api-key': 'sesame-0123456789abcdef0123456789' };
  // One after the other: while requests run, what they reserved is not there for others.
  for (let i = 0; i < 12; i++) assert.equal((await send(`${gateway.url}/fail`, key)).status, 500);
  const statuses = await flood([`${gateway.url}/make`], 3, key);
  assert.deepEqual([statuses.get(201), statuses.get(429)], [5, 19]);
  const refused = await send(`${gateway.url}/make`, key);
  assert.equal(JSON.parse(refused.body).code, 'QUOTA_EXCEEDED');
  let used = -1;
  await until(() => {
    void send(`${gateway.url}/api/v1/usage`, key).then(({ body }) => {
      used = JSON.parse(body).quotas[0].used;
    });
    return used === 5;
  }, 'the usage is reported');
  assert.equal((await send(`${gateway.url}/api/v1/usage`)).status, 401);
});

test('a caller that guesses is banned on every worker, before its requests are read', {
  timeout: 30_000,
}, async (t) => {
  const upstream = await httpUpstream(t, (_request, response) => response.end());
  const gateway = await startTestGateway(
    t,
    {
      gateway: { workers: 2 },
      abuse: { rules: [{ name: 'guessing', on: [401], limit: '5/1m' }] },
      services: { one: { instances: [upstream.url] } },
      routes: [{ match: { path: '/a' }, service: 'one', auth: { apiKey: {} } }],
    },
    { API_KEY_1: 'sesame-0123456789abcdef0123456789:ada:a:basic' },
  );
  const wrong = { 'x-api-key': 'guess-0123456789abcdef0123456789ab' };
  const statuses: number[] = [];
  const deadline = performance.now() + 8_000;
  while (performance.now() < deadline) {
    const answer = await send(`${gateway.url}/a`, wrong).catch(() => null);
    if (answer === null) break;
    statuses.push(answer.status);
    if (answer.status === 403) break;
  }
  assert.ok(statuses.filter((status) => status === 401).length >= 5, statuses.join(' '));
  assert.ok(performance.now() < deadline, 'it was banned');
});
