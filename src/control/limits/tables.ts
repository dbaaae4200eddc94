/** The tables of usage and bans, and the migrations that make them. Times are milliseconds since 1970. */
import type { Migration } from '../store/migrate.ts';

export interface UsageRow {
  quota: string;
  account: string;
  period: string;
  start_at: number;
  end_at: number;
  /** Billed: what requests used up. */
  used: number;
  /** Granted to workers and not reported yet. */
  held: number;
  /** Of `used`, what was reported after an earlier period had been exported. */
  late: number;
  /** At the last grant. */
  plan: string | null;
  amount: number;
  updated_at: number;
}

/** A period that was exported: its rows do not change any more. */
export interface FrozenRow {
  quota: string;
  period: string;
  frozen_at: number;
}

export interface BanRow {
  id: string;
  /** `address`, `user` or `key`. */
  kind: string;
  /** Address or CIDR block, user or key id. */
  subject: string;
  reason: string;
  /** Who made it: a rule's name, or an administrator. */
  made_by: string;
  made_at: number;
  /** Null: until it is lifted. */
  ends_at: number | null;
  lifted_at: number | null;
  lifted_by: string | null;
  /** How many times this subject was banned before, for growing times. */
  strikes: number;
}

/**
 * How far each process that writes usage has got, so that a batch whose commit was not confirmed is not written twice.
 */
export interface WriterRow {
  id: string;
  /** Number of its last batch. */
  batch: number;
  written_at: number;
}

/** A process that holds grants, and when it gave a sign of life (the database's clock). */
export interface HolderRow {
  id: string;
  seen_at: number;
}

/** Its part of `UsageRow.held`. */
export interface HoldRow {
  holder: string;
  quota: string;
  account: string;
  period: string;
  held: number;
}

export interface LimitTables {
  limits_holders: HolderRow;
  limits_holds: HoldRow;
  limits_writers: WriterRow;
  limits_usage: UsageRow;
  limits_frozen: FrozenRow;
  limits_bans: BanRow;
}

export const MIGRATIONS: readonly Migration[] = [
  {
    id: '0001-usage-and-bans',
    async up(trx) {
      await trx.schema
        .createTable('limits_usage')
        .addColumn('quota', 'text', (column) => column.notNull())
        .addColumn('account', 'text', (column) => column.notNull())
        .addColumn('period', 'text', (column) => column.notNull())
        .addColumn('start_at', 'bigint', (column) => column.notNull())
        .addColumn('end_at', 'bigint', (column) => column.notNull())
        .addColumn('used', 'bigint', (column) => column.notNull().defaultTo(0))
        .addColumn('held', 'bigint', (column) => column.notNull().defaultTo(0))
        .addColumn('late', 'bigint', (column) => column.notNull().defaultTo(0))
        .addColumn('plan', 'text')
        .addColumn('amount', 'bigint', (column) => column.notNull().defaultTo(0))
        .addColumn('updated_at', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('limits_usage_key', ['quota', 'account', 'period'])
        .execute();
      await trx.schema.createIndex('limits_usage_period').on('limits_usage').columns(['quota', 'period']).execute();
      await trx.schema
        .createIndex('limits_usage_account')
        .on('limits_usage')
        .columns(['account', 'start_at'])
        .execute();
      await trx.schema
        .createTable('limits_frozen')
        .addColumn('quota', 'text', (column) => column.notNull())
        .addColumn('period', 'text', (column) => column.notNull())
        .addColumn('frozen_at', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('limits_frozen_key', ['quota', 'period'])
        .execute();
      await trx.schema
        .createTable('limits_bans')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('kind', 'text', (column) => column.notNull())
        .addColumn('subject', 'text', (column) => column.notNull())
        .addColumn('reason', 'text', (column) => column.notNull())
        .addColumn('made_by', 'text', (column) => column.notNull())
        .addColumn('made_at', 'bigint', (column) => column.notNull())
        .addColumn('ends_at', 'bigint')
        .addColumn('lifted_at', 'bigint')
        .addColumn('lifted_by', 'text')
        .addColumn('strikes', 'integer', (column) => column.notNull().defaultTo(0))
        .execute();
      await trx.schema
        .createIndex('limits_bans_subject')
        .on('limits_bans')
        .columns(['kind', 'subject', 'made_at'])
        .execute();
    },
  },
  {
    id: '0002-writers',
    async up(trx) {
      await trx.schema
        .createTable('limits_writers')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('batch', 'bigint', (column) => column.notNull())
        .addColumn('written_at', 'bigint', (column) => column.notNull())
        .execute();
    },
  },
  {
    id: '0003-holds',
    async up(trx) {
      await trx.schema
        .createTable('limits_holders')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('seen_at', 'bigint', (column) => column.notNull())
        .execute();
      await trx.schema
        .createTable('limits_holds')
        .addColumn('holder', 'text', (column) => column.notNull())
        .addColumn('quota', 'text', (column) => column.notNull())
        .addColumn('account', 'text', (column) => column.notNull())
        .addColumn('period', 'text', (column) => column.notNull())
        .addColumn('held', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('limits_holds_key', ['holder', 'quota', 'account', 'period'])
        .execute();
    },
  },
];
