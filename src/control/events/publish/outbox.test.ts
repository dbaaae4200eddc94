/** The outbox on an engine that a test holds: order, restarts, several processes, and what became of an event. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { until } from '../../../../test/support/until.ts';
import { createLogger } from '../../../base/log.ts';
import { migrate } from '../../store/migrate.ts';
import { openStore } from '../../store/store.ts';
import { event } from '../engines/engine.suite.ts';
import { EngineFault, type EventEngine, type NewEvent, type Published } from '../engines/engine.ts';
import { type EventTables, MIGRATIONS } from '../tables.ts';
import { Outbox } from './outbox.ts';

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-outbox-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;
const log = createLogger('error', () => {});

/** Takes events when a test lets it, and knows keys as brokers do. */
class HeldEngine {
  isAway = true;
  /** It stores the event, and the acknowledgement is lost. */
  losesAcknowledgements = false;
  readonly stored: NewEvent[] = [];
  attempts = 0;

  async publish(_stream: string, one: NewEvent): Promise<Published> {
    this.attempts++;
    if (one.data.byteLength > 1_000) throw new EngineFault('too-large', 'more than 1000 bytes');
    if (this.isAway) throw new EngineFault('unavailable', 'it is away');
    const isKnown = this.stored.some(({ dedupeId }) => dedupeId === one.dedupeId);
    if (!isKnown) this.stored.push(one);
    if (this.losesAcknowledgements) throw new EngineFault('unavailable', 'no acknowledgement came');
    return { position: String(this.stored.length), duplicate: isKnown };
  }

  ids(): string[] {
    return this.stored.map(({ id }) => id);
  }
}

async function open(
  t: { after(hook: () => Promise<void>): void },
  engine: HeldEngine,
  file = `${folder}/${++files}.db`,
) {
  const store = await openStore<EventTables>(`sqlite:${file}`);
  await migrate(store, 'events', MIGRATIONS);
  const outbox = new Outbox(store, log, () => engine as unknown as EventEngine);
  await outbox.start();
  let isClosed = false;
  const close = async (): Promise<void> => {
    if (isClosed) return;
    isClosed = true;
    await outbox.stop();
    await store.close();
  };
  t.after(close);
  return { outbox, file, close };
}

const SOON = 60_000;

/** Its pauses grow, so that it is asked until it does. */
async function drained(outbox: Outbox): Promise<void> {
  await until(
    () => {
      void outbox.drain();
      return outbox.waiting === 0;
    },
    'the outbox is empty',
    SOON,
  );
}

async function attempted(outbox: Outbox, engine: HeldEngine, count: number): Promise<void> {
  await until(
    () => {
      void outbox.drain();
      return engine.attempts >= count;
    },
    `${count} attempts`,
    SOON,
  );
}

test('events are handed over in their order when the engine is back, and what waits says why', async (t) => {
  const engine = new HeldEngine();
  const { outbox } = await open(t, engine);
  const numbers: number[] = [];
  for (const id of ['a', 'b', 'c']) numbers.push(await outbox.add('s', event(id)));
  assert.equal(outbox.holds('s'), true);
  assert.equal(outbox.holds('other'), false);
  await attempted(outbox, engine, 1);
  let found = await outbox.find(numbers[0]!);
  const giveUpMs = performance.now() + SOON;
  while (found?.problem !== 'it is away') {
    assert.ok(performance.now() < giveUpMs, JSON.stringify(found));
    found = await outbox.find(numbers[0]!);
  }
  assert.equal((await outbox.find(numbers[1]!))?.attempts, 0, 'those behind it are not tried before it');
  engine.isAway = false;
  await drained(outbox);
  assert.deepEqual(engine.ids(), ['a', 'b', 'c']);
  assert.equal(await outbox.find(numbers[0]!), null);
});

test('a lost acknowledgement leads to another attempt with the same key, so that the event is there once', async (t) => {
  const engine = new HeldEngine();
  engine.isAway = false;
  engine.losesAcknowledgements = true;
  const { outbox } = await open(t, engine);
  await outbox.add('s', event('a'));
  await attempted(outbox, engine, 2);
  engine.losesAcknowledgements = false;
  await drained(outbox);
  assert.deepEqual(engine.ids(), ['a']);
});

test('what waited when the process ended is handed over by the next one', async (t) => {
  const engine = new HeldEngine();
  const first = await open(t, engine);
  await first.outbox.add('s', event('a'));
  await first.outbox.add('s', event('b'));
  await first.close();
  engine.isAway = false;
  const { outbox } = await open(t, engine, first.file);
  await drained(outbox);
  assert.deepEqual(engine.ids(), ['a', 'b']);
});

test('of two processes on one database one hands over, and nothing comes twice', async (t) => {
  const engine = new HeldEngine();
  const one = await open(t, engine);
  const two = await open(t, engine, one.file);
  for (let i = 0; i < 20; i++) await (i % 2 === 0 ? one : two).outbox.add('s', event(`e${i}`));
  engine.isAway = false;
  await until(
    () => {
      void one.outbox.drain();
      void two.outbox.drain();
      return engine.stored.length === 20;
    },
    'all of them',
    SOON,
  );
  assert.deepEqual(
    engine.ids(),
    Array.from({ length: 20 }, (_, i) => `e${i}`),
  );
  assert.ok(engine.attempts >= 20, `${engine.attempts} attempts`);
});

test('an event that the engine will never take is set aside, and those behind it go', async (t) => {
  const engine = new HeldEngine();
  engine.isAway = false;
  const { outbox } = await open(t, engine);
  await outbox.add('s', event('a'));
  const number = await outbox.add('s', event('large', { data: new Uint8Array(2_000) }));
  await outbox.add('s', event('b'));
  await drained(outbox);
  assert.deepEqual(engine.ids(), ['a', 'b']);
  const found = await outbox.find(number);
  assert.deepEqual(found, { attempts: 1, problem: 'more than 1000 bytes', isRefused: true });
  assert.equal(outbox.holds('s'), false);
});
