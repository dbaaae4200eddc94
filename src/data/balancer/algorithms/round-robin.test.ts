import assert from 'node:assert/strict';
import { it } from 'node:test';
import { candidates, REQUEST, seeded } from '../fixtures.suite.ts';
import { algorithmSuite } from './algorithms.suite.ts';
import { roundRobin } from './round-robin.ts';

algorithmSuite(roundRobin, { options: {} });

it('gives each candidate its turn, in order', () => {
  const balancer = roundRobin.create({}, () => 0);
  const list = candidates(1, 1, 1);
  assert.deepEqual(
    Array.from({ length: 7 }, () => balancer.pick(list, REQUEST)),
    [1, 2, 0, 1, 2, 0, 1],
  );
});

it('does not look at weights', () => {
  const balancer = roundRobin.create({}, () => 0);
  const list = candidates(1, 100);
  const counts = [0, 0];
  for (let i = 0; i < 100; i++) counts[balancer.pick(list, REQUEST)]!++;
  assert.deepEqual(counts, [50, 50]);
});

it('starts elsewhere in each worker', () => {
  const firsts = new Set<number>();
  for (let seed = 0; seed < 20; seed++)
    firsts.add(roundRobin.create({}, seeded(seed)).pick(candidates(1, 1, 1), REQUEST));
  assert.equal(firsts.size, 3);
});
