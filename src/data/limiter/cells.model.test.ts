/**
 * Model check of cells.ts: its source is rewritten so that every access to shared memory is a point where another
 * thread may go on (each method becomes a generator), and charges of two or three threads are run in every order with
 * up to four switches before a thread is done. Threads have different clock readings, as real ones do, so that a cell
 * is live for one and expired for another. Whatever the order: nobody is admitted twice in a window, and no charge is
 * forgotten.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { test } from 'node:test';

type Step<Result> = Generator<undefined, Result>;

/** `Cells` after the rewriting. */
interface SteppedCells {
  cell: number;
  tag: number;
  readonly words: Int32Array;
  open(tag: number, key: number, home: number, tick: number): Step<number>;
  look(tag: number, key: number, home: number, tick: number): Step<number>;
  keep(cell: number, nowMs: number, untilMs: number): Step<void>;
  swap(cell: number, tag: number, state: number, word: number): Step<boolean>;
}

function rewrite(source: string): string {
  const methods = ['find', 'look', 'open', 'keep', 'swap', 'sample', '#claim', '#handOver', '#isSole', '#giveUp'];
  let code = stripTypeScriptTypes(source);
  for (const name of methods) {
    const before = code;
    code = code.replace(new RegExp(`^  ${name}\\(`, 'm'), `  *${name}(`);
    assert.notEqual(code, before, `the method ${name} was found`);
    code = code.replace(new RegExp(`this\\.${name}\\(([^()]*)\\)`, 'g'), `(yield* this.${name}($1))`);
  }
  const accesses = code.match(/Atomics\.\w+\(/g)?.length ?? 0;
  let rewritten = 0;
  code = code.replace(/Atomics\.\w+\(([^()]*)\)/g, (access) => {
    rewritten++;
    return `(yield, ${access})`;
  });
  assert.equal(rewritten, accesses, 'every access was rewritten');
  return code
    .replace(/= words\[([^\]]*)\]/g, '= (yield, words[$1])')
    .replace(/\(words\[([^\]]*)\]/g, '((yield, words[$1])');
}

const source = readFileSync(new URL('./cells.ts', import.meta.url), 'utf8');
const { Cells } = (await import(`data:text/javascript,${encodeURIComponent(rewrite(source))}`)) as {
  Cells: new (memory: SharedArrayBuffer, first: number) => SteppedCells;
};

const WINDOW_MS = 1_000;
/** Where the cells begin, and all keys: they meet. */
const HOME = 64;
const TAG = (key: number): number => key << 8;

/** A limit of one per window, in the order of table.ts; the word is the moment when the charge ends. */
function* charge(cells: SteppedCells, key: number, nowMs: number): Step<boolean> {
  const tick = Math.floor(nowMs / 100);
  const until = nowMs + WINDOW_MS;
  const seen = yield* cells.look(TAG(key), key, HOME, tick);
  if (seen > nowMs) return false;
  if (seen >= 0) {
    const { cell, tag } = cells;
    yield* cells.keep(cell, nowMs, until);
    if (yield* cells.swap(cell, tag, seen, until)) return true;
  }
  for (;;) {
    const state = yield* cells.open(TAG(key), key, HOME, tick);
    const { cell, tag } = cells;
    assert.notEqual(state, -1, 'there is room');
    if (state > nowMs) return false;
    yield* cells.keep(cell, nowMs, until);
    if (yield* cells.swap(cell, tag, state, until)) return true;
  }
}

