/**
 * A custom balancing algorithm: requests that carry a certain query parameter are heavy and go to instances whose
 * metadata has a certain value; all others go to the rest. Among those that fit, the one with the least to do. When no
 * instance fits, all do. Here: charts over time (`?bucket=`) go to instances of the `large` tier.
 *
 * In a project of your own: `import { defineBalancer } from 'gatehouse/balancer'`.
 */
import type { BalancerDefinition, Candidate } from '../../src/index.ts';

interface Options {
  /** Query parameter that marks a heavy request. */
  readonly parameter: string;
  /** Key of the instance's metadata, and the value of those that take heavy requests. */
  readonly key: string;
  readonly value: string;
}

export default {
  name: 'heavy-apart',
  // Picks follow the weight, so slow start works through it.
  weighted: true,
  create({ parameter, key, value }, random) {
    const mark = new RegExp(`(?:^|[?&])${parameter}=`);
    const load = (candidate: Candidate): number => (candidate.inFlight + 1) / candidate.weight;
    return {
      pick(candidates, request) {
        const isHeavy = mark.test(request.query);
        // Starting somewhere else each time keeps equal instances equal.
        const start = Math.floor(random() * candidates.length);
        let best = start;
        let bestCost = Number.POSITIVE_INFINITY;
        for (let i = 0; i < candidates.length; i++) {
          const index = (start + i) % candidates.length;
          const candidate = candidates[index]!;
          const fits = (candidate.metadata[key] === value) === isHeavy;
          const cost = fits ? load(candidate) : load(candidate) + 1e9;
          if (cost >= bestCost) continue;
          bestCost = cost;
          best = index;
        }
        return best;
      },
    };
  },
} satisfies BalancerDefinition<Options>;
