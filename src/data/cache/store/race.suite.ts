/**
 * Shared by the tests of the store: objects whose bytes say which key and which version they are, one racing thread,
 * and an audit of the whole memory: every chunk belongs to exactly one entry or is free, every entry is where its state
 * says.
 */
import assert from 'node:assert/strict';
import { parentPort, workerData } from 'node:worker_threads';
import { Fill } from './fill.ts';
import {
  BEHIND,
  CHUNKS,
  DYING,
  EMPTY,
  FILLING,
  FIRST_CHUNK,
  FREE_CHUNKS,
  FREE_ENTRIES,
  FRESH_CHUNK,
  FRESH_ENTRY,
  KIND,
  LIVE,
  LIVE_ENTRIES,
  MAIN_CHUNKS,
  MAIN_FIRST,
  NEXT_IN_BUCKET,
  PASS,
  SMALL_CHUNKS,
  SMALL_FIRST,
  USED_CHUNKS,
} from './layout.ts';
import { Reader } from './reader.ts';
import { CacheStore, NOTHING } from './store.ts';

export const TERMS = { bornMs: 1_000, freshUntilMs: 2_000, staleWhileRevalidateS: 0, staleIfErrorS: 0, flags: 0 };

/** A body that repeats its key and version. */
export function bodyOf(key: string, version: number, length: number): Buffer {
  return Buffer.alloc(length, `${key}/${version};`);
}

export function headOf(key: string, version: number): Buffer {
  return Buffer.from(`HTTP/1.1 200 OK\r\nX-Key: ${key}\r\nX-Version: ${version}\r\n\r\n`);
}

/** Reads what is stored and checks each byte; null when nothing is. */
export function readWhole(store: CacheStore, key: string, nowMs = 0): { version: number; length: number } | null {
  store.find(key, nowMs);
  const reader = store.live === NOTHING ? null : Reader.open(store, store.live);
  store.glanceEnd();
  if (reader === null) return null;
  try {
    const head = reader.head().toString('latin1');
    const version = Number(/X-Version: (\d+)/.exec(head)?.[1]);
    assert.equal(/X-Key: (\S+)/.exec(head)?.[1], key);
    const body = Buffer.alloc(reader.bodyBytes);
    for (let at = 0; at < body.length; ) {
      const part = Math.min(1_500, body.length - at);
      reader.read(body, at, part);
      at += part;
    }
    assert.ok(body.equals(bodyOf(key, version, body.length)), `the body of ${key} is not its own`);
    return { version, length: body.length };
  } finally {
    reader.close();
  }
}

/** Stores an object in parts; null when it could not be. */
export function storeWhole(
  store: CacheStore,
  key: string,
  version: number,
  length: number,
  announced = length,
  tags: number[] = [],
): boolean {
  store.find(key, 0);
  store.glanceEnd();
  const fill = Fill.begin(store, key);
  if (typeof fill === 'number') return false;
  const body = bodyOf(key, version, length);
  let fits = fill.head(headOf(key, version), tags, announced, TERMS);
  for (let at = 0; fits && at < length; at += 3_000) fits = fill.append(body, at, Math.min(length, at + 3_000));
  if (fits) return fill.commit();
  fill.giveUp();
  return false;
}

