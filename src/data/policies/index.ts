/** Every policy of the data plane, sorted by name. Nothing registers itself. */
import type { PolicyDefinition } from '../contract/policy.ts';
import { abuse } from './abuse.ts';
import { auth } from './auth.ts';
import { authorize } from './authorize.ts';
import { cache } from './cache.ts';
import { compression } from './compression.ts';
import { cors } from './cors.ts';
import { decompression } from './decompression.ts';
import { faultInjection } from './fault-injection.ts';
import { headers } from './headers.ts';
import { hygiene } from './hygiene.ts';
import { idempotency } from './idempotency.ts';
import { ipFilter } from './ip-filter.ts';
import { publish } from './publish.ts';
import { quota } from './quota.ts';
import { rateLimit } from './rate-limit.ts';
import { realtime } from './realtime.ts';
import { securityHeaders } from './security-headers.ts';
import { subscribe } from './subscribe.ts';
import { transform } from './transform.ts';
import { use } from './use.ts';
import { validate } from './validate.ts';

export const POLICIES: readonly PolicyDefinition<never, unknown>[] = [
  abuse,
  auth,
  authorize,
  cache,
  compression,
  cors,
  decompression,
  faultInjection,
  headers,
  hygiene,
  idempotency,
  ipFilter,
  publish,
  quota,
  rateLimit,
  realtime,
  securityHeaders,
  subscribe,
  transform,
  use,
  validate,
];
