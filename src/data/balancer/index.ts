/**
 * The list of balancing algorithms, in the order of the reference page. Adding one means a file named like it, a test
 * beside it that runs the shared suite, and a line here (and in options.ts if it takes options).
 */
import type { BalancerDefinition } from '../contract/balancer.ts';
import { consistentHash } from './consistent-hash.ts';
import { ipHash } from './ip-hash.ts';
import { leastConnections } from './least-connections.ts';
import { peakEwma } from './peak-ewma.ts';
import { random } from './random.ts';
import { roundRobin } from './round-robin.ts';
import { weightedRoundRobin } from './weighted-round-robin.ts';

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
