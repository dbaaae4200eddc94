/**
 * `publish` and `subscribe` routes through a whole gateway, on the embedded engine: 202 only when durable, keys, wrong
 * input, resuming, filters on who calls, and the end of a token.
 */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';

const ADA = 'sesame-0123456789abcdef0123456789';
const BOB = 'other0-0123456789abcdef0123456789';
const SECRET = 'a-secret-of-more-than-thirty-two-bytes-0123';
const ENV = { API_KEY_1: `${ADA}:ada:write:basic`, API_KEY_2: `${BOB}:bob:write:basic`, JWT_SECRET: SECRET };

const ROUTES = [
  {
    match: { path: '/commits/:id', methods: ['POST'] },
    publish: { stream: 'commits', subject: 'commits.{params.id}', maxSize: '2kb' },
    auth: 'public',
  },
  { match: { path: '/strict' }, publish: { stream: 'commits', body: 'cloudevent' }, auth: 'public' },
  { match: { path: '/keyed' }, publish: { stream: 'commits', idempotencyKey: 'required' }, auth: 'public' },
  { match: { path: '/stream' }, subscribe: { stream: 'commits', retry: '1s' }, auth: 'public' },
  { match: { path: '/stream/:id' }, subscribe: { stream: 'commits', subject: 'commits.{params.id}' }, auth: 'public' },
  { match: { path: '/raw' }, subscribe: { stream: 'commits', format: 'data', from: 'earliest' }, auth: 'public' },
  { match: { path: '/mine', methods: ['POST'] }, publish: { stream: 'users', subject: 'users.{auth.sub}.note' } },
  { match: { path: '/mine', methods: ['GET'] }, subscribe: { stream: 'users', subject: 'users.{auth.sub}.>' } },
  { match: { path: '/few' }, subscribe: { stream: 'commits', maxPerCaller: 2 }, auth: 'public' },
  { match: { path: '/own' }, builtin: 'events', auth: 'public' },
];

async function start(t: Scope, more: object = {}): Promise<TestGateway> {
  return await startTestGateway(t, { events: { streams: { commits: {}, users: {} } }, routes: ROUTES, ...more }, ENV);
}

async function publish(url: string, body: string, headers: Record<string, string> = {}) {
  const response = await fetch(url, {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/json', ...headers },
  });
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Record<string, unknown>,
  };
}

interface Received {
  readonly id: string | undefined;
  readonly event: string;
  readonly data: string | undefined;
}

/** A subscriber as a browser's EventSource is one. */
async function subscribe(t: Scope, url: string, headers: Record<string, string> = {}) {
  const abort = new AbortController();
  t.after(() => abort.abort());
  const response = await fetch(url, { headers, signal: abort.signal });
  const blocks: Received[] = [];
  const state = { text: '', isOver: false };
  void (async () => {
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
      const { value, done } = await reader.read().catch(() => ({ value: undefined, done: true }));
      if (done) break;
      state.text += value;
      const parts = (rest + value).split('\n\n');
      rest = parts.pop() ?? '';
      blocks.push(...parts.map(readBlock));
    }
    state.isOver = true;
  })();
  return {
    status: response.status,
    response,
    state,
    events: () => blocks.filter(({ data }) => data !== undefined),
    data: () => blocks.flatMap(({ data, event }) => (data === undefined || event !== '' ? [] : [JSON.parse(data)])),
    lastId: () => blocks.findLast(({ id }) => id !== undefined)?.id,
    blocks,
    close: () => abort.abort(),
  };
}

function readBlock(text: string): Received {
  const lines = text.split('\n');
  const value = (name: string): string[] =>
    lines.filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2));
  const data = value('data');
  return {
    id: value('id').at(-1),
    event: value('event').at(-1) ?? '',
    data: data.length === 0 ? undefined : data.join('\n'),
  };
}

