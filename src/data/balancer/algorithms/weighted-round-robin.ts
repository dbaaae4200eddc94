/**
 * Smooth weighted round-robin: in any run of picks each candidate gets its share of weight, spread out rather than in
 * bursts (weights 5, 1, 1 give a a b a c a a). Each pick raises every candidate's credit by its weight, takes the
 * highest, and lowers that by the sum of the weights.
 *
 * Credits are kept per candidate object, so they survive a reload and a candidate's absence. Each worker has its own.
 */
import type { Candidate } from '../../contract/balancer.ts';
import { defineBalancer } from '../../contract/balancer.ts';

interface Credit {
  value: number;
}

export const weightedRoundRobin = defineBalancer({
  name: 'weighted-round-robin',
  weighted: true,
  create(_options, random) {
    const known = new WeakMap<Candidate, Credit>();
    let last: readonly Candidate[] | null = null;
    let credits: Credit[] = [];
    let weights = new Float64Array(0);
    let total = 0;

    /** Members or weights changed: the service then hands in another array. */
    function prepare(candidates: readonly Candidate[]): void {
      last = candidates;
      weights = Float64Array.from(candidates, (candidate) => candidate.weight);
      total = weights.reduce((sum, weight) => sum + weight, 0);
      credits = candidates.map((candidate, i) => {
        let credit = known.get(candidate);
        if (credit === undefined) {
          // Up to one turn behind, at random, so that workers that start together do not pick in step.
          credit = { value: -random() * weights[i]! };
          known.set(candidate, credit);
        }
        return credit;
      });
    }

    return {
      pick(candidates) {
        if (candidates !== last) prepare(candidates);
        let best = 0;
        let highest = Number.NEGATIVE_INFINITY;
        for (let i = 0; i < credits.length; i++) {
          const credit = credits[i]!;
          credit.value += weights[i]!;
          if (credit.value > highest) {
            highest = credit.value;
            best = i;
          }
        }
        credits[best]!.value -= total;
        return best;
      },
    };
  },
});
