/**
 * A subscriber that comes back after an hour's worth of events (ten a second) gets each of them, once, in order, by
 * both ways of subscribing; and one whose place is older than the stream keeps gets a gap first, and then all that is
 * kept.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { startNats } from '../support/nats.ts';
import { startDurableRedis } from '../support/redis.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';

const HOUR = 36_000;
const BATCH = 1_000;
const SOON = 120_000;
const TIMEOUT = 300_000;
/** Of the stream that keeps less than an hour. */
const KEPT = 5_000;

const ENGINES = [
  { name: 'the SQL store', start: null },
  { name: 'NATS JetStream', start: startNats },
  { name: 'Redis Streams', start: startDurableRedis },
];

async function gatewayOn(t: Scope, url: string | null): Promise<TestGateway> {
  const engine = url === null ? {} : { engine: 'broker' };
  return await startTestGateway(t, {
    events: {
      ...(url === null ? {} : { engines: { broker: { url } } }),
      streams: { news: engine, short: { ...engine, maxEvents: KEPT } },
    },
    routes: ['news', 'short'].flatMap((stream) => [
      {
        match: { path: `/${stream}`, methods: ['POST'] },
        publish: { stream, maxSize: '8mb', ackTimeout: '30s' },
        auth: 'public',
      },
      { match: { path: `/${stream}`, methods: ['GET'] }, subscribe: { stream }, auth: 'public' },
    ]),
  });
}

async function publish({ url }: TestGateway, stream: string, from: number, count: number): Promise<void> {
  for (let at = from; at < from + count; at += BATCH) {
    const numbers = Array.from({ length: Math.min(BATCH, from + count - at) }, (_, index) => at + index);
    const events = numbers.map((n) => ({ specversion: '1.0', id: `${n}`, source: '/t', type: 'n', data: { n } }));
    const response = await fetch(`${url}/${stream}`, {
      method: 'POST',
      headers: { 'content-type': 'application/cloudevents-batch+json' },
      body: JSON.stringify(events),
    });
    assert.equal(response.status, 202, await response.text());
  }
}

/** The numbers of the events that come, and what else there is. */
function sse(t: Scope, { url }: TestGateway, stream: string, after: string | null) {
  const abort = new AbortController();
  t.after(() => abort.abort());
  const state = { numbers: [] as number[], others: [] as string[], last: '', isOpen: false };
  const headers = after === null ? {} : { 'last-event-id': after };
  void fetch(`${url}/${stream}`, { headers, signal: abort.signal })
    .then(async (response) => {
      state.isOpen = true;
      let left = '';
      for await (const chunk of response.body!) {
        const blocks = (left + Buffer.from(chunk).toString()).split('\n\n');
        left = blocks.pop() ?? '';
        for (const block of blocks) {
          state.last = /^id: (.*)$/m.exec(block)?.[1] ?? state.last;
          const other = /^event: (.*)$/m.exec(block)?.[1];
          if (other !== undefined) state.others.push(`${other} before ${state.numbers.length}`);
          const data = other === undefined ? /^data: (.*)$/m.exec(block)?.[1] : undefined;
          if (data !== undefined) state.numbers.push((JSON.parse(data) as { data: { n: number } }).data.n);
        }
      }
    })
    .catch(() => {});
  return { state, end: () => abort.abort() };
}

function socket(t: Scope, { port }: TestGateway, stream: string, after: string) {
  const ws = new WebSocket(`ws://127.0.0.1:${port}/${stream}?after=${encodeURIComponent(after)}`);
  t.after(() => ws.terminate());
  ws.on('error', () => {});
  const numbers: number[] = [];
  ws.on('message', (data) => {
    const { event } = JSON.parse(data.toString()) as { event?: { data: { n: number } } };
    if (event !== undefined) numbers.push(event.data.n);
  });
  return numbers;
}

const from = (first: number, count: number): number[] => Array.from({ length: count }, (_, index) => first + index);

for (const { name, start } of ENGINES) {
  test(`${name}: who comes back after an hour of events misses none, or is told what is missing`, {
    timeout: TIMEOUT,
  }, async (t) => {
    const broker = await start?.();
    t.after(async () => broker?.stop());
    const gateway = await gatewayOn(t, broker?.url ?? null);
    // There until the first ten, then away for an hour.
    const places: Record<string, string> = {};
    for (const stream of ['news', 'short']) {
      const first = sse(t, gateway, stream, null);
      await until(() => first.state.isOpen, 'it is there', SOON);
      await publish(gateway, stream, 0, 10);
      await until(() => first.state.numbers.length === 10, 'the first ten', SOON);
      places[stream] = first.state.last;
      first.end();
      await publish(gateway, stream, 10, stream === 'news' ? HOUR : 2 * KEPT);
    }
    const beganMs = performance.now();
    const back = sse(t, gateway, 'news', places['news']!);
    const byWebSocket = socket(t, gateway, 'news', places['news']!);
    await until(() => back.state.numbers.length >= HOUR && byWebSocket.length >= HOUR, 'an hour of events', SOON);
    t.diagnostic(`${name}: ${HOUR} events to two subscribers in ${Math.round(performance.now() - beganMs)} ms`);
    assert.deepEqual(back.state.others, []);
    assert.deepEqual(back.state.numbers, from(10, HOUR));
    assert.deepEqual(byWebSocket, from(10, HOUR));
    // What comes now follows at once.
    await publish(gateway, 'news', HOUR + 10, 1);
    await until(() => back.state.numbers.at(-1) === HOUR + 10, 'the next event', SOON);

    const late = sse(t, gateway, 'short', places['short']!);
    const newest = 2 * KEPT + 9;
    await until(() => late.state.numbers.at(-1) === newest, 'the newest that is kept', SOON);
    assert.deepEqual(late.state.others, ['gap before 0'], 'the gap comes first');
    const [oldest = 0] = late.state.numbers;
    assert.ok(oldest > 10, `${oldest} is the oldest that is kept`);
    // Each engine removes no more than what is too much.
    assert.ok(newest - oldest + 1 >= KEPT, `${oldest} is the oldest that is kept`);
    assert.deepEqual(late.state.numbers, from(oldest, newest - oldest + 1));
  });
}
