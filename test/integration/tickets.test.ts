/**
 * Tickets for WebSockets and event streams of services, through whole gateways: used once, over all gateways of a
 * store, for nothing else and by nobody who could not have come otherwise; never seen by the service.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { secretToken } from '../../src/data/auth/testing.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { startPostgres } from '../support/postgres.ts';
import { startRedis } from '../support/redis.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';
import { PASSWORD } from './identity/harness.ts';

const SECRET = 'a-secret-of-more-than-thirty-two-bytes-0123';
const KEY = 'key-of-ada-0123456789';
const ENV = { JWT_SECRET: SECRET, API_KEY_1: `${KEY}:ada:stories:read:premium` };
/** Seconds that a token is good beyond its `exp`, where nothing is configured. */
const LEEWAY = 5;
const TICKET = /^[A-Za-z0-9_-]{43}$/;

interface Live {
  readonly gateways: readonly TestGateway[];
  /** What the service saw of each handshake or request: the target, and who it is. */
  readonly seen: string[];
}

async function live(t: Scope, more: object = {}, count = 1): Promise<Live> {
  const seen: string[] = [];
  const note = (url: string | undefined, subject: unknown): void => void seen.push(`${url} ${String(subject)}`);
  const upstream = await httpUpstream(t, (request, response) => {
    note(request.url, request.headers['x-auth-subject']);
    response.writeHead(200, { 'Content-Type': 'text/event-stream' }).end('data: hello\n\n');
  });
  const sockets = new WebSocketServer({ server: upstream.server });
  t.after(() => sockets.close());
  sockets.on('connection', (_socket, request) => note(request.url, request.headers['x-auth-subject']));
  const document = {
    ...more,
    gateway: { auth: { tickets: {} } },
    services: { live: { instances: [{ url: upstream.url }] } },
    routes: [
      { match: { path: '/ticket', methods: ['POST'] }, ticket: { ttl: '60s' } },
      { match: { path: '/live' }, service: 'live' },
      { match: { path: '/scoped' }, service: 'live', auth: { scopes: ['admin'] } },
      { match: { path: '/renamed' }, service: 'live', auth: { tickets: { parameter: 'pass' } } },
      { match: { path: '/changed' }, service: 'live', transform: { request: { query: { set: { by: 'gateway' } } } } },
      { match: { path: '/keys' }, service: 'live', auth: { apiKey: {}, tickets: {} } },
      { match: { path: '/none' }, service: 'live', auth: { tickets: 'off' } },
    ],
  };
  const gateways: TestGateway[] = [];
  for (let i = 0; i < count; i++) gateways.push(await startTestGateway(t, document, ENV));
  return { gateways, seen };
}

/** `most`: seconds that it can be used. */
async function ticketOf(
  { url }: TestGateway,
  headers: Record<string, string> = { 'x-api-key': KEY },
  most = 60,
): Promise<string> {
  const response = await fetch(`${url}/ticket`, { method: 'POST', headers });
  const { ticket, expiresIn } = (await response.json()) as { ticket: string; expiresIn: number };
  assert.deepEqual([response.status, response.headers.get('cache-control')], [201, 'no-store']);
  assert.match(ticket, TICKET);
  assert.ok(expiresIn > 0 && expiresIn <= most, String(expiresIn));
  return ticket;
}

