/**
 * The real-time hub through a whole gateway: AIVillage's messages to the letter, ways to say who one is, rights by
 * topic, presence, resuming, limits, foreign pages, wrong messages and frames, two gateways, and server-sent events.
 */
import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type ClientOptions, WebSocket } from 'ws';
import { assertCatalogued } from '../support/catalogued.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { startNats } from '../support/nats.ts';
import { startRedis } from '../support/redis.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';

const SECRET = 'a-secret-of-more-than-thirty-two-bytes-0123';
const TRAINER = 'trainer-0123456789abcdef0123456789';
const SOON = 30_000;
const ENV = { JWT_SECRET: SECRET, API_KEY_1: `${TRAINER}:trainer:publish:standard` };

const HUB = {
  topics: [
    { topic: 'training.{auth.sub}.>', join: true, presence: false },
    { topic: 'training.*.progress', subscribe: 'nobody', publish: { scopes: ['publish'] } },
    { topic: 'rooms.*', publish: 'users', presence: true },
    { topic: 'news.>', subscribe: 'anyone', publish: { roles: ['editor'] } },
  ],
  authTimeout: '1s',
  limits: { connections: 3, topics: 4 },
  plans: { premium: { connections: 10 } },
};

async function start(t: Scope, hub: object = {}, events: object = {}): Promise<TestGateway> {
  return await startTestGateway(
    t,
    {
      events: { hub: { ...HUB, ...hub }, ...events },
      routes: [
        { match: { path: '/ws/*' }, builtin: 'realtime', auth: { optional: true } },
        { match: { path: '/open' }, builtin: 'realtime', auth: 'public', realtime: { anonymous: true } },
        {
          match: { path: '/app' },
          builtin: 'realtime',
          auth: 'public',
          realtime: { anonymous: true, origins: ['https://app.example.com'] },
        },
      ],
    },
    ENV,
  );
}

function token(sub: string, claims: object = {}, seconds = 300): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub, exp: Math.floor(Date.now() / 1_000) + seconds, ...claims })}`;
  return `${text}.${createHmac('sha256', SECRET).update(text).digest('base64url')}`;
}

const bearer = (sub: string, claims: object = {}, seconds = 300): ClientOptions => ({
  headers: { authorization: `Bearer ${token(sub, claims, seconds)}` },
});

function open(t: Scope, { port }: TestGateway, path: string, options: ClientOptions = {}, protocol?: string) {
  const url = `ws://127.0.0.1:${port}${path}`;
  const ws = protocol === undefined ? new WebSocket(url, options) : new WebSocket(url, protocol, options);
  const state = { messages: [] as string[], isOpen: false, closed: 0, reason: '', status: 0 };
  ws.on('open', () => {
    state.isOpen = true;
  });
  ws.on('message', (data) => void state.messages.push(data.toString()));
  ws.on('unexpected-response', (_request, response) => {
    state.status = response.statusCode ?? 0;
    response.resume();
    ws.terminate();
  });
  ws.on('close', (code, reason) => {
    state.closed = code;
    state.reason = reason.toString();
  });
  ws.on('error', () => {});
  t.after(() => ws.terminate());
  const parsed = (): Record<string, unknown>[] => state.messages.map((text) => JSON.parse(text));
  const of = (type: string): Record<string, unknown>[] => parsed().filter((message) => message['type'] === type);
  const opened = (): Promise<void> => until(() => state.isOpen, `${path} opens`, SOON);
  return {
    ws,
    state,
    of,
    opened,
    send: (message: object) => ws.send(JSON.stringify(message)),
    /** Waits for so many messages of a type. */
    got: async (type: string, count = 1) => {
      await until(() => of(type).length >= count, `${count} ${type}`, SOON).catch((error: Error) => {
        throw new Error(`${error.message}; there are ${state.messages.join(' ')}, closed ${state.closed}`);
      });
      return of(type).at(-1)!;
    },
    /** After a ping was answered the hub has done all that came before. */
    settled: async () => {
      const before = of('pong').length;
      ws.send('{"type":"ping"}');
      await until(() => of('pong').length > before, 'a pong', SOON);
    },
  };
}

