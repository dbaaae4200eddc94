/**
 * Gateways that share a PostgreSQL: what one publishes reaches the subscribers of another by notification, in some
 * milliseconds; a listening connection that is cut, also in the midst of events, costs nothing but time.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EmbeddedEngine } from '../../src/control/events/engines/embedded.ts';
import { event, streamSettings } from '../../src/control/events/engines/engine.suite.ts';
import { type EventTables, MIGRATIONS } from '../../src/control/events/tables.ts';
import { migrate } from '../../src/control/store/migrate.ts';
import { openStore } from '../../src/control/store/store.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { type PostgresServer, startPostgres } from '../support/postgres.ts';
import type { Scope } from '../support/scope.ts';
import { assertSeries } from '../support/series.ts';
import { until } from '../support/until.ts';

const PATIENCE_MS = 60_000;
/** Looking four times a second takes 125 in the middle, and once a second 500. */
const BY_NOTIFICATION_MS = 90;
const CUT = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'gatehouse-listener'";

async function startOn(t: Scope, store: string): Promise<TestGateway> {
  return await startTestGateway(t, {
    events: { store, streams: { commits: {} } },
    routes: [
      { match: { path: '/publish' }, publish: { stream: 'commits' }, auth: 'public' },
      { match: { path: '/events' }, subscribe: { stream: 'commits', format: 'data' }, auth: 'public' },
    ],
  });
}

async function publish(gateway: TestGateway, n: number): Promise<void> {
  const init = { method: 'POST', body: `{"n":${n}}`, headers: { 'content-type': 'application/json' } };
  const response = await fetch(`${gateway.url}/publish`, init);
  assert.equal(response.status, 202);
  await response.arrayBuffer();
}

/** Numbers of the events that a subscriber got, in their order. */
async function subscribe(t: Scope, gateway: TestGateway): Promise<number[]> {
  const abort = new AbortController();
  t.after(() => abort.abort());
  const response = await fetch(`${gateway.url}/events`, { signal: abort.signal });
  const seen: number[] = [];
  let rest = '';
  void (async () => {
    for await (const bytes of response.body!) {
      const blocks = (rest + Buffer.from(bytes).toString()).split('\n\n');
      rest = blocks.pop()!;
      for (const block of blocks) {
        const n = /^data: \{"n":(\d+)\}$/m.exec(block)?.[1];
        if (n !== undefined) seen.push(Number(n));
      }
    }
  })().catch(() => {});
  return seen;
}

/** In the middle, of the best of some rounds: a machine that is busy is slow now and then. */
async function latencyMs(from: TestGateway, seen: number[]): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 4 && best > BY_NOTIFICATION_MS; round++) {
    const took: number[] = [];
    for (let i = 0; i < 15; i++) {
      const n = seen.length;
      await publish(from, n);
      const publishedMs = performance.now();
      await until(() => seen.length > n, 'it arrives', PATIENCE_MS);
      took.push(performance.now() - publishedMs);
    }
    best = Math.min(best, took.sort((a, b) => a - b)[7]!);
  }
  return best;
}

async function listeners(postgres: PostgresServer): Promise<number> {
  return Number(
    await postgres.run("select count(*) from pg_stat_activity where application_name = 'gatehouse-listener'"),
  );
}

test('what one gateway publishes reaches the subscribers of another at once', { timeout: 240_000 }, async (t) => {
  const postgres = await startPostgres();
  t.after(() => postgres.stop());
  const store = await postgres.database('events');
  const publisher = await startOn(t, store);
  const other = await startOn(t, store);
  const seen = await subscribe(t, other);
  const own = await subscribe(t, publisher);
  await assertSeries(other.url, [['gatehouse_events_notified', 1]]);
  const notified = await latencyMs(publisher, seen);
  assert.ok(notified < BY_NOTIFICATION_MS, `${notified} ms`);

  // Cut again and again while events are published: each arrives, once, in order.
  const from = seen.length;
  const count = 300;
  let cuts = 0;
  const publishing = (async () => {
    for (let n = from; n < from + count; n++) await publish(publisher, n);
  })();
  const isOver = publishing.then(() => true);
  while (!(await Promise.race([isOver, new Promise((resolve) => setTimeout(resolve, 100, false))]))) {
    const found = await postgres.run(CUT);
    cuts += found.split('\n').filter((line) => line === 't').length;
  }
  await until(() => seen.length === from + count && own.length === from + count, 'all of them', PATIENCE_MS);
  const wanted = Array.from({ length: from + count }, (_, n) => n);
  assert.deepEqual([seen, own], [wanted, wanted]);
  assert.ok(cuts >= 2, `${cuts} connections were cut`);

  // They come again by themselves.
  await until(async () => (await listeners(postgres)) === 2, 'both listen again', PATIENCE_MS);
  await assertSeries(other.url, [['gatehouse_events_notified', 1]]);
  const again = await latencyMs(publisher, seen);
  assert.ok(again < BY_NOTIFICATION_MS, `${again} ms`);
  assert.ok(other.logged.some((line) => line.includes('a connection that listens to the database broke')));
});

test('a database that notifies of nothing is looked at', { timeout: 120_000 }, async (t) => {
  const postgres = await startPostgres();
  t.after(() => postgres.stop());
  const url = await postgres.database('events');
  const open = async (isHeard: boolean) => {
    const store = await openStore<EventTables>(url);
    t.after(() => store.close());
    await migrate(store, 'events', MIGRATIONS);
    // As behind a pooler that gives each transaction another connection.
    const deaf = { isListening: false, stop: () => {} };
    const engine = new EmbeddedEngine(isHeard ? store : Object.create(store, { listen: { value: () => deaf } }));
    await engine.start([streamSettings({ name: 'commits' })]);
    t.after(() => engine.stop());
    return engine;
  };
  const publisher = await open(true);
  const other = await open(false);
  const seen: string[] = [];
  const tail = other.tail('commits', null, {
    onEvents: (events) => void seen.push(...events.map(({ id }) => id)),
    onGap: () => assert.fail('there is no gap'),
  });
  t.after(() => tail.stop());
  for (let i = 0; i < 5; i++) {
    await publisher.publish('commits', event(`e${i}`), PATIENCE_MS);
    await until(() => seen.length === i + 1, 'it is found', PATIENCE_MS);
  }
  assert.deepEqual(seen, ['e0', 'e1', 'e2', 'e3', 'e4']);
  await until(() => publisher.isNotified === true, 'the other one is notified', PATIENCE_MS);
  assert.equal(other.isNotified, false);
});
