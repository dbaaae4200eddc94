import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FAULTS } from '../../base/errors.ts';
import type { ZoneSettings } from '../contract/snapshot.ts';
import { assertShare, Bench, BREAKER, EJECTION, instance, instances, settings } from './fixtures.suite.ts';
import { BALANCERS } from './index.ts';

const id = (slot: number): string => `svc@10.0.0.${slot}:80`;

describe('health', () => {
  it('takes out what the prober says is down, and takes it back', () => {
    const one = new Bench();
    one.table.setHealthy(2, false);
    assert.deepEqual([...one.spread(20).keys()].sort(), [id(1), id(3)]);
    one.table.setHealthy(2, true);
    assert.equal(one.spread(30).size, 3);
  });

  it('sends nothing new to an instance that drains or has no weight', () => {
    const one = new Bench({ instances: [instance(1), instance(2, { weight: 0 }), instance(3)] });
    one.table.setDraining(3, true);
    assert.deepEqual([...one.spread(20).keys()], [id(1)]);
  });

  it('refuses at once when all are down, and says to come back', () => {
    const one = new Bench();
    for (const slot of [1, 2, 3]) one.table.setHealthy(slot, false);
    const fault = one.refused();
    assert.equal(fault.kind, FAULTS.noInstance);
    assert.equal(fault.retryAfterSeconds, 1);
    assert.equal(one.table.serviceInFlight(1), 0);
    assert.equal(one.service.snapshotState().counters.noInstance, 1);
  });

  it('tries all that are down when told to, but not those that drain', () => {
    const one = new Bench({ resilience: { whenAllDown: 'try' } });
    for (const slot of [1, 2, 3]) one.table.setHealthy(slot, false);
    one.table.setDraining(3, true);
    assert.deepEqual([...one.spread(20).keys()].sort(), [id(1), id(2)]);
    one.table.setHealthy(1, true);
    assert.deepEqual([...one.spread(20).keys()], [id(1)], 'one that is up ends the emergency');
  });

  it('lets an ejected instance back early when no other is left, and does not eject it again', () => {
    const one = new Bench({
      instances: instances(2),
      resilience: { ejection: { ...EJECTION, consecutiveFaults: 1, baseEjectionMs: 20_000 } },
    });
    const ejected = one.pick();
    one.answer(ejected, 500);
    const other = one.spread(1).keys().next().value;
    assert.notEqual(other, ejected.id);
    one.table.setHealthy(other === id(1) ? 1 : 2, false);
    assert.deepEqual([...one.spread(5).keys()], [ejected.id]);
    for (let i = 0; i < 3; i++) one.answer(one.pick(), 500);
    assert.deepEqual([...one.spread(5).keys()], [ejected.id]);
    assert.deepEqual(
      one.changes.map(({ change, reason }) => `${change}: ${reason}`),
      ['ejected: 1 failures in a row; out for 20000 ms', 'returned: no other instance is left'],
    );
  });
});

describe('retries', () => {
  it('go to an instance that was not tried, as long as there is one', () => {
    const one = new Bench();
    for (let i = 0; i < 20; i++) {
      const first = one.pick();
      const second = one.pick([first]);
      const third = one.pick([first, second]);
      assert.equal(new Set([first.id, second.id, third.id]).size, 3);
      const fourth = one.pick([first, second, third]);
      for (const endpoint of [first, second, third, fourth]) one.answer(endpoint);
    }
  });
});

