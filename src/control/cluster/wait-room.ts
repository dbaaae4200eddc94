/**
 * Where the long polls of nodes wait: one question to the store, four times a second (less often where many gateways
 * ask) and only while nodes wait, says which nodes have something, however many wait. Owner: the process; each
 * gateway has its own.
 */
import { sql } from 'kysely';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Cancel, Timers } from '../../base/system-timers.ts';
import type { Store } from '../store/store.ts';
import type { Crowd } from './crowd.ts';
import type { ClusterTables } from './tables.ts';

const POLL_MS = 250;
/** By all gateways together. */
const ALL_PER_SECOND = 100;

export class WaitRoom {
  readonly #store: Store<ClusterTables>;
  readonly #timers: Timers;
  readonly #log: Logger;
  readonly #crowd: Pick<Crowd, 'pacedMs'>;
  readonly #waiting = new Map<string, Set<() => void>>();
  #isPolling = false;
  #cancel: Cancel = () => {};

  constructor(store: Store<ClusterTables>, timers: Timers, log: Logger, crowd: Pick<Crowd, 'pacedMs'>) {
    this.#store = store;
    this.#timers = timers;
    this.#log = log;
    this.#crowd = crowd;
  }

  /** Resolves when the node may have something, after `ms`, or when the signal aborts the wait. */
  wait(nodeId: string, ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const waiters = this.#waiting.get(nodeId) ?? new Set();
      const done = (): void => {
        cancelTimer();
        signal.removeEventListener('abort', done);
        waiters.delete(done);
        if (waiters.size === 0 && this.#waiting.get(nodeId) === waiters) this.#waiting.delete(nodeId);
        resolve();
      };
      const cancelTimer = this.#timers.after(ms, done);
      signal.addEventListener('abort', done, { once: true });
      waiters.add(done);
      this.#waiting.set(nodeId, waiters);
      if (signal.aborted) done();
      else if (!this.#isPolling) this.#schedule();
    });
  }

  #schedule(): void {
    this.#isPolling = true;
    this.#cancel = this.#timers.after(this.#crowd.pacedMs(POLL_MS, ALL_PER_SECOND), () => void this.#poll());
  }

  async #poll(): Promise<void> {
    try {
      const { rows } = await sql<{ id: string }>`
        select distinct node_id as id from cluster_tasks where state = 'assigned'
        union select distinct to_node as id from cluster_messages where acked_at is null`.execute(this.#store.db);
      for (const { id } of rows) for (const wake of [...(this.#waiting.get(id) ?? [])]) wake();
    } catch (error) {
      this.#log.debug('the store did not say what waits for nodes', { reason: messageOf(error) });
    }
    if (this.#waiting.size > 0) this.#schedule();
    else this.#isPolling = false;
  }

  /** Everybody goes home. */
  close(): void {
    this.#cancel();
    for (const waiters of [...this.#waiting.values()]) for (const wake of [...waiters]) wake();
  }
}
