/**
 * Each candidate in turn, whatever its weight. Each worker has its own turn and starts it somewhere else, so that
 * workers do not call on the instances in step. Slow start is done around it, as it does not look at weights.
 */
import { defineBalancer } from '../../contract/balancer.ts';

export const roundRobin = defineBalancer({
  name: 'round-robin',
  create(_options, random) {
    let turn = Math.floor(random() * 65_536);
    return {
      pick(candidates) {
        turn = (turn + 1) | 0;
        return (turn >>> 0) % candidates.length;
      },
    };
  },
});
