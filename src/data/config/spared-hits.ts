/**
 * `cache: { countHits: false }`: limits and quotas of a route do not count requests whose response is in memory. It is
 * looked up once before them, behind authentication and authorization, and counted as ever when it is not there. What
 * is checked before authentication counts all.
 */
import type { CachedRequest } from '../cache/cached-response.ts';
import type { CachedRoute } from '../cache/cached-route.ts';
import { type Changes, holdsResponse } from '../cache/lookup.ts';
import type { PolicyContext, PolicyHooks } from '../contract/policy.ts';
import type { PolicySettings } from '../contract/snapshot.ts';

/** Policies that count requests; those of `use` are the user's own affair. */
const COUNTING: ReadonlySet<string> = new Set(['rate-limit', 'quota']);

/** A route that spares hits, and what its policies do to requests. */
export interface Sparing {
  readonly cache: CachedRoute;
  readonly changes: Changes;
}

interface Parts {
  readonly request: Readonly<Record<string, unknown>> | null;
}

/** Policies that may change fields of the request, or where it goes, before the cache looks. */
export function changesOf(policies: readonly PolicySettings[]): Changes {
  const changesRequest = (policy: string, part: string): boolean =>
    policies.some(({ name, options }) => name === policy && (options as Partial<Parts>).request?.[part] != null);
  if (policies.some(({ name }) => name === 'use') || changesRequest('transform', 'query')) return 'target';
  return policies.some(({ name, options }) => name === 'headers' && (options as Partial<Parts>).request != null)
    ? 'fields'
    : 'nothing';
}

/** The hooks of a policy as the route runs them. */
export function sparingHits({ cache, changes }: Sparing, policy: string, hooks: PolicyHooks): PolicyHooks {
  const { limit, responseHead } = hooks;
  if (!COUNTING.has(policy) || limit === undefined) return hooks;
  const spared = new WeakSet<PolicyContext>();
  return {
    ...hooks,
    limit(exchange) {
      // Hooks of a route get the exchange itself (data/exchange), which says where the request goes.
      if (!holdsResponse(cache, exchange as PolicyContext & CachedRequest, changes)) return limit(exchange);
      spared.add(exchange);
      return undefined;
    },
    // The cost in a stored response was charged to the request that fetched it.
    ...(responseHead === undefined
      ? {}
      : {
          responseHead(exchange: PolicyContext): void {
            if (!spared.has(exchange)) responseHead(exchange);
          },
        }),
  };
}
