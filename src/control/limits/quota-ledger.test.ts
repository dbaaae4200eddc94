import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { FakeClock } from '../../base/clock.ts';
import { type QuotaQuestion, UNLIMITED_QUOTA } from '../../data/contract/limits.ts';
import { migrate } from '../store/migrate.ts';
import { openStore, type Store } from '../store/store.ts';
import type { Plan } from './plans.ts';
import { type QuotaBasis, QuotaLedger } from './quota-ledger.ts';
import type { QuotaDefinition } from './quota-options.ts';
import { type LimitTables, MIGRATIONS } from './tables.ts';

const stores: Store<LimitTables>[] = [];
after(async () => {
  for (const store of stores) await store.close();
});

const plan = (quotas: Record<string, number>, occasions: Plan['occasions'] = []): Plan => ({
  limits: [],
  occasions,
  quotas,
});
const stories: QuotaDefinition = { per: 'day', timeZone: 'Europe/Berlin', limit: 5, share: 'both' };

const basis: QuotaBasis = {
  quotas: { stories, words: { ...stories, per: 'month', limit: null } },
  plans: {
    basic: plan({ stories: 5 }),
    premium: plan({ stories: 20 }, [
      { name: 'holidays', startMs: Date.UTC(2026, 0, 1, 10), endMs: Date.UTC(2026, 0, 1, 20), factor: 2, extra: 3 },
    ]),
  },
  defaultPlan: 'basic',
};

async function open(url = 'sqlite::memory:', more: Partial<QuotaBasis> = {}) {
  const store = await openStore<LimitTables>(url);
  stores.push(store);
  await migrate(store, 'limits', MIGRATIONS);
  const clock = new FakeClock();
  const problems: unknown[] = [];
  const ledger = new QuotaLedger(store, { ...basis, ...more }, (problem) => problems.push(problem), clock);
  const row = async (account: string, quota = 'stories') => {
    const rows = await store.db
      .selectFrom('limits_usage')
      .selectAll()
      .where('account', '=', account)
      .where('quota', '=', quota)
      .orderBy('period')
      .execute();
    return rows.map(({ period, used, held, late }) => `${period} ${used} ${held} ${late}`);
  };
  return { store, clock, ledger, problems, row };
}

const ask = (more: Partial<QuotaQuestion> = {}): QuotaQuestion => ({
  quota: 'stories',
  account: 'ada',
  parent: null,
  plan: 'basic',
  cap: null,
  least: 1,
  want: 1,
  ...more,
});

test('grants up to the amount of the plan, partly if need be, and says when the period ends', async () => {
  const { ledger, row } = await open();
  const first = await ledger.ask(ask({ want: 3 }));
  assert.deepEqual(first, {
    granted: 3,
    remaining: 2,
    limit: 5,
    period: '2026-01-01',
    periodSeconds: 86_400,
    endMs: Date.parse('2026-01-01T23:00:00Z'),
  });
  assert.equal((await ledger.ask(ask({ want: 3 }))).granted, 2);
  assert.equal((await ledger.ask(ask())).granted, 0);
  assert.equal((await ledger.ask(ask({ plan: 'premium', least: 16, want: 16 }))).granted, 0);
  assert.equal((await ledger.ask(ask({ plan: 'premium', want: 16 }))).granted, 15);
  assert.deepEqual(await row('ada'), ['2026-01-01 0 20 0']);
});

test('what is used stays, what is given back can be had again, and a new period begins empty', async () => {
  const { clock, ledger, row } = await open();
  await ledger.ask(ask({ want: 5 }));
  ledger.report([
    { quota: 'stories', account: 'ada', parent: null, cap: null, period: '2026-01-01', used: 2, settled: 5 },
  ]);
  await ledger.settled();
  assert.deepEqual(await row('ada'), ['2026-01-01 2 0 0']);
  assert.equal((await ledger.ask(ask({ want: 9 }))).granted, 3);
  clock.advance(23 * 3_600_000);
  const next = await ledger.ask(ask());
  assert.deepEqual([next.granted, next.period, next.remaining], [1, '2026-01-02', 4]);
  assert.deepEqual(await row('ada'), ['2026-01-01 2 3 0', '2026-01-02 0 1 0']);
});

test('occasions raise the amount between their start and end', async () => {
  const { clock, ledger } = await open();
  assert.equal((await ledger.ask(ask({ plan: 'premium', want: 100 }))).limit, 20);
  clock.advance(10 * 3_600_000);
  assert.deepEqual((await ledger.ask(ask({ plan: 'premium', want: 100 }))).granted, 23);
  clock.advance(10 * 3_600_000);
  assert.equal((await ledger.ask(ask({ plan: 'premium' }))).granted, 0);
});

