/**
 * What only the queen does, while it holds the lease: notices nodes that are gone, gives tasks to workers, moves the
 * open rollout on, and forgets what is old. All of a round is one transaction behind the fence, so that it happens
 * whole or not at all, and never by a queen whose time is over.
 */
import type { Transaction } from 'kysely';
import { sql } from 'kysely';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Cancel, Timers } from '../../base/system-timers.ts';
import { readDatabaseTime } from '../store/database-time.ts';
import type { Store } from '../store/store.ts';
import { addEvent, pruneEvents } from './events.ts';
import { pruneFacts } from './fact-board.ts';
import type { Fence } from './fence.ts';
import { FencedError } from './fence.ts';
import type { Members } from './members.ts';
import type { Messages } from './messages.ts';
import { advanceRollout, type RolloutEnd } from './rollout-steps.ts';
import { pruneTasks, schedule } from './scheduler.ts';
import type { ClusterTables } from './tables.ts';

export interface QueenParts {
  readonly store: Store<ClusterTables>;
  readonly fence: Fence;
  readonly members: Members;
  readonly messages: Messages;
  readonly nodeName: string;
  readonly timers: Timers;
  readonly log: Logger;
  /** The fence refused a write: the lease must be asked for again. */
  readonly onFenced: () => void;
  /** How long a round waits for the next; default 1,000. */
  readonly tickMs?: number;
}

const TICK_MS = 1_000;
/** While a rollout is open, so that it does not wait for the queen. */
const FAST_TICK_MS = 250;
const PRUNE_EVERY = 60;
/** Further ahead no time of a row can be: it was written before the clock was set back. */
const FUTURE_MS = 60_000;

export class Queen {
  readonly #parts: QueenParts;
  /** Rollouts that this process has seen to their end as the queen, by how they ended. */
  readonly ended = new Map<string, { readonly end: RolloutEnd; count: number }>();
  #epoch: number | null = null;
  #rounds = 0;
  /** The store's time of the last round; before the first one every time is a step back. */
  #lastNow = Number.POSITIVE_INFINITY;
  #cancel: Cancel = () => {};
  #running: Promise<void> = Promise.resolve();

  constructor(parts: QueenParts) {
    this.#parts = parts;
  }

  /** Takes office with this epoch, or leaves it. */
  reign(epoch: number | null): void {
    this.#cancel();
    this.#epoch = epoch;
    if (epoch === null) return;
    this.#running = this.#running.then(() => this.#takeOffice(epoch));
  }

  async #takeOffice(epoch: number): Promise<void> {
    const { fence, store, nodeName } = this.#parts;
    await this.#guarded(() =>
      fence.write(epoch, (trx) =>
        addEvent(trx, store.dialect, { type: 'queen.elected', subject: nodeName, data: { epoch }, epoch }),
      ),
    );
    if (this.#epoch === epoch) await this.#round(epoch);
  }

  async #round(epoch: number): Promise<void> {
    let isBusy = false;
    await this.#guarded(async () => {
      isBusy = await this.work(epoch);
    });
    if (this.#epoch !== epoch) return;
    const tickMs = isBusy ? FAST_TICK_MS : (this.#parts.tickMs ?? TICK_MS);
    this.#cancel = this.#parts.timers.after(tickMs, () => {
      this.#running = this.#round(epoch);
    });
  }

  /** One round. True while a rollout is open. */
  async work(epoch: number): Promise<boolean> {
    const { fence, store, members, messages } = this.#parts;
    const { dialect } = store;
    const advance = await fence.write(epoch, async (trx) => {
      const now = await readDatabaseTime(trx, dialect);
      if (now < this.#lastNow) await forgetFuture(trx, now);
      this.#lastNow = now;
      const nodes = await members.list({ trx });
      const rows = await trx.selectFrom('cluster_nodes').select('id').where('gone', '=', 0).execute();
      const knownToBeThere = new Set(rows.map(({ id }) => id));
      for (const { id, name, presence } of nodes) {
        if (presence !== 'gone' || !knownToBeThere.has(id)) continue;
        await trx.updateTable('cluster_nodes').set({ gone: 1 }).where('id', '=', id).execute();
        await addEvent(trx, dialect, { type: 'node.gone', subject: id, data: { name }, epoch });
      }
      await schedule(trx, dialect, nodes, now, epoch);
      if (this.#rounds % PRUNE_EVERY === 0) {
        await pruneTasks(trx, now);
        await pruneEvents(trx);
        await pruneFacts(trx, now);
        await members.prune(trx, now, epoch);
      }
      return await advanceRollout(trx, dialect, nodes, now, epoch);
    });
    if (this.#rounds++ % PRUNE_EVERY === 0) await messages.prune();
    if (typeof advance === 'object') this.#count(advance);
    return advance !== 'idle';
  }

  #count(end: RolloutEnd): void {
    const key = `${end.state} ${end.isJudged}`;
    const known = this.ended.get(key) ?? { end, count: 0 };
    known.count++;
    this.ended.set(key, known);
    if (end.state === 'done' && !end.isJudged)
      this.#parts.log.warn('a version of the cluster runs everywhere that could not be judged: too little traffic');
  }

  async #guarded(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (error instanceof FencedError) {
        this.#parts.log.warn('this node is no longer the queen: another one has written', { reason: error.message });
        this.#epoch = null;
        this.#parts.onFenced();
      } else this.#parts.log.warn('the work of the queen waits for the store', { reason: messageOf(error) });
    }
  }

  async close(): Promise<void> {
    this.#epoch = null;
    this.#cancel();
    await this.#running;
    this.#cancel();
  }
}

/**
 * Of a time before the store's clock was set back: until it has caught up a dead node would be alive, a task waited
 * for.
 */
async function forgetFuture(trx: Transaction<ClusterTables>, now: number): Promise<void> {
  const limit = now + FUTURE_MS;
  await trx.updateTable('cluster_nodes').set({ seen_at: now }).where('seen_at', '>', limit).execute();
  await trx.updateTable('cluster_rollouts').set({ state_at: now }).where('state_at', '>', limit).execute();
  await trx
    .updateTable('cluster_tasks')
    .set((set) => ({ lease_until: sql<number>`${now} + ${set.ref('timeout_ms')}`, not_before: now, updated_at: now }))
    .where('updated_at', '>', limit)
    .where('state', 'in', ['queued', 'assigned', 'running'])
    .execute();
}
