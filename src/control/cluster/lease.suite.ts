/** What every store of leases keeps: one holder at a time, an epoch that grows with each new one. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { EpochFloor, LeaseStore } from './lease.ts';

export interface LeaseSuite {
  /** Two views of one empty lease, as two nodes have them. */
  open(floor: EpochFloor): Promise<readonly [LeaseStore, LeaseStore]>;
  /** The store lies beside the fence, and cannot be another one than before. */
  readonly isBesideTheFence?: boolean;
}

const none: EpochFloor = async () => 0;

async function untilFree(leases: LeaseStore): Promise<void> {
  const giveUpMs = performance.now() + 60_000;
  while ((await leases.read())?.isHeld !== false) {
    if (performance.now() > giveUpMs) throw new Error('the lease did not run out');
    await delay(100);
  }
}

export function leaseSuite(name: string, { open, isBesideTheFence = false }: LeaseSuite): void {
  describe(`leases in ${name}`, () => {
    test('one takes it, the other does not get it, and renewing keeps the epoch', async () => {
      const [one, two] = await open(none);
      assert.equal(await one.read(), null);
      const epoch = await one.acquire('a', 60_000);
      assert.ok(epoch !== null && epoch >= 1);
      assert.equal(await two.acquire('b', 60_000), null);
      assert.equal(await one.acquire('a', 60_000), epoch);
      const lease = await two.read();
      assert.deepEqual([lease?.holder, lease?.epoch, lease?.isHeld], ['a', epoch, true]);
    });

    test('a released lease is free at once, with a higher epoch', async () => {
      const [one, two] = await open(none);
      const epoch = (await one.acquire('a', 60_000)) ?? 0;
      await two.release('b');
      assert.equal((await two.read())?.isHeld, true, 'only its holder releases it');
      await one.release('a');
      assert.equal((await two.read())?.isHeld, false);
      const next = await two.acquire('b', 60_000);
      assert.ok(next !== null && next > epoch);
    });

    test('a lease that ran out goes to the next, and to its former holder only with a new epoch', async () => {
      const [one, two] = await open(none);
      const first = (await one.acquire('a', 50)) ?? 0;
      await untilFree(two);
      const second = (await two.acquire('b', 50)) ?? 0;
      assert.ok(second > first);
      await untilFree(one);
      // Each store has its own view: to the one that holds it the lease may not have run out yet.
      await untilFree(two);
      const third = (await two.acquire('b', 60_000)) ?? 0;
      assert.ok(third > second, 'in between anybody could have had it');
      assert.equal(await one.acquire('a', 60_000), null);
    });

    test('of many that ask at once exactly one gets it', async () => {
      const [one, two] = await open(none);
      const asked = await Promise.all(
        Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? one : two).acquire(`node-${i}`, 60_000)),
      );
      assert.equal(asked.filter((epoch) => epoch !== null).length, 1);
    });

    test('of many that find it run out exactly one gets it', async () => {
      const [one, two] = await open(none);
      await one.acquire('a', 50);
      await untilFree(two);
      const asked = await Promise.all(
        Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? one : two).acquire(`node-${i}`, 60_000)),
      );
      assert.equal(asked.filter((epoch) => epoch !== null).length, 1);
    });

    if (!isBesideTheFence)
      test('a store that was made anew gives no epoch that the fence has seen, and waits for the fence', async () => {
        let floor: EpochFloor = async () => Promise.reject(new Error('the store of the cluster is away'));
        const [one, two] = await open(() => floor());
        await assert.rejects(one.acquire('a', 60_000), /away/);
        floor = async () => 4_711;
        const epoch = (await one.acquire('a', 60_000)) ?? 0;
        assert.ok(epoch > 4_711, String(epoch));
        floor = async () => Promise.reject(new Error('the store of the cluster is away'));
        assert.equal(await one.acquire('a', 60_000), epoch, 'renewing needs no floor');
        assert.equal(await two.acquire('b', 60_000), null);
      });
  });
}
