/**
 * kill -9 in the middle of use: what may be lost to billing, and to the caller, is bounded; the quota is never
 * passed. Run as a program it says that it is ready, waits for a word, uses up a quota until it is killed, and prints
 * a line for each use that has ended.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../../base/clock.ts';
import { QUOTA_TOPIC, type QuotaQuestion, type QuotaReport } from '../../../data/contract/limits.ts';
import { QuotaBook } from '../../../data/limiter/quota-book.ts';
import { migrate } from '../../store/migrate.ts';
import { openStore } from '../../store/store.ts';
import { type LimitTables, MIGRATIONS } from '../tables.ts';
import { QuotaLedger } from './quota-ledger.ts';
import type { QuotaDefinition } from './quota-options.ts';

export const LIMIT = 6_000;
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

/** At once, so that nothing is lost with the process; a pipe that is full is waited for. */
function say(line: string): void {
  for (;;) {
    try {
      writeSync(1, line);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

async function useUntilKilled(url: string): Promise<void> {
  const { ledger, store } = await openLedger(url);
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
  say('ready\n');
  await once(process.stdin, 'data');
  process.stdin.destroy();
  for (;;) {
    const { reservation } = await book.reserve('uses', caller, 1, 10_000);
    if (reservation === null) {
      // All that is left is in other hands; what is here is told, as at the end of a worker.
      book.close();
      await ledger.settled();
      await store.close();
      return;
    }
    book.settle(reservation, 1);
    say('used\n');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/**
 * Uses that processes have made when they end, or are killed after so many. They begin together, however long each of
 * them took to start.
 */
async function usesOf(url: string, ...killAfter: readonly number[]): Promise<number[]> {
  const program = fileURLToPath(new URL('./quota-crash.suite.ts', import.meta.url));
  const started = killAfter.map(async (most) => {
    const child = spawn(process.execPath, [program, url], { stdio: ['pipe', 'pipe', 'inherit'] });
    const closed = once(child, 'close');
    let uses = 0;
    const [first] = await Promise.race([once(child.stdout, 'data'), closed]);
    assert.equal(String(first), 'ready\n', 'it ended before it was ready');
    child.stdout.on('data', (part: Buffer) => {
      uses += part.toString('latin1').split('\n').length - 1;
      if (uses >= most) child.kill('SIGKILL');
    });
    return { child, ended: closed.then(() => uses) };
  });
  const processes = await Promise.all(started);
  for (const { child } of processes) child.stdin.write('go\n');
  return await Promise.all(processes.map(({ ended }) => ended));
}

export function crashSuite({ name, database }: { readonly name: string; database(): Promise<string> }): void {
  describe(`kill -9 with quotas on ${name}`, () => {
    test('no use was given twice, and what was not billed is within one grant and one report', async (t) => {
      const url = await database();
      let usedInAll = 0;
      for (const killAfter of [400, 1_500]) {
        usedInAll += (await usesOf(url, killAfter))[0]!;
        const { store, ledger } = await openLedger(url);
        const row = await store.db.selectFrom('limits_usage').select(['used', 'held']).executeTakeFirstOrThrow();
        const [billed, held] = [Number(row.used), Number(row.held)];
        assert.ok(billed <= usedInAll, `${billed} billed of ${usedInAll} used: nothing is billed that was not used`);
        t.diagnostic(`${usedInAll} used, ${billed} billed, ${held} held`);
        // A grant is 2 % of the rest at most; what a report of 50 ms had not told yet is part of the grants.
        assert.ok(
          usedInAll <= billed + held,
          `${usedInAll} used, ${billed} billed and ${held} held: nothing was used twice`,
        );
        const answer = await ledger.ask({
          quota: 'uses',
          account: 'ada',
          parent: null,
          plan: null,
          cap: null,
          least: 1,
          want: LIMIT,
        });
        assert.equal(answer.granted, LIMIT - billed - held, 'what was held is neither billed nor given again');
        ledger.report([
          {
            quota: 'uses',
            account: 'ada',
            parent: null,
            cap: null,
            period: answer.period,
            used: 0,
            settled: answer.granted,
          },
        ]);
        await ledger.settled();
        await store.close();
      }
      const { store, ledger } = await openLedger(url);
      await store.db.updateTable('limits_holders').set({ seen_at: 1 }).execute();
      await ledger.giveBack();
      const row = await store.db.selectFrom('limits_usage').select(['used', 'held']).executeTakeFirstOrThrow();
      assert.equal(
        Number(row.held),
        0,
        'when the leases of the killed ones are over, all that they held is there again',
      );
      await ledger.close(5_000);
      await store.close();
    });

    test('two processes on one quota, one killed: together they never pass it, and the other is billed exactly', async () => {
      const url = await database();
      const [killed = 0, whole = 0] = await usesOf(url, 300, Number.POSITIVE_INFINITY);
      assert.ok(killed >= 300 && whole > 0 && killed + whole <= LIMIT, `${killed} and ${whole} of ${LIMIT}`);
      const { store } = await openLedger(url);
      const row = await store.db.selectFrom('limits_usage').select(['used', 'held']).executeTakeFirstOrThrow();
      const [billed, held] = [Number(row.used), Number(row.held)];
      assert.equal(billed + held, LIMIT, 'nothing is missing');
      assert.ok(billed >= whole && billed <= killed + whole, `${billed} billed of ${killed} + ${whole}`);
      // At most one grant (2 % of what was left) and what 50 ms had not reported, which lay in the grants before it.
      assert.ok(killed + whole - billed <= held, `${killed + whole - billed} not billed, ${held} held`);
      await store.close();
    });
  });
}

if (process.argv[2] !== undefined && import.meta.main) await useUntilKilled(process.argv[2]);