/** 101, or the status of the refusal. */
async function opens({ port }: TestGateway, target: string): Promise<number> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${target}`);
  socket.on('error', () => {});
  const status = await new Promise<number>((resolve, reject) => {
    socket.on('open', () => resolve(101));
    socket.on('unexpected-response', (_request, { statusCode = 0 }) => resolve(statusCode));
    socket.on('close', () => reject(new Error('closed without a response')));
  });
  socket.terminate();
  return status;
}

async function asked({ url }: TestGateway, target: string, headers: Record<string, string>): Promise<number> {
  const response = await fetch(`${url}${target}`, { headers });
  await response.text();
  return response.status;
}

describe('a ticket', () => {
  test('opens one WebSocket, which the service takes for one of the caller; it sees no ticket', async (t) => {
    const { gateways, seen } = await live(t);
    const [gateway] = gateways as [TestGateway];
    const ticket = await ticketOf(gateway);
    assert.equal(await opens(gateway, `/live?room=%7e1&ticket=${ticket}&x`), 101);
    assert.deepEqual(seen, ['/live?room=%7e1&x ada']);
    assert.equal(await opens(gateway, `/live?ticket=${ticket}`), 401, 'a second time');
    const alone = await ticketOf(gateway);
    assert.equal(await opens(gateway, `/live?ticket=${alone}`), 101);
    assert.equal(seen[1], '/live ada');
    const renamed = await ticketOf(gateway);
    assert.equal(await opens(gateway, `/renamed?pass=${renamed}&ticket=own`), 101);
    assert.equal(seen[2], '/renamed?ticket=own ada');
    const changed = await ticketOf(gateway);
    assert.equal(await opens(gateway, `/changed?ticket=${changed}`), 101);
    assert.equal(seen[3], '/changed?by=gateway ada', 'a transform of the query does not bring it back');
    const metrics = await (await fetch(`${gateway.url}/metrics`, { headers: { 'x-api-key': KEY } })).text();
    assert.match(metrics, /^gatehouse_tickets_total\{result="issued"\} 4$/m);
    assert.match(metrics, /^gatehouse_tickets_total\{result="used"\} 4$/m);
    assert.match(metrics, /^gatehouse_tickets_total\{result="unknown"\} 1$/m);
  });

  test('opens an event stream, and a WebSocket over HTTP/2', async (t) => {
    const { gateways, seen } = await live(t);
    const [gateway] = gateways as [TestGateway];
    const first = await ticketOf(gateway);
    assert.equal(await asked(gateway, `/live?ticket=${first}`, { accept: 'text/event-stream' }), 200);
    assert.equal(await asked(gateway, `/live?ticket=${first}`, { accept: 'text/event-stream' }), 401);
    const second = await ticketOf(gateway);
    const session = connectHttp2(gateway.url);
    t.after(() => session.destroy());
    await once(session, 'remoteSettings');
    const stream = session.request({
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':path': `/live?ticket=${second}`,
      'sec-websocket-version': '13',
    });
    const [head] = (await once(stream, 'response')) as [{ ':status': number }];
    assert.equal(head[':status'], 200);
    assert.deepEqual(seen, ['/live ada', '/live ada']);
  });

  test('of many at once one is let in', async (t) => {
    const { gateways } = await live(t, {}, 1);
    const [gateway] = gateways as [TestGateway];
    const ticket = await ticketOf(gateway);
    const results = await Promise.all(Array.from({ length: 40 }, () => opens(gateway, `/live?ticket=${ticket}`)));
    assert.deepEqual(
      [results.filter((each) => each === 101).length, results.filter((each) => each === 401).length],
      [1, 39],
    );
  });

  test('is a parameter like any other where a caller can set a field, and is not used up there', async (t) => {
    const { gateways, seen } = await live(t);
    const [gateway] = gateways as [TestGateway];
    const ticket = await ticketOf(gateway);
    assert.equal(await asked(gateway, `/live?ticket=${ticket}`, {}), 401);
    assert.equal(await asked(gateway, '/live?ticket=4711', { 'x-api-key': KEY }), 200);
    assert.deepEqual(seen, ['/live?ticket=4711 ada'], 'the one of the service’s own reaches it');
    assert.equal(await opens(gateway, `/live?ticket=${ticket}`), 101);
  });

  test('is refused like every bad credential: malformed, twice, made up, on other routes', async (t) => {
    const { gateways, seen } = await live(t);
    const [gateway] = gateways as [TestGateway];
    const ticket = await ticketOf(gateway);
    for (const query of [
      'ticket=',
      'ticket=short',
      `ticket=${ticket}&ticket=${ticket}`,
      `ticket=${ticket}%00`,
      `ticket=${'A'.repeat(43)}`,
      `ticket=${ticket}x`,
      `Ticket=${ticket}`,
    ])
      assert.equal(await opens(gateway, `/live?${query}`), 401, query);
    assert.equal(await opens(gateway, `/none?ticket=${ticket}`), 401, 'the route takes none');
    assert.deepEqual(seen, []);
    assert.equal(await opens(gateway, `/live?ticket=${ticket}`), 101, 'none of these used it up');
    // A route with fewer ways in: what let the caller in elsewhere might not have there.
    assert.equal(await opens(gateway, `/keys?ticket=${await ticketOf(gateway)}`), 401);
    // What the caller may do is decided at the route, as with the key itself.
    assert.equal(await opens(gateway, `/scoped?ticket=${await ticketOf(gateway)}`), 403);
  });

  test('is for callers who are known, and no longer than their token', async (t) => {
    const { gateways } = await live(t);
    const [gateway] = gateways as [TestGateway];
    for (const headers of [{}, { 'x-api-key': 'wrong-key-0123456789' }, { authorization: 'Bearer x' }])
      assert.equal((await fetch(`${gateway.url}/ticket`, { method: 'POST', headers: { ...headers } })).status, 401);
    const exp = Math.floor(Date.now() / 1_000) + 6;
    const authorization = `Bearer ${secretToken(SECRET, { sub: 'bob', exp })}`;
    const ticket = await ticketOf(gateway, { authorization }, 6 + LEEWAY);
    const socket = new WebSocket(`ws://127.0.0.1:${gateway.port}/live?ticket=${ticket}`);
    await once(socket, 'open');
    const unused = await ticketOf(gateway, { authorization }, 6 + LEEWAY);
    const [code] = (await once(socket, 'close')) as [number];
    assert.equal(code, 1008, 'what it opened ends with the token');
    assert.equal(await opens(gateway, `/live?ticket=${unused}`), 401, 'and so does an unused one');
  });

  test('is gone with its session', async (t) => {
    const upstream = await httpUpstream(t, (_request, response) => void response.end());
    const sockets = new WebSocketServer({ server: upstream.server });
    t.after(() => sockets.close());
    const gateway = await startTestGateway(t, {
      gateway: { auth: { tickets: {} } },
      identity: {
        enabled: true,
        firstAdmin: 'off',
        registration: { verifyEmail: 'off' },
        passwords: { memory: '8mb', passes: 1 },
      },
      services: { live: { instances: [{ url: upstream.url }] } },
      routes: [
        { match: { path: '/ticket', methods: ['POST'] }, ticket: {} },
        { match: { path: '/live' }, service: 'live' },
      ],
    });
    const call = async (path: string, body: object, headers: Record<string, string> = {}) => {
      const response = await fetch(`${gateway.url}/api/auth${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
      });
      return { status: response.status, body: (await response.json().catch(() => ({}))) as Record<string, unknown> };
    };
    const account = { username: 'ada', email: 'ada@example.com', password: PASSWORD };
    const made = await call('/register', account);
    assert.equal(made.status, 201, JSON.stringify(made.body));
    const signedIn = await call('/login', { username: 'ada', password: account.password });
    assert.equal(signedIn.status, 200, JSON.stringify(signedIn.body));
    const authorization = `Bearer ${String(signedIn.body['accessToken'])}`;
    const ticketed = async (): Promise<string> => {
      const response = await fetch(`${gateway.url}/ticket`, { method: 'POST', headers: { authorization } });
      return ((await response.json()) as { ticket: string }).ticket;
    };
    const [first, second] = [await ticketed(), await ticketed()];
    const socket = new WebSocket(`ws://127.0.0.1:${gateway.port}/live?ticket=${first}`);
    await once(socket, 'open');
    const closed = once(socket, 'close') as Promise<[number]>;
    const signedOut = await call('/logout', {}, { authorization });
    assert.ok(signedOut.status < 300, JSON.stringify(signedOut.body));
    assert.equal((await closed)[0], 1008);
    assert.equal(await opens(gateway, `/live?ticket=${second}`), 401);
  });

  test('is described in the published document', async (t) => {
    const { gateways } = await live(t, { openapi: { audience: 'signed-in' } });
    const [gateway] = gateways as [TestGateway];
    const document = (await (await fetch(`${gateway.url}/openapi.json`)).json()) as {
      readonly paths: Readonly<Record<string, { readonly post?: { readonly responses: object } }>>;
    };
    const described = document.paths['/ticket']?.post?.responses ?? {};
    assert.deepEqual(
      ['201', '401', '429', '503'].filter((status) => !(status in described)),
      [],
      JSON.stringify(document.paths['/ticket']),
    );
  });

  test('outlives a reload', async (t) => {
    const { gateways } = await live(t);
    const [gateway] = gateways as [TestGateway];
    const ticket = await ticketOf(gateway);
    assert.equal((await gateway.reload()).ok, true);
    assert.equal(await opens(gateway, `/live?ticket=${ticket}`), 101);
  });
});

