/**
 * `subscribe` routes over a WebSocket, through a whole gateway: the messages of the AIVillage document, resuming, wrong
 * frames and messages, foreign pages, and the end of a token.
 */
import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { test } from 'node:test';
import { type ClientOptions, WebSocket } from 'ws';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';

const SECRET = 'a-secret-of-more-than-thirty-two-bytes-0123';
const ROUTES = [
  { match: { path: '/progress' }, publish: { stream: 'training', subject: 'training.ada.progress' }, auth: 'public' },
  { match: { path: '/ws' }, subscribe: { stream: 'training', format: 'data' }, auth: 'public' },
  { match: { path: '/full' }, subscribe: { stream: 'training' }, auth: 'public' },
  { match: { path: '/mine' }, subscribe: { stream: 'training', subject: 'training.{auth.sub}.>', format: 'data' } },
  {
    match: { path: '/app' },
    subscribe: { stream: 'training', origins: ['https://app.example.com'], maxPerCaller: 1 },
    auth: 'public',
  },
];

const start = (t: Scope): Promise<TestGateway> =>
  startTestGateway(t, { events: { streams: { training: {} } }, routes: ROUTES }, { JWT_SECRET: SECRET });

async function publish({ url }: TestGateway, body: object): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${url}/progress`, { method: 'POST', headers, body: JSON.stringify(body) });
  assert.equal(response.status, 202);
}

function open(t: Scope, { port }: TestGateway, path: string, options: ClientOptions = {}) {
  const ws = new WebSocket(`ws://127.0.0.1:${port}${path}`, options);
  const state = { messages: [] as string[], isOpen: false, closed: 0, status: 0 };
  ws.on('open', () => {
    state.isOpen = true;
  });
  ws.on('message', (data) => void state.messages.push(data.toString()));
  ws.on('unexpected-response', (_request, response) => {
    state.status = response.statusCode ?? 0;
    response.resume();
  });
  ws.on('close', (code) => {
    state.closed = code;
  });
  ws.on('error', () => {});
  t.after(() => ws.terminate());
  return { ws, state, opened: () => until(() => state.isOpen, `${path} opens`) };
}

test('the messages of the AIVillage document: a ping is answered, progress comes to the letter', {
  timeout: 60_000,
}, async (t) => {
  const gateway = await start(t);
  const { ws, state, opened } = open(t, gateway, '/ws');
  await opened();
  ws.send(JSON.stringify({ type: 'ping' }));
  await until(() => state.messages.length === 1, 'the pong');
  assert.deepEqual(JSON.parse(state.messages[0]!), { type: 'pong' });
  await publish(gateway, { type: 'training_progress', progress: 0.5 });
  await publish(gateway, { type: 'training_complete' });
  await until(() => state.messages.length === 3, 'both');
  assert.deepEqual(state.messages.slice(1), [
    '{"type":"training_progress","progress":0.5}',
    '{"type":"training_complete"}',
  ]);
});

test('a client resumes from the position of a pong, or from the id of an event', { timeout: 60_000 }, async (t) => {
  const gateway = await start(t);
  await publish(gateway, { n: 0 });
  const first = open(t, gateway, '/full');
  await first.opened();
  await publish(gateway, { n: 1 });
  await until(() => first.state.messages.length === 1, 'the event');
  const { type, id, event } = JSON.parse(first.state.messages[0]!);
  assert.deepEqual([type, event.data], ['event', { n: 1 }]);
  first.ws.send('{"type":"ping"}');
  await until(() => first.state.messages.length === 2, 'the pong');
  assert.deepEqual(JSON.parse(first.state.messages[1]!), { type: 'pong', id });
  first.ws.close();
  await publish(gateway, { n: 2 });
  const again = open(t, gateway, `/full?after=${id}`);
  await until(() => again.state.messages.length === 1, 'the one since');
  assert.deepEqual(JSON.parse(again.state.messages[0]!).event.data, { n: 2 });
});

test('what is no ping is told to be unknown, and too much of it closes', { timeout: 60_000 }, async (t) => {
  const gateway = await start(t);
  const { ws, state, opened } = open(t, gateway, '/ws');
  await opened();
  const wrong = ['{"type":"subscribe"}', 'ping', '', '[]', 'null', '{"type":', '"ping"', '{}', '0', 'true'];
  for (const text of wrong) ws.send(text);
  await until(() => state.messages.length === wrong.length, 'an error each');
  assert.ok(state.messages.every((text) => JSON.parse(text).type === 'error'));
  ws.send(Buffer.from('{"type":"ping"}'));
  await until(() => state.closed !== 0, 'the end');
  assert.equal(state.closed, 1008);
  const fast = open(t, gateway, '/ws');
  await fast.opened();
  for (let i = 0; i < 200; i++) fast.ws.send('{"type":"ping"}');
  await until(() => fast.state.closed !== 0, 'the end of the fast one');
  assert.equal(fast.state.closed, 1008);
});

