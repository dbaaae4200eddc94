/**
 * One consumer of the configuration in this process: takes its lease, so that of all processes with the same store one
 * delivers, and runs it while it is held (delivery-run.ts). A process that dies is followed by another within the time
 * of a lease.
 */
import { messageOf } from '../../../base/errors.ts';
import type { Logger } from '../../../base/log.ts';
import type { Store } from '../../store/store.ts';
import { comparePositions } from '../engines/engine.ts';
import { Lease } from '../lease.ts';
import type { Feed } from '../subscribe/feed.ts';
import type { EventTables } from '../tables.ts';
import { type DeliveryCounts, DeliveryRun } from './delivery-run.ts';
import type { DeliveryStore } from './delivery-store.ts';
import type { ConsumerSettings } from './options.ts';
import type { ServiceCallers } from './service-callers.ts';

export interface ConsumerParts {
  readonly settings: ConsumerSettings;
  readonly streamTag: string;
  readonly store: Store<EventTables>;
  readonly deliveries: DeliveryStore;
  readonly callers: Pick<ServiceCallers, 'call' | 'isReady'>;
  readonly feed: Feed;
  readonly log: Logger;
  readonly counts: DeliveryCounts;
  readonly wallMs?: () => number;
  readonly random?: () => number;
}

/** Several times in the life of a lease. */
const TICK_MS = 2_000;
/** Calls that have ended by their own timeout are counted. */
const SETTLES_WITHIN_MS = 1_000;

export class Consumer {
  readonly settings: ConsumerSettings;
  readonly counts: DeliveryCounts;
  readonly feed: Feed;
  readonly #parts: ConsumerParts;
  readonly #lease: Lease;
  #timer: NodeJS.Timeout | undefined;
  #run: DeliveryRun | null = null;
  /** The stream was begun anew, and no run has begun since. */
  #isAnew = false;
  #turn: Promise<void> = Promise.resolve();
  #problem: string | null = null;
  #isStopped = false;

  constructor(parts: ConsumerParts) {
    this.#parts = parts;
    this.settings = parts.settings;
    this.counts = parts.counts;
    this.feed = parts.feed;
    this.#lease = new Lease(parts.store, `consumer:${parts.settings.name}`, parts.wallMs);
  }

  start(): void {
    this.#timer = setInterval(() => void this.look(), TICK_MS);
    void this.look();
  }

  /** At once what happens every two seconds: the lease, and rows that were replayed. */
  look(): Promise<void> {
    this.#turn = this.#turn.then(() => this.#look());
    return this.#turn;
  }

  async #look(): Promise<void> {
    if (this.#isStopped) return;
    try {
      const isHeld = await this.#lease.take(this.settings.stream);
      if (isHeld && this.#isAnew && this.#run !== null) await this.#leave(this.#run);
      if (isHeld && this.#run === null) await this.#begin();
      else if (isHeld) await this.#run?.lookForReplayed();
      else await this.#end(0);
      this.#problem = null;
    } catch (error) {
      this.#problem = messageOf(error);
      // Another may hold the lease by now.
      if (!this.#lease.isHeld) await this.#end(0);
    }
  }

  async #begin(): Promise<void> {
    const { deliveries, wallMs = Date.now, random = Math.random, ...parts } = this.#parts;
    const onBegunAnew = (): void => {
      this.#isAnew = true;
      void this.look();
    };
    const run = new DeliveryRun({ ...parts, store: deliveries, wallMs, random, onBegunAnew });
    const isAnew = this.#isAnew;
    this.#isAnew = false;
    try {
      await run.start(isAnew);
    } catch (error) {
      this.#isAnew ||= isAnew;
      throw error;
    }
    this.#run = run;
  }

  async #leave(run: DeliveryRun): Promise<void> {
    await run.leave(this.settings.timeoutMs + SETTLES_WITHIN_MS);
    this.#run = null;
  }

  async #end(waitMs: number): Promise<void> {
    const run = this.#run;
    this.#run = null;
    await run?.stop(waitMs);
  }

  /** This process delivers. */
  get isHere(): boolean {
    return this.#run !== null;
  }

  get position(): string | null {
    return this.#run?.position ?? null;
  }

  get pending(): number {
    return this.#run?.pending ?? 0;
  }

  /** Null while it goes well, or runs elsewhere. */
  get problem(): string | null {
    return this.#problem ?? this.#run?.problem ?? null;
  }

  /** Positions between what was finished and the newest event, where the engine counts them one by one; else null. */
  get lag(): number | null {
    const { head } = this.feed;
    if (this.#run === null) return null;
    if (head === null) return 0;
    const { position } = this;
    if (head.includes('-')) return null;
    // Nothing was finished yet: all of the stream is to come.
    if (position === null) return Number(BigInt(head));
    return comparePositions(head, position) > 0 ? Number(BigInt(head) - BigInt(position)) : 0;
  }

  async stop(waitMs: number): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#timer);
    await this.#turn;
    await this.#end(waitMs);
    if (this.#lease.isHeld) await this.#lease.release().catch(() => {});
  }
}
