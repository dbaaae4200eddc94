/**
 * Kysely on `pg`, loaded only for a postgres URL. Every wait has an end (connection, lock, statement), because a
 * database that is away must cost a caller a 503 and never a hang.
 */
import { Kysely, PostgresDialect } from 'kysely';
import { Pool, types } from 'pg';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { measured } from './measured.ts';

const INT8 = 20;

/** Times are milliseconds in `bigint` columns: numbers here, as in SQLite, since they stay below 2^53. */
const readers = {
  getTypeParser(oid: number, format?: string): unknown {
    if (oid === INT8) return Number;
    return types.getTypeParser(oid, format as 'text');
  },
};

export interface PostgresOptions {
  readonly maxConnections: number;
  readonly busyTimeoutMs: number;
  readonly idleTransactionMs: number;
  readonly log: Logger | undefined;
}

export async function openPostgres<Tables>(
  url: string,
  { maxConnections, busyTimeoutMs, idleTransactionMs, log }: PostgresOptions,
): Promise<Kysely<Tables>> {
  const pool = new Pool({
    connectionString: url,
    max: maxConnections,
    connectionTimeoutMillis: busyTimeoutMs,
    idleTimeoutMillis: 30_000,
    statement_timeout: 2 * busyTimeoutMs,
    query_timeout: 3 * busyTimeoutMs,
    lock_timeout: busyTimeoutMs,
    idle_in_transaction_session_timeout: idleTransactionMs,
    application_name: 'gatehouse',
    types: readers as typeof types,
  });
  // A connection that breaks is replaced on next use; without a listener it would end the process, idle or in use.
  const onBroken = (error: unknown): void => log?.warn('a database connection broke', { problem: messageOf(error) });
  pool.on('error', onBroken);
  pool.on('connect', (client) => client.on('error', () => {}));
  return new Kysely<Tables>({ dialect: new PostgresDialect({ pool }), log: measured('postgres') });
}
