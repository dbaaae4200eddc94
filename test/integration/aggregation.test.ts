/** `aggregate` through real sockets: order, values, failures that are honest, and parts that hang, lie or never end. */
import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { describe, test } from 'node:test';
import { ConfigurationError } from '../../src/main.ts';
import type { TestGateway } from '../support/gateway.ts';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import type { Scope } from '../support/scope.ts';
import { assertSeries } from '../support/series.ts';
import { httpUpstream, readAll } from '../support/upstream.ts';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;
type Document = Readonly<Record<string, unknown>>;

async function gatewayWith(
  test: Scope,
  services: Readonly<Record<string, Handler>>,
  aggregate: Document,
  route: Document = {},
  service: Document = {},
): Promise<TestGateway> {
  const entries: [string, unknown][] = [];
  for (const [name, handler] of Object.entries(services))
    entries.push([name, { instances: [{ url: (await httpUpstream(test, handler)).url }], retries: 0, ...service }]);
  return startTestGateway(test, {
    services: Object.fromEntries(entries),
    routes: [{ match: { path: '/dashboard/:id' }, aggregate, auth: 'public', ...route }],
  });
}

const json =
  (value: unknown, headers: Record<string, string> = {}, status = 200): Handler =>
  (_request, response) => {
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
    response.end(JSON.stringify(value));
  };

const USER = { service: 'users', path: '/users/{params.id}' };
const ORDERS = { service: 'orders', path: '/orders?user={parts.user.body.id}' };

