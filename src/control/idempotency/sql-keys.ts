/**
 * Idempotency keys of routes in the SQL store, as hashes, each with the first request's response: they hold across
 * restarts, and over all gateways that share a database. One statement decides who is first, so no two requests ever
 * are.
 */

import type {
  BeginAnswer,
  BeginQuestion,
  FinishQuestion,
  Held,
  KeptResponse,
} from '../../data/contract/idempotency.ts';
import { isUniqueViolation } from '../store/faults.ts';
import type { Migration } from '../store/migrate.ts';
import type { Store } from '../store/store.ts';
import type { KeyStore } from './key-store.ts';

export interface IdempotencyTables {
  idempotency_keys: {
    key_hash: string;
    fingerprint: string;
    /** JSON, null while the request is in progress. */
    response: string | null;
    begun_ms: number;
    expires_ms: number;
  };
}

export const MIGRATIONS: readonly Migration[] = [
  {
    id: '0001-keys',
    async up(trx) {
      await trx.schema
        .createTable('idempotency_keys')
        .addColumn('key_hash', 'text', (column) => column.primaryKey())
        .addColumn('fingerprint', 'text', (column) => column.notNull())
        .addColumn('response', 'text')
        .addColumn('begun_ms', 'bigint', (column) => column.notNull())
        .addColumn('expires_ms', 'bigint', (column) => column.notNull())
        .execute();
      await trx.schema.createIndex('idempotency_keys_by_end').on('idempotency_keys').column('expires_ms').execute();
    },
  },
];

export class SqlKeys implements Omit<KeyStore, 'close'> {
  readonly #store: Store<IdempotencyTables>;
  readonly #wallMs: () => number;

  constructor(store: Store<IdempotencyTables>, wallMs: () => number = Date.now) {
    this.#store = store;
    this.#wallMs = wallMs;
  }

  async begin({ keyHash, fingerprint, keptForMs, inProgressMs }: BeginQuestion): Promise<BeginAnswer> {
    const { db } = this.#store;
    const nowMs = this.#wallMs();
    const row = { key_hash: keyHash, fingerprint, response: null, begun_ms: nowMs, expires_ms: nowMs + keptForMs };
    try {
      await db.insertInto('idempotency_keys').values(row).execute();
      return { kind: 'first', begunMs: nowMs };
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
    }
    const found = await db
      .selectFrom('idempotency_keys')
      .selectAll()
      .where('key_hash', '=', keyHash)
      .executeTakeFirst();
    // It was released in between.
    if (found === undefined) return { kind: 'in-progress' };
    const begunMs = Number(found.begun_ms);
    if (Number(found.expires_ms) > nowMs) {
      if (found.fingerprint !== fingerprint) return { kind: 'other-request' };
      if (found.response !== null) return { kind: 'again', response: JSON.parse(found.response) as KeptResponse };
      if (begunMs > nowMs - inProgressMs) return { kind: 'in-progress' };
    }
    // Taken over by one request only: the others find that the beginning has moved.
    const takenMs = Math.max(nowMs, begunMs + 1);
    const { numUpdatedRows } = await db
      .updateTable('idempotency_keys')
      .set({ ...row, begun_ms: takenMs })
      .where('key_hash', '=', keyHash)
      .where('begun_ms', '=', found.begun_ms)
      .executeTakeFirst();
    return numUpdatedRows === 1n ? { kind: 'first', begunMs: takenMs } : { kind: 'in-progress' };
  }

  async finish({ keyHash, begunMs, response }: FinishQuestion): Promise<void> {
    await this.#store.db
      .updateTable('idempotency_keys')
      .set({ response: JSON.stringify(response) })
      .where('key_hash', '=', keyHash)
      .where('begun_ms', '=', begunMs)
      .execute();
  }

  async release({ keyHash, begunMs }: Held): Promise<void> {
    await this.#store.db
      .deleteFrom('idempotency_keys')
      .where('key_hash', '=', keyHash)
      .where('begun_ms', '=', begunMs)
      .where('response', 'is', null)
      .execute();
  }

  async clean(): Promise<void> {
    await this.#store.db.deleteFrom('idempotency_keys').where('expires_ms', '<=', this.#wallMs()).execute();
  }
}
