import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, describe, test } from 'node:test';
import { sql } from 'kysely';
import { until } from '../../../test/support/until.ts';
import { isUnavailable, isUniqueViolation, openFailure } from './faults.ts';
import { type Migration, migrate } from './migrate.ts';
import { openStore, withoutSecret } from './store.ts';

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

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-store-'));
after(() => rmSync(folder, { recursive: true, force: true }));

describe('openStore on SQLite', () => {
  test('makes a file that only its owner may read, in WAL mode', async (t) => {
    const path = join(folder, 'new', 'private.db');
    const store = await openStore<Tables>(`sqlite:${path}`);
    t.after(() => store.close());
    await store.ping();
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const mode = await sql<{ journal_mode: string }>`pragma journal_mode`.execute(store.db);
    assert.equal(mode.rows[0]?.journal_mode, 'wal');
  });

  test('opens one file once and closes it with its last holder', async () => {
    const url = `sqlite:${join(folder, 'shared.db')}`;
    const one = await openStore<Tables>(url);
    const two = await openStore<Tables>(url);
    await migrate(one, 'test', [counters]);
    await one.transaction(async (trx) => {
      await trx.insertInto('counters').values({ name: 'a', value: 1 }).execute();
    });
    await one.close();
    await one.close();
    assert.equal((await two.db.selectFrom('counters').selectAll().execute()).length, 1);
    await two.close();
    await assert.rejects(async () => two.ping());
  });

  test('two holders of one file that write at once do not lock each other out', async (t) => {
    const url = `sqlite:${join(folder, 'both.db')}`;
    const one = await openStore<Tables>(url);
    const two = await openStore<Tables>(url);
    t.after(async () => {
      await one.close();
      await two.close();
    });
    await migrate(one, 'test', [counters]);
    await one.db.insertInto('counters').values({ name: 'n', value: 0 }).execute();
    const add = (store: typeof one): Promise<void> =>
      store.transaction(async (trx) => {
        const row = await trx.selectFrom('counters').select('value').executeTakeFirstOrThrow();
        await new Promise((done) => setImmediate(done));
        await trx
          .updateTable('counters')
          .set({ value: row.value + 1 })
          .execute();
      });
    await Promise.all(Array.from({ length: 20 }, (_, i) => add(i % 2 === 0 ? one : two)));
    assert.equal((await one.db.selectFrom('counters').select('value').executeTakeFirstOrThrow()).value, 20);
  });

  test('waits for the lock of another process without stopping the thread', async (t) => {
    const path = join(folder, 'busy.db');
    const store = await openStore<Tables>(`sqlite:${path}`);
    t.after(() => store.close());
    await migrate(store, 'test', [counters]);
    const other = new DatabaseSync(path);
    t.after(() => other.close());
    other.exec('begin immediate');
    const write = store.db.insertInto('counters').values({ name: 'late', value: 1 }).execute();
    // Were the wait inside SQLite, this callback, which ends it, could never run.
    setTimeout(() => other.exec('commit'), 60);
    await write;
    assert.equal((await store.db.selectFrom('counters').selectAll().execute()).length, 1);
  });

  test('gives up on a lock after its time and calls it unavailable', async (t) => {
    const path = join(folder, 'stuck.db');
    const store = await openStore<Tables>(`sqlite:${path}`, { busyTimeoutMs: 100 });
    t.after(() => store.close());
    await migrate(store, 'test', [counters]);
    const other = new DatabaseSync(path);
    t.after(() => other.close());
    other.exec('begin immediate');
    await assert.rejects(
      store.transaction(async () => {}),
      (error) => isUnavailable(error),
    );
  });

  test('waits for one lock once, however many writes meet it, says why, and sees that it is gone', async (t) => {
    const path = join(folder, 'held.db');
    const busyTimeoutMs = 2_000;
    const store = await openStore<Tables>(`sqlite:${path}`, { busyTimeoutMs });
    t.after(() => store.close());
    await migrate(store, 'test', [counters]);
    const other = new DatabaseSync(path);
    t.after(() => other.close());
    assert.equal(store.problem(), null);
    other.exec('begin immediate');
    const beganMs = performance.now();
    const write = (name: string) =>
      store.transaction((trx) => trx.insertInto('counters').values({ name, value: 1 }).execute());
    const all = await Promise.allSettled(['a', 'b', 'c', 'd', 'e', 'f'].map(write));
    // As a request that writes one thing after the other.
    for (const name of ['g', 'h', 'i']) await assert.rejects(write(name), (error) => isUnavailable(error));
    assert.ok(performance.now() - beganMs < 4 * busyTimeoutMs, 'nine waits would be 18 seconds');
    assert.ok(all.every(({ status }) => status === 'rejected'));
    assert.equal(store.problem(), 'the database is locked by another process');
    other.exec('commit');
    await until(() => store.problem() === null, 'health says so no longer, though nobody writes', 60_000);
    await write('j');
    assert.equal((await store.db.selectFrom('counters').selectAll().execute()).length, 1);
  });

  test('refuses the outer handle inside a transaction, where it would wait for itself', async (t) => {
    const store = await openStore<Tables>('sqlite::memory:');
    t.after(() => store.close());
    await assert.rejects(
      store.transaction(async () => store.ping()),
      TypeError,
    );
    await assert.rejects(
      store.transaction(async () => store.transaction(async () => {})),
      TypeError,
    );
    await store.ping();
  });

  test('rolls everything back when the work throws', async (t) => {
    const store = await openStore<Tables>('sqlite::memory:');
    t.after(() => store.close());
    await migrate(store, 'test', [counters]);
    const failed = store.transaction(async (trx) => {
      await trx.insertInto('counters').values({ name: 'x', value: 1 }).execute();
      throw new Error('no');
    });
    await assert.rejects(failed, /no/);
    assert.equal((await store.db.selectFrom('counters').selectAll().execute()).length, 0);
  });

  test('knows a second row of one key', async (t) => {
    const store = await openStore<Tables>('sqlite::memory:');
    t.after(() => store.close());
    await migrate(store, 'test', [counters]);
    const insert = () => store.db.insertInto('counters').values({ name: 'x', value: 1 }).execute();
    await insert();
    await assert.rejects(insert, (error) => isUniqueViolation(error) && !isUnavailable(error));
  });
});

