/**
 * Events that an engine did not acknowledge, kept in the SQL store until it does: in the order in which they came, one
 * stream after the other, by one process at a time. While events of a stream wait here, later ones queue behind them.
 * One that the engine will never take, as it is too large for it, is set aside: it would hold up its stream for ever.
 */
import { randomUUID } from 'node:crypto';
import { messageOf } from '../../../base/errors.ts';
import type { Logger } from '../../../base/log.ts';
import type { Store } from '../../store/store.ts';
import { asBuffer } from '../engines/embedded.ts';
import { EngineFault, type EventEngine, type NewEvent } from '../engines/engine.ts';
import { Lease } from '../lease.ts';
import type { EventTables } from '../tables.ts';

const LOOK_EVERY_MS = 1_000;
const LONGEST_WAIT_MS = 30_000;
const ACK_TIMEOUT_MS = 5_000;
const MAX_ROWS = 100_000;
/** Events that were refused can be asked about for so long. */
const REFUSED_KEPT_FOR_MS = 7 * 86_400_000;

/** What has become of an event that waited here, or still does. */
export interface QueuedEvent {
  readonly attempts: number;
  readonly problem: string | null;
  /** The engine will never take it. */
  readonly isRefused: boolean;
}

export class Outbox {
  readonly #store: Store<EventTables>;
  readonly #log: Logger;
  readonly #engineOf: (stream: string) => EventEngine | undefined;
  readonly #lease: Lease;
  readonly #waiting = new Map<string, number>();
  readonly #nextMs = new Map<string, number>();
  readonly #failures = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #draining: Promise<void> | null = null;
  #stopped = false;
  /** Rows that were added while they were being counted, by stream. */
  #addedMeanwhile: Map<string, number> | null = null;
  readonly #onSetAside: (stream: string) => void;

  constructor(
    store: Store<EventTables>,
    log: Logger,
    engineOf: (stream: string) => EventEngine | undefined,
    onSetAside: (stream: string) => void = () => {},
  ) {
    this.#store = store;
    this.#log = log;
    this.#engineOf = engineOf;
    this.#onSetAside = onSetAside;
    this.#lease = new Lease(store, 'outbox');
  }

  async start(): Promise<void> {
    await this.#count();
    this.#timer = setInterval(() => void this.drain(), LOOK_EVERY_MS);
    this.#timer.unref();
  }

