/** Every policy of the data plane, sorted by name. Nothing registers itself. */
import type { PolicyDefinition } from '../contract/policy.ts';
import { auth } from './auth.ts';
import { authorize } from './authorize.ts';
import { cors } from './cors.ts';
import { headers } from './headers.ts';
import { securityHeaders } from './security-headers.ts';

export const POLICIES: readonly PolicyDefinition<never>[] = [auth, authorize, cors, headers, securityHeaders];