describe('tickets of several gateways', () => {
  const anywhere = async (t: Scope, stores: object): Promise<Live> => {
    const found = await live(t, { stores }, 2);
    const [a, b] = found.gateways as [TestGateway, TestGateway];
    for (const [made, used] of [
      [a, b],
      [b, a],
      [a, a],
    ] as const) {
      const ticket = await ticketOf(made);
      const results = await Promise.all([a, b, used, used].map((each) => opens(each, `/live?ticket=${ticket}`)));
      assert.deepEqual(results.filter((each) => each === 101).length, 1, results.join());
    }
    return found;
  };

  test('in SQLite, any takes each once', async (t) => {
    const first = await startTestGateway(t, { routes: [] });
    await anywhere(t, { sql: `sqlite:${join(first.folder, 'tickets.db')}` });
  });

  test('in PostgreSQL, any takes each once', async (t) => {
    const postgres = await startPostgres();
    t.after(() => postgres.stop());
    await anywhere(t, { sql: await postgres.database('tickets') });
  });

  test('in Redis, any takes each once; while it is away callers hear 503, and nobody else notices', async (t) => {
    const redis = await startRedis();
    t.after(() => redis.stop());
    const { gateways } = await anywhere(t, { redis: redis.url });
    const [a, b] = gateways as [TestGateway, TestGateway];
    await redis.kill();
    const refused = await fetch(`${a.url}/ticket`, { method: 'POST', headers: { 'x-api-key': KEY } });
    assert.deepEqual([refused.status, refused.headers.get('retry-after')], [503, '5']);
    assert.equal(await opens(b, `/live?ticket=${'A'.repeat(43)}`), 503);
    assert.equal(await asked(b, '/live', { 'x-api-key': KEY }), 200);
    await redis.start();
    const isBack = async (): Promise<boolean> => {
      const made = await ticketOf(a).catch(() => null);
      return made !== null && (await opens(b, `/live?ticket=${'A'.repeat(43)}`)) === 401;
    };
    await until(isBack, 'both have found it again', 30_000);
    assert.equal(await opens(b, `/live?ticket=${await ticketOf(a)}`), 101);
  });
});
