/** Each metric of event streams, consumers and the hub, after traffic that moves it. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { WebSocket } from 'ws';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import type { Scope } from '../support/scope.ts';
import { assertSeries, readSeries, some } from '../support/series.ts';
import { until } from '../support/until.ts';
import { deadPort, httpUpstream, readAll } from '../support/upstream.ts';

const PATIENCE_MS = 60_000;
const KEY = 'trainer-0123456789abcdef0123456789';
const ENV = { API_KEY_1: `${KEY}:trainer:publish:standard` };

async function publish(gateway: TestGateway, path: string): Promise<number> {
  const init = { method: 'POST', body: '{"a":1}', headers: { 'content-type': 'application/json', 'x-api-key': KEY } };
  const response = await fetch(gateway.url + path, init);
  await response.arrayBuffer();
  return response.status;
}

/** Reads server-sent events until the test is over. */
async function listen(t: Scope, url: string, headers: Record<string, string> = {}): Promise<() => string> {
  const abort = new AbortController();
  t.after(() => abort.abort());
  const response = await fetch(url, { headers, signal: abort.signal });
  let text = '';
  void (async () => {
    for await (const bytes of response.body!) text += Buffer.from(bytes).toString();
  })().catch(() => {});
  return () => text;
}

const publishing = { match: { path: '/commits' }, publish: { stream: 'commits' }, auth: 'public' };

it('each metric of streams and consumers', { timeout: 240_000 }, async (t) => {
  let isBroken = true;
  let nthHeld = 0;
  const held: (() => void)[] = [];
  const upstream = await httpUpstream(t, (request, response) => {
    void readAll(request).then(() => {
      if (request.url === '/held' && nthHeld++ > 0) held.push(() => void response.writeHead(204).end());
      else response.writeHead(request.url === '/dead' || (isBroken && request.url === '/flaky') ? 503 : 204).end();
      if (request.url === '/flaky') isBroken = false;
    });
  });
  const consumer = (path: string, attempts: number) => ({
    stream: 'commits',
    service: 'audit',
    path,
    attempts,
    backoff: '100ms',
    maxBackoff: '100ms',
  });
  const gateway = await startTestGateway(t, {
    services: {
      audit: { instances: [upstream.url], retries: 0 },
      away: { instances: [`http://127.0.0.1:${await deadPort()}`] },
    },
    events: {
      streams: { commits: {} },
      consumers: {
        flaky: consumer('/flaky', 10),
        dead: consumer('/dead', 2),
        held: consumer('/held', 10),
        never: { ...consumer('/never', 10), service: 'away' },
      },
    },
    routes: [publishing, { match: { path: '/stream' }, subscribe: { stream: 'commits' }, auth: 'public' }],
  });
  const heard = await listen(t, `${gateway.url}/stream`, { 'last-event-id': 'AAAAAAAA.5' });
  await until(() => heard().includes('event: gap'), 'the gap', PATIENCE_MS);
  assert.equal(await publish(gateway, '/commits'), 202);
  await until(() => heard().includes('"specversion"') && nthHeld === 1, 'it arrives', PATIENCE_MS);
  assert.equal(await publish(gateway, '/commits'), 202);
  await until(() => held.length === 1, 'the next one does', PATIENCE_MS);
  // A dead letter is in the gauge as soon as it is counted: nothing waits for the next look at the rows.
  const dead = async (): Promise<readonly (number | undefined)[]> => {
    const series = await readSeries(gateway.url);
    return ['total', 'letters'].map((what) => series.get(`gatehouse_events_dead_${what}{consumer="dead"}`));
  };
  let seen: readonly (number | undefined)[] = [];
  const areDead = async (): Promise<boolean> => {
    seen = await dead();
    return seen[0] === 2;
  };
  await until(areDead, 'both are dead', PATIENCE_MS);
  assert.deepEqual(seen, [2, 2]);
  await assertSeries(gateway.url, [
    ['gatehouse_events_engine_up{engine="embedded"}', 1],
    ['gatehouse_events_published_total{stream="commits",outcome="accepted"}', 2],
    ['gatehouse_events_outbox', 0],
    // The consumers read, too.
    ['gatehouse_events_subscribers{stream="commits"}', 5],
    ['gatehouse_events_subscriptions_opened_total', 1],
    ['gatehouse_events_sent_total', some],
    ['gatehouse_events_gaps_total', 1],
    ['gatehouse_events_received_total{stream="commits"}', some],
    ['gatehouse_events_deliveries_total{consumer="flaky",outcome="delivered"}', 2],
    ['gatehouse_events_deliveries_total{consumer="flaky",outcome="failed"}', 1],
    ['gatehouse_events_redelivered_total{consumer="flaky"}', 1],
    ['gatehouse_events_dead_total{consumer="dead"}', 2],
    ['gatehouse_events_dead_letters{consumer="dead"}', 2],
    ['gatehouse_events_consumer_pending{consumer="held"}', 1],
    ['gatehouse_events_consumer_lag{consumer="held"}', 1],
    // Not one event was finished.
    ['gatehouse_events_consumer_lag{consumer="never"}', 2],
  ]);
  // A distribution: whoever else reads it takes nothing away.
  for (let i = 0; i < 2; i++)
    await assertSeries(gateway.url, [
      ['gatehouse_events_fan_out_seconds_count{stream="commits"}', some],
      ['gatehouse_events_fan_out_seconds_sum{stream="commits"}', (seconds) => seconds > 0 && seconds < 10],
    ]);
  for (const respond of held) respond();
});