describe('slow start', () => {
  const slow = { instances: instances(4), resilience: { slowStartMs: 20_000 } };

  for (const { name } of BALANCERS.filter((definition) => !/hash/.test(definition.name))) {
    it(`raises the share of a recovered instance step by step with ${name}`, () => {
      const one = new Bench({ ...slow, balancer: { algorithm: name, options: {} } });
      one.spread(40);
      one.table.setHealthy(2, false);
      one.spread(40);
      one.table.setHealthy(2, true);
      const shares: number[] = [];
      for (let i = 0; i < 4; i++) {
        const draws = 4_000;
        shares.push((one.spread(draws).get(id(2)) ?? 0) / draws);
        one.advance(7_000);
      }
      // Share w / (3 + w) at weights 0.05, 0.35, 0.7 and 1; without weights (round-robin) a quarter of w.
      const most = [0.05, 0.35, 0.7, 1].map((weight) => weight / 3);
      for (const [i, share] of shares.entries()) {
        assert.ok(share <= most[i]! + 0.03, `step ${i}: ${share}, at most ${most[i]}`);
        if (i > 0) assert.ok(share > shares[i - 1]!, `step ${i}: ${shares}`);
      }
      assertShare(shares[3]! * 4_000, 4_000, 0.25, 'the full share at the end');
    });
  }

  for (const name of ['ip-hash', 'consistent-hash']) {
    it(`gives a recovered instance its keys step by step with ${name}`, () => {
      const options = { by: 'path', name: '', loadFactor: 0 };
      const one = new Bench({ ...slow, balancer: { algorithm: name, options } });
      one.table.setHealthy(2, false);
      one.pick();
      one.table.setHealthy(2, true);
      const counts: number[] = [];
      for (let i = 0; i < 4; i++) {
        const got = one.spread(2_000, (n) => ({ ...byNumber(n) }));
        counts.push(got.get(id(2)) ?? 0);
        one.advance(7_000);
      }
      assert.ok(counts[0]! < 70 && counts[3]! > 430, `got ${counts}`);
      assert.deepEqual(
        counts,
        counts.toSorted((a, b) => a - b),
      );
    });
  }

  it('is for those that a reload adds, not for those that are there at the start', () => {
    const one = new Bench({ instances: instances(2), resilience: { slowStartMs: 20_000 } });
    assert.equal(one.spread(100).get(id(2)), 50);
    one.service.update(settings({ instances: instances(3), resilience: { slowStartMs: 20_000 } }));
    assert.ok((one.spread(300).get(id(3)) ?? 0) < 25);
  });

  it('does not hold anybody back when all start at once', () => {
    const one = new Bench({ instances: instances(2), resilience: { slowStartMs: 20_000 } });
    for (const slot of [1, 2]) one.table.setHealthy(slot, false);
    for (const slot of [1, 2]) one.table.setHealthy(slot, true);
    assert.equal(one.spread(100).get(id(1)), 50);
  });

  it('follows the closing of an instance breaker', () => {
    const breaker = { ...BREAKER, scope: 'instance' as const, volumeThreshold: 5 };
    const one = new Bench({ instances: instances(2), resilience: { slowStartMs: 20_000, breaker } });
    for (let i = 0; i < 10; i++) {
      const endpoint = one.pick();
      one.answer(endpoint, endpoint.id === id(2) ? 500 : 200);
    }
    one.advance(5_000);
    one.spread(4);
    assert.equal(one.service.snapshotState().instances[1]!.breaker?.state, 'closed');
    assert.ok((one.spread(400).get(id(2)) ?? 0) < 40);
  });
});

describe('zones', () => {
  const zone: ZoneSettings = { local: 'a', minHealthyRatio: 0.5, maxInFlightPerInstance: 0 };
  const mixed = [1, 2, 3, 4].map((slot) => instance(slot, { zone: slot <= 2 ? 'a' : 'b' }));

  it('keep traffic in the local one', () => {
    const one = new Bench({ instances: mixed, resilience: { zone } });
    assert.deepEqual([...one.spread(40).keys()].sort(), [id(1), id(2)]);
  });

  it('are left when too few of the local instances are healthy, and come back', () => {
    const one = new Bench({ instances: mixed, resilience: { zone: { ...zone, minHealthyRatio: 0.6 } } });
    one.table.setHealthy(1, false);
    assert.deepEqual([...one.spread(60).keys()].sort(), [id(2), id(3), id(4)]);
    one.table.setHealthy(1, true);
    assert.deepEqual([...one.spread(60).keys()].sort(), [id(1), id(2)]);
  });

  it('are left when the local one is gone', () => {
    const one = new Bench({ instances: mixed, resilience: { zone } });
    for (const slot of [1, 2]) one.table.setHealthy(slot, false);
    assert.deepEqual([...one.spread(60).keys()].sort(), [id(3), id(4)]);
  });

  it('spill over only what is more than the local one should hold', () => {
    const one = new Bench({ instances: mixed, resilience: { zone: { ...zone, maxInFlightPerInstance: 3 } } });
    const held = Array.from({ length: 10 }, () => one.pick());
    const local = held.filter((endpoint) => endpoint.zone === 'a');
    assert.equal(local.length, 6);
    one.answer(local[0]!);
    assert.equal(one.pick().zone, 'a');
  });

  it('are left for a retry when the local instances have been tried', () => {
    const one = new Bench({ instances: mixed, resilience: { zone } });
    const first = one.pick();
    const second = one.pick([first]);
    assert.deepEqual([first.zone, second.zone], ['a', 'a']);
    assert.equal(one.pick([first, second]).zone, 'b');
  });

  it('do not matter where no instance is in the local one', () => {
    const one = new Bench({ instances: mixed, resilience: { zone: { ...zone, local: 'elsewhere' } } });
    assert.equal(one.spread(40).size, 4);
  });
});

function byNumber(n: number) {
  return {
    address: `198.51.${n >> 8}.${n & 255}`,
    path: `/${n}`,
    query: '',
    subject: null,
    header: () => null,
    cookie: () => null,
  };
}
