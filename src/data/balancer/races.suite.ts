/**
 * What a thread of races.test.ts does: real workers on one table, with a clock in shared memory so that time is the
 * same for all and moves only on request. Runs as a worker; not a test itself.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { Clock } from '../../base/clock.ts';
import { EJECTED, INSTANCE, instanceAt, SERVICE, serviceAt } from '../contract/instance-layout.ts';
import { InstanceTable } from '../contract/instance-table.ts';
import { Breaker, NO_PROBE } from '../resilience/breaker.ts';
import type { Ejectable } from '../resilience/ejection.ts';
import { Ejector } from '../resilience/ejection.ts';
import { RetryBudget } from '../resilience/retry-budget.ts';
import { RollingWindow } from '../resilience/rolling-window.ts';
import { BREAKER, EJECTION } from './fixtures.suite.ts';

export interface RaceStart {
  readonly scenario: keyof typeof scenarios;
  readonly index: number;
  readonly workers: number;
  readonly table: SharedArrayBuffer;
  /** Words: time in ms, arrived at the barrier, generation of the barrier, then what the scenario likes. */
  readonly common: SharedArrayBuffer;
}

export const COMMON = { timeMs: 0, arrived: 1, generation: 2, tally: 3, worst: 4, least: 5 } as const;

export const SERVICE_SLOT = 1;
export const LIMIT = 5;
export const ROUNDS = 400;
export const PROBES = 3;
export const COUNTS = 60_000;
export const EJECTABLES = 4;

/** Time that is the same in every thread. */
export class SharedClock implements Clock {
  readonly #common: Int32Array;
  constructor(common: Int32Array) {
    this.#common = common;
  }
  monotonicMs(): number {
    return Atomics.load(this.#common, COMMON.timeMs);
  }
  wallMs(): number {
    return this.monotonicMs();
  }
  wallAt(nowMs: number): number {
    return nowMs;
  }
}

const start = workerData as RaceStart;
const common = new Int32Array(start.common);
const table = new InstanceTable(start.table, new SharedClock(common));

/** Everybody waits until everybody is here. */
function barrier(): void {
  const generation = Atomics.load(common, COMMON.generation);
  if (Atomics.add(common, COMMON.arrived, 1) + 1 === start.workers) {
    Atomics.store(common, COMMON.arrived, 0);
    Atomics.add(common, COMMON.generation, 1);
    Atomics.notify(common, COMMON.generation);
    return;
  }
  while (Atomics.load(common, COMMON.generation) === generation) Atomics.wait(common, COMMON.generation, generation);
}

function raise(at: number, value: number): void {
  for (let seen = Atomics.load(common, at); value > seen; seen = Atomics.load(common, at)) {
    if (Atomics.compareExchange(common, at, seen, value) === seen) return;
  }
}

const scenarios = {
  /** Fights for places; what is held at once is counted beside the table. */
  limit(): number {
    let got = 0;
    for (let i = 0; i < COUNTS; i++) {
      if (!table.enterInstance(1, start.index, LIMIT)) continue;
      got++;
      raise(COMMON.worst, Atomics.add(common, COMMON.tally, 1) + 1);
      Atomics.sub(common, COMMON.tally, 1);
      table.leaveInstance(1, start.index);
    }
    return got;
  },

  /** A breaker opens and is probed by all workers at the same moment, again and again. */
  probes(): number {
    const at = serviceAt(SERVICE_SLOT);
    const settings = { ...BREAKER, halfOpenProbes: PROBES, resetTimeoutMs: 1_000, volumeThreshold: 1 };
    const listener = { onBreaker: () => {} };
    const [word, window] = [at + SERVICE.breakerWord, at + SERVICE.breakerWindow];
    const breaker = new Breaker(table, word, window, settings, 60_000, listener);
    let admitted = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const own: number[] = [];
      barrier();
      for (let i = 0; i < 2 * PROBES; i++) {
        const permit = breaker.admit(table.nowTick());
        if (permit >= 0) own.push(permit);
      }
      admitted += own.length;
      Atomics.add(common, COMMON.tally, own.length);
      barrier();
      if (start.index === 0) raise(COMMON.worst, Atomics.exchange(common, COMMON.tally, 0));
      // Odd rounds end well, with all good answers at once; even ones with a failure.
      const tick = table.nowTick();
      for (const permit of own) breaker.record(tick, tick, round % 2 === 0, permit);
      barrier();
      if (start.index === 0) {
        if (breaker.isClosed !== (round % 2 === 1)) Atomics.add(common, COMMON.least, 1);
        breaker.record(tick, tick, true, NO_PROBE); // opens it when it is closed
        Atomics.add(common, COMMON.timeMs, 1_000);
      }
      barrier();
    }
    return admitted;
  },

  /** All take from one budget at once. */
  budget(): number {
    const budget = new RetryBudget(table, SERVICE_SLOT, 0.2, 0);
    for (let i = 0; i < COUNTS; i++) budget.countRequest(table.nowTick());
    barrier();
    let taken = 0;
    for (let i = 0; i < COUNTS; i++) if (budget.take(table.nowTick())) taken++;
    return taken;
  },

  /** Counts into periods that begin while all count. */
  window(): number {
    const window = new RollingWindow(table.words, serviceAt(2) + SERVICE.breakerWindow, 60, 1);
    for (let i = 0; i < COUNTS; i++) {
      window.addTotal(table.nowTick());
      if (start.index === 0 && i % (COUNTS / 50) === 0) Atomics.add(common, COMMON.timeMs, 10);
    }
    barrier();
    window.sum(table.nowTick());
    return window.total;
  },

  /** Everything fails everywhere: too many must never be out. */
  ejection(): number {
    const peers: Ejectable[] = Array.from({ length: EJECTABLES }, (_, slot) => ({
      at: instanceAt(slot),
      baseWeight: 1,
      ejectionWindow: null,
    }));
    let ejections = 0;
    const settings = { ...EJECTION, consecutiveFaults: 2, maxEjectedRatio: 0.5 };
    const ejector = new Ejector(table, SERVICE_SLOT, settings, peers, { onEjected: () => ejections++ });
    for (let round = 0; round < ROUNDS; round++) {
      barrier();
      const tick = table.nowTick();
      for (let i = 0; i < 2 * EJECTABLES; i++) ejector.record(peers[(i + start.index) % EJECTABLES]!, tick, true, null);
      barrier();
      if (start.index === 0) {
        let out = 0;
        for (const peer of peers) {
          if ((Atomics.and(table.words, peer.at + INSTANCE.health, ~EJECTED) & EJECTED) !== 0) out++;
          Atomics.store(table.words, peer.at + INSTANCE.consecutiveFaults, 0);
        }
        raise(COMMON.worst, out);
        Atomics.add(common, COMMON.tally, out);
      }
    }
    return ejections;
  },

  /** Never ends: its thread is stopped in the middle of it. */
  endless(): number {
    parentPort?.postMessage('running');
    for (;;) {
      table.enterService(SERVICE_SLOT, start.index, 0);
      table.enterInstance(1, start.index, 0);
      table.leaveInstance(1, start.index);
      if (Math.random() < 0.5) table.leaveService(SERVICE_SLOT, start.index);
    }
  },
};

parentPort?.postMessage(scenarios[start.scenario]());