test('pages of other hosts are refused, those that are named are not', { timeout: 60_000 }, async (t) => {
  const gateway = await start(t);
  const foreign = open(t, gateway, '/ws', { origin: 'https://evil.example' });
  await until(() => foreign.state.status !== 0, 'the refusal');
  assert.equal(foreign.state.status, 403);
  await open(t, gateway, '/ws', { origin: `http://127.0.0.1:${gateway.port}` }).opened();
  const named = open(t, gateway, '/app', { origin: 'https://app.example.com' });
  await named.opened();
  const second = open(t, gateway, '/app', { origin: 'https://app.example.com' });
  await until(() => second.state.status !== 0, 'one too many');
  assert.equal(second.state.status, 429);
  named.ws.close();
  await until(() => named.state.closed !== 0, 'the first is gone');
});

test('only who is known may open one, and it ends with the token', { timeout: 60_000 }, async (t) => {
  const gateway = await start(t);
  const nobody = open(t, gateway, '/mine');
  await until(() => nobody.state.status !== 0, 'the refusal');
  assert.equal(nobody.state.status, 401);
  const headers = { authorization: `Bearer ${token('ada', 3)}` };
  const { state, opened } = open(t, gateway, '/mine', { headers });
  await opened();
  await publish(gateway, { n: 1 });
  await until(() => state.messages.length === 1, 'what is ada’s');
  await until(() => state.closed !== 0, 'the end of the token', 10_000);
  assert.deepEqual([state.closed, JSON.parse(state.messages[1]!)], [1008, { type: 'end', reason: 'token_expired' }]);
});

/** Frames as a client sends them, with what is wrong about each (RFC 6455), and the code of the close that follows. */
const FRAMES: readonly [name: string, bytes: readonly number[], close: number][] = [
  ['not masked (§5.1)', [0x81, 0x01, 0x61], 1002],
  ['reserved bit (§5.2)', [0xc1, 0x81, 0, 0, 0, 0, 0x61], 1002],
  ['reserved opcode (§5.2)', [0x83, 0x80, 0, 0, 0, 0], 1002],
  ['reserved control opcode (§5.2)', [0x8b, 0x80, 0, 0, 0, 0], 1002],
  ['fragmented ping (§5.5)', [0x09, 0x80, 0, 0, 0, 0], 1002],
  ['ping of 126 bytes (§5.5)', [0x89, 0xfe, 0, 126, 0, 0, 0, 0, ...new Array<number>(126).fill(0)], 1002],
  ['continuation of nothing (§5.4)', [0x80, 0x81, 0, 0, 0, 0, 0x61], 1002],
  ['text that is no UTF-8 (§8.1)', [0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28], 1007],
  ['a second beginning inside a message (§5.4)', [0x01, 0x81, 0, 0, 0, 0, 0x61, 0x81, 0x81, 0, 0, 0, 0, 0x61], 1002],
  ['larger than a message may be', [0x81, 0xfe, 0x20, 0, 0, 0, 0, 0], 1009],
  ['a length of 2^63 (§5.2)', [0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1009],
  ['close of one byte (§5.5.1)', [0x88, 0x81, 0, 0, 0, 0, 3], 1002],
  ['close with 1005 (§7.4.1)', [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xed], 1002],
  ['close with text that is no UTF-8 (§5.5.1)', [0x88, 0x84, 0, 0, 0, 0, 0x03, 0xe8, 0xc3, 0x28], 1007],
];

test('a frame that is wrong closes with the code of its kind, and touches nobody else', {
  timeout: 30_000,
}, async (t) => {
  const gateway = await start(t);
  const other = open(t, gateway, '/ws');
  await other.opened();
  for (const [name, bytes, close] of FRAMES) {
    assert.equal(await closeCodeOf(gateway.port, Buffer.from(bytes)), close, name);
  }
  await publish(gateway, { n: 1 });
  await until(() => other.state.messages.length === 1, 'the other goes on');
});

test('a ping in single bytes is a ping', { timeout: 60_000 }, async (t) => {
  const gateway = await start(t);
  const text = Buffer.from('{"type":"ping"}');
  const frame = Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), text]);
  const received = await exchange(gateway.port, frame, true, (bytes) => bytes.includes('pong'));
  assert.ok(received.includes('{"type":"pong"}'));
});

/** The status code of the close frame that the server sends. */
async function closeCodeOf(port: number, frame: Buffer): Promise<number> {
  const bytes = await exchange(port, frame, false, (received) => received.length >= 4 && received[0] === 0x88);
  return bytes.readUInt16BE(2);
}

function exchange(port: number, frame: Buffer, split: boolean, isOver: (bytes: Buffer) => boolean): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let received = Buffer.alloc(0);
    let isUpgraded = false;
    socket.setTimeout(5_000, () => socket.destroy(new Error('no response')));
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`closed after ${received.toString('hex')}`)));
    socket.on('data', (part: Buffer) => {
      received = Buffer.concat([received, part]);
      if (!isUpgraded) {
        const end = received.indexOf('\r\n\r\n');
        if (end < 0) return;
        isUpgraded = true;
        received = received.subarray(end + 4);
        if (split) for (const byte of frame) socket.write(Buffer.from([byte]));
        else socket.write(frame);
      }
      if (!isOver(received)) return;
      resolve(received);
      socket.destroy();
    });
    const key = randomBytes(16).toString('base64');
    socket.write(
      `GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
    );
  });
}

function token(sub: string, seconds: number): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const nowSeconds = Math.floor(Date.now() / 1_000);
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub, iat: nowSeconds, exp: nowSeconds + seconds })}`;
  return `${text}.${createHmac('sha256', SECRET).update(text).digest('base64url')}`;
}
