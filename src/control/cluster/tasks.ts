/**
 * Tasks for workers: callers put them in, the queen gives each to a node (scheduler.ts), the node accepts, reports
 * progress and finishes. At least once: a task whose node falls silent goes to another one, up to `maxAttempts`; a
 * dedupe id makes putting it in twice the same as once. A report for an attempt that is no longer the node's is
 * refused, so that a slow node cannot finish what another one is doing.
 */
import { randomUUID } from 'node:crypto';
import type { Selectable, Transaction } from 'kysely';
import { readDatabaseTime } from '../store/database-time.ts';
import type { Store } from '../store/store.ts';
import { addEvent } from './events.ts';
import { ClusterRefusal, conflict, notFound } from './refusal.ts';
import type { ClusterTables, TaskRow } from './tables.ts';

export type TaskState = 'queued' | 'assigned' | 'running' | 'done' | 'failed' | 'cancelled';

export interface Task {
  readonly id: string;
  readonly kind: string;
  readonly payload: unknown;
  readonly selector: Readonly<Record<string, string>>;
  readonly affinity: Readonly<Record<string, string>>;
  readonly priority: number;
  readonly state: TaskState;
  readonly nodeId: string | null;
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly timeoutMs: number;
  readonly leaseUntilMs: number | null;
  readonly progress: number;
  readonly result: unknown;
  readonly error: string | null;
  readonly createdBy: string;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

export interface NewTask {
  readonly kind: string;
  readonly payload: unknown;
  readonly selector: Readonly<Record<string, string>>;
  readonly affinity: Readonly<Record<string, string>>;
  readonly priority: number;
  readonly maxAttempts: number;
  /** Longest silence of a node that works on it. */
  readonly timeoutMs: number;
  readonly dedupe: string | null;
  readonly createdBy: string;
}

export interface TaskReport {
  readonly attempt: number;
  readonly progress?: number | undefined;
}

/** Waiting and running tasks of the whole cluster. */
const MAX_OPEN_TASKS = 100_000;
const OPEN: readonly TaskState[] = ['queued', 'assigned', 'running'];
/** Finished tasks can be read for a day. */
export const KEPT_MS = 86_400_000;
const RETRY_BASE_MS = 1_000;
const RETRY_MAX_MS = 60_000;

export class Tasks {
  readonly #store: Store<ClusterTables>;

  constructor(store: Store<ClusterTables>) {
    this.#store = store;
  }

  /** `isNew` is false when a task with this dedupe id is there already: it is returned, whatever its state. */
  async create(wanted: NewTask): Promise<{ task: Task; isNew: boolean }> {
    const { dialect } = this.#store;
    return await this.#store.transaction(async (trx) => {
      const now = await readDatabaseTime(trx, dialect);
      const id = randomUUID();
      const row = await trx
        .insertInto('cluster_tasks')
        .values({
          id,
          kind: wanted.kind,
          payload: JSON.stringify(wanted.payload ?? null),
          selector: JSON.stringify(wanted.selector),
          affinity: JSON.stringify(wanted.affinity),
          dedupe: wanted.dedupe,
          priority: wanted.priority,
          state: 'queued',
          node_id: null,
          attempt: 0,
          max_attempts: wanted.maxAttempts,
          timeout_ms: wanted.timeoutMs,
          lease_until: null,
          not_before: now,
          progress: 0,
          result: null,
          error: null,
          created_by: wanted.createdBy,
          created_at: now,
          updated_at: now,
        })
        .onConflict((taken) => taken.column('dedupe').doNothing())
        .returningAll()
        .executeTakeFirst();
      if (row === undefined) return { task: await this.#withDedupe(trx, wanted), isNew: false };
      const { count } = await trx
        .selectFrom('cluster_tasks')
        .select(({ fn }) => fn.countAll().as('count'))
        .where('state', 'in', OPEN)
        .executeTakeFirstOrThrow();
      if (Number(count) > MAX_OPEN_TASKS)
        throw new ClusterRefusal(503, 'SERVICE_UNAVAILABLE', `more than ${MAX_OPEN_TASKS} tasks are waiting`);
      return { task: shown(row), isNew: true };
    });
  }

