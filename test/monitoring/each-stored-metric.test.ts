/** Each metric of the cache, of its second tier and of idempotency keys, after traffic that moves it. */
import { it } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { startRedis } from '../support/redis.ts';
import { assertSeries, some } from '../support/series.ts';
import { until } from '../support/until.ts';
import { httpUpstream, readAll } from '../support/upstream.ts';

const PATIENCE_MS = 60_000;

it('each metric of the cache', { timeout: 240_000 }, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const body = 'x'.repeat(50_000);
  const upstream = await httpUpstream(t, (request, response) => {
    const isPrivate = request.url?.startsWith('/a/private') === true;
    response.setHeader('cache-control', isPrivate ? 'no-store' : 'max-age=600').end(body);
  });
  const route = (name: string, cache: object) => ({
    name,
    match: { path: `/${name}/*` },
    service: 'things',
    auth: 'public',
    cache,
  });
  const gateway = await startTestGateway(t, {
    stores: { redis: redis.url, cacheMemory: '1mb', cacheRedis: { timeout: '5s' } },
    services: { things: { instances: [upstream.url] } },
    routes: [
      route('a', {}),
      route('b', { store: 'redis' }),
      { match: { path: '/once' }, service: 'things', auth: 'public', idempotency: { store: 'redis' } },
    ],
  });
  const get = async (path: string): Promise<string> => {
    const response = await fetch(gateway.url + path);
    await response.arrayBuffer();
    return response.headers.get('cache-status') ?? '';
  };
  await get('/a/1');
  await get('/a/1');
  await get('/a/private');
  let nth = 0;
  const isWritten = async (): Promise<boolean> => {
    await get(`/b/${nth++}`);
    return (await redis.command('KEYS', '*:o:*')).includes(':o:');
  };
  await until(isWritten, 'it is written to Redis', PATIENCE_MS);
  const once = { method: 'POST', body: '1', headers: { 'idempotency-key': 'one' } };
  await (await fetch(`${gateway.url}/once`, once)).arrayBuffer();
  // More than the memory has room for.
  for (let i = 0; i < 30; i++) await get(`/a/many-${i}`);
  await assertSeries(gateway.url, [
    ['gatehouse_cache_requests_total{route="a",result="hit"}', 1],
    ['gatehouse_cache_requests_total{route="a",result="miss"}', (value) => value >= 31],
    ['gatehouse_cache_sent_bytes_total{route="a"}', (value) => value >= body.length],
    ['gatehouse_cache_stored_total{route="a"}', (value) => value >= 31],
    ['gatehouse_cache_refusals_total{route="a",reason="no_store"}', 1],
    ['gatehouse_cache_evictions_total', some],
    ['gatehouse_cache_resets_total', 0],
    ['gatehouse_cache_objects', (value) => value > 0 && value < 25],
    ['gatehouse_cache_memory_bytes{state="used"}', (value) => value > body.length],
    ['gatehouse_cache_memory_bytes{state="all"}', (value) => value > 2 ** 19],
    ['gatehouse_cache_redis_reads_total{route="b",result="miss"}', some],
    ['gatehouse_cache_redis_writes_total{route="b",result="stored"}', some],
    ['gatehouse_cache_redis_locks_total', some],
    ['gatehouse_redis_duration_seconds_count{use="cache"}', some],
    ['gatehouse_redis_duration_seconds_count{use="purges"}', some],
    ['gatehouse_redis_duration_seconds_count{use="idempotency"}', some],
  ]);
});

it('each metric of idempotency keys', { timeout: 240_000 }, async (t) => {
  const waiting: (() => void)[] = [];
  const upstream = await httpUpstream(t, (request, response) => {
    void readAll(request).then(async () => {
      if (request.url === '/slow') await new Promise<void>((resolve) => void waiting.push(resolve));
      response.writeHead(request.url === '/fails' ? 500 : 201).end(request.url === '/large' ? 'x'.repeat(3_000) : '');
    });
  });
  const gateway = await startTestGateway(t, {
    services: { s: { instances: [upstream.url] } },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public', idempotency: { maxResponseSize: '2kb' } }],
  });
  const send = async (path: string, key: string, body = '1'): Promise<void> => {
    const init = { method: 'POST', body, headers: { 'idempotency-key': key } };
    await (await fetch(gateway.url + path, init)).arrayBuffer();
  };
  for (const body of ['1', '1', '2']) await send('/orders', 'one', body);
  await send('/fails', 'two');
  await send('/large', 'three');
  const slow = send('/slow', 'four');
  await until(() => waiting.length === 1, 'the service has it', PATIENCE_MS);
  await send('/slow', 'four');
  waiting[0]!();
  await slow;
  const requests = (result: string, value: number) =>
    [`gatehouse_idempotency_requests_total{result="${result}"}`, value] as const;
  const responses = (result: string, value: number) =>
    [`gatehouse_idempotency_responses_total{result="${result}"}`, value] as const;
  await assertSeries(gateway.url, [
    requests('first', 4),
    requests('replayed', 1),
    requests('mismatch', 1),
    requests('in_progress', 1),
    requests('failed', 0),
    responses('kept', 2),
    responses('unknown', 1),
    responses('released', 1),
    responses('failed', 0),
  ]);
});