/** Throws when anything is lost, held twice, or counted wrongly. Nobody may change the store meanwhile. */
export function audit(store: CacheStore): { live: number; dying: number; filling: number; usedChunks: number } {
  const { words, layout, chains } = store;
  const owner = new Map<number, string>();
  const claim = (first: number, who: string): number => {
    let count = 0;
    for (let chunk = first; chunk !== 0; chunk = chains.next(chunk)) {
      assert.equal(owner.get(chunk), undefined, `chunk ${chunk} of ${who} is also ${owner.get(chunk)}`);
      owner.set(chunk, who);
      count++;
    }
    return count;
  };
  const free = claim(words[FREE_CHUNKS]!, 'free');
  const counts = { live: 0, dying: 0, filling: 0, usedChunks: 0 };
  const inBucket = new Set<number>();
  for (let bucket = 0; bucket < layout.buckets; bucket++) {
    for (let entry = words[layout.heads + bucket]!; entry !== 0; entry = words[store.at(entry) + NEXT_IN_BUCKET]!) {
      assert.ok(!inBucket.has(entry), `entry ${entry} is in two buckets`);
      inBucket.add(entry);
    }
  }
  const inQueue = new Map<number, 'small' | 'main'>();
  const queued = { small: 0, main: 0 };
  for (const [first, queue] of [
    [SMALL_FIRST, 'small'],
    [MAIN_FIRST, 'main'],
  ] as const) {
    for (let entry = words[first]!; entry !== 0; entry = words[store.at(entry) + BEHIND]!) {
      assert.ok(!inQueue.has(entry), `entry ${entry} is in a queue twice`);
      inQueue.set(entry, queue);
      queued[queue] += words[store.at(entry) + CHUNKS]!;
    }
  }
  assert.equal(queued.small, words[SMALL_CHUNKS]);
  assert.equal(queued.main, words[MAIN_CHUNKS]);
  const freeEntries = new Set<number>();
  for (let entry = words[FREE_ENTRIES]!; entry !== 0; entry = words[store.at(entry) + NEXT_IN_BUCKET]!)
    freeEntries.add(entry);
  for (let entry = 1; entry < words[FRESH_ENTRY]!; entry++) {
    const at = store.at(entry);
    const kind = words[at]! & KIND;
    if (kind === EMPTY) assert.ok(freeEntries.has(entry), `entry ${entry} is empty and not free`);
    else counts.usedChunks += claim(words[at + FIRST_CHUNK]!, `entry ${entry}`);
    if (kind === LIVE || kind === PASS) {
      counts.live++;
      assert.ok(inBucket.has(entry) && inQueue.has(entry), `entry ${entry} is not where it is looked for`);
    }
    if (kind === DYING) counts.dying++;
    if (kind === FILLING) {
      counts.filling++;
      assert.ok(inBucket.has(entry) && !inQueue.has(entry));
    }
  }
  assert.equal(counts.live, words[LIVE_ENTRIES]);
  assert.equal(counts.live, inQueue.size);
  assert.equal(counts.usedChunks, words[USED_CHUNKS]);
  assert.equal(free + counts.usedChunks, words[FRESH_CHUNK]! - 1, 'a chunk is lost');
  return counts;
}

export interface StoreRace {
  readonly memory: SharedArrayBuffer;
  /** Words: 0 start flag, 1 threads that are ready, 2 stop flag, 3 objects read, 4 objects stored. */
  readonly board: SharedArrayBuffer;
  readonly worker: number;
  readonly steps: number;
  readonly keys: number;
  readonly mostBytes: number;
}

function run(race: StoreRace): void {
  const store = new CacheStore(race.memory, race.worker);
  const board = new Int32Array(race.board);
  let random = 7_919 * (race.worker + 1);
  const draw = (below: number): number => {
    random = (Math.imul(random, 1_664_525) + 1_013_904_223) | 0;
    return (random >>> 8) % below;
  };
  Atomics.add(board, 1, 1);
  Atomics.notify(board, 1);
  Atomics.wait(board, 0, 0);
  for (let i = 0; i < race.steps && Atomics.load(board, 2) === 0; i++) {
    const key = `http://h/${draw(2) === 0 ? draw(8) : draw(race.keys)}`;
    const what = draw(100);
    if (what < 60) {
      if (readWhole(store, key) !== null) Atomics.add(board, 3, 1);
    } else if (what < 90) {
      const length = draw(race.mostBytes);
      if (storeWhole(store, key, i, length, draw(3) === 0 ? -1 : length, [draw(4)])) Atomics.add(board, 4, 1);
    } else if (what < 94) {
      store.find(key, 0);
      store.glanceEnd();
      const fill = Fill.begin(store, key);
      if (typeof fill !== 'number') fill.giveUp(draw(2));
    } else if (what < 98) store.remove(key);
    else if (what < 99) store.purgeTag(`t${draw(4)}`);
    else store.purgePrefix(`http://h/${draw(10)}`);
  }
  parentPort?.postMessage('done');
}

if (parentPort !== null && (workerData as StoreRace | null)?.memory !== undefined) run(workerData as StoreRace);