function finish<Result>(steps: Step<Result>): Result {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

interface Thread {
  readonly key: number;
  readonly nowMs: number;
}

interface Scenario {
  /** Charged before, in this order. */
  readonly before: readonly Thread[];
  readonly threads: readonly Thread[];
}

/** Go on with thread `to` before the step `at` of the run. */
interface Switch {
  readonly at: number;
  readonly to: number;
}

const MOST_STEPS = 2_000;
const memory = new SharedArrayBuffer(4_096);

/** One run. Gives, for each step, the thread that made it. */
function run(scenario: Scenario, switches: readonly Switch[]): number[] {
  new Int32Array(memory).fill(0);
  const first = new Cells(memory, HOME);
  for (const { key, nowMs } of scenario.before) assert.equal(finish(charge(first, key, nowMs)), true);
  const steps = scenario.threads.map(({ key, nowMs }) => charge(new Cells(memory, HOME), key, nowMs));
  const results: (boolean | undefined)[] = steps.map(() => undefined);
  const trace: number[] = [];
  let current = 0;
  let due = 0;
  while (results.includes(undefined)) {
    const next = switches[due];
    if (next !== undefined && next.at === trace.length) {
      current = next.to;
      due++;
    }
    if (results[current] !== undefined) current = results.indexOf(undefined);
    trace.push(current);
    assert.ok(trace.length < MOST_STEPS, 'the threads get on');
    const step = steps[current]?.next();
    if (step?.done === true) results[current] = step.value;
  }
  check(scenario, results, `switches ${JSON.stringify(switches)}`);
  return trace;
}

function check(scenario: Scenario, results: readonly (boolean | undefined)[], told: string): void {
  const latest = Math.max(...scenario.threads.map((thread) => thread.nowMs));
  const afterwards = new Cells(memory, HOME);
  const keys = new Set([...scenario.before, ...scenario.threads].map((thread) => thread.key));
  for (const key of keys) {
    const admitted = [
      ...scenario.before.filter((thread) => thread.key === key),
      ...scenario.threads.filter((thread, i) => thread.key === key && results[i] === true),
    ].map((thread) => thread.nowMs);
    admitted.sort((x, y) => x - y);
    for (let i = 1; i < admitted.length; i++) {
      const apart = (admitted[i] ?? 0) - (admitted[i - 1] ?? 0);
      assert.ok(apart >= WINDOW_MS, `key ${key} was admitted twice within ${apart} ms: ${told}`);
    }
    const last = admitted.at(-1) ?? Number.NEGATIVE_INFINITY;
    const isRefused = latest < last + WINDOW_MS;
    assert.equal(finish(charge(afterwards, key, latest)), !isRefused, `key ${key} afterwards: ${told}`);
  }
  assert.ok(results.includes(true), 'somebody was admitted');
}

/**
 * The last switch of the deepest runs is tried at every eleventh place only: all of them take a minute. They were all
 * run once when this was written, and found a stale mark that two switches do not show.
 */
const LAST_SWITCH_STRIDE = 11;
let places = 0;

/** Every run with up to `left` more switches after the given ones, the last of them sampled. */
function explore(scenario: Scenario, switches: readonly Switch[], left: number): number {
  const trace = run(scenario, switches);
  let runs = 1;
  if (left === 0) return runs;
  const from = (switches.at(-1)?.at ?? -1) + 1;
  for (let at = from; at < trace.length; at++) {
    for (let to = 0; to < scenario.threads.length; to++) {
      // A switch to a thread that is done, or to the one that runs anyway, is no other order.
      if (to === trace[at] || !trace.includes(to, at)) continue;
      if (left === 1 && switches.length > 1 && places++ % LAST_SWITCH_STRIDE !== 0) continue;
      runs += explore(scenario, [...switches, { at, to }], left - 1);
    }
  }
  return runs;
}

const at = (key: number, nowMs: number): Thread => ({ key, nowMs });

/** When the cell of a key that was charged at 0 may go to another: `until` is half as long again. */
const GONE_MS = 1_500;

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  'a new key': { before: [], threads: [at(5, 10), at(5, 20)] },
  'two new keys': { before: [], threads: [at(5, 10), at(6, 20), at(5, 15)] },
  'an expired key': { before: [at(5, 0)], threads: [at(5, GONE_MS), at(5, GONE_MS + 200)] },
  'an expired key against one that takes its cell': {
    before: [at(5, 0)],
    threads: [at(5, GONE_MS + 10), at(6, GONE_MS + 20), at(5, GONE_MS + 15)],
  },
  'a cell that is live for one and expired for the other': {
    before: [at(5, 0)],
    threads: [at(5, GONE_MS - 100), at(6, GONE_MS + 100), at(5, GONE_MS + 50)],
  },
  'a new key with a cell ahead that is free for the later reading only': {
    before: [at(6, 0)],
    threads: [at(5, GONE_MS - 100), at(5, GONE_MS + 100)],
  },
  'the same with three': {
    before: [at(6, 0)],
    threads: [at(5, GONE_MS - 100), at(5, GONE_MS + 100), at(5, GONE_MS - 50)],
  },
  'the same with another key that wants the cell': {
    before: [at(6, 0), at(7, 0)],
    threads: [at(5, GONE_MS - 100), at(8, GONE_MS + 100), at(5, GONE_MS + 150)],
  },
  'a key that comes back while its cell goes to another and back': {
    before: [at(5, 0)],
    threads: [at(5, GONE_MS + 10), at(6, GONE_MS + 20), at(5, GONE_MS + 2_000)],
  },
};

for (const [name, scenario] of Object.entries(SCENARIOS)) {
  test(`in every order: ${name}`, () => {
    const runs = explore(scenario, [], scenario.threads.length === 2 ? 4 : 3);
    assert.ok(runs > 100, `${runs} runs`);
  });
}
