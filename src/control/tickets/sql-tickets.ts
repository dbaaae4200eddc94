/** Tickets in the SQL store: any gateway on it takes any ticket. */
import type { Migration } from '../store/migrate.ts';
import type { Store } from '../store/store.ts';
import { hashOf, type KeptTicket, MOST_OF_ACCOUNT, type TicketStore } from './ticket-store.ts';

export interface TicketTables {
  auth_tickets: {
    hash: string;
    /** Hash of the account. */
    account: string;
    ticket: string;
    ends_ms: number;
  };
}

export const MIGRATIONS: readonly Migration[] = [
  {
    id: '0001-tickets',
    async up(trx) {
      await trx.schema
        .createTable('auth_tickets')
        .addColumn('hash', 'text', (column) => column.primaryKey())
        .addColumn('account', 'text', (column) => column.notNull())
        .addColumn('ticket', 'text', (column) => column.notNull())
        .addColumn('ends_ms', 'bigint', (column) => column.notNull())
        .execute();
      await trx.schema.createIndex('auth_tickets_by_end').on('auth_tickets').column('ends_ms').execute();
      await trx.schema
        .createIndex('auth_tickets_by_account')
        .on('auth_tickets')
        .columns(['account', 'ends_ms'])
        .execute();
    },
  },
];

export class SqlTickets implements TicketStore {
  readonly #store: Store<TicketTables>;
  readonly #wallMs: () => number;

  constructor(store: Store<TicketTables>, wallMs: () => number = Date.now) {
    this.#store = store;
    this.#wallMs = wallMs;
  }

  async put(hash: string, ticket: KeptTicket, accountKey: string, ttlMs: number): Promise<boolean> {
    const { db } = this.#store;
    const nowMs = this.#wallMs();
    const account = hashOf(accountKey);
    const { count } = await db
      .selectFrom('auth_tickets')
      .select(({ fn }) => fn.countAll().as('count'))
      .where('account', '=', account)
      .where('ends_ms', '>', nowMs)
      .executeTakeFirstOrThrow();
    if (Number(count) >= MOST_OF_ACCOUNT) return false;
    const row = { hash, account, ticket: JSON.stringify(ticket), ends_ms: nowMs + ttlMs };
    await db.insertInto('auth_tickets').values(row).execute();
    return true;
  }

  async take(hash: string): Promise<KeptTicket | null> {
    const row = await this.#store.db
      .deleteFrom('auth_tickets')
      .where('hash', '=', hash)
      .returning(['ticket', 'ends_ms'])
      .executeTakeFirst();
    if (row === undefined || Number(row.ends_ms) <= this.#wallMs()) return null;
    return JSON.parse(row.ticket) as KeptTicket;
  }

  async clean(): Promise<void> {
    await this.#store.db.deleteFrom('auth_tickets').where('ends_ms', '<=', this.#wallMs()).execute();
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}
