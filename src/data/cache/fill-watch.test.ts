import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../../../test/support/until.ts';
import { FillWatches } from './fill-watch.ts';
import { Fill } from './store/fill.ts';
import { allocateCache } from './store/layout.ts';
import { CacheStore } from './store/store.ts';

const follower = { onProgress() {}, onFillTimeout() {} };

function begin(store: CacheStore, key: string): Fill {
  store.find(key, 0);
  store.glanceEnd();
  const fill = Fill.begin(store, key);
  assert.equal(typeof fill, 'object');
  return fill as Fill;
}

test('an entry that was given up and is filled for another key is not followed for the former one', () => {
  const memory = allocateCache(2 * 1024 ** 2);
  const [one, other] = [new CacheStore(memory, 0), new CacheStore(memory, 1)];
  const watches = new FillWatches(one);
  const first = begin(other, 'what Ada asked for');
  one.find('what Ada asked for', 0);
  const found = one.filling;
  one.glanceEnd();
  assert.equal(found, first.entry);
  // Between the look and the following another worker uses the entry for something else.
  first.giveUp();
  const second = begin(other, 'what Bob asked for');
  assert.equal(second.entry, found, 'the same entry');
  assert.equal(watches.follow(found, 'what Ada asked for', follower, 1_000), null);
  const reader = watches.follow(found, 'what Bob asked for', follower, 1_000);
  assert.notEqual(reader, null);
  second.giveUp();
  assert.equal(watches.follow(found, 'what Bob asked for', follower, 1_000)?.kind === undefined, false);
  reader!.close();
});

test('one that is whole by now is followed as well; one that is free or says only that nobody should wait is not', () => {
  const memory = allocateCache(2 * 1024 ** 2);
  const store = new CacheStore(memory, 0);
  const watches = new FillWatches(store);
  const fill = begin(store, 'whole');
  fill.head(Buffer.from('HTTP/1.1 200 OK\r\n\r\n'), [], 0, {
    bornMs: 0,
    freshUntilMs: 1e15,
    staleWhileRevalidateS: 0,
    staleIfErrorS: 0,
    flags: 0,
  });
  const { entry } = fill;
  assert.equal(fill.commit(), true);
  const reader = watches.follow(entry, 'whole', follower, 1_000);
  assert.equal(reader?.bodyBytes, 0);
  // It is held, though its watch is over: the entry is nobody else's before the reader is closed.
  assert.equal(store.remove('whole'), true);
  const other = begin(store, 'another');
  assert.notEqual(other.entry, entry);
  assert.equal(store.keyOf(reader!.entry), 'whole');
  other.giveUp();
  reader!.close();
  const last = begin(store, 'the last');
  assert.ok(last.entry === entry || begin(store, 'and one more').entry === entry, 'now it is free');
  const gone = begin(store, 'gone');
  gone.giveUp(1e15);
  assert.equal(watches.follow(gone.entry, 'gone', follower, 1_000), null);
});

test('a watch whose last follower has gone holds nothing', async () => {
  const memory = allocateCache(2 * 1024 ** 2);
  const [one, other] = [new CacheStore(memory, 0), new CacheStore(memory, 1)];
  const watches = new FillWatches(one);
  const { entry } = begin(other, 'slow');
  const readers = [follower, { ...follower }].map((each) => {
    const reader = watches.follow(entry, 'slow', each, 60_000)!;
    return () => {
      reader.close();
      watches.unfollow(entry, each);
    };
  });
  readers[0]!();
  await new Promise(setImmediate);
  assert.equal(other.isReadByOthers(entry), true, 'one still follows');
  readers[1]!();
  await until(() => !other.isReadByOthers(entry), 'nobody does');
});
