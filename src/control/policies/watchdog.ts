/**
 * Looks at what users' policies do in the workers (data/contract/policy-watch.ts). A policy that does not return within
 * `gateway.policies.loopTimeout` holds a whole worker: nothing in that thread can stop it, so control ends the thread,
 * which costs the connections of this worker only, and after `MOST_KILLS` in `WITHIN_MS` takes the policy out of use.
 * It also sums what the workers counted, those that are gone included.
 */

import type { ExtraMetric } from '../../base/extra-metric.ts';
import type { Logger } from '../../base/log.ts';
import type { PolicyCount, PolicyEntry, PolicyTable } from '../../data/contract/policy-watch.ts';
import {
  BROKEN_POLICIES_TOPIC,
  idOf,
  POLICY_COUNTS,
  POLICY_TABLE_TOPIC,
  PolicyWatch,
} from '../../data/contract/policy-watch.ts';
import type { ControlBus } from '../bus.ts';

const LOOK_EVERY_MS = 100;
const MOST_KILLS = 3;
const WITHIN_MS = 600_000;
/** Old versions of modules stay in memory; here it is worth a line in the log. */
const MANY_MODULES = 100;

export interface WatchdogParts {
  readonly bus: ControlBus;
  readonly log: Logger;
  /** Ends the worker of this thread id at once. */
  terminate(thread: number): Promise<void>;
  loopTimeoutMs(): number;
  /** Monotonic. */
  nowMs(): number;
}

interface Watched {
  readonly watch: PolicyWatch;
  table: PolicyTable;
  run: number;
  /** When this run was first seen; -1 when nothing runs. */
  sinceMs: number;
  isReported: boolean;
  isEnding: boolean;
  beats: number;
  /** When these beats were first seen. */
  beatMs: number;
}

interface Sums {
  readonly counts: Record<PolicyCount, number>;
  kills: number;
}

export class PolicyWatchdog {
  readonly #parts: WatchdogParts;
  readonly #workers = new Map<number, Watched>();
  /** What workers that are gone had counted, and kills, by policy name. */
  readonly #sums = new Map<string, Sums>();
  readonly #kills = new Map<string, number[]>();
  readonly #broken = new Set<string>();
  #timer: NodeJS.Timeout | null = null;
  #lastLookMs = 0;
  #warned = 0;

