/**
 * Limits at the edges of their windows, by variables, and bans that two gateways share through Redis: all through
 * sockets.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { startRedis } from '../support/redis.ts';
import { readSeries } from '../support/series.ts';
import { until } from '../support/until.ts';

const PATIENCE_MS = 8_000;
const LIMIT = 6;
const WINDOW_MS = 500;
/** As far as two readings of the clock may differ. */
const CLOCK_MS = 3;
const respond = { status: 200, body: 'ok' };

async function ask(url: string, headers: Record<string, string> = {}) {
  const answer = await fetch(url, { headers });
  await answer.arrayBuffer();
  return { status: answer.status, field: (name: string) => answer.headers.get(name) };
}

for (const algorithm of ['fixed', 'sliding'] as const) {
  test(`over the edges of ${algorithm} windows no window admits more than the limit`, {
    timeout: 20_000,
  }, async (t) => {
    const limits = [{ limit: LIMIT, window: `${WINDOW_MS}ms`, algorithm }];
    // The gateway reads the time of day when it starts and carries it on by the monotonic clock, whatever becomes of it.
    const startMs = Date.now() - performance.now();
    const gateway = await startTestGateway(t, {
      gateway: { workers: 2 },
      routes: [{ match: { path: '/a' }, respond, auth: 'public', rateLimit: { by: 'ip', limits } }],
    });
    // Windows are those of the clock. What was sent in one and answered in another is left out: nobody knows where it
    // counted.
    const perWindow = new Map<number, { count: number; lastMs: number }>();
    const note = (sentMs: number, answeredMs: number): void => {
      const window = Math.floor((startMs + sentMs - CLOCK_MS) / WINDOW_MS);
      if (Math.floor((startMs + answeredMs + CLOCK_MS) / WINDOW_MS) !== window) return;
      const lastMs = startMs + answeredMs - window * WINDOW_MS;
      perWindow.set(window, { count: (perWindow.get(window)?.count ?? 0) + 1, lastMs });
    };
    const started = performance.now();
    // On a busy machine more calls lie over an edge, and it takes longer until enough windows were seen.
    const goesOn = (): boolean => {
      const elapsed = performance.now() - started;
      return elapsed < 2_300 || (perWindow.size < 4 && elapsed < 2 * PATIENCE_MS);
    };
    let admitted = 0;
    let refused = 0;
    const callers = Array.from({ length: 4 }, async () => {
      while (goesOn()) {
        // Every other window is begun late by all, else its few are gone within the moment that nobody can place.
        const wallMs = startMs + performance.now();
        const left = 2 * CLOCK_MS - (wallMs % WINDOW_MS);
        if (left > 0 && Math.floor(wallMs / WINDOW_MS) % 2 === 1) await delay(left);
        const sentMs = performance.now();
        const { status } = await ask(`${gateway.url}/a`);
        if (status === 200) {
          admitted++;
          note(sentMs, performance.now());
        } else refused++;
      }
    });
    await Promise.all(callers);
    assert.ok(refused > 20, `${refused} refused`);
    assert.ok(admitted >= 3 * LIMIT, `${admitted} admitted`);
    assert.ok(perWindow.size >= 4, `${perWindow.size} windows`);
    for (const [window, { count, lastMs }] of perWindow) {
      const before = algorithm === 'fixed' ? 0 : (perWindow.get(window - 1)?.count ?? 0);
      const inSight = before * Math.max(0, 1 - lastMs / WINDOW_MS);
      assert.ok(count + inSight <= LIMIT, `${count} after ${lastMs} ms, ${before} in the window before`);
    }
  });
}

test('RATE_LIMIT_DEFAULT, RATE_LIMIT_MAX and RATE_LIMIT_WINDOW limit what has no limits of its own', {
  timeout: 20_000,
}, async (t) => {
  const routes = [
    { match: { path: '/a' }, respond, auth: 'public' },
    { match: { path: '/own' }, respond, auth: 'public', rateLimit: { by: 'ip', limits: ['3/1m'] } },
  ];
  const minute = await startTestGateway(t, { routes }, { RATE_LIMIT_DEFAULT: '7' });
  const first = await ask(`${minute.url}/a`);
  assert.deepEqual([first.field('x-ratelimit-limit'), first.field('ratelimit-policy')], ['7', '"ip-1m";q=7;w=60']);
  assert.equal((await ask(`${minute.url}/own`)).field('x-ratelimit-limit'), '3');
  const window = await startTestGateway(t, { routes }, { RATE_LIMIT_MAX: '2', RATE_LIMIT_WINDOW: '120000' });
  const statuses: number[] = [];
  for (let i = 0; i < 3; i++) statuses.push((await ask(`${window.url}/a`)).status);
  assert.deepEqual(statuses, [200, 200, 429]);
  assert.equal((await ask(`${window.url}/a`)).field('ratelimit-policy'), '"ip-2m";q=2;w=120');
  const quarter = await startTestGateway(t, { routes }, { RATE_LIMIT_MAX: '500' });
  assert.equal((await ask(`${quarter.url}/a`)).field('ratelimit-policy'), '"ip-15m";q=500;w=900');
});

