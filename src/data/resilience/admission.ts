/**
 * How many requests a service gets at once: a fixed limit over all workers, an adaptive one per worker, and a bounded
 * queue with a deadline before either. Without limits it only counts. Owner: one service in one worker.
 *
 * Room that this worker frees goes to its own queue at once; room that other workers free is seen by a timer that runs
 * only while requests wait. A worker whose queue is served leaves a share of the room to the queues of others, else the
 * worker that holds all places would keep them for ever.
 *
 * One address has a share: of the adaptive limit and of the queue it holds so much at most. Of a fixed limit, which is
 * over all workers, the last part is for addresses that hold nothing of it in this worker.
 */
import { FAULTS, Fault } from '../../base/errors.ts';
import type { InstanceTable } from '../contract/instance-table.ts';
import type { ConcurrencySettings } from '../contract/snapshot.ts';
import type { Source } from '../wire/sources.ts';
import { AdaptiveLimit } from './adaptive-limit.ts';
import type { ServiceEnvironment } from './environment.ts';
import type { ServiceEvents } from './events.ts';
import { overloaded, queueTimeout, shuttingDown } from './refusals.ts';
import type { AttemptWaiter } from './wait-queue.ts';
import { sourceOf, WaitQueue } from './wait-queue.ts';

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
  #addressShare = 1;
  /** In flight by address, counted while there is a limit to share. */
  readonly #held = new Map<Source, number>();
  readonly #maySource = (source: Source | null): boolean => this.#mayEnter(source);
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

  configure(settings: ConcurrencySettings | null, addressShare = 1): void {
    this.#settings = settings;
    this.#addressShare = addressShare;
    if (settings === null) this.#held.clear();
    if (settings?.adaptive !== true) this.adaptive = null;
    else this.adaptive ??= new AdaptiveLimit(this.#env.random);
  }

  get queued(): number {
    return this.#queue.size;
  }

  /** True, and counted, if there is room and no request waits longer. */
  tryEnter(waiter: AttemptWaiter): boolean {
    const settings = this.#settings;
    if (settings !== null) {
      if (this.#queue.size > 0 && waiter !== this.#admitting && this.#queue.next(this.#maySource) !== undefined)
        return false;
      if (!this.#mayEnter(sourceOf(waiter))) return false;
    }
    if (this.adaptive !== null && this.localInFlight >= this.adaptive.limit) return false;
    if (!this.#table.enterService(this.#slot, this.#worker, settings?.maxPerService ?? 0)) return false;
    this.localInFlight++;
    if (settings !== null) this.#count(sourceOf(waiter), 1);
    return true;
  }

  #mayEnter(source: Source | null): boolean {
    const share = this.#addressShare;
    if (source === null || share >= 1) return true;
    const held = this.#held.get(source) ?? 0;
    if (held === 0) return true;
    if (this.adaptive !== null && held >= Math.ceil(this.adaptive.limit * share)) return false;
    const max = this.#settings?.maxPerService ?? 0;
    return max === 0 || this.#table.serviceInFlight(this.#slot) < Math.ceil(max * share);
  }

  #count(source: Source | null, change: 1 | -1): void {
    if (source === null) return;
    const held = (this.#held.get(source) ?? 0) + change;
    if (held > 0) this.#held.set(source, held);
    else this.#held.delete(source);
  }

  /**
   * The attempt is over, or found no instance. Those who wait are admitted by `admitWaiting`, when all is counted out.
   */
  leave(source: Source | null = null): void {
    this.localInFlight--;
    if (this.#held.size > 0) this.#count(source, -1);
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
    const source = sourceOf(waiter);
    const share = this.#addressShare;
    if (source !== null && share < 1 && this.#queue.sizeOf(source) >= Math.ceil(settings.maxQueued * share)) {
      this.#events.count('overloaded');
      return new Fault(FAULTS.overloaded, {
        cause: `${source.name} waits ${this.#queue.sizeOf(source)} times, as often as one address may`,
        retryAfterSeconds: 1,
      });
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
    for (let waiter = this.#queue.next(all); waiter !== undefined; waiter = this.#queue.next(all)) {
      this.forget(waiter);
      waiter.onRefused(shuttingDown());
    }
  }

  #admit(): void {
    if (this.#admitting !== null) return; // the loop further up the stack goes on
    const may = this.#maySource;
    for (let waiter = this.#queue.next(may); waiter !== undefined && this.#hasRoom(); waiter = this.#queue.next(may)) {
      this.#admitting = waiter;
      this.#stillWaits = false;
      this.#queue.rotate(sourceOf(waiter));
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
    for (let waiter = this.#queue.expired(nowMs); waiter !== undefined; waiter = this.#queue.expired(nowMs)) {
      this.forget(waiter);
      this.#events.count('queueTimeouts');
      waiter.onRefused(queueTimeout());
    }
  }
}

const all = (): boolean => true;

/** As exact as Node is: `systemTimers` would look a millisecond later, since it never fires early. */
function scheduleTimeout(task: () => void, ms: number): () => void {
  // biome-ignore lint/style/noRestrictedGlobals: see above
  const timer = setTimeout(task, ms).unref();
  return () => clearTimeout(timer);
}
