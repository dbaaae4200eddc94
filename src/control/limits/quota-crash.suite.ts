/** A process that uses up a quota until it is killed, for quota-crash.test.ts: prints a line for each use that has ended. */
import { writeSync } from 'node:fs';
import { systemClock } from '../../base/clock.ts';
import { QUOTA_TOPIC, type QuotaQuestion, type QuotaReport } from '../../data/contract/limits.ts';
import { QuotaBook } from '../../data/limiter/quota-book.ts';
import { migrate } from '../store/migrate.ts';
import { openStore } from '../store/store.ts';
import { QuotaLedger } from './quota-ledger.ts';
import type { QuotaDefinition } from './quota-options.ts';
import { type LimitTables, MIGRATIONS } from './tables.ts';

export const LIMIT = 100_000;
export const CRASH_QUOTA: QuotaDefinition = { per: 'month', timeZone: 'UTC', limit: LIMIT, share: 'own' };

export async function openLedger(url: string) {
  const store = await openStore<LimitTables>(url);
  await migrate(store, 'limits', MIGRATIONS);
  const basis = { quotas: { uses: CRASH_QUOTA }, plans: {}, defaultPlan: '' };
  const ledger = new QuotaLedger(store, basis, (error) => {
    throw error;
  });
  return { store, ledger };
}

async function useUntilKilled(url: string): Promise<void> {
  const { ledger } = await openLedger(url);
  const book = new QuotaBook(
    {
      subscribe: () => () => {},
      tell: (_topic, data) => ledger.report(data as readonly QuotaReport[]),
      ask: async (topic, data) => {
        if (topic !== QUOTA_TOPIC) throw new Error(topic);
        return await ledger.ask(data as QuotaQuestion);
      },
    },
    systemClock,
  );
  const caller = { account: 'ada', parent: null, plan: null, cap: null };
  for (;;) {
    const { reservation } = await book.reserve('uses', caller, 1, 10_000);
    if (reservation === null) return;
    book.settle(reservation, 1);
    writeSync(1, 'used\n');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

if (process.argv[2] !== undefined && import.meta.main) await useUntilKilled(process.argv[2]);
