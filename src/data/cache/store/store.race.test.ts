/**
 * Threads that really race on one store: every object read is whole and its own, nothing leaks, a dead thread blocks
 * nobody.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { FillWatches } from '../fill-watch.ts';
import { Fill } from './fill.ts';
import { ABORTED, allocateCache, DYING, FILLING, LOCK, RESETS } from './layout.ts';
import { audit, headOf, readWhole, type StoreRace, storeWhole, TERMS } from './race.suite.ts';
import { Reader } from './reader.ts';
import { CacheStore } from './store.ts';

const MB = 1024 * 1024;

async function race(
  threads: number,
  bytes: number,
  setting: Pick<StoreRace, 'steps' | 'keys' | 'mostBytes'>,
  meanwhile?: (workers: readonly Worker[], board: Int32Array) => Promise<void>,
): Promise<{ store: CacheStore; board: Int32Array }> {
  const memory = allocateCache(bytes);
  const board = new Int32Array(new SharedArrayBuffer(32));
  const workers = Array.from({ length: threads }, (_, worker) => {
    const workerData: StoreRace = { memory, board: board.buffer as SharedArrayBuffer, worker, ...setting };
    return new Worker(new URL('./race.suite.ts', import.meta.url), { workerData });
  });
  const exits = workers.map((worker) => once(worker, 'exit'));
  const failure = new Promise<never>((_, reject) => {
    for (const worker of workers) worker.once('error', reject);
  });
  while (Atomics.load(board, 1) < threads) {
    const waiting = Atomics.waitAsync(board, 1, Atomics.load(board, 1), 1_000);
    if (waiting.async) await Promise.race([waiting.value, failure]);
  }
  Atomics.store(board, 0, 1);
  Atomics.notify(board, 0);
  if (meanwhile !== undefined) await Promise.race([meanwhile(workers, board), failure]);
  await Promise.race([Promise.all(exits), failure]);
  return { store: new CacheStore(memory, -1), board };
}

test('four threads read, store, give up, remove and purge: what is read is whole, and nothing is lost', async () => {
  const { store, board } = await race(4, 2 * MB, { steps: 4_000, keys: 400, mostBytes: 20_000 });
  assert.ok(board[3]! > 500 && board[4]! > 500, `read ${board[3]}, stored ${board[4]}`);
  // A thread that had to wait too long for the lock leaves what it could not free to its next step, or to main at its
  // end.
  for (let worker = 0; worker < 4; worker++) store.clearWorker(worker);
  const { filling, dying } = audit(store);
  assert.equal(filling, 0);
  assert.equal(dying, 0);
});

test('threads that are killed anywhere leave nothing behind that main does not take back', async () => {
  for (let round = 0; round < 3; round++) {
    const { store } = await race(3, 2 * MB, { steps: 1e9, keys: 400, mostBytes: 20_000 }, async (workers, board) => {
      while (Atomics.load(board, 3) < 200 * (round + 1)) await new Promise((resolve) => setTimeout(resolve, 1));
      await Promise.all(workers.map((worker) => worker.terminate()));
    });
    for (let worker = 0; worker < 3; worker++) store.clearWorker(worker);
    const { filling, dying } = audit(store);
    assert.equal(filling, 0);
    assert.equal(dying, 0);
    const again = new CacheStore(store.words.buffer as SharedArrayBuffer, 0);
    assert.ok(storeWhole(again, 'after', 1, 5_000));
    assert.ok(readWhole(again, 'after'));
  }
});

test('a fill and a reader of a dead worker are taken back, those of others go on', () => {
  const memory = allocateCache(2 * MB);
  const dead = new CacheStore(memory, 0);
  const other = new CacheStore(memory, 1);
  const main = new CacheStore(memory, -1);
  assert.ok(storeWhole(other, 'old', 1, 30_000));
  dead.find('old', 0);
  const readers = [Reader.open(dead, dead.live)!];
  dead.glanceEnd();
  other.find('old', 0);
  readers.push(Reader.open(other, other.live)!);
  other.glanceEnd();
  dead.find('new', 0);
  const fill = Fill.begin(dead, 'new') as Fill;
  assert.ok(fill.head(headOf('new', 1), [], 1_000, TERMS));
  other.find('theirs', 0);
  const theirs = Fill.begin(other, 'theirs') as Fill;
  assert.ok(other.remove('old'));
  assert.equal(audit(main).dying, 1);
  main.clearWorker(0);
  assert.equal(audit(main).dying, 1, 'the other worker still reads it');
  assert.equal(main.kindOf(fill.entry) === FILLING, false);
  assert.equal(main.kindOf(theirs.entry), FILLING);
  readers[1]!.close();
  assert.equal(audit(main).dying, 0);
  other.find('new', 0);
  assert.ok(Fill.begin(other, 'new') instanceof Fill);
  other.glanceEnd();
});

test('a worker that died with the lock held: others go on without the cache until main has emptied it', () => {
  const memory = allocateCache(2 * MB);
  const dead = new CacheStore(memory, 0);
  const other = new CacheStore(memory, 1);
  const main = new CacheStore(memory, -1);
  assert.ok(storeWhole(other, 'a', 1, 30_000));
  assert.ok(storeWhole(other, 'b', 1, 30_000));
  other.find('a', 0);
  const reader = Reader.open(other, other.live)!;
  other.glanceEnd();
  other.find('mine', 0);
  const mine = Fill.begin(other, 'mine') as Fill;
  assert.ok(mine.head(headOf('mine', 1), [], 2_000, TERMS));
  assert.ok(dead.lock.take());
  assert.equal(storeWhole(other, 'c', 1, 10), false);
  assert.deepEqual(readWhole(other, 'b'), { version: 1, length: 30_000 }, 'hits need no lock');
  main.clearWorker(0);
  assert.equal(main.words[LOCK], 0);
  assert.equal(main.words[RESETS], 1);
  assert.equal(readWhole(other, 'b'), null);
  assert.equal(mine.append(Buffer.alloc(2_000), 0, 2_000), true, 'its memory is still its own');
  assert.equal(mine.commit(), false);
  assert.equal(main.kindOf(reader.entry), DYING);
  reader.head();
  reader.read(Buffer.alloc(30_000), 0, 30_000);
  reader.close();
  const { live, dying } = audit(main);
  assert.deepEqual({ live, dying }, { live: 0, dying: 0 });
});

test('a worker that died with the lock held while it filled: who waits for that sees that it has ended', async () => {
  const memory = allocateCache(2 * MB);
  const dead = new CacheStore(memory, 0);
  const other = new CacheStore(memory, 1);
  const main = new CacheStore(memory, -1);
  const fills = ['whole head', 'no head yet'].map((key) => {
    dead.find(key, 0);
    dead.glanceEnd();
    return { key, fill: Fill.begin(dead, key) as Fill };
  });
  assert.ok(fills[0]!.fill.head(headOf('whole head', 1), [], 1_000, TERMS));
  const watches = new FillWatches(other);
  const ends = fills.map(
    ({ key, fill }) =>
      new Promise<number>((resolve) => {
        const end = (): void => resolve(reader.bodyBytes);
        const reader = watches.follow(fill.entry, key, { onProgress: end, onFillTimeout: () => resolve(0) }, 60_000)!;
      }),
  );
  assert.ok(dead.lock.take());
  main.clearWorker(0);
  assert.deepEqual(await Promise.all(ends), [ABORTED, ABORTED]);
});
