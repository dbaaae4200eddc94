/**
 * The ledger on a real PostgreSQL: all that it promises on SQLite, and what only a server can do: go away and come
 * back.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type PostgresServer, startPostgres } from '../../../../test/support/postgres.ts';
import { migrate } from '../../store/migrate.ts';
import { openStore } from '../../store/store.ts';
import { type LimitTables, MIGRATIONS } from '../tables.ts';
import { crashSuite } from './quota-crash.suite.ts';
import { ledgerSuite } from './quota-ledger.suite.ts';
import { QuotaLedger } from './quota-ledger.ts';
import { UsageReader } from './usage.ts';

let server: PostgresServer;
let databases = 0;
const database = async (): Promise<string> => await server.database(`quota_${++databases}`);
before(async () => {
  server = await startPostgres();
});
after(async () => {
  await server?.stop();
});

ledgerSuite({ name: 'PostgreSQL', database, runs: 4 });
crashSuite({ name: 'PostgreSQL', database });

const QUOTAS = { words: { per: 'month', timeZone: 'UTC', limit: 1_000, share: 'own' } } as const;
const ADA = { quota: 'words', account: 'ada', parent: null, cap: null };

async function open(url: string) {
  const store = await openStore<LimitTables>(url, { busyTimeoutMs: 2_000 });
  await migrate(store, 'limits', MIGRATIONS);
  const problems: unknown[] = [];
  const ledger = new QuotaLedger(store, { quotas: QUOTAS, plans: {}, defaultPlan: '' }, (problem) => {
    problems.push(problem);
  });
  return { store, ledger, problems };
}

test('what was used while the server was away is booked once when it is back', async () => {
  const { store, ledger, problems } = await open(await database());
  const { period, granted } = await ledger.ask({ ...ADA, plan: null, least: 1, want: 100 });
  await server.halt();
  for (let i = 0; i < 5; i++) ledger.report([{ ...ADA, period, used: 2, settled: 2 }]);
  await assert.rejects(ledger.ask({ ...ADA, plan: null, least: 1, want: 1 }));
  assert.ok(problems.length > 0);
  await server.start();
  await ledger.settled();
  const row = await store.db.selectFrom('limits_usage').select(['used', 'held']).executeTakeFirstOrThrow();
  assert.deepEqual([Number(row.used), Number(row.held)], [10, granted - 10]);
  await store.close();
});

test('an export waits for what another gateway is booking, and never changes afterwards', async () => {
  const url = await database();
  const [one, two] = [await open(url), await open(url)];
  const nowMs = Date.now();
  const past = new Date(Date.UTC(new Date(nowMs).getUTCFullYear(), new Date(nowMs).getUTCMonth() - 1, 15));
  const period = past.toISOString().slice(0, 7);
  const usage = new UsageReader(two.store, two.ledger, () => QUOTAS);
  const accounts = Array.from({ length: 200 }, (_, i) => `a${i}`);
  one.ledger.report(accounts.map((account) => ({ ...ADA, account, period, used: 1, settled: 0 })));
  const exports = await Promise.all(
    [1, 2, 3].map(async () => JSON.stringify(await usage.export('words', period, false))),
  );
  await one.ledger.settled();
  exports.push(JSON.stringify(await usage.export('words', period, false)));
  assert.equal(new Set(exports).size, 1);
  const { total } = JSON.parse(exports[0] as string) as { total: number };
  const { booked } = await one.store.db
    .selectFrom('limits_usage')
    .select((row) => row.fn.sum('used').as('booked'))
    .executeTakeFirstOrThrow();
  assert.equal(Number(booked), 200, 'what came too late for the period counts for the present one');
  assert.ok(total === 0 || total === 200, `${total}: all of one transaction or nothing`);
  for (const { store } of [one, two]) await store.close();
});
