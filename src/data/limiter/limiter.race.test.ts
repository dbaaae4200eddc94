/** Threads that really race on one table: counts must be exact, and a thread that dies must hold up nobody. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { Limiter } from './limiter.ts';
import { BOARD_HEAD, BoardClock, type Race, type RaceRule, raceKeys, raceSets } from './race.suite.ts';
import { allocateLimits, LimitTable } from './table.ts';

interface Outcome {
  readonly admitted: number[];
  readonly overflowed: number;
  readonly givenBack: number;
  readonly refused: number;
  readonly fresh: number;
  readonly reused: number;
}

type Setting = Partial<Race> & { readonly rules: readonly RaceRule[]; readonly callers: number };

const gcra = (limit: number, windowMs: number, callers: number): RaceRule => ({
  limit,
  windowMs,
  algorithm: 'gcra',
  burst: limit,
  callers,
});

interface Result {
  readonly done: readonly Outcome[];
  readonly perCaller: readonly number[];
  readonly total: number;
  readonly board: Int32Array;
  readonly limiter: Limiter;
}

/** `meanwhile` ends the threads itself; without it they run to their end. */
async function race(
  threads: number,
  bytes: number,
  setting: Setting,
  meanwhile?: (workers: readonly Worker[], board: Int32Array) => Promise<void>,
): Promise<Result> {
  const board = new Int32Array(new SharedArrayBuffer((BOARD_HEAD + setting.callers) * 4));
  board[2] = 1_000;
  const memory = allocateLimits(bytes, { monotonicMs: () => 0, wallMs: () => 0, wallAt: (nowMs: number) => nowMs });
  const workers = Array.from({ length: threads }, (_, i) => {
    const workerData: Race = {
      memory,
      board: board.buffer as SharedArrayBuffer,
      decisions: 20_000,
      maxCost: 1,
      tickEvery: 0,
      log: false,
      ...setting,
      seed: 7_919 * (i + 1),
    };
    return new Worker(new URL('./race.suite.ts', import.meta.url), { workerData });
  });
  const outcomes = workers.map((worker) => once(worker, 'message').then(([message]) => message as Outcome));
  const exits = workers.map((worker) => once(worker, 'exit'));
  const failure = new Promise<never>((_, reject) => {
    for (const worker of workers) worker.once('error', reject);
  });
  const started = async (): Promise<void> => {
    while (Atomics.load(board, 1) < threads) {
      const waiting = Atomics.waitAsync(board, 1, Atomics.load(board, 1), 1_000);
      if (waiting.async) await waiting.value;
    }
    Atomics.store(board, 0, 1);
    Atomics.notify(board, 0);
  };
  await Promise.race([started(), failure]);
  if (meanwhile !== undefined) await Promise.race([meanwhile(workers, board), failure]);
  const done = meanwhile === undefined ? await Promise.race([Promise.all(outcomes), failure]) : [];
  await Promise.all(exits);
  const limiter = new Limiter(new LimitTable(memory, new BoardClock(board)));
  const perCaller = [...board.subarray(BOARD_HEAD)];
  return { done, perCaller, board, limiter, total: perCaller.reduce((sum, n) => sum + n, 0) };
}

test('four threads admit exactly the limit of each caller, under two windows', async () => {
  const rules = [gcra(60, 60_000, 40), gcra(100, 3_600_000, 40)];
  const { perCaller } = await race(4, 64 * 1024, { rules, callers: 40 });
  assert.deepEqual(new Set(perCaller), new Set([60]));
});

test('sliding and fixed windows are exact under contention too', async () => {
  for (const algorithm of ['sliding', 'fixed'] as const) {
    const rules: RaceRule[] = [
      { limit: 500, windowMs: 60_000, algorithm, burst: 500, callers: 1 },
      gcra(900, 60_000, 1),
    ];
    const { total } = await race(4, 64 * 1024, { rules, callers: 1, decisions: 2_000 });
    assert.equal(total, 500, algorithm);
  }
});

