/**
 * Kysely on `pg`, loaded only for a postgres URL. Every wait has an end (connection, lock, statement), because a
 * database that is away must cost a caller a 503 and never a hang.
 */
import {
  Kysely,
  type PostgresCursor,
  PostgresDialect,
  type PostgresPool,
  type PostgresPoolClient,
  type PostgresQueryResult,
} from 'kysely';
import { Pool, type PoolClient, type Submittable, types } from 'pg';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { isReadOnly } from './faults.ts';
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
  const dialect = new PostgresDialect({ pool: new WritablePool(pool) });
  return new Kysely<Tables>({ dialect, log: measured('postgres') });
}

/**
 * Keeps no connection on which a write was refused because the server is a replica: after a failover the name of the
 * database is another server's, and only a new connection gets there.
 */
class WritablePool implements PostgresPool {
  readonly #pool: Pool;
  readonly #clients = new WeakMap<PoolClient, WritableClient>();

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  get options(): object {
    return this.#pool.options;
  }

  async connect(): Promise<PostgresPoolClient> {
    const client = await this.#pool.connect();
    // Kysely knows connections by these.
    const known = this.#clients.get(client) ?? new WritableClient(client);
    this.#clients.set(client, known);
    return known;
  }

  end(): Promise<void> {
    return this.#pool.end();
  }
}

class WritableClient implements PostgresPoolClient {
  readonly #client: PoolClient;
  #isReadOnly = false;

  constructor(client: PoolClient) {
    this.#client = client;
  }

  query<Row>(sql: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<Row>>;
  query<Row>(cursor: PostgresCursor<Row>): PostgresCursor<Row>;
  query(query: string | object, parameters: readonly unknown[] = []): unknown {
    if (typeof query !== 'string') return this.#client.query(query as Submittable);
    return this.#client.query(query, [...parameters]).catch((error: unknown) => {
      this.#isReadOnly ||= isReadOnly(error);
      throw error;
    });
  }

  release(destroy = false): void {
    this.#client.release(destroy || this.#isReadOnly);
  }
}