test('an event is acknowledged with id, position and location, and reaches subscribers', {
  timeout: 20_000,
}, async (t) => {
  const gateway = await start(t);
  const reader = await subscribe(t, `${gateway.url}/stream`);
  assert.equal(reader.response.headers.get('content-type'), 'text/event-stream');
  await until(() => reader.blocks.length > 0, 'the beginning');
  assert.match(reader.state.text, /^retry: 1000\n/);
  const { status, body, headers } = await publish(`${gateway.url}/commits/42`, '{"hash":"abc"}');
  assert.equal(status, 202);
  assert.deepEqual(
    [body['stream'], body['subject'], body['position'], body['status']],
    ['commits', 'commits.42', '1', 'accepted'],
  );
  await until(() => reader.events().length === 1, 'the event');
  const [event] = reader.data();
  assert.equal(event.id, body['id']);
  assert.deepEqual(
    [event.specversion, event.source, event.type, event.subject, event.datacontenttype, event.data],
    ['1.0', '/commits', 'commits.42', 'commits.42', 'application/json', { hash: 'abc' }],
  );
  const location = headers.get('location')!;
  assert.equal((await fetch(`${gateway.url}${location}`)).status, 401);
  const found = await fetch(`${gateway.url}${location}`, { headers: { 'x-api-key': ADA } });
  assert.deepEqual(await found.json(), { id: body['id'], stream: 'commits', position: '1', status: 'stored' });
  const forged = await fetch(`${gateway.url}${location.slice(0, -2)}AA`, { headers: { 'x-api-key': ADA } });
  assert.equal(forged.status, 404);
});

test('CloudEvents come through in both modes, with what they bring; what is none is 422', {
  timeout: 20_000,
}, async (t) => {
  const { url } = await start(t);
  const reader = await subscribe(t, `${url}/raw`);
  const event = { specversion: '1.0', id: 'e-1', source: '/git', type: 'com.example.push', team: 'core' };
  const structured = { 'content-type': 'application/cloudevents+json' };
  assert.equal(
    (await publish(`${url}/strict`, JSON.stringify({ ...event, data: { a: 1 } }), structured)).body['id'],
    'e-1',
  );
  const binary = { 'ce-specversion': '1.0', 'ce-id': 'e-2', 'ce-source': '/git', 'ce-type': 'x%20y' };
  assert.equal((await publish(`${url}/strict`, '"text"', binary)).body['id'], 'e-2');
  await until(() => reader.events().length === 2, 'both');
  assert.deepEqual(
    reader.events().map(({ data }) => data),
    ['{"a":1}', '"text"'],
  );
  const cases: [name: string, body: string, headers: Record<string, string>, status: number][] = [
    ['no CloudEvent', '{}', {}, 422],
    ['no type', JSON.stringify({ ...event, type: undefined }), structured, 422],
    ['another version', JSON.stringify({ ...event, specversion: '0.3' }), structured, 422],
    ['an attribute in capitals', JSON.stringify({ ...event, Team: 'x' }), structured, 422],
    ['data twice', JSON.stringify({ ...event, data: 1, data_base64: 'YQ==' }), structured, 422],
    ['no JSON', '{"specversion":', structured, 422],
    ['an empty id', '1', { ...binary, 'ce-id': '' }, 422],
    ['another format', '{}', { 'content-type': 'application/cloudevents+avro' }, 415],
    ['a batch of another format', '{}', { 'content-type': 'application/cloudevents-batch+protobuf' }, 415],
  ];
  for (const [name, body, headers, status] of cases) {
    assert.equal((await publish(`${url}/strict`, body, headers)).status, status, name);
  }
});