  get waiting(): number {
    let sum = 0;
    for (const count of this.#waiting.values()) sum += count;
    return sum;
  }

  /** Later events of the stream must queue behind those that wait. */
  holds(stream: string): boolean {
    return (this.#waiting.get(stream) ?? 0) > 0;
  }

  /** Resolves with its number once the row is durable. Rejects with an `EngineFault` when there are too many. */
  async add(stream: string, event: NewEvent): Promise<number> {
    if (this.waiting >= MAX_ROWS) throw new EngineFault('full', 'the outbox is full');
    const { number } = await this.#store.db
      .insertInto('event_outbox')
      .values({
        stream,
        id: event.id,
        subject: event.subject,
        key: event.key,
        content_type: event.contentType,
        attributes: JSON.stringify(event.attributes),
        data: asBuffer(event.data),
        // Handed over again after a lost acknowledgement, it must not be there twice.
        dedupe_id: event.dedupeId ?? randomUUID(),
        at_ms: Date.now(),
        attempts: 0,
        problem: null,
      } as never)
      .returning('number')
      .executeTakeFirstOrThrow();
    for (const counts of [this.#waiting, this.#addedMeanwhile]) counts?.set(stream, (counts.get(stream) ?? 0) + 1);
    return Number(number);
  }

  /** What has become of one: null when it was handed over. */
  async find(number: number): Promise<QueuedEvent | null> {
    const row = await this.#store.db
      .selectFrom('event_outbox')
      .select(['attempts', 'problem', 'refused_ms'])
      .where('number', '=', number)
      .executeTakeFirst();
    if (row === undefined) return null;
    const { attempts, problem, refused_ms } = row;
    return { attempts: Number(attempts), problem, isRefused: refused_ms !== null };
  }

  drain(): Promise<void> {
    this.#draining ??= this.#drainAll()
      .catch((error: unknown) => this.#log.warn('the outbox could not be read', { problem: messageOf(error) }))
      .finally(() => {
        this.#draining = null;
      });
    return this.#draining;
  }

  async #drainAll(): Promise<void> {
    await this.#count();
    if (this.waiting === 0 || this.#stopped || !(await this.#lease.take(''))) return;
    for (const stream of this.#waiting.keys()) {
      if ((this.#nextMs.get(stream) ?? 0) <= Date.now()) await this.#drainStream(stream);
    }
    await this.#count();
  }

  async #drainStream(stream: string): Promise<void> {
    const engine = this.#engineOf(stream);
    if (engine === undefined) return;
    while (!this.#stopped && (await this.#lease.take(''))) {
      const rows = await this.#store.db
        .selectFrom('event_outbox')
        .selectAll()
        .where('stream', '=', stream)
        .where('refused_ms', 'is', null)
        .orderBy('number')
        .limit(100)
        .execute();
      if (rows.length === 0) return;
      for (const row of rows) {
        try {
          await engine.publish(stream, eventOf(row), ACK_TIMEOUT_MS);
        } catch (error) {
          if (isForEver(error)) {
            await this.#refused(stream, row, error);
            continue;
          }
          await this.#failed(stream, row.number, error);
          return;
        }
        await this.#store.db.deleteFrom('event_outbox').where('number', '=', row.number).execute();
        this.#failures.delete(stream);
      }
    }
  }

  async #refused(stream: string, { number, id }: EventTables['event_outbox'], error: unknown): Promise<void> {
    const problem = messageOf(error);
    await this.#store.db
      .updateTable('event_outbox')
      .set((row) => ({ attempts: row('attempts', '+', 1), problem, refused_ms: Date.now() }))
      .where('number', '=', number)
      .execute();
    this.#onSetAside(stream);
    this.#log.error('an event of the outbox was refused by its engine and is set aside', { stream, id, problem });
  }

  /** Removes events that were set aside long ago. */
  async clean(): Promise<void> {
    await this.#store.db
      .deleteFrom('event_outbox')
      .where('refused_ms', '<', Date.now() - REFUSED_KEPT_FOR_MS)
      .execute();
  }

  async #failed(stream: string, number: number, error: unknown): Promise<void> {
    const failures = (this.#failures.get(stream) ?? 0) + 1;
    this.#failures.set(stream, failures);
    this.#nextMs.set(stream, Date.now() + Math.min(LONGEST_WAIT_MS, 500 * 2 ** Math.min(failures, 10)));
    const problem = messageOf(error);
    await this.#store.db
      .updateTable('event_outbox')
      .set((row) => ({ attempts: row('attempts', '+', 1), problem }))
      .where('number', '=', number)
      .execute();
  }

  async #count(): Promise<void> {
    // Too many rather than too few: an event that is not known to wait would be overtaken by the next ones.
    const added = new Map<string, number>();
    this.#addedMeanwhile = added;
    const rows = await this.#store.db
      .selectFrom('event_outbox')
      .select(({ fn }) => ['stream', fn.countAll<number>().as('rows')])
      .where('refused_ms', 'is', null)
      .groupBy('stream')
      .execute();
    this.#waiting.clear();
    for (const { stream, rows: count } of rows) this.#waiting.set(stream, Number(count));
    for (const [stream, count] of added) this.#waiting.set(stream, (this.#waiting.get(stream) ?? 0) + count);
    this.#addedMeanwhile = null;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    await this.#draining;
    if (this.#lease.isHeld) await this.#lease.release().catch(() => {});
  }
}

function isForEver(error: unknown): boolean {
  return error instanceof EngineFault && (error.kind === 'too-large' || error.kind === 'unroutable');
}

function eventOf(row: EventTables['event_outbox']): NewEvent {
  return {
    id: row.id,
    subject: row.subject,
    key: row.key,
    contentType: row.content_type,
    attributes: JSON.parse(row.attributes) as Record<string, string>,
    data: row.data,
    dedupeId: row.dedupe_id,
  };
}
