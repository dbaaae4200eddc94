/** Every policy of the data plane, sorted by name. Nothing registers itself. */
import type { PolicyDefinition } from '../contract/policy.ts';

export const POLICIES: readonly PolicyDefinition<never>[] = [];