/** Ada, by the second door: server-sent events. */
async function listen(t: Scope, { url }: TestGateway, path: string, headers: Record<string, string> = {}) {
  const abort = new AbortController();
  t.after(() => abort.abort());
  const response = await fetch(`${url}${path}`, {
    headers: { authorization: `Bearer ${token('ada')}`, ...headers },
    signal: abort.signal,
  });
  const state = { text: '' };
  void (async () => {
    for await (const text of response.body!.pipeThrough(new TextDecoderStream())) state.text += text;
  })().catch(() => {});
  return {
    response,
    state,
    abort,
    /** Waits until this has come. */
    heard: (text: string) => until(() => state.text.includes(text), text, SOON),
  };
}

async function post(gateway: TestGateway, topic: string, body: unknown, key = TRAINER) {
  const response = await fetch(`${gateway.url}/ws/topics/${topic}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-api-key': key },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

const V1 = 'gatehouse.v1';

test('the messages of the AIVillage document: a ping is answered, progress comes to the letter', {
  timeout: 60_000,
}, async (t) => {
  const gateway = await start(t);
  const ada = open(t, gateway, '/ws', bearer('ada'));
  const bob = open(t, gateway, '/ws', bearer('bob'));
  await Promise.all([ada.opened(), bob.opened()]);
  ada.ws.send(JSON.stringify({ type: 'ping' }));
  await ada.got('pong');
  await bob.settled();
  assert.equal(
    (await post(gateway, 'training.ada.progress', { type: 'training_progress', progress: 0.5 })).status,
    202,
  );
  assert.equal((await post(gateway, 'training.ada.progress', { type: 'training_complete' })).status, 202);
  await ada.got('training_complete');
  assert.deepEqual(ada.state.messages.slice(1), [
    '{"type":"training_progress","progress":0.5}',
    '{"type":"training_complete"}',
  ]);
  await bob.settled();
  assert.deepEqual(bob.of('training_progress'), [], 'what is ada’s is not bob’s');
  const metrics = async (): Promise<string> => await (await fetch(`${gateway.url}/metrics`)).text();
  // The bridge tells its counts now and then.
  await until(async () => /^gatehouse_hub_connections 2$/m.test(await metrics()), 'both are counted', SOON);
  assertCatalogued(await metrics());
});

test('a client says who it is in a field, in the first message, or by a ticket that works once', {
  timeout: 60_000,
}, async (t) => {
  const gateway = await start(t);
  const byToken = open(t, gateway, '/ws', {}, V1);
  await byToken.opened();
  byToken.send({ type: 'subscribe', topic: 'rooms.1' });
  assert.equal((await byToken.got('error'))['code'], 'authentication_required');
  byToken.send({ type: 'auth', token: token('ada'), ref: 7 });
  const { user, ref, expires } = await byToken.got('authenticated');
  assert.deepEqual([user, ref], ['ada', 7]);
  assert.ok(Date.parse(String(expires)) > Date.now());
  byToken.send({ type: 'subscribe', topic: 'rooms.1' });
  assert.equal((await byToken.got('subscribed'))['topic'], 'rooms.1');

  const byKey = open(t, gateway, '/ws', {}, V1);
  await byKey.opened();
  byKey.send({ type: 'auth', apiKey: TRAINER });
  assert.equal((await byKey.got('authenticated'))['user'], 'trainer');

  const ticketOf = async (): Promise<string> => {
    const headers = { authorization: `Bearer ${token('ada')}` };
    const response = await fetch(`${gateway.url}/ws/ticket`, { method: 'POST', headers });
    assert.equal(response.status, 201);
    return ((await response.json()) as { ticket: string }).ticket;
  };
  const ticket = await ticketOf();
  const byTicket = open(t, gateway, `/ws?ticket=${ticket}`, {}, V1);
  await byTicket.opened();
  byTicket.send({ type: 'subscribe', topic: 'training.ada.progress' });
  await byTicket.got('subscribed');
  const again = open(t, gateway, '/ws', {}, V1);
  await again.opened();
  again.send({ type: 'auth', ticket });
  assert.equal((await again.got('error'))['code'], 'authentication_failed');
  await until(() => again.state.closed === 1008, 'it is closed', SOON);
  assert.equal((await fetch(`${gateway.url}/ws/ticket`, { method: 'POST' })).status, 401);
});

test('forged, ended and missing credentials are refused, in a field, in a message and by silence', {
  timeout: 60_000,
}, async (t) => {
  const gateway = await start(t);
  const inField = open(t, gateway, '/ws', { headers: { authorization: 'Bearer forged' } });
  await until(() => inField.state.status === 401, 'a 401', SOON);
  for (const credential of [
    { token: `${token('ada').slice(0, -4)}AAAA` },
    { token: token('ada', {}, -60) },
    { apiKey: 'no-key-0123456789abcdef0123456789' },
    { ticket: 'none' },
    { token: 5 },
    {},
  ]) {
    const client = open(t, gateway, '/ws');
    await client.opened();
    client.send({ type: 'auth', ...credential });
    await until(() => client.state.closed === 1008, `closed for ${JSON.stringify(credential)}`, SOON);
  }
  const silent = open(t, gateway, '/ws');
  await until(() => silent.state.closed === 1008, 'closed for silence', SOON);
  assert.equal(silent.state.reason, 'authentication required');
});

test('rights by topic hold for subscribing and publishing, with wildcards too', { timeout: 60_000 }, async (t) => {
  const gateway = await start(t);
  const ada = open(t, gateway, '/ws', bearer('ada'), V1);
  await ada.opened();
  const code = async (message: object): Promise<unknown> => {
    const before = ada.of('error').length;
    ada.send(message);
    await ada.settled();
    return ada.of('error').length > before ? ada.of('error').at(-1)!['code'] : 'allowed';
  };
  for (const topic of [
    'training.bob.progress',
    'training.*.progress',
    'training.>',
    '>',
    '*',
    'rooms.>',
    'rooms.1.x',
    'other',
  ]) {
    assert.equal(await code({ type: 'subscribe', topic }), 'forbidden', topic);
  }
  for (const topic of ['training.ada.x.y', 'rooms.1', 'news.>', 'news.*.local']) {
    if (topic === 'news.*.local') ada.send({ type: 'unsubscribe', topic: 'news.>' });
    assert.equal(await code({ type: 'subscribe', topic }), 'allowed', topic);
  }
  assert.equal(await code({ type: 'publish', topic: 'news.today', data: 1 }), 'forbidden');
  assert.equal(await code({ type: 'publish', topic: 'training.ada.progress', data: 1 }), 'forbidden');
  assert.equal(await code({ type: 'publish', topic: 'rooms.*', data: 1 }), 'no_topic');
  assert.equal(await code({ type: 'publish', topic: 'rooms.1' }), 'no_data');
  assert.equal((await post(gateway, 'training.ada.progress', {}, token('ada'))).status, 401);
  assert.equal((await post(gateway, 'news.today', {})).status, 403);
  assert.equal((await post(gateway, 'rooms.*', {})).status, 400);

  const editor = open(t, gateway, '/ws', bearer('eve', { roles: ['editor'] }), V1);
  await editor.opened();
  editor.send({ type: 'publish', topic: 'news.today.local', data: { text: 'hello' }, ref: 'p1' });
  assert.equal((await editor.got('published'))['ref'], 'p1');
  const news = (): Record<string, unknown>[] => ada.of('message').filter(({ topic }) => topic === 'news.today.local');
  await until(() => news().length === 1, 'the news', SOON);
  assert.deepEqual(news()[0]!['data'], { text: 'hello' });
});

test('a client that comes back goes on after what it had, or is told that it cannot', {
  timeout: 60_000,
}, async (t) => {
  const gateway = await start(t);
  const first = open(t, gateway, '/ws', bearer('ada'), V1);
  await first.opened();
  await first.settled();
  await post(gateway, 'training.ada.progress', 1);
  const { id } = await first.got('message');
  first.ws.terminate();
  await post(gateway, 'training.ada.progress', 2);
  await post(gateway, 'training.ada.progress', 3);
  const second = open(t, gateway, `/ws?after=${String(id)}`, bearer('ada'), V1);
  await second.got('message', 2);
  assert.deepEqual(
    second.of('message').map(({ data }) => data),
    [2, 3],
  );
  const third = open(t, gateway, '/ws', {}, V1);
  await third.opened();
  third.send({ type: 'auth', token: token('ada'), after: id });
  await third.got('message', 2);
  const lost = open(t, gateway, '/ws?after=of-elsewhere.7', bearer('ada'), V1);
  assert.deepEqual(await lost.got('gap'), { type: 'gap', topic: 'training.ada.>' });
});

test('presence: who is there, who comes and goes, once for a user with several connections', {
  timeout: 60_000,
}, async (t) => {
  const gateway = await start(t);
  const ada = open(t, gateway, '/ws', bearer('ada'), V1);
  await ada.opened();
  ada.send({ type: 'subscribe', topic: 'rooms.1' });
  await ada.got('subscribed');
  const [one, two] = [open(t, gateway, '/ws', bearer('bob'), V1), open(t, gateway, '/ws', bearer('bob'), V1)];
  for (const bob of [one, two]) {
    await bob.opened();
    bob.send({ type: 'subscribe', topic: 'rooms.1' });
    await bob.got('subscribed');
    await bob.settled();
  }
  ada.send({ type: 'presence', topic: 'rooms.1', ref: 1 });
  assert.deepEqual((await ada.got('presence'))['users'], ['ada', 'bob']);
  const response = await fetch(`${gateway.url}/ws/topics/rooms.1/presence`, { headers: { 'x-api-key': TRAINER } });
  assert.deepEqual(await response.json(), { topic: 'rooms.1', users: ['ada', 'bob'] });
  one.ws.close();
  two.send({ type: 'unsubscribe', topic: 'rooms.1' });
  const changes = (): unknown[] => ada.of('message').map(({ data }) => data);
  const wanted = ['ada joined', 'bob joined', 'bob left'];
  const said = (): string[] =>
    (changes() as { user: string; change: string }[]).map((each) => `${each.user} ${each.change}`);
  await until(() => said().length >= wanted.length, 'the changes', SOON);
  assert.deepEqual(said(), wanted);
});

test('limits: connections of a caller by plan, topics of a connection, messages a second', {
  timeout: 60_000,
}, async (t) => {
  const gateway = await start(t, { limits: { connections: 2, topics: 2, messagesPerSecond: 1 } });
  const held = [open(t, gateway, '/ws', bearer('ada'), V1), open(t, gateway, '/ws', bearer('ada'), V1)];
  for (const client of held) await client.opened();
  const third = open(t, gateway, '/ws', bearer('ada'), V1);
  await until(() => third.state.status === 429, 'a 429', SOON);
  const late = open(t, gateway, '/ws', {}, V1);
  await late.opened();
  late.send({ type: 'auth', token: token('ada') });
  await until(() => late.state.closed === 1013, 'too many by its first message too', SOON);
  for (let i = 0; i < 3; i++) await open(t, gateway, '/ws', bearer('pia', { plan: 'premium' }), V1).opened();
  const [client] = held;
  client!.send({ type: 'subscribe', topic: 'rooms.1' });
  client!.send({ type: 'subscribe', topic: 'rooms.2' });
  assert.equal((await client!.got('error'))['code'], 'too_many_topics');
  for (let i = 0; i < 30; i++) client!.ws.send('{"type":"ping"}');
  await until(() => client!.state.closed === 1008, 'closed for too many messages', SOON);
  const next = open(t, gateway, '/ws', bearer('ada'), V1);
  await next.opened();
});

test('pages of other origins are refused, and whoever nobody knows may listen where the route says so', {
  timeout: 60_000,
}, async (t) => {
  const gateway = await start(t);
  for (const [path, origin, status] of [
    ['/open', 'https://evil.example', 403],
    ['/app', 'https://evil.example', 403],
    ['/app', 'https://app.example.com.evil.example', 403],
    ['/app', 'null', 403],
  ] as const) {
    const client = open(t, gateway, path, { origin });
    await until(() => client.state.status === status, `${origin} at ${path}`, SOON);
  }
  const page = open(t, gateway, '/app', { origin: 'https://app.example.com' }, V1);
  await page.opened();
  page.send({ type: 'subscribe', topic: 'news.today' });
  await page.got('subscribed');
  page.send({ type: 'subscribe', topic: 'rooms.1' });
  assert.equal((await page.got('error'))['code'], 'forbidden');
});

test('wrong messages are told, and whoever goes on is closed', { timeout: 60_000 }, async (t) => {
  const gateway = await start(t, { limits: { connections: 3, topics: 4, messagesPerSecond: 100 } });
  const client = open(t, gateway, '/ws', bearer('ada'), V1);
  await client.opened();
  const wrong = [
    '',
    '{',
    'null',
    '[]',
    '7',
    '{}',
    '{"type":7}',
    '{"type":"shout"}',
    '{"type":"subscribe","topic":"a b"}',
  ];
  for (const text of wrong) client.ws.send(text);
  await client.got('error', wrong.length);
  await client.settled();
  for (let i = 0; i < 20; i++) client.ws.send('{');
  await until(() => client.state.closed === 1008, 'it is closed', SOON);
  const binary = open(t, gateway, '/ws', bearer('ada'), V1);
  await binary.opened();
  binary.ws.send(Buffer.from([1, 2, 3]));
  await until(() => binary.state.closed === 1003, 'binary is refused', SOON);
  const large = open(t, gateway, '/ws', bearer('ada'), V1);
  await large.opened();
  large.ws.send('x'.repeat(70_000));
  await until(() => large.state.closed === 1009, 'too large', SOON);
});

/** A frame of RFC 6455 §5.2, with whatever bits a test wants. */
function frame(first: number, payload: Buffer, isMasked = true): Buffer {
  const mask = randomBytes(4);
  const masked = Buffer.from(payload.map((byte, i) => (isMasked ? byte ^ mask[i % 4]! : byte)));
  const length = payload.length < 126 ? [payload.length] : [126, payload.length >> 8, payload.length & 0xff];
  length[0]! |= isMasked ? 0x80 : 0;
  return Buffer.concat([Buffer.from([first, ...length]), isMasked ? mask : Buffer.alloc(0), masked]);
}

test('malformed frames end the connection by the codes of RFC 6455, and nothing else', {
  timeout: 60_000,
}, async (t) => {
  const gateway = await start(t);
  const text = Buffer.from('{"type":"ping"}');
  const cases: [name: string, bytes: Buffer, code: number][] = [
    ['not masked', frame(0x81, text, false), 1002],
    ['a reserved bit', frame(0xc1, text), 1002],
    ['a reserved opcode', frame(0x83, text), 1002],
    ['a reserved control opcode', frame(0x8b, text), 1002],
    ['a fragmented ping', frame(0x09, text), 1002],
    ['a ping of 126 bytes', frame(0x89, Buffer.alloc(126)), 1002],
    ['a continuation of nothing', frame(0x80, text), 1002],
    ['a text inside a fragmented text', Buffer.concat([frame(0x01, text), frame(0x81, text)]), 1002],
    ['no UTF-8', frame(0x81, Buffer.from([0x22, 0xc3, 0x28, 0x22])), 1007],
    ['a close of one byte', frame(0x88, Buffer.from([3])), 1002],
    ['a close with a code that is none', frame(0x88, Buffer.from([0x03, 0xed])), 1002],
  ];
  for (const [name, bytes, code] of cases) {
    assert.equal(await closeCode(gateway.port, bytes), code, name);
  }
  const client = open(t, gateway, '/open', {}, V1);
  await client.opened();
  await client.settled();
});

/** Opens a WebSocket by hand, sends bytes, and reads the code of the close frame that comes. */
function closeCode(port: number, bytes: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let got = Buffer.alloc(0);
    let isOpen = false;
    socket.setTimeout(SOON, () => reject(new Error('nothing came')));
    socket.on('error', reject);
    socket.on('data', (chunk: Buffer) => {
      got = Buffer.concat([got, chunk]);
      const end = got.indexOf('\r\n\r\n');
      if (!isOpen && end >= 0) {
        isOpen = true;
        got = got.subarray(end + 4);
        socket.write(bytes);
      }
      const at = got.indexOf(0x88);
      if (isOpen && at >= 0 && got.length >= at + 4) {
        socket.destroy();
        resolve(got.readUInt16BE(at + 2));
      }
    });
    const key = randomBytes(16).toString('base64');
    socket.write(
      `GET /open HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
    );
  });
}

