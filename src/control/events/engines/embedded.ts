/**
 * The embedded engine: events in the SQL store (SQLite or PostgreSQL), with nothing to install. Publishers that come
 * at the same time share one transaction, and so one write to the disk. A stream's counter row is locked while its
 * events are written, so positions become visible in their order. This process's own events are noticed at once; those
 * of other gateways when PostgreSQL notifies of them, and in any case by looking.
 */
import { randomUUID } from 'node:crypto';
import { sql, type Transaction } from 'kysely';
import { messageOf } from '../../../base/errors.ts';
import { isUnavailable } from '../../store/faults.ts';
import type { Listening, Store } from '../../store/store.ts';
import type { EventTables } from '../tables.ts';
import type {
  EventEngine,
  NewEvent,
  Page,
  Published,
  StoredEvent,
  StreamSettings,
  Tail,
  TailHandler,
} from './engine.ts';
import { EngineFault } from './engine.ts';
import { PagingTail } from './paging-tail.ts';

/** Publishers that wait for the transaction that is under way; more are refused. */
const MAX_WAITING = 10_000;
const MAX_BATCH = 500;
const MAX_BATCH_BYTES = 8 * 1024 ** 2;
/** How often other processes' events are looked for: while PostgreSQL notifies of them, and otherwise. */
const LOOK_EVERY_MS = { notified: 1_000, alone: 250 } as const;
const CHANNEL = 'gatehouse_events';
const PAGE = 500;

interface Waiting {
  readonly stream: string;
  readonly event: NewEvent;
  readonly late: NodeJS.Timeout;
  readonly resolve: (published: Published) => void;
  readonly reject: (reason: EngineFault) => void;
}

type Trx = Transaction<EventTables>;

export class EmbeddedEngine implements EventEngine {
  readonly #store: Store<EventTables>;
  readonly #wallMs: () => number;
  readonly #streams = new Map<string, StreamSettings>();
  readonly #tails = new Map<PagingTail, string>();
  /** In front of its own notifications, which it needs not. */
  readonly #self = `${randomUUID()} `;
  #listening: Listening | null = null;
  #waiting: Waiting[] = [];
  #writing = false;
  #stopped = false;
  #problem: string | null = null;

  constructor(store: Store<EventTables>, wallMs: () => number = Date.now) {
    this.#store = store;
    this.#wallMs = wallMs;
  }

  get problem(): string | null {
    return this.#problem;
  }

  /** Whether other processes' events are notified; null where they never are. */
  get isNotified(): boolean | null {
    return this.#listening === null ? null : this.#listening.isListening;
  }

  async start(streams: readonly StreamSettings[]): Promise<void> {
    this.#streams.clear();
    this.#listening ??= this.#store.listen(CHANNEL, {
      begins: () => this.#wake(),
      message: (text) => {
        if (!text.startsWith(this.#self)) this.#wake(text.slice(this.#self.length));
      },
    });
    for (const stream of streams) {
      this.#streams.set(stream.name, stream);
      await this.#makeStream(this.#store.db, stream.name);
    }
  }

