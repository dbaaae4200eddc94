/**
 * One racing thread for limiter.race.test.ts: it waits for the start, makes its decisions on the shared table and
 * counts what was admitted. Time is a word of shared memory, so that it stands still or moves as the test says.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { Clock } from '../../base/clock.ts';
import type { RuleSpec } from '../contract/limits.ts';
import { Limiter, RuleSet } from './limiter.ts';
import { Rule } from './rule.ts';
import { LimitTable } from './table.ts';

export interface RaceRule extends RuleSpec {
  /** Callers share the rule's counter modulo this number; 1 is one counter for all. */
  readonly callers: number;
}

export interface Race {
  readonly memory: SharedArrayBuffer;
  /** Words: 0 start flag, 1 threads that are ready, 2 milliseconds, 3 stop flag; then admitted cost per caller. */
  readonly board: SharedArrayBuffer;
  readonly rules: readonly RaceRule[];
  readonly callers: number;
  readonly decisions: number;
  /** Costs go round from 1 to this. */
  readonly maxCost: number;
  /** This thread moves time on by a millisecond after so many decisions; 0 never. */
  readonly tickEvery: number;
  /** Report [caller, millisecond] of every admission. */
  readonly log: boolean;
  readonly seed: number;
}

export const BOARD_HEAD = 4;

/** Reads the shared time; `lastMs` is what the last decision went by. */
export class BoardClock implements Clock {
  lastMs = 0;
  readonly #board: Int32Array;

  constructor(board: Int32Array) {
    this.#board = board;
  }

  monotonicMs(): number {
    this.lastMs = Atomics.load(this.#board, 2);
    return this.lastMs;
  }

  wallMs(): number {
    return Atomics.load(this.#board, 2);
  }

  wallAt(nowMs: number): number {
    return nowMs;
  }
}

export function raceSets(table: LimitTable, rules: readonly RaceRule[], maxCost: number): RuleSet[] {
  const compiled = rules.map((rule, i) => new Rule(rule, `race ${i}`, 'caller', table.hash));
  return Array.from({ length: maxCost }, (_, cost) => {
    return new RuleSet(
      compiled,
      compiled.map((_rule, i) => i),
      compiled.map(() => cost + 1),
    );
  });
}

export function raceKeys(limiter: Limiter, rules: readonly RaceRule[], caller: number): void {
  const { hash } = limiter.table;
  for (const [i, rule] of rules.entries()) {
    hash.text(`caller-${caller % rule.callers}`);
    limiter.keysA[i] = hash.a;
    limiter.keysB[i] = hash.b;
  }
}

function run(race: Race): void {
  const board = new Int32Array(race.board);
  const clock = new BoardClock(board);
  const limiter = new Limiter(new LimitTable(race.memory, clock));
  const sets = raceSets(limiter.table, race.rules, race.maxCost);
  const admitted: number[] = [];
  let random = race.seed;
  Atomics.add(board, 1, 1);
  Atomics.notify(board, 1);
  Atomics.wait(board, 0, 0);
  for (let i = 0; i < race.decisions && Atomics.load(board, 3) === 0; i++) {
    random = (Math.imul(random, 1_664_525) + 1_013_904_223) | 0;
    // Every other request is of one of eight busy callers, so that threads meet on their cells.
    const caller = (random >>> 8) % (i % 2 === 0 && race.tickEvery > 0 ? 8 : race.callers);
    const cost = (i % race.maxCost) + 1;
    raceKeys(limiter, race.rules, caller);
    if (limiter.decide(sets[cost - 1] as RuleSet).allowed) {
      Atomics.add(board, BOARD_HEAD + caller, cost);
      if (race.log) admitted.push(caller, clock.lastMs);
    }
    if (race.tickEvery > 0 && i % race.tickEvery === 0) Atomics.add(board, 2, 1);
  }
  const { overflowed, givenBack, refused } = limiter;
  const { fresh, reused } = limiter.table.claims;
  parentPort?.postMessage({ admitted, overflowed, givenBack, refused, fresh, reused });
}

if (parentPort !== null) run(workerData as Race);
