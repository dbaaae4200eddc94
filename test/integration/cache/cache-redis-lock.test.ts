/**
 * Gateways that miss the same at once, over one Redis: one of them asks the service, the others get what it wrote; a
 * holder that dies, a response that cannot be shared and a Redis that is away hold nobody up for long.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingMessage, type ServerResponse, request as send } from 'node:http';
import { after, before, beforeEach, describe, test } from 'node:test';
import { connectRedis, parseRedisUrl } from '../../../src/base/redis.ts';
import {
  FillLock,
  KEEP_SCRIPT,
  LEASE_MS,
  type LockCommands,
  TAKE_SCRIPT,
} from '../../../src/data/cache/tier/fill-lock.ts';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';
import { suiteScope } from '../../support/scope.ts';
import { until } from '../../support/until.ts';
import { httpUpstream } from '../../support/upstream.ts';

const SOON_MS = 60_000;
const HOST = 'things.example';

interface Got {
  readonly how: string;
  readonly body: string;
}

async function get(gateway: TestGateway, path: string, headers: Record<string, string> = {}): Promise<Got> {
  return await new Promise((resolve, reject) => {
    send(`${gateway.url}${path}`, { headers: { host: HOST, ...headers }, agent: false }, (response) => {
      let body = '';
      response.setEncoding('latin1').on('data', (text: string) => {
        body += text;
      });
      response.on('error', reject);
      response.on('end', () => resolve({ how: String(response.headers['cache-status']), body }));
    })
      .on('error', reject)
      .end();
  });
}

interface Asked {
  readonly path: string;
  readonly incoming: IncomingMessage;
  readonly response: ServerResponse;
}

describe('gateways over one Redis', () => {
  const scope = suiteScope();
  let redis: RedisServer;
  let gateways: TestGateway[];
  let asked: Asked[] = [];
  /** Null: the test answers. */
  let serve: ((asked: Asked, nth: number) => void) | null = null;
  let path = '';
  let tests = 0;

  before(async () => {
    redis = await startRedis();
    scope.after(() => redis.stop());
    const upstream = await httpUpstream(scope, (incoming, response) => {
      const each = { path: incoming.url!, incoming, response };
      asked.push(each);
      serve?.(each, asked.length);
    });
    gateways = await Promise.all(
      [1, 2, 3].map(() =>
        startTestGateway(scope, {
          gateway: { workers: 1 },
          // Longer than the default, for a machine that has much to do beside.
          stores: { redis: redis.url, cacheRedis: { timeout: '5s' } },
          services: { things: { instances: [{ url: upstream.url }], retries: 0 } },
          routes: [
            {
              match: { path: '/impatient/*' },
              service: 'things',
              auth: 'public',
              cache: { store: 'redis', wait: '400ms' },
            },
            { match: { path: '/*' }, service: 'things', auth: 'public', cache: { store: 'redis', wait: '60s' } },
          ],
        }),
      ),
    );
    for (const gateway of gateways) await ready(gateway);
  });
  beforeEach(() => {
    asked = [];
    serve = null;
    path = `/lock-${++tests}`;
  });

  /** Its worker reads and writes there. */
  async function ready(gateway: TestGateway): Promise<void> {
    serve = ({ response }) => response.writeHead(200, { 'Cache-Control': 'max-age=600' }).end('x');
    const before = (await redis.command('KEYS', '*:o:*')).length;
    for (let i = 0; (await redis.command('KEYS', '*:o:*')).length <= before; i++) {
      assert.ok(i < 1_000, 'it never writes');
      await get(gateway, `/ready-${gateways.indexOf(gateway)}-${i}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  const locks = async (): Promise<string> => await redis.command('KEYS', '*:l:*');

  /** Of all gateways. */
  function counted(result: string): number {
    let sum = 0;
    for (const { primary } of gateways)
      for (const metric of primary.opsSources().metrics.extra())
        if (metric.name === 'gatehouse_cache_redis_locks_total')
          for (const sample of metric.samples)
            if (sample.labels['result'] === result && 'value' in sample) sum += sample.value;
    return sum;
  }

  test('many requests at all gateways at once are one request to the service', async () => {
    const waited = counted('waited');
    const all = Promise.all(gateways.flatMap((gateway) => Array.from({ length: 10 }, () => get(gateway, path))));
    await until(() => asked.length === 1, 'one asks', SOON_MS);
    const waiting = (): number =>
      gateways.reduce((sum, { primary }) => sum + primary.opsSources().metrics.reader.number('exchanges_active'), 0);
    await until(() => waiting() === 30, 'all wait', SOON_MS);
    asked[0]!.response.writeHead(200, { 'Cache-Control': 'max-age=600' }).end('for all');
    for (const { body } of await all) assert.equal(body, 'for all');
    assert.equal(asked.length, 1);
    await until(() => counted('waited') >= waited + 2, 'two gateways waited', SOON_MS);
    await until(async () => !(await locks()).includes(':l:'), 'nothing is locked any more', SOON_MS);
  });

  test('a variant of its own: who asks for another one does not get the first one', async () => {
    serve = ({ incoming, response }) => {
      response.writeHead(200, { 'Cache-Control': 'max-age=600', Vary: 'Accept-Language' });
      response.end(`in ${incoming.headers['accept-language']}`);
    };
    const bodies = await Promise.all(
      gateways.flatMap((gateway) =>
        ['de', 'fr'].map(async (language) => [
          language,
          (await get(gateway, path, { 'accept-language': language })).body,
        ]),
      ),
    );
    for (const [language, body] of bodies) assert.equal(body, `in ${language}`);
  });

  test('a fetch that outlives its client is written for the variant that was asked for, whatever comes meanwhile', async () => {
    const [gateway, other] = gateways as [TestGateway, TestGateway];
    const active = (): number => gateway.primary.opsSources().metrics.reader.number('exchanges_active');
    const german = { 'accept-language': 'de' };
    const head = { 'Cache-Control': 'max-age=600', Vary: 'Accept-Language', 'Content-Length': 10 };
    serve = ({ incoming, response }) => {
      const language = incoming.headers['accept-language'];
      response.writeHead(200, head).write(`in ${language}`);
      if (incoming.url !== path || language !== 'de') response.end(', so.');
    };
    const left = send(`${gateway.url}${path}`, { headers: { host: HOST, ...german }, agent: false }).end();
    const [begun] = (await once(left, 'response')) as [IncomingMessage];
    begun.on('error', () => {}).resume();
    const waits = get(gateway, path, german);
    await until(() => active() === 2, 'another one waits', SOON_MS);
    begun.socket.resetAndDestroy();
    await until(() => active() === 1, 'the first has gone', SOON_MS);
    // These use the memory that the request of the first was read into.
    for (let i = 0; i < 40; i++) await get(gateway, `${path}-${i}`, { 'accept-language': 'fr' });
    asked.find((each) => each.path === path)!.response.end(', so.');
    assert.equal((await waits).body, 'in de, so.');
    await until(async () => !(await locks()).includes(':l:'), 'it is written', SOON_MS);
    asked = [];
    assert.equal((await get(other, path, german)).body, 'in de, so.');
    assert.equal(asked.length, 0, 'the other gateway has it from Redis');
    assert.equal((await get(other, path, { 'accept-language': 'fr' })).body, 'in fr, so.');
    assert.equal(asked.length, 1);
  });

  test('what is stale and has to be validated is validated once', async () => {
    serve = ({ incoming, response }) => {
      const head = { 'Cache-Control': 'max-age=0', ETag: '"one"' };
      if (incoming.headers['if-none-match'] === undefined) response.writeHead(200, head).end('known');
      else response.writeHead(304, { ...head, 'Cache-Control': 'max-age=600' }).end();
    };
    await get(gateways[0]!, path);
    await until(async () => !(await locks()).includes(':l:'), 'it is written', SOON_MS);
    asked = [];
    serve = null;
    const all = Promise.all(gateways.slice(1).map((gateway) => get(gateway, path)));
    await until(() => asked.length === 1, 'one validates', SOON_MS);
    asked[0]!.response.writeHead(304, { ETag: '"one"', 'Cache-Control': 'max-age=600' }).end();
    for (const { body } of await all) assert.equal(body, 'known');
    assert.equal(asked.length, 1);
  });

  test('a response that cannot be shared: each asks for itself, and the next ones do not wait', async () => {
    const held: Asked[] = [];
    serve = (each, nth) => {
      each.response.setHeader('Cache-Control', 'no-store');
      if (nth === 1) held.push(each);
      else each.response.end(`${nth}`);
    };
    const first = get(gateways[0]!, path);
    await until(() => held.length === 1, 'the first one asks', SOON_MS);
    const second = get(gateways[1]!, path);
    held[0]!.response.end('1');
    assert.equal((await first).body, '1');
    assert.equal((await second).body, '2');
    const before = counted('passed');
    assert.equal((await get(gateways[2]!, path)).body, '3');
    await until(() => counted('passed') > before, 'it passes', SOON_MS);
  });

  test('a fetch that is slow: who has waited half of `wait` asks for itself', async () => {
    const held: Asked[] = [];
    serve = (each, nth) => {
      if (nth === 1) held.push(each);
      else each.response.writeHead(200, { 'Cache-Control': 'max-age=600' }).end(`of ${nth}`);
    };
    const first = get(gateways[0]!, `/impatient${path}`);
    await until(() => held.length === 1, 'the first one asks', SOON_MS);
    assert.equal((await get(gateways[1]!, `/impatient${path}`)).body, 'of 2');
    held[0]!.response.writeHead(200, { 'Cache-Control': 'max-age=600' }).end('of 1');
    assert.equal((await first).body, 'of 1');
  });

  test('a holder that dies holds up nobody for longer than its lease', async () => {
    serve = (each, nth) => {
      if (nth > 1) each.response.writeHead(200, { 'Cache-Control': 'max-age=600' }).end('after it');
    };
    const first = get(gateways[0]!, path).catch(() => null);
    await until(() => asked.length === 1, 'the first one asks', SOON_MS);
    const second = get(gateways[1]!, path);
    await gateways[0]!.primary.workers.terminate(0);
    assert.equal(await first, null);
    assert.equal((await second).body, 'after it');
    assert.equal(asked.length, 2);
    await until(() => gateways[0]!.primary.workers.listening === 1, 'the worker is replaced', SOON_MS);
  });

  test('a client that goes before its fetch has begun to respond lets the next gateway ask', async () => {
    serve = (each, nth) => {
      if (nth > 1) each.response.writeHead(200, { 'Cache-Control': 'max-age=600' }).end('after it');
    };
    const first = send(`${gateways[1]!.url}${path}`, { headers: { host: HOST }, agent: false }).on('error', () => {});
    first.end();
    await until(() => asked.length === 1, 'the first one asks', SOON_MS);
    const second = get(gateways[2]!, path);
    first.destroy();
    assert.equal((await second).body, 'after it');
  });

  test('Redis away: no lock, each asks for itself', async () => {
    serve = ({ response }) => response.writeHead(200, { 'Cache-Control': 'max-age=600' }).end('without');
    await redis.kill();
    for (const gateway of gateways) assert.equal((await get(gateway, path)).body, 'without');
    assert.equal(asked.length, gateways.length);
    await redis.start();
  });
});

describe('the lock', () => {
  let redis: RedisServer;
  let commands: LockCommands;
  let close = (): void => {};
  before(async () => {
    redis = await startRedis();
    const connection = await connectRedis(parseRedisUrl(redis.url), 'test');
    close = () => connection.disconnect();
    await until(async () => connection.status === 'ready', 'the connection is ready', SOON_MS);
    connection.defineCommand('gatehouseFillTake', { lua: TAKE_SCRIPT, numberOfKeys: 1 });
    connection.defineCommand('gatehouseFillKeep', { lua: KEEP_SCRIPT, numberOfKeys: 1 });
    commands = connection as unknown as LockCommands;
  });
  after(async () => {
    close();
    await redis.stop();
  });

  const lock = (key: string): FillLock => new FillLock(key, () => commands);
  const left = async (key: string): Promise<number> =>
    Number((await redis.command('PTTL', key)).replace(/\D*(-?\d+).*/s, '$1'));

  test('one holds it; when it ends the next one gets it; nobody ends that of another', async () => {
    const [one, two] = [lock('a'), lock('a')];
    assert.equal(await one.take(commands), 'taken');
    assert.equal(await two.take(commands), 'held');
    two.end(0);
    assert.equal(await two.take(commands), 'held');
    const ttl = await left('a');
    assert.ok(ttl > 0 && ttl <= LEASE_MS, `it ends by itself in ${ttl} ms`);
    one.end(0);
    assert.equal(await two.take(commands), 'taken');
  });

  test('a mark says that nobody should wait', async () => {
    const [one, two] = [lock('b'), lock('b')];
    assert.equal(await one.take(commands), 'taken');
    one.end(120_000);
    assert.equal(await two.take(commands), 'passes');
    assert.ok((await left('b')) > 60_000);
  });

  test('who holds it renews it', async () => {
    const one = lock('c');
    assert.equal(await one.take(commands), 'taken');
    await redis.command('PEXPIRE', 'c', '1900');
    const before = await left('c');
    one.hold();
    await until(async () => (await left('c')) > before, 'it is renewed', SOON_MS);
    one.end(0);
  });
});
