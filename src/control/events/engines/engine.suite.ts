/**
 * What every event engine promises, as one suite: order, positions, reading on from any of them, following, gaps that
 * are told, keys without a second effect, and that nothing acknowledged is lost when the engine is killed.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OlderCopy } from '../../../../test/support/older-copy.ts';
import { until } from '../../../../test/support/until.ts';
import { cursorOf, readCursor } from '../subscribe/cursor.ts';
import { Feed } from '../subscribe/feed.ts';
import { comparePositions, type EventEngine, type NewEvent, type StoredEvent, type StreamSettings } from './engine.ts';

export interface EngineUnderTest {
  readonly name: string;
  /** A new engine on the same storage each time; `close` ends it. */
  open(streams: readonly StreamSettings[]): Promise<EventEngine>;
  /**
   * Ends the storage at once, without a word; `back` brings it back with what was durable. Absent: it cannot be killed.
   */
  readonly outage?: { kill(): Promise<void>; back(): Promise<void> };
  /** The engine recognises a second event with the same key. */
  readonly knowsKeys: boolean;
  /** Publishing gives the position. */
  readonly givesPositions: boolean;
  /** Another program writes to a stream what is no event; absent: none can. */
  readonly foreign?: (stream: string) => Promise<void>;
  /** Somebody removes the stream with all that is in it; absent: the test cannot. */
  readonly lose?: (stream: string) => Promise<void>;
  /** The server can be put back to what it was; absent: the test cannot. */
  readonly copy?: OlderCopy;
  /** Keeps to `maxEvents` exactly enough for a test. */
  readonly trimsByCount: boolean;
}

const NEVER = 600_000;
let streams = 0;

