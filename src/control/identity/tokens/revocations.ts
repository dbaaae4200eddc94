/**
 * What may no longer be believed although it has not expired: sessions, single tokens, API keys. Written to a table
 * in the same transaction as the cause, read by every process a few times a second, so that a revocation made by one
 * reaches the workers of all within a second, by the clock of the database: those of processes may differ. Only what is
 * still alive by its `exp` is kept, so the list is short.
 */
import type { Kysely, Transaction } from 'kysely';
import type { Clock } from '../../../base/clock.ts';
import { messageOf } from '../../../base/errors.ts';
import type { Logger } from '../../../base/log.ts';
import { databaseNow } from '../../store/database-time.ts';
import type { Store } from '../../store/store.ts';
import type { IdentityTables, RevocationTable } from '../tables.ts';

/** Topic `identity:revoked`: pairs of id and the second after which it matters no more. */
export interface RevokedMessage {
  readonly sids: readonly (readonly [string, number])[];
  readonly jtis: readonly (readonly [string, number])[];
  /** Ids of API keys. */
  readonly keys: readonly (readonly [string, number])[];
}

/** Most entries sent to the workers; the oldest leave first. Beyond it the log says so. */
const MAX_ENTRIES = 50_000;
/** A transaction may be committed some time after its entries were stamped: so far back is read again. */
const OVERLAP_MS = 30_000;

export class Revocations {
  readonly #store: Store<IdentityTables>;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #entries = new Map<string, RevocationTable>();
  readonly #listeners = new Set<(message: RevokedMessage) => void>();
  #readUntil = 0;
  #timer: NodeJS.Timeout | undefined;
  #reading: Promise<void> | undefined;
  #failed = false;

  constructor(store: Store<IdentityTables>, clock: Clock, log: Logger) {
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
  }

  /** Writes with the caller's transaction; call `announce` once it is committed. */
  async add(
    trx: Kysely<IdentityTables> | Transaction<IdentityTables>,
    entries: readonly Omit<RevocationTable, 'at'>[],
  ): Promise<void> {
    if (entries.length === 0) return;
    const at = databaseNow(this.#store.dialect) as unknown as number;
    await trx
      .insertInto('revocations')
      .values(entries.map((entry) => ({ ...entry, at })))
      .onConflict((conflict) => conflict.columns(['kind', 'value']).doNothing())
      .execute();
  }

  onChange(listener: (message: RevokedMessage) => void): void {
    this.#listeners.add(listener);
    listener(this.message());
  }

  /** Reads now: what this process just revoked should not wait for the next round. Never throws. */
  async announce(): Promise<void> {
    // One read at a time; a call during a read asks for another one, since that may have started too early.
    const before = this.#reading;
    const next = (async () => {
      await before;
      await this.#read();
    })();
    this.#reading = next;
    await next;
  }

  start(everyMs = 400): void {
    this.#timer ??= setInterval(() => {
      if (this.#reading === undefined) void this.announce();
    }, everyMs).unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.#reading;
  }

  /** False while the database does not answer; asked a few times a second, so it is never old. */
  get isReading(): boolean {
    return !this.#failed;
  }

  message(): RevokedMessage {
    const lists: Record<RevocationTable['kind'], [string, number][]> = { sid: [], jti: [], key: [] };
    for (const { kind, value, expires_at } of this.#entries.values()) {
      lists[kind].push([value, Math.ceil(expires_at / 1_000)]);
    }
    return { sids: lists.sid, jtis: lists.jti, keys: lists.key };
  }

  async #read(): Promise<void> {
    const now = this.#clock.wallMs();
    try {
      const rows = await this.#store.db
        .selectFrom('revocations')
        .selectAll()
        .select(databaseNow(this.#store.dialect).as('now'))
        .where('at', '>=', this.#readUntil - OVERLAP_MS)
        .where('expires_at', '>', now)
        .orderBy('at')
        .execute();
      // Rows say what time it is there; without any there is nothing that could be passed over.
      this.#readUntil = Number(rows[0]?.now ?? this.#readUntil);
      this.#failed = false;
      this.#take(rows, now);
    } catch (error) {
      if (!this.#failed) this.#log.warn('revocations cannot be read', { problem: messageOf(error) });
      this.#failed = true;
    } finally {
      this.#reading = undefined;
    }
  }

  #take(rows: readonly RevocationTable[], now: number): void {
    let news = false;
    for (const row of rows) {
      const key = `${row.kind} ${row.value}`;
      if (this.#entries.has(key)) continue;
      this.#entries.set(key, row);
      news = true;
    }
    if (!news) return;
    for (const [key, row] of this.#entries) if (row.expires_at <= now) this.#entries.delete(key);
    if (this.#entries.size > MAX_ENTRIES) {
      this.#log.warn('more revocations than are kept', { revocations: this.#entries.size, kept: MAX_ENTRIES });
      for (const key of this.#entries.keys()) {
        if (this.#entries.size <= MAX_ENTRIES) break;
        this.#entries.delete(key);
      }
    }
    const message = this.message();
    for (const listener of this.#listeners) listener(message);
  }
}
