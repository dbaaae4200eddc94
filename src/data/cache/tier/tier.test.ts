/** The second tier by itself, over a real Redis and a real Cluster. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type RedisGroup, type RedisServer, startRedis, startRedisCluster } from '../../../../test/support/redis.ts';
import { PURGES_KEPT, type PurgeKind, purgeLogKey, purgeSequenceKey, purgeText } from '../../contract/cache-tier.ts';
import { PurgeMirror } from './purge-mirror.ts';
import { LONGEST_FETCH_MS, RedisTier, type TierTicket } from './redis-tier.ts';
import { TierLine } from './tier-line.ts';
import { keptMs, objectValue, readObject, readVersion, type TierObject } from './tier-value.ts';

const HEAD = Buffer.from('HTTP/1.1 200 OK\r\nCache-Tag: news\r\n\r\n');
const terms = { bornMs: 1, freshUntilMs: Date.now() + 600_000, staleWhileRevalidateS: 1, staleIfErrorS: 2, flags: 8 };

const valueWith = (body: string, sequence = 0): Buffer =>
  objectValue(terms, sequence, HEAD, body.length, (target, at) => target.write(body, at));

test('an object comes out as it went in; what is cut, foreign or of another format is none', () => {
  const value = valueWith('the body', 1_800_000_000_000_001);
  const read = readObject(value)!;
  assert.deepEqual(read.terms, terms);
  assert.equal(read.sequence, 1_800_000_000_000_001);
  assert.equal(read.head.toString(), HEAD.toString());
  assert.equal(read.body.toString(), 'the body');
  for (let length = 0; length < 40 + HEAD.length; length++) assert.equal(readObject(value.subarray(0, length)), null);
  const other = Buffer.from(value);
  other[17] = 2;
  assert.equal(readObject(other), null);
  assert.equal(readObject(Buffer.from('some value of somebody else, which is long enough to be read as one')), null);
  assert.equal(readObject(null), null);
  assert.deepEqual(readVersion(Buffer.from(`M${'v'.repeat(16)}accept,accept-language`)).vary, [
    'accept',
    'accept-language',
  ]);
  assert.equal(readVersion(Buffer.from(`M${'v'.repeat(16)}a b`)).vary, null);
  assert.deepEqual(readVersion(null), { seen: '', vary: null });
});

test('it is kept while it may be used: fresh, stale within its terms, or to be validated', () => {
  const nowMs = 1_000_000;
  const of = (freshMs: number, staleS: number, hasValidator: boolean): number =>
    keptMs(
      { ...terms, freshUntilMs: nowMs + freshMs, staleWhileRevalidateS: 0, staleIfErrorS: staleS },
      hasValidator,
      nowMs,
    );
  assert.equal(of(5_000, 0, false), 5_000);
  assert.equal(of(5_000, 60, false), 65_000);
  assert.equal(of(-1, 0, false), 0);
  assert.ok(of(0, 0, true) > 60_000);
  assert.ok(of(1e15, 0, true) <= 30 * 86_400_000);
});

test('purges: what is older than one that means it is gone; of more than the log keeps everything older is', () => {
  const mirror = new PurgeMirror();
  const record = (id: number, kind: PurgeKind, text = '') => ({ id, kind, gateway: 'g', text });
  mirror.learn([record(10, 'tag', 'news'), record(20, 'prefix', 'http://h/a/'), record(30, 'key', 'http://h/b')]);
  assert.equal(mirror.latest, 30);
  assert.equal(mirror.isPurged(9, 'http://h/x', ['news']), true);
  assert.equal(mirror.isPurged(10, 'http://h/x', ['news']), false);
  assert.equal(mirror.isPurged(19, 'http://h/a/1', []), true);
  assert.equal(mirror.isPurged(20, 'http://h/a/1', []), false);
  assert.equal(mirror.isPurged(0, 'http://h/b', []), true);
  assert.equal(mirror.isPurged(0, 'http://h/bc', ['old']), false);
  mirror.learn([record(40, 'all')]);
  assert.equal(mirror.isPurged(39, 'http://h/x', []), true);
  mirror.learn(Array.from({ length: PURGES_KEPT }, (_, i) => record(100 + i, 'tag', `t${i}`)));
  assert.equal(mirror.isPurged(99, 'http://h/x', []), true, 'who knows what it missed');
  assert.equal(mirror.isPurged(101, 'http://h/x', ['t0']), false);
});

describe('over Redis', () => {
  let redis: RedisServer;
  let cluster: RedisGroup;
  const lines: TierLine[] = [];
  before(async () => {
    [redis, cluster] = await Promise.all([startRedis(), startRedisCluster()]);
  });
  after(async () => {
    for (const line of lines) line.close();
    await Promise.all([redis.stop(), cluster.stop()]);
  });

  let nowMs = 0;
  const settings = { url: '', prefix: 'test', timeoutMs: 20_000, mostMemoryBytes: 1e9, gateway: 'one' };

  /** A worker of some gateway, once it may read and write. */
  async function worker(url: string): Promise<RedisTier> {
    const line = new TierLine(
      url,
      settings.mostMemoryBytes,
      () => nowMs,
      () => {},
    );
    lines.push(line);
    const tier = new RedisTier(line, settings, () => nowMs);
    const deadline = performance.now() + 60_000;
    while (tier.mayWrite(1) !== null) {
      if (performance.now() > deadline) throw new Error(`no line to Redis: ${tier.mayWrite(1)}`);
      // The clock of the line goes on, so that it looks at the memory again.
      nowMs += 2_000;
      line.open;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return tier;
  }

  const read = (tier: RedisTier, key: string, parts = ''): Promise<{ ticket: TierTicket; body: string | null }> =>
    new Promise((resolve, reject) => {
      const isAsked = tier.read(
        key,
        parts !== '',
        () => parts,
        () => ['news'],
        (result, ticket, object: TierObject | null) =>
          ticket === null ? reject(new Error(result)) : resolve({ ticket, body: object?.body.toString() ?? null }),
      );
      if (!isAsked) reject(new Error('away'));
    });

  const write = async (
    tier: RedisTier,
    key: string,
    ticket: TierTicket,
    body: string,
    names: string[] = [],
    parts: string | null = null,
  ) =>
    await tier.write({ firstKey: key, ticket, names, parts, value: valueWith(body, ticket.sequence), keptMs: 60_000 });

  const invalidate = (tier: RedisTier, key: string): Promise<void> =>
    new Promise((resolve) => tier.invalidate(key, resolve));

  for (const kind of ['one server', 'a Cluster']) {
    test(`${kind}: of two that fetch the same the first one writes; a change meanwhile outdates both`, async () => {
      const url = kind === 'one server' ? redis.url : cluster.url;
      const [a, b] = [await worker(url), await worker(url)];
      const [seenByA, seenByB] = [await read(a, 'http://h/a'), await read(b, 'http://h/a')];
      assert.equal(seenByA.body, null);
      assert.equal(await write(a, 'http://h/a', seenByA.ticket, 'of a'), 'stored');
      assert.equal(await write(b, 'http://h/a', seenByB.ticket, 'of b'), 'outdated');
      const found = await read(b, 'http://h/a');
      assert.equal(found.body, 'of a');
      await invalidate(a, 'http://h/a');
      assert.equal((await read(b, 'http://h/a')).body, null);
      assert.equal(await write(b, 'http://h/a', found.ticket, 'fetched before the change'), 'outdated');
      assert.equal((await read(a, 'http://h/a')).body, null);
    });

    test(`${kind}: variants hang on a marker; when it goes they go`, async () => {
      const url = kind === 'one server' ? redis.url : cluster.url;
      const [a, b] = [await worker(url), await worker(url)];
      const first = await read(a, 'http://h/v', '\nv accept en');
      assert.equal(await write(a, 'http://h/v', first.ticket, 'english', ['accept'], '\nv accept en'), 'stored');
      assert.equal((await read(b, 'http://h/v', '\nv accept en')).body, 'english');
      const german = await read(b, 'http://h/v', '\nv accept de');
      assert.equal(german.body, null);
      assert.equal(await write(b, 'http://h/v', german.ticket, 'deutsch', ['accept'], '\nv accept de'), 'stored');
      assert.equal((await read(a, 'http://h/v', '\nv accept de')).body, 'deutsch');
      assert.equal((await read(a, 'http://h/v', '\nv accept en')).body, 'english');
      await invalidate(b, 'http://h/v');
      assert.equal((await read(a, 'http://h/v', '\nv accept en')).body, null);
    });
  }

  async function purge(kind: PurgeKind, text: string, id: number): Promise<void> {
    await redis.command('SET', purgeSequenceKey('test'), String(id));
    await redis.command(
      'ZADD',
      purgeLogKey('test'),
      String(id),
      `${id} ${purgeText({ kind, gateway: 'other', text })}`,
    );
  }

  test('a purge that comes while something is fetched means it too, though it is written later', async () => {
    const a = await worker(redis.url);
    const { ticket } = await read(a, 'http://h/racing');
    await purge('tag', 'news', 1_000);
    assert.equal(await write(a, 'http://h/racing', ticket, 'fetched before the purge'), 'stored');
    assert.equal((await read(a, 'http://h/racing')).body, null);
    const next = await read(a, 'http://h/racing');
    assert.equal(next.ticket.sequence, 1_000);
    assert.equal(await write(a, 'http://h/racing', next.ticket, 'fetched after it'), 'stored');
    assert.equal((await read(a, 'http://h/racing')).body, 'fetched after it');
    assert.equal((await read(await worker(redis.url), 'http://h/racing')).body, 'fetched after it');
  });

  test('a fetch that took longer than changes are remembered is not written', async () => {
    const a = await worker(redis.url);
    const { ticket } = await read(a, 'http://h/long');
    nowMs += LONGEST_FETCH_MS + 1;
    assert.equal(await write(a, 'http://h/long', ticket, 'old'), 'failed');
    assert.equal((await read(a, 'http://h/long')).body, null);
  });

  test('a value that is none of ours is a miss, and is written over', async () => {
    const a = await worker(redis.url);
    const { ticket } = await read(a, 'http://h/foreign');
    await write(a, 'http://h/foreign', ticket, 'ours');
    for (const key of (await redis.command('KEYS', 'test:o:*'))
      .split('\r\n')
      .filter((line) => line.startsWith('test:')))
      await redis.command('SET', key, 'something else altogether, and long');
    const seen = await read(a, 'http://h/foreign');
    assert.equal(seen.body, null);
    assert.equal(await write(a, 'http://h/foreign', seen.ticket, 'ours again'), 'stored');
    assert.equal((await read(a, 'http://h/foreign')).body, 'ours again');
  });
});