export function engineSuite(engine: EngineUnderTest): void {
  const { name } = engine;

  const opened = async (t: { after(hook: () => Promise<void>): void }, settings: Partial<StreamSettings> = {}) => {
    const stream = settings.name ?? `s${++streams}_${process.pid}`;
    const made = await engine.open([streamSettings({ ...settings, name: stream })]);
    t.after(() => made.stop());
    return { stream, engine: made };
  };

  test(`${name}: events are read in the order in which they were published`, async (t) => {
    const { stream, engine: one } = await opened(t);
    for (let i = 0; i < 5; i++) await one.publish(stream, event(`e${i}`), NEVER);
    const all = await readAll(one, stream);
    assert.deepEqual(
      all.map(({ id }) => id),
      ['e0', 'e1', 'e2', 'e3', 'e4'],
    );
    for (let i = 1; i < all.length; i++) assert.ok(comparePositions(all[i - 1]!.position, all[i]!.position) < 0);
    const latest = await one.latest(stream);
    assert.ok(latest !== null && comparePositions(latest, all.at(-1)!.position) >= 0, `${latest} is the latest`);
    if (engine.givesPositions) assert.equal(latest, all.at(-1)!.position);
    assert.deepEqual(await one.read(stream, latest, 10), { events: [], hasGap: false });
  });

  test(`${name}: an event comes back as it was, bytes and attributes`, async (t) => {
    const { stream, engine: one } = await opened(t);
    const data = Uint8Array.from({ length: 256 }, (_, i) => i);
    const sent: NewEvent = {
      id: 'é-1',
      subject: `${stream}.a%2Eb.c`,
      key: 'a key "quoted"',
      contentType: 'application/octet-stream',
      attributes: { type: 'com.example.made', source: '/s', time: '2026-01-02T03:04:05.678Z', ext: 'ü\n"\\' },
      data,
      dedupeId: null,
    };
    await one.publish(stream, sent, NEVER);
    await one.publish(stream, event('empty', { data: new Uint8Array() }), NEVER);
    const [found, empty] = await readAll(one, stream);
    const { position: _, data: bytes, ...rest } = found!;
    const { data: __, ...wanted } = sent;
    assert.deepEqual(rest, wanted);
    assert.deepEqual(new Uint8Array(bytes), data);
    assert.equal(empty!.data.byteLength, 0);
  });

  test(`${name}: an empty stream has no latest position and nothing to read`, async (t) => {
    const { stream, engine: one } = await opened(t);
    assert.equal(await one.latest(stream), null);
    assert.deepEqual(await one.read(stream, null, 10), { events: [], hasGap: false });
  });

  test(`${name}: reading goes on after any position, in pages`, async (t) => {
    const { stream, engine: one } = await opened(t);
    for (let i = 0; i < 7; i++) await one.publish(stream, event(`e${i}`), NEVER);
    const all = await readAll(one, stream);
    for (const [index, { position }] of all.entries()) {
      const page = await one.read(stream, position, 3);
      assert.equal(page.hasGap, false);
      assert.deepEqual(
        page.events.map(({ id }) => id),
        all.slice(index + 1, index + 4).map(({ id }) => id),
      );
    }
  });

  test(`${name}: a tail is handed what comes after its position, each event once`, async (t) => {
    const { stream, engine: one } = await opened(t);
    for (let i = 0; i < 3; i++) await one.publish(stream, event(`e${i}`), NEVER);
    const [first] = await readAll(one, stream);
    const seen: string[] = [];
    const tail = one.tail(stream, first!.position, collect(seen));
    await until(() => seen.length === 2, 'the events before');
    for (let i = 3; i < 6; i++) await one.publish(stream, event(`e${i}`), NEVER);
    await until(() => seen.length === 5, 'the events after');
    tail.stop();
    assert.deepEqual(seen, ['e1', 'e2', 'e3', 'e4', 'e5']);
  });

  test(`${name}: a tail of an empty stream is handed its first event, also another process's`, async (t) => {
    const { stream, engine: one } = await opened(t);
    const { engine: other } = await opened(t, { name: stream });
    const seen: string[] = [];
    one.tail(stream, null, collect(seen));
    await other.publish(stream, event('first'), NEVER);
    await until(() => seen.length === 1, 'the event');
  });

  const { lose } = engine;
  if (lose !== undefined)
    test(`${name}: a stream that is removed beneath publishers and a tail begins anew, and nothing of it is missed`, async (t) => {
      const { stream, engine: one } = await opened(t);
      for (let i = 0; i < 20; i++) await one.publish(stream, event(`old${i}`), NEVER);
      const seen: string[] = [];
      const positions: string[] = [];
      let gaps = 0;
      const tail = one.tail(stream, null, {
        onEvents: (events) => {
          seen.push(...events.map(({ id }) => id));
          positions.push(...events.map(({ position }) => position));
        },
        onGap: () => void gaps++,
      });
      t.after(async () => tail.stop());
      await until(() => seen.length === 20, 'the tail has what was there', 20_000);
      await lose(stream);
      for (let i = 0; i < 5; i++) await retried(() => one.publish(stream, event(`new${i}`), 5_000));
      await until(() => seen.includes('new4'), 'the tail goes on', 30_000);
      const news = seen.slice(20);
      assert.deepEqual(
        news.filter((id, index) => news.indexOf(id) === index),
        ['new0', 'new1', 'new2', 'new3', 'new4'],
      );
      // Redis goes on with the time.
      const goesOn = comparePositions(positions[20]!, positions[19]!) > 0;
      assert.ok(goesOn || gaps > 0, 'it is told that positions begin anew');
      assert.equal(one.problem, null);
    });

  if (lose !== undefined)
    test(`${name}: who comes back to a stream that was removed, and has passed the place since, is not served as before`, async (t) => {
      const { stream, engine: one } = await opened(t);
      for (let i = 0; i < 3; i++) await one.publish(stream, event(`old${i}`, at(i)), NEVER);
      const former = (await readAll(one, stream)).map((each) => cursorOf('tag', each));
      await lose(stream);
      for (let i = 0; i < 6; i++) await retried(() => one.publish(stream, event(`new${i}`, at(i)), 5_000));
      const present = (await readAll(one, stream)).map((each) => cursorOf('tag', each));
      assert.equal(present.length, 6);
      for (const cursor of former) assert.ok(await hearsOfGap(one, stream, cursor), cursor);
      for (const cursor of present) assert.ok(!(await hearsOfGap(one, stream, cursor)), cursor);
    });

  const { copy } = engine;
  if (copy !== undefined)
    test(`${name}: restored from an older copy and written on past the former end: nothing is missed, and gaps are told`, async (t) => {
      const { stream, engine: one } = await opened(t);
      const seen: string[] = [];
      const tail = one.tail(stream, null, collect(seen));
      t.after(async () => tail.stop());
      for (let i = 0; i < 4; i++) await one.publish(stream, event(`kept${i}`), NEVER);
      await until(() => seen.length === 4, 'the first', 20_000);
      await copy.save();
      for (let i = 0; i < 4; i++) await retried(() => one.publish(stream, event(`lost${i}`, at(i)), 5_000));
      await until(() => seen.includes('lost3'), 'the last', 60_000);
      const former = (await readAll(one, stream)).map((each) => cursorOf('tag', each));
      await copy.restore();
      const { engine: other } = await opened(t, { name: stream });
      for (let i = 0; i < 8; i++) await retried(() => other.publish(stream, event(`new${i}`, at(i)), 5_000));
      await until(() => seen.includes('new7'), 'the tail goes on', 60_000);
      const news = seen.filter((id, index) => id.startsWith('new') && seen.indexOf(id) === index);
      assert.deepEqual(news, ['new0', 'new1', 'new2', 'new3', 'new4', 'new5', 'new6', 'new7']);
      assert.ok(seen.indexOf('gap', seen.indexOf('lost3')) > 0, seen.join());
      const ids = (await readAll(one, stream)).map(({ id }) => id);
      assert.deepEqual(ids.slice(0, 5), ['kept0', 'kept1', 'kept2', 'kept3', 'new0']);
      // The last of what was kept has what is new behind it, and nobody can say what is not there any more.
      assert.ok(!(await hearsOfGap(one, stream, former[1]!)));
      for (const cursor of former.slice(4)) assert.ok(await hearsOfGap(one, stream, cursor), cursor);
    });

  const { foreign } = engine;
  if (foreign !== undefined)
    test(`${name}: what another program wrote is an event too, and nobody stands in front of it`, async (t) => {
      const { stream, engine: one } = await opened(t, { maxEvents: 4 });
      const seen: string[] = [];
      const tail = one.tail(stream, null, collect(seen));
      await one.publish(stream, event('before'), NEVER);
      await foreign(stream);
      await one.publish(stream, event('after'), NEVER);
      await until(() => seen.length === 3, 'all three');
      tail.stop();
      const [first, written, last] = await readAll(one, stream);
      assert.deepEqual([first!.id, last!.id], ['before', 'after']);
      assert.deepEqual(seen, ['before', written!.id, 'after']);
      assert.match(Buffer.from(written!.data).toString(), /hello/);
      // It is removed in its turn, and in nobody's way.
      for (let i = 0; i < 6; i++) await one.publish(stream, event(`e${i}`), NEVER);
      if (!engine.trimsByCount) return;
      await one.clean?.();
      const left = (await readAll(one, stream)).map(({ id }) => id);
      assert.ok(!left.includes(written!.id), left.join());
      assert.equal(left.at(-1), 'e5');
    });

  test(`${name}: two hundred publishers at once are all acknowledged and all there`, async (t) => {
    const { stream, engine: one } = await opened(t);
    const { engine: other } = await opened(t, { name: stream });
    const ids = Array.from({ length: 200 }, (_, i) => `e${i}`);
    const published = await Promise.all(
      ids.map((id, i) => (i % 2 === 0 ? one : other).publish(stream, event(id), NEVER)),
    );
    const all = await readAll(one, stream);
    assert.deepEqual(all.map(({ id }) => id).sort(), [...ids].sort());
    if (!engine.givesPositions) return;
    const positions = new Map(all.map(({ id, position }) => [id, position]));
    for (const [i, id] of ids.entries()) assert.equal(published[i]!.position, positions.get(id));
  });

  test(`${name}: a long stream is read to its end in large pages, by two readers at once`, async (t) => {
    const { stream, engine: one } = await opened(t);
    const ids = Array.from({ length: 700 }, (_, i) => `e${i}`);
    // In one turn: their order is that of the calls.
    await Promise.all(ids.map((id) => one.publish(stream, event(id), NEVER)));
    for (const all of await Promise.all([readAll(one, stream, 300), readAll(one, stream, 300)])) {
      assert.deepEqual(
        all.map(({ id }) => id),
        ids,
      );
    }
  });

  if (engine.knowsKeys) {
    test(`${name}: of events with the same key that come in one turn, the first is there`, async (t) => {
      const { stream, engine: one } = await opened(t);
      const keyed = ['a', 'b', 'c'].map((id) => event(id, { dedupeId: 'key-0' }));
      const results = await Promise.all(keyed.map((each) => one.publish(stream, each, NEVER)));
      assert.deepEqual(
        results.map(({ duplicate }) => duplicate),
        [false, true, true],
      );
      assert.deepEqual(
        (await readAll(one, stream)).map(({ id }) => id),
        ['a'],
      );
    });

    test(`${name}: a key has one effect, whoever repeats it`, async (t) => {
      const { stream, engine: one } = await opened(t);
      const { engine: other } = await opened(t, { name: stream });
      const keyed = event('e', { dedupeId: 'key-1' });
      const results = await Promise.all([one, other, one, other].map((each) => each.publish(stream, keyed, NEVER)));
      assert.equal(results.filter(({ duplicate }) => !duplicate).length, 1);
      if (engine.givesPositions) assert.equal(new Set(results.map(({ position }) => position)).size, 1);
      assert.equal((await readAll(one, stream)).length, 1);
      assert.equal((await one.publish(stream, event('e', { dedupeId: 'key-2' }), NEVER)).duplicate, false);
    });
  }

  if (engine.trimsByCount) {
    test(`${name}: what is too much is removed, and a reader from before is told of the gap`, async (t) => {
      const { stream, engine: one } = await opened(t, { maxEvents: 5 });
      await one.publish(stream, event('e0'), NEVER);
      const { position } = (await readAll(one, stream))[0]!;
      for (let i = 1; i < 12; i++) await one.publish(stream, event(`e${i}`), NEVER);
      await one.clean?.();
      const page = await one.read(stream, position, 100);
      assert.equal(page.hasGap, true);
      assert.equal(page.events.at(-1)!.id, 'e11');
      assert.ok(page.events.length <= 6, `${page.events.length} events are left`);
      assert.equal((await one.read(stream, null, 100)).hasGap, false, 'the oldest kept is no gap');
    });
  }

  const { outage } = engine;
  if (outage === undefined) return;

  test(`${name}: killed while publishers write: what was acknowledged is there, what was not is a fault`, async (t) => {
    const { stream, engine: one } = await opened(t);
    await one.publish(stream, event('before'), NEVER);
    const acknowledged: string[] = ['before'];
    let faults = 0;
    let isOver = false;
    const writers = Array.from({ length: 4 }, async (_, writer) => {
      for (let i = 0; !isOver; i++) {
        const id = `w${writer}-${i}`;
        try {
          await one.publish(stream, event(id, { dedupeId: id }), 1_000);
          acknowledged.push(id);
        } catch (error) {
          assert.equal((error as { kind?: string }).kind, 'unavailable', String(error));
          faults++;
          await new Promise(setImmediate);
        }
      }
    });
    try {
      await until(() => acknowledged.length > 20, 'some are written', 20_000);
      await outage.kill();
      const before = faults;
      await until(() => faults > before, 'a fault', 20_000);
      await outage.back();
      const count = acknowledged.length;
      await until(() => acknowledged.length > count + 5, 'it goes on', 30_000);
    } finally {
      isOver = true;
      await Promise.all(writers);
    }
    const ids = (await readAll(one, stream)).map(({ id }) => id);
    const lost = acknowledged.filter((id) => !ids.includes(id));
    assert.deepEqual(lost, []);
    if (engine.knowsKeys) assert.equal(new Set(ids).size, ids.length, 'an event is there twice');
  });

  test(`${name}: killed while a tail follows: it goes on where it was and misses nothing`, async (t) => {
    const { stream, engine: one } = await opened(t);
    const seen: string[] = [];
    one.tail(stream, null, collect(seen));
    await one.publish(stream, event('e0'), NEVER);
    await until(() => seen.length === 1, 'the first', 20_000);
    await outage.kill();
    await outage.back();
    const { engine: other } = await opened(t, { name: stream });
    for (const id of ['e1', 'e2']) await retried(() => other.publish(stream, event(id), 1_000));
    await until(() => seen.includes('e1') && seen.includes('e2'), 'those after', 60_000);
    const firsts = seen.filter((id, index) => seen.indexOf(id) === index);
    assert.deepEqual(firsts, ['e0', 'e1', 'e2']);
  });
}

