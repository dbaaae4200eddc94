/** What every store of leases keeps: one holder at a time, an epoch that grows with each new one. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { LeaseStore } from './lease.ts';

/** `open` gives two views of one empty lease, as two nodes have them. */
export function leaseSuite(name: string, open: () => Promise<readonly [LeaseStore, LeaseStore]>): void {
  describe(`leases in ${name}`, () => {
    test('one takes it, the other does not get it, and renewing keeps the epoch', async () => {
      const [one, two] = await open();
      assert.equal(await one.read(), null);
      const epoch = await one.acquire('a', 60_000);
      assert.ok(epoch !== null && epoch >= 1);
      assert.equal(await two.acquire('b', 60_000), null);
      assert.equal(await one.acquire('a', 60_000), epoch);
      const lease = await two.read();
      assert.deepEqual([lease?.holder, lease?.epoch, lease?.isHeld], ['a', epoch, true]);
    });

    test('a released lease is free at once, with a higher epoch', async () => {
      const [one, two] = await open();
      const epoch = (await one.acquire('a', 60_000)) ?? 0;
      await two.release('b');
      assert.equal((await two.read())?.isHeld, true, 'only its holder releases it');
      await one.release('a');
      assert.equal((await two.read())?.isHeld, false);
      const next = await two.acquire('b', 60_000);
      assert.ok(next !== null && next > epoch);
    });

    test('a lease that ran out goes to the next, and to its former holder only with a new epoch', async () => {
      const [one, two] = await open();
      const first = (await one.acquire('a', 50)) ?? 0;
      await delay(1_100);
      const second = (await two.acquire('b', 50)) ?? 0;
      assert.ok(second > first);
      await delay(1_100);
      const third = (await two.acquire('b', 60_000)) ?? 0;
      assert.ok(third > second, 'in between anybody could have had it');
      assert.equal(await one.acquire('a', 60_000), null);
    });

    test('of many that ask at once exactly one gets it', async () => {
      const [one, two] = await open();
      const asked = await Promise.all(
        Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? one : two).acquire(`node-${i}`, 60_000)),
      );
      assert.equal(asked.filter((epoch) => epoch !== null).length, 1);
    });
  });
}
