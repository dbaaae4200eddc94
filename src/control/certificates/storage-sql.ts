/**
 * The storage in SQL, for gateways that share certificates: one of them orders, all of them serve, and any of them
 * answers the authority's question. Values are sealed with the master key; a database alone gives away no private key.
 */
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import type { Logger } from '../../base/log.ts';
import { Encryption } from '../secrets/encryption.ts';
import type { MasterKey } from '../secrets/master-key.ts';
import { databaseNow } from '../store/database-time.ts';
import { type Migration, migrate } from '../store/migrate.ts';
import { openStore, type Store } from '../store/store.ts';
import type { CertificateStorage } from './storage.ts';

export interface AcmeTables {
  acme_items: { name: string; value: string; updated_at: number };
  acme_locks: { name: string; holder: string; until: number };
}

export const MIGRATIONS: readonly Migration[] = [
  {
    id: '0001-items',
    async up(trx) {
      await trx.schema
        .createTable('acme_items')
        .addColumn('name', 'text', (column) => column.primaryKey())
        .addColumn('value', 'text', (column) => column.notNull())
        .addColumn('updated_at', 'bigint', (column) => column.notNull())
        .execute();
      await trx.schema
        .createTable('acme_locks')
        .addColumn('name', 'text', (column) => column.primaryKey())
        .addColumn('holder', 'text', (column) => column.notNull())
        .addColumn('until', 'bigint', (column) => column.notNull())
        .execute();
    },
  },
];

export class SqlStorage implements CertificateStorage {
  readonly isShared = true;
  readonly #store: Store<AcmeTables>;
  readonly #encryption: Encryption;
  readonly #area: string;
  readonly #holder = randomUUID();

  private constructor(store: Store<AcmeTables>, master: MasterKey, area: string) {
    this.#store = store;
    this.#encryption = new Encryption(master.derive('certificates'));
    this.#area = area;
  }

  /** `area` keeps authorities apart. Rejects when the database is away or newer than this program. */
  static async open(url: string, master: MasterKey, area: string, log: Logger): Promise<SqlStorage> {
    const store = await openStore<AcmeTables>(url, { log, maxConnections: 2 });
    try {
      await migrate(store, 'acme', MIGRATIONS);
    } catch (error) {
      await store.close();
      throw error;
    }
    return new SqlStorage(store, master, area);
  }

  async read(key: string): Promise<string | null> {
    const name = this.#name(key);
    const row = await this.#store.db
      .selectFrom('acme_items')
      .select('value')
      .where('name', '=', name)
      .executeTakeFirst();
    return row === undefined ? null : this.#opened(row.value, name);
  }

  async write(key: string, value: string): Promise<void> {
    const name = this.#name(key);
    const sealed = this.#encryption.encrypt(value, name);
    const now = databaseNow(this.#store.dialect);
    await sql`insert into acme_items (name, value, updated_at) values (${name}, ${sealed}, ${now})
      on conflict (name) do update set value = excluded.value, updated_at = excluded.updated_at`.execute(
      this.#store.db,
    );
  }

  async remove(key: string): Promise<void> {
    await this.#store.db.deleteFrom('acme_items').where('name', '=', this.#name(key)).execute();
  }

  async list(prefix: string): Promise<ReadonlyMap<string, string>> {
    const begin = this.#name(prefix);
    const rows = await this.#store.db.selectFrom('acme_items').select(['name', 'value']).execute();
    return new Map(
      rows
        .filter(({ name }) => name.startsWith(begin))
        .map(({ name, value }) => [name.slice(this.#area.length + 1), this.#opened(value, name)]),
    );
  }

  async lock(key: string, ttlMs: number): Promise<boolean> {
    const now = databaseNow(this.#store.dialect);
    const { rows } = await sql`
      insert into acme_locks (name, holder, until) values (${this.#name(key)}, ${this.#holder}, ${now} + ${ttlMs})
      on conflict (name) do update set holder = excluded.holder, until = excluded.until
      where acme_locks.until < ${now} or acme_locks.holder = excluded.holder
      returning holder`.execute(this.#store.db);
    return rows.length > 0;
  }

  async unlock(key: string): Promise<void> {
    await this.#store.db
      .deleteFrom('acme_locks')
      .where('name', '=', this.#name(key))
      .where('holder', '=', this.#holder)
      .execute();
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  #name(key: string): string {
    return `${this.#area}/${key}`;
  }

  #opened(sealed: string, name: string): string {
    try {
      return this.#encryption.decrypt(sealed, name);
    } catch {
      throw new Error('what the database keeps was sealed with another master key (GATEHOUSE_MASTER_KEY)');
    }
  }
}
