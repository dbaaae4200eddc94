/**
 * Power of two choices by expected delay: draws two candidates by weight and takes the one with the lower cost, which
 * is its latency times what it has to do, for its weight. The latency is a moving average that jumps up with a slow
 * response and decays with time, so a slow instance loses traffic at once and is tried again later. Two draws suffice
 * to avoid the worst, and unlike "the best of all" they do not send every worker to the same instance.
 *
 * The weight is in the draw as well as in the cost: by cost alone, an idle service would never use a candidate that is
 * only a little lighter than the others, and a slow start would be no traffic at all and then all of it.
 */
import type { Candidate } from '../../contract/balancer.ts';
import { defineBalancer } from '../../contract/balancer.ts';
import { WeightedDraw } from './weighted-draw.ts';

/** Stands for the latency of a candidate that has requests in flight but has never responded: likely slow or dead. */
const UNKNOWN_LATENCY_MS = 60_000;
/** Draws for the second candidate before its neighbour is taken, when one weighs nearly everything. */
const SECOND_DRAWS = 4;

export const peakEwma = defineBalancer({
  name: 'peak-ewma',
  weighted: true,
  create(_options, random) {
    const draw = new WeightedDraw(random);
    return {
      pick(candidates) {
        const count = candidates.length;
        if (count === 1) return 0;
        const first = draw.draw(candidates);
        let second = first;
        for (let i = 0; i < SECOND_DRAWS && second === first; i++) second = draw.draw(candidates);
        if (second === first) second = (first + 1) % count;
        const { averageWeight } = draw;
        return costOf(candidates[second]!, averageWeight) < costOf(candidates[first]!, averageWeight) ? second : first;
      },
    };
  },
});

/** Work is measured against weight, so an idle candidate costs its latency whatever it weighs. */
function costOf(candidate: Candidate, averageWeight: number): number {
  const { inFlight, latencyMs } = candidate;
  const work = (inFlight * averageWeight) / candidate.weight;
  // Never asked and idle: free to try. One request finds out; more wait for its response.
  if (latencyMs === 0) return UNKNOWN_LATENCY_MS * work;
  return latencyMs * (1 + work);
}
