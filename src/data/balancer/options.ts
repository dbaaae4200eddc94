/**
 * Every balancing algorithm with the schema of its options, for data/catalog.ts. Kept apart from index.ts because
 * workers load that one and must not load zod. A test holds the two lists against each other.
 */
import * as z from 'zod';
import type { BalancerOptionsDefinition } from '../contract/options.ts';
import { defineBalancerOptions } from '../contract/options.ts';
import { consistentHashOptions } from './algorithms/consistent-hash.options.ts';
import { customOptions } from './algorithms/custom.options.ts';

const none = z.strictObject({});

/** Sorted by name. */
export const BALANCER_OPTIONS = [
  consistentHashOptions,
  customOptions,
  defineBalancerOptions({ algorithm: 'ip-hash', schema: none }),
  defineBalancerOptions({ algorithm: 'least-connections', schema: none }),
  defineBalancerOptions({ algorithm: 'peak-ewma', schema: none }),
  defineBalancerOptions({ algorithm: 'random', schema: none }),
  defineBalancerOptions({ algorithm: 'round-robin', schema: none }),
  defineBalancerOptions({ algorithm: 'weighted-round-robin', schema: none }),
] as const satisfies readonly BalancerOptionsDefinition[];
