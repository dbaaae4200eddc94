/**
 * What lets several processes write usage into one PostgreSQL at a time: an order in which rows are locked, so that
 * two transactions never wait for each other, and a lock that keeps the freezing of a period apart from bookings, so
 * that what is exported is all there is. SQLite needs neither: it has one writer at a time. Called by quota-ledger.ts
 * and usage.ts.
 */
import { sql, type Transaction } from 'kysely';
import type { Store } from '../../store/store.ts';
import type { LimitTables } from '../tables.ts';
import type { Period } from './periods.ts';

type Trx = Transaction<LimitTables>;

export interface UsageKey {
  readonly quota: string;
  readonly account: string;
  readonly period: Period;
}

/** The row of a period in which nothing has been used yet; `amount` is what may be. */
export function unusedRow({ quota, account, period }: UsageKey, plan: string | null, amount: number, nowMs: number) {
  return {
    quota,
    account,
    period: period.id,
    start_at: period.startMs,
    end_at: period.endMs,
    used: 0,
    held: 0,
    late: 0,
    plan,
    amount,
    updated_at: nowMs,
  };
}

/** Number of the advisory lock; nothing else in the database may use it. */
const FREEZE_LOCK = 6_774_861_205;

/** Bookings go on side by side; a freeze waits for those that have begun and makes later ones wait. */
export async function withFreezesApart({ dialect }: Pick<Store<LimitTables>, 'dialect'>, trx: Trx): Promise<void> {
  if (dialect === 'postgres') await sql`select pg_advisory_xact_lock_shared(${FREEZE_LOCK})`.execute(trx);
}

/** From here to the end of the transaction no process books anything. */
export async function freezeAlone({ dialect }: Pick<Store<LimitTables>, 'dialect'>, trx: Trx): Promise<void> {
  if (dialect === 'postgres') await sql`select pg_advisory_xact_lock(${FREEZE_LOCK})`.execute(trx);
}

/** Locks all rows that a transaction will touch, those that are not there yet too, in the one order. */
export async function holdRows(
  { dialect }: Pick<Store<LimitTables>, 'dialect'>,
  trx: Trx,
  keys: readonly UsageKey[],
  nowMs: number,
): Promise<void> {
  if (dialect !== 'postgres' || keys.length < 2) return;
  const named = new Map(keys.map((key) => [`${key.quota}\n${key.account}\n${key.period.id}`, key]));
  const rows = [...named]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([, key]) => unusedRow(key, null, 0, nowMs));
  // Eleven parameters a row, and a statement may have 65,535.
  for (let at = 0; at < rows.length; at += MOST_ROWS) {
    await trx
      .insertInto('limits_usage')
      .values(rows.slice(at, at + MOST_ROWS))
      .onConflict((conflict) => conflict.columns(['quota', 'account', 'period']).doUpdateSet({ updated_at: nowMs }))
      .execute();
  }
}

const MOST_ROWS = 1_000;