test('a rule that all callers share is exact, and what it refuses is not charged to the others', async () => {
  const rules = [gcra(1_000, 60_000, 20), gcra(5_000, 60_000, 1), gcra(2_000, 60_000, 20)];
  const { perCaller, total, limiter } = await race(4, 64 * 1024, { rules, callers: 20, decisions: 10_000 });
  assert.equal(total, 5_000);
  const { table } = limiter;
  const [set] = raceSets(table, rules, 1);
  for (const [caller, count] of perCaller.entries()) {
    raceKeys(limiter, rules, caller);
    for (const i of [0, 2]) {
      const rule = set?.rules[i];
      assert.ok(rule !== undefined);
      table.prepare(0, rule, limiter.keysA[i] ?? 0, limiter.keysB[i] ?? 0, table.time.nowMs(), 1);
      assert.equal(table.left(0, rule), rule.limit - count, `caller ${caller}, rule ${i}`);
    }
  }
});

test('with different costs no more than the limit is admitted, and all of it is', async () => {
  const rules = [gcra(10_000, 60_000, 1), gcra(9_000, 3_600_000, 1)];
  const { total } = await race(4, 64 * 1024, { rules, callers: 1, maxCost: 7, decisions: 5_000 });
  assert.equal(total, 9_000);
});

test('in a table that is far too small, with time moving, nobody is forgiven a charge', async () => {
  const rules = [gcra(1, 200, 3_000)];
  const { done, limiter } = await race(4, 4_096, {
    rules,
    callers: 3_000,
    decisions: 60_000,
    tickEvery: 40,
    log: true,
  });
  const times = new Map<number, number[]>();
  for (const { admitted } of done) {
    for (let i = 0; i < admitted.length; i += 2) {
      const caller = admitted[i] ?? -1;
      times.set(caller, [...(times.get(caller) ?? []), admitted[i + 1] ?? 0]);
    }
  }
  let pairs = 0;
  for (const [caller, list] of times) {
    list.sort((x, y) => x - y);
    for (let i = 1; i < list.length; i++) {
      pairs++;
      const apart = (list[i] ?? 0) - (list[i - 1] ?? 0);
      assert.ok(apart >= 200, `caller ${caller} was admitted twice within ${apart} ms`);
    }
  }
  const sum = (pick: (outcome: Outcome) => number): number => done.reduce((total, outcome) => total + pick(outcome), 0);
  assert.ok(pairs > 1_000, `${pairs} pairs were compared`);
  assert.ok(sum((o) => o.reused) > 1_000, 'cells changed hands');
  assert.ok(sum((o) => o.overflowed) > 1_000, 'the table was full');
  assert.ok(limiter.table.occupancy().cells < 300);
});

test('threads that are ended in the middle leave nothing behind that others wait for', async () => {
  const rules = [gcra(1, 200, 3_000)];
  const setting = { rules, callers: 3_000, decisions: Number.MAX_SAFE_INTEGER, tickEvery: 40 };
  const { board, limiter } = await race(6, 4_096, setting, async (workers, running) => {
    for (const worker of workers) {
      const from = Atomics.load(running, 2);
      while (Atomics.load(running, 2) < from + 500) await new Promise((resolve) => setTimeout(resolve, 1));
      await worker.terminate();
    }
  });
  const [set] = raceSets(limiter.table, rules, 1);
  assert.ok(set !== undefined);
  for (let round = 0; round < 40; round++) {
    Atomics.add(board, 2, 10_000);
    for (let caller = round * 75; caller < (round + 1) * 75; caller++) {
      raceKeys(limiter, rules, caller);
      assert.equal(limiter.decide(set).allowed, true, `caller ${caller}`);
      assert.equal(limiter.decide(set).allowed, false, `caller ${caller} again`);
    }
  }
});
