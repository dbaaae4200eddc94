/**
 * Kysely on `node:sqlite`. Differs from Kysely's own driver in three things: transactions begin IMMEDIATE, so that a
 * read followed by a write cannot fail half-way; statements are prepared once; and waiting for another process's
 * write lock happens by asking again from the event loop, because the built-in busy handler would stop the thread
 * that also serves health checks and publishes revocations. The wait counts from when the lock was first met, for all
 * who wait: a request that writes several times waits once. `node:sqlite` is imported here only.
 */
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import type { CompiledQuery, DatabaseConnection, Dialect, Driver, QueryResult } from 'kysely';
import { Kysely, SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler } from 'kysely';
import { isSqliteBusy } from './faults.ts';
import { measured } from './measured.ts';

/** Statements kept prepared per file; the identity service has about 150. */
const MAX_STATEMENTS = 300;
/** Blocking wait inside SQLite; short, see the header. */
const BLOCKING_WAIT_MS = 20;

/** The file of a `sqlite:` URL as an absolute path, or `:memory:`. */
export function sqlitePath(url: string): string {
  const path = url.slice('sqlite:'.length).replace(/^\/\/(?=\/|\.)/, '');
  if (path === ':memory:') return path;
  if (path === '') throw new TypeError('the store "sqlite:" names no file');
  return resolve(path);
}

export function openSqlite<Tables>(path: string, busyTimeoutMs: number): Kysely<Tables> {
  return new Kysely<Tables>({ dialect: new NodeSqliteDialect(path, busyTimeoutMs), log: measured('sqlite') });
}

class NodeSqliteDialect implements Dialect {
  readonly #path: string;
  readonly #busyTimeoutMs: number;

  constructor(path: string, busyTimeoutMs: number) {
    this.#path = path;
    this.#busyTimeoutMs = busyTimeoutMs;
  }

  createDriver(): Driver {
    return new NodeSqliteDriver(this.#path, this.#busyTimeoutMs);
  }

  createQueryCompiler(): SqliteQueryCompiler {
    return new SqliteQueryCompiler();
  }

  createAdapter(): SqliteAdapter {
    return new SqliteAdapter();
  }

  // biome-ignore lint/suspicious/noExplicitAny: Kysely's own signature
  createIntrospector(db: Kysely<any>): SqliteIntrospector {
    return new SqliteIntrospector(db);
  }
}

class NodeSqliteDriver implements Driver {
  readonly #path: string;
  readonly #busyTimeoutMs: number;
  #connection: NodeSqliteConnection | undefined;

  constructor(path: string, busyTimeoutMs: number) {
    this.#path = path;
    this.#busyTimeoutMs = busyTimeoutMs;
  }

  async init(): Promise<void> {
    this.#connection = new NodeSqliteConnection(this.#path, this.#busyTimeoutMs);
    await this.#connection.setUp();
  }

  async acquireConnection(): Promise<DatabaseConnection> {
    if (this.#connection === undefined) throw new TypeError('the store is closed');
    return this.#connection;
  }

  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await (connection as NodeSqliteConnection).command('begin immediate');
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await (connection as NodeSqliteConnection).command('commit');
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    (connection as NodeSqliteConnection).rollback();
  }

  async releaseConnection(): Promise<void> {}

  async destroy(): Promise<void> {
    this.#connection?.close();
    this.#connection = undefined;
  }
}

class NodeSqliteConnection implements DatabaseConnection {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, { statement: StatementSync; returnsRows: boolean }>();
  readonly #busyTimeoutMs: number;
  /** When another process's lock was met; null since something could be written again. */
  #lockedSinceMs: number | null = null;
  #lockMetMs = 0;

  constructor(path: string, busyTimeoutMs: number) {
    if (path !== ':memory:') createPrivately(path);
    this.#database = new DatabaseSync(path, { timeout: BLOCKING_WAIT_MS, enableForeignKeyConstraints: true });
    this.#busyTimeoutMs = busyTimeoutMs;
  }

  async setUp(): Promise<void> {
    await this.command('pragma journal_mode = wal');
    // Every commit reaches the disk: a consumed token must not come back after a power cut.
    await this.command('pragma synchronous = full');
    // Pages go from the log into the file on this thread: a few at a time, since a thousand stopped it for 100 ms.
    await this.command('pragma wal_autocheckpoint = 100');
    await this.command('pragma trusted_schema = off');
  }

  async executeQuery<Row>(query: CompiledQuery): Promise<QueryResult<Row>> {
    const { statement, returnsRows } = this.#prepare(query.sql);
    const parameters = query.parameters as SQLInputValue[];
    return this.#whenFree(() => {
      if (returnsRows) return { rows: statement.all(...parameters) as Row[] };
      const { changes, lastInsertRowid } = statement.run(...parameters);
      return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) };
    }, !returnsRows);
  }

  // biome-ignore lint/correctness/useYield: streaming is refused, the interface demands the method
  async *streamQuery<Row>(): AsyncIterableIterator<QueryResult<Row>> {
    throw new TypeError('the store does not stream; read in pages');
  }

  async command(text: string): Promise<void> {
    await this.#whenFree(() => this.#database.exec(text), true);
  }

  rollback(): void {
    // Some faults (disk full) make SQLite roll back by itself; a second rollback would hide the first error.
    if (this.#database.isTransaction) this.#database.exec('rollback');
  }

  close(): void {
    this.#statements.clear();
    this.#database.close();
  }

  /**
   * `writes`: it takes the write lock, so that its success says that no other connection has it. BUSY means that
   * nothing of the statement happened, so that asking again is safe, in and out of a transaction.
   */
  async #whenFree<Result>(run: () => Result, writes: boolean): Promise<Result> {
    for (let waitMs = 2; ; waitMs = Math.min(waitMs * 2, 50)) {
      try {
        const result = run();
        if (writes) this.#lockedSinceMs = null;
        return result;
      } catch (error) {
        if (!isSqliteBusy(error)) throw error;
        if (performance.now() + waitMs > this.#lockedSince() + this.#busyTimeoutMs) throw error;
      }
      await delay(waitMs);
    }
  }

  /** A lock not met for that whole time may by now be another one. */
  #lockedSince(): number {
    const nowMs = performance.now();
    if (this.#lockedSinceMs === null || nowMs - this.#lockMetMs > this.#busyTimeoutMs) this.#lockedSinceMs = nowMs;
    this.#lockMetMs = nowMs;
    return this.#lockedSinceMs;
  }

  #prepare(text: string): { statement: StatementSync; returnsRows: boolean } {
    const known = this.#statements.get(text);
    if (known !== undefined) return known;
    const statement = this.#database.prepare(text);
    const prepared = { statement, returnsRows: statement.columns().length > 0 };
    if (this.#statements.size >= MAX_STATEMENTS) {
      const oldest = this.#statements.keys().next().value;
      if (oldest !== undefined) this.#statements.delete(oldest);
    }
    this.#statements.set(text, prepared);
    return prepared;
  }
}

/** The file holds password hashes: only its owner may read it. An existing file keeps its mode. */
function createPrivately(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  closeSync(openSync(path, 'a', 0o600));
}
