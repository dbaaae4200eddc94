/**
 * The SQL store that the control plane keeps its durable state in: SQLite by default, PostgreSQL by URL, one Kysely
 * handle for both. Areas (identity, usage, configuration history) own their tables and migrations; this file owns
 * the connection and the transaction. Called by control parts at their start; never by the data plane.
 *
 * One SQLite file is opened once per thread and shared, because `node:sqlite` is synchronous: a second connection
 * that waits for the first one's lock would stop the very thread that has to release it.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { type Kysely, sql, type Transaction } from 'kysely';
import type { Logger } from '../../base/log.ts';
import { isContention, isUnavailable, unavailableBecause } from './faults.ts';

export type StoreDialect = 'sqlite' | 'postgres';

export interface StoreOptions {
  /** Most PostgreSQL connections of this process. Default 10. Without meaning for SQLite. */
  readonly maxConnections?: number;
  /** Longest wait for a connection or a lock, in milliseconds. Default 5,000. */
  readonly busyTimeoutMs?: number;
  /**
   * PostgreSQL ends a transaction in which nothing happens for so long, so that a stopped process blocks no other.
   * Default 30,000.
   */
  readonly idleTransactionMs?: number;
  readonly log?: Logger;
}

/** What a listener of a channel hears. */
export interface Heard {
  /** From now on each message is heard; some may have been missed. */
  begins(): void;
  message(payload: string): void;
}

export interface Listening {
  readonly isListening: boolean;
  stop(): void;
}

export interface Store<Tables> {
  readonly dialect: StoreDialect;
  /** Its file, or its URL without the password, for messages. */
  readonly where: string;
  /** For single statements. Inside `transaction` use the handle given there: this one throws a TypeError then. */
  readonly db: Kysely<Tables>;
  /**
   * Runs `work` in one transaction (SQLite: BEGIN IMMEDIATE, PostgreSQL: READ COMMITTED). `work` may run again when
   * PostgreSQL breaks a deadlock, so it must touch nothing but the database.
   */
  transaction<Result>(work: (trx: Transaction<Tables>) => Promise<Result>): Promise<Result>;
  /**
   * Why the last transaction could not be carried out, or null. Who asks while there is a reason has it tried again, at
   * most once a second, so that the answer does not stay when the reason has gone.
   */
  problem(): string | null;
  /** Hears what is sent by `notify` (PostgreSQL); null where there is no such thing (SQLite). To be stopped first. */
  listen(channel: string, heard: Heard): Listening | null;
  /** Rejects when the database cannot answer. */
  ping(): Promise<void>;
  /** Gives the connection back; the last holder of a shared SQLite file closes it. */
  close(): Promise<void>;
}

const TRY_EVERY_MS = 1_000;

interface Shared {
  // biome-ignore lint/suspicious/noExplicitAny: each holder has its own table types
  readonly db: Kysely<any>;
  holders: number;
}

const sqliteFiles = new Map<string, Shared>();
/** The handles whose transaction the running code is in, so that the wrong one is an error and not a deadlock. */
const insideTransaction = new AsyncLocalStorage<ReadonlySet<unknown>>();

function refuseInsideTransaction(owner: unknown): void {
  if (insideTransaction.getStore()?.has(owner) !== true) return;
  throw new TypeError('inside a transaction use the handle that was given to it, not the store');
}

/**
 * Opens the store of a URL: `sqlite:./data/gatehouse.db`, `sqlite::memory:` (a store of its own each time),
 * `postgres://user:password@host/database`. Throws a TypeError for any other. The password appears in no message.
 */
export async function openStore<Tables>(url: string, options: StoreOptions = {}): Promise<Store<Tables>> {
  const busyTimeoutMs = options.busyTimeoutMs ?? 5_000;
  if (/^postgres(ql)?:\/\//.test(url)) {
    const { openPostgres } = await import('./postgres.ts');
    const owner = {};
    const db = await openPostgres<Tables>(url, {
      maxConnections: options.maxConnections ?? 10,
      busyTimeoutMs,
      idleTransactionMs: options.idleTransactionMs ?? 30_000,
      log: options.log,
    });
    const { PostgresListener } = await import('./postgres-listener.ts');
    const listen = (channel: string, heard: Heard): Listening => new PostgresListener(url, channel, heard, options.log);
    return makeStore(db, 'postgres', withoutSecret(url), owner, () => db.destroy(), listen);
  }
  if (!url.startsWith('sqlite:')) {
    throw new TypeError(
      `the store must be sqlite:PATH, sqlite::memory: or postgres://HOST/DATABASE, not "${withoutSecret(url)}"`,
    );
  }
  const { openSqlite, sqlitePath } = await import('./sqlite.ts');
  const path = sqlitePath(url);
  if (path === ':memory:') {
    const owner = {};
    const db = openSqlite<Tables>(path, busyTimeoutMs);
    return makeStore(db, 'sqlite', path, owner, () => db.destroy());
  }
  let shared = sqliteFiles.get(path);
  if (shared === undefined) {
    shared = { db: openSqlite(path, busyTimeoutMs), holders: 0 };
    sqliteFiles.set(path, shared);
  }
  shared.holders++;
  const held = shared;
  return makeStore<Tables>(held.db, 'sqlite', path, path, async () => {
    if (--held.holders > 0) return;
    sqliteFiles.delete(path);
    await held.db.destroy();
  });
}

function makeStore<Tables>(
  db: Kysely<Tables>,
  dialect: StoreDialect,
  where: string,
  owner: unknown,
  release: () => Promise<void>,
  listen: (channel: string, heard: Heard) => Listening | null = () => null,
): Store<Tables> {
  let open = true;
  let problem: string | null = null;
  let triedMs = Number.NEGATIVE_INFINITY;
  const tryAgain = (): void => {
    if (performance.now() - triedMs < TRY_EVERY_MS) return;
    triedMs = performance.now();
    db.transaction()
      .execute((trx) => sql`select 1`.execute(trx))
      .then(
        () => {
          problem = null;
        },
        (error: unknown) => {
          if (isUnavailable(error)) problem = unavailableBecause(error);
        },
      );
  };
  return {
    problem() {
      if (problem !== null && open) tryAgain();
      return problem;
    },
    dialect,
    where,
    listen,
    get db() {
      refuseInsideTransaction(owner);
      return db;
    },
    async transaction(work) {
      refuseInsideTransaction(owner);
      const around = insideTransaction.getStore();
      const owners = new Set(around).add(owner);
      for (let attempt = 1; ; attempt++) {
        try {
          const result = await db.transaction().execute((trx) => insideTransaction.run(owners, () => work(trx)));
          problem = null;
          return result;
        } catch (error) {
          if (isUnavailable(error)) problem = unavailableBecause(error);
          if (attempt >= 4 || !isContention(error)) throw error;
          await delay(5 * 2 ** attempt * (0.5 + Math.random()));
        }
      }
    },
    async ping() {
      refuseInsideTransaction(owner);
      await sql`select 1`.execute(db);
    },
    async close() {
      if (!open) return;
      open = false;
      await release();
    },
  };
}

/** The URL without its password, for messages. */
export function withoutSecret(url: string): string {
  // The last `@` ends the credentials, so that no part of a password with one is shown.
  return url.replace(/\/\/([^:@/]*):.*@/, '//$1:***@').replace(/([?&]password=)[^&]*/g, '$1***');
}
