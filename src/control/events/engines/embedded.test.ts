/** The embedded engine on SQLite, with what only it promises. PostgreSQL is in embedded-postgres.test.ts. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { migrate } from '../../store/migrate.ts';
import { openStore } from '../../store/store.ts';
import { type EventTables, MIGRATIONS } from '../tables.ts';
import { EmbeddedEngine } from './embedded.ts';
import { engineSuite, event, readAll, streamSettings } from './engine.suite.ts';
import type { EventEngine, StreamSettings } from './engine.ts';

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-events-'));
after(() => rmSync(folder, { recursive: true, force: true }));

async function open(streams: readonly StreamSettings[], wallMs?: () => number): Promise<EventEngine> {
  const store = await openStore<EventTables>(`sqlite:${folder}/events.db`);
  await migrate(store, 'events', MIGRATIONS);
  const engine = new EmbeddedEngine(store, wallMs);
  await engine.start(streams);
  const stop = engine.stop.bind(engine);
  engine.stop = async () => {
    await stop();
    await store.close();
  };
  return engine;
}

/** All rows of a stream are deleted beneath those who use it. */
async function lose(stream: string): Promise<void> {
  const store = await openStore<EventTables>(`sqlite:${folder}/events.db`);
  await store.db.deleteFrom('event_log').where('stream', '=', stream).execute();
  await store.db.deleteFrom('event_streams').where('name', '=', stream).execute();
  await store.close();
}

engineSuite({ name: 'embedded (SQLite)', open, lose, knowsKeys: true, givesPositions: true, trimsByCount: true });

const NEVER = 600_000;

test('where only the row of a stream was deleted, it goes on behind the events that are there', async (t) => {
  const settings = streamSettings({ name: 'rowless', maxBytes: 3_000 });
  const engine = await open([settings]);
  t.after(() => engine.stop());
  const data = Buffer.alloc(500);
  for (let i = 0; i < 3; i++) await engine.publish('rowless', event(`e${i}`, { data }), NEVER);
  const store = await openStore<EventTables>(`sqlite:${folder}/events.db`);
  await store.db.deleteFrom('event_streams').where('name', '=', 'rowless').execute();
  await store.close();
  assert.equal((await engine.publish('rowless', event('e3', { data }), NEVER)).position, '4');
  for (let i = 4; i < 12; i++) await engine.publish('rowless', event(`e${i}`, { data }), NEVER);
  const left = await readAll(engine, 'rowless');
  assert.ok(left.length < 6 && left.at(-1)!.position === '12', 'bytes of those before count');
});

test('events older than the stream keeps them are removed, by the time they came', async (t) => {
  let nowMs = 1_000_000;
  const engine = await open([streamSettings({ name: 'aged', maxAgeMs: 60_000 })], () => nowMs);
  t.after(() => engine.stop());
  await engine.publish('aged', event('old'), NEVER);
  nowMs += 50_000;
  await engine.publish('aged', event('new'), NEVER);
  nowMs += 20_000;
  await engine.clean!();
  assert.deepEqual(
    (await readAll(engine, 'aged')).map(({ id }) => id),
    ['new'],
  );
});

test('a stream keeps to its bytes while it is written', async (t) => {
  const engine = await open([streamSettings({ name: 'large', maxBytes: 100_000 })]);
  t.after(() => engine.stop());
  const data = new Uint8Array(10_000);
  for (let i = 0; i < 30; i++) await engine.publish('large', event(`e${i}`, { data }), NEVER);
  const left = await readAll(engine, 'large');
  assert.ok(left.length >= 9 && left.length <= 10, `${left.length} events`);
  assert.equal(left.at(-1)!.id, 'e29');
});

test('a position that the stream never had is a gap', async (t) => {
  const engine = await open([streamSettings({ name: 'short' })]);
  t.after(() => engine.stop());
  await engine.publish('short', event('e'), NEVER);
  assert.deepEqual(await engine.read('short', '99', 10), { events: [], hasGap: true });
});

test('what comes while the end of the stream is read is no gap', async (t) => {
  const engine = await open([streamSettings({ name: 'raced' })]);
  t.after(() => engine.stop());
  await engine.publish('raced', event('first'), NEVER);
  const latest = engine.latest.bind(engine);
  // Between the two questions that a read at the end asks.
  engine.latest = async (stream) => {
    engine.latest = latest;
    await engine.publish(stream, event('second'), NEVER);
    return await latest(stream);
  };
  const { events, hasGap } = await engine.read('raced', '1', 10);
  assert.deepEqual([events.map(({ id }) => id), hasGap], [['second'], false]);
});

test('who follows a stream that was emptied hears of a gap, and gets what comes then', async (t) => {
  let nowMs = 1_000_000;
  const engine = await open([streamSettings({ name: 'emptied', maxAgeMs: 60_000 })], () => nowMs);
  t.after(() => engine.stop());
  for (let i = 0; i < 3; i++) await engine.publish('emptied', event(`old${i}`), NEVER);
  nowMs += 100_000;
  await engine.clean!();
  const seen: string[] = [];
  const tail = engine.tail('emptied', '1', {
    onEvents: (events) => void seen.push(...events.map(({ id }) => id)),
    onGap: () => void seen.push('gap'),
  });
  t.after(() => tail.stop());
  while (seen.length < 1) await new Promise((resolve) => setTimeout(resolve, 1));
  for (let i = 0; i < 2; i++) await engine.publish('emptied', event(`new${i}`), NEVER);
  while (seen.length < 3) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.deepEqual(seen, ['gap', 'new0', 'new1']);
});