test('a connection ends with its token, unless the client brings a new one', { timeout: 60_000 }, async (t) => {
  const gateway = await start(t);
  const ends = open(t, gateway, '/ws', bearer('ada', {}, 3), V1);
  const stays = open(t, gateway, '/ws', bearer('ada', {}, 3), V1);
  await Promise.all([ends.opened(), stays.opened()]);
  stays.send({ type: 'auth', token: token('bob') });
  await until(() => stays.state.closed === 1008, 'another one’s token is refused', SOON);
  const renewed = open(t, gateway, '/ws', bearer('ada', {}, 3), V1);
  await renewed.opened();
  renewed.send({ type: 'auth', token: token('ada') });
  await renewed.got('authenticated');
  await until(() => ends.state.closed === 1008, 'the end', SOON);
  assert.deepEqual(await ends.got('end'), { type: 'end', reason: 'token_expired' });
  await renewed.settled();
  assert.equal(renewed.state.closed, 0);
});

test('a message reaches clients of another gateway on the same database', { timeout: 60_000 }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'gh-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const store = `sqlite:${folder}/shared.db`;
  const one = await start(t, {}, { store });
  const two = await start(t, {}, { store });
  const ada = open(t, one, '/ws', bearer('ada'), V1);
  const bob = open(t, two, '/ws', bearer('bob'), V1);
  for (const client of [ada, bob]) {
    await client.opened();
    client.send({ type: 'subscribe', topic: 'rooms.1' });
    await client.got('subscribed');
  }
  bob.send({ type: 'publish', topic: 'rooms.1', data: 'from two' });
  await until(() => ada.of('message').some(({ data }) => data === 'from two'), 'it comes to one', SOON);
  bob.send({ type: 'presence', topic: 'rooms.1' });
  assert.deepEqual((await bob.got('presence'))['users'], ['ada', 'bob']);
});