test('who is banned by one gateway is banned by the other, which shares its Redis, until the ban is lifted', {
  timeout: 30_000,
}, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const document = {
    gateway: { workers: 2, trustProxy: ['127.0.0.0/8'] },
    stores: { redis: redis.url },
    abuse: { exempt: ['127.0.0.0/8'], rules: [{ name: 'probing', on: [404], limit: '5/1m' }] },
    routes: [{ match: { path: '/a' }, respond, auth: 'public' }],
  };
  const env = { API_KEY_1: 'master-0123456789abcdef0123456789:root:limits:admin:standard' };
  const gateways: TestGateway[] = [];
  for (let i = 0; i < 2; i++) gateways.push(await startTestGateway(t, document, env));
  const [one, two] = gateways as [TestGateway, TestGateway];
  const abuser = { 'x-forwarded-for': '198.51.100.66' };
  const responds = (url: string, status: number): Promise<void> =>
    until(async () => (await ask(url, abuser)).status === status, `${url}: ${status}`, PATIENCE_MS);
  await responds(`${two.url}/a`, 200);
  for (let i = 0; i < 6; i++) await ask(`${one.url}/nothing`, abuser);
  await responds(`${one.url}/a`, 403);
  await responds(`${two.url}/a`, 403);
  assert.equal((await ask(`${two.url}/a`, { 'x-forwarded-for': '198.51.100.67' })).status, 200);

  const admin = { 'x-api-key': 'master-0123456789abcdef0123456789' };
  const listed = await fetch(`${two.url}/api/v1/bans`, { headers: admin });
  const { bans } = (await listed.json()) as { bans: { id: string; subject: string }[] };
  assert.deepEqual(
    bans.map(({ subject }) => subject),
    ['198.51.100.66'],
  );
  await fetch(`${two.url}/api/v1/bans/${bans[0]!.id}`, { method: 'DELETE', headers: admin });
  await responds(`${one.url}/a`, 200);
  await responds(`${two.url}/a`, 200);
});

test('a Redis that is back, or takes writes again, is found without a request, and said once', {
  timeout: 60_000,
}, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const limited = { rateLimit: { by: 'ip', limits: ['1000/1h'] } };
  const stores = { redis: redis.url };
  const gateway = await startTestGateway(t, {
    stores,
    routes: [{ match: { path: '/a' }, respond, auth: 'public', ...limited }],
  });
  const said = (what: string): number => gateway.logged.filter((line) => line.includes(what)).length;
  const isShown = (value: number): Promise<void> =>
    until(
      async () => {
        const series = await readSeries(gateway.url);
        return series.get('gatehouse_dependency_available{dependency="redis"}') === value;
      },
      `redis is shown as ${value}`,
      20_000,
    );
  const fail = async (): Promise<void> => {
    const before = said('cannot be shared');
    await until(
      async () => {
        await ask(`${gateway.url}/a`);
        return said('cannot be shared') > before;
      },
      'limits are counted alone',
      20_000,
    );
    await isShown(0);
  };
  await ask(`${gateway.url}/a`);
  await isShown(1);

  await redis.kill();
  await fail();
  await redis.start();
  await isShown(1);

  await redis.command('CONFIG', 'SET', 'maxmemory', '1');
  await fail();
  // It answers a PING all the while.
  await delay(3_000);
  await isShown(0);
  await redis.command('CONFIG', 'SET', 'maxmemory', '0');
  await isShown(1);
  assert.deepEqual([said('cannot be shared'), said('are shared through Redis again')], [2, 2]);

  // Another one is configured while it is away.
  await redis.kill();
  await fail();
  const other = await startRedis();
  t.after(() => other.stop());
  stores.redis = other.url;
  assert.ok((await gateway.reload()).ok);
  await isShown(1);
  assert.deepEqual([said('cannot be shared'), said('are shared through Redis again')], [3, 3]);
});