test('a batch is taken as a whole: one 202 for all events in their order, or nothing of it', {
  timeout: 20_000,
}, async (t) => {
  const { url } = await start(t);
  const reader = await subscribe(t, `${url}/stream`);
  await until(() => reader.blocks.length > 0, 'the beginning');
  const headers = { 'content-type': 'application/cloudevents-batch+json; charset=UTF-8', 'idempotency-key': 'batch-1' };
  const one = { specversion: '1.0', source: '/git', type: 'push' };
  const batch = [
    { ...one, id: 'b-1', data: { n: 1 } },
    { ...one, id: 'b-2', datacontenttype: 'text/plain', data: 'two' },
    { ...one, id: 'b-3', datacontenttype: 'application/octet-stream', data_base64: 'Aw==' },
  ];
  const cases: [name: string, body: unknown, status: number, field: string][] = [
    ['no array', batch[0], 422, 'body'],
    ['one without a type', [batch[0], { ...one, id: 'x', type: '' }], 422, '[1].type'],
    ['one that is no object', [...batch, 5], 422, '[3].body'],
    ['too many', Array.from({ length: 1_001 }, () => 0), 422, 'body'],
  ];
  for (const [name, body, status, field] of cases) {
    const refused = await publish(`${url}/keyed`, JSON.stringify(body), headers);
    assert.equal(refused.status, status, name);
    assert.match(JSON.stringify(refused.body), new RegExp(`"field":"${field.replace(/[[\]]/g, '\\$&')}"`), name);
  }
  const tooLarge = JSON.stringify([{ ...one, id: 'l', data: 'x'.repeat(3_000) }]);
  assert.equal((await publish(`${url}/commits/1`, tooLarge, headers)).status, 413);
  const { status, body } = await publish(`${url}/keyed`, JSON.stringify(batch), headers);
  assert.equal(status, 202);
  const events = body['events'] as { id: string; position: string; status: string; location: string }[];
  assert.deepEqual(
    events.map(({ id, position }) => [id, position]),
    [
      ['b-1', '1'],
      ['b-2', '2'],
      ['b-3', '3'],
    ],
  );
  assert.deepEqual([body['stream'], body['status']], ['commits', 'accepted']);
  const found = await fetch(`${url}${events[1]!.location}`, { headers: { 'x-api-key': ADA } });
  assert.deepEqual(await found.json(), { id: 'b-2', stream: 'commits', position: '2', status: 'stored' });
  const again = await publish(`${url}/keyed`, JSON.stringify(batch), headers);
  assert.deepEqual([again.headers.get('idempotency-replayed'), again.body], ['true', body]);
  assert.equal((await publish(`${url}/keyed`, JSON.stringify(batch.slice(1)), headers)).status, 422);
  const empty = await publish(`${url}/strict`, '[]', { 'content-type': 'application/cloudevents-batch+json' });
  assert.deepEqual([empty.status, empty.body['events']], [202, []]);
  await publish(`${url}/commits/end`, '"end"');
  await until(() => reader.events().length >= 4, 'the last');
  assert.deepEqual(
    reader
      .data()
      .map(({ id, data, data_base64 }) => [id, data ?? data_base64])
      .slice(0, 3),
    [
      ['b-1', { n: 1 }],
      ['b-2', 'two'],
      ['b-3', 'Aw=='],
    ],
  );
});

test('a CloudEvent that is nested too deep is 422 in both modes that are JSON', { timeout: 20_000 }, async (t) => {
  const { url } = await startTestGateway(t, {
    events: { streams: { commits: {} } },
    routes: [{ match: { path: '/large' }, publish: { stream: 'commits', maxSize: '2mb' }, auth: 'public' }],
  });
  const depth = 200_000;
  const data = `${'['.repeat(depth)}{"1":2}${']'.repeat(depth)}`;
  const event = `{"specversion":"1.0","id":"a","source":"/a","type":"t","data":${data}}`;
  const one = await publish(`${url}/large`, event, { 'content-type': 'application/cloudevents+json' });
  assert.equal(one.status, 422);
  assert.match(JSON.stringify(one.body), /"data"/);
  const batch = await publish(`${url}/large`, `[${event}]`, { 'content-type': 'application/cloudevents-batch+json' });
  assert.equal(batch.status, 422);
  assert.match(JSON.stringify(batch.body), /\[0\]\.data/);
});

test('wrong input is refused with what is wrong: method, size, JSON, key', { timeout: 20_000 }, async (t) => {
  const { url } = await start(t);
  assert.equal((await fetch(`${url}/keyed`)).status, 405);
  assert.equal((await fetch(`${url}/stream`, { method: 'POST' })).status, 405);
  assert.equal((await publish(`${url}/commits/1`, JSON.stringify('x'.repeat(3_000)))).status, 413);
  assert.equal((await publish(`${url}/commits/1`, '{"a":')).status, 422);
  assert.equal((await publish(`${url}/keyed`, '{}')).status, 400);
  assert.equal((await publish(`${url}/keyed`, '{}', { 'idempotency-key': 'has a blank' })).status, 400);
  const bad = await fetch(`${url}/stream?after=nonsense`);
  assert.equal(bad.status, 400);
  assert.equal((await publish(`${url}/commits/${encodeURIComponent('x'.repeat(400))}`, '{}')).status, 414);
});