for (const [name, startBroker] of [
  ['NATS', startNats],
  ['Redis', startRedis],
] as const) {
  test(`by ${name}, messages reach clients of gateways that share nothing else, and so does coming back`, {
    timeout: 120_000,
  }, async (t) => {
    const broker = await startBroker();
    t.after(() => broker.stop());
    const engines = { broker: { url: broker.url } };
    const one = await start(t, { engine: 'broker' }, { engines });
    const two = await start(t, { engine: 'broker' }, { engines });
    const ada = open(t, one, '/ws', bearer('ada'), V1);
    const bob = open(t, two, '/ws', bearer('bob'), V1);
    for (const client of [ada, bob]) {
      await client.opened();
      client.send({ type: 'subscribe', topic: 'rooms.1' });
      await client.got('subscribed');
    }
    bob.send({ type: 'publish', topic: 'rooms.1', data: 'first' });
    await until(() => ada.of('message').some(({ data }) => data === 'first'), 'it comes to one', SOON);
    const after = String(ada.of('message').find(({ data }) => data === 'first')!['id']);
    ada.ws.terminate();
    for (const data of ['second', 'third']) {
      bob.send({ type: 'publish', topic: 'rooms.1', data });
      await until(() => bob.of('message').some((message) => message['data'] === data), data, SOON);
    }
    const again = open(t, two, '/ws', bearer('ada'), V1);
    await again.opened();
    again.send({ type: 'subscribe', topic: 'rooms.1', after });
    await until(() => again.of('message').some(({ data }) => data === 'third'), 'what she missed', SOON);
    const told = again.of('message').filter(({ data }) => typeof data === 'string');
    assert.deepEqual(
      told.map(({ data }) => data),
      ['second', 'third'],
    );
    assert.equal(again.of('gap').length, 0);
  });
}

