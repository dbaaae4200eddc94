/**
 * The list of balancing algorithms, in the order of the reference page. Adding one means a file named like it, a test
 * beside it that runs the shared suite, and a line here (and in options.ts if it takes options).
 */
import type { BalancerDefinition } from '../contract/balancer.ts';
import { consistentHash } from './algorithms/consistent-hash.ts';
import { ipHash } from './algorithms/ip-hash.ts';
import { leastConnections } from './algorithms/least-connections.ts';
import { peakEwma } from './algorithms/peak-ewma.ts';
import { random } from './algorithms/random.ts';
import { roundRobin } from './algorithms/round-robin.ts';
import { weightedRoundRobin } from './algorithms/weighted-round-robin.ts';

/** Their options have been checked by then, each by its own schema. */
export const BALANCERS: readonly BalancerDefinition[] = [
  roundRobin,
  weightedRoundRobin,
  leastConnections,
  ipHash,
  consistentHash,
  peakEwma,
  random,
];
