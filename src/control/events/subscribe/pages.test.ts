import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { EventEngine, Page, StoredEvent } from '../engines/engine.ts';
import { Feed, type Reader } from './feed.ts';
import type { FeedEntry } from './feed-entry.ts';
import { Pages } from './pages.ts';

const LIMITS = { ringEvents: 10, ringBytes: 8 * 1024 ** 2 };

/** A stream of so many events, of which the first are gone. */
class CountingEngine {
  readonly problem = null;
  readonly bytes: number;
  readonly total: number;
  readonly gone: number;
  reads = 0;

  constructor(total: number, bytes = 200, gone = 0) {
    this.total = total;
    this.bytes = bytes;
    this.gone = gone;
  }

  async read(_stream: string, after: string | null, limit: number): Promise<Page> {
    this.reads++;
    await turn();
    const from = after === null ? 0 : Number(after);
    const first = Math.max(from, this.gone) + 1;
    const count = Math.max(0, Math.min(limit, this.total - first + 1));
    return { events: Array.from({ length: count }, (_, i) => this.#event(first + i)), hasGap: from < this.gone };
  }

  #event(position: number): StoredEvent {
    const data = Buffer.alloc(this.bytes, 'x');
    const facts = { subject: 'a', key: 'a', contentType: 'text/plain', attributes: {}, dedupeId: null };
    return { position: String(position), id: String(position), data, ...facts };
  }

  latest(): Promise<string> {
    return Promise.resolve(String(this.total));
  }

  tail() {
    return { stop: () => {} };
  }
}

/** Takes so many at a time, as a client does whose connection is full then. */
class Client {
  readonly seen: number[] = [];
  readonly entries: FeedEntry[] = [];
  gaps = 0;
  readonly #atATime: number;
  reader: Reader | undefined;

  constructor(feed: Feed, after: string | null, atATime: number) {
    this.#atATime = atATime;
    this.reader = feed.read(after, () => true, this);
  }

  event(entry: FeedEntry): boolean {
    this.seen.push(Number(entry.event.position));
    this.entries.push(entry);
    if (this.seen.length % this.#atATime !== 0) return true;
    setImmediate(() => this.reader?.resume());
    return false;
  }

  gap(): void {
    this.gaps++;
  }

  async until(count: number): Promise<void> {
    const giveUpMs = performance.now() + 30_000;
    while (this.seen.length < count) {
      assert.ok(performance.now() < giveUpMs, `${this.seen.length} of ${count} came`);
      await turn();
    }
  }
}

async function feedOf(engine: CountingEngine): Promise<Feed> {
  const feed = new Feed(engine as unknown as EventEngine, 'news', LIMITS);
  await feed.start();
  return feed;
}

function upTo(count: number, from = 0): number[] {
  return Array.from({ length: count - from }, (_, i) => from + i + 1);
}

test('a client that takes less than a page at a time has each page read once', async () => {
  const engine = new CountingEngine(5_000);
  const feed = await feedOf(engine);
  const client = new Client(feed, null, 70);
  await client.until(5_000);
  assert.deepEqual(client.seen, upTo(5_000));
  // One more finds that nothing lies between the last page and the ring.
  assert.ok(engine.reads <= 11, `${engine.reads}`);
  feed.stop();
});

test('of a client that is alone one page is kept; who has come to the end or has gone is not behind', async () => {
  const engine = new CountingEngine(2_000);
  const feed = await feedOf(engine);
  const client = new Client(feed, null, 70);
  assert.equal(feed.behind, 1);
  await client.until(2_000);
  await turn();
  await turn();
  assert.equal(feed.behind, 0);
  const { reads } = engine;
  const again = new Client(feed, '10', 70);
  await again.until(70);
  assert.equal(engine.reads, reads + 1, 'the first page was not kept');
  const other = new Client(feed, '20', 70);
  assert.equal(feed.behind, 2);
  again.reader!.close();
  again.reader!.close();
  other.reader!.close();
  client.reader!.close();
  assert.equal(feed.behind, 0);
  feed.stop();
});

test('a thousand clients that come again together have each page read once, and share what is made of an event', async () => {
  const engine = new CountingEngine(2_000);
  const feed = await feedOf(engine);
  const clients = Array.from({ length: 1_000 }, (_, i) => new Client(feed, '100', 50 + (i % 400)));
  for (const client of clients) await client.until(1_900);
  for (const client of clients) assert.deepEqual(client.seen, upTo(2_000, 100));
  assert.ok(engine.reads <= 6, `${engine.reads}`);
  assert.equal(new Set(clients.map(({ entries }) => entries[700])).size, 1);
  feed.stop();
});

test('a client in the middle of a page that is kept goes on there, and hears of no gap but its own', async () => {
  const engine = new CountingEngine(1_000, 200, 300);
  const feed = await feedOf(engine);
  const behind = new Client(feed, '100', 1_000);
  await behind.until(700);
  const inside = new Client(feed, '400', 1_000);
  await inside.until(600);
  const older = new Client(feed, '200', 1_000);
  await older.until(700);
  assert.deepEqual([behind.gaps, inside.gaps, older.gaps], [1, 0, 1]);
  assert.deepEqual([inside.seen[0], older.seen[0]], [401, 301]);
  feed.stop();
});

test('pages larger than what may be kept are read again rather than kept', async () => {
  const engine = new CountingEngine(1_000, 20_000);
  const feed = await feedOf(engine);
  const client = new Client(feed, null, 100);
  await client.until(1_000);
  assert.deepEqual(client.seen, upTo(1_000));
  assert.ok(engine.reads >= 8, `${engine.reads}`);
  feed.stop();
});

test('what was being read when pages are cleared is neither kept nor shared, and ends no later reading', async () => {
  const replies: ((id: string) => void)[] = [];
  const facts = { subject: 'a', key: 'a', contentType: 'text/plain', attributes: {}, dedupeId: null };
  const read = (): Promise<Page> =>
    new Promise((resolve) =>
      replies.push((id) =>
        resolve({ events: [{ position: '1', id, data: Buffer.from(id), ...facts }], hasGap: false }),
      ),
    );
  const pages = new Pages({ read } as unknown as EventEngine, 'news', 1024 ** 2);
  const idOf = async (page: ReturnType<Pages['after']>): Promise<string | undefined> =>
    (await page).entries[0]?.event.id;
  const before = pages.after('0');
  pages.clear();
  const after = pages.after('0');
  replies[0]!('before');
  assert.equal(await idOf(before), 'before');
  const shared = pages.after('0');
  assert.equal(replies.length, 2, 'the later reading is still under way, and shared');
  replies[1]!('after');
  assert.deepEqual([await idOf(after), await idOf(shared), await idOf(pages.after('0'))], ['after', 'after', 'after']);
  assert.equal(replies.length, 2);
});
