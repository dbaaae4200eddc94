/** `idempotency` with `store: redis`: once is once over several gateways, and away is 503. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { RedisKeys } from '../../src/control/idempotency/redis-keys.ts';
import { ConfigurationError } from '../../src/main.ts';
import type { TestGateway } from '../support/gateway.ts';
import { startTestGateway } from '../support/gateway.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import { deadPort, httpUpstream, readAll } from '../support/upstream.ts';

const SLOW_MS = 60_000;

interface Shop {
  readonly gateways: readonly TestGateway[];
  readonly orders: string[];
  release(): void;
}

async function shopWith(t: Scope, redis: string, gateways: number, more: object = {}): Promise<Shop> {
  const orders: string[] = [];
  const waiting: (() => void)[] = [];
  const upstream = await httpUpstream(t, (request, response) => {
    void readAll(request).then(async (body) => {
      orders.push(body.toString());
      if (request.url === '/slow') await new Promise<void>((resolve) => void waiting.push(resolve));
      response.writeHead(201, { 'Content-Type': 'application/json' }).end(`{"order":${orders.length}}`);
    });
  });
  const started: TestGateway[] = [];
  for (let i = 0; i < gateways; i++)
    started.push(
      await startTestGateway(t, {
        stores: { redis },
        services: { s: { instances: [{ url: upstream.url }] } },
        routes: [
          {
            name: 'orders',
            match: { path: '/*' },
            service: 's',
            auth: 'public',
            idempotency: { store: 'redis', ...more },
          },
        ],
      }),
    );
  return { gateways: started, orders, release: () => waiting.splice(0).forEach((each) => void each()) };
}

async function order(gateway: TestGateway, key: string | null, body = '{}', path = '/new') {
  const headers: Record<string, string> = key === null ? {} : { 'Idempotency-Key': key };
  const answer = await fetch(gateway.url + path, { method: 'POST', headers, body });
  return { status: answer.status, replayed: answer.headers.get('idempotency-replayed'), text: await answer.text() };
}

describe('idempotency keys in Redis', () => {
  let redis: RedisServer;
  before(async () => {
    redis = await startRedis();
  });
  after(() => redis.stop());

  test('hold over gateways: of many at once one is carried out, the others get its response or 409', async (t) => {
    const { gateways, orders } = await shopWith(t, redis.url, 2);
    const all = await Promise.all(Array.from({ length: 30 }, (_, i) => order(gateways[i % 2]!, 'many')));
    assert.equal(orders.length, 1);
    for (const { status } of all) assert.ok(status === 201 || status === 409, String(status));
    for (const gateway of gateways) {
      const again = await order(gateway, 'many');
      assert.deepEqual([again.status, again.replayed, again.text], [201, 'true', '{"order":1}']);
      assert.equal((await order(gateway, 'many', '{"other":1}')).status, 422);
    }
    assert.equal(orders.length, 1);
    // Nothing of the key itself is there.
    const keys = (await redis.command('KEYS', '*:idempotency:*')).match(/\S+:idempotency:[\w-]+/g) ?? [];
    assert.equal(keys.length, 1);
    assert.match(keys[0]!, /:idempotency:[\w-]{43}$/);
    const left = Number(/\d+/.exec(await redis.command('PTTL', keys[0]!))?.[0]);
    assert.ok(left > 86_000_000 && left <= 86_400_000, `it ends by itself after a day: ${left}`);
  });

  test('that are in progress at one gateway are 409 at another', async (t) => {
    const { gateways, orders, release } = await shopWith(t, redis.url, 2);
    const first = order(gateways[0]!, 'slow', '{}', '/slow');
    await until(() => orders.length === 1, 'the service has it', SLOW_MS);
    assert.equal((await order(gateways[1]!, 'slow', '{}', '/slow')).status, 409);
    release();
    assert.equal((await first).status, 201);
    assert.equal((await order(gateways[1]!, 'slow', '{}', '/slow')).replayed, 'true');
  });

  test('are 503 while Redis is away and requests without key pass; when it is back they hold again', async (t) => {
    const own = await startRedis();
    t.after(() => own.stop());
    const { gateways, orders } = await shopWith(t, own.url, 1);
    const [gateway] = gateways as [TestGateway];
    assert.equal((await order(gateway, 'a')).status, 201);
    await own.kill();
    const away = await order(gateway, 'b');
    assert.deepEqual([away.status, /"reason":"idempotency_unavailable"/.test(away.text)], [503, true]);
    assert.equal((await order(gateway, null)).status, 201);
    assert.equal(orders.length, 2);
    await own.start();
    const giveUpMs = performance.now() + SLOW_MS;
    let back = await order(gateway, 'b');
    while (back.status !== 201 && performance.now() < giveUpMs) back = await order(gateway, 'b');
    assert.equal(back.status, 201);
    assert.equal((await order(gateway, 'b')).replayed, 'true');
  });

  test('are 503 where Redis never was, and where it hangs', async (t) => {
    const { gateways, orders } = await shopWith(t, `redis://127.0.0.1:${await deadPort()}`, 1);
    assert.equal((await order(gateways[0]!, 'a')).status, 503);
    assert.equal(orders.length, 0);
    const own = await startRedis();
    t.after(() => own.stop());
    const hanging = await shopWith(t, own.url, 1);
    assert.equal((await order(hanging.gateways[0]!, 'a')).status, 201);
    own.pause();
    assert.equal((await order(hanging.gateways[0]!, 'b')).status, 503);
    own.resume();
    assert.equal(hanging.orders.length, 1);
    // What Redis did too late is taken back.
    const giveUpMs = performance.now() + SLOW_MS;
    let back = await order(hanging.gateways[0]!, 'b');
    while (back.status !== 201 && performance.now() < giveUpMs) back = await order(hanging.gateways[0]!, 'b');
    assert.equal(back.status, 201);
  });

  test('are taken over once when their holder died, and only who holds one may end it', async (t) => {
    const keys = await RedisKeys.open(redis.url, 'taken', () => {});
    t.after(() => keys.close());
    const question = { keptIn: 'redis', keyHash: 'k', fingerprint: 'f', keptForMs: 60_000, inProgressMs: 1 } as const;
    const first = await keys.begin(question);
    assert.equal(first.kind, 'first');
    const begunMs = first.kind === 'first' ? first.begunMs : 0;
    assert.equal((await keys.begin({ ...question, inProgressMs: 60_000 })).kind, 'in-progress');
    let second = await keys.begin(question);
    while (second.kind === 'in-progress') second = await keys.begin(question);
    assert.equal(second.kind, 'first');
    const taken = second.kind === 'first' ? second.begunMs : 0;
    assert.ok(taken > begunMs);
    const held = { keptIn: 'redis', keyHash: 'k' } as const;
    await keys.release({ ...held, begunMs });
    await keys.finish({ ...held, begunMs, response: { status: 200, fields: [], body: '' } });
    assert.equal(
      (await keys.begin({ ...question, inProgressMs: 60_000 })).kind,
      'in-progress',
      'the first has lost it',
    );
    const response = { status: 201, fields: [['etag', '"é"']], body: 'YQ==' } as const;
    await keys.finish({ ...held, begunMs: taken, response });
    await keys.release({ ...held, begunMs: taken });
    assert.deepEqual(await keys.begin(question), { kind: 'again', response });
    assert.equal((await keys.begin({ ...question, fingerprint: 'g' })).kind, 'other-request');
  });

  test('need stores.redis', async (t) => {
    const started = startTestGateway(t, {
      routes: [{ match: { path: '/a' }, respond: { status: 200 }, auth: 'public', idempotency: { store: 'redis' } }],
    });
    await assert.rejects(started, (error: unknown) => {
      assert.ok(error instanceof ConfigurationError);
      assert.match(error.message, /idempotency\.store: needs the key stores\.redis/);
      return true;
    });
  });
});