test('a key has one effect, whatever happens to the response', { timeout: 20_000 }, async (t) => {
  const { url } = await start(t);
  const reader = await subscribe(t, `${url}/stream`);
  const headers = { 'idempotency-key': '"k-1"' };
  const [first, ...others] = await Promise.all(
    Array.from({ length: 10 }, () => publish(`${url}/keyed`, '{"a":1}', headers)),
  );
  const all = [first!, ...others];
  assert.ok(all.every(({ status }) => status === 202 || status === 409));
  const again = await publish(`${url}/keyed`, '{"a":1}', { 'idempotency-key': 'k-1' });
  assert.deepEqual([again.status, again.headers.get('idempotency-replayed')], [202, 'true']);
  const ids = all.filter(({ status }) => status === 202).map(({ body }) => body['id']);
  assert.deepEqual([...new Set([...ids, again.body['id']])].length, 1);
  assert.equal((await publish(`${url}/keyed`, '{"a":2}', headers)).status, 422);
  await publish(`${url}/commits/end`, '{}');
  await until(() => reader.events().length >= 2, 'the last');
  assert.equal(reader.events().length, 2);
});

test('a client that comes again with its last id misses nothing and gets nothing twice', {
  timeout: 20_000,
}, async (t) => {
  const { url } = await start(t);
  const first = await subscribe(t, `${url}/stream`);
  for (let i = 0; i < 3; i++) await publish(`${url}/commits/${i}`, String(i));
  await until(() => first.events().length === 3, 'three');
  first.close();
  for (let i = 3; i < 8; i++) await publish(`${url}/commits/${i}`, String(i));
  const again = await subscribe(t, `${url}/stream`, { 'last-event-id': first.lastId()! });
  await publish(`${url}/commits/8`, '8');
  await until(() => again.events().length === 6, 'those since');
  assert.deepEqual(
    again.data().map(({ data }) => data),
    [3, 4, 5, 6, 7, 8],
  );
  const byQuery = await subscribe(t, `${url}/stream?after=${first.lastId()}`);
  await until(() => byQuery.events().length === 6, 'the same by query');
  const foreign = await subscribe(t, `${url}/stream`, { 'last-event-id': 'AAAAAAAA.5' });
  await until(() => foreign.events().length === 10, 'a gap, then all that is kept');
  assert.equal(foreign.events()[0]!.event, 'gap');
});

test('a client that connects before the first event and is cut off misses none either', {
  timeout: 20_000,
}, async (t) => {
  const { url } = await start(t);
  await publish(`${url}/commits/0`, '0');
  const first = await subscribe(t, `${url}/stream`);
  await until(() => first.lastId() !== undefined, 'its position');
  first.close();
  await publish(`${url}/commits/1`, '1');
  const again = await subscribe(t, `${url}/stream`, { 'last-event-id': first.lastId()! });
  await until(() => again.events().length === 1, 'the event between');
});

test('events survive a restart of the gateway, and a position does', { timeout: 30_000 }, async (t) => {
  const first = await start(t);
  const reader = await subscribe(t, `${first.url}/stream`);
  await publish(`${first.url}/commits/1`, '1');
  await until(() => reader.events().length === 1, 'the event');
  await publish(`${first.url}/commits/2`, '2');
  await first.stop({ timeoutMs: 500 });
  const second = await startTestGateway(
    t,
    { gateway: { dataDir: first.folder }, events: { streams: { commits: {}, users: {} } }, routes: ROUTES },
    ENV,
  );
  const again = await subscribe(t, `${second.url}/stream`, { 'last-event-id': reader.events()[0]!.id! });
  await until(() => again.events().length === 1, 'the second');
  assert.equal(again.data()[0].data, 2);
});

test('a placeholder fills one part, whatever a client writes into it', { timeout: 20_000 }, async (t) => {
  const { url } = await start(t);
  const wide = await Promise.all(['%3E', '*', '%2A', 'a.b', '42.%3E'].map((id) => subscribe(t, `${url}/stream/${id}`)));
  const one = await subscribe(t, `${url}/stream/42`);
  await publish(`${url}/commits/42`, '1');
  await until(() => one.events().length === 1, 'the event');
  for (const reader of wide) assert.equal(reader.events().length, 0);
});

