/**
 * Options of `auth`, on the gateway, a service or a route, and what they compile to. Everything needs authentication
 * unless a route says `public`: a route without the key gets `{}`, which is whatever the configuration offers (tokens
 * of the identity service and of `issuers`, API keys). What a nearer level does not say about methods it takes from the
 * gateway's. Each way to authenticate is written in a file beside this one.
 */
import * as z from 'zod';
import { durationOrOff } from '../../base/zod-units.ts';
import { oneOrMore, roleName, scopeName } from '../auth/schema-parts.options.ts';
import type { AuthSettings, Requirements } from '../contract/auth.ts';
import { REALTIME_SERVICE } from '../contract/events.ts';
import { definePolicyOptions, type OptionContext } from '../contract/options.ts';
import { compileForward, forwardSchema } from './auth-forward.options.ts';
import {
  apiKeySchema,
  basicSchema,
  compileApiKey,
  compileBasic,
  compileExternal,
  compileMtls,
  externalSchema,
  mtlsSchema,
  offersApiKeys,
} from './auth-methods.options.ts';
import { compileIntrospect, compileJwt, introspectSchema, jwtSchema, offersTokens } from './auth-tokens.options.ts';

export const DEFAULT_REALM = 'gatehouse';

const METHODS = ['jwt', 'introspect', 'apiKey', 'basic', 'mtls', 'external'] as const;

export const requirementShape = {
  scopes: oneOrMore(scopeName()).optional().describe('Scopes that the caller must have, all of them.'),
  roles: oneOrMore(roleName()).optional().describe('Roles of which the caller must have one.'),
  mfa: z
    .boolean()
    .optional()
    .describe(
      'Whether the caller must have shown a second factor (`mfa_verified`, or `mfa` in `amr`). Default: true for tokens when `identity.mfa.required` or REQUIRE_MFA is set.',
    ),
  maxAuthAge: durationOrOff({ min: 1_000 })
    .optional()
    .describe(
      'Longest time since the caller last signed in (`auth_time`); later is answered with 401 as RFC 9470 says. Default: off.',
    ),
};

/** What `requirementShape` compiles to; shared with `authorize`. */
export function compileRequirements(
  options: { readonly [Name in keyof typeof requirementShape]?: z.output<(typeof requirementShape)[Name]> },
  mfaByDefault: boolean,
): Requirements {
  const { scopes = [], roles = [], mfa, maxAuthAge = 0 } = options;
  const byDefault = mfaByDefault ? 'tokens' : 'off';
  return {
    scopes,
    roles,
    mfa: mfa === undefined ? byDefault : mfa ? 'always' : 'off',
    maxAuthAgeSeconds: maxAuthAge / 1_000,
  };
}

const authObject = z
  .strictObject({
    jwt: jwtSchema.optional(),
    introspect: introspectSchema.optional(),
    apiKey: apiKeySchema.optional(),
    basic: basicSchema.optional(),
    mtls: mtlsSchema.optional(),
    external: externalSchema.optional(),
    tickets: z
      .union([
        z.literal('off'),
        z.strictObject({
          parameter: z
            .string()
            .regex(/^[A-Za-z][A-Za-z0-9_.-]{0,63}$/, 'must be a name of letters, digits, ".", "_" and "-"')
            .prefault('ticket')
            .describe('Query parameter that holds the ticket; it is taken off before the service sees the query.'),
        }),
      ])
      .optional()
      .describe(
        'Whether a WebSocket or an event stream may come with a ticket of a route with the action `ticket` instead of a credential: `?ticket=...`. Only tickets of callers who came by the same methods count. Default: off.',
      ),
    mode: z
      .enum(['any', 'all'])
      .optional()
      .describe(
        'With several methods: `any`, the first that finds a credential decides, in the order jwt, introspect, apiKey, basic, mtls, external; `all`, each must find a good one, and the first names the caller. Default: any.',
      ),
    optional: z
      .boolean()
      .optional()
      .describe(
        'Lets requests without any credential pass, without an identity. A bad credential is always refused. Default: false.',
      ),
    ...requirementShape,
    realm: z
      .string()
      .max(100)
      .regex(/^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/, 'must be a text without quotes')
      .optional()
      .describe('Name of what is protected, in `WWW-Authenticate`. Default: gatehouse.'),
    identity: forwardSchema.optional(),
    hideCredentials: z
      .boolean()
      .optional()
      .describe(
        'Whether the field or cookie with the credential is kept from the service. Default: false. A key in the query is never hidden.',
      ),
    streams: z
      .enum(['untilExpiry', 'untilRevoked'])
      .optional()
      .describe(
        'How long a WebSocket, an event stream or a gRPC stream lasts at most: until its token or key expires, or until that is revoked (signing out, a new password). Either way revoking ends it at once. Default: untilExpiry.',
      ),
  })
  .describe('Who may call, and how callers prove who they are.');

