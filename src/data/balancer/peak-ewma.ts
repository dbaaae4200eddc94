/**
 * Power of two choices by expected delay: draws two candidates and takes the one with the lower cost, latency times
 * what is in flight, for its weight. The latency is a moving average that jumps up with a slow answer and decays with
 * time, so a slow instance loses traffic at once and is tried again later. Two draws are enough to avoid the worst, and
 * unlike "the best of all" they do not send every worker to the same instance.
 */
import type { Candidate } from '../contract/balancer.ts';
import { defineBalancer } from '../contract/balancer.ts';

/** Stands for the latency of a candidate that has requests in flight but has never answered: likely slow or dead. */
const UNKNOWN_LATENCY_MS = 60_000;

export const peakEwma = defineBalancer({
  name: 'peak-ewma',
  weighted: true,
  create(_options, random) {
    return {
      pick(candidates) {
        const count = candidates.length;
        if (count === 1) return 0;
        const first = Math.floor(random() * count);
        let second = Math.floor(random() * (count - 1));
        if (second >= first) second++;
        const a = candidates[first]!;
        const b = candidates[second]!;
        const costA = costOf(a);
        const costB = costOf(b);
        if (costA !== costB) return costA < costB ? first : second;
        // Equal costs, as when idle: by weight, else a ramping instance would get a full share.
        return random() * (a.weight + b.weight) < a.weight ? first : second;
      },
    };
  },
});

function costOf(candidate: Candidate): number {
  const { inFlight, latencyMs } = candidate;
  // Never asked and idle: free to try. One request finds out; more wait for its answer.
  if (latencyMs === 0) return inFlight === 0 ? 0 : (UNKNOWN_LATENCY_MS * inFlight) / candidate.weight;
  return (latencyMs * (inFlight + 1)) / candidate.weight;
}