  /** Goes on behind the events that there are. */
  async #makeStream(db: Pick<Trx, 'selectFrom' | 'insertInto'>, name: string): Promise<void> {
    const { last, bytes } = await db
      .selectFrom('event_log')
      .select([
        sql<number | null>`max(position)`.as('last'),
        sql<number | null>`sum(length(data) + length(attributes))`.as('bytes'),
      ])
      .where('stream', '=', name)
      .executeTakeFirstOrThrow();
    await db
      .insertInto('event_streams')
      .values({ name, last: Number(last ?? 0), bytes: Number(bytes ?? 0) })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }

  publish(stream: string, event: NewEvent, withinMs: number): Promise<Published> {
    if (this.#stopped) return Promise.reject(new EngineFault('unavailable', 'the engine is stopping'));
    if (this.#waiting.length >= MAX_WAITING) {
      return Promise.reject(new EngineFault('full', 'too many events wait for the database'));
    }
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        // One that is being written cannot be taken back: it may become durable, which its publisher hears as 503.
        const index = this.#waiting.indexOf(waiting);
        if (index >= 0) this.#waiting.splice(index, 1);
        reject(new EngineFault('unavailable', 'the database did not acknowledge in time'));
      }, withinMs);
      const waiting: Waiting = { stream, event, late, resolve, reject };
      this.#waiting.push(waiting);
      if (!this.#writing) void this.#write();
    });
  }

  async #write(): Promise<void> {
    this.#writing = true;
    // What comes in the same turn goes into the same transaction.
    await new Promise(setImmediate);
    while (this.#waiting.length > 0) {
      const batch = this.#takeBatch();
      try {
        const published = await this.#store.transaction((trx) => this.#insertAll(trx, batch));
        this.#problem = null;
        for (const [index, { late, resolve }] of batch.entries()) {
          clearTimeout(late);
          resolve(published[index]!);
        }
      } catch (error) {
        this.#problem = messageOf(error);
        const fault = new EngineFault(
          'unavailable',
          isUnavailable(error) ? 'the database is away or full' : messageOf(error),
        );
        for (const { late, reject } of batch) {
          clearTimeout(late);
          reject(fault);
        }
      }
      this.#wake();
    }
    this.#writing = false;
  }

  #takeBatch(): Waiting[] {
    let bytes = 0;
    let count = 0;
    while (count < this.#waiting.length && count < MAX_BATCH && bytes < MAX_BATCH_BYTES) {
      bytes += this.#waiting[count++]!.event.data.byteLength;
    }
    return this.#waiting.splice(0, count);
  }

  async #insertAll(trx: Trx, batch: readonly Waiting[]): Promise<Published[]> {
    const published: Published[] = new Array(batch.length);
    // In one order of streams always, so that two processes cannot wait for each other.
    const streams = [...new Set(batch.map(({ stream }) => stream))].sort();
    for (const stream of streams) {
      const indices = batch
        .keys()
        .filter((index) => batch[index]!.stream === stream)
        .toArray();
      const known = await this.#reserve(
        trx,
        stream,
        indices.map((index) => batch[index]!.event),
        published,
        indices,
      );
      if (!known) continue;
      await this.#trim(trx, stream);
      // Sent when the transaction is committed.
      if (this.#listening !== null) await sql`select pg_notify(${CHANNEL}, ${this.#self + stream})`.execute(trx);
    }
    return published;
  }

  /** Writes the events of one stream; true when there were any to write. */
  async #reserve(
    trx: Trx,
    stream: string,
    events: readonly NewEvent[],
    published: Published[],
    indices: readonly number[],
  ): Promise<boolean> {
    // Taken first: it is the lock, after which nobody else can add an event with one of these ids.
    const take = (): Promise<{ last: number } | undefined> =>
      trx
        .updateTable('event_streams')
        .set({ last: sql`last + ${events.length}` })
        .where('name', '=', stream)
        .returning('last')
        .executeTakeFirst();
    let taken = await take();
    if (taken === undefined) {
      // Somebody emptied the table beneath the gateway.
      await this.#makeStream(trx, stream);
      taken = (await take())!;
    }
    const { last } = taken;
    const positions = await this.#positionsOfKeyed(trx, stream, events);
    let next = Number(last) - events.length + 1;
    let bytes = 0;
    const rows: EventTables['event_log'][] = [];
    for (const [i, event] of events.entries()) {
      const before = event.dedupeId === null ? undefined : positions.get(event.dedupeId);
      if (before !== undefined) {
        published[indices[i]!] = { position: String(before), duplicate: true };
        continue;
      }
      const position = next++;
      if (event.dedupeId !== null) positions.set(event.dedupeId, position);
      bytes += sizeOf(event);
      rows.push(this.#row(stream, position, event));
      published[indices[i]!] = { position: String(position), duplicate: false };
    }
    // SQLite takes 32,766 values a statement, PostgreSQL 65,535.
    for (let i = 0; i < rows.length; i += PAGE) {
      await trx
        .insertInto('event_log')
        .values(rows.slice(i, i + PAGE))
        .execute();
    }
    await trx
      .updateTable('event_streams')
      .set({ last: next - 1, bytes: sql`bytes + ${bytes}` })
      .where('name', '=', stream)
      .execute();
    return rows.length > 0;
  }

  #row(stream: string, position: number, event: NewEvent): EventTables['event_log'] {
    return {
      stream,
      position,
      id: event.id,
      subject: event.subject,
      key: event.key,
      content_type: event.contentType,
      attributes: JSON.stringify(event.attributes),
      data: asBuffer(event.data),
      at_ms: this.#wallMs(),
      dedupe_id: event.dedupeId,
    };
  }

  async #positionsOfKeyed(trx: Trx, stream: string, events: readonly NewEvent[]): Promise<Map<string, number>> {
    const ids = events.flatMap(({ dedupeId }) => (dedupeId === null ? [] : [dedupeId]));
    if (ids.length === 0) return new Map();
    const rows = await trx
      .selectFrom('event_log')
      .select(['dedupe_id', 'position'])
      .where('stream', '=', stream)
      .where('dedupe_id', 'in', ids)
      .execute();
    return new Map(rows.map((row) => [row.dedupe_id ?? '', Number(row.position)]));
  }

  /** Count and bytes are kept to while writing, so that a burst cannot fill the disk; age is `clean`'s. */
  async #trim(trx: Trx, stream: string): Promise<void> {
    const settings = this.#streams.get(stream);
    if (settings === undefined) return;
    const row = await trx
      .selectFrom('event_streams')
      .select(['last', 'bytes'])
      .where('name', '=', stream)
      .executeTakeFirstOrThrow();
    await this.#dropUpTo(trx, stream, Number(row.last) - settings.maxEvents);
    let excess = Number(row.bytes) - settings.maxBytes;
    while (excess > 0) {
      const oldest = await trx
        .selectFrom('event_log')
        .select(['position', sql<number>`length(data) + length(attributes)`.as('size')])
        .where('stream', '=', stream)
        .orderBy('position')
        .limit(100)
        .execute();
      let upTo = 0;
      for (const { position, size } of oldest) {
        if (excess <= 0) break;
        excess -= Number(size);
        upTo = Number(position);
      }
      if (upTo === 0) break;
      await this.#dropUpTo(trx, stream, upTo);
    }
  }

  async #dropUpTo(trx: Trx, stream: string, position: number): Promise<void> {
    if (position < 1) return;
    const { freed } = await trx
      .selectFrom('event_log')
      .select(sql<number | null>`sum(length(data) + length(attributes))`.as('freed'))
      .where('stream', '=', stream)
      .where('position', '<=', position)
      .executeTakeFirstOrThrow();
    if (freed === null) return;
    await trx.deleteFrom('event_log').where('stream', '=', stream).where('position', '<=', position).execute();
    await trx
      .updateTable('event_streams')
      .set({ bytes: sql`bytes - ${Number(freed)}` })
      .where('name', '=', stream)
      .execute();
  }

  async clean(): Promise<void> {
    for (const { name, maxAgeMs } of this.#streams.values()) {
      await this.#store.transaction(async (trx) => {
        const before = this.#wallMs() - maxAgeMs;
        const row = await trx
          .selectFrom('event_log')
          .select(sql<number | null>`max(position)`.as('position'))
          .where('stream', '=', name)
          .where('at_ms', '<', before)
          .executeTakeFirst();
        if (row?.position != null) await this.#dropUpTo(trx, name, Number(row.position));
      });
    }
  }

  async read(stream: string, after: string | null, limit: number): Promise<Page> {
    const from = after === null ? 0 : Number(after);
    let rows = await this.#rowsAfter(stream, from, limit);
    if (rows.length === 0) {
      const last = Number((await this.latest(stream)) ?? 0);
      // What is there may have come between the two questions; if it has not, it was removed.
      if (last > from) rows = await this.#rowsAfter(stream, from, limit);
      if (rows.length === 0) return { events: [], hasGap: after !== null && last !== from };
    }
    const hasGap = after !== null && Number(rows[0]!.position) !== from + 1;
    return { events: rows.map(stored), hasGap };
  }

  async #rowsAfter(stream: string, from: number, limit: number): Promise<EventTables['event_log'][]> {
    const rows = await this.#store.db
      .selectFrom('event_log')
      .selectAll()
      .where('stream', '=', stream)
      .where('position', '>', from)
      .orderBy('position')
      .limit(limit)
      .execute();
    this.#problem = null;
    return rows;
  }

  async latest(stream: string): Promise<string | null> {
    const row = await this.#store.db
      .selectFrom('event_streams')
      .select('last')
      .where('name', '=', stream)
      .executeTakeFirst();
    return row === undefined || Number(row.last) === 0 ? null : String(row.last);
  }

  tail(stream: string, after: string | null, handler: TailHandler): Tail {
    const paged = {
      read: (from: string | null, limit: number) => this.read(stream, from, limit),
      latest: () => this.latest(stream),
    };
    const everyMs = (): number => LOOK_EVERY_MS[this.isNotified === true ? 'notified' : 'alone'];
    const tail = new PagingTail(paged, after, handler, everyMs, () => this.#tails.delete(tail));
    this.#tails.set(tail, stream);
    tail.look();
    return tail;
  }

  /** Those who follow a stream, or any. */
  #wake(stream: string | null = null): void {
    for (const [tail, followed] of this.#tails) if (stream === null || stream === followed) tail.look();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#listening?.stop();
    for (const tail of [...this.#tails.keys()]) tail.stop();
    while (this.#writing) await new Promise(setImmediate);
  }
}

function stored(row: EventTables['event_log']): StoredEvent {
  return {
    position: String(row.position),
    id: row.id,
    subject: row.subject,
    key: row.key,
    contentType: row.content_type,
    attributes: JSON.parse(row.attributes) as Record<string, string>,
    data: row.data,
    dedupeId: row.dedupe_id,
  };
}

function sizeOf(event: NewEvent): number {
  return event.data.byteLength + JSON.stringify(event.attributes).length;
}

/** `pg` takes a Buffer for bytea, where a plain Uint8Array would become JSON. */
export function asBuffer(data: Uint8Array): Buffer {
  return Buffer.isBuffer(data) ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}