export const authSchema = z
  .union([z.literal('public'), authObject])
  .describe(
    'Who may call. `public`: everybody. `{}` or absent: callers with a token or key that this gateway knows. Default: `{}`.',
  );

export type AuthOptions = z.output<typeof authObject>;

export const authOptions = definePolicyOptions({
  key: 'auth',
  schema: authSchema,
  levels: ['gateway', 'service', 'route'],
  whenAbsent: () => ({}),
  compile(options, context, route) {
    if (options === 'public') return [];
    // The service where a second factor is set up lets such a session in, and nothing else does.
    const mayEnrol = route.services.length > 0 && route.services.every((name) => name === 'builtin:identity');
    const isHub = route.services.some((name) => name === REALTIME_SERVICE);
    const settings = compileAuth(withGatewayMethods(options, context), context, mayEnrol, isHub);
    return settings === undefined ? [] : [{ name: 'auth', options: settings }];
  },
});

function namesMethod(options: AuthOptions): boolean {
  return METHODS.some((method) => options[method] !== undefined);
}

/** What is required is never inherited: it belongs to the place where it is written. */
function withGatewayMethods(options: AuthOptions, context: OptionContext): AuthOptions {
  if (context.path[0] === 'gateway') return options;
  const gateway = (context.document?.['gateway'] as { readonly auth?: AuthOptions | 'public' } | undefined)?.auth;
  if (gateway === undefined || gateway === 'public') return options;
  const { scopes: _s, roles: _r, mfa: _m, maxAuthAge: _a, optional: _o, ...general } = gateway;
  const said = Object.fromEntries(Object.entries(options).filter((entry) => entry[1] !== undefined));
  if (!namesMethod(options)) return { ...general, ...said };
  const { realm, identity, hideCredentials, streams } = general;
  return { ...dropUndefined({ realm, identity, hideCredentials, streams }), ...said } as AuthOptions;
}

function dropUndefined<T extends object>(value: T): Partial<T> {
  return Object.fromEntries(Object.entries(value).filter((entry) => entry[1] !== undefined)) as Partial<T>;
}

function compileAuth(
  written: AuthOptions,
  context: OptionContext,
  mayEnrol: boolean,
  isHub: boolean,
): AuthSettings | undefined {
  const options = namesMethod(written) ? written : { ...written, ...methodsOnOffer(context) };
  if (!namesMethod(options)) {
    context.problem('nothing is configured that could authenticate a caller', {
      expected: '`public`, or a method such as jwt; or identity, issuers, JWT_SECRET or API_KEY_1',
    });
    return undefined;
  }
  const { jwt, introspect, apiKey, basic, mtls, external } = options;
  const sources = jwt?.from ?? introspect?.from;
  const compiled = {
    jwt: jwt === undefined ? null : compileJwt(jwt, sources, context),
    introspect: introspect === undefined ? null : compileIntrospect(introspect, sources, context),
    apiKey: apiKey === undefined ? null : compileApiKey(apiKey, context),
    basic: basic === undefined ? null : compileBasic(basic, context),
    mtls: mtls === undefined ? null : compileMtls(mtls, context),
    external: external === undefined ? null : compileExternal(external, context),
    forward: compileForward(options.identity ?? 'plain', context),
  };
  const { tickets = 'off', mode = 'any' } = options;
  if (tickets !== 'off' && mode === 'all')
    context.problem('cannot be taken where every method must find a credential', {
      at: ['tickets'],
      expected: 'mode: any, or no tickets',
    });
  // What is undefined has a problem, and that is reported.
  if (Object.values(compiled).includes(undefined as never)) return undefined;
  return {
    ...(compiled as Pick<AuthSettings, keyof typeof compiled>),
    realm: options.realm ?? DEFAULT_REALM,
    mode,
    // The hub has tickets of its own, which also work in a message.
    ticketParameter: tickets === 'off' || isHub ? null : tickets.parameter,
    optional: options.optional ?? false,
    mayEnrol,
    requirements: compileRequirements(options, requiresMfa(context)),
    hideCredentials: options.hideCredentials ?? false,
    // The hub ends connections itself, and knows of a newer token that came over one.
    streamsOutliveExpiry: options.streams === 'untilRevoked' || isHub,
  };
}

function methodsOnOffer(context: OptionContext): Pick<AuthOptions, 'jwt' | 'apiKey'> {
  return {
    ...(offersTokens(context) && { jwt: jwtSchema.parse({}) }),
    ...(offersApiKeys(context) && { apiKey: apiKeySchema.parse({}) }),
  };
}

/** `identity.mfa.required` and REQUIRE_MFA are one thing, said in two places. */
function requiresMfa({ env, document }: OptionContext): boolean {
  const identity = document?.['identity'] as { enabled?: boolean; mfa?: { required?: boolean } } | undefined;
  if (identity?.enabled === true && identity.mfa?.required === true) return true;
  return /^(?:true|1|yes|on)$/i.test(env['REQUIRE_MFA'] ?? '');
}