test('the second door: the same topics as server-sent events, with a place to resume from', {
  timeout: 60_000,
}, async (t) => {
  const gateway = await start(t);
  const first = await listen(t, gateway, '/ws?topic=news.>');
  assert.equal(first.response.headers.get('content-type'), 'text/event-stream');
  await until(() => first.state.text.startsWith('retry: '), 'the beginning', SOON);
  await post(gateway, 'training.ada.progress', { type: 'training_progress', progress: 1 });
  await first.heard('training_progress');
  const id = /^id: (\S+)\ndata: (\{.*\})$/m.exec(first.state.text)!;
  assert.deepEqual(JSON.parse(id[2]!).data, { type: 'training_progress', progress: 1 });
  first.abort.abort();
  await post(gateway, 'training.ada.progress', { type: 'training_complete' });
  const second = await listen(t, gateway, '/ws?format=data', { 'last-event-id': id[1]! });
  await second.heard('\ndata: {"type":"training_complete"}\n');
  assert.doesNotMatch(second.state.text, /training_progress/);
  assert.equal((await listen(t, gateway, '/ws?topic=rooms.>')).response.status, 403);
  assert.equal((await listen(t, gateway, '/ws?topic=a..b')).response.status, 400);
  assert.equal((await fetch(`${gateway.url}/ws?topic=news.>`)).status, 401);
  assert.equal((await fetch(`${gateway.url}/ws/nothing`)).status, 404);
});

