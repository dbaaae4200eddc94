/**
 * Who holds what was granted. A process that is killed gives nothing back, so what each one holds stands beside the sum
 * in `limits_usage.held`, with a sign of life of the process: when its lease is over, any other one gives it back to
 * the callers. The database's own clock decides, since those of machines differ. Called by quota-ledger.ts, inside its
 * transactions, which lock a row of usage before the row of who holds it.
 */
import type { Transaction } from 'kysely';
import { databaseNow, readDatabaseTime } from '../../store/database-time.ts';
import type { Store } from '../../store/store.ts';
import type { LimitTables } from '../tables.ts';
import { withFreezesApart } from './ledger-order.ts';

type Trx = Transaction<LimitTables>;

/** A process that gave no sign of life for so long holds nothing any more. */
export const LEASE_MS = 30_000;
const SIGN_EVERY_MS = LEASE_MS / 3;
/** The dead ones of one round; the rest wait for the next. */
const MOST_DEAD = 20;

export interface HeldKey {
  readonly quota: string;
  readonly account: string;
  readonly period: string;
}

export class Holds {
  readonly #store: Store<LimitTables>;
  readonly #holder: string;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<unknown> = Promise.resolve();

  constructor(store: Store<LimitTables>, holder: string) {
    this.#store = store;
    this.#holder = holder;
  }

  /** Gives signs of life, and gives back what dead processes held: now, and again and again. */
  begin(onProblem: (error: unknown) => void): void {
    const round = (): void => {
      this.#running = this.#running.then(() => this.sign()).catch(onProblem);
    };
    round();
    this.#timer = setInterval(round, SIGN_EVERY_MS).unref();
  }

  /** Before the first row of this process in a transaction. */
  async isAlive(trx: Trx): Promise<void> {
    const seen_at = databaseNow(this.#store.dialect);
    await trx
      .insertInto('limits_holders')
      .values({ id: this.#holder, seen_at })
      .onConflict((conflict) => conflict.column('id').doUpdateSet({ seen_at }))
      .execute();
  }

  async granted(trx: Trx, { quota, account, period }: HeldKey, amount: number): Promise<void> {
    await trx
      .insertInto('limits_holds')
      .values({ holder: this.#holder, quota, account, period, held: amount })
      .onConflict((conflict) =>
        conflict
          .columns(['holder', 'quota', 'account', 'period'])
          .doUpdateSet((row) => ({ held: row('limits_holds.held', '+', amount) })),
      )
      .execute();
  }

  /**
   * Takes this much off; the result is how much of it was held. Less: the lease had ended meanwhile, because the
   * process stood still, and what it held was given back already.
   */
  async settled(trx: Trx, key: HeldKey, amount: number): Promise<number> {
    if (amount === 0) return 0;
    const mine = this.#row(trx, this.#holder, key);
    const row = await (this.#store.dialect === 'postgres' ? mine.forUpdate() : mine).executeTakeFirst();
    const held = Number(row?.held ?? 0);
    const rest = held - amount;
    if (rest <= 0) await this.#delete(trx, this.#holder, key);
    else
      await trx
        .updateTable('limits_holds')
        .set({ held: rest })
        .where('holder', '=', this.#holder)
        .where('quota', '=', key.quota)
        .where('account', '=', key.account)
        .where('period', '=', key.period)
        .execute();
    return Math.min(held, amount);
  }

  /** One sign of life; what processes without one held comes back. */
  async sign(): Promise<void> {
    const dead = await this.#store.transaction(async (trx) => {
      await this.isAlive(trx);
      const nowMs = await readDatabaseTime(trx, this.#store.dialect);
      return await trx
        .selectFrom('limits_holders')
        .select('id')
        .where('seen_at', '<', nowMs - LEASE_MS)
        .limit(MOST_DEAD)
        .execute();
    });
    for (const { id } of dead) await this.#bury(id);
  }

  /** At the end: what workers did not give back, since they died. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running;
    await this.#bury(this.#holder);
  }

  async #bury(holder: string): Promise<void> {
    const keys = await this.#store.db
      .selectFrom('limits_holds')
      .select(['quota', 'account', 'period'])
      .where('holder', '=', holder)
      .orderBy('quota')
      .orderBy('account')
      .orderBy('period')
      .execute();
    for (const key of keys) {
      await this.#store.transaction(async (trx) => {
        await withFreezesApart(this.#store, trx);
        await this.#giveBack(trx, holder, key);
      });
    }
    await this.#store.db.deleteFrom('limits_holders').where('id', '=', holder).execute();
  }

  async #giveBack(trx: Trx, holder: string, key: HeldKey): Promise<void> {
    const usage = trx
      .updateTable('limits_usage')
      .where('quota', '=', key.quota)
      .where('account', '=', key.account)
      .where('period', '=', key.period);
    // Locks the row, as each booking does first.
    await usage.set((row) => ({ held: row('held', '+', 0) })).execute();
    const held = await this.#row(trx, holder, key).executeTakeFirst();
    if (held === undefined) return; // another process was faster
    await this.#delete(trx, holder, key);
    await usage.set((row) => ({ held: row('held', '-', Number(held.held)) })).execute();
  }

  #row(trx: Trx, holder: string, { quota, account, period }: HeldKey) {
    return trx
      .selectFrom('limits_holds')
      .select('held')
      .where('holder', '=', holder)
      .where('quota', '=', quota)
      .where('account', '=', account)
      .where('period', '=', period);
  }

  async #delete(trx: Trx, holder: string, { quota, account, period }: HeldKey): Promise<void> {
    await trx
      .deleteFrom('limits_holds')
      .where('holder', '=', holder)
      .where('quota', '=', quota)
      .where('account', '=', account)
      .where('period', '=', period)
      .execute();
  }
}
