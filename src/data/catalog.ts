/**
 * Control's second door to the data plane (the first is contract/): every policy that a configuration can name and
 * every balancing algorithm, with the schema of its options. Explicit lists, no side effects, imported by control only,
 * so that worker threads stay free of zod. To add a policy, add its `<name>.options.ts` here and its code to
 * policies/index.ts; a test holds the two against each other.
 */
import type { PolicyOptionsDefinition } from './contract/options.ts';
import { abuseOptions } from './policies/abuse.options.ts';
import { authOptions } from './policies/auth.options.ts';
import { authorizeOptions } from './policies/authorize.options.ts';
import { cacheOptions } from './policies/cache.options.ts';
import { compressionOptions } from './policies/compression.options.ts';
import { corsOptions } from './policies/cors.options.ts';
import { decompressionOptions } from './policies/decompression.options.ts';
import { faultInjectionOptions } from './policies/fault-injection.options.ts';
import { headersOptions } from './policies/headers.options.ts';
import { hygieneOptions } from './policies/hygiene.options.ts';
import { idempotencyOptions } from './policies/idempotency.options.ts';
import { ipFilterOptions } from './policies/ip-filter.options.ts';
import { openapiOptions } from './policies/openapi.options.ts';
import { publishOptions } from './policies/publish.options.ts';
import { quotaOptions } from './policies/quota.options.ts';
import { rateLimitOptions } from './policies/rate-limit.options.ts';
import { realtimeOptions } from './policies/realtime.options.ts';
import { securityHeadersOptions } from './policies/security-headers.options.ts';
import { subscribeOptions } from './policies/subscribe.options.ts';
import { transformOptions } from './policies/transform.options.ts';
import { useOptions } from './policies/use.options.ts';
import { validateOptions } from './policies/validate.options.ts';

/** Sorted by key. */
export const POLICY_OPTIONS = [
  abuseOptions,
  authOptions,
  authorizeOptions,
  cacheOptions,
  compressionOptions,
  corsOptions,
  decompressionOptions,
  faultInjectionOptions,
  headersOptions,
  hygieneOptions,
  idempotencyOptions,
  ipFilterOptions,
  openapiOptions,
  publishOptions,
  quotaOptions,
  rateLimitOptions,
  realtimeOptions,
  securityHeadersOptions,
  subscribeOptions,
  transformOptions,
  useOptions,
  validateOptions,
] as const satisfies readonly PolicyOptionsDefinition[];

export { BALANCER_OPTIONS } from './balancer/options.ts';
/**
 * What stands under a name in `issuers`; the section is control's (control/auth/options.ts), the schema is also
 * `auth`'s.
 */
export { issuerSchema } from './policies/auth-issuers.options.ts';
