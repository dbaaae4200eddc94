/**
 * The lease that makes one node the queen: the contract that every store of leases keeps (lease.suite.ts proves it),
 * and the one in SQL. A lease has one holder at a time and a fencing epoch that grows with each new holder; the queen
 * writes with its epoch, and a write with an older one is refused. Times are the store's own clock.
 */
import { sql } from 'kysely';
import { databaseNow } from '../store/database-time.ts';
import type { Store } from '../store/store.ts';
import type { ClusterTables } from './tables.ts';

export interface Lease {
  readonly holder: string;
  readonly epoch: number;
  /** By the clock of the store. */
  readonly untilMs: number;
  readonly isHeld: boolean;
}

export interface LeaseStore {
  /**
   * Takes the lease if it is free or has run out, or renews it if `holder` has it. Returns the epoch of the holder, or
   * null when another one holds it. Rejects when the store is away: the caller does not know then.
   */
  acquire(holder: string, ttlMs: number): Promise<number | null>;
  /** Gives it up early; harmless when `holder` does not have it. */
  release(holder: string): Promise<void>;
  read(): Promise<Lease | null>;
  /** Forgets connections; a lease that is held runs out by itself. */
  close(): Promise<void>;
}

/**
 * A store of leases that may be made anew, or is not the one that was used before, could give epochs that the fence has
 * seen: a new holder's epoch is above this one, too.
 */
export type EpochFloor = () => Promise<number>;

export class SqlLeaseStore implements LeaseStore {
  readonly #store: Store<ClusterTables>;
  readonly #name: string;

  constructor(store: Store<ClusterTables>, name: string) {
    this.#store = store;
    this.#name = name;
  }

  /**
   * One statement each, so that it is atomic without a transaction and cheap enough for every few seconds. A lease that
   * ends later than any could is of a time before the store's clock was set back: it ends in `ttlMs`.
   */
  async acquire(holder: string, ttlMs: number): Promise<number | null> {
    const now = databaseNow(this.#store.dialect);
    const { rows } = await sql<{ holder: string; epoch: number }>`
      insert into cluster_leases (name, holder, epoch, until) values (${this.#name}, ${holder}, 1, ${now} + ${ttlMs})
      on conflict (name) do update set
        epoch = case when cluster_leases.until < ${now}
          then cluster_leases.epoch + 1 else cluster_leases.epoch end,
        holder = case when cluster_leases.until < ${now} then excluded.holder else cluster_leases.holder end,
        until = excluded.until
      where cluster_leases.holder = excluded.holder or cluster_leases.until < ${now}
        or cluster_leases.until > excluded.until + 60000
      returning holder, epoch`.execute(this.#store.db);
    return rows[0]?.holder === holder ? Number(rows[0].epoch) : null;
  }

  async release(holder: string): Promise<void> {
    await this.#store.db
      .updateTable('cluster_leases')
      .set({ until: 0 })
      .where('name', '=', this.#name)
      .where('holder', '=', holder)
      .execute();
  }

  async read(): Promise<Lease | null> {
    const { rows } = await sql<{ holder: string; epoch: number; until: number; now: number }>`
      select holder, epoch, until, ${databaseNow(this.#store.dialect)} as now
      from cluster_leases where name = ${this.#name}`.execute(this.#store.db);
    const [row] = rows;
    if (row === undefined) return null;
    return {
      holder: row.holder,
      epoch: Number(row.epoch),
      untilMs: Number(row.until),
      isHeld: Number(row.until) >= Number(row.now),
    };
  }

  /** The store is not its own. */
  async close(): Promise<void> {}
}
