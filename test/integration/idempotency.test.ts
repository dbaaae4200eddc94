/** `idempotency` through real workers and a real store: once is once, whatever happens in between. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestGateway } from '../support/gateway.ts';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import { deadPort, httpUpstream, rawUpstream, readAll } from '../support/upstream.ts';

const SLOW_MS = 20_000;

interface Shop {
  readonly gateway: TestGateway;
  /** Bodies of the orders that the service carried out. */
  readonly orders: string[];
  /** Lets requests for `/orders/slow` end. */
  release(): void;
}

async function shopWith(t: Scope, more: object = {}, workers = 1, document: object = {}): Promise<Shop> {
  const orders: string[] = [];
  const waiting: (() => void)[] = [];
  let fails = 2;
  const upstream = await httpUpstream(t, (request, response) => {
    void readAll(request)
      .then(async (body) => {
        orders.push(body.toString());
        if (request.url === '/orders/slow') await new Promise<void>((resolve) => void waiting.push(resolve));
        if (request.url === '/orders/fails' && --fails >= 0) response.statusCode = 500 + fails;
        else response.statusCode = request.url === '/orders/none' ? 204 : 201;
        response.setHeader('Content-Type', 'application/json');
        response.setHeader('Location', `/orders/${orders.length}`);
        response.setHeader('Set-Cookie', 'once=1');
        response.setHeader('X-Own', 'own');
        const large = request.url === '/orders/large' ? 'x'.repeat(3_000) : '';
        response.end(response.statusCode === 204 ? undefined : JSON.stringify({ order: orders.length, large }));
      })
      .catch(() => {});
  });
  const gateway = await startTestGateway(t, {
    ...document,
    gateway: { workers },
    services: { s: { instances: [{ url: upstream.url }] } },
    routes: [
      {
        match: { path: '/orders/*' },
        service: 's',
        auth: 'public',
        idempotency: { maxResponseSize: '2kb', headers: ['X-Own'], ...more },
      },
    ],
  });
  return {
    gateway,
    orders,
    release: () => {
      for (const each of waiting.splice(0)) each();
    },
  };
}

async function order({ gateway }: Shop, key: string | null, body = '{"a":1}', path = '/orders/new', method = 'POST') {
  const headers: Record<string, string> = { 'Content-Type': 'application/json' };
  if (key !== null) headers['Idempotency-Key'] = key;
  const answer = await fetch(gateway.url + path, { method, headers, body });
  return { status: answer.status, headers: answer.headers, text: await answer.text() };
}

/** The first response that is no 409: the exchange of the request before may still be ending. */
async function settled(send: () => ReturnType<typeof order>): ReturnType<typeof order> {
  let response = await send();
  const isOver = async (): Promise<boolean> => {
    if (response.status === 409) response = await send();
    return response.status !== 409;
  };
  await until(isOver, 'no more 409');
  return response;
}