test('a topic with wildcards brings nothing about which an earlier rule says no, by either door', {
  timeout: 60_000,
}, async (t) => {
  const gateway = await start(t, {
    topics: [
      { topic: 'staff.>', subscribe: { roles: ['staff'] }, publish: { scopes: ['publish'] } },
      { topic: '*.open', subscribe: 'users', publish: { scopes: ['publish'] }, join: true },
      { topic: '>', subscribe: 'users', publish: { scopes: ['publish'] } },
    ],
  });
  const ada = open(t, gateway, '/ws', bearer('ada'), V1);
  const boss = open(t, gateway, '/ws', bearer('boss', { roles: ['staff'] }), V1);
  await Promise.all([ada.opened(), boss.opened()]);
  for (const client of [ada, boss]) {
    client.send({ type: 'subscribe', topic: '>' });
    await client.got('subscribed');
    await client.settled();
  }
  const second = await listen(t, gateway, '/ws?topic=%3E');
  for (const topic of ['staff.pay', 'staff.open', 'shop.open', 'end'])
    assert.equal((await post(gateway, topic, { topic })).status, 202);
  const topics = (client: typeof ada): unknown[] => client.of('message').map(({ topic }) => topic);
  await until(() => topics(boss).includes('end') && topics(ada).includes('end'), 'the last one', SOON);
  await second.heard('"end"');
  assert.deepEqual(new Set(topics(boss)), new Set(['staff.pay', 'staff.open', 'shop.open', 'end']));
  assert.deepEqual(new Set(topics(ada)), new Set(['shop.open', 'end']));
  assert.match(second.state.text, /shop\.open/);
  assert.doesNotMatch(second.state.text, /staff/);
});

