/**
 * Redis as second tier of the cache: shared by gateways, never an error and never slow when it is away, purges reach
 * all, nothing in it that its key does not allow, bounded.
 */
import assert from 'node:assert/strict';
import { type IncomingMessage, type ServerResponse, request as send } from 'node:http';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { commandLine } from '../../../src/cli/command-line.suite.ts';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';
import { type Scope, suiteScope } from '../../support/scope.ts';
import { httpUpstream } from '../../support/upstream.ts';

const DEADLINE_MS = 60_000;

interface Got {
  readonly status: number;
  readonly how: string;
  readonly body: string;
  readonly tags: string;
}

/** Both names: gateways match hosts, so that the two of them have the same URLs in their keys. */
const HOST = 'things.example';

type Headers = Readonly<Record<string, string>>;
const ADA = { 'x-api-key': 'key-of-ada-0123456789' };
const BOB = { 'x-api-key': 'key-of-bob-0123456789' };

async function get(gateway: TestGateway, path: string, headers: Headers = {}, method = 'GET'): Promise<Got> {
  return await new Promise((resolve, reject) => {
    const call = send(`${gateway.url}${path}`, { method, headers: { host: HOST, ...headers } }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          how: String(response.headers['cache-status'] ?? ''),
          body: Buffer.concat(parts).toString(),
          tags: String(response.headers['cache-tag'] ?? ''),
        }),
      );
    });
    call.on('error', reject).end();
  });
}