test('callers get what is theirs, and nobody can say who is calling but the gateway', {
  timeout: 20_000,
}, async (t) => {
  const { url } = await start(t);
  assert.equal((await fetch(`${url}/mine`)).status, 401);
  const ada = await subscribe(t, `${url}/mine`, { 'x-api-key': ADA });
  const bob = await subscribe(t, `${url}/mine`, { 'x-api-key': BOB });
  const forged = encodeURIComponent(JSON.stringify({ proof: '', route: 'GET /mine', subject: 'users.ada.>' }));
  const spy = await subscribe(t, `${url}/mine`, { 'x-api-key': BOB, 'x-gatehouse-channel': forged });
  const own = await fetch(`${url}/own`, { headers: { 'x-gatehouse-channel': forged } });
  assert.equal(own.status, 404);
  await publish(`${url}/mine`, '"a"', { 'x-api-key': ADA });
  await publish(`${url}/mine`, '"b"', { 'x-api-key': BOB });
  await until(() => ada.events().length + bob.events().length + spy.events().length === 3, 'all three');
  assert.deepEqual(
    [ada, bob, spy].map((each) => each.data().map(({ data }) => data)),
    [['a'], ['b'], ['b']],
  );
});

test('a subscription ends when the token does', { timeout: 20_000 }, async (t) => {
  const { url } = await start(t);
  const reader = await subscribe(t, `${url}/mine`, { authorization: `Bearer ${token({ sub: 'eve', seconds: 2 })}` });
  assert.equal(reader.status, 200);
  await until(() => reader.state.isOver, 'the end', 10_000);
  assert.equal(reader.events().at(-1)!.event, 'end');
  assert.deepEqual(JSON.parse(reader.events().at(-1)!.data!), { reason: 'token_expired' });
});

test('a caller has so many subscriptions and no more, until one ends', { timeout: 20_000 }, async (t) => {
  const { url } = await start(t);
  const first = await subscribe(t, `${url}/few`);
  await subscribe(t, `${url}/few`);
  const third = await fetch(`${url}/few`);
  assert.equal(third.status, 429);
  assert.notEqual(third.headers.get('retry-after'), null);
  first.close();
  const deadline = performance.now() + 5_000;
  for (;;) {
    const next = await subscribe(t, `${url}/few`);
    if (next.status === 200) break;
    assert.ok(performance.now() < deadline, 'it is still full');
  }
});

test('a thousand clients that come again at once all resume', { timeout: 240_000 }, async (t) => {
  const { url } = await start(t, {
    routes: [
      ...ROUTES.slice(0, 1),
      { match: { path: '/stream' }, subscribe: { stream: 'commits', maxPerCaller: 2_000 }, auth: 'public' },
    ],
  });
  const probe = await subscribe(t, `${url}/stream`);
  await publish(`${url}/commits/0`, '0');
  await until(() => probe.events().length === 1, 'the first');
  const since = probe.events()[0]!.id!;
  for (let i = 1; i <= 5; i++) await publish(`${url}/commits/${i}`, String(i));
  const readers = await Promise.all(
    Array.from({ length: 1_000 }, () => subscribe(t, `${url}/stream`, { 'last-event-id': since })),
  );
  await until(() => readers.every((each) => each.events().length === 5), 'all have all five', 100_000);
  await publish(`${url}/commits/6`, '6');
  await until(() => readers.every((each) => each.events().length === 6), 'and the next', 100_000);
});

test('metrics and health tell of streams and engines', { timeout: 20_000 }, async (t) => {
  const { url } = await start(t);
  await subscribe(t, `${url}/stream`);
  await publish(`${url}/commits/1`, '1');
  const deadline = performance.now() + 5_000;
  for (;;) {
    const text = await (await fetch(`${url}/metrics`)).text();
    const isThere =
      text.includes('gatehouse_events_published_total{stream="commits",outcome="accepted"} 1') &&
      text.includes('gatehouse_events_subscribers{stream="commits"} 1') &&
      text.includes('gatehouse_events_engine_up{engine="embedded"} 1');
    if (isThere) break;
    assert.ok(performance.now() < deadline, (text.match(/^gatehouse_events.*$/gm) ?? []).join('\n'));
  }
});

function token({ sub, seconds }: { readonly sub: string; readonly seconds: number }): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const nowSeconds = Math.floor(Date.now() / 1_000);
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub, iat: nowSeconds, exp: nowSeconds + seconds })}`;
  return `${text}.${createHmac('sha256', SECRET).update(text).digest('base64url')}`;
}