test('a child uses up its own quota and its parent’s, and never passes what the parent allows', async () => {
  const { ledger, row } = await open();
  const child = ask({ account: 'kim', parent: 'grace', cap: 2 });
  assert.equal((await ledger.ask({ ...child, want: 5 })).granted, 2);
  assert.equal((await ledger.ask(child)).granted, 0);
  assert.equal((await ledger.ask(ask({ account: 'grace', want: 5 }))).granted, 3);
  assert.equal((await ledger.ask(ask({ account: 'lee', parent: 'grace' }))).granted, 0);
  ledger.report([
    { quota: 'stories', account: 'kim', parent: 'grace', cap: 2, period: '2026-01-01', used: 1, settled: 2 },
  ]);
  await ledger.settled();
  assert.deepEqual([await row('kim'), await row('grace')], [['2026-01-01 1 0 0'], ['2026-01-01 1 3 0']]);
});

test('sharing is as configured', async () => {
  const own = await open('sqlite::memory:', { quotas: { stories: { ...stories, share: 'own' } } });
  await own.ledger.ask(ask({ account: 'kim', parent: 'grace', want: 5 }));
  assert.deepEqual([await own.row('kim'), await own.row('grace')], [['2026-01-01 0 5 0'], []]);
  const parents = await open('sqlite::memory:', { quotas: { stories: { ...stories, share: 'parent' } } });
  await parents.ledger.ask(ask({ account: 'kim', parent: 'grace', want: 5 }));
  assert.deepEqual([await parents.row('kim'), await parents.row('grace')], [[], ['2026-01-01 0 5 0']]);
});

test('a quota without limit counts all the same', async () => {
  const { ledger, row } = await open();
  const answer = await ledger.ask(ask({ quota: 'words', want: 1_000_000 }));
  assert.deepEqual([answer.granted, answer.limit, answer.period], [1_000_000, UNLIMITED_QUOTA, '2026-01']);
  ledger.report([
    { quota: 'words', account: 'ada', parent: null, cap: null, period: '2026-01', used: 1_500_000, settled: 1_000_000 },
  ]);
  await ledger.settled();
  assert.deepEqual(await row('ada', 'words'), ['2026-01 1500000 0 0']);
});

test('a frozen period does not change: late reports count for the present one, marked', async () => {
  const { store, clock, ledger, row } = await open();
  await ledger.ask(ask({ want: 2 }));
  clock.advance(86_400_000);
  await store.db.insertInto('limits_frozen').values({ quota: 'stories', period: '2026-01-01', frozen_at: 1 }).execute();
  ledger.report([
    { quota: 'stories', account: 'ada', parent: null, cap: null, period: '2026-01-01', used: 2, settled: 2 },
  ]);
  await ledger.settled();
  assert.deepEqual(await row('ada'), ['2026-01-01 0 2 0', '2026-01-02 2 0 2']);
});

test('two gateways on one database never grant more than there is', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-quota-'));
  try {
    const url = `sqlite:${join(folder, 'usage.db')}`;
    const [one, two] = [await open(url), await open(url)];
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        (i % 2 === 0 ? one : two).ledger.ask(ask({ account: `a${i % 4}`, want: (i % 3) + 1 })),
      ),
    );
    const total = answers.reduce((sum, { granted }) => sum + granted, 0);
    assert.equal(total, 20);
    await Promise.all(stores.splice(-2).map((store) => store.close()));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('what the database cannot take now is kept and written later; questions are refused at once', async () => {
  const { store, ledger, problems, row } = await open();
  await ledger.ask(ask({ want: 3 }));
  await store.db.schema.alterTable('limits_usage').renameTo('away').execute();
  await assert.rejects(ledger.ask(ask()));
  ledger.report([
    { quota: 'stories', account: 'ada', parent: null, cap: null, period: '2026-01-01', used: 3, settled: 3 },
  ]);
  await assert.rejects(ledger.ask(ask()));
  assert.ok(problems.length >= 2);
  await store.db.schema.alterTable('away').renameTo('limits_usage').execute();
  await ledger.settled();
  assert.deepEqual(await row('ada'), ['2026-01-01 3 0 0']);
  await assert.rejects(ledger.ask(ask({ quota: 'songs' })), /there is no quota songs/);
});

test('random questions and reports agree with a plain count', async () => {
  const step = fc.record({
    account: fc.constantFrom('a', 'b'),
    want: fc.integer({ min: 1, max: 4 }),
    use: fc.integer({ min: 0, max: 4 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const { ledger, row, store } = await open();
      const held = new Map<string, number>();
      const used = new Map<string, number>();
      for (const { account, want, use } of steps) {
        const room = 5 - (held.get(account) ?? 0) - (used.get(account) ?? 0);
        const { granted } = await ledger.ask(ask({ account, want }));
        assert.equal(granted, Math.min(want, Math.max(0, room)));
        held.set(account, (held.get(account) ?? 0) + granted);
        const settled = Math.min(use, held.get(account) ?? 0);
        if (settled === 0) continue;
        ledger.report([
          { quota: 'stories', account, parent: null, cap: null, period: '2026-01-01', used: settled, settled },
        ]);
        held.set(account, (held.get(account) ?? 0) - settled);
        used.set(account, (used.get(account) ?? 0) + settled);
      }
      await ledger.settled();
      for (const account of held.keys())
        assert.deepEqual(await row(account), [`2026-01-01 ${used.get(account) ?? 0} ${held.get(account)} 0`]);
      await store.close();
    }),
    { numRuns: 25 },
  );
});
