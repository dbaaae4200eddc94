/**
 * A custom balancing algorithm: of the instances whose metadata says what the request asks for, the one with the
 * least to do; of all instances if none says so. Here: requests with `X-Needs: gpu` go to instances with `gpu` in their
 * `metadata.has`, and the others stay away from them.
 *
 * In a project of your own the first import reads `from 'gatehouse/balancer'`.
 */
import type { Candidate } from '../../src/data/contract/balancer.ts';
import { defineBalancer } from '../../src/data/contract/balancer.ts';

interface Options {
  /** Request header that names what is needed, lower case. */
  readonly header: string;
  /** Key of the instance's metadata that lists what it has, separated by spaces. */
  readonly key: string;
}

export default defineBalancer<Options>({
  name: 'prefer-metadata',
  // Picks follow the weight, so slow start works through it.
  weighted: true,
  create({ header, key }, random) {
    // Once per instance, not once per request: the candidate objects live as long as their instances.
    const has = new WeakMap<Candidate, ReadonlySet<string>>();

    function featuresOf(candidate: Candidate): ReadonlySet<string> {
      let features = has.get(candidate);
      if (features === undefined) {
        features = new Set((candidate.metadata[key] ?? '').split(' ').filter((feature) => feature !== ''));
        has.set(candidate, features);
      }
      return features;
    }

    function fits(candidate: Candidate, need: string | null): boolean {
      const features = featuresOf(candidate);
      return need === null ? features.size === 0 : features.has(need);
    }

    return {
      pick(candidates, request) {
        const need = request.header(header);
        let best = -1;
        let bestLoad = Number.POSITIVE_INFINITY;
        // Starting somewhere else each time keeps equal instances equal.
        const start = Math.floor(random() * candidates.length);
        for (let i = 0; i < candidates.length; i++) {
          const index = (start + i) % candidates.length;
          const candidate = candidates[index]!;
          const load = (candidate.inFlight + 1) / candidate.weight;
          // A fitting instance always beats one that does not fit.
          const cost = fits(candidate, need) ? load : load + 1e9;
          if (cost < bestLoad) {
            bestLoad = cost;
            best = index;
          }
        }
        return best;
      },
    };
  },
});
