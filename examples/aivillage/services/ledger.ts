/**
 * The ledger of FOG tokens: each entry moves an amount from one account to another, so the sum of all balances is
 * always zero. What is in circulation is what `mint` has given.
 */
import type { DatabaseSync } from 'node:sqlite';

export const MINT = 'mint';
export const TREASURY = 'treasury';
const GENESIS = 1_000_000;

export interface Entry {
  readonly from: string;
  readonly to: string;
  readonly amount: number;
  readonly reason: string;
  readonly at: string;
}

export class Ledger {
  readonly #database: DatabaseSync;

  constructor(database: DatabaseSync) {
    this.#database = database;
    database.exec(`
      CREATE TABLE IF NOT EXISTS ledger (
        number INTEGER PRIMARY KEY, at TEXT NOT NULL, debit TEXT NOT NULL, credit TEXT NOT NULL,
        amount INTEGER NOT NULL CHECK (amount > 0), reason TEXT NOT NULL UNIQUE, CHECK (debit <> credit)
      );
      CREATE TABLE IF NOT EXISTS balances (account TEXT PRIMARY KEY, amount INTEGER NOT NULL);
    `);
    this.move(MINT, TREASURY, GENESIS, 'genesis');
  }

  /** False when this was done before, or the account has less; only `mint` may owe. One reason is one movement. */
  move(from: string, to: string, amount: number, reason: string): boolean {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      if (from !== MINT && this.balance(from) < amount) {
        this.#database.exec('ROLLBACK');
        return false;
      }
      const { changes } = this.#database
        .prepare('INSERT INTO ledger (at, debit, credit, amount, reason) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING')
        .run(new Date().toISOString(), from, to, amount, reason);
      if (changes === 1) {
        const add = this.#database.prepare(
          'INSERT INTO balances VALUES (?, ?) ON CONFLICT (account) DO UPDATE SET amount = amount + excluded.amount',
        );
        add.run(from, -amount);
        add.run(to, amount);
      }
      this.#database.exec('COMMIT');
      return changes === 1;
    } catch (error) {
      this.#database.exec('ROLLBACK');
      throw error;
    }
  }

  balance(account: string): number {
    const row = this.#database.prepare('SELECT amount FROM balances WHERE account = ?').get(account);
    return (row?.['amount'] as number | undefined) ?? 0;
  }

  balances(): { account: string; amount: number }[] {
    return this.#database
      .prepare('SELECT account, amount FROM balances ORDER BY amount DESC, account')
      .all() as unknown as { account: string; amount: number }[];
  }

  /** Newest first. */
  entries(most: number): Entry[] {
    return this.#database
      .prepare('SELECT debit AS "from", credit AS "to", amount, reason, at FROM ledger ORDER BY number DESC LIMIT ?')
      .all(most) as unknown as Entry[];
  }

  /** Whether the balances are what the entries say, and their sum is zero. */
  isBalanced(): boolean {
    const row = this.#database
      .prepare(
        `SELECT coalesce(sum(amount), 0) AS sum, count(*) FILTER (WHERE amount <>
           (SELECT coalesce(sum(CASE WHEN credit = account THEN l.amount ELSE -l.amount END), 0)
            FROM ledger l WHERE account IN (credit, debit))) AS wrong FROM balances`,
      )
      .get();
    return row?.['sum'] === 0 && row['wrong'] === 0;
  }
}
