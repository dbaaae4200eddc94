/**
 * What the AsyncAPI documents say of messages is what goes over the wire: events published and received in every way,
 * the hub and its clients, a webhook; each message is held against the schema of its channel. And who may read which
 * document.
 */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { Ajv } from 'ajv';
import { WebSocket } from 'ws';
import { commandLine } from '../../src/cli/command-line.suite.ts';
import { startTestGateway } from '../support/gateway.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import { httpUpstream, readAll } from '../support/upstream.ts';

const USER = 'the-key-of-a-user-who-may-read';
const ROOT = 'the-key-of-an-administrator';
const SOON = 60_000;
const SIGNING = `whsec_${Buffer.from('a key of thirty-two bytes, 012345').toString('base64')}`;
const OFFICIAL = createRequire(import.meta.url)('@asyncapi/specs/schemas/3.0.0.json') as object;
const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true, meta: false, validateSchema: false });
const isAsyncApi = ajv.compile(OFFICIAL);

interface Message {
  readonly payload: { readonly schema?: object };
  readonly headers?: object;
}
interface Document {
  readonly channels: Readonly<
    Record<string, { readonly address: string; readonly messages: Readonly<Record<string, Message>> }>
  >;
  readonly servers: Readonly<Record<string, { readonly host: string }>>;
  readonly components: object;
}

/** Counts what it has seen, so that no message of a channel is left untried. */
class Described {
  readonly document: Document;
  readonly seen = new Set<string>();

  constructor(document: Document) {
    this.document = document;
  }

  check(channel: string, name: string, payload: unknown, headers?: Readonly<Record<string, unknown>>): void {
    const message = this.document.channels[channel]?.messages[name];
    assert.ok(message !== undefined, `${channel} has no message ${name}: ${JSON.stringify(payload)}`);
    this.#valid(`${channel} ${name}`, message.payload.schema ?? message.payload, payload);
    if (headers !== undefined) this.#valid(`fields of ${channel} ${name}`, message.headers ?? {}, headers);
    this.seen.add(`${channel} ${name}`);
  }

  #valid(what: string, schema: object, value: unknown): void {
    const validate = ajv.compile({ ...schema, components: this.document.components });
    assert.ok(validate(value), `${what}: ${ajv.errorsText(validate.errors)}: ${JSON.stringify(value)}`);
  }

  untried(): string[] {
    return Object.entries(this.document.channels).flatMap(([id, { messages }]) =>
      Object.keys(messages).flatMap((name) => (this.seen.has(`${id} ${name}`) ? [] : [`${id} ${name}`])),
    );
  }
}

/** Server-sent events as they come: name and data. */
function listen(t: Scope, url: string, headers: Record<string, string> = {}) {
  const events: { name: string; data: string }[] = [];
  const abort = new AbortController();
  let isOpen = false;
  t.after(async () => abort.abort());
  void fetch(url, { headers, signal: abort.signal })
    .then(async (response) => {
      isOpen = response.ok;
      let left = '';
      for await (const chunk of response.body!) {
        left += Buffer.from(chunk).toString();
        const blocks = left.split('\n\n');
        left = blocks.pop() ?? '';
        for (const block of blocks) {
          const data = [...block.matchAll(/^data: (.*)$/gm)].map(([, line]) => line).join('\n');
          if (data !== '') events.push({ name: /^event: (.*)$/m.exec(block)?.[1] ?? 'message', data });
        }
      }
    })
    .catch(() => {});
  return {
    events,
    opened: () => until(() => isOpen, url, SOON),
    got: (count: number) => until(() => events.length >= count, `${count} events of ${url}`, SOON),
  };
}

function socket(t: Scope, url: string, headers: Record<string, string>, protocol: string[] = []) {
  const ws = new WebSocket(url, protocol, { headers });
  const messages: string[] = [];
  ws.on('message', (data) => void messages.push(data.toString()));
  ws.on('error', () => {});
  t.after(async () => ws.terminate());
  return {
    ws,
    messages,
    opened: () => until(() => ws.readyState === ws.OPEN, url, SOON),
    got: (text: string) =>
      until(() => messages.some((each) => each.includes(text)), `${text} of ${messages.join(' ')}`, SOON),
  };
}

