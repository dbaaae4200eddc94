/**
 * Who a caller would be on a route, found out by the route's own `authenticate` and `authorize` policies, for
 * credentials that do not come with a request: the first message of a WebSocket. There is no exchange; the policies see
 * the fields that were given, and whatever they say to a client or a service goes nowhere.
 */
import { FAULTS, Fault } from '../base/errors.ts';
import type { Identity, PolicyContext, PolicyHook } from './contract/policy.ts';
import type { IdentifyResult } from './contract/service-calls.ts';
import type { CompiledRoute } from './exchange/active-config.ts';

export async function identify(
  route: CompiledRoute,
  fields: readonly (readonly [name: string, value: string])[],
): Promise<IdentifyResult['caller']> {
  const context = new CredentialContext(route.settings.id, fields);
  try {
    for (const hook of [...route.authenticate, ...route.authorize]) if (!(await passes(hook, context))) return null;
  } catch {
    return null;
  }
  const { identity } = context;
  if (identity === null || identity.mustEnrol === true) return null;
  const { exp } = identity.claims;
  return {
    user: identity.subject,
    account: identity.account ?? identity.subject,
    plan: identity.plan,
    roles: [...identity.roles],
    scopes: [...identity.scopes],
    expiresMs: typeof exp === 'number' ? exp * 1_000 : null,
  };
}

async function passes(hook: PolicyHook, context: PolicyContext): Promise<boolean> {
  return (await hook(context)) === undefined;
}

class CredentialContext implements PolicyContext {
  readonly requestId = '';
  readonly routeId: string;
  readonly method = 'GET';
  readonly path = '/';
  readonly query = '';
  readonly host = '';
  readonly scheme = 'https';
  readonly address = '';
  readonly clientCertificate = null;
  readonly params = {};
  readonly contentLength = 0;
  readonly status = 0;
  readonly fault = null;
  readonly responseLength = 0;
  isBodyUnpacked = false;
  isOnce = false;
  readonly mayHaveActed = false;
  identity: Identity | null = null;
  readonly #fields: ReadonlyMap<string, string>;

  constructor(routeId: string, fields: readonly (readonly [name: string, value: string])[]) {
    this.routeId = routeId;
    this.#fields = new Map(fields);
  }

  header(name: string): string | null {
    return this.#fields.get(name) ?? null;
  }

  sentUpstream(name: string): string | null {
    return this.header(name);
  }

  cookie(): null {
    return null;
  }

  responseHeader(): null {
    return null;
  }

  sentHeader(): null {
    return null;
  }

  readBody(): Promise<Buffer> {
    return Promise.reject(new Fault(FAULTS.payloadTooLarge));
  }

  setUpstreamHeader(): void {}
  removeUpstreamHeader(): void {}
  addResponseHeader(): void {}
  setResponseHeader(): void {}
  removeResponseHeader(): void {}
  setUpstreamFields(): void {}
  setResponseFields(): void {}
  setMissingFields(): void {}
  removeServiceFields(): void {}
  addResponseFields(): void {}
  noteLimit(): void {}
  logField(): void {}
  replaceBody(): void {}
  filterRequestBody(): void {}
  filterResponseBody(): void {}
  setStatus(): void {}
  readonly upstreamQueryNow = '';
  setUpstreamTarget(): void {}
  setUpstreamQuery(): void {}
}
