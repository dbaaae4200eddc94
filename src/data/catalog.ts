/**
 * Control's second door to the data plane (the first is contract/): every policy that a configuration can name and
 * every balancing algorithm, with the schema of its options. Explicit lists, no side effects, imported by control only,
 * so that worker threads stay free of zod. To add a policy, add its `<name>.options.ts` here and its code to
 * policies/index.ts; a test holds the two against each other.
 */
import type { PolicyOptionsDefinition } from './contract/options.ts';

/** Sorted by key. */
export const POLICY_OPTIONS = [] as const satisfies readonly PolicyOptionsDefinition[];

export { BALANCER_OPTIONS } from './balancer/options.ts';
