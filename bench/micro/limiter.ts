/**
 * The limiter's decision as a request meets it: two windows (60/1m, 1000/1h in shape), by a key whose hash is known,
 * alone and with a second thread on the same keys; a new caller each time; the memory of a million callers. Time is
 * read per decision.
 */
import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { BlockSet } from '../../src/data/limiter/block-set.ts';
import { Limiter, RuleSet } from '../../src/data/limiter/limiter.ts';
import { Rule } from '../../src/data/limiter/rule.ts';
import { allocateLimits, LimitTable, limitsBytes } from '../../src/data/limiter/table.ts';
import { median } from '../lib/statistics.ts';
import { measure } from './measure.ts';
import type { Row } from './row.ts';

interface Contender {
  readonly memory: SharedArrayBuffer;
  readonly stop: SharedArrayBuffer;
  readonly callers: number;
}

const MINUTE = 60_000;
const HOUR = 3_600_000;

class Load {
  readonly limiter: Limiter;
  readonly #set: RuleSet;
  readonly #a: Int32Array;
  readonly #b: Int32Array;

  constructor(memory: SharedArrayBuffer, callers: number) {
    this.limiter = new Limiter(new LimitTable(memory));
    const { table } = this.limiter;
    // Limits that a benchmark does not reach: what is timed is a charge, the more expensive outcome.
    const rule = (limit: number, windowMs: number): Rule => {
      return new Rule({ limit, windowMs, algorithm: 'gcra', burst: limit }, 'bench', 'user', table.hash);
    };
    this.#set = new RuleSet([rule(12_000_000, MINUTE), rule(16_000_000, HOUR)], [0, 0], [1, 1]);
    this.#a = new Int32Array(callers);
    this.#b = new Int32Array(callers);
    for (let i = 0; i < callers; i++) {
      table.hash.text(`0190a5b2-7d3e-7c41-9c0f-${i}`);
      this.#a[i] = table.hash.a;
      this.#b[i] = table.hash.b;
    }
  }