test('a connection that is gone, in the words of `pg`, which gives these no code, is no defect', () => {
  for (const said of [
    'Client has encountered a connection error and is not queryable',
    'Client was closed and is not queryable',
    'Connection terminated unexpectedly',
    'Connection terminated due to connection timeout',
    'Received unexpected commandComplete message from backend.',
    'The server does not support SSL connections',
    'timeout expired',
  ])
    assert.ok(isUnavailable(new Error(said)), said);
  assert.ok(!isUnavailable(new TypeError('rows is not iterable')));
});

describe('openStore', () => {
  for (const url of ['mysql://a@b/c', 'sqlite:', '', '/tmp/x.db']) {
    test(`refuses "${url}"`, async () => {
      await assert.rejects(openStore(url), TypeError);
    });
  }

  test('keeps the password out of messages', () => {
    assert.equal(withoutSecret('postgres://u:secret@h/d?password=secret'), 'postgres://u:***@h/d?password=***');
  });
});

describe('a store that cannot be opened is named with the reason', () => {
  const failure = async (url: string): Promise<string> => {
    const store = await openStore<Tables>(url, { busyTimeoutMs: 300 });
    try {
      await migrate(store, 'area', [counters]);
    } catch (error) {
      assert.ok(isUnavailable(error) || /SQLite|folder/.test(String(error)), String(error));
      return String(error);
    } finally {
      await store.close();
    }
    return 'it was opened';
  };

  test('a file that is none, or no database', async () => {
    const path = join(folder, 'words.txt');
    writeFileSync(path, 'these are words, and no header of a database, at some length'.repeat(20));
    assert.equal(
      await failure(`sqlite:${path}`),
      `Error: the database ${path} cannot be used: the file is no SQLite database`,
    );
    assert.equal(await failure(`sqlite:${folder}`), `Error: the database ${folder} cannot be used: it is a folder`);
  });

  test('a server that is away, that answers nothing, or whose host nobody knows', async (t) => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    t.after(() => void silent.close());
    const { port } = silent.address() as { port: number };
    const said = (at: string, why: string) => `Error: the database postgres://a:***@${at}/x cannot be used: ${why}`;
    for (const [at, why] of [
      [`127.0.0.1:${port}`, 'it does not answer in time'],
      ['127.0.0.1:1', 'nothing listens there'],
      ['localhost:1', 'nothing listens there'],
    ] as const)
      assert.equal(await failure(`postgres://a:b@${at}/x`), said(at, why));
  });

  test('what the server itself says, and no fault of our own', () => {
    const refused = Object.assign(new Error('password authentication failed for user "a"'), { code: '28P01' });
    assert.equal(
      String(openFailure('postgres://h/x', refused)),
      'Error: the database postgres://h/x cannot be used: password authentication failed for user "a"',
    );
    const own = new TypeError('migrations of area: wrong');
    assert.equal(openFailure('postgres://h/x', own), own);
  });
});

describe('migrate', () => {
  test('applies each once and reports it', async (t) => {
    const store = await openStore<Tables>('sqlite::memory:');
    t.after(() => store.close());
    assert.deepEqual((await migrate(store, 'test', [counters])).applied, ['0001-counters']);
    assert.deepEqual((await migrate(store, 'test', [counters])).applied, []);
  });

  test('leaves nothing of a run that fails half-way', async (t) => {
    const store = await openStore<Tables>('sqlite::memory:');
    t.after(() => store.close());
    const broken: Migration = { id: '0002-broken', up: async (trx) => void (await sql`nonsense`.execute(trx)) };
    await assert.rejects(migrate(store, 'test', [counters, broken]));
    assert.deepEqual((await migrate(store, 'test', [counters])).applied, ['0001-counters']);
  });

  test('refuses a database that is newer than the program', async (t) => {
    const store = await openStore<Tables>('sqlite::memory:');
    t.after(() => store.close());
    await migrate(store, 'test', [counters]);
    await assert.rejects(migrate(store, 'test', []), /does not know/);
  });

  test('refuses a list out of order', async (t) => {
    const store = await openStore<Tables>('sqlite::memory:');
    t.after(() => store.close());
    await assert.rejects(migrate(store, 'test', [counters, { ...counters, id: '0000-early' }]), TypeError);
  });
});
