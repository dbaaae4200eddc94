import assert from 'node:assert/strict';
import { it } from 'node:test';
import { candidates, REQUEST, seeded } from '../fixtures.suite.ts';
import { algorithmSuite } from './algorithms.suite.ts';
import { weightedRoundRobin } from './weighted-round-robin.ts';

algorithmSuite(weightedRoundRobin, { options: {} });

it('spreads the turns of a heavy candidate out', () => {
  const balancer = weightedRoundRobin.create({}, () => 0);
  const list = candidates(5, 1, 1);
  assert.equal(Array.from({ length: 7 }, () => 'abc'[balancer.pick(list, REQUEST)]).join(''), 'aabacaa');
});

it('is exact over every full round, whatever it starts with', () => {
  for (let seed = 0; seed < 20; seed++) {
    const balancer = weightedRoundRobin.create({}, seeded(seed));
    const list = candidates(3, 2, 1);
    const counts = [0, 0, 0];
    for (let i = 0; i < 600; i++) counts[balancer.pick(list, REQUEST)]!++;
    for (const [i, count] of counts.entries())
      assert.ok(Math.abs(count - (3 - i) * 100) <= 1, `seed ${seed}: ${counts}`);
  }
});

it('goes on where it was when a candidate leaves and comes back', () => {
  const balancer = weightedRoundRobin.create({}, () => 0);
  const all = candidates(1, 1, 1);
  const counts = new Map<string, number>();
  for (let i = 0; i < 300; i++) {
    const list = i % 100 < 50 ? all : all.slice(0, 2);
    const { id } = list[balancer.pick(list, REQUEST)]!;
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  assert.deepEqual(
    [...counts.values()].sort((a, b) => a - b),
    [50, 125, 125],
  );
});

it('takes up a new weight with the next list', () => {
  const balancer = weightedRoundRobin.create({}, () => 0);
  const list = candidates(1, 1);
  balancer.pick(list, REQUEST);
  list[1]!.weight = 3;
  const heavier = [...list];
  const counts = [0, 0];
  for (let i = 0; i < 400; i++) counts[balancer.pick(heavier, REQUEST)]!++;
  assert.ok(Math.abs(counts[1]! - 300) <= 2, `got ${counts}`);
});