  run(rounds: number): number {
    const { limiter } = this;
    let left = 0;
    for (let i = 0; i < rounds; i++) {
      const caller = (i * 7_919) % this.#a.length;
      limiter.keysA[0] = this.#a[caller] as number;
      limiter.keysB[0] = this.#b[caller] as number;
      left += limiter.decide(this.#set).remaining;
    }
    return left;
  }
}

async function contended(name: string, callers: number, note: string): Promise<Row> {
  const memory = allocateLimits(limitsBytes(Math.max(callers, 1_000)));
  const stop = new SharedArrayBuffer(4);
  const worker = new Worker(new URL(import.meta.url), { workerData: { memory, stop, callers } satisfies Contender });
  await once(worker, 'message');
  const load = new Load(memory, callers);
  const row = measureCpu(name, (rounds) => load.run(rounds), 500, note);
  Atomics.store(new Int32Array(stop), 0, 1);
  await once(worker, 'exit');
  return row;
}

/**
 * CPU time of this thread instead of wall time: waiting for a cache line counts, being taken off the core by other
 * programs does not, which with two busy threads would be most of it.
 */
function measureCpu(name: string, operation: (rounds: number) => number, atMost: number, note: string): Row {
  const rounds = 20_000;
  for (let i = 0; i < 50; i++) operation(rounds);
  const readings = Array.from({ length: 101 }, () => {
    const before = process.threadCpuUsage();
    for (let i = 0; i < 3; i++) operation(rounds);
    const used = process.threadCpuUsage(before);
    return ((used.user + used.system) * 1_000) / (3 * rounds);
  });
  return { name, value: median(readings), quiet: Math.min(...readings), unit: 'ns/op', atMost, note };
}

function alone(name: string, callers: number, note: string): Row {
  const load = new Load(allocateLimits(limitsBytes(Math.max(callers, 1_000))), callers);
  return measure(name, (rounds) => load.run(rounds), { note });
}

/** Every caller is new: two cells are claimed for each. */
function newCallers(): Row {
  const limiter = new Limiter(new LimitTable(allocateLimits(limitsBytes(1_000_000))));
  const { table } = limiter;
  const rule = (limit: number, windowMs: number): Rule => {
    return new Rule({ limit, windowMs, algorithm: 'gcra', burst: limit }, 'bench', 'user', table.hash);
  };
  const set = new RuleSet([rule(60_000, MINUTE), rule(100_000, HOUR)], [0, 0], [1, 1]);
  const words = new Int32Array(2);
  const run = (rounds: number): number => {
    let left = 0;
    for (let i = 0; i < rounds; i++) {
      words[0] = ((words[0] as number) + 1) | 0;
      table.hash.words(words, 2);
      limiter.keysA[0] = table.hash.a;
      limiter.keysB[0] = table.hash.b;
      left += limiter.decide(set).remaining;
    }
    return left;
  };
  return measure('decide, new caller each time', run, { note: 'hash, two claims; cells expire after some ms' });
}

/** Bytes for a million callers under two windows, all live, none refused. */
function memoryPerCaller(): Row {
  const bytes = limitsBytes(1_000_000, 2);
  const limiter = new Limiter(new LimitTable(allocateLimits(bytes)));
  const { table } = limiter;
  const rule = (limit: number, windowMs: number): Rule => {
    return new Rule({ limit, windowMs, algorithm: 'gcra', burst: limit }, 'bench', 'user', table.hash);
  };
  const set = new RuleSet([rule(1, HOUR), rule(1, 24 * HOUR)], [0, 0], [1, 1]);
  const words = new Int32Array(2);
  let refused = 0;
  for (let i = 0; i < 1_000_000; i++) {
    words[0] = i;
    table.hash.words(words, 2);
    limiter.keysA[0] = table.hash.a;
    limiter.keysB[0] = table.hash.b;
    if (!limiter.decide(set).allowed) refused++;
  }
  return {
    name: 'memory of 1,000,000 live callers, two windows',
    value: bytes / 1024 ** 2,
    unit: 'MB',
    atMost: 64,
    note: `${refused} found no room; table ${(table.occupancy().ratio * 100).toFixed(0)} % full`,
  };
}

/** The look-up of `ipFilter` and of bans, hits and misses in turn. */
function longList(): Row {
  // Far enough apart that no two become one range.
  const text = (value: number): string => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
  const list = new BlockSet(Array.from({ length: 100_000 }, (_, i) => `${text(i * 42_949)}/28`));
  const addresses = Array.from({ length: 4_096 }, (_, i) => text(((i * 24_391) % 100_000) * 42_949 + (i % 2) * 16_000));
  return measure(
    'an address in a list of 100,000 blocks',
    (rounds) => {
      let found = 0;
      for (let i = 0; i < rounds; i++) if (list.has(addresses[i & 4_095] as string)) found++;
      return found;
    },
    { note: 'reading the address included' },
  );
}

export async function run(): Promise<Row[]> {
  const load = new Load(allocateLimits(), 1);
  const hash = measure('hash of a 36-character user id', (rounds) => {
    let sum = 0;
    for (let i = 0; i < rounds; i++) {
      load.limiter.table.hash.text('0190a5b2-7d3e-7c41-9c0f-2f6a1b3c4d5e');
      sum += load.limiter.table.hash.a;
    }
    return sum;
  });
  return [
    alone('decide two windows, 1 thread, 1,000 callers', 1_000, 'clock reading included'),
    alone('decide two windows, 1 thread, 500,000 callers', 500_000, 'every cell a cache miss'),
    await contended(
      'decide two windows, 2 threads, 1,000 callers',
      1_000,
      'CPU time; both threads on the same callers',
    ),
    await contended('decide two windows, 2 threads, 1 caller', 1, 'CPU time; both threads on one caller'),
    newCallers(),
    hash,
    longList(),
    memoryPerCaller(),
  ];
}

if (!isMainThread && workerData !== null && typeof workerData === 'object' && 'callers' in workerData) {
  const { memory, stop, callers } = workerData as Contender;
  const load = new Load(memory, callers);
  const flag = new Int32Array(stop);
  load.run(200_000);
  parentPort?.postMessage('running');
  while (Atomics.load(flag, 0) === 0) load.run(1_000);
}
