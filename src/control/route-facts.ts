/**
 * What a route adds to the operations that it leads to: who may call (security), how often (limits), and what the
 * gateway itself may respond instead of the service.
 */
import { type AuthSettings, ENROL_SCOPE, type Requirements } from '../data/contract/auth.ts';
import { formatKey, formatLimit, type RateLimitSettings } from '../data/contract/limits.ts';
import type { RouteSettings } from '../data/contract/snapshot.ts';
import type { Audience } from './audience.ts';
import type { Mapping } from './openapi-document.ts';

export interface RouteFacts {
  readonly audience: Audience;
  /** Null: the route does not authenticate, so the service's own word counts. */
  readonly security: readonly Mapping[] | null;
  readonly schemes: Mapping;
  /** Sentences for the description. */
  readonly notes: readonly string[];
  /** Statuses that the gateway responds with by itself, and when. */
  readonly errors: Readonly<Record<string, string>>;
}

export function routeFacts(route: RouteSettings, hasBody: boolean): RouteFacts {
  const options = (name: string) => route.policies.find((policy) => policy.name === name)?.options;
  const auth = options('auth') as AuthSettings | undefined;
  const authorize = options('authorize') as { readonly level: string; readonly requirements: Requirements } | undefined;
  const limits = options('rate-limit') as RateLimitSettings | undefined;
  const limited = [...(limits?.blocks ?? []).map(blockText), ...(options('quota') === undefined ? [] : ['a quota'])];
  const { action } = route;
  const asks = action.kind === 'service' || action.kind === 'aggregate';
  const roles = [...(auth?.requirements.roles ?? []), ...(authorize?.requirements.roles ?? [])];
  return {
    audience: roles.includes('admin') || authorize?.level === 'admin' ? 'admin' : isOpen(auth) ? 'public' : 'signed-in',
    ...securityOf(auth),
    notes: [
      ...(roles.length === 0 ? [] : [`Needs one of the roles ${roles.map((role) => `\`${role}\``).join(', ')}.`]),
      ...(limited.length === 0 ? [] : [`Limited to ${limited.join(' and ')}.`]),
      ...(route.version?.sunset == null ? [] : [`Goes away on ${route.version.sunset}.`]),
    ],
    errors: {
      ...(options('validate') === undefined ? {} : { 400: 'The request is not valid' }),
      ...(auth === undefined ? {} : { 401: 'No credential, or it is not valid' }),
      ...(auth === undefined && authorize === undefined ? {} : { 403: 'The caller may not do this' }),
      ...(hasBody ? { 413: `The body is larger than ${route.maxRequestBytes} bytes` } : {}),
      ...(limited.length === 0 ? {} : { 429: 'Too many requests' }),
      ...(asks
        ? { 502: 'The service failed', 503: 'The service cannot be used now', 504: 'The service took too long' }
        : {}),
    },
  };
}

function isOpen(auth: AuthSettings | undefined): boolean {
  return auth === undefined || auth.optional;
}

function blockText(block: RateLimitSettings['blocks'][number]): string {
  const rules = block.rules.map(formatLimit);
  return `${[...rules, ...(block.plan ? ["the plan's limits"] : [])].join(', ')} by ${formatKey(block.by)}`;
}

function securityOf(auth: AuthSettings | undefined): Pick<RouteFacts, 'security' | 'schemes'> {
  if (auth === undefined) return { security: null, schemes: {} };
  const schemes: Record<string, Mapping> = {};
  if (auth.jwt !== null) schemes['bearer'] = { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' };
  else if (auth.introspect !== null) schemes['bearer'] = { type: 'http', scheme: 'bearer' };
  const cookie = [...(auth.jwt?.sources ?? []), ...(auth.introspect?.sources ?? [])].find(
    ({ in: at }) => at === 'cookie',
  );
  if (cookie?.in === 'cookie') schemes['cookie'] = { type: 'apiKey', in: 'cookie', name: cookie.name };
  if (auth.apiKey !== null) schemes['apiKey'] = { type: 'apiKey', in: 'header', name: auth.apiKey.header };
  if (auth.basic !== null) schemes['basic'] = { type: 'http', scheme: 'basic' };
  if (auth.mtls !== null) schemes['certificate'] = { type: 'mutualTLS' };
  if (auth.external !== null)
    schemes['external'] = {
      type: 'http',
      scheme: 'bearer',
      description: 'Whatever credential the authorization service of the operator takes.',
    };
  const scopes = auth.requirements.scopes.filter((scope) => scope !== ENROL_SCOPE);
  const names = Object.keys(schemes);
  const one = (name: string) => ({ [name]: scopes });
  const security =
    auth.mode === 'all' ? [Object.assign({}, ...names.map(one)) as Mapping] : names.map((name) => one(name) as Mapping);
  return { security: auth.optional ? [...security, {}] : security, schemes };
}
