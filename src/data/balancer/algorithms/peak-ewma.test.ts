import assert from 'node:assert/strict';
import { it } from 'node:test';
import { assertShare, candidates, REQUEST, seeded } from '../fixtures.suite.ts';
import { algorithmSuite } from './algorithms.suite.ts';
import { peakEwma } from './peak-ewma.ts';

algorithmSuite(peakEwma, { options: {} });

it('takes the cheaper of two: latency times what there is to do, for the weight', () => {
  const balancer = peakEwma.create({}, seeded(1));
  const cases: { latencies: [number, number]; inFlight: [number, number]; weights: [number, number]; want: number }[] =
    [
      { latencies: [10, 20], inFlight: [0, 0], weights: [1, 1], want: 0 },
      { latencies: [10, 20], inFlight: [2, 0], weights: [1, 1], want: 1 },
      { latencies: [10, 20], inFlight: [0, 0], weights: [1, 4], want: 0 },
      { latencies: [10, 10], inFlight: [2, 4], weights: [1, 1], want: 0 },
      { latencies: [10, 10], inFlight: [2, 4], weights: [1, 3], want: 1 },
      { latencies: [5_000, 1], inFlight: [0, 900], weights: [1, 1], want: 1 },
    ];
  for (const { latencies, inFlight, weights, want } of cases) {
    const list = candidates(...weights);
    for (const [i, candidate] of list.entries()) {
      candidate.latencyMs = latencies[i]!;
      candidate.inFlight = inFlight[i]!;
    }
    for (let i = 0; i < 20; i++) assert.equal(balancer.pick(list, REQUEST), want);
  }
});

it('never takes the worst of many', () => {
  const balancer = peakEwma.create({}, seeded(2));
  const list = candidates(1, 1, 1, 1, 1);
  for (const [i, candidate] of list.entries()) candidate.latencyMs = 10 * (i + 1);
  const counts = [0, 0, 0, 0, 0];
  const draws = 10_000;
  for (let i = 0; i < draws; i++) counts[balancer.pick(list, REQUEST)]!++;
  // The k-th best wins the pairs with the 4 - k worse ones, of ten pairs.
  for (const [k, count] of counts.entries()) {
    if (k === 4) assert.equal(count, 0);
    else assertShare(count, draws, (4 - k) / 10, `number ${k + 1} of five`);
  }
});

it('tries an instance that has never answered once, and then waits for its answer', () => {
  const balancer = peakEwma.create({}, seeded(3));
  const list = candidates(1, 1);
  list[0]!.latencyMs = 5;
  list[0]!.inFlight = 3;
  assert.equal(balancer.pick(list, REQUEST), 1);
  list[1]!.inFlight = 1;
  assert.equal(balancer.pick(list, REQUEST), 0);
});