describe('a request with an Idempotency-Key', () => {
  test('is carried out once, and gets the first response again, with the fields that are kept', async (t) => {
    const shop = await shopWith(t);
    const first = await order(shop, '"key-1"');
    assert.deepEqual(
      [first.status, first.text, first.headers.get('set-cookie')],
      [201, '{"order":1,"large":""}', 'once=1'],
    );
    assert.equal(first.headers.get('idempotency-replayed'), null);
    for (const key of ['"key-1"', 'key-1']) {
      const again = await order(shop, key);
      assert.deepEqual([again.status, again.text], [201, first.text]);
      const field = (name: string): string | null => again.headers.get(name);
      assert.deepEqual(
        [field('location'), field('x-own'), field('content-type')],
        ['/orders/1', 'own', 'application/json'],
      );
      assert.deepEqual([field('idempotency-replayed'), field('set-cookie')], ['true', null]);
    }
    assert.equal((await order(shop, 'key-2')).text, '{"order":2,"large":""}');
    await order(shop, null);
    await order(shop, null);
    await order(shop, 'key-1', '{}', '/orders/new', 'PUT');
    assert.equal(shop.orders.length, 5, 'without key, or with another method, it is a request like any other');
  });

  test('and another body or target is 422; no key where one is required, or a strange one, is 400', async (t) => {
    const shop = await shopWith(t, { required: true });
    assert.equal((await order(shop, 'key')).status, 201);
    for (const [body, path] of [
      ['{"a":2}', '/orders/new'],
      ['{"a":1}', '/orders/other'],
      ['{"a":1}', '/orders/new?x'],
    ] as const) {
      const other = await order(shop, 'key', body, path);
      assert.equal(other.status, 422, `${body} ${path}`);
      assert.match(other.text, /"reason":"idempotency_mismatch"/);
    }
    for (const key of [null, '""', 'x'.repeat(256), 'two words'])
      assert.equal((await order(shop, key)).status, 400, String(key));
    assert.equal(shop.orders.length, 1);
  });

  test('that comes while the first is in progress is 409, over all workers', async (t) => {
    const shop = await shopWith(t, {}, 2);
    const first = order(shop, 'key', '{}', '/orders/slow');
    await until(() => shop.orders.length === 1, 'the service has it', SLOW_MS);
    const meanwhile = await Promise.all(Array.from({ length: 8 }, () => order(shop, 'key', '{}', '/orders/slow')));
    for (const each of meanwhile) {
      assert.equal(each.status, 409);
      assert.match(each.text, /"reason":"idempotency_in_progress"/);
      assert.equal(each.headers.get('retry-after'), '1');
    }
    shop.release();
    assert.equal((await first).status, 201);
    assert.equal((await order(shop, 'key', '{}', '/orders/slow')).headers.get('idempotency-replayed'), 'true');
    assert.equal(shop.orders.length, 1);
  });

  test('of many at once one is carried out', async (t) => {
    const shop = await shopWith(t, {}, 2);
    const all = await Promise.all(Array.from({ length: 40 }, () => order(shop, 'key')));
    assert.equal(shop.orders.length, 1);
    for (const { status } of all) assert.ok(status === 201 || status === 409, String(status));
  });

  test('may be tried again when the service failed, and is done when it has a response without body', async (t) => {
    const shop = await shopWith(t);
    assert.equal((await order(shop, 'key', '{}', '/orders/fails')).status, 501);
    // The key is released when the exchange has ended, a moment after its response.
    const second = await settled(() => order(shop, 'key', '{}', '/orders/fails'));
    assert.equal(second.status, 500);
    const third = await settled(() => order(shop, 'key', '{}', '/orders/fails'));
    assert.equal(third.status, 201);
    assert.equal((await order(shop, 'key', '{}', '/orders/fails')).headers.get('idempotency-replayed'), 'true');
    assert.equal(shop.orders.length, 3);
    assert.equal((await order(shop, 'none', '{}', '/orders/none')).status, 204);
    const again = await settled(() => order(shop, 'none', '{}', '/orders/none'));
    assert.deepEqual([again.status, again.headers.get('idempotency-replayed')], [204, 'true']);
    assert.equal(shop.orders.length, 4);
  });

  test('whose response is not known is never carried out twice: its client left, or it was too long', async (t) => {
    const shop = await shopWith(t);
    assert.equal((await order(shop, 'large', '{}', '/orders/large')).text.length, 3_022);
    const large = await order(shop, 'large', '{}', '/orders/large');
    assert.equal(large.status, 409);
    assert.match(large.text, /"reason":"idempotency_response_lost"/);
    const caller = new RawCaller(shop.gateway.port);
    caller.send('POST /orders/slow HTTP/1.1\r\nHost: a\r\nIdempotency-Key: left\r\nContent-Length: 2\r\n\r\n{}');
    await until(() => shop.orders.length === 2, 'the service has it', SLOW_MS);
    caller.socket.destroy();
    const isLost = async (): Promise<boolean> =>
      (await order(shop, 'left', '{}', '/orders/slow')).text.includes('idempotency_response_lost');
    await until(isLost, 'the response is known to be lost', SLOW_MS);
    assert.equal(shop.orders.length, 2);
    shop.release();
  });

  test('is carried out once when the service was late or broke off, whatever retries are configured', async (t) => {
    const got: string[] = [];
    const upstream = await rawUpstream(t, (socket) => {
      let text = '';
      socket.on('data', (bytes: Buffer) => {
        text += bytes.toString('latin1');
        if (!text.endsWith('{}')) return;
        const path = / (\S+) /.exec(text)![1]!;
        text = '';
        got.push(path);
        if (path === '/orders/reset') socket.resetAndDestroy();
        if (path === '/orders/garbage') socket.end('what?');
        if (path === '/orders/part')
          socket.end('HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n{"a"');
        if (path === '/orders/no-json')
          socket.write('HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\nno :(');
        if (path === '/orders/busy') socket.write('HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n');
      });
    });
    const retries = { attempts: 3, statuses: [503], budget: '100%', budgetMinimum: 100 };
    const service = { instances: [{ url: upstream.url }], retries, timeouts: { firstByte: '300ms' } };
    const route = { match: { path: '/orders/*' }, auth: 'public', idempotency: {} };
    const gateway = await startTestGateway(t, {
      services: { s: service, away: { ...service, instances: [{ url: `http://127.0.0.1:${await deadPort()}` }] } },
      routes: [
        { ...route, match: { path: '/orders/no-json' }, service: 's', transform: { response: { omit: ['/x'] } } },
        { ...route, match: { path: '/orders/away' }, service: 'away' },
        { ...route, service: 's' },
      ],
    });
    const shop = { gateway, orders: got, release: () => {} };
    /** Its key is released, or known to be lost, a moment after its response. */
    const again = async (path: string): Promise<string> => {
      let reason = '';
      const isOver = async (): Promise<boolean> => {
        const { status, text } = await order(shop, path, '{}', path);
        reason = /"reason":"(\w+)"/.exec(text)?.[1] ?? String(status);
        return reason !== 'idempotency_in_progress';
      };
      await until(isOver, path, SLOW_MS);
      return reason;
    };
    for (const [path, status] of [
      ['/orders/reset', 502],
      ['/orders/garbage', 502],
      ['/orders/late', 504],
      ['/orders/no-json', 502],
      ['/orders/part', 0],
    ] as const) {
      const first = await order(shop, path, '{}', path).catch(() => ({ status: 0 }));
      assert.equal(first.status, status, path);
      // What is kept is transformed anew.
      const wanted = path === '/orders/no-json' ? 'transform_failed' : 'idempotency_response_lost';
      assert.equal(await again(path), wanted, path);
      assert.deepEqual(
        got.filter((each) => each === path),
        [path],
      );
    }
    for (const path of ['/orders/away', '/orders/busy']) {
      const first = await order(shop, path, '{}', path);
      assert.ok(first.status >= 502, path);
      assert.match(await again(path), /connect_failed|503/, path);
    }
    assert.equal(got.filter((path) => path === '/orders/busy').length, 2, 'not by retries, and once by its client');
  });

  test('is 503 while the store cannot be reached, and one without key passes', async (t) => {
    const shop = await shopWith(t, {}, 1, { stores: { sql: `postgres://u:p@127.0.0.1:${await deadPort()}/none` } });
    const refused = await order(shop, 'key');
    assert.equal(refused.status, 503);
    assert.match(refused.text, /"reason":"idempotency_unavailable"/);
    assert.equal((await order(shop, null)).status, 201);
    assert.equal(shop.orders.length, 1);
  });

  test('gets what was kept by another life of the gateway', async (t) => {
    const shop = await shopWith(t);
    await order(shop, 'key');
    const { openStore } = await import('../../src/control/store/store.ts');
    const { SqlKeys } = await import('../../src/control/idempotency/sql-keys.ts');
    const store = await openStore(`sqlite:${shop.gateway.folder}/idempotency.db`);
    t.after(() => store.close());
    const rows = await (
      store as never as {
        db: {
          selectFrom(name: string): {
            selectAll(): { execute(): Promise<{ key_hash: string; fingerprint: string }[]> };
          };
        };
      }
    ).db
      .selectFrom('idempotency_keys')
      .selectAll()
      .execute();
    assert.equal(rows.length, 1);
    assert.ok(!JSON.stringify(rows).includes('"key"'), 'keys are kept as hashes');
    let nowMs = Date.now();
    const keys = new SqlKeys(store as never, () => nowMs);
    const question = {
      keptIn: 'sql' as const,
      keyHash: rows[0]!.key_hash,
      fingerprint: rows[0]!.fingerprint,
      keptForMs: 1_000,
      inProgressMs: 500,
    };
    assert.equal((await keys.begin(question)).kind, 'again');
    nowMs += 25 * 3_600_000;
    const taken = await Promise.all([keys.begin(question), keys.begin(question)]);
    assert.deepEqual(
      taken.map(({ kind }) => kind).sort(),
      ['first', 'in-progress'],
      'after a day it is a new one, once',
    );
    nowMs += 600;
    assert.equal((await keys.begin(question)).kind, 'first', 'its holder died');
    nowMs += 5_000;
    await keys.clean();
    assert.equal((await keys.begin({ ...question, fingerprint: 'other' })).kind, 'first');
  });
});
