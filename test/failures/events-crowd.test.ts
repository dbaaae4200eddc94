/**
 * Many clients and bad ones, through a whole gateway: readers that never read, a thousand that come back at once, and
 * what they cost those who do nothing wrong.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';

const SOON = 120_000;
const EVENT_BYTES = 64 * 1024;

async function start(t: Scope, heartbeat = '15s'): Promise<TestGateway> {
  const subscribe = { stream: 'news', maxPerCaller: 5_000, heartbeat: '1s' };
  return await startTestGateway(t, {
    events: {
      streams: { news: {} },
      hub: {
        topics: [{ topic: 'news.>', subscribe: 'anyone', publish: 'anyone', join: true }],
        heartbeat,
        limits: { connections: 5_000, messagesPerSecond: 10_000 },
      },
    },
    routes: [
      { match: { path: '/publish' }, publish: { stream: 'news' }, auth: 'public' },
      { match: { path: '/catch-up' }, subscribe, auth: 'public' },
      { match: { path: '/gap' }, subscribe: { ...subscribe, slow: 'gap' }, auth: 'public' },
      { match: { path: '/close' }, subscribe: { ...subscribe, slow: 'close' }, auth: 'public' },
      { match: { path: '/ws/*' }, builtin: 'realtime', auth: 'public', realtime: { anonymous: true } },
    ],
  });
}

/** A subscriber that takes nothing from its socket until it is told to. */
function mute(t: Scope, { port }: TestGateway, path: string) {
  const state = { text: '', isClosed: false };
  const socket: Socket = connect(port, '127.0.0.1');
  t.after(() => void socket.destroy());
  socket.on('error', () => {});
  socket.on('close', () => {
    state.isClosed = true;
  });
  socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
  const opened = new Promise<void>((resolve) => {
    socket.once('data', (chunk: Buffer) => {
      state.text += chunk.toString();
      socket.pause();
      resolve();
    });
  });
  const read = (): void => {
    socket.on('data', (chunk: Buffer) => {
      state.text += chunk.toString();
    });
    socket.resume();
  };
  const numbers = (): number[] => [...state.text.matchAll(/"n":(\d+)/g)].map(([, n]) => Number(n));
  return { socket, state, opened, read, numbers };
}

async function publish({ url }: TestGateway, from: number, count: number): Promise<void> {
  const pad = 'x'.repeat(EVENT_BYTES);
  for (let n = from; n < from + count; n++) {
    const response = await fetch(`${url}/publish`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ n, pad }),
    });
    assert.equal(response.status, 202);
    await response.arrayBuffer();
  }
}

test('readers that never read cost neither memory nor others their events, and each policy does what it says', {
  timeout: 240_000,
}, async (t) => {
  const gateway = await start(t);
  const [patient, skipping, closing] = ['/catch-up', '/gap', '/close'].map((path) => mute(t, gateway, path)) as [
    ReturnType<typeof mute>,
    ReturnType<typeof mute>,
    ReturnType<typeof mute>,
  ];
  const crowd = Array.from({ length: 20 }, () => mute(t, gateway, '/catch-up'));
  const reader = mute(t, gateway, '/catch-up');
  await Promise.all([patient, skipping, closing, reader, ...crowd].map(({ opened }) => opened));
  reader.read();
  const before = process.memoryUsage.rss();
  // More than sockets and the ring of the newest events hold together, for each of them.
  const count = 350;
  await publish(gateway, 0, count);
  await until(() => reader.numbers().length === count, 'the one that reads has all of them', SOON);
  const grown = (process.memoryUsage.rss() - before) / 1024 ** 2;
  // Were they buffered for, it would be 24 times 22 MB.
  assert.ok(grown < 300, `${Math.round(grown)} MB more`);
  for (const each of [patient, skipping, closing]) each.read();
  await until(() => patient.numbers().length === count, 'catch-up: all of them, in order', SOON);
  assert.deepEqual(
    patient.numbers(),
    Array.from({ length: count }, (_, n) => n),
  );
  await until(() => skipping.numbers().at(-1) === count - 1, 'gap: the newest', SOON);
  assert.match(skipping.state.text, /^event: gap$/m);
  assert.ok(skipping.numbers().length < count);
  await until(() => closing.state.text.includes('"too_slow"'), 'close: it is told', SOON);
});

