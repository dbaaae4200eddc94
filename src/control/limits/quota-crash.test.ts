/** kill -9 in the middle of use: what may be lost to billing, and to the caller, is bounded; the quota is never passed. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { LIMIT, openLedger } from './quota-crash.suite.ts';

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-crash-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('after kill -9 no use was given twice, and what was not billed is within one grant and one report', async () => {
  const url = `sqlite:${join(folder, 'usage.db')}`;
  const program = fileURLToPath(new URL('./quota-crash.suite.ts', import.meta.url));
  let usedInAll = 0;
  for (const killAfter of [400, 1_500]) {
    const child = spawn(process.execPath, [program, url], { stdio: ['ignore', 'pipe', 'inherit'] });
    const exited = once(child, 'exit');
    let lines = 0;
    child.stdout.on('data', (part: Buffer) => {
      lines += part.toString('latin1').split('\n').length - 1;
      if (lines >= killAfter) child.kill('SIGKILL');
    });
    await exited;
    usedInAll += lines;
    const { store, ledger } = await openLedger(url);
    const row = await store.db.selectFrom('limits_usage').select(['used', 'held']).executeTakeFirstOrThrow();
    const [billed, held] = [Number(row.used), Number(row.held)];
    assert.ok(billed <= usedInAll, `${billed} billed of ${usedInAll} used: nothing is billed that was not used`);
    // A grant is 2 % of the rest at most; what a report of 200 ms had not told yet is part of the grants.
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
});