test('messages are what the AsyncAPI document says, and each audience has a document of its own', {
  timeout: 120_000,
}, async (t) => {
  const deliveries: { body: string; headers: Readonly<Record<string, unknown>>; path: string }[] = [];
  const upstream = await httpUpstream(t, (request, response) => {
    void readAll(request).then((body) => {
      deliveries.push({ body: body.toString(), headers: request.headers, path: request.url ?? '' });
      response.writeHead(204).end();
    });
  });
  const gateway = await startTestGateway(t, {
    gateway: {
      auth: {
        apiKey: {
          keys: [
            { key: USER, subject: 'ada', roles: ['user'] },
            { key: ROOT, subject: 'root', roles: ['admin'] },
          ],
        },
      },
    },
    openapi: {},
    services: { audit: { instances: [upstream.url] } },
    events: {
      streams: { commits: {}, notes: {} },
      consumers: {
        whole: { stream: 'commits', service: 'audit', path: '/whole', sign: SIGNING },
        bare: { stream: 'commits', service: 'audit', path: '/bare', format: 'data' },
      },
      hub: { topics: [{ topic: 'rooms.*', subscribe: 'users', publish: 'users', presence: true }] },
    },
    routes: [
      { name: 'publish', match: { path: '/commits', methods: ['POST'] }, publish: { stream: 'commits' } },
      { name: 'events', match: { path: '/commits', methods: ['GET'] }, subscribe: { stream: 'commits' } },
      { name: 'data', match: { path: '/data' }, subscribe: { stream: 'notes', format: 'data' }, auth: 'public' },
      {
        name: 'notes',
        match: { path: '/notes', methods: ['POST'] },
        publish: { stream: 'notes', body: 'json', idempotencyKey: 'required' },
        validate: { body: { type: 'object', required: ['text'], properties: { text: { type: 'string' } } } },
        auth: 'public',
      },
      {
        name: 'strict',
        match: { path: '/strict', methods: ['POST'] },
        publish: { stream: 'commits', body: 'cloudevent' },
        authorize: { roles: ['admin'] },
      },
      { name: 'ws', match: { path: '/ws/*' }, builtin: 'realtime' },
    ],
  });
  const asUser = { 'x-api-key': USER };
  const asRoot = { 'x-api-key': ROOT };
  const read = async (path: string, headers = {}, status = 200): Promise<Document> => {
    const response = await fetch(`${gateway.url}/events${path}`, { headers });
    assert.equal(response.status, status, path);
    const document = (await response.json()) as Document;
    if (status === 200) assert.ok(isAsyncApi(document), JSON.stringify(isAsyncApi.errors?.slice(0, 3)));
    return document;
  };
  // Who may read what.
  const open = await read('/asyncapi/public.json');
  assert.deepEqual(Object.keys(open.channels).sort(), ['data', 'data-websocket', 'notes']);
  const head = await fetch(`${gateway.url}/events/asyncapi/public.json`, { method: 'HEAD' });
  assert.deepEqual([head.status, await head.text()], [200, '']);
  assert.ok(Number(head.headers.get('content-length')) > 0);
  await read('/asyncapi.json', {}, 401);
  const known = await read('/asyncapi.json', asUser);
  const names = [
    'data',
    'data-websocket',
    'events',
    'events-websocket',
    'notes',
    'publish',
    'ws',
    'ws-events',
    'ws-topic',
  ];
  assert.deepEqual(Object.keys(known.channels).sort(), names);
  await read('/asyncapi/admin.json', {}, 401);
  await read('/asyncapi/admin.json', asUser, 403);
  const whole = await read('/asyncapi/admin.json', asRoot);
  assert.deepEqual(Object.keys(whole.channels).sort(), [...names, 'consumer-bare', 'consumer-whole', 'strict'].sort());
  assert.equal(whole.servers['http']?.host, `127.0.0.1:${gateway.port}`);
  const line = commandLine();
  t.after(async () => line.remove());
  const asked = ['events', 'asyncapi', '--audience', 'public', '--socket', join(gateway.folder, 'gatehouse.sock')];
  const printed = await line.run(...asked);
  assert.equal(printed.code, 0, printed.err);
  assert.deepEqual(Object.keys((JSON.parse(printed.out) as Document).channels), Object.keys(open.channels));
  assert.equal((await line.run('events', 'asyncapi', '--audience', 'mallory')).code, 2);

  const described = new Described(whole);
  const { url } = gateway;
  const socketUrl = url.replace('http', 'ws');

  // Subscribers first, then an event in each form.
  const sse = listen(t, `${url}/commits`, asUser);
  const plain = listen(t, `${url}/data`);
  const lost = listen(t, `${url}/commits`, { ...asUser, 'last-event-id': 'of-another-stream' });
  const ws = socket(t, `${socketUrl}/commits`, asUser);
  const data = socket(t, `${socketUrl}/data`, {});
  const behind = socket(t, `${socketUrl}/commits`, { ...asUser, 'last-event-id': 'of-another-stream' });
  const sockets = [ws, data, behind].map((each) => each.opened());
  await Promise.all([...sockets, sse.opened(), plain.opened(), lost.got(1)]);
  const event = { specversion: '1.0', id: 'a', source: '/git', type: 'commit', data: { hash: '4a1f' }, team: 'core' };
  const publish = async (path: string, type: string, body: string, name: string, headers = {}): Promise<void> => {
    const response = await fetch(url + path, {
      method: 'POST',
      headers: { ...asRoot, 'content-type': type, ...headers },
      body,
    });
    const text = await response.text();
    assert.equal(response.status, 202, text);
    const channel = path === '/commits' ? 'publish' : path.slice(1);
    described.check(channel, name, type.includes('json') ? JSON.parse(body) : body, headers);
    described.check(channel, name === 'batch' ? 'acceptedBatch' : 'accepted', JSON.parse(text));
  };
  for (const path of ['/commits', '/strict']) {
    await publish(path, 'application/cloudevents+json', JSON.stringify(event), 'event');
    await publish(path, 'application/cloudevents-batch+json', JSON.stringify([event, { ...event, id: 'b' }]), 'batch');
  }
  await publish('/commits', 'text/plain', 'a text', 'data', { 'Idempotency-Key': 'one' });
  await publish('/commits', 'application/octet-stream', 'bytes', 'data');
  await publish('/notes', 'application/json', '{"text":"hello"}', 'data', { 'Idempotency-Key': 'two' });
  await Promise.all([sse.got(8), plain.got(1), ws.got('data_base64'), data.got('hello')]);
  ws.ws.send('{"type":"ping"}');
  described.check('events-websocket', 'ping', { type: 'ping' });
  described.check('data-websocket', 'ping', { type: 'ping' });
  ws.ws.send('{"type":"pong"}');
  data.ws.send('{"type":"ping"}');
  data.ws.send('nonsense');
  await Promise.all([ws.got('"pong"'), ws.got('"error"'), data.got('"pong"'), data.got('"error"')]);

  // The hub, by both doors.
  const hub = socket(t, `${socketUrl}/ws`, asUser, ['gatehouse.v1']);
  const bare = socket(t, `${socketUrl}/ws`, asUser);
  await Promise.all([hub.opened(), bare.opened()]);
  const { ticket } = (await (await fetch(`${url}/ws/ticket`, { method: 'POST', headers: asUser })).json()) as {
    ticket: string;
  };
  const say = async (name: string, message: object, reply: string): Promise<void> => {
    described.check('ws', name, message);
    hub.ws.send(JSON.stringify(message));
    await hub.got(reply);
  };
  await say('auth', { type: 'auth', ticket }, '"authenticated"');
  await say('subscribe', { type: 'subscribe', topic: 'rooms.1', ref: 7 }, '"subscribed"');
  await say('askPresence', { type: 'presence', topic: 'rooms.1' }, '"users"');
  await say('publish', { type: 'publish', topic: 'rooms.1', data: { hello: 1 } }, '"message"');
  await say('ping', { type: 'ping', ref: 'x' }, '"pong"');
  hub.ws.send('{"type":"subscribe","topic":"rooms.2","after":"of-another-stream"}');
  await hub.got('"gap"');
  hub.ws.send('{"type":"shout"}');
  await hub.got('"error"');
  bare.ws.send('{"type":"subscribe","topic":"rooms.3"}');
  const hubSse = listen(t, `${url}/ws?topic=rooms.3&after=of-another-stream`, asUser);
  const hubData = listen(t, `${url}/ws?topic=rooms.3&format=data`, asUser);
  await Promise.all([bare.got('"subscribed"'), hubSse.got(1), hubData.opened()]);
  const told = await fetch(`${url}/ws/topics/rooms.3`, {
    method: 'POST',
    headers: { ...asUser, 'content-type': 'application/json' },
    body: '{"told":true}',
  });
  described.check('ws-topic', 'data', { told: true });
  described.check('ws-topic', 'accepted', await told.json());
  await Promise.all([bare.got('"told"'), hubSse.got(2), hubData.got(1)]);
  await say('unsubscribe', { type: 'unsubscribe', topic: 'rooms.1' }, '"unsubscribed"');

  // Deliveries, then the end of everything.
  await until(() => deliveries.length >= 16, `${deliveries.length} deliveries`, SOON);
  // Subscribers are told, so that nothing keeps the gateway from stopping.
  assert.equal(await gateway.stop({ timeoutMs: 60_000 }), 0, 'nobody is cut off');
  const isOver = (messages: readonly string[]) => messages.some((each) => each.includes('"end"'));
  await until(() => [ws, data, hub].every(({ messages }) => isOver(messages)), 'the ends of WebSockets', SOON);
  await until(() => sse.events.some(({ name }) => name === 'end'), 'the end of server-sent events', SOON);

  for (const [channel, { events: seen }] of [
    ['events', sse],
    ['events', lost],
    ['data', plain],
    ['ws-events', hubSse],
  ] as const)
    for (const { name, data: text } of seen) {
      const message = name === 'message' ? (channel === 'ws-events' ? 'message' : 'event') : name;
      described.check(channel, message, JSON.parse(text));
    }
  for (const { name, data: text } of hubData.events)
    if (name === 'message') described.check('ws-events', 'data', JSON.parse(text));
  for (const [channel, texts] of [
    ['events-websocket', [...ws.messages, ...behind.messages]],
    ['data-websocket', data.messages],
    ['ws', hub.messages],
  ] as const)
    for (const text of texts) {
      const message = JSON.parse(text) as { type?: string };
      described.check(channel, message.type ?? 'event', message);
    }
  const published = bare.messages.find((text) => text.includes('"told"'))!;
  described.check('ws', 'data', JSON.parse(published));
  for (const { path, body, headers } of deliveries) {
    const isWhole = path === '/whole';
    described.check(isWhole ? 'consumer-whole' : 'consumer-bare', 'event', isWhole ? JSON.parse(body) : body, headers);
  }
  // A stream of events that nobody is too slow for, and whose positions all are known, has no gap.
  assert.deepEqual(described.untried(), ['data gap', 'data-websocket gap']);
});
