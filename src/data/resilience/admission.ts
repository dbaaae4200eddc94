/**
 * How many requests a service gets at once: a fixed limit over all workers, an adaptive one per worker, and a bounded
 * queue with a deadline before either. Without limits it only counts. Owner: one service in one worker.
 *
 * Room that this worker frees goes to its own queue at once; room that other workers free is seen by a timer that runs
 * only while somebody waits. A worker whose queue is served leaves a share of the room to the queues of others, else
 * the worker that holds all places would keep them for ever.
 */
import type { Fault } from '../../base/errors.ts';
import type { InstanceTable } from '../contract/instance-table.ts';
import type { ConcurrencySettings } from '../contract/snapshot.ts';
import { AdaptiveLimit } from './adaptive-limit.ts';
import type { ServiceEnvironment } from './environment.ts';
import type { ServiceEvents } from './events.ts';
import { overloaded, queueTimeout, shuttingDown } from './refusals.ts';
import type { AttemptWaiter } from './wait-queue.ts';
import { WaitQueue } from './wait-queue.ts';

const POLL_MS = 2;

export class Admission {
  /** In flight from this worker. */
  localInFlight = 0;
  adaptive: AdaptiveLimit | null = null;
  #settings: ConcurrencySettings | null = null;
  readonly #table: InstanceTable;
  readonly #slot: number;
  readonly #worker: number;
  readonly #env: Pick<ServiceEnvironment<never>, 'clock' | 'random' | 'schedule'>;
  readonly #events: Pick<ServiceEvents, 'count'>;
  readonly #queue = new WaitQueue();
  /** Whose turn it is while `onAdmitted` runs, and whether it has to go on waiting. */
  #admitting: AttemptWaiter | null = null;
  #stillWaits = false;
  #cancelPoll: (() => void) | null = null;

  constructor(
    table: InstanceTable,
    slot: number,
    worker: number,
    env: Pick<ServiceEnvironment<never>, 'clock' | 'random' | 'schedule'>,
    events: Pick<ServiceEvents, 'count'>,
  ) {
    this.#table = table;
    this.#slot = slot;
    this.#worker = worker;
    this.#env = env;
    this.#events = events;
  }

  configure(settings: ConcurrencySettings | null): void {
    this.#settings = settings;
    if (settings?.adaptive !== true) this.adaptive = null;
    else this.adaptive ??= new AdaptiveLimit(this.#env.random);
  }

  get queued(): number {
    return this.#queue.size;
  }

  /** True, and counted, if there is room and nobody waits longer. */
  tryEnter(waiter: AttemptWaiter): boolean {
    if (this.#queue.size > 0 && waiter !== this.#admitting && this.#settings !== null) return false;
    if (this.adaptive !== null && this.localInFlight >= this.adaptive.limit) return false;
    if (!this.#table.enterService(this.#slot, this.#worker, this.#settings?.maxPerService ?? 0)) return false;
    this.localInFlight++;
    return true;
  }

  /** The attempt is over, or found no instance. Those who wait are admitted by `admitWaiting`, when all is counted out. */
  leave(): void {
    this.localInFlight--;
    this.#table.leaveService(this.#slot, this.#worker);
  }

  /** No room: a place in the queue, or a refusal when that is full. */
  wait(waiter: AttemptWaiter, nowMs: number): 'wait' | Fault {
    if (waiter === this.#admitting) {
      this.#stillWaits = true;
      return 'wait';
    }
    if (this.#queue.has(waiter)) return 'wait';
    const settings = this.#settings;
    if (settings === null || this.#queue.size >= settings.maxQueued || settings.queueTimeoutMs <= 0) {
      this.#events.count('overloaded');
      return overloaded();
    }
    this.#queue.push(waiter, nowMs + settings.queueTimeoutMs);
    this.#table.addWaiting(this.#slot, this.#worker, 1);
    this.#events.count('queued');
    this.#schedulePoll();
    return 'wait';
  }

  /** `pick` gave the waiter something else than 'wait', or it left. */
  forget(waiter: AttemptWaiter): void {
    if (this.#queue.remove(waiter)) this.#table.addWaiting(this.#slot, this.#worker, -1);
  }

  /** Called when an attempt has ended. */
  admitWaiting(): void {
    const own = this.#queue.size;
    if (own === 0) return;
    const all = this.#table.serviceWaiting(this.#slot);
    if (all > own && this.#env.random() * all >= own) return; // this room is for another worker's queue
    this.#admit();
  }

  dispose(): void {
    this.#cancelPoll?.();
    this.#cancelPoll = null;
    for (let waiter = this.#queue.first(); waiter !== undefined; waiter = this.#queue.first()) {
      this.forget(waiter);
      waiter.onRefused(shuttingDown());
    }
  }

  #admit(): void {
    if (this.#admitting !== null) return; // the loop further up the stack goes on
    for (let waiter = this.#queue.first(); waiter !== undefined && this.#hasRoom(); waiter = this.#queue.first()) {
      this.#admitting = waiter;
      this.#stillWaits = false;
      try {
        waiter.onAdmitted();
      } finally {
        this.#admitting = null;
        if (!this.#stillWaits) this.forget(waiter);
      }
      if (this.#stillWaits) return;
    }
  }

  #hasRoom(): boolean {
    if (this.adaptive !== null && this.localInFlight >= this.adaptive.limit) return false;
    const max = this.#settings?.maxPerService ?? 0;
    return max === 0 || this.#table.serviceInFlight(this.#slot) < max;
  }

  #schedulePoll(): void {
    if (this.#cancelPoll !== null) return;
    const poll = (): void => {
      this.#cancelPoll = null;
      this.#expire(this.#env.clock.monotonicMs());
      this.#admit();
      if (this.#queue.size > 0) this.#schedulePoll();
    };
    this.#cancelPoll = (this.#env.schedule ?? scheduleTimeout)(poll, POLL_MS);
  }

  #expire(nowMs: number): void {
    for (let waiter = this.#queue.first(); waiter !== undefined; waiter = this.#queue.first()) {
      if (this.#queue.deadlineOf(waiter) > nowMs) return;
      this.forget(waiter);
      this.#events.count('queueTimeouts');
      waiter.onRefused(queueTimeout());
    }
  }
}

function scheduleTimeout(task: () => void, ms: number): () => void {
  const timer = setTimeout(task, ms).unref();
  return () => clearTimeout(timer);
}
