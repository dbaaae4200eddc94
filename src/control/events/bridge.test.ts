/** What begins to open while the gateway stops: nothing would end it any more, so it is refused. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { systemClock } from '../../base/clock.ts';
import { createLogger } from '../../base/log.ts';
import { BridgeLink, type LinkedCall } from '../../data/channels/bridge-link.ts';
import { REALTIME_STREAM } from '../../data/contract/events.ts';
import { Bridge, type BridgeSettings } from './bridge.ts';
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
        const folder = mkdtempSync(join(tmpdir(), 'gatehouse-bridge-'));
        const log = createLogger('error', () => {});
        const bridge = await Bridge.start({ ...SETTINGS, storeUrl: `sqlite:${folder}/events.db` }, log);
        const { port1, port2 } = new MessageChannel();
        bridge.addWorker(port1);
        // Behind the listener of the bridge: it has begun with the request, and waits.
        if (stops) port1.on('message', () => bridge.drain());
        const link = new BridgeLink(systemClock);
        link.serve(port2);
        t.after(async () => {
          await bridge.stop();
          link.close();
          port1.close();
          rmSync(folder, { recursive: true, force: true });
        });
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