  async #withDedupe(trx: Transaction<ClusterTables>, wanted: NewTask): Promise<Task> {
    const row = await trx
      .selectFrom('cluster_tasks')
      .selectAll()
      .where('dedupe', '=', wanted.dedupe)
      .executeTakeFirstOrThrow();
    if (row.kind !== wanted.kind || row.payload !== JSON.stringify(wanted.payload ?? null))
      throw new ClusterRefusal(422, 'IDEMPOTENCY_KEY_REUSED', 'this dedupe id belongs to a task with other content');
    return shown(row);
  }

  async get(id: string): Promise<Task> {
    const row = await this.#store.db.selectFrom('cluster_tasks').selectAll().where('id', '=', id).executeTakeFirst();
    if (row === undefined) throw notFound('task', id);
    return shown(row);
  }

  /** Newest first. */
  async list({ state, kind, limit }: { state?: TaskState; kind?: string; limit: number }): Promise<readonly Task[]> {
    let query = this.#store.db.selectFrom('cluster_tasks').selectAll();
    if (state !== undefined) query = query.where('state', '=', state);
    if (kind !== undefined) query = query.where('kind', '=', kind);
    return (await query.orderBy('created_at', 'desc').limit(limit).execute()).map(shown);
  }

  /** What the node has to do and has not accepted yet. */
  async assignedTo(nodeId: string, limit: number): Promise<readonly Task[]> {
    const rows = await this.#store.db
      .selectFrom('cluster_tasks')
      .selectAll()
      .where('node_id', '=', nodeId)
      .where('state', '=', 'assigned')
      .orderBy('priority', 'desc')
      .orderBy('created_at')
      .limit(limit)
      .execute();
    return rows.map(shown);
  }

  /** The node begins. */
  accept(id: string, nodeId: string, { attempt }: TaskReport): Promise<Task> {
    return this.#report(id, nodeId, attempt, ['assigned', 'running'], (task, now) => ({
      state: 'running',
      lease_until: now + task.timeoutMs,
    }));
  }

  /** A sign of life, with how far it is (0 to 1). */
  progress(id: string, nodeId: string, { attempt, progress }: TaskReport): Promise<Task> {
    return this.#report(id, nodeId, attempt, ['running'], (task, now) => ({
      lease_until: now + task.timeoutMs,
      ...(progress === undefined ? {} : { progress }),
    }));
  }

  async complete(id: string, nodeId: string, attempt: number, result: unknown): Promise<Task> {
    return await this.#report(id, nodeId, attempt, ['assigned', 'running'], () => ({
      state: 'done',
      progress: 1,
      lease_until: null,
      result: JSON.stringify(result ?? null),
      error: null,
    }));
  }

  /** The node gives up: another try later, elsewhere if it can be, unless `isFinal` or the attempts are used up. */
  async fail(id: string, nodeId: string, attempt: number, error: string, isFinal: boolean): Promise<Task> {
    return await this.#report(id, nodeId, attempt, ['assigned', 'running'], (task, now) =>
      isFinal || task.attempt >= task.maxAttempts
        ? { state: 'failed', lease_until: null, error }
        : { ...requeued(task.attempt, now), error },
    );
  }

  async cancel(id: string): Promise<Task> {
    const { dialect } = this.#store;
    return await this.#store.transaction(async (trx) => {
      const now = await readDatabaseTime(trx, dialect);
      const row = await trx
        .updateTable('cluster_tasks')
        .set({ state: 'cancelled', lease_until: null, updated_at: now })
        .where('id', '=', id)
        .where('state', 'in', OPEN)
        .returningAll()
        .executeTakeFirst();
      if (row !== undefined) return shown(row);
      const former = await trx.selectFrom('cluster_tasks').select('state').where('id', '=', id).executeTakeFirst();
      if (former === undefined) throw notFound('task', id);
      throw conflict('TASK_OVER', `the task is ${former.state} already`);
    });
  }

  async #report(
    id: string,
    nodeId: string,
    attempt: number,
    from: readonly TaskState[],
    change: (task: Task, now: number) => Partial<TaskRow>,
  ): Promise<Task> {
    const { dialect } = this.#store;
    return await this.#store.transaction(async (trx) => {
      const now = await readDatabaseTime(trx, dialect);
      const select = trx.selectFrom('cluster_tasks').selectAll().where('id', '=', id);
      const former = await (dialect === 'postgres' ? select.forUpdate() : select).executeTakeFirst();
      if (former === undefined) throw notFound('task', id);
      const task = shown(former);
      if (task.nodeId !== nodeId || task.attempt !== attempt || !from.includes(task.state))
        throw conflict('TASK_NOT_YOURS', `attempt ${attempt} is no longer this node's: the task is ${task.state}`);
      const row = await trx
        .updateTable('cluster_tasks')
        .set({ ...change(task, now), updated_at: now })
        .where('id', '=', id)
        .returningAll()
        .executeTakeFirstOrThrow();
      if (row.state === 'done' || row.state === 'failed')
        await addEvent(trx, dialect, {
          type: `task.${row.state}`,
          subject: id,
          data: { kind: row.kind, node: nodeId },
        });
      return shown(row);
    });
  }
}

/** Back into the queue, with exponential back-off. */
export function requeued(attempt: number, now: number): Partial<TaskRow> {
  const delayMs = Math.min(RETRY_MAX_MS, RETRY_BASE_MS * 2 ** Math.max(0, attempt - 1));
  return { state: 'queued', node_id: null, lease_until: null, not_before: now + delayMs };
}

export function shown(row: Selectable<TaskRow>): Task {
  return {
    id: row.id,
    kind: row.kind,
    payload: JSON.parse(row.payload) as unknown,
    selector: JSON.parse(row.selector) as Record<string, string>,
    affinity: JSON.parse(row.affinity) as Record<string, string>,
    priority: row.priority,
    state: row.state as TaskState,
    nodeId: row.node_id,
    attempt: row.attempt,
    maxAttempts: row.max_attempts,
    timeoutMs: Number(row.timeout_ms),
    leaseUntilMs: row.lease_until === null ? null : Number(row.lease_until),
    progress: row.progress,
    result: row.result === null ? null : (JSON.parse(row.result) as unknown),
    error: row.error,
    createdBy: row.created_by,
    createdAtMs: Number(row.created_at),
    updatedAtMs: Number(row.updated_at),
  };
}
