import assert from 'node:assert/strict';
import { it } from 'node:test';
import { candidates, request, seeded } from '../fixtures.suite.ts';
import { algorithmSuite, callers } from './algorithms.suite.ts';
import { ipHash } from './ip-hash.ts';

algorithmSuite(ipHash, { options: {} });

it('sends an address to the same instance, from every worker', () => {
  const one = ipHash.create({}, seeded(1));
  const other = ipHash.create({}, seeded(2));
  for (const by of callers(200)) {
    assert.equal(one.pick(candidates(1, 1, 1), by), other.pick(candidates(1, 1, 1), by));
  }
});

it('does not look at anything but the address', () => {
  const balancer = ipHash.create({}, seeded(1));
  const list = candidates(1, 1, 1, 1, 1);
  const first = balancer.pick(list, request({ address: '2001:db8::7', path: '/a', subject: 'x' }));
  assert.equal(balancer.pick(list, request({ address: '2001:db8::7', path: '/b', subject: 'y' })), first);
});

it('moves only the callers of an instance that leaves', () => {
  const balancer = ipHash.create({}, seeded(1));
  const all = candidates(1, 1, 1, 1);
  const without = all.slice(0, 3);
  for (const by of callers(500)) {
    const before = all[balancer.pick(all, by)]!;
    if (before !== all[3]) assert.equal(without[balancer.pick(without, by)], before);
  }
});
