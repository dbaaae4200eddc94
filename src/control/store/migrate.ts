/**
 * Runs an area's migrations: an ordered list, each applied once, all of them in one transaction, one process at a
 * time. A database that knows migrations this program does not is newer than the program and is refused. Called at
 * start by each area and by `gatehouse migrate`.
 */
import { sql, type Transaction } from 'kysely';
import { openFailure } from './faults.ts';
import type { Store, StoreDialect } from './store.ts';

export interface Migration {
  /** `0001-accounts`: sorts by itself and never changes once released. */
  readonly id: string;
  // biome-ignore lint/suspicious/noExplicitAny: a migration knows the tables of its own time only
  up(trx: Transaction<any>, dialect: StoreDialect): Promise<void>;
}

export interface MigrationReport {
  readonly area: string;
  /** Applied now, in order. */
  readonly applied: readonly string[];
  /** All that the database has after the run. */
  readonly present: readonly string[];
}

interface MigrationTable {
  gatehouse_migrations: { area: string; id: string; applied_at: number };
}

/** Any fixed number: the name of the advisory lock that migrations take in PostgreSQL. */
const LOCK = 4_711_026;

/** Rejects with a `StoreFault` where the database cannot be reached or used. */
export async function migrate(
  // biome-ignore lint/suspicious/noExplicitAny: the tables are what the migrations make
  store: Store<any>,
  area: string,
  migrations: readonly Migration[],
  wallMs: () => number = Date.now,
): Promise<MigrationReport> {
  checkOrder(area, migrations);
  try {
    return await run(store, area, migrations, wallMs);
  } catch (error) {
    throw openFailure(store.where, error);
  }
}

async function run(
  // biome-ignore lint/suspicious/noExplicitAny: the tables are what the migrations make
  store: Store<any>,
  area: string,
  migrations: readonly Migration[],
  wallMs: () => number,
): Promise<MigrationReport> {
  return await (store as Store<MigrationTable>).transaction(async (trx) => {
    if (store.dialect === 'postgres') await sql`select pg_advisory_xact_lock(${LOCK})`.execute(trx);
    await trx.schema
      .createTable('gatehouse_migrations')
      .ifNotExists()
      .addColumn('area', 'text', (column) => column.notNull())
      .addColumn('id', 'text', (column) => column.notNull())
      .addColumn('applied_at', 'bigint', (column) => column.notNull())
      .addPrimaryKeyConstraint('gatehouse_migrations_key', ['area', 'id'])
      .execute();
    const rows = await trx
      .selectFrom('gatehouse_migrations')
      .select('id')
      .where('area', '=', area)
      .orderBy('id')
      .execute();
    const present = rows.map((row) => row.id);
    checkPresent(area, present, migrations);
    const applied: string[] = [];
    for (const migration of migrations.slice(present.length)) {
      await migration.up(trx, store.dialect);
      await trx.insertInto('gatehouse_migrations').values({ area, id: migration.id, applied_at: wallMs() }).execute();
      applied.push(migration.id);
    }
    return { area, applied, present: [...present, ...applied] };
  });
}

function checkOrder(area: string, migrations: readonly Migration[]): void {
  for (let i = 1; i < migrations.length; i++) {
    const previous = migrations[i - 1]?.id ?? '';
    const id = migrations[i]?.id ?? '';
    if (id <= previous) throw new TypeError(`migrations of ${area}: "${id}" must sort after "${previous}"`);
  }
}

function checkPresent(area: string, present: readonly string[], migrations: readonly Migration[]): void {
  for (const [i, id] of present.entries()) {
    if (migrations[i]?.id === id) continue;
    throw new Error(`the database holds migration "${id}" of ${area}, which this version of gatehouse does not know`);
  }
}
