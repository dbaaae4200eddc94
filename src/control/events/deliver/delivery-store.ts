/** What a consumer keeps in the SQL store: where it stands, events that are tried again, dead letters. */
import { type Expression, type SqlBool, sql } from 'kysely';
import type { Store } from '../../store/store.ts';
import { asBuffer } from '../engines/embedded.ts';
import { comparePositions, type StoredEvent } from '../engines/engine.ts';
import type { EventTables } from '../tables.ts';

export interface KeptDelivery {
  readonly position: string;
  readonly key: string;
  readonly attempts: number;
  readonly nextMs: number;
}

export type RowChange =
  | { readonly kind: 'delete' }
  | {
      readonly kind: 'put';
      readonly event: StoredEvent;
      readonly state: 'retry' | 'dead';
      readonly attempts: number;
      readonly nextMs: number;
      readonly problem: string | null;
    };

export interface DeadLetter {
  readonly consumer: string;
  readonly position: string;
  readonly id: string;
  readonly subject: string;
  readonly key: string;
  readonly attempts: number;
  readonly problem: string | null;
  /** When it became one, ISO 8601. */
  readonly since: string;
}

/** Which dead letters of a consumer: some by position, those of one subject, or all. */
export interface Choice {
  readonly consumer: string;
  readonly positions?: readonly string[] | undefined;
  readonly subject?: string | undefined;
}

const CHUNK = 400;
/** Begins positions of rows of a stream that began anew, whose own may come again. */
const ASIDE = '~';

/** Rows that were set aside are older than all others. */
export function compareRows(a: string, b: string): number {
  const [isAside, isOther] = [a.startsWith(ASIDE), b.startsWith(ASIDE)];
  if (isAside !== isOther) return isAside ? -1 : 1;
  if (!isAside) return comparePositions(a, b);
  const [, aTime = '', aPosition = ''] = a.split(ASIDE);
  const [, bTime = '', bPosition = ''] = b.split(ASIDE);
  return Number(aTime) - Number(bTime) || comparePositions(aPosition, bPosition);
}

export class DeliveryStore {
  readonly #store: Store<EventTables>;
  readonly #wallMs: () => number;

  constructor(store: Store<EventTables>, wallMs: () => number = Date.now) {
    this.#store = store;
    this.#wallMs = wallMs;
  }

  /** Undefined for a consumer that never was, or was one of another stream. */
  async cursor(consumer: string, streamTag: string): Promise<string | null | undefined> {
    const row = await this.#store.db
      .selectFrom('event_cursors')
      .select('position')
      .where('consumer', '=', consumer)
      .where('stream_tag', '=', streamTag)
      .executeTakeFirst();
    return row?.position;
  }

  /** In the order of the stream. */
  async retries(consumer: string): Promise<KeptDelivery[]> {
    const rows = await this.#store.db
      .selectFrom('event_deliveries')
      .select(['position', 'key', 'attempts', 'next_ms'])
      .where('consumer', '=', consumer)
      .where('state', '=', 'retry')
      .execute();
    const kept = rows.map(({ position, key, attempts, next_ms }) => ({
      position,
      key,
      attempts: Number(attempts),
      nextMs: Number(next_ms),
    }));
    return kept.sort((a, b) => compareRows(a.position, b.position));
  }

  /** The events of rows in any state, those that changed last. Not of rows that were set aside. */
  async known(consumer: string, limit: number): Promise<{ readonly position: string; readonly id: string }[]> {
    return await this.#store.db
      .selectFrom('event_deliveries')
      .select(['position', 'id'])
      .where('consumer', '=', consumer)
      .where('position', 'not like', `${ASIDE}%`)
      .orderBy('changed_ms', 'desc')
      .limit(limit)
      .execute();
  }

