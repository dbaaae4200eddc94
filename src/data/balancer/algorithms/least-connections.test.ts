import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createInstanceTable, InstanceTable } from '../../contract/instance-table.ts';
import { Instance } from '../endpoint.ts';
import { assertShare, candidates, instance, REQUEST, seeded } from '../fixtures.suite.ts';
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

it('does not favour an instance because what it gets fails at once', () => {
  const balancer = leastConnections.create({}, seeded(3));
  const timeline = { nowMs: 0 };
  const table = new InstanceTable(createInstanceTable());
  const list = [0, 1, 2].map((slot) => new Instance(instance(slot), null, table, timeline));
  const failing = list[0]!;
  const ends: number[][] = [[], [], []];
  const counts = [0, 0, 0];
  // 400 a second; the well ones take 20 ms, so that eight are in flight, the other one none.
  for (; timeline.nowMs < 10_000; timeline.nowMs += 2.5) {
    for (const [i, due] of ends.entries()) {
      while (due.length > 0 && due[0]! <= timeline.nowMs) {
        due.shift();
        table.leaveInstance(i, 0);
      }
    }
    const chosen = balancer.pick(list, REQUEST);
    counts[chosen]!++;
    if (chosen === 0) failing.noteFailure();
    else {
      table.enterInstance(chosen, 0, 0);
      ends[chosen]!.push(timeline.nowMs + 20);
    }
  }
  assert.ok(counts[0]! < 4_000 * 0.05, `got ${counts}; each third is 1333`);
  timeline.nowMs += 60_000;
  assert.equal(failing.recentFailures, 0, 'a minute later it is like the others');
});
