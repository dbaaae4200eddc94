/** Each metric of limits, quotas and bans, after traffic that moves it; with and without Redis. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { startRedis } from '../support/redis.ts';
import { assertSeries, some } from '../support/series.ts';
import { until } from '../support/until.ts';

const KEY = 'sesame-0123456789abcdef0123456789';
const ENV = { API_KEY_1: `${KEY}:ada:read:basic` };
const respond = { status: 200, body: 'ok' };
const PATIENCE_MS = 60_000;

async function statusOf(url: string, headers: Record<string, string> = {}): Promise<number> {
  const response = await fetch(url, { headers });
  await response.arrayBuffer();
  return response.status;
}

it('each metric of limits, quotas and bans', { timeout: 240_000 }, async (t) => {
  const gateway = await startTestGateway(
    t,
    {
      gateway: { trustProxy: ['127.0.0.0/8'] },
      limits: { memory: '64kb' },
      plans: { basic: { limits: ['4/1h'], quotas: { stories: 3 } } },
      quotas: { stories: { per: 'month' } },
      abuse: { exempt: ['127.0.0.0/8'], rules: [{ name: 'probing', on: [404], limit: '2/1h' }] },
      routes: [
        { match: { path: '/limited' }, respond, auth: 'public', rateLimit: { by: 'ip', limits: ['3/1h'] } },
        { match: { path: '/planned' }, respond, auth: { apiKey: {} }, rateLimit: { by: 'user', plan: true } },
        { match: { path: '/counted' }, respond, auth: { apiKey: {} }, quota: 'stories' },
      ],
    },
    ENV,
  );
  const ask = (path: string, headers: Record<string, string> = {}): Promise<number> =>
    statusOf(gateway.url + path, headers);
  for (let i = 0; i < 5; i++) await ask('/limited');
  for (let i = 0; i < 6; i++) await ask('/planned', { 'x-api-key': KEY });
  for (let i = 0; i < 5; i++) await ask('/counted', { 'x-api-key': KEY });
  const prober = { 'x-forwarded-for': '198.51.100.66' };
  for (let i = 0; i < 3; i++) await ask('/nothing', prober);
  await until(async () => (await ask('/limited', prober)) === 403, 'it is banned', PATIENCE_MS);
  await assertSeries(gateway.url, [
    // The prober may have asked for it before it was banned.
    ['gatehouse_limit_decisions_total{result="allowed"}', (value) => value >= 7],
    ['gatehouse_limit_decisions_total{result="refused"}', (value) => value >= 4],
    ['gatehouse_limit_plan_decisions_total{plan="basic",result="allowed"}', 4],
    ['gatehouse_limit_plan_decisions_total{plan="basic",result="refused"}', 2],
    ['gatehouse_limit_table_cells{state="live"}', some],
    ['gatehouse_limit_table_cells{state="all"}', (value) => value > 1_000],
    ['gatehouse_quota_decisions_total{result="allowed"}', 3],
    ['gatehouse_quota_decisions_total{result="refused"}', 2],
    ['gatehouse_quota_grants_total{quota="stories",plan="basic"}', 3],
    ['gatehouse_quota_refusals_total{quota="stories",plan="basic"}', some],
    ['gatehouse_quota_used_total', 3],
    ['gatehouse_quota_store_failures_total', 0],
    ['gatehouse_quota_utilisation_ratio{quota="stories",plan="basic"}', 1],
    ['gatehouse_abuse_events_total{event="notFound"}', 3],
    ['gatehouse_abuse_refusals_total', some],
    ['gatehouse_bans_total{rule="probing"}', 1],
    ['gatehouse_bans_active', 1],
  ]);
});

it('a table that is too small: overflows, charges given back, newcomers refused', { timeout: 240_000 }, async (t) => {
  const gateway = await startTestGateway(t, {
    gateway: { trustProxy: ['127.0.0.0/8'] },
    limits: { memory: '4kb' },
    routes: [
      { match: { path: '/named' }, respond, auth: 'public', rateLimit: { by: 'header:x-tenant', limits: ['9/1h'] } },
      { match: { path: '/twice' }, respond, auth: 'public', rateLimit: { by: 'ip', limits: ['9/1m', '99/1h'] } },
    ],
  });
  for (let i = 0; i < 100; i++) await statusOf(`${gateway.url}/named`, { 'x-tenant': `t${i}` });
  for (let i = 0; i < 400; i++)
    await statusOf(`${gateway.url}/twice`, { 'x-forwarded-for': `203.0.${i >> 8}.${i & 255}` });
  await assertSeries(gateway.url, [
    ['gatehouse_limit_newcomers_refused_total', some],
    ['gatehouse_limit_overflows_total', some],
    ['gatehouse_limit_given_back_total', some],
  ]);
});

it('limits in Redis: questions, their times, batches taken ahead, decisions without it', {
  timeout: 240_000,
}, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const gateway = await startTestGateway(t, {
    stores: { redis: redis.url },
    limits: { redis: { mode: 'leased', leaseShare: '20%' } },
    abuse: {},
    routes: [{ match: { path: '/a' }, respond, auth: 'public', rateLimit: { by: 'ip', limits: ['100000/1h'] } }],
  });
  const ask = (): Promise<number> => statusOf(`${gateway.url}/a`);
  const answered = ['gatehouse_limit_redis_questions_total{result="answered"}', some] as const;
  await until(async () => (await ask()) === 200 && (await redis.command('DBSIZE')) !== ':0', 'it counts', PATIENCE_MS);
  for (let i = 0; i < 50; i++) await ask();
  await assertSeries(gateway.url, [
    answered,
    ['gatehouse_limit_redis_duration_seconds_count', some],
    ['gatehouse_limit_redis_seconds_total', some],
    ['gatehouse_limit_redis_leased_total', some],
    ['gatehouse_redis_duration_seconds_count{use="bans"}', some],
  ]);
  await redis.kill();
  const counted = async (): Promise<boolean> => {
    assert.equal(await ask(), 200, 'this machine counts alone');
    const text = await (await fetch(`${gateway.url}/metrics/prometheus`)).text();
    return /^gatehouse_limit_redis_fallbacks_total [1-9]/m.test(text);
  };
  await until(counted, 'decisions without Redis are counted', PATIENCE_MS);
});