  /** The stream has begun anew: what is kept of the former one makes room for the same positions. */
  async setAside(consumer: string): Promise<void> {
    await this.#store.db
      .updateTable('event_deliveries')
      .set({ position: sql<string>`${`${ASIDE}${this.#wallMs()}${ASIDE}`} || position` })
      .where('consumer', '=', consumer)
      .where('position', 'not like', `${ASIDE}%`)
      .execute();
  }

  async events(consumer: string, positions: readonly string[]): Promise<Map<string, StoredEvent>> {
    const rows = await this.#store.db
      .selectFrom('event_deliveries')
      .selectAll()
      .where('consumer', '=', consumer)
      .where('position', 'in', positions)
      .execute();
    return new Map(rows.map((row) => [row.position, eventOf(row)]));
  }

  /** All or nothing. */
  async write(
    consumer: string,
    streamTag: string,
    position: string | null,
    changes: ReadonlyMap<string, RowChange>,
  ): Promise<void> {
    const gone = [...changes].flatMap(([at, change]) => (change.kind === 'delete' ? [at] : []));
    const put = [...changes].flatMap(([at, change]) =>
      change.kind === 'put' ? [rowOf(consumer, at, change, this.#wallMs())] : [],
    );
    await this.#store.transaction(async (trx) => {
      await trx
        .insertInto('event_cursors')
        .values({ consumer, stream_tag: streamTag, position })
        .onConflict((conflict) => conflict.column('consumer').doUpdateSet({ stream_tag: streamTag, position }))
        .execute();
      for (let i = 0; i < gone.length; i += CHUNK) {
        await trx
          .deleteFrom('event_deliveries')
          .where('consumer', '=', consumer)
          .where('position', 'in', gone.slice(i, i + CHUNK))
          .execute();
      }
      for (let i = 0; i < put.length; i += CHUNK) {
        const rows = put.slice(i, i + CHUNK);
        await this.#makeRoom(trx, consumer, rows);
        await trx
          .insertInto('event_deliveries')
          .values(rows)
          .onConflict((conflict) =>
            conflict.columns(['consumer', 'position']).doUpdateSet((row) => ({
              state: row.ref('excluded.state'),
              attempts: row.ref('excluded.attempts'),
              next_ms: row.ref('excluded.next_ms'),
              changed_ms: row.ref('excluded.changed_ms'),
              problem: row.ref('excluded.problem'),
            })),
          )
          .execute();
      }
    });
  }

  /** A row of another event at a position is one of a stream that began anew unnoticed; it must not get lost. */
  async #makeRoom(
    trx: Store<EventTables>['db'],
    consumer: string,
    rows: readonly { readonly position: string; readonly id: string }[],
  ): Promise<void> {
    const ids = new Map(rows.map(({ position, id }) => [position, id]));
    const there = await trx
      .selectFrom('event_deliveries')
      .select(['position', 'id'])
      .where('consumer', '=', consumer)
      .where('position', 'in', [...ids.keys()])
      .execute();
    const others = there.filter(({ position, id }) => ids.get(position) !== id).map(({ position }) => position);
    if (others.length === 0) return;
    await trx
      .updateTable('event_deliveries')
      .set({ position: sql<string>`${`${ASIDE}${this.#wallMs()}${ASIDE}`} || position` })
      .where('consumer', '=', consumer)
      .where('position', 'in', others)
      .execute();
  }

  async counts(): Promise<Map<string, { retry: number; dead: number }>> {
    const rows = await this.#store.db
      .selectFrom('event_deliveries')
      .select(({ fn }) => ['consumer', 'state', fn.countAll<number>().as('rows')])
      .groupBy(['consumer', 'state'])
      .execute();
    const counts = new Map<string, { retry: number; dead: number }>();
    for (const { consumer, state, rows: count } of rows) {
      const found = counts.get(consumer) ?? { retry: 0, dead: 0 };
      found[state] = Number(count);
      counts.set(consumer, found);
    }
    return counts;
  }

  /** The oldest first, at most `limit` behind `skip`. */
  async dead(
    choice: { readonly [Key in 'consumer' | 'subject']?: string | undefined },
    limit: number,
    skip: number,
  ): Promise<DeadLetter[]> {
    const rows = await this.#store.db
      .selectFrom('event_deliveries')
      .select(['consumer', 'position', 'id', 'subject', 'key', 'attempts', 'problem', 'changed_ms'])
      .where('state', '=', 'dead')
      .$if(choice.consumer !== undefined, (query) => query.where('consumer', '=', choice.consumer!))
      .$if(choice.subject !== undefined, (query) => query.where('subject', '=', choice.subject!))
      .orderBy('changed_ms')
      .orderBy('consumer')
      .orderBy('position')
      .limit(limit)
      .offset(skip)
      .execute();
    return rows.map(({ changed_ms, attempts, ...row }) => ({
      ...row,
      attempts: Number(attempts),
      since: new Date(Number(changed_ms)).toISOString(),
    }));
  }

  async deadEvent(consumer: string, position: string): Promise<StoredEvent | undefined> {
    const row = await this.#store.db
      .selectFrom('event_deliveries')
      .selectAll()
      .where('consumer', '=', consumer)
      .where('position', '=', position)
      .where('state', '=', 'dead')
      .executeTakeFirst();
    return row === undefined ? undefined : eventOf(row);
  }

  /** Dead letters are delivered once more, with all their attempts. How many. */
  async replay(choice: Choice): Promise<number> {
    const { numUpdatedRows } = await this.#store.db
      .updateTable('event_deliveries')
      .set({ state: 'retry', attempts: 0, next_ms: 0, changed_ms: this.#wallMs() })
      .where(isChosen(choice))
      .executeTakeFirst();
    return Number(numUpdatedRows);
  }

  /** How many. */
  async drop(choice: Choice): Promise<number> {
    const { numDeletedRows } = await this.#store.db
      .deleteFrom('event_deliveries')
      .where(isChosen(choice))
      .executeTakeFirst();
    return Number(numDeletedRows);
  }

  async dropOlder(consumer: string, keepMs: number): Promise<void> {
    await this.#store.db
      .deleteFrom('event_deliveries')
      .where('consumer', '=', consumer)
      .where('state', '=', 'dead')
      .where('changed_ms', '<', this.#wallMs() - keepMs)
      .execute();
  }
}

function isChosen({ consumer, positions, subject }: Choice): Expression<SqlBool> {
  const parts = [sql<SqlBool>`consumer = ${consumer} and state = 'dead'`];
  if (positions !== undefined) parts.push(sql<SqlBool>`position in (${sql.join(positions)})`);
  if (subject !== undefined) parts.push(sql<SqlBool>`subject = ${subject}`);
  return sql<SqlBool>`${sql.join(parts, sql` and `)}`;
}

function rowOf(
  consumer: string,
  position: string,
  { event, state, attempts, nextMs, problem }: RowChange & { readonly kind: 'put' },
  nowMs: number,
): EventTables['event_deliveries'] {
  return {
    consumer,
    position,
    id: event.id,
    subject: event.subject,
    key: event.key,
    content_type: event.contentType,
    attributes: JSON.stringify(event.attributes),
    data: asBuffer(event.data),
    state,
    attempts,
    next_ms: Math.round(nextMs),
    changed_ms: nowMs,
    problem,
  };
}

function eventOf(row: EventTables['event_deliveries']): StoredEvent {
  return {
    position: row.position,
    id: row.id,
    subject: row.subject,
    key: row.key,
    contentType: row.content_type,
    attributes: JSON.parse(row.attributes) as Record<string, string>,
    data: row.data,
    dedupeId: null,
  };
}
