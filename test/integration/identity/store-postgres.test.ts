/** The store's promises on a real PostgreSQL: migrations by two at once, 503 when it is away, back when it returns. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { isUnavailable, isUniqueViolation } from '../../../src/control/store/faults.ts';
import { type Migration, migrate } from '../../../src/control/store/migrate.ts';
import { openStore, type Store } from '../../../src/control/store/store.ts';
import { type PostgresServer, startPostgres } from '../../support/postgres.ts';

interface Tables {
  counters: { name: string; value: number };
}

const counters: Migration = {
  id: '0001-counters',
  up: async (trx) => {
    await trx.schema
      .createTable('counters')
      .addColumn('name', 'text', (column) => column.primaryKey())
      .addColumn('value', 'bigint', (column) => column.notNull())
      .execute();
  },
};

describe('openStore on PostgreSQL', () => {
  let server: PostgresServer;
  let store: Store<Tables>;
  let url: string;

  before(async () => {
    server = await startPostgres();
    url = await server.database('store');
    store = await openStore<Tables>(url, { busyTimeoutMs: 2_000 });
  });
  after(async () => {
    await store?.close();
    await server?.stop();
  });

  test('migrates once when two processes start together', async () => {
    const second = await openStore<Tables>(url);
    const reports = await Promise.all([migrate(store, 'test', [counters]), migrate(second, 'test', [counters])]);
    await second.close();
    assert.equal(reports.flatMap((report) => report.applied).length, 1);
  });

  test('reads 64-bit times as numbers', async () => {
    await store.db.insertInto('counters').values({ name: 'time', value: 1_767_225_600_123 }).execute();
    assert.equal((await store.db.selectFrom('counters').selectAll().executeTakeFirst())?.value, 1_767_225_600_123);
  });

  test('knows a second row of one key', async () => {
    const again = store.db.insertInto('counters').values({ name: 'time', value: 1 }).execute();
    await assert.rejects(again, (error) => isUniqueViolation(error));
  });

  test('tries a transaction again that lost a deadlock', async () => {
    await store.db
      .insertInto('counters')
      .values([
        { name: 'a', value: 0 },
        { name: 'b', value: 0 },
      ])
      .execute();
    let meet: () => void = () => {};
    const met = new Promise<void>((done) => {
      meet = done;
    });
    let waiting = 0;
    const both = (first: string, second: string): Promise<void> =>
      store.transaction(async (trx) => {
        const add = (name: string) =>
          trx
            .updateTable('counters')
            .set((eb) => ({ value: eb('value', '+', 1) }))
            .where('name', '=', name)
            .execute();
        await add(first);
        if (++waiting === 2) meet();
        await met;
        await add(second);
      });
    await Promise.all([both('a', 'b'), both('b', 'a')]);
    const rows = await store.db.selectFrom('counters').select('value').where('name', 'in', ['a', 'b']).execute();
    assert.deepEqual(
      rows.map((row) => row.value),
      [2, 2],
    );
  });

  test('calls a database that went away unavailable and finds it again', async () => {
    await server.halt();
    await assert.rejects(store.ping(), (error) => isUnavailable(error));
    await server.start();
    await store.ping();
  });
});
