/**
 * What becomes of subscriptions and clients of the hub when the gateway stops, and when a new configuration says
 * something else of what they read.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import type { Scope } from '../../../test/support/scope.ts';
import { until } from '../../../test/support/until.ts';
import { systemClock } from '../../base/clock.ts';
import { createLogger } from '../../base/log.ts';
import { BridgeLink, type LinkedCall } from '../../data/channels/bridge-link.ts';
import { REALTIME_STREAM } from '../../data/contract/events.ts';
import { Bridge, type BridgeSettings, type ChannelRoute } from './bridge.ts';
import { streamSettings } from './engines/engine.suite.ts';

const ROUTE = { path: '/', methods: [], audience: 'public', security: [], schemes: {}, bodySchema: null } as const;
const SETTINGS: Omit<BridgeSettings, 'storeUrl'> = {
  name: 'shop',
  version: '1.0.0',
  errorFormat: 'flat',
  path: null,
  publicUrl: null,
  engines: [],
  streams: ['commits', REALTIME_STREAM].map((name) => streamSettings({ name, engine: 'embedded' })),
  consumers: [],
  hub: {
    topics: [{ topic: '>', join: true, subscribe: 'anyone', publish: 'nobody', presence: false }],
    engine: 'embedded',
    authTimeoutMs: 1_000,
    ticketTtlMs: 1_000,
    heartbeatMs: 1_000,
    maxMessageBytes: 1_000,
    limits: { connections: 10, topics: 10, messagesPerSecond: 10 },
    plans: {},
  },
  maxSubscribers: 10,
  routes: {
    subscribe: {
      ...ROUTE,
      kind: 'subscribe',
      settings: {
        stream: 'commits',
        subject: '>',
        key: null,
        from: 'now',
        format: 'data',
        heartbeatMs: 1_000,
        retryMs: 1_000,
        slow: 'catch-up',
        maxPerCaller: 10,
        origins: [],
      },
    },
    hub: { ...ROUTE, kind: 'hub', settings: { segments: 0, origins: [], anonymous: true } },
  },
};
const UPGRADE = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
};

for (const route of ['subscribe', 'hub'])
  for (const isUpgrade of [false, true])
    for (const stops of [false, true])
      test(`${route}, ${isUpgrade ? 'WebSocket' : 'server-sent events'}: ${stops ? 'refused when a stop begins while it opens' : 'opens'}`, async (t) => {
        const { bridge, link, port } = await opened(t, SETTINGS);
        // Behind the listener of the bridge: it has begun with the request, and waits.
        if (stops) port.on('message', () => bridge.drain());
        const outcome = await new Promise<string>((resolve) => {
          const client: LinkedCall = {
            id: 0,
            onReply: (status) => resolve(`reply ${status}`),
            onStream: () => resolve('stream'),
            onUpgrade: (head) => resolve(head.toString().split('\r\n')[0]!),
            onBytes: () => {},
            flushBytes: () => true,
            onEnd: () => resolve('end'),
            onTook: () => {},
            onFault: ({ kind }) => resolve(`fault ${kind.status}`),
          };
          const channel = { route, subject: '>', key: null, caller: null, account: null, plan: null, expires: null };
          const request = {
            channel: { ...channel, address: '192.0.2.1' },
            method: 'GET',
            url: '/',
            headers: isUpgrade ? UPGRADE : {},
            isUpgrade,
          };
          assert.ok(link.open(client, request, Buffer.alloc(0)));
        });
        const opens = isUpgrade ? 'HTTP/1.1 101 Switching Protocols' : 'stream';
        assert.equal(outcome, stops ? 'reply 503' : opens);
      });

/** A bridge and a line to it, whose calls say what they are told. */
async function opened(t: Scope, settings: Omit<BridgeSettings, 'storeUrl'>) {
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-bridge-'));
  const stored = { ...settings, storeUrl: `sqlite:${folder}/events.db` };
  const bridge = await Bridge.start(
    stored,
    createLogger('error', () => {}),
  );
  const { port1, port2 } = new MessageChannel();
  bridge.addWorker(port1);
  const link = new BridgeLink(systemClock);
  link.serve(port2);
  t.after(async () => {
    await bridge.stop();
    link.close();
    port1.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const listen = (route: string, url = '/'): { text: string; isOver: boolean } => {
    const state = { text: '', isOver: false };
    const client: LinkedCall = {
      id: 0,
      onReply: (status) => {
        state.text += `reply ${status}`;
      },
      onStream: () => {},
      onUpgrade: () => {},
      onBytes: (bytes, from, to) => {
        state.text += bytes.toString('utf8', from, to);
      },
      flushBytes: () => true,
      onEnd: () => {
        state.isOver = true;
      },
      onTook: () => {},
      onFault: ({ kind }) => {
        state.text += `fault ${kind.status}`;
      },
    };
    const caller = { key: null, caller: 'ada', account: 'ada', plan: null, expires: null, roles: [], scopes: [] };
    const channel = { route, subject: '>', address: '192.0.2.1', ...caller };
    assert.ok(link.open(client, { channel, method: 'GET', url, headers: {}, isUpgrade: false }, Buffer.alloc(0)));
    return state;
  };
  const apply = (next: Omit<BridgeSettings, 'storeUrl'>): Promise<void> =>
    bridge.apply({ ...next, storeUrl: stored.storeUrl });
  /** What the bridge says comes in order: when a later client hears something, the others have heard all before it. */
  const settled = async (): Promise<void> => {
    const later = listen('subscribe');
    await until(() => later.text.includes('retry'), 'a later client opens');
  };
  return { bridge, link, port: port1, listen, apply, settled };
}

const withSubscribe = (settings: object, more: object = {}): Omit<BridgeSettings, 'storeUrl'> => {
  const route = SETTINGS.routes['subscribe']!;
  return {
    ...SETTINGS,
    ...more,
    routes: {
      ...SETTINGS.routes,
      subscribe: { ...route, settings: { ...route.settings, ...settings } } as ChannelRoute,
    },
  };
};

for (const [what, next] of [
  ['another stream', withSubscribe({ stream: REALTIME_STREAM })],
  ['other subjects', withSubscribe({ subject: 'a.>' })],
  [
    'another engine, which has other events',
    withSubscribe(
      {},
      {
        engines: [{ name: 'redis', kind: 'redis', urls: ['redis://127.0.0.1:9'], replicas: 1 }],
        streams: [streamSettings({ name: 'commits', engine: 'redis' }), SETTINGS.streams[1]!],
      },
    ),
  ],
] as const)
  test(`a subscription whose route gets ${what} ends and says so, instead of waiting for nothing`, async (t) => {
    const { listen, apply, settled } = await opened(t, SETTINGS);
    const client = listen('subscribe');
    await until(() => client.text.includes('retry'), 'it opens');
    await apply(SETTINGS);
    await settled();
    assert.equal(client.isOver, false);
    await apply(next);
    await until(() => client.isOver, 'it ends');
    assert.match(client.text, /event: end\ndata: \{"reason":"route_changed"\}/);
  });

test('a client of the hub stays while the rules say the same of its topics, and ends when they do not', async (t) => {
  const hub = SETTINGS.hub!;
  const rule = { topic: '', join: false, subscribe: 'users', publish: 'nobody', presence: false } as const;
  const topics = (...rules: object[]): Omit<BridgeSettings, 'storeUrl'> => ({
    ...SETTINGS,
    hub: { ...hub, topics: rules.map((each) => ({ ...rule, ...each })) },
  });
  const { listen, apply, settled } = await opened(t, topics({ topic: 'rooms.*' }, { topic: 'news.>' }));
  const rooms = listen('hub', '/?topic=rooms.*');
  const news = listen('hub', '/?topic=news.a');
  await until(() => rooms.text.includes('retry') && news.text.includes('retry'), 'they open');
  await apply(topics({ topic: 'rooms.*' }, { topic: 'news.>' }, { topic: 'other' }));
  await apply(topics({ topic: 'other' }, { topic: 'rooms.*' }, { topic: 'news.>' }));
  await settled();
  assert.deepEqual([rooms.isOver, news.isOver], [false, false]);
  await apply(topics({ topic: 'rooms.secret', subscribe: 'nobody' }, { topic: 'rooms.*' }, { topic: 'news.>' }));
  await until(() => rooms.isOver, 'it ends');
  assert.match(rooms.text, /"route_changed"/);
  await settled();
  assert.equal(news.isOver, false);
  await apply(topics({ topic: 'rooms.*' }));
  await until(() => news.isOver, 'it ends too');
});
