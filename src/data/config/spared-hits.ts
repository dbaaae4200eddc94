/**
 * `cache: { countHits: false }`: limits and quotas of a route do not count requests whose response is in memory. It is
 * looked up once before them, behind authentication and authorization, and counted as ever when it is not there. What
 * is checked before authentication counts all.
 */
import type { CachedRequest } from '../cache/cached-response.ts';
import type { CachedRoute } from '../cache/cached-route.ts';
import { type Changes, holdsResponse, type LookingRequest } from '../cache/lookup.ts';
import { sentForWholeBody } from '../content/plain-response.ts';
import type { PolicyContext, PolicyHooks } from '../contract/policy.ts';
import type { PolicySettings } from '../contract/snapshot.ts';

/** Policies that count requests; those of `use` are the user's own affair. */
const COUNTING: ReadonlySet<string> = new Set(['rate-limit', 'quota']);

/** A route that spares hits, and what its policies do to requests. */
export interface Sparing {
  readonly cache: CachedRoute;
  readonly changes: Changes;
  /** A policy will ask for the whole body (content/plain-response.ts), which may choose another response. */
  readonly asksForWhole: boolean;
}

interface Parts {
  readonly request: Readonly<Record<string, unknown>> | null;
  readonly response: Readonly<Record<string, unknown>> | null;
}

export function sparingOf(cache: CachedRoute, policies: readonly PolicySettings[]): Sparing {
  return { cache, changes: changesOf(policies), asksForWhole: policies.some(readsResponses) };
}

function readsResponses({ name, options }: PolicySettings): boolean {
  const { response } = options as Partial<Parts>;
  if (response == null) return false;
  return name === 'validate' || (name === 'transform' && response['body'] != null);
}

/** Policies that may change fields of the request, or where it goes, before the cache looks. */
function changesOf(policies: readonly PolicySettings[]): Changes {
  const changesRequest = (policy: string, part: string): boolean =>
    policies.some(({ name, options }) => name === policy && (options as Partial<Parts>).request?.[part] != null);
  if (policies.some(({ name }) => name === 'use') || changesRequest('transform', 'query')) return 'target';
  return policies.some(({ name, options }) => name === 'headers' && (options as Partial<Parts>).request != null)
    ? 'fields'
    : 'nothing';
}

/** The hooks of a policy as the route runs them. */
export function sparingHits(
  { cache, changes, asksForWhole }: Sparing,
  policy: string,
  hooks: PolicyHooks,
): PolicyHooks {
  const { limit, responseHead } = hooks;
  if (!COUNTING.has(policy) || limit === undefined) return hooks;
  const spared = new WeakSet<PolicyContext>();
  return {
    ...hooks,
    limit(exchange) {
      // Hooks of a route get the exchange itself (data/exchange), which says where the request goes.
      const request = exchange as PolicyContext & CachedRequest;
      const asked = asksForWhole ? new AskedForWhole(request) : request;
      if (!holdsResponse(cache, asked, changes)) return limit(exchange);
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

/** The request as the cache will see it, behind the policy that asks for the whole body. */
class AskedForWhole implements LookingRequest {
  readonly #request: CachedRequest;

  constructor(request: CachedRequest) {
    this.#request = request;
  }

  get method(): string {
    return this.#request.method;
  }

  get contentLength(): number {
    return this.#request.contentLength;
  }

  get upgrade(): string {
    return this.#request.upgrade;
  }

  get callerScheme(): string {
    return this.#request.callerScheme;
  }

  get authority(): string {
    return this.#request.authority;
  }

  get path(): string {
    return this.#request.path;
  }

  get query(): string {
    return this.#request.query;
  }

  get identity(): CachedRequest['identity'] {
    return this.#request.identity;
  }

  get elsewhere(): string | null {
    return this.#request.elsewhere;
  }

  header(name: string): string | null {
    return this.#request.header(name);
  }

  cookie(name: string): string | null {
    return this.#request.cookie(name);
  }

  sentUpstream(name: string): string | null {
    const sent = sentForWholeBody(name);
    return sent === undefined ? this.#request.sentUpstream(name) : sent;
  }
}