test('a place that the stream does not have yet is a gap, and no silence until it has; by either door', {
  timeout: 60_000,
}, async (t) => {
  const gateway = await start(t);
  await post(gateway, 'training.ada.progress', 1);
  const first = open(t, gateway, '/ws', bearer('ada'), V1);
  await first.opened();
  await first.settled();
  const id = String((await first.got('pong'))['id']);
  const ahead = `${id.split('.')[0]}.900`;
  const back = open(t, gateway, `/ws?after=${ahead}`, bearer('ada'), V1);
  assert.deepEqual(await back.got('gap'), { type: 'gap', topic: 'training.ada.>' });
  await back.settled();
  const second = await listen(t, gateway, `/ws?after=${ahead}`);
  await second.heard('event: gap');
  await post(gateway, 'training.ada.progress', { n: 2 });
  assert.deepEqual((await back.got('message'))['data'], { n: 2 });
  await second.heard('{"n":2}');
});

test('what a client says of its place is not repeated into its events', { timeout: 60_000 }, async (t) => {
  const gateway = await start(t);
  await post(gateway, 'training.ada.progress', 1);
  const client = open(t, gateway, '/ws', bearer('ada'), V1);
  await client.opened();
  await client.settled();
  const id = String((await client.got('pong'))['id']);
  const second = await listen(t, gateway, `/ws?after=${encodeURIComponent(`${id}.x\n\ndata: forged\n\n`)}`);
  await second.heard('event: gap');
  // Behind all that is said of the gap.
  await post(gateway, 'training.ada.progress', { n: 2 });
  await second.heard('{"n":2}');
  assert.doesNotMatch(second.state.text, /forged/);
});

test('a message that is nested too deep is told so, and others go on', { timeout: 60_000 }, async (t) => {
  const gateway = await start(t);
  const other = open(t, gateway, '/ws', bearer('ada'), V1);
  await other.opened();
  const depth = 32_000;
  const nested = `${'['.repeat(depth)}{"1":2}${']'.repeat(depth)}`;
  const client = open(t, gateway, '/ws', {}, V1);
  await client.opened();
  client.ws.send(`{"type":"ping","ref":${nested}}`);
  assert.equal((await client.got('error'))['code'], 'malformed');
  client.ws.send(`{"type":"ping","ref":{"text":"[[{{\\"[","list":[1]}}`);
  assert.deepEqual((await client.got('pong'))['ref'], { text: '[[{{"[', list: [1] });
  await other.settled();
});
