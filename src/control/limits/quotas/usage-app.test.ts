import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { FakeClock } from '../../../base/clock.ts';
import { migrate } from '../../store/migrate.ts';
import { openStore, type Store } from '../../store/store.ts';
import { gatewayCaller, localCaller } from '../http.ts';
import { type LimitTables, MIGRATIONS } from '../tables.ts';
import { QuotaLedger } from './quota-ledger.ts';
import type { QuotaDefinitions } from './quota-options.ts';
import { GRACE_MS, UsageReader } from './usage.ts';
import { createUsageApp } from './usage-app.ts';

const stores: Store<LimitTables>[] = [];
after(async () => {
  for (const store of stores) await store.close();
});

const quotas: QuotaDefinitions = {
  stories: { per: 'day', timeZone: 'UTC', limit: 5, share: 'both' },
  words: { per: 'month', timeZone: 'UTC', limit: null, share: 'both' },
};

async function open(local = false) {
  const store = await openStore<LimitTables>('sqlite::memory:');
  stores.push(store);
  await migrate(store, 'limits', MIGRATIONS);
  const clock = new FakeClock();
  const plans = {
    basic: { limits: [], occasions: [], quotas: { stories: 5 } },
    premium: { limits: [], occasions: [], quotas: { stories: 20 } },
  };
  const ledger = new QuotaLedger(
    store,
    { quotas, plans, defaultPlan: 'basic' },
    (problem) => assert.fail(String(problem)),
    clock,
  );
  const usage = new UsageReader(store, ledger, () => quotas, clock);
  const app = createUsageApp({
    usage,
    caller: local ? localCaller : gatewayCaller(() => []),
    errorFormat: () => 'problem',
    clock,
  });
  const use = async (account: string, count: number, quota = 'stories', plan = 'basic'): Promise<void> => {
    const { period, granted } = await ledger.ask({
      quota,
      account,
      parent: null,
      plan,
      cap: null,
      least: count,
      want: count,
    });
    ledger.report([{ quota, account, parent: null, cap: null, period, used: count, settled: granted }]);
    await ledger.settled();
  };
  const get = async (path: string, headers: Record<string, string> = {}) => {
    const response = await app.request(path, { headers });
    const text = await response.text();
    const isJson = text !== '' && response.headers.get('content-type')?.includes('json') === true;
    return { status: response.status, headers: response.headers, text, body: isJson ? JSON.parse(text) : null };
  };
  return { clock, ledger, use, get };
}

const ada = { 'x-auth-subject': 'ada', 'x-auth-plan': 'basic' };
const admin = { 'x-auth-subject': 'root', 'x-auth-roles': 'admin' };

test('a caller sees what it has used and has left', async () => {
  const { get, use } = await open();
  await use('ada', 2);
  const { status, body } = await get('/usage', ada);
  assert.equal(status, 200);
  assert.deepEqual(body, {
    account: 'ada',
    plan: 'basic',
    quotas: [
      {
        quota: 'stories',
        per: 'day',
        time_zone: 'UTC',
        period: '2026-01-01',
        start: '2026-01-01T00:00:00.000Z',
        end: '2026-01-02T00:00:00.000Z',
        used: 2,
        reserved: 0,
        limit: 5,
        remaining: 3,
      },
      {
        quota: 'words',
        per: 'month',
        time_zone: 'UTC',
        period: '2026-01',
        start: '2026-01-01T00:00:00.000Z',
        end: '2026-02-01T00:00:00.000Z',
        used: 0,
        reserved: 0,
        limit: null,
        remaining: null,
      },
    ],
  });
});

test('nobody sees another’s usage but an administrator, and nobody without a name sees any', async () => {
  const { get, use } = await open();
  await use('ada', 1);
  assert.equal((await get('/usage')).status, 401);
  assert.equal((await get('/usage?account=ada', { 'x-auth-subject': 'bob' })).status, 403);
  assert.equal((await get('/usage/history?account=ada', { 'x-auth-subject': 'bob' })).status, 403);
  assert.equal((await get('/usage/export?quota=stories&period=2026-01-01', ada)).status, 403);
  assert.equal((await get('/usage?account=ada', admin)).body.quotas[0].used, 1);
  assert.equal(
    (await get('/usage?account=ada', { 'x-auth-subject': 'x', 'x-auth-scopes': 'a limits:admin' })).status,
    200,
  );
});

