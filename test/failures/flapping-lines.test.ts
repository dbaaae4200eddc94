/**
 * The lines from a gateway to Redis, PostgreSQL and NATS break again and again, wherever they happen to be: in the
 * middle of a handshake, a command, an answer. No promise stays without somebody to hear that it failed, no thread
 * ends, what needs none of them is served, the rest is answered with 503, and when the lines hold all is as before.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FlappingLine } from '../support/flapping-line.ts';
import { startTestGateway } from '../support/gateway.ts';
import { startNats } from '../support/nats.ts';
import { startPostgres } from '../support/postgres.ts';
import { startDurableRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

const FLAPS_FOR_MS = 10_000;
const SOON_MS = 120_000;
const STREAMS = ['redis', 'nats', 'embedded'];
const JSON_BODY = { method: 'POST', headers: { 'content-type': 'application/json' } };
const EVENT = { ...JSON_BODY, body: '{"a":1}' };
const PASSWORD = 'a very long password 1';

/** A request, and what it may be answered with while lines break; undefined: as always. */
type Asked = readonly [path: string, init: () => RequestInit, well: readonly number[], meanwhile?: readonly number[]];

const withKey = (): RequestInit => ({
  ...EVENT,
  headers: { ...EVENT.headers, 'idempotency-key': `"${Math.random()}"` },
});
const account = (email: string): RequestInit => ({
  ...JSON_BODY,
  body: JSON.stringify({ email, password: PASSWORD }),
});
const ASKED: readonly Asked[] = [
  ['/plain', () => ({}), [200]],
  ['/limited', () => ({}), [200]],
  ['/cached', () => ({}), [200]],
  ['/mine', () => ({}), [401]],
  ['/once', withKey, [200], [503]],
  ['/once-sql', withKey, [200], [503]],
  ['/api/auth/login', () => account(`${Math.random()}@example.com`), [401, 429], [503]],
  ...STREAMS.flatMap((stream): Asked[] => [
    [`/publish/${stream}`, () => EVENT, [202], [503]],
    [`/kept/${stream}`, () => EVENT, [202], [503]],
  ]),
];

test('lines to Redis, PostgreSQL and NATS break for ten seconds', { timeout: 600_000 }, async (t) => {
  const unheard: unknown[] = [];
  const hear = (reason: unknown): void => void unheard.push(reason);
  process.on('unhandledRejection', hear);
  t.after(() => process.off('unhandledRejection', hear));
  const [redis, postgres, nats] = await Promise.all([startDurableRedis(), startPostgres(), startNats()]);
  for (const server of [redis, postgres, nats]) t.after(() => server.stop());
  const toRedis = await FlappingLine.to(t, redis.url);
  const toSql = await FlappingLine.to(t, await postgres.database('flapping'));
  const toNats = await FlappingLine.to(t, nats.url);
  const lines = [toRedis, toSql, toNats];
  const service = await httpUpstream(t, (request, response) => {
    request.resume().on('end', () => response.writeHead(200, { 'cache-control': 'max-age=1' }).end('ok'));
  });
  const open = { service: 'audit', auth: 'public' };
  const gateway = await startTestGateway(t, {
    stores: { redis: toRedis.url, sql: toSql.url },
    cluster: { name: 'flapping', node: 'a' },
    identity: { enabled: true },
    services: { audit: { instances: [service.url] } },
    events: {
      engines: { redis: { url: toRedis.url }, nats: { url: toNats.url } },
      streams: Object.fromEntries(STREAMS.map((engine) => [engine, { engine }])),
      consumers: Object.fromEntries(STREAMS.map((stream) => [stream, { stream, service: 'audit', backoff: '100ms' }])),
      hub: { engine: 'redis', topics: [{ topic: 'rooms.*', subscribe: 'anyone', publish: 'anyone' }] },
    },
    routes: [
      { match: { path: '/plain' }, ...open },
      { match: { path: '/limited' }, ...open, rateLimit: { by: 'ip', limits: ['100000/1m'] } },
      { match: { path: '/cached' }, ...open, cache: { store: 'redis' } },
      { match: { path: '/mine' }, service: 'audit' },
      { match: { path: '/once' }, ...open, idempotency: { store: 'redis' } },
      { match: { path: '/once-sql' }, ...open, idempotency: { store: 'sql' } },
      ...STREAMS.flatMap((stream) => {
        const publish = { stream, subject: `${stream}.a`, ackTimeout: '3s' };
        return [
          { match: { path: `/publish/${stream}` }, publish, auth: 'public' },
          { match: { path: `/kept/${stream}` }, publish: { ...publish, outbox: true }, auth: 'public' },
          { match: { path: `/subscribe/${stream}` }, subscribe: { stream }, auth: 'public' },
        ];
      }),
    ],
  });
  const ask = async ([path, init]: Asked): Promise<number> => {
    const response = await fetch(`${gateway.url}${path}`, { ...init(), signal: AbortSignal.timeout(60_000) });
    await response.text();
    return response.status;
  };
  const isAllWell = async (): Promise<boolean> => {
    const got = await Promise.all(ASKED.map(ask));
    return got.every((status, index) => ASKED[index]![2].includes(status));
  };
  await until(isAllWell, 'all is well before', SOON_MS);

  for (const line of lines) line.flap();
  const odd = new Set<string>();
  const endMs = performance.now() + FLAPS_FOR_MS;
  const meanwhile = ASKED.map(async (asked) => {
    const [path, , well, others = []] = asked;
    while (performance.now() < endMs) {
      const status = await ask(asked);
      if (!well.includes(status) && !others.includes(status)) odd.add(`${path}: ${status}`);
    }
  });
  const reading = STREAMS.map(async (stream) => {
    while (performance.now() < endMs) {
      const signal = AbortSignal.timeout(200 + Math.floor(Math.random() * 2_000));
      await fetch(`${gateway.url}/subscribe/${stream}`, { signal })
        .then((response) => response.text())
        .catch(() => {});
    }
  });
  await Promise.all([...meanwhile, ...reading]);
  for (const line of lines) line.hold();
  for (const { url, broken } of lines) assert.ok(broken > 0, `no connection to ${url} was broken`);
  assert.deepEqual([...odd], []);

  await until(isAllWell, 'all is well afterwards', SOON_MS);
  const metrics = async (): Promise<string> => (await fetch(`${gateway.url}/metrics/prometheus`)).text();
  await until(
    // Whether Redis can count again shows when something is to be counted.
    async () => (await isAllWell()) && !/^gatehouse_dependency_available\{.*\} 0$/m.test(await metrics()),
    'everything the gateway leans on can be used',
    SOON_MS,
  );
  const text = await metrics();
  for (const line of [
    'gatehouse_unhandled_rejections_total{thread="main"} 0',
    'gatehouse_unhandled_rejections_total{thread="worker"} 0',
    'gatehouse_worker_restarts_total 0',
  ])
    assert.ok(text.includes(`\n${line}\n`), line);
  assert.deepEqual(unheard, []);
});
