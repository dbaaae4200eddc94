/**
 * What happened in the cluster, in order: an append-only table that every node reads and that the API streams. Ids grow
 * by commit order, so that a reader that resumes after an id misses nothing. Old events are pruned by the queen.
 */
import type { Kysely, Transaction } from 'kysely';
import { sql } from 'kysely';
import { databaseNow } from '../store/database-time.ts';
import type { Store, StoreDialect } from '../store/store.ts';
import type { ClusterTables } from './tables.ts';

export interface ClusterEvent {
  readonly id: number;
  /** Database time. */
  readonly atMs: number;
  /** Such as `node.joined`; docs/guide/cluster.md lists them. */
  readonly type: string;
  /** Id of the node, task, rollout or message that it is about. */
  readonly subject: string;
  readonly data: Readonly<Record<string, unknown>>;
  /** Of the queen that wrote it; null for what nodes and callers did. */
  readonly epoch: number | null;
}

export interface NewEvent {
  readonly type: string;
  readonly subject: string;
  readonly data?: Readonly<Record<string, unknown>>;
  readonly epoch?: number;
}

/** Any fixed number; serialises the writers of events in PostgreSQL, where ids are given before commits. */
const LOCK = 4_711_027;
/** Events that are kept, whatever their age. */
const KEPT_EVENTS = 10_000;

export async function addEvent(
  trx: Transaction<ClusterTables>,
  dialect: StoreDialect,
  { type, subject, data = {}, epoch }: NewEvent,
): Promise<void> {
  if (dialect === 'postgres') await sql`select pg_advisory_xact_lock(${LOCK})`.execute(trx);
  await trx
    .insertInto('cluster_events')
    .values({
      // The database gives the id.
      ...({} as { id: number }),
      at: databaseNow(dialect) as unknown as number,
      type,
      subject,
      data: JSON.stringify(data),
      epoch: epoch ?? null,
    })
    .execute();
}

export class EventReader {
  readonly #store: Store<ClusterTables>;

  constructor(store: Store<ClusterTables>) {
    this.#store = store;
  }

  /** Events after this id, oldest first. */
  async after(id: number, limit: number): Promise<readonly ClusterEvent[]> {
    const rows = await this.#store.db
      .selectFrom('cluster_events')
      .selectAll()
      .where('id', '>', id)
      .orderBy('id')
      .limit(limit)
      .execute();
    return rows.map((row) => ({
      id: Number(row.id),
      atMs: Number(row.at),
      type: row.type,
      subject: row.subject,
      data: JSON.parse(row.data) as Record<string, unknown>,
      epoch: row.epoch === null ? null : Number(row.epoch),
    }));
  }

  /** The oldest and newest id that is kept; both 0 when there is none. */
  async range(): Promise<{ readonly first: number; readonly last: number }> {
    const row = await this.#store.db
      .selectFrom('cluster_events')
      .select(({ fn }) => [fn.min('id').as('first'), fn.max('id').as('last')])
      .executeTakeFirst();
    return { first: Number(row?.first ?? 0), last: Number(row?.last ?? 0) };
  }
}

/** Keeps the newest `KEPT_EVENTS`. */
export async function pruneEvents(db: Kysely<ClusterTables>): Promise<void> {
  await sql`delete from cluster_events where id <= (select max(id) from cluster_events) - ${KEPT_EVENTS}`.execute(db);
}
