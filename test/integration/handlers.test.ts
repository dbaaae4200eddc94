/** Handlers and transforms in files of a user's own, through real workers and real services. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { ConfigurationError } from '../../src/main.ts';
import type { TestGateway } from '../support/gateway.ts';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import type { Scope } from '../support/scope.ts';
import { assertSeries } from '../support/series.ts';
import { until } from '../support/until.ts';
import { deadPort, echoUpstream, httpUpstream } from '../support/upstream.ts';

const SLOW_MS = 30_000;

async function moduleWith(t: Scope, text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'gh-handlers-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'mine.ts');
  await writeFile(file, text);
  return file;
}

const handler = (body: string): string =>
  `import { defineHandler, ServiceError } from 'gatehouse/policy';\nexport default defineHandler(${body});`;

async function gatewayWith(t: Scope, text: string, services: object = {}, more: object = {}): Promise<TestGateway> {
  const file = await moduleWith(t, text);
  return startTestGateway(t, {
    gateway: { policies: { loopTimeout: '500ms' } },
    services,
    routes: [
      { match: { path: '/plain' }, auth: 'public', respond: { body: 'plain' } },
      { match: { path: '/:id' }, auth: 'public', maxRequestSize: 'unlimited', handler: { file, ...more } },
    ],
  });
}

async function metric(gateway: TestGateway, name: string): Promise<number> {
  const text = await (await fetch(`${gateway.url}/metrics/prometheus`)).text();
  const line = text.split('\n').find((each) => each.startsWith(`${name}{policy="mine"}`));
  return Number(line?.split(' ').at(-1) ?? Number.NaN);
}

async function eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
  const giveUpMs = performance.now() + SLOW_MS;
  while (!(await holds().catch(() => false))) {
    if (performance.now() > giveUpMs) throw new Error(`it did not happen within ${SLOW_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('a handler', () => {
  test('sends on what a service has sent without saying twice what the gateway says', async (t) => {
    const upstream = await httpUpstream(t, (_request, response) => {
      const headers = {
        'X-Request-ID': 'of-the-service',
        'X-RateLimit-Limit': '1',
        'RateLimit-Policy': 'own',
        Via: '1.1 x',
      };
      response.writeHead(200, { ...headers, Date: 'Mon, 01 Jan 2024 00:00:00 GMT' }).end('it');
    });
    const file = await moduleWith(t, handler("(_request, context) => context.fetch('service:things/')"));
    const gateway = await startTestGateway(t, {
      services: { things: { instances: [{ url: upstream.url }] } },
      routes: ['/limited', '/free'].map((path) => ({
        match: { path },
        auth: 'public',
        handler: file,
        ...(path === '/limited' && { rateLimit: { by: 'ip', limits: ['9/1m'] } }),
      })),
    });
    for (const path of ['/limited', '/free']) {
      const caller = new RawCaller(gateway.port);
      t.after(() => caller.socket.destroy());
      const { status, headers } = await caller.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`).answer();
      assert.deepEqual(
        [status, headers['date'], headers['x-ratelimit-limit'], headers['x-request-id']!.length, headers['via']],
        [200, 'Mon, 01 Jan 2024 00:00:00 GMT', path === '/limited' ? '9' : '1', 36, '1.1 x'],
      );
    }
  });

  test('gets the request with body and fields, and its response goes out with its length', async (t) => {
    const gateway = await gatewayWith(
      t,
      handler(`async (request, context) => {
        const headers = new Headers({ 'X-Made': 'yes', 'Content-Length': '5', Connection: 'close' });
        headers.append('Set-Cookie', 'a=1; Path=/');
        headers.append('Set-Cookie', 'b=2');
        const { pathname, search } = new URL(request.url);
        return Response.json({
          method: request.method, pathname, search, id: context.params.id, body: await request.text(),
          requestId: request.headers.get('x-request-id') === context.requestId,
          forwarded: request.headers.get('x-forwarded-for'), own: request.headers.get('x-own'), options: context.options,
        }, { status: 201, headers });
      }`),
      {},
      { options: { a: 1 } },
    );
    const answer = await fetch(`${gateway.url}/seven?x=%201`, {
      method: 'POST',
      body: 'hello',
      headers: { 'X-Own': 'mine' },
    });
    const text = await answer.text();
    assert.deepEqual(JSON.parse(text), {
      method: 'POST',
      pathname: '/seven',
      search: '?x=%201',
      id: 'seven',
      body: 'hello',
      requestId: true,
      forwarded: '127.0.0.1',
      own: 'mine',
      options: { a: 1 },
    });
    assert.equal(answer.status, 201);
    assert.deepEqual(answer.headers.getSetCookie(), ['a=1; Path=/', 'b=2']);
    assert.deepEqual(
      [answer.headers.get('content-length'), answer.headers.get('x-made')],
      [String(text.length), 'yes'],
    );
    const head = await fetch(`${gateway.url}/seven`, { method: 'HEAD' });
    assert.deepEqual([head.status, head.headers.get('x-made')], [201, 'yes']);
  });

  test('streams both ways with little in between, and hears when the client leaves', async (t) => {
    const gateway = await gatewayWith(
      t,
      handler(`async (request, context) => {
        if (context.params.id === 'count') {
          let length = 0;
          for await (const part of request.body) length += part.length;
          return Response.json({ length });
        }
        if (context.params.id === 'left') return Response.json({ left: globalThis.left === true && globalThis.gone === 'AbortError' });
        request.signal.addEventListener('abort', () => { globalThis.gone = request.signal.reason.name; });
        const encoder = new TextEncoder();
        let timer;
        return new Response(new ReadableStream({
          start(controller) {
            let i = 0;
            timer = setInterval(() => controller.enqueue(encoder.encode('data: ' + ++i + '\\n\\n')), 5);
          },
          cancel() { clearInterval(timer); globalThis.left = true; },
        }), { headers: { 'Content-Type': 'text/event-stream' } });
      }`),
    );
    const piece = Buffer.alloc(65_536);
    let sent = 0;
    const upload = new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull(controller) {
        if (sent >= 40_000_000) controller.close();
        else {
          sent += piece.length;
          controller.enqueue(Uint8Array.from(piece));
        }
      },
    });
    const init = { method: 'POST', body: upload, duplex: 'half' } as RequestInit;
    const count = await fetch(`${gateway.url}/count`, init);
    assert.equal(((await count.json()) as { length: number }).length, sent);

    let received = '';
    const asked = request(`${gateway.url}/events`, { agent: false }, (response) => {
      response.on('data', (bytes: Buffer) => {
        received += bytes.toString();
      });
      response.on('error', () => {});
    });
    asked.on('error', () => {});
    asked.end();
    await until(() => received.includes('data: 3\n\n'), 'events arrive', SLOW_MS);
    asked.destroy();
    await eventually(
      'the stream is cancelled',
      async () => ((await (await fetch(`${gateway.url}/left`)).json()) as { left: boolean }).left,
    );
  });

  test('that reads no body, or waits for one that does not come whole, is right with both', async (t) => {
    const gateway = await gatewayWith(
      t,
      handler(`async (request, context) => {
        if (context.params.id === 'ignore') return new Response('done');
        try { await request.text(); } catch (error) { globalThis.broken = error.name; throw error; }
        return new Response(globalThis.broken ?? 'whole');
      }`),
    );
    const ignored = await fetch(`${gateway.url}/ignore`, { method: 'POST', body: 'x'.repeat(200_000) });
    assert.equal(await ignored.text(), 'done');
    const caller = new RawCaller(gateway.port);
    caller.send('POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n');
    await until(() => caller.received.includes('100 Continue'), 'the body is asked for', SLOW_MS);
    caller.send('half of it');
    caller.socket.destroy();
    await eventually('the handler hears of it', async () => {
      const answer = await fetch(`${gateway.url}/read`, { method: 'POST', body: 'x' });
      return (await answer.text()) === 'ServiceError';
    });
  });

  test('asks services through balancer and retries, with the caller’s identity and request id', async (t) => {
    const echo = await echoUpstream(t);
    const gateway = await gatewayWith(
      t,
      handler(`async (request, context) => {
        const answer = await context.fetch('service:users/v1/users/' + context.params.id + '?full=1', {
          method: 'PUT', body: 'new', headers: { 'X-More': 'more' },
        });
        const seen = await answer.json();
        return Response.json({ ...seen, mine: context.requestId });
      }`),
      { users: { instances: [{ url: `http://127.0.0.1:${await deadPort()}` }, { url: echo.url }] } },
    );
    for (let i = 0; i < 4; i++) {
      const answer = await fetch(`${gateway.url}/7`, { headers: { 'X-Client': 'c', 'Content-Type': 'text/odd' } });
      const seen = (await answer.json()) as {
        method: string;
        url: string;
        body: string;
        headers: string[];
        mine: string;
      };
      assert.deepEqual([seen.method, seen.url, seen.body], ['PUT', '/v1/users/7?full=1', 'new']);
      const field = (name: string): string | undefined =>
        seen.headers[seen.headers.findIndex((each, at) => at % 2 === 0 && each.toLowerCase() === name) + 1];
      assert.equal(field('x-request-id'), seen.mine);
      assert.deepEqual([field('x-client'), field('x-more'), field('x-forwarded-for')], ['c', 'more', '127.0.0.1']);
      assert.equal(field('content-type'), 'text/plain;charset=UTF-8');
    }
    await assertSeries(gateway.url, [['gatehouse_handler_calls_total{route="/:id",service="users",outcome="2xx"}', 4]]);
  });

  test('gets a service’s response as it comes, and its own error where there is none', async (t) => {
    const upstream = await httpUpstream(t, (incoming, response) => {
      if (incoming.method === 'PUT') {
        incoming
          .resume()
          .on('end', () => response.end(`${incoming.headers['x-a']} ${incoming.headers['content-length']}`));
        return;
      }
      response.writeHead(incoming.url === '/none' ? 204 : 200);
      if (incoming.url === '/none') response.end();
      else {
        response.write('x'.repeat(100_000));
        setImmediate(() => response.end('y'.repeat(3_000_000)));
      }
    });
    const gateway = await gatewayWith(
      t,
      handler(`async (request, context) => {
        const { id } = context.params;
        if (id === 'pass') return context.fetch('service:up/large');
        if (id === 'none') return context.fetch('service:up/none');
        if (id === 'dead') return context.fetch('service:dead/');
        if (id === 'caught') return context.fetch('service:dead/').catch((error) => new Response(error instanceof ServiceError ? error.reason : 'strange'));
        if (id === 'unknown') return context.fetch('service:nobody/');
        if (id === 'request') return context.fetch(new Request('service:up/large', { method: 'PUT', body: 'b', headers: { 'X-A': 'a' } }));
        if (id === 'climb') return context.fetch('service:up/../etc');
        const answer = await context.fetch('service:up/large');
        await answer.body.cancel();
        return new Response('enough');
      }`),
      {
        up: { instances: [{ url: upstream.url }] },
        dead: { instances: [{ url: `http://127.0.0.1:${await deadPort()}` }] },
      },
    );
    const ask = async (id: string) => {
      const answer = await fetch(`${gateway.url}/${id}`);
      return { status: answer.status, text: await answer.text() };
    };
    const passed = await ask('pass');
    assert.deepEqual([passed.status, passed.text.length], [200, 3_100_000]);
    assert.equal((await ask('none')).status, 204);
    assert.equal((await ask('request')).text, 'a 1');
    const dead = await ask('dead');
    assert.equal(dead.status, 502);
    assert.match(dead.text, /"reason":"connect_failed"/);
    assert.equal((await ask('caught')).text, 'connect_failed');
    for (const id of ['unknown', 'climb']) {
      const failed = await ask(id);
      assert.equal(failed.status, 500, id);
      assert.match(failed.text, /"reason":"handler_failed"/, id);
    }
    assert.equal((await ask('cancel')).text, 'enough');
    assert.equal(
      await metric(gateway, 'gatehouse_policy_failures_total'),
      2,
      'a dead service is no failure of the handler',
    );
  });

  test('that throws, returns nonsense or comes too late fails its own request alone, by name', async (t) => {
    const gateway = await gatewayWith(
      t,
      handler(`(request, { params, signal }) => {
        if (params.id === 'throw') throw new Error('sync');
        if (params.id === 'reject') return Promise.reject(new Error('async'));
        if (params.id === 'nothing') return undefined;
        if (params.id === 'text') return 'text';
        if (params.id === 'error') return Response.error();
        if (params.id === 'piece') return new Response(new ReadableStream({ start(c) { c.enqueue('text'); c.enqueue('x'); c.close(); } }));
        if (params.id === 'broken') return new Response(new ReadableStream({ start(c) { c.error(new Error('no')); } }));
        if (params.id === 'aborted') return Response.json(globalThis.aborted ?? null);
        return new Promise((resolve) => { signal.addEventListener('abort', () => { globalThis.aborted = signal.reason.name; setTimeout(resolve, 50, new Response('late')); }); });
      }`),
      {},
      { timeout: '200ms' },
    );
    for (const id of ['throw', 'reject', 'nothing', 'text', 'error', 'piece', 'broken']) {
      const answer = await fetch(`${gateway.url}/${id}`);
      assert.equal(answer.status, 500, id);
      assert.match(await answer.text(), /"reason":"handler_failed"/, id);
    }
    const late = await fetch(`${gateway.url}/late`);
    assert.equal(late.status, 504);
    assert.match(await late.text(), /"reason":"handler_timeout"/);
    assert.equal(await (await fetch(`${gateway.url}/plain`)).text(), 'plain');
    assert.equal(await (await fetch(`${gateway.url}/aborted`)).json(), 'TimeoutError');
    assert.equal(await metric(gateway, 'gatehouse_policy_failures_total'), 7);
    assert.equal(await metric(gateway, 'gatehouse_policy_timeouts_total'), 1);
    await eventually(
      'the late result is counted',
      async () => (await metric(gateway, 'gatehouse_policy_late_results_total')) === 1,
    );
    assert.ok(gateway.logged.some((line) => line.includes('"handler":"mine"') && line.includes('"phase":"handle"')));
  });

  for (const [where, loop] of [
    ['at once', '() => { for (;;); }'],
    ['behind an await', 'async () => { await null; await new Promise((r) => setTimeout(r, 20)); for (;;); }'],
  ] as const) {
    test(`that never returns (${where}) is named, and its worker replaced`, async (t) => {
      const gateway = await gatewayWith(t, handler(loop));
      await assert.rejects(fetch(`${gateway.url}/loop`));
      await eventually(
        'the gateway answers again',
        async () => (await (await fetch(`${gateway.url}/plain`)).text()) === 'plain',
      );
      assert.ok(gateway.logged.some((line) => line.includes('did not return') && line.includes('"policy":"mine"')));
      assert.equal(await metric(gateway, 'gatehouse_policy_kills_total'), 1);
    });
  }

  test('that is wrong stops the start with its place', async (t) => {
    const files = {
      'is no handler': [`export default () => new Response('x');`, /handler.*not made with defineHandler/s],
      'does not parse': ['export default (', /cannot be loaded/],
      'has options that do not fit': [
        `import { defineHandler } from 'gatehouse/policy';
        export default defineHandler({ options: { type: 'object', required: ['a'] }, handle: () => new Response('x') });`,
        /options.*required/s,
      ],
    } as const;
    for (const [what, [text, message]] of Object.entries(files)) {
      await assert.rejects(gatewayWith(t, text), (error) => {
        assert.ok(error instanceof ConfigurationError, what);
        assert.match(error.message, message, what);
        return true;
      });
    }
  });

  test('is taken up by a reload when its file changes', async (t) => {
    const file = await moduleWith(t, handler(`() => new Response('one')`));
    const document = { routes: [{ match: { path: '/x' }, auth: 'public', handler: file }] };
    const gateway = await startTestGateway(t, document);
    assert.equal(await (await fetch(`${gateway.url}/x`)).text(), 'one');
    await writeFile(file, handler(`() => new Response('two')`));
    assert.equal((await gateway.reload()).ok, true);
    await eventually('the new code answers', async () => (await (await fetch(`${gateway.url}/x`)).text()) === 'two');
  });
});

describe('a transform in a file', () => {
  const script = (body: string): string =>
    `import { defineTransform } from 'gatehouse/policy';\nexport default defineTransform(${body});`;

  test('changes values both ways, at once or later, lines one by one, and what it throws is said', async (t) => {
    const upstream = await httpUpstream(t, (incoming, response) => {
      const parts: Buffer[] = [];
      incoming.on('data', (bytes: Buffer) => parts.push(bytes));
      incoming.on('end', () => {
        response.setHeader('Content-Type', incoming.url === '/lines' ? 'application/x-ndjson' : 'application/json');
        response.end(incoming.url === '/lines' ? '{"n":1}\n{"n":2}\n{"n":3}\n' : Buffer.concat(parts));
      });
    });
    const file = await moduleWith(
      t,
      script(`async (value, { side, options, status, params }) => {
        if (value.throws === side) throw new Error('no');
        if (value.hangs === side) return new Promise(() => {});
        if (value.n === 2) return undefined;
        if (value.n !== undefined) { await new Promise((r) => setTimeout(r, 5 - value.n)); return { n: value.n * 10 }; }
        return { ...value, [side]: [options.mark, status, params.kind] };
      }`),
    );
    const own = { file, options: { mark: 'm' }, timeout: '200ms' };
    const gateway = await startTestGateway(t, {
      services: { s: { instances: [{ url: upstream.url }] } },
      routes: [
        {
          match: { path: '/:kind' },
          service: 's',
          auth: 'public',
          transform: { request: { script: own }, response: { script: own, rename: { '/response': 'res' } } },
        },
      ],
    });
    const post = async (path: string, value: unknown) => {
      const headers = { 'Content-Type': 'application/json' };
      const answer = await fetch(`${gateway.url}/${path}`, { method: 'POST', headers, body: JSON.stringify(value) });
      return { status: answer.status, text: await answer.text() };
    };
    assert.equal((await post('json', { a: 1 })).text, '{"a":1,"request":["m",0,"json"],"res":["m",200,"json"]}');
    assert.equal((await post('lines', {})).text, '{"n":10}\n{"n":30}\n');
    for (const side of ['request', 'response']) {
      const failed = await post('json', { throws: side });
      assert.equal(failed.status, 500, side);
      assert.match(failed.text, /"reason":"policy_failed"/, side);
      assert.match((await post('json', { hangs: side })).text, /"reason":"policy_timeout"/, side);
    }
  });
});

test('a handler reloaded 1,000 times answers with its newest code, and the versions that stay in memory are counted', async (t) => {
  const version = (n: number): string => handler(`() => new Response('version ${n}')`);
  const file = await moduleWith(t, version(0));
  const { UserPolicies } = await import('../../src/data/user-policies/user-policies.ts');
  const { testEnvironment } = await import('../../src/data/policies/testing.ts');
  const environment = testEnvironment();
  const modules = UserPolicies.of(environment);
  const { heapUsed } = process.memoryUsage();
  for (let n = 1; n <= 1_000; n++) {
    await writeFile(file, version(n));
    const settings = { file, version: `v${n}`, options: {}, timeoutMs: 1_000 };
    const route = { action: { kind: 'handler', handler: settings }, policies: [] };
    await modules.load({ routes: [route] } as never, {});
    const { definition } = modules.handler(settings);
    if (n % 100 === 0) {
      const response = await definition.handle(new Request('http://a/'), {} as never);
      assert.equal(await response.text(), `version ${n}`);
    }
  }
  const perVersion = (process.memoryUsage().heapUsed - heapUsed) / 1_000;
  t.diagnostic(`${Math.round(perVersion / 1024)} KB a version`);
  const table = environment.control.told.at(-1)?.data as { modules: number; policies: readonly unknown[] };
  assert.equal(table.policies.length, 1, 'one name, one slot');
  assert.ok(table.modules >= 1_000, `${table.modules} versions`);
  assert.ok(perVersion < 100 * 1024, `${perVersion} bytes a version`);
});
