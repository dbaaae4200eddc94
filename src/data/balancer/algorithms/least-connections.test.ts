import assert from 'node:assert/strict';
import { it } from 'node:test';
import { assertShare, candidates, REQUEST, seeded } from '../fixtures.suite.ts';
import { algorithmSuite } from './algorithms.suite.ts';
import { leastConnections } from './least-connections.ts';

algorithmSuite(leastConnections, { options: {} });

it('takes the one with the fewest requests in flight', () => {
  const balancer = leastConnections.create({}, seeded(1));
  const list = candidates(1, 1, 1);
  for (const [i, count] of [4, 2, 3].entries()) list[i]!.inFlight = count;
  assert.equal(balancer.pick(list, REQUEST), 1);
});

it('measures requests in flight by weight', () => {
  const balancer = leastConnections.create({}, seeded(1));
  const list = candidates(1, 4);
  list[0]!.inFlight = 2;
  list[1]!.inFlight = 7;
  assert.equal(balancer.pick(list, REQUEST), 1, '7 of weight 4 is less than 2 of weight 1');
  list[1]!.inFlight = 9;
  assert.equal(balancer.pick(list, REQUEST), 0);
});

it('draws among idle candidates by weight', () => {
  const balancer = leastConnections.create({}, seeded(5));
  const list = candidates(1, 3);
  const draws = 8_000;
  let heavy = 0;
  for (let i = 0; i < draws; i++) heavy += balancer.pick(list, REQUEST);
  assertShare(heavy, draws, 0.75, 'weight 3 of 4');
});

it('takes a slow instance less often than a quick one', () => {
  const balancer = leastConnections.create({}, seeded(2));
  const list = candidates(1, 1);
  const left: number[][] = [[], []];
  const counts = [0, 0];
  // One answers after 2 further requests, the other after 18.
  for (let now = 0; now < 4_000; now++) {
    for (const [i, ends] of left.entries()) {
      while (ends.length > 0 && ends[0]! <= now) {
        ends.shift();
        list[i]!.inFlight--;
      }
    }
    const chosen = balancer.pick(list, REQUEST);
    counts[chosen]!++;
    list[chosen]!.inFlight++;
    left[chosen]!.push(now + (chosen === 0 ? 2 : 18));
  }
  assert.ok(counts[0]! > 4 * counts[1]!, `got ${counts}`);
});