  constructor(parts: WatchdogParts) {
    this.#parts = parts;
    parts.bus.onTell(POLICY_TABLE_TOPIC, (data) => this.#onTable(data as PolicyTable));
  }

  #onTable(table: PolicyTable): void {
    const known = this.#workers.get(table.thread);
    if (known !== undefined) known.table = table;
    else {
      this.#workers.set(table.thread, {
        watch: new PolicyWatch(table.memory),
        table,
        run: -1,
        sinceMs: -1,
        isReported: false,
        isEnding: false,
        beats: 0,
        beatMs: this.#parts.nowMs(),
      });
    }
    if (this.#timer === null) {
      this.#lastLookMs = this.#parts.nowMs();
      this.#timer = setInterval(() => this.look(), LOOK_EVERY_MS);
      this.#timer.unref();
    }
    if (table.modules >= this.#warned + MANY_MODULES) {
      this.#warned = table.modules;
      this.#parts.log.warn('many versions of policies were loaded; each stays in memory until a restart', {
        modules: table.modules,
      });
    }
  }

  /** Workers that ended take what they counted with them: keep it. */
  forgetAllBut(threads: ReadonlySet<number>): void {
    for (const [thread, { table, watch }] of this.#workers) {
      if (threads.has(thread)) continue;
      for (const { name, slot } of table.policies)
        for (const what of POLICY_COUNTS) this.#sumsOf(name).counts[what] += watch.read(slot, what);
      this.#workers.delete(thread);
    }
  }

  look(): void {
    const now = this.#parts.nowMs();
    // When this thread itself did not run, nothing can be said about the others.
    const wasAway = now - this.#lastLookMs > LOOK_EVERY_MS * 5;
    this.#lastLookMs = now;
    for (const [thread, worker] of this.#workers) {
      if (worker.watch.isSpoiled()) {
        this.#endSpoiled(thread, worker);
        continue;
      }
      const { slot, run } = worker.watch.running();
      if (slot < 0 || run !== worker.run || wasAway) {
        worker.run = slot < 0 ? -1 : run;
        worker.sinceMs = now;
        worker.isReported = false;
        this.#listen(thread, worker, wasAway || slot >= 0, now);
        continue;
      }
      this.#stillRunning(thread, worker, slot, now - worker.sinceMs);
    }
  }

  /** What all code of it shares was changed for good, so that nothing in it can be relied on. */
  #endSpoiled(thread: number, worker: Watched): void {
    if (worker.isEnding) return;
    worker.isEnding = true;
    this.#parts.log.error('a policy changed what all code shares for good; its worker is ended', {
      one_of: worker.table.policies.map(({ name }) => name),
    });
    this.#blame(worker.table.policies);
    void this.#parts.terminate(thread);
  }

  /** Which of several it was nobody can say, so none is taken out of use for it. */
  #blame(suspects: readonly PolicyEntry[]): void {
    const [only] = suspects;
    if (only === undefined || suspects.length > 1) return;
    this.#sumsOf(only.name).kills++;
    this.#countKill(only);
  }

  /**
   * A worker whose heart stands still while nothing says that it runs is in a loop behind an `await`, or in one that a
   * timer of a policy has begun, or that the gateway's own code runs into after a policy has changed what it relies on.
   */
  #listen(thread: number, worker: Watched, isExcused: boolean, now: number): void {
    const beats = worker.watch.beats();
    if (beats !== worker.beats || isExcused) {
      worker.beats = beats;
      worker.beatMs = now;
      return;
    }
    const forMs = now - worker.beatMs;
    const { policies } = worker.table;
    const waiting = policies.filter(({ slot }) => worker.watch.pending(slot) > 0);
    const suspects = waiting.length > 0 ? waiting : policies;
    // A busy machine keeps hearts waiting, too.
    const times = waiting.length > 0 ? 2 : 5;
    if (suspects.length === 0 || worker.isEnding || forMs < this.#parts.loopTimeoutMs() * times) return;
    worker.isEnding = true;
    this.#parts.log.error('a policy did not return; its worker is ended', {
      policy: suspects.length === 1 ? suspects[0]!.name : null,
      one_of: suspects.map(({ name }) => name),
      for_ms: Math.round(forMs),
    });
    this.#blame(suspects);
    void this.#parts.terminate(thread);
  }

  #stillRunning(thread: number, worker: Watched, slot: number, forMs: number): void {
    const entry = worker.table.policies.find((each) => each.slot === slot);
    if (entry === undefined || worker.isEnding) return;
    if (!worker.isReported) {
      worker.isReported = true;
      this.#parts.log.warn('a policy holds up a worker', { policy: entry.name, for_ms: Math.round(forMs) });
    }
    if (forMs < this.#parts.loopTimeoutMs()) return;
    worker.isEnding = true;
    this.#sumsOf(entry.name).kills++;
    this.#parts.log.error('a policy did not return; its worker is ended', {
      policy: entry.name,
      file: entry.file,
      for_ms: Math.round(forMs),
    });
    this.#countKill(entry);
    void this.#parts.terminate(thread);
  }

  #countKill(entry: PolicyEntry): void {
    const id = idOf(entry);
    const now = this.#parts.nowMs();
    const kills = [...(this.#kills.get(id) ?? []), now].filter((at) => now - at < WITHIN_MS);
    this.#kills.set(id, kills);
    if (kills.length < MOST_KILLS || this.#broken.has(id)) return;
    this.#broken.add(id);
    this.#parts.log.error('a policy is out of use until its file changes', { policy: entry.name, file: entry.file });
    this.#parts.bus.publish(BROKEN_POLICIES_TOPIC, [...this.#broken]);
  }

  metrics(): ExtraMetric[] {
    if (this.#workers.size === 0 && this.#sums.size === 0) return [];
    const tables = [...this.#workers.values()];
    const entries = new Map(tables.flatMap(({ table }) => table.policies.map((entry) => [entry.name, entry] as const)));
    const names = new Set([...entries.keys(), ...this.#sums.keys()]);
    const per = (value: (name: string) => number) =>
      [...names].sort().map((policy) => ({ labels: { policy }, value: value(policy) }));
    return [
      {
        name: 'gatehouse_policy_failures_total',
        type: 'counter',
        help: 'Hooks of users’ policies that threw, rejected or returned nothing usable',
        samples: per((name) => this.#total(name, 'failures')),
      },
      {
        name: 'gatehouse_policy_timeouts_total',
        type: 'counter',
        help: 'Hooks of users’ policies whose promise did not settle in time',
        samples: per((name) => this.#total(name, 'timeouts')),
      },
      {
        name: 'gatehouse_policy_late_results_total',
        type: 'counter',
        help: 'Results of users’ policies that came after their timeout and were ignored',
        samples: per((name) => this.#total(name, 'late')),
      },
      {
        name: 'gatehouse_policy_kills_total',
        type: 'counter',
        help: 'Workers ended because a user’s policy did not return',
        samples: per((name) => this.#sums.get(name)?.kills ?? 0),
      },
      {
        name: 'gatehouse_policy_out_of_use',
        type: 'gauge',
        help: '1 when a user’s policy is out of use until its file changes',
        samples: per((name) => {
          const entry = entries.get(name);
          return entry !== undefined && this.#broken.has(idOf(entry)) ? 1 : 0;
        }),
      },
      {
        name: 'gatehouse_policy_modules',
        type: 'gauge',
        help: 'Versions of users’ policy files in memory, of the worker with the most',
        samples: [{ labels: {}, value: Math.max(0, ...tables.map(({ table }) => table.modules)) }],
      },
    ];
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  #total(name: string, what: PolicyCount): number {
    let total = this.#sums.get(name)?.counts[what] ?? 0;
    for (const { table, watch } of this.#workers.values()) {
      const slot = table.policies.find((entry) => entry.name === name)?.slot;
      if (slot !== undefined) total += watch.read(slot, what);
    }
    return total;
  }

  #sumsOf(name: string): Sums {
    let sums = this.#sums.get(name);
    if (sums === undefined) {
      sums = { counts: { failures: 0, timeouts: 0, late: 0 }, kills: 0 };
      this.#sums.set(name, sums);
    }
    return sums;
  }
}
