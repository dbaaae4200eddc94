/**
 * Control's second door to the data plane (the first is contract/): every policy that a configuration can name and
 * every balancing algorithm, with the schema of its options. Explicit lists, no side effects, imported by control only,
 * so that worker threads stay free of zod. To add a policy, add its `<name>.options.ts` here and its code to
 * policies/index.ts; a test holds the two against each other.
 */
import * as z from 'zod';
import type { BalancerOptionsDefinition, PolicyOptionsDefinition } from './contract/options.ts';
import { defineBalancerOptions } from './contract/options.ts';

/** Sorted by key. */
export const POLICY_OPTIONS = [] as const satisfies readonly PolicyOptionsDefinition[];

/** Sorted by name. */
export const BALANCER_OPTIONS = [
  defineBalancerOptions({ algorithm: 'round-robin', schema: z.strictObject({}) }),
  defineBalancerOptions({ algorithm: 'weighted-round-robin', schema: z.strictObject({}) }),
] as const satisfies readonly BalancerOptionsDefinition[];
