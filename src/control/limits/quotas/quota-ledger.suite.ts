/** What the ledger promises, on whatever database; quota-ledger.test.ts and quota-ledger-postgres.test.ts run it. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import { FakeClock } from '../../../base/clock.ts';
import { type QuotaQuestion, type QuotaReport, UNLIMITED_QUOTA } from '../../../data/contract/limits.ts';
import { migrate } from '../../store/migrate.ts';
import { openStore, type Store } from '../../store/store.ts';
import type { Plan } from '../plans/plans.ts';
import { type LimitTables, MIGRATIONS } from '../tables.ts';
import { type QuotaBasis, QuotaLedger } from './quota-ledger.ts';
import type { QuotaDefinition } from './quota-options.ts';

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

export interface LedgerDatabase {
  readonly name: string;
  /** URL of a new empty database; `shared` ones are opened twice. */
  database(kind?: 'shared'): Promise<string>;
  /** Of the property test, each of which makes a database. */
  readonly runs: number;
}

const PATIENCE_MS = 60_000;

export function ledgerSuite({ name, database, runs }: LedgerDatabase): void {
  describe(`the ledger on ${name}`, () => {
    const stores: Store<LimitTables>[] = [];
    after(async () => {
      for (const store of stores) await store.close();
    });

    async function open(url?: string, more: Partial<QuotaBasis> = {}) {
      const store = await openStore<LimitTables>(url ?? (await database()));
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

    const reportOn = (period: string, used: number, settled: number): QuotaReport => ({
      ...{ quota: 'stories', account: 'ada', parent: null, cap: null },
      ...{ period, used, settled },
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
      const own = await open(undefined, { quotas: { stories: { ...stories, share: 'own' } } });
      await own.ledger.ask(ask({ account: 'kim', parent: 'grace', want: 5 }));
      assert.deepEqual([await own.row('kim'), await own.row('grace')], [['2026-01-01 0 5 0'], []]);
      const parents = await open(undefined, { quotas: { stories: { ...stories, share: 'parent' } } });
      await parents.ledger.ask(ask({ account: 'kim', parent: 'grace', want: 5 }));
      assert.deepEqual([await parents.row('kim'), await parents.row('grace')], [[], ['2026-01-01 0 5 0']]);
    });

    test('a quota without limit counts all the same', async () => {
      const { ledger, row } = await open();
      const answer = await ledger.ask(ask({ quota: 'words', want: 1_000_000 }));
      assert.deepEqual([answer.granted, answer.limit, answer.period], [1_000_000, UNLIMITED_QUOTA, '2026-01']);
      ledger.report([
        {
          quota: 'words',
          account: 'ada',
          parent: null,
          cap: null,
          period: '2026-01',
          used: 1_500_000,
          settled: 1_000_000,
        },
      ]);
      await ledger.settled();
      assert.deepEqual(await row('ada', 'words'), ['2026-01 1500000 0 0']);
    });

    test('a frozen period does not change: late reports count for the present one, marked', async () => {
      const { store, clock, ledger, row } = await open();
      await ledger.ask(ask({ want: 2 }));
      clock.advance(86_400_000);
      await store.db
        .insertInto('limits_frozen')
        .values({ quota: 'stories', period: '2026-01-01', frozen_at: 1 })
        .execute();
      ledger.report([
        { quota: 'stories', account: 'ada', parent: null, cap: null, period: '2026-01-01', used: 2, settled: 2 },
      ]);
      await ledger.settled();
      assert.deepEqual(await row('ada'), ['2026-01-01 0 2 0', '2026-01-02 2 0 2']);
    });

    test('two gateways on one database never grant more than there is', async () => {
      const url = await database('shared');
      const [one, two] = [await open(url), await open(url)];
      const answers = await Promise.all(
        Array.from({ length: 40 }, (_, i) =>
          (i % 2 === 0 ? one : two).ledger.ask(ask({ account: `a${i % 4}`, want: (i % 3) + 1 })),
        ),
      );
      const total = answers.reduce((sum, { granted }) => sum + granted, 0);
      assert.equal(total, 20);
    });

    test('what a killed process held comes back when its lease is over, and only then', async () => {
      const url = await database('shared');
      const [killed, other] = [await open(url), await open(url)];
      const granted = await killed.ledger.ask(ask({ want: 4 }));
      killed.ledger.report([reportOn(granted.period, 1, 1)]);
      await killed.ledger.settled();
      await other.ledger.giveBack();
      assert.equal((await other.ledger.ask(ask({ want: 5 }))).granted, 1, 'its lease is not over');
      await other.store.db
        .updateTable('limits_holders')
        .set({ seen_at: 1 })
        .where('id', 'in', other.store.db.selectFrom('limits_holds').select('holder').where('held', '=', 3))
        .execute();
      await Promise.all([other.ledger.giveBack(), other.ledger.giveBack()]);
      assert.deepEqual(
        await other.row('ada'),
        [`${granted.period} 1 1 0`],
        'what it had used is billed, what it held is free',
      );
      assert.equal((await other.ledger.ask(ask({ want: 5 }))).granted, 3);
      // It was not killed but stood still: what it reports now is billed, and takes nothing from who holds it now.
      killed.ledger.report([reportOn(granted.period, 2, 3)]);
      await killed.ledger.settled();
      assert.deepEqual(await other.row('ada'), [`${granted.period} 3 4 0`]);
    });

    test('what is still held at the end of a process comes back at once', async () => {
      const url = await database('shared');
      const [first, second] = [await open(url), await open(url)];
      const { period } = await first.ledger.ask(ask({ want: 5 }));
      first.ledger.report([reportOn(period, 2, 2)]);
      assert.equal(await first.ledger.close(PATIENCE_MS), 0);
      assert.deepEqual(await second.row('ada'), [`${period} 2 0 0`]);
      assert.equal((await second.ledger.ask(ask({ want: 5 }))).granted, 3);
    });

    test('a batch whose commit nobody heard of is not booked again', async () => {
      const url = await database('shared');
      const store = await openStore<LimitTables>(url);
      stores.push(store);
      await migrate(store, 'limits', MIGRATIONS);
      let isLineBroken = false;
      const deaf: Store<LimitTables> = {
        dialect: store.dialect,
        where: store.where,
        db: store.db,
        listen: (channel, heard) => store.listen(channel, heard),
        ping: () => store.ping(),
        problem: () => store.problem(),
        close: () => store.close(),
        async transaction(work) {
          const result = await store.transaction(work);
          if (isLineBroken) throw new Error('the line broke after the commit');
          return result;
        },
      };
      const problems: unknown[] = [];
      const ledger = new QuotaLedger(deaf, basis, (problem) => problems.push(problem), new FakeClock());
      const { period } = await ledger.ask(ask({ want: 3 }));
      isLineBroken = true;
      ledger.report([{ quota: 'stories', account: 'ada', parent: null, cap: null, period, used: 2, settled: 3 }]);
      while (problems.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      isLineBroken = false;
      ledger.report([{ quota: 'stories', account: 'ada', parent: null, cap: null, period, used: 1, settled: 0 }]);
      await ledger.settled();
      const row = await store.db.selectFrom('limits_usage').select(['used', 'held']).executeTakeFirstOrThrow();
      assert.deepEqual([Number(row.used), Number(row.held)], [3, 0]);
    });

    test('parents, children and reports of two gateways at once: every unit is counted once, nobody waits for ever', async () => {
      const url = await database('shared');
      const gateways = [await open(url), await open(url)];
      const family = ['ann', 'ben', 'cid', 'zoe'];
      const used = new Map<string, number>();
      const rounds = Array.from({ length: 60 }, async (_, i) => {
        const { ledger } = gateways[i % 2] as (typeof gateways)[number];
        const account = family[i % 4] as string;
        const parent = account === 'ben' ? null : 'ben';
        const whose = { quota: 'words', account, parent, cap: null };
        const { granted, period } = await ledger.ask(ask({ ...whose, want: 2 }));
        ledger.report([{ ...whose, period, used: 1, settled: granted }]);
        for (const payer of new Set([account, 'ben'])) used.set(payer, (used.get(payer) ?? 0) + 1);
      });
      await Promise.all(rounds);
      for (const { ledger, problems } of gateways) {
        await ledger.settled();
        assert.deepEqual(problems, []);
      }
      const [one] = gateways as [(typeof gateways)[number], ...unknown[]];
      for (const account of family)
        assert.deepEqual(await one.row(account, 'words'), [`2026-01 ${used.get(account)} 0 0`]);
    });

    test('a database that stays away does not hold up the end for longer than is said', async () => {
      const { store, ledger } = await open();
      await ledger.ask(ask({ want: 3 }));
      await store.db.schema.alterTable('limits_usage').renameTo('away').execute();
      const report = {
        quota: 'stories',
        account: 'ada',
        parent: null,
        cap: null,
        period: '2026-01-01',
        used: 3,
        settled: 3,
      };
      ledger.report([report]);
      const started = performance.now();
      assert.equal(await ledger.close(300), 1);
      assert.ok(performance.now() - started < 3_000);
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
        { numRuns: runs },
      );
    });
  });
}