describe('aggregate', () => {
  test('asks in the order that follows from the references, with typed values, and puts the bodies together', async (t) => {
    const seen: string[] = [];
    const note =
      (handler: Handler): Handler =>
      (request, response) => {
        seen.push(`${request.method} ${request.url}`);
        handler(request, response);
      };
    const gateway = await gatewayWith(
      t,
      { users: note(json({ id: 7, name: 'Ada' })), orders: note(json([{ id: 1 }])) },
      {
        parts: { orders: { ...ORDERS, query: { limit: '{query.limit ?? 5}', none: '{query.none}' } }, user: USER },
        response: {
          who: '{parts.user.body.name}',
          id: '{parts.user.body.id}',
          orders: '{parts.orders.body}',
          text: '#{parts.user.body.id}',
        },
      },
    );
    const response = await fetch(`${gateway.url}/dashboard/a%2Fb?limit=3`);
    assert.equal(response.status, 200);
    assert.deepEqual(await response.json(), { who: 'Ada', id: 7, orders: [{ id: 1 }], text: '#7' });
    assert.deepEqual(seen, ['GET /users/a%2Fb', 'GET /orders?user=7&limit=3']);
  });

  test('each body stands under its name as it came, and headers of a part are there for who names them', async (t) => {
    const text = '{ "id":9007199254740993, "a": 1.50 }';
    let asked = '';
    const services: Record<string, Handler> = {
      users: (_request, response) => void response.writeHead(200, { 'X-Total-Count': '3' }).end(text),
      none: (request, response) => {
        asked = request.url ?? '';
        response.writeHead(204).end();
      },
    };
    const gateway = await gatewayWith(t, services, {
      parts: {
        user: { service: 'users', path: '/u' },
        nothing: { service: 'none', path: '/', query: { total: '{parts.user.headers.x-total-count}' } },
        left: { service: 'none', path: '/', when: 'request.method == "POST"' },
      },
    });
    const response = await fetch(`${gateway.url}/dashboard/7`);
    assert.equal(await response.text(), `{"user":${text},"nothing":null}`);
    assert.equal(asked, '/?total=3');
  });

  test('parts that need nothing of each other run at the same time', async (t) => {
    const waiting: (() => void)[] = [];
    const together: Handler = (request, response) => {
      waiting.push(() => json(request.url)(request, response));
      if (waiting.length === 3) for (const go of waiting) go();
    };
    const part = (path: string) => ({ service: 'one', path });
    const gateway = await gatewayWith(t, { one: together }, { parts: { a: part('/a'), b: part('/b'), c: part('/c') } });
    const response = await fetch(`${gateway.url}/dashboard/1`);
    assert.deepEqual(await response.json(), { a: '/a', b: '/b', c: '/c' });
  });

  test('an optional part that fails is left out, or has its default, and is named; nothing is cached then', async (t) => {
    const gateway = await gatewayWith(
      t,
      { users: json({ id: 7 }, { 'Cache-Control': 'max-age=60' }), orders: json({}, {}, 500), news: json('<html>') },
      {
        parts: {
          user: USER,
          orders: { ...ORDERS, onFailure: 'omit' },
          news: { service: 'news', path: '/', when: 'query.news == "yes"' },
          more: { service: 'orders', path: '/{parts.orders.body.id}', onFailure: { default: [] } },
        },
      },
    );
    const response = await fetch(`${gateway.url}/dashboard/7`);
    assert.deepEqual(await response.json(), {
      user: { id: 7 },
      more: [],
      partial: [
        { part: 'orders', code: 'status_500' },
        { part: 'more', code: 'missing_value' },
      ],
    });
    assert.equal(response.headers.get('gatehouse-partial'), 'orders, more');
    assert.equal(response.headers.get('cache-control'), 'no-store');
    const route = '/dashboard/:id';
    await assertSeries(gateway.url, [
      [`gatehouse_aggregate_parts_total{route="${route}",part="user",service="users"}`, 1],
      [`gatehouse_aggregate_parts_total{route="${route}",part="orders",service="orders"}`, 1],
      [`gatehouse_aggregate_parts_failed_total{route="${route}",part="orders",reason="status_500"}`, 1],
      [`gatehouse_aggregate_parts_failed_total{route="${route}",part="more",reason="missing_value"}`, 1],
    ]);
  });

  test('a required part that fails is the response: 404 stays 404, 500 becomes 502, silence 504', async (t) => {
    for (const [handler, status, reason] of [
      [json({}, {}, 404), 404, 'part_failed'],
      [json({}, {}, 500), 502, 'part_failed'],
      [((_, response) => void response.end('<html>')) as Handler, 502, 'part_failed'],
      [(() => {}) as Handler, 504, 'total_timeout'],
      [((request) => void request.socket.destroy()) as Handler, 502, 'upstream_reset'],
    ] as const) {
      const gateway = await gatewayWith(
        t,
        { users: handler, orders: json([]) },
        { parts: { user: { ...USER, timeout: status === 504 ? 150 : 30_000 }, orders: ORDERS }, timeout: '60s' },
      );
      const response = await fetch(`${gateway.url}/dashboard/7`);
      const body = (await response.json()) as { reason: string; detail: string };
      assert.deepEqual([response.status, body.reason, body.detail], [status, reason, 'part user']);
    }
  });

  test('the deadline is for all parts together, and ends those that still run', async (t) => {
    const closed = Promise.withResolvers<void>();
    const hangs: Handler = (request) => void request.socket.once('close', closed.resolve);
    const gateway = await gatewayWith(
      t,
      { users: json({ id: 1 }), orders: hangs },
      { timeout: 200, parts: { user: USER, orders: { ...ORDERS, onFailure: 'omit' } } },
    );
    const response = await fetch(`${gateway.url}/dashboard/7`);
    assert.deepEqual(await response.json(), { user: { id: 1 }, partial: [{ part: 'orders', code: 'timeout' }] });
    await closed.promise;
  });

  test('a client that goes away ends the parts', async (t) => {
    const begun = Promise.withResolvers<void>();
    const closed = Promise.withResolvers<void>();
    const hangs: Handler = (request) => {
      request.socket.once('close', closed.resolve);
      begun.resolve();
    };
    const gateway = await gatewayWith(t, { users: hangs }, { parts: { user: USER } });
    const client = new RawCaller(gateway.port).send('GET /dashboard/7 HTTP/1.1\r\nHost: a\r\n\r\n');
    await begun.promise;
    client.close();
    await closed.promise;
  });

  test('forEach keeps the order, names what failed, and refuses a fan-out of 10,000', async (t) => {
    const item: Handler = (request, response) =>
      request.url === '/items/2' ? json({}, {}, 500)(request, response) : json(request.url)(request, response);
    const list = (length: number) => json(Array.from({ length }, (_, i) => ({ id: i })));
    const parts = (max: number) => ({
      list: { service: 'list', path: '/' },
      items: {
        service: 'items',
        path: '/items/{item.id}',
        forEach: { list: 'parts.list.body', max, concurrency: 2 },
        onFailure: 'omit',
      },
    });
    const gateway = await gatewayWith(t, { list: list(4), items: item }, { parts: parts(50) });
    const { items, partial } = (await (await fetch(`${gateway.url}/dashboard/1`)).json()) as Record<string, unknown>;
    assert.deepEqual(items, ['/items/0', '/items/1', null, '/items/3']);
    assert.deepEqual(partial, [{ part: 'items.2', code: 'status_500' }]);
    const many = await gatewayWith(t, { list: list(10_000), items: item }, { parts: parts(50) });
    const refused = (await (await fetch(`${many.url}/dashboard/1`)).json()) as Record<string, unknown>;
    assert.deepEqual(refused['partial'], [{ part: 'items', code: 'too_many' }]);
  });

  test('a part that is larger than may be, or nests without end, is a failure', async (t) => {
    const huge: Handler = (_request, response) => {
      response.writeHead(200, { 'Content-Type': 'application/json' });
      const more = (): void => {
        while (response.write('"'.padEnd(65_536, 'x')));
        response.once('drain', more);
      };
      more();
    };
    const deep: Handler = (_request, response) => void response.end('['.repeat(100_000));
    const gateway = await gatewayWith(
      t,
      { huge, deep },
      {
        parts: {
          huge: { service: 'huge', path: '/', onFailure: 'omit' },
          deep: { service: 'deep', path: '/', onFailure: 'omit' },
        },
      },
    );
    const { partial } = (await (await fetch(`${gateway.url}/dashboard/1`)).json()) as {
      partial: { part: string; code: string }[];
    };
    assert.deepEqual(
      partial.sort((a, b) => a.part.localeCompare(b.part)),
      [
        { part: 'deep', code: 'not_json' },
        { part: 'huge', code: 'upstream_malformed' },
      ],
    );
  });

  test('a value cannot climb out of its segment', async (t) => {
    const seen: string[] = [];
    const note: Handler = (request, response) => {
      seen.push(request.url ?? '');
      json({ id: seen.length === 1 ? '..' : 'a/../b?c#d' })(request, response);
    };
    const gateway = await gatewayWith(
      t,
      { one: note },
      {
        parts: {
          first: { service: 'one', path: '/first' },
          second: { service: 'one', path: '/x/{parts.first.body.id}/y' },
        },
      },
    );
    assert.equal((await fetch(`${gateway.url}/dashboard/1`)).status, 502);
    assert.equal((await fetch(`${gateway.url}/dashboard/1`)).status, 200);
    assert.deepEqual(seen, ['/first', '/first', '/x/a%2F..%2Fb%3Fc%23d/y']);
  });

  test('parts carry who is calling and the request id, and nothing of the one request’s body or conditions', async (t) => {
    let headers: IncomingMessage['headers'] = {};
    const gateway = await gatewayWith(
      t,
      {
        users: (request, response) => {
          headers = request.headers;
          json({ id: 1 })(request, response);
        },
      },
      { parts: { user: { ...USER, headers: { 'X-Lang': '{headers.accept-language}' } } } },
    );
    await fetch(`${gateway.url}/dashboard/1`, {
      headers: {
        'If-None-Match': '"a"',
        Range: 'bytes=0-1',
        'Accept-Language': 'de',
        'X-Request-ID': 'request-0001',
        'X-Auth-Subject': 'forged',
      },
    });
    const {
      'x-request-id': id,
      'x-lang': lang,
      'x-auth-subject': forged,
      range,
      'if-none-match': condition,
      'x-forwarded-for': by,
    } = headers;
    assert.deepEqual(
      [id, lang, forged, range, condition, by],
      ['request-0001', 'de', undefined, undefined, undefined, '127.0.0.1'],
    );
  });

  test('one part may write, with the body of the request', async (t) => {
    let sent = '';
    const gateway = await gatewayWith(
      t,
      {
        orders: (request, response) =>
          void readAll(request).then((body) => {
            sent = `${request.method} ${body.toString()}`;
            json({ id: 9 }, {}, 201)(request, response);
          }),
      },
      {
        parts: {
          order: {
            service: 'orders',
            method: 'POST',
            path: '/orders',
            body: { item: '{request.body.item}', count: 1, by: '{params.id}' },
          },
        },
      },
    );
    const post = (body: string) => fetch(`${gateway.url}/dashboard/7`, { method: 'POST', body });
    assert.deepEqual(await (await post('{"item":{"sku":[1]}}')).json(), { order: { id: 9 } });
    assert.equal(sent, 'POST {"item":{"sku":[1]},"count":1,"by":"7"}');
    assert.equal((await post('{"item":1,"item":2}')).status, 400);
  });

  test('the weakest Cache-Control of the parts is that of the response', async (t) => {
    const gateway = await gatewayWith(
      t,
      {
        users: json({ id: 1 }, { 'Cache-Control': 'public, max-age=60' }),
        orders: json([], { 'Cache-Control': 'private, max-age=10' }),
      },
      { parts: { user: USER, orders: ORDERS } },
    );
    assert.equal((await fetch(`${gateway.url}/dashboard/1`)).headers.get('cache-control'), 'private, max-age=10');
  });

  test('what could never work stops the start, with its place', async (t) => {
    const refused = async (aggregate: Document): Promise<string> => {
      const error = await gatewayWith(t, { users: json({}), orders: json({}) }, aggregate).catch(
        (thrown: unknown) => thrown,
      );
      assert.ok(error instanceof ConfigurationError, String(error));
      return error.message;
    };
    const a = { service: 'users', path: '/{parts.b.body.id}' };
    assert.match(
      await refused({ parts: { a, b: { service: 'users', path: '/{parts.a.status}' } } }),
      /a, b wait for each other/,
    );
    assert.match(await refused({ parts: { a } }), /aggregate\.parts\.a\.path: there is no part "b"/);
    assert.match(await refused({ parts: { a: { ...USER, path: '/{params.other}' } } }), /no parameter ":other"/);
    assert.match(await refused({ parts: { a: { ...USER, path: '/{nothing.x}' } } }), /no reference/);
    assert.match(await refused({ parts: { a: { ...USER, path: '/{item.x}' } } }), /only in a part with forEach/);
    assert.match(await refused({ parts: { a: { ...USER, service: 'none' } } }), /aggregate\.parts\.a\.service/);
    assert.match(
      await refused({ parts: { a: { ...USER, method: 'POST' }, b: { ...USER, method: 'DELETE' } } }),
      /a and b both change something/,
    );
    assert.match(await refused({ parts: { a: { ...USER, when: 'auth.nothing == 1' } } }), /auth\.nothing/);
  });
});
