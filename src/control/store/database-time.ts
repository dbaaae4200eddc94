/**
 * The database's own clock, in milliseconds since 1970, as an SQL expression. Leases and heartbeats of many nodes are
 * compared by it alone, so that a node whose clock is wrong, or steps, changes nothing.
 */
import type { Kysely, RawBuilder } from 'kysely';
import { sql } from 'kysely';
import type { StoreDialect } from './store.ts';

/** In PostgreSQL the time of the statement, not of the transaction, which may have waited for a lock. */
export function databaseNow(dialect: StoreDialect): RawBuilder<number> {
  return dialect === 'postgres'
    ? sql<number>`(extract(epoch from clock_timestamp()) * 1000)::bigint`
    : sql<number>`cast(unixepoch('subsec') * 1000 as integer)`;
}

// biome-ignore lint/suspicious/noExplicitAny: works on any tables
export async function readDatabaseTime(db: Kysely<any>, dialect: StoreDialect): Promise<number> {
  const { rows } = await sql<{ now: number }>`select ${databaseNow(dialect)} as now`.execute(db);
  return Number(rows[0]?.now);
}