it('what a consumer missed while it was away', { timeout: 240_000 }, async (t) => {
  let delivered = 0;
  const upstream = await httpUpstream(t, (request, response) => {
    void readAll(request).then(() => {
      delivered++;
      response.writeHead(204).end();
    });
  });
  const run = async (folder: string | null, isConsumed: boolean): Promise<TestGateway> =>
    await startTestGateway(t, {
      ...(folder === null ? {} : { gateway: { dataDir: folder } }),
      services: { audit: { instances: [upstream.url] } },
      events: {
        streams: { commits: { maxEvents: 2 } },
        consumers: isConsumed ? { audit: { stream: 'commits', service: 'audit' } } : {},
      },
      routes: [publishing],
    });
  const first = await run(null, true);
  await publish(first, '/commits');
  await until(() => delivered === 1, 'the first', PATIENCE_MS);
  await first.stop({ timeoutMs: 2_000 });
  const second = await run(first.folder, false);
  for (let i = 0; i < 6; i++) assert.equal(await publish(second, '/commits'), 202);
  await second.stop({ timeoutMs: 2_000 });
  const third = await run(first.folder, true);
  await assertSeries(third.url, [['gatehouse_events_consumer_gaps_total{consumer="audit"}', 1]]);
  await until(() => delivered === 3, 'what is kept comes', PATIENCE_MS);
});

it('each metric of the hub', { timeout: 240_000 }, async (t) => {
  const gateway = await startTestGateway(
    t,
    {
      events: { hub: { topics: [{ topic: 'rooms.*', publish: 'users' }], authTimeout: '1s' } },
      routes: [{ match: { path: '/ws/*' }, builtin: 'realtime', auth: { optional: true } }],
    },
    ENV,
  );
  const open = (path: string, headers: Record<string, string>): { text: () => string; isClosed: () => boolean } => {
    const ws = new WebSocket(`ws://127.0.0.1:${gateway.port}${path}`, 'gatehouse.v1', { headers });
    let [text, isClosed] = ['', false];
    ws.on('open', () => ws.send('{"type":"subscribe","topic":"rooms.1"}'));
    ws.on('message', (data) => {
      text += data.toString();
    });
    ws.on('close', () => {
      isClosed = true;
    });
    ws.on('error', () => {});
    t.after(() => ws.terminate());
    return { text: () => text, isClosed: () => isClosed };
  };
  const known = open('/ws', { 'x-api-key': KEY });
  const resuming = open('/ws?after=of-elsewhere.7', { 'x-api-key': KEY });
  const silent = open('/ws', {});
  for (const each of [known, resuming])
    await until(() => each.text().includes('"subscribed"'), 'it is subscribed', PATIENCE_MS);
  await until(() => silent.isClosed(), 'who says nothing is closed', PATIENCE_MS);
  assert.equal(await publish(gateway, '/ws/topics/rooms.1'), 202);
  for (const each of [known, resuming])
    await until(() => each.text().includes('"message"'), 'the message', PATIENCE_MS);
  await listen(t, `${gateway.url}/ws?topic=rooms.1`, { 'x-api-key': KEY, 'last-event-id': 'of-elsewhere.7' });
  await assertSeries(gateway.url, [
    ['gatehouse_hub_connections', 3],
    ['gatehouse_hub_connections_opened_total', (value) => value >= 3],
    ['gatehouse_hub_subscriptions', (value) => value >= 2],
    ['gatehouse_hub_refused_total', 1],
    ['gatehouse_hub_published_total', 1],
    ['gatehouse_hub_sent_total', (value) => value >= 2],
    ['gatehouse_hub_gaps_total', some],
  ]);
});
