/** A draw by weight. Keeps no state, so it is fair over all workers together, and the least clever of all. */
import { defineBalancer } from '../../contract/balancer.ts';
import { WeightedDraw } from './weighted-draw.ts';

export const random = defineBalancer({
  name: 'random',
  weighted: true,
  create(_options, generator) {
    const draw = new WeightedDraw(generator);
    return { pick: (candidates) => draw.draw(candidates) };
  },
});
