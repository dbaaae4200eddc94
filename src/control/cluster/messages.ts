/**
 * Messages from node to node: kept until the receiver acknowledges or they expire, delivered at least once and in order
 * of sending, to one worker or to all that are members at the time: gateways read none. A dedupe id makes sending twice
 * the same as once.
 */
import { sql } from 'kysely';
import { databaseNow, readDatabaseTime } from '../store/database-time.ts';
import type { Store } from '../store/store.ts';
import { ClusterRefusal, conflict, notFound } from './refusal.ts';
import type { ClusterTables } from './tables.ts';

export interface Message {
  readonly id: number;
  readonly from: string;
  readonly topic: string;
  readonly body: unknown;
  readonly createdAtMs: number;
  /** How often it has been handed out, this time included. */
  readonly deliveries: number;
}

export interface NewMessage {
  /** A worker's id, or `all`: every other worker. */
  readonly to: string;
  readonly from: string;
  readonly topic: string;
  readonly body: unknown;
  readonly dedupe: string | null;
  readonly ttlMs: number;
}

/** Waiting for one node; more are refused, so that a node that never reads costs a bounded amount. */
export const MAX_WAITING = 10_000;

export class Messages {
  readonly #store: Store<ClusterTables>;

  constructor(store: Store<ClusterTables>) {
    this.#store = store;
  }

  /** Returns how many nodes it was sent to; 0 when this dedupe id was sent before. */
  async send(message: NewMessage): Promise<{ readonly sentTo: number }> {
    const { dialect } = this.#store;
    return await this.#store.transaction(async (trx) => {
      const members = await trx
        .selectFrom('cluster_nodes')
        .select(['id', 'kind'])
        .where('state', '<>', 'left')
        .$if(message.to !== 'all', (query) => query.where('id', '=', message.to))
        .$if(message.to === 'all', (query) => query.where('id', '<>', message.from).where('kind', '=', 'worker'))
        .execute();
      if (members.length === 0 && message.to !== 'all') throw notFound('node', message.to);
      if (members.some(({ kind }) => kind !== 'worker'))
        throw conflict('NOT_A_WORKER', `${message.to} is a gateway, which reads no messages`);
      const full: string[] = [];
      const now = await readDatabaseTime(trx, dialect);
      let sentTo = 0;
      for (const { id } of members) {
        const { count } = await trx
          .selectFrom('cluster_messages')
          .select(({ fn }) => fn.countAll().as('count'))
          .where('to_node', '=', id)
          .where('acked_at', 'is', null)
          .where('expires_at', '>', now)
          .executeTakeFirstOrThrow();
        if (Number(count) >= MAX_WAITING) {
          // One that never reads keeps the others from nothing.
          full.push(id);
          continue;
        }
        const { numInsertedOrUpdatedRows } = await trx
          .insertInto('cluster_messages')
          .values({
            // The database gives the id.
            ...({} as { id: number }),
            to_node: id,
            from_node: message.from,
            topic: message.topic,
            body: JSON.stringify(message.body ?? null),
            dedupe: message.dedupe === null ? null : `${id} ${message.dedupe}`,
            created_at: now,
            expires_at: now + message.ttlMs,
            deliveries: 0,
            acked_at: null,
          })
          .onConflict((taken) => taken.columns(['from_node', 'dedupe']).doNothing())
          .executeTakeFirst();
        sentTo += Number(numInsertedOrUpdatedRows ?? 0n);
      }
      if (full.length > 0 && full.length === members.length)
        throw new ClusterRefusal(503, 'SERVICE_UNAVAILABLE', `node ${full[0]} has ${MAX_WAITING} messages waiting`);
      return { sentTo };
    });
  }

  /** Unacknowledged messages of a node, oldest first, after this id. */
  async read(nodeId: string, after: number, limit: number): Promise<readonly Message[]> {
    const { db, dialect } = this.#store;
    const rows = await db
      .selectFrom('cluster_messages')
      .selectAll()
      .where('to_node', '=', nodeId)
      .where('acked_at', 'is', null)
      .where('id', '>', after)
      .where('expires_at', '>', databaseNow(dialect))
      .orderBy('id')
      .limit(limit)
      .execute();
    if (rows.length > 0)
      await db
        .updateTable('cluster_messages')
        .set((set) => ({ deliveries: set('deliveries', '+', 1) }))
        .where(
          'id',
          'in',
          rows.map(({ id }) => id),
        )
        .execute();
    return rows.map((row) => ({
      id: Number(row.id),
      from: row.from_node,
      topic: row.topic,
      body: JSON.parse(row.body) as unknown,
      createdAtMs: Number(row.created_at),
      deliveries: row.deliveries + 1,
    }));
  }

  /** Acknowledging twice is the same as once. */
  async acknowledge(nodeId: string, id: number): Promise<void> {
    const { db, dialect } = this.#store;
    const row = await db
      .updateTable('cluster_messages')
      .set({ acked_at: databaseNow(dialect) as unknown as number })
      .where('id', '=', id)
      .where('to_node', '=', nodeId)
      .returning('id')
      .executeTakeFirst();
    if (row === undefined) throw notFound('message', String(id));
  }

  /** Forgets what was acknowledged ten minutes ago (until then it still stops duplicates) or has expired. */
  async prune(): Promise<void> {
    const now = databaseNow(this.#store.dialect);
    await sql`delete from cluster_messages where expires_at < ${now} or acked_at < ${now} - 600000`.execute(
      this.#store.db,
    );
  }
}