export function streamSettings(settings: Partial<StreamSettings> & { readonly name: string }): StreamSettings {
  return {
    engine: 'engine',
    subjects: ['>'],
    maxAgeMs: 3_600_000,
    maxEvents: 100_000,
    maxBytes: 64 * 1024 ** 2,
    ...settings,
  };
}

export function event(id: string, more: Partial<NewEvent> = {}): NewEvent {
  return {
    id,
    subject: 'a.b',
    key: 'k',
    contentType: 'application/json',
    attributes: { type: 't', source: '/s' },
    data: Buffer.from(JSON.stringify({ id })),
    dedupeId: null,
    ...more,
  };
}

export async function readAll(engine: EventEngine, stream: string, page = 100): Promise<StoredEvent[]> {
  const all: StoredEvent[] = [];
  for (;;) {
    const { events } = await engine.read(stream, all.at(-1)?.position ?? null, page);
    if (events.length === 0) return all;
    all.push(...events);
  }
}

/** Of a time of its own, as events of publishers are. */
function at(index: number): Partial<NewEvent> {
  return { attributes: { type: 't', source: '/s', time: new Date(Date.now() + index).toISOString() } };
}

/** Whether a client that comes back with a cursor is told that events are missing. */
async function hearsOfGap(engine: EventEngine, stream: string, text: string): Promise<boolean> {
  const cursor = readCursor('tag', text)!;
  const feed = new Feed(engine, stream);
  await retried(() => feed.start());
  try {
    return (await feed.isLost(cursor)) || (await engine.read(stream, cursor.position, 10)).hasGap;
  } finally {
    feed.stop();
  }
}

function collect(seen: string[]) {
  return {
    onEvents: (events: readonly StoredEvent[]) => void seen.push(...events.map(({ id }) => id)),
    onGap: () => void seen.push('gap'),
  };
}

/** A server that was killed takes its time on a busy machine: ready for one connection is not ready for the next. */
export async function retried<T>(act: () => Promise<T>): Promise<T> {
  const giveUpAt = Date.now() + 60_000;
  for (;;) {
    try {
      return await act();
    } catch (error) {
      if (Date.now() > giveUpAt) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
