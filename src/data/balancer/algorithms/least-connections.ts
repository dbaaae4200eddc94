/**
 * The candidate with the fewest requests in flight for its weight, counted over all workers. What failed lately counts
 * as if it were still in flight, since an instance that fails at once would have the fewest of all. Among equals, and
 * they are many when little is in flight, one is drawn by weight, so that workers which see the same counts do not all
 * choose the same instance.
 */
import { defineBalancer } from '../../contract/balancer.ts';

export const leastConnections = defineBalancer({
  name: 'least-connections',
  weighted: true,
  create(_options, random) {
    let loads = new Float64Array(16);
    return {
      pick(candidates) {
        const count = candidates.length;
        if (loads.length < count) loads = new Float64Array(count * 2);
        let least = Number.POSITIVE_INFINITY;
        let tied = 0;
        let tiedWeight = 0;
        let first = 0;
        for (let i = 0; i < count; i++) {
          const candidate = candidates[i]!;
          const load = (candidate.inFlight + candidate.recentFailures) / candidate.weight;
          loads[i] = load;
          if (load < least) {
            least = load;
            first = i;
            tied = 1;
            tiedWeight = candidate.weight;
          } else if (load === least) {
            tied++;
            tiedWeight += candidate.weight;
          }
        }
        if (tied === 1) return first;
        let left = random() * tiedWeight;
        let chosen = first;
        for (let i = first; i < count; i++) {
          if (loads[i] !== least) continue;
          chosen = i;
          left -= candidates[i]!.weight;
          if (left < 0) break;
        }
        return chosen;
      },
    };
  },
});
