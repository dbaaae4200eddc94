/** The store alone and by one thread: what is found, what is evicted, what is purged, and that nothing gets lost. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fill } from './fill.ts';
import {
  allocateCache,
  BORN_MS,
  EVICTIONS,
  FIRST_CHUNK,
  layoutOf,
  PURGE_SEQUENCE,
  TAG_SLOTS,
  USED_CHUNKS,
} from './layout.ts';
import { audit, bodyOf, headOf, readWhole, storeWhole, TERMS } from './race.suite.ts';
import { Reader } from './reader.ts';
import { CacheStore, NOTHING } from './store.ts';

const MB = 1024 * 1024;

test('an object comes out as it went in, in one chunk and in many, of known and unknown length', () => {
  const store = new CacheStore(allocateCache(2 * MB), 0);
  for (const [i, length] of [0, 1, 1_900, 2_000, 2_048, 4_096, 100_000].entries()) {
    assert.ok(storeWhole(store, `http://h/a${i}`, i, length, i % 2 === 0 ? length : -1));
    assert.deepEqual(readWhole(store, `http://h/a${i}`), { version: i, length });
  }
  assert.equal(readWhole(store, 'http://h/other'), null);
  assert.equal(audit(store).live, 7);
});

test('a newer object of a key takes the place of the former, which a reader still reads to its end', () => {
  const store = new CacheStore(allocateCache(2 * MB), 0);
  assert.ok(storeWhole(store, 'k', 1, 50_000));
  store.find('k', 0);
  const reader = Reader.open(store, store.live)!;
  store.glanceEnd();
  assert.ok(storeWhole(store, 'k', 2, 100));
  assert.equal(audit(store).dying, 1);
  reader.head();
  const body = Buffer.alloc(50_000);
  reader.read(body, 0, 50_000);
  assert.ok(body.equals(bodyOf('k', 1, 50_000)));
  reader.close();
  assert.deepEqual(readWhole(store, 'k'), { version: 2, length: 100 });
  assert.equal(audit(store).dying, 0);
});

test('a reader begins anywhere in the body', () => {
  const store = new CacheStore(allocateCache(2 * MB), 0);
  const body = Buffer.from(Array.from({ length: 9_000 }, (_, i) => i & 255));
  store.find('k', 0);
  const fill = Fill.begin(store, 'k') as Fill;
  assert.ok(fill.head(headOf('k', 1), [], body.length, TERMS) && fill.append(body, 0, body.length) && fill.commit());
  for (const from of [0, 1, 1_970, 1_971, 1_972, 1_973, 2_048, 4_000, 8_999]) {
    store.find('k', 0);
    const reader = Reader.open(store, store.live)!;
    store.glanceEnd();
    reader.skipTo(from);
    const rest = Buffer.alloc(9_000 - from);
    reader.read(rest, 0, rest.length);
    assert.ok(rest.equals(body.subarray(from)), `from ${from}`);
    reader.close();
  }
  assert.equal(store.floats[(store.at(fill.entry) + BORN_MS) >> 1], TERMS.bornMs);
});

test('a long object of a store that is not torn lies in one piece, after a reset too', () => {
  const store = new CacheStore(allocateCache(2 * MB), 0);
  const main = new CacheStore(store.words.buffer as SharedArrayBuffer, -1);
  for (let round = 0; round < 2; round++) {
    assert.ok(storeWhole(store, 'long', round, 200_000));
    assert.deepEqual(readWhole(store, 'long'), { version: round, length: 200_000 });
    store.find('long', 0);
    const chunk = store.words[store.at(store.live) + FIRST_CHUNK]!;
    store.glanceEnd();
    assert.equal(store.chains.run({ chunk, offset: 0 }, 200_000), 200_000);
    assert.ok(store.lock.take());
    main.clearWorker(0);
  }
});

test('a second fill of a key is told of the first, and may begin when that is given up', () => {
  const store = new CacheStore(allocateCache(2 * MB), 0);
  store.find('k', 0);
  const first = Fill.begin(store, 'k') as Fill;
  store.find('k', 0);
  assert.equal(store.filling, first.entry);
  assert.equal(Fill.begin(store, 'k'), -first.entry);
  first.giveUp();
  store.glanceEnd();
  store.find('k', 0);
  assert.equal(store.filling, NOTHING);
  const second = Fill.begin(store, 'k') as Fill;
  second.giveUp(5_000);
  store.find('k', 4_999);
  assert.equal(store.passes, true);
  store.find('k', 5_001);
  assert.equal(store.passes, false);
  assert.ok(storeWhole(store, 'k', 1, 10));
  store.find('k', 0);
  store.glanceEnd();
  assert.equal(store.passes, false);
  assert.equal(audit(store).live, 1);
});

test('more or less than was announced is not stored', () => {
  const store = new CacheStore(allocateCache(2 * MB), 0);
  assert.equal(storeWhole(store, 'k', 1, 100, 99), false);
  assert.equal(storeWhole(store, 'k', 1, 100, 101), false);
  assert.deepEqual(audit(store), { live: 0, dying: 0, filling: 0, usedChunks: 0 });
});

test('what is purged by tag, prefix or altogether is not found, also when it was on its way at that moment', () => {
  const store = new CacheStore(allocateCache(2 * MB), 0);
  const red = store.tagHash('red');
  const purges: [string, () => boolean][] = [
    ['tag', () => store.purgeTag('red')],
    ['prefix', () => store.purgePrefix('http://h/dir/')],
    ['all', () => store.purgeAll()],
  ];
  for (const [what, purge] of purges) {
    assert.ok(storeWhole(store, 'http://h/dir/a', 1, 10, 10, [red]));
    store.find('http://h/dir/b', 0);
    const fill = Fill.begin(store, 'http://h/dir/b') as Fill;
    assert.ok(fill.head(headOf('http://h/dir/b', 1), [red], 0, TERMS));
    assert.ok(purge());
    assert.ok(fill.commit());
    assert.equal(readWhole(store, 'http://h/dir/a'), null, what);
    assert.equal(readWhole(store, 'http://h/dir/b'), null, what);
    assert.ok(storeWhole(store, 'http://h/dir/a', 2, 10, 10, [red]));
    assert.deepEqual(readWhole(store, 'http://h/dir/a'), { version: 2, length: 10 }, what);
  }
  assert.ok(storeWhole(store, 'http://h/else', 1, 10, 10, [store.tagHash('blue')]));
  store.purgeTag('red');
  store.purgePrefix('http://h/dir/');
  assert.deepEqual(readWhole(store, 'http://h/else'), { version: 1, length: 10 });
});

test('removing a key takes the object and what is on its way', () => {
  const store = new CacheStore(allocateCache(2 * MB), 0);
  assert.ok(storeWhole(store, 'k', 1, 10));
  store.find('k', 0);
  const fill = Fill.begin(store, 'k') as Fill;
  store.glanceEnd();
  assert.equal(store.remove('k'), true);
  assert.equal(readWhole(store, 'k'), null);
  assert.equal(fill.isWanted, false);
  assert.ok(fill.head(headOf('k', 2), [], 0, TERMS));
  assert.equal(fill.commit(), false);
  assert.equal(readWhole(store, 'k'), null);
  assert.equal(store.remove('k'), false);
  assert.deepEqual(audit(store), { live: 0, dying: 0, filling: 0, usedChunks: 0 });
});

test('more tags and prefixes than the tables hold are purged all the same', () => {
  const store = new CacheStore(allocateCache(2 * MB), 0);
  const keep = [store.tagHash('keep')];
  assert.ok(storeWhole(store, 'http://h/keep', 1, 10, 10, keep));
  for (let i = 0; i < TAG_SLOTS + 500; i++) assert.ok(store.purgeTag(`t${i}`));
  for (let i = 0; i < 200; i++) assert.ok(store.purgePrefix(`http://h/p${i}/`));
  assert.deepEqual(readWhole(store, 'http://h/keep'), { version: 1, length: 10 });
  assert.ok(storeWhole(store, 'http://h/p1/x', 1, 10, 10, [store.tagHash('t5')]));
  assert.ok(readWhole(store, 'http://h/p1/x'));
  store.purgeTag('t5');
  assert.equal(readWhole(store, 'http://h/p1/x'), null);
  assert.equal(store.words[PURGE_SEQUENCE], TAG_SLOTS + 500 + 200 + 1);
});

test('the budget holds, and what is read again and again stays while a scan passes through', () => {
  const store = new CacheStore(allocateCache(4 * MB), 0);
  const hot = Array.from({ length: 100 }, (_, i) => `http://h/hot/${i}`);
  for (const key of hot) assert.ok(storeWhole(store, key, 1, 1_000));
  for (let round = 0; round < 3; round++) for (const key of hot) assert.ok(readWhole(store, key));
  let hits = 0;
  for (let i = 0; i < 20_000; i++) {
    assert.ok(storeWhole(store, `http://h/scan?${i}`, i, 1_000));
    if (i % 20 === 0 && readWhole(store, hot[(i / 20) % hot.length]!) !== null) hits++;
  }
  assert.equal(hits, 1_000);
  assert.ok(store.words[EVICTIONS]! > 15_000);
  assert.ok(store.words[USED_CHUNKS]! <= store.chains.total);
  audit(store);
});

test('a key that comes back soon after it was evicted goes where the scan does not reach it', () => {
  const store = new CacheStore(allocateCache(2 * MB), 0);
  const fillUp = (from: number, to: number): void => {
    for (let i = from; i < to; i++) storeWhole(store, `scan${i}`, 1, 1_000);
  };
  storeWhole(store, 'k', 1, 1_000);
  fillUp(0, layoutOf(2 * MB).chunks);
  assert.equal(readWhole(store, 'k'), null);
  storeWhole(store, 'k', 2, 1_000);
  fillUp(10_000, 10_000 + layoutOf(2 * MB).chunks);
  assert.deepEqual(readWhole(store, 'k'), { version: 2, length: 1_000 });
});

test('an object that cannot have room is not stored and leaves the others', () => {
  const store = new CacheStore(allocateCache(2 * MB), 0);
  assert.equal(storeWhole(store, 'huge', 1, 3 * MB), false);
  assert.equal(storeWhole(store, 'huge', 1, 3 * MB, -1), false);
  assert.ok(storeWhole(store, 'small', 1, 10));
  assert.equal(audit(store).live, 1);
});

test('a key longer than a chunk is not stored', () => {
  const store = new CacheStore(allocateCache(2 * MB), 0);
  assert.equal(storeWhole(store, `http://h/${'x'.repeat(3_000)}`, 1, 10), false);
});