/** Again and again until it is so: Redis connects, hears and writes in the background. */
async function soon<T>(what: string, look: () => Promise<T>, isSo: (found: T) => boolean): Promise<T> {
  const deadline = performance.now() + DEADLINE_MS;
  for (;;) {
    const found = await look();
    if (isSo(found)) return found;
    if (performance.now() > deadline) throw new Error(`${what} did not happen: ${JSON.stringify(found)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

interface Fleet {
  readonly redis: RedisServer;
  readonly gateways: readonly [TestGateway, TestGateway];
  /** Paths that the service was asked for. */
  readonly asked: string[];
}

const LARGE = Buffer.alloc(100_000, 'x');

/** The service; the path says what it is like. */
function serve(request: IncomingMessage, response: ServerResponse, nth: number): void {
  const path = request.url!;
  response.setHeader('Cache-Control', 'max-age=600');
  if (path.startsWith('/language')) {
    response.setHeader('Vary', 'Accept-Language');
    response.end(`in ${request.headers['accept-language'] ?? 'none'}`);
  } else if (path.startsWith('/me')) {
    response.setHeader('Cache-Control', 'private, max-age=600');
    response.end(`for ${request.headers['x-auth-subject']}`);
  } else if (path.startsWith('/secret')) {
    if (path.startsWith('/secret/private')) response.setHeader('Cache-Control', 'private, max-age=600');
    if (path.startsWith('/secret/no-store')) response.setHeader('Cache-Control', 'no-store');
    if (path.startsWith('/secret/cookie')) response.setHeader('Set-Cookie', 'session=secret-of-one');
    response.end(`secret-of-one ${path}`);
  } else if (path.startsWith('/large')) response.end(LARGE);
  else {
    response.setHeader('Cache-Tag', 'all news');
    response.end(`body ${nth}`);
  }
}

/** Two gateways and a Redis. */
async function startFleet(scope: Scope): Promise<Fleet> {
  const redis = await startRedis();
  scope.after(() => redis.stop());
  const asked: string[] = [];
  const upstream = await httpUpstream(scope, (request, response) => {
    asked.push(request.url!);
    serve(request, response, asked.length);
  });
  const one = (): Promise<TestGateway> =>
    startTestGateway(
      scope,
      {
        gateway: { workers: 2 },
        // Longer than the default, for a machine that has much to do beside.
        stores: { redis: redis.url, cacheRedis: { timeout: '500ms' } },
        services: { things: { instances: [{ url: upstream.url }] } },
        routes: [
          { match: { path: '/me/*' }, service: 'things', auth: { apiKey: {} }, cache: { store: 'redis', by: 'user' } },
          { match: { path: '/*' }, service: 'things', auth: 'public', cache: { store: 'redis' } },
        ],
      },
      { API_KEY_1: `${ADA['x-api-key']}:ada:read:standard`, API_KEY_2: `${BOB['x-api-key']}:bob:read:standard` },
    );
  const gateways = await Promise.all([one(), one()]);
  for (const gateway of gateways) await ready(gateway);
  return { redis, gateways, asked };
}

/** Each worker has a line of its own; a read of a new URL that is no `away` shows that there is one. */
async function ready(gateway: TestGateway): Promise<void> {
  const { primary } = gateway;
  await soon(
    'the line to Redis',
    async () => primary.opsSources().dependencies.find(({ name }) => name === 'cache-redis')?.available,
    (isThere) => isThere === true,
  );
}

const keys = async (redis: RedisServer): Promise<string> => await redis.command('KEYS', 'gatehouse-cache:o:*');

let tries = 0;

/** Asks the first gateway for new URLs below a path until one of them is in Redis, and gives its path. */
async function stored({ gateways: [first], redis }: Fleet, headers: Headers = {}, below = ''): Promise<string> {
  const before = (await keys(redis)).split('\r\n').length;
  let path = '';
  await soon(
    'a response in Redis',
    async () => {
      path = `${below}/stored-${++tries}`;
      await get(first, path, headers);
      await new Promise((resolve) => setTimeout(resolve, 50));
      return (await keys(redis)).split('\r\n').length;
    },
    (after) => after > before,
  );
  return path;
}

/** Of all workers of a gateway, as main knows them: by result. */
function counted(gateway: TestGateway, what: 'reads' | 'writes'): Record<string, number> {
  const metric = gateway.primary
    .opsSources()
    .metrics.extra()
    .find(({ name }) => name === `gatehouse_cache_redis_${what}_total`);
  const sums: Record<string, number> = {};
  for (const sample of metric?.samples ?? [])
    if ('value' in sample) sums[sample.labels['result']!] = (sums[sample.labels['result']!] ?? 0) + sample.value;
  return sums;
}

const reads = (gateway: TestGateway): Record<string, number> => counted(gateway, 'reads');

describe('the cache with Redis as second tier', () => {
  const scope = suiteScope();
  let all: Fleet;
  before(async () => {
    all = await startFleet(scope);
  });

  test('what one gateway fetched is a hit in another, with its fields, and the service is not asked', async () => {
    const path = await stored(all);
    const before = all.asked.length;
    const [first, second] = all.gateways;
    const got = await soon(
      'a hit',
      () => get(second, path),
      ({ how }) => how.includes('detail=redis'),
    );
    assert.match(got.how, /; hit; ttl=\d+; detail=redis$/);
    assert.equal(got.tags, 'all news');
    assert.equal(got.body, (await get(first, path)).body);
    assert.match((await get(second, path)).how, /; hit; ttl=\d+$/, 'now it is in memory here too');
    assert.equal(all.asked.length, before);
  });

  test('each variant has its own, in whatever order gateways ask', async () => {
    const [first, second] = all.gateways;
    const path = await stored(all, { 'accept-language': 'de' }, '/language');
    const inGerman = await soon(
      'the German one from Redis',
      () => get(second, path, { 'accept-language': 'de' }),
      ({ how }) => how.includes('hit'),
    );
    assert.equal(inGerman.body, 'in de');
    // The other way round: the second gateway adds a variant to what the first one began.
    const french = await get(second, path, { 'accept-language': 'fr' });
    assert.equal(french.body, 'in fr');
    assert.doesNotMatch(french.how, /; hit/);
    const shared = await soon(
      'the French one from Redis',
      () => get(first, path, { 'accept-language': 'fr' }),
      ({ how }) => how.includes('hit'),
    );
    assert.equal(shared.body, 'in fr');
    assert.equal((await get(first, path, { 'accept-language': 'de' })).body, 'in de');
  });

  test('nothing private lies in Redis: not what is for one caller, not keys that can be read', async () => {
    const [first, second] = all.gateways;
    const authorization = { authorization: 'Bearer token-of-one' };
    for (let i = 0; i < 5; i++) {
      for (const path of [`/secret/private-${i}`, `/secret/no-store-${i}`, `/secret/cookie-${i}`])
        await get(first, path);
      await get(first, `/secret/authorized-${i}`, authorization);
    }
    // What may be shared comes behind them, so they would be there by now.
    const open = await stored(all, {}, '/secret');
    const dump: string[] = [];
    for (const key of (await keys(all.redis)).split('\r\n').filter((line) => line.startsWith('gatehouse-cache')))
      dump.push(key, await all.redis.command('GET', key));
    assert.ok(dump.some((text) => text.includes(`secret-of-one ${open}`)));
    for (const text of dump) {
      assert.doesNotMatch(text, /\/secret\/(private|no-store|cookie|authorized)-\d/);
      assert.doesNotMatch(text, /token-of-one|session=/);
    }
    for (const key of dump.filter((text) => text.startsWith('gatehouse-cache')))
      assert.doesNotMatch(key, /things|stored/, 'keys tell nothing');
    assert.doesNotMatch((await get(second, '/secret/cookie-0')).how, /; hit/);
  });

  test('by user: what one user got is never another one, in Redis too', async () => {
    const [first, second] = all.gateways;
    const path = await stored(all, ADA, '/me');
    const ada = await soon(
      'a hit for Ada',
      () => get(second, path, ADA),
      ({ how }) => how.includes('hit'),
    );
    assert.equal(ada.body, 'for ada');
    assert.equal((await get(second, path, BOB)).body, 'for bob');
    assert.equal((await get(first, path, BOB)).body, 'for bob');
    assert.equal((await get(first, path, ADA)).body, 'for ada');
  });

  test('purges by URL, prefix and tag and of all reach Redis and the memory of the other gateway', async (t) => {
    const [first, second] = all.gateways;
    const cli = commandLine();
    t.after(() => cli.remove());
    const site = `http://${HOST}`;
    for (const of of [
      (path: string) => ['--url', `${site}${path}`],
      () => ['--prefix', `${site}/stored`],
      () => ['--tag', 'news'],
      () => ['--all'],
    ]) {
      const path = await stored(all);
      const known = await soon(
        'a hit',
        () => get(second, path),
        ({ how }) => how.includes('hit'),
      );
      const { code, out, err } = await cli.run(
        'cache',
        'purge',
        ...of(path),
        '--socket',
        join(first.folder, 'gatehouse.sock'),
      );
      assert.equal(code, 0, err);
      assert.equal(out, 'purged\n');
      const here = await get(first, path);
      assert.doesNotMatch(here.how, /; hit/, `${of(path)}: neither from memory nor from Redis`);
      const there = await soon(
        'the other gateway forgets',
        () => get(second, path),
        ({ body }) => body !== known.body,
      );
      assert.notEqual(there.body, known.body);
    }
  });

  test('an unsafe request by one gateway makes what the other one and Redis have invalid', async () => {
    const [first, second] = all.gateways;
    const path = await stored(all);
    const known = await soon(
      'a hit',
      () => get(second, path),
      ({ how }) => how.includes('hit'),
    );
    await get(first, path, { host: 'elsewhere.example' }, 'POST');
    assert.equal((await get(second, path)).body, known.body, 'another host is another URL');
    await get(first, path, {}, 'POST');
    await soon(
      'the other gateway forgets',
      () => get(second, path),
      ({ body }) => body !== known.body,
    );
    assert.notEqual((await get(first, path)).body, known.body);
  });

  test('Redis killed and back: no error, memory goes on, shared again; a purge made meanwhile is made up for', async (t) => {
    const [first, second] = all.gateways;
    const path = await stored(all);
    await soon(
      'a hit',
      () => get(second, path),
      ({ how }) => how.includes('hit'),
    );
    await all.redis.kill();
    assert.match((await get(second, path)).how, /; hit/, 'memory does not need Redis');
    for (let i = 0; i < 50; i++) assert.equal((await get(second, `/away-${i}`)).status, 200);
    assert.match((await get(second, '/away-7')).how, /; hit/);
    const cli = commandLine();
    t.after(() => cli.remove());
    const { code, out } = await cli.run(
      'cache',
      'purge',
      '--tag',
      'news',
      '--socket',
      join(first.folder, 'gatehouse.sock'),
    );
    assert.equal(code, 0);
    assert.equal(out, 'purged on this gateway; the others follow when Redis is back\n');
    await soon(
      'reads are told',
      async () => reads(second),
      (counts) => (counts['away'] ?? 0) + (counts['failed'] ?? 0) >= 50,
    );
    await all.redis.start();
    const again = await soon(
      'the other gateway hears of the purge',
      () => get(second, '/away-7'),
      ({ how }) => !how.includes('; hit'),
    );
    assert.equal(again.status, 200);
    const later = await stored(all);
    await soon(
      'shared again',
      () => get(second, later),
      ({ how }) => how.includes('hit'),
    );
  });

  test('a Redis that hangs costs a few requests its deadline, and the others nothing', async () => {
    const [first] = all.gateways;
    await stored(all);
    const before = await soon(
      'reads are told',
      async () => reads(first),
      (found) => found['hit'] !== undefined || found['miss']! > 0,
    );
    const slowBefore = (before['late'] ?? 0) + (before['failed'] ?? 0);
    const awayBefore = before['away'] ?? 0;
    all.redis.pause();
    try {
      for (let i = 0; i < 200; i++) assert.equal((await get(first, `/hung-${i}`)).status, 200);
    } finally {
      all.redis.resume();
    }
    const counts = await soon(
      'reads are told',
      async () => reads(first),
      (found) => (found['away'] ?? 0) - awayBefore >= 150,
    );
    const slow = (counts['late'] ?? 0) + (counts['failed'] ?? 0) - slowBefore;
    assert.ok(slow <= 20, `${slow} of 200 waited: a few of each worker until its breaker opens`);
    await stored(all);
  });

  test('the memory of Redis is bounded: where it is full nothing is written, and responses come all the same', async () => {
    const [first] = all.gateways;
    const used = Number(/used_memory:(\d+)/.exec(await all.redis.command('INFO', 'memory'))?.[1]);
    await all.redis.command('CONFIG', 'SET', 'maxmemory', String(used + 4_000_000));
    let i = 0;
    await soon(
      'refused writes',
      async () => {
        const { status, body } = await get(first, `/large-${i++}`);
        assert.equal(status, 200);
        assert.equal(body.length, LARGE.length);
        return counted(first, 'writes')['full'] ?? 0;
      },
      (full) => full > 20,
    );
    const written = await keys(all.redis);
    for (let more = 0; more < 50; more++) assert.equal((await get(first, `/large-more-${more}`)).status, 200);
    assert.equal(await keys(all.redis), written);
  });
});
