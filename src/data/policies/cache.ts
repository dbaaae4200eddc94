/**
 * The policy `cache`: responses of the service are stored and sent again. It has no hook in any phase, because it
 * stands around the action that responds: routes get it from data/cache/cached-route.ts when a configuration is
 * compiled.
 */
import type { CacheSettings } from '../contract/cache.ts';
import { definePolicy } from '../contract/policy.ts';

export const cache = definePolicy<CacheSettings>({ name: 'cache', phases: [], create: () => ({}) });
