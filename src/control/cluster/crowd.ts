/**
 * How many gateways share the store, so that what each of them asks it for does not grow with their number: what all do
 * every second is done less often by each, the more there are. Counted about once a minute; owner: the process.
 */
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Cancel, Timers } from '../../base/system-timers.ts';
import { jittered } from '../../base/system-timers.ts';
import type { Store } from '../store/store.ts';
import type { ClusterTables } from './tables.ts';

export interface CrowdParts {
  readonly store: Store<ClusterTables>;
  readonly timers: Timers;
  readonly log: Logger;
  readonly random: () => number;
}

const COUNT_EVERY_MS = 60_000;
/** After a start the others are still coming. */
const FIRST_COUNT_MS = 5_000;

export class Crowd {
  readonly #parts: CrowdParts;
  #gateways = 1;
  #cancel: Cancel = () => {};
  #isClosed = false;

  constructor(parts: CrowdParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#schedule(FIRST_COUNT_MS);
  }

  /** As of the last count; 1 before the first. */
  get gateways(): number {
    return this.#gateways;
  }

  /** `baseMs`, or as much longer as it takes that all gateways together do it at most `perSecond` times a second. */
  pacedMs(baseMs: number, perSecond: number): number {
    return Math.max(baseMs, (this.#gateways / perSecond) * 1_000);
  }

  /**
   * The time until the next turn. Where many share a pace, each turn falls anywhere in twice its length, so that they
   * spread evenly however they started.
   */
  turnMs(baseMs: number, perSecond: number): number {
    const { random } = this.#parts;
    const paced = this.pacedMs(baseMs, perSecond);
    return paced > baseMs ? 2 * paced * random() : jittered(baseMs, 0.2, random);
  }

  async count(): Promise<void> {
    const { store, log } = this.#parts;
    try {
      const { count } = await store.db
        .selectFrom('cluster_nodes')
        .select(({ fn }) => fn.countAll().as('count'))
        .where('kind', '=', 'gateway')
        .where('state', '<>', 'left')
        .where('gone', '=', 0)
        .executeTakeFirstOrThrow();
      this.#gateways = Math.max(1, Number(count));
    } catch (error) {
      log.debug('the gateways of the cluster could not be counted', { reason: messageOf(error) });
    }
  }

  #schedule(ms: number): void {
    this.#cancel = this.#parts.timers.after(jittered(ms, 0.5, this.#parts.random), () => {
      void this.count().then(() => {
        if (!this.#isClosed) this.#schedule(COUNT_EVERY_MS);
      });
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel();
  }
}