test('a client of the hub that asks and never reads is cut off', { timeout: 240_000 }, async (t) => {
  const gateway = await start(t, '1s');
  const connections = (): number => {
    const extra = gateway.primary.opsSources().metrics.extra();
    const sample = extra.find(({ name }) => name === 'gatehouse_hub_connections')?.samples[0];
    return sample !== undefined && 'value' in sample ? sample.value : 0;
  };
  const ws = new WebSocket(`ws://127.0.0.1:${gateway.port}/ws`, 'gatehouse.v1');
  t.after(() => ws.terminate());
  ws.on('error', () => {});
  await new Promise((resolve) => ws.once('open', resolve));
  await until(() => connections() === 1, 'it is counted', SOON);
  // Pings of the hub are not answered either from now on.
  (ws as unknown as { readonly _socket: Socket })._socket.pause();
  await until(
    () => {
      for (let i = 0; i < 20 && ws.readyState === WebSocket.OPEN; i++) ws.send('{"type":"ping"}');
      return connections() === 0;
    },
    'it is cut off',
    SOON,
  );
});

for (const path of ['/ws', '/catch-up'])
  test(`a client of ${path} that floods with ping frames and never reads is cut off`, {
    timeout: 240_000,
  }, async (t) => {
    const gateway = await start(t, '1s');
    const socket = connect(gateway.port, '127.0.0.1');
    t.after(() => socket.destroy());
    socket.on('error', () => {});
    const isClosed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    const head = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n';
    socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n${head}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    assert.match(answer.toString('latin1'), /^HTTP\/1\.1 101 /);
    socket.pause();
    // Each is answered with a pong of its size; pongs that nobody asked for say that it lives.
    const [ping, pong] = [0x89, 0x8a].map((code) =>
      Buffer.concat([Buffer.from([code, 0xfd, 0, 0, 0, 0]), Buffer.alloc(125, 'x')]),
    );
    const flood = Buffer.concat([...Array.from({ length: 4_000 }, () => ping!), pong!]);
    const most = 200 * 1024 ** 2;
    let written = 0;
    const before = process.memoryUsage.rss();
    let grown = 0;
    const write = (): void => {
      while (written < most && socket.writable && socket.write(flood)) written += flood.length;
      written += flood.length;
      grown = Math.max(grown, process.memoryUsage.rss() - before);
    };
    socket.on('drain', write);
    write();
    await until(() => written >= most || socket.closed, 'it is read, or closed', SOON);
    assert.ok(written < most / 4, `${Math.round(written / 1024 ** 2)} MB were read of a client that reads nothing`);
    await isClosed;
    assert.ok(grown < 200 * 1024 ** 2, `${Math.round(grown / 1024 ** 2)} MB more`);
  });

test('a thousand clients that lost their connection come back at once, and none misses an event', {
  timeout: 240_000,
}, async (t) => {
  const gateway = await start(t);
  const clients = 1_000;
  const post = async (n: number): Promise<void> => {
    const response = await fetch(`${gateway.url}/ws/topics/news.x`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ n }),
    });
    assert.equal(response.status, 202);
  };
  const open = (after: string): { got: number[]; end(): void } => {
    const got: number[] = [];
    let ws: WebSocket;
    let isOver = false;
    // One that is refused tries again, as clients do.
    const dial = (): void => {
      ws = new WebSocket(`ws://127.0.0.1:${gateway.port}/ws${after}`, 'gatehouse.v1');
      ws.on('message', (data) => {
        const message = JSON.parse(data.toString()) as { type: string; id: string; data: { n: number } };
        if (message.type !== 'message') return;
        got.push(message.data.n);
        last = message.id;
      });
      ws.on('error', () => {
        if (!isOver && got.length === 0) setTimeout(dial, 200);
      });
    };
    dial();
    const end = (): void => {
      isOver = true;
      ws.terminate();
    };
    t.after(end);
    return { got, end };
  };
  let last = '';
  const first = open('');
  for (let tries = 0; first.got.length === 0; tries++) {
    assert.ok(tries < 100, 'it gets messages');
    await post(0);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const place = last;
  first.end();
  await post(1);
  const crowd = Array.from({ length: clients }, () => open(`?after=${place}`));
  await post(2);
  await until(() => crowd.every(({ got }) => got.includes(1) && got.includes(2)), 'all have both', SOON);
  for (const { got } of crowd)
    assert.deepEqual(
      got.filter((n) => n > 0),
      [1, 2],
    );
  await post(3);
  await until(() => crowd.every(({ got }) => got.at(-1) === 3), 'and the next', SOON);
});