test('the history is newest first', async () => {
  const { clock, get, use } = await open();
  await use('ada', 2);
  await use('ada', 100, 'words');
  clock.advance(86_400_000);
  await use('ada', 3);
  assert.deepEqual((await get('/usage/history?quota=stories', ada)).body.periods, [
    { quota: 'stories', period: '2026-01-02', used: 3 },
    { quota: 'stories', period: '2026-01-01', used: 2 },
  ]);
  assert.equal((await get('/usage/history', ada)).body.periods.length, 3);
});

test('an export of a period that is over is the same for ever, whatever is reported later', async () => {
  const { clock, get, use, ledger } = await open();
  await use('bob', 4);
  await use('ada,"x"', 1, 'stories', 'premium');
  const path = '/usage/export?quota=stories&period=2026-01-01';
  assert.equal((await get(path, admin)).status, 409);
  const partial = await get(`${path}&partial=true`, admin);
  assert.deepEqual([partial.body.final, partial.body.total], [false, 5]);
  clock.advance(86_400_000 + GRACE_MS);
  const first = await get(path, admin);
  assert.deepEqual(first.body, {
    id: 'stories/2026-01-01',
    quota: 'stories',
    period: '2026-01-01',
    start: '2026-01-01T00:00:00.000Z',
    end: '2026-01-02T00:00:00.000Z',
    final: true,
    accounts: [
      { account: 'ada,"x"', plan: 'premium', used: 1, late: 0 },
      { account: 'bob', plan: 'basic', used: 4, late: 0 },
    ],
    total: 5,
  });
  ledger.report([
    { quota: 'stories', account: 'bob', parent: null, cap: null, period: '2026-01-01', used: 2, settled: 0 },
  ]);
  await ledger.settled();
  const second = await get(path, admin);
  assert.equal(second.text, first.text);
  assert.equal(second.headers.get('etag'), first.headers.get('etag'));
  assert.equal((await get(path, { ...admin, 'if-none-match': first.headers.get('etag') ?? '' })).status, 304);
  const next = await get('/usage/export?quota=stories&period=2026-01-02&partial=true', admin);
  assert.deepEqual(next.body.accounts, [{ account: 'bob', plan: null, used: 2, late: 2 }]);
  const csv = await get(`${path}&format=csv`, admin);
  assert.equal(csv.headers.get('content-type'), 'text/csv; charset=utf-8; header=present');
  assert.equal(
    csv.text,
    'quota,period,start,end,account,plan,used,late\r\n' +
      'stories,2026-01-01,2026-01-01T00:00:00.000Z,2026-01-02T00:00:00.000Z,"ada,""x""",premium,1,0\r\n' +
      'stories,2026-01-01,2026-01-01T00:00:00.000Z,2026-01-02T00:00:00.000Z,bob,basic,4,0\r\n',
  );
});

test('what cannot be exported is said in so many words', async () => {
  const { get } = await open();
  const code = async (query: string): Promise<string> => {
    const { status, body } = await get(`/usage/export?${query}`, admin);
    return `${status} ${body.code}`;
  };
  assert.equal(await code('quota=songs&period=2026-01-01'), '404 RESOURCE_NOT_FOUND');
  assert.equal(await code('quota=stories&period=2026-01'), '400 VALIDATION_ERROR');
  assert.equal(await code('quota=stories&period=2027-01-01'), '400 VALIDATION_ERROR');
  assert.equal(await code('quota=stories&period=2026-01-01&format=xml'), '400 VALIDATION_ERROR');
});

test('on the local socket everybody is an administrator and names the account', async () => {
  const { get, use } = await open(true);
  await use('ada', 1);
  assert.equal((await get('/usage')).status, 400);
  assert.equal((await get('/usage?account=ada')).body.quotas[0].used, 1);
});
