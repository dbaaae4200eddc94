/** A draw by weight. Keeps no state, so it is fair over all workers together, and the least clever of all. */
import type { Candidate } from '../contract/balancer.ts';
import { defineBalancer } from '../contract/balancer.ts';

export const random = defineBalancer({
  name: 'random',
  weighted: true,
  create(_options, draw) {
    let last: readonly Candidate[] | null = null;
    let upTo = new Float64Array(0);
    let total = 0;

    /** Sums of the weights so far. The service hands in another array when members or weights change. */
    function prepare(candidates: readonly Candidate[]): void {
      last = candidates;
      total = 0;
      upTo = Float64Array.from(candidates, (candidate) => {
        total += candidate.weight;
        return total;
      });
    }

    return {
      pick(candidates) {
        if (candidates !== last) prepare(candidates);
        const point = draw() * total;
        let low = 0;
        let high = upTo.length - 1;
        while (low < high) {
          const middle = (low + high) >>> 1;
          if (point < upTo[middle]!) high = middle;
          else low = middle + 1;
        }
        return low;
      },
    };
  },
});
