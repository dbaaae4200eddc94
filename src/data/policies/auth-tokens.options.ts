/**
 * Bearer tokens as they are written in `auth`: `jwt`, verified by the keys of their issuer, and `introspect`, asked for
 * at their issuer. Passwords of endpoints go into `Secrets`, under an id that is equal for equal endpoints.
 */
import * as z from 'zod';
import { duration, secret, size } from '../../base/zod-units.ts';
import { DEFAULT_CLAIM_NAMES } from '../auth/identity.ts';
import { headerName, oneOrMore, safeUrl } from '../auth/schema-parts.options.ts';
import {
  ALGORITHMS,
  type IntrospectEndpoint,
  type IntrospectSettings,
  type IssuerSettings,
  type JwtSettings,
  type TokenSource,
} from '../contract/auth.ts';
import { accessCookieName } from '../contract/browser-session.ts';
import type { OptionContext } from '../contract/options.ts';
import { compileIssuer, type IssuerOptions, issuerSchema, MIN_SECRET_BYTES } from './auth-issuers.options.ts';
import { cacheEntries, cacheTtl, identityEnabled, idOf } from './auth-parts.options.ts';

const tokenSource = z.union([
  z.literal('authorization'),
  z.strictObject({ header: headerName().describe('Field that holds the bare token.') }),
  z.strictObject({
    cookie: headerName().describe('Cookie that holds the token.'),
    trustedSites: oneOrMore(z.string().regex(/^https?:\/\/[^/\s]+$/, 'must be an origin such as https://app.example'))
      .optional()
      .describe('Other sites whose pages may change something with this cookie. The own site always may.'),
  }),
]);

const from = z
  .array(tokenSource)
  .min(1)
  .max(5)
  .optional()
  .describe(
    'Where the token is, in order: `authorization` (Bearer), `{ header: name }`, `{ cookie: name }`. Default: [authorization], and the session cookie with `identity.cookies`.',
  );

const maxTokenSize = size({ min: 256, max: 16_384 })
  .prefault('8kb')
  .describe('Longest token; a longer one is refused unread.');

export const jwtSchema = z
  .strictObject({
    issuers: z
      .array(z.union([z.string().min(1).meta({ 'x-refers-to': 'issuers' }), issuerSchema]))
      .min(1)
      .max(50)
      .optional()
      .describe(
        'Whose tokens count: names from `issuers` at the top, `identity`, or issuers written here. Default: all that there are.',
      ),
    audience: oneOrMore(z.string().min(1).max(1_000), 20)
      .optional()
      .describe('Values of `aud` of which a token must have one, instead of what its issuer says.'),
    from,
    maxTokenSize,
    cacheTtl: cacheTtl('30s'),
    cacheEntries: cacheEntries(20_000),
  })
  .describe('JSON Web Tokens, verified in the worker.');

export const introspectSchema = z
  .strictObject({
    url: safeUrl().describe('Introspection endpoint of the issuer (RFC 7662).'),
    clientId: z.string().min(1).max(1_000).optional().describe('Name of the gateway at the endpoint.'),
    clientSecret: secret().optional().describe('Its password there.'),
    clientAuth: z.enum(['basic', 'post']).prefault('basic').describe('How name and password are sent.'),
    token: secret().optional().describe('A bearer token for the endpoint, instead of name and password.'),
    audience: oneOrMore(z.string().min(1).max(1_000), 20)
      .optional()
      .describe('Values of `aud` of which a token must have one. Default: any.'),
    from,
    maxTokenSize,
    timeout: duration({ min: 50, max: 60_000 }).prefault('2s').describe('Longest wait for an answer; then 503.'),
    cacheTtl: cacheTtl('10s'),
    cacheEntries: cacheEntries(10_000),
  })
  .check(({ value, issues }) => {
    const complain = (path: string, message: string): void => {
      issues.push({ code: 'custom', path: [path], input: value, message });
    };
    const hasName = value.clientId !== undefined;
    if (hasName !== (value.clientSecret !== undefined))
      complain(hasName ? 'clientSecret' : 'clientId', 'name and password go together');
    if (hasName && value.token !== undefined) complain('token', 'either a token or a name with a password');
  })
  .describe('Opaque tokens, asked for at their issuer. Beside `jwt` it judges what is no JWT of a known issuer.');

function sourcesOf(written: z.output<typeof from>, { document }: OptionContext): readonly TokenSource[] {
  if (written === undefined) return [{ in: 'authorization' }, ...sessionCookie(document)];
  return written.map((source): TokenSource => {
    if (source === 'authorization') return { in: 'authorization' };
    if ('header' in source) return { in: 'header', name: source.header.toLowerCase() };
    return { in: 'cookie', name: source.cookie, trustedSites: source.trustedSites ?? [] };
  });
}

/** Of browsers that signed in at the identity service with cookies. */
function sessionCookie(document: OptionContext['document']): TokenSource[] {
  const identity = document?.['identity'] as
    | { enabled?: boolean; publicUrl?: string; cookies?: { trustedSites: readonly string[] } }
    | undefined;
  if (identity?.enabled !== true || identity.cookies === undefined) return [];
  const { trustedSites } = identity.cookies;
  return [{ in: 'cookie', name: accessCookieName(identity.publicUrl ?? ''), trustedSites }];
}

const IDENTITY_ISSUER: IssuerSettings = {
  name: 'identity',
  issuer: null,
  audiences: null,
  types: ['at+jwt'],
  leewaySeconds: 5,
  maxAgeSeconds: 0,
  algorithms: ALGORITHMS,
  keys: { kind: 'identity' },
  claims: DEFAULT_CLAIM_NAMES,
};

function namedIssuers({ document }: OptionContext): Readonly<Record<string, IssuerOptions>> {
  return (document?.['issuers'] as Readonly<Record<string, IssuerOptions>> | undefined) ?? {};
}

/** `JWT_SECRET`, or `JWT_SECRET_KEY`, where no identity service takes it: who has it may sign tokens. */
function environmentSecret(context: OptionContext): { readonly name: string; readonly value: string } | undefined {
  if (identityEnabled(context)) return undefined;
  for (const name of ['JWT_SECRET', 'JWT_SECRET_KEY']) {
    const value = context.env[name];
    if (value !== undefined && value !== '') return { name, value };
  }
  return undefined;
}

export function offersTokens(context: OptionContext): boolean {
  return (
    identityEnabled(context) ||
    Object.keys(namedIssuers(context)).length > 0 ||
    environmentSecret(context) !== undefined
  );
}

export function compileJwt(
  options: z.output<typeof jwtSchema>,
  sources: z.output<typeof from>,
  context: OptionContext,
): JwtSettings | undefined {
  const issuers = options.issuers === undefined ? everyIssuer(context) : writtenIssuers(options.issuers, context);
  if (issuers === undefined) return undefined;
  if (issuers.length === 0) {
    context.problem('nothing is configured that could verify a token', {
      at: ['jwt'],
      expected: 'identity, issuers at the top or here, or JWT_SECRET',
    });
    return undefined;
  }
  const seen = new Set<string | null>();
  for (const { name, issuer, keys } of issuers) {
    if (keys.kind !== 'identity' && seen.has(issuer)) {
      context.problem(`issuer ${name} takes the same tokens as an earlier one`, { at: ['jwt', 'issuers'] });
      return undefined;
    }
    if (keys.kind !== 'identity') seen.add(issuer);
  }
  const { audience, maxTokenSize: maxTokenBytes, cacheTtl: cacheMs } = options;
  return {
    issuers: audience === undefined ? issuers : issuers.map((issuer) => ({ ...issuer, audiences: audience })),
    sources: sourcesOf(sources, context),
    maxTokenBytes,
    cacheEntries: options.cacheEntries,
    cacheMs,
  };
}

/** Undefined when one of them is wrong. */
function everyIssuer(context: OptionContext): IssuerSettings[] | undefined {
  const issuers: (readonly IssuerSettings[] | undefined)[] = [];
  if (identityEnabled(context)) issuers.push([IDENTITY_ISSUER]);
  for (const [name, options] of Object.entries(namedIssuers(context))) {
    issuers.push(compileIssuer(name, options, context, ['jwt']));
  }
  const shared = environmentSecret(context);
  if (issuers.length > 1) {
    context.warning('tokens of every issuer count here, since none is named', {
      at: ['jwt', 'issuers'],
      expected: `those that it is for, of ${issuers.map((each) => each?.[0]?.name).join(', ')}`,
    });
  }
  if (shared !== undefined) {
    if (Buffer.byteLength(shared.value) < MIN_SECRET_BYTES) {
      context.problem(`${shared.name} is too short for HS256 (RFC 7518 §3.2)`, {
        expected: `${MIN_SECRET_BYTES} bytes or more`,
      });
      return undefined;
    }
    issuers.push(compileIssuer(shared.name, issuerSchema.parse({ secret: shared.value }), context, ['jwt']));
  }
  return issuers.includes(undefined) ? undefined : (issuers as IssuerSettings[][]).flat();
}

function writtenIssuers(
  written: readonly (string | IssuerOptions)[],
  context: OptionContext,
): IssuerSettings[] | undefined {
  const named = namedIssuers(context);
  const issuers = written.map((entry, index) => {
    const at = ['jwt', 'issuers', index];
    if (typeof entry !== 'string') return compileIssuer(entry.issuer?.[0] ?? `issuer ${index + 1}`, entry, context, at);
    if (entry === 'identity') {
      if (identityEnabled(context)) return [IDENTITY_ISSUER];
      context.problem('the identity service is not enabled', { at, expected: 'identity: { enabled: true }' });
      return undefined;
    }
    const options = Object.hasOwn(named, entry) ? named[entry] : undefined;
    if (options !== undefined) return compileIssuer(entry, options, context, at);
    const names = [...(identityEnabled(context) ? ['identity'] : []), ...Object.keys(named)];
    context.problem('there is no such issuer', {
      at,
      got: JSON.stringify(entry),
      expected:
        names.length > 0
          ? `one of ${names.join(', ')}`
          : 'a key of issuers, which is empty, or identity with identity: { enabled: true }',
    });
    return undefined;
  });
  return issuers.includes(undefined) ? undefined : (issuers as IssuerSettings[][]).flat();
}

/** `iss` of the gateway's own OAuth provider: its accounts are those of the identity service. */
function ownProvider({ document }: OptionContext): string | null {
  const identity = document?.['identity'] as
    | { enabled?: boolean; publicUrl?: string; oauth?: { enabled?: boolean; path?: string } }
    | undefined;
  if (identity?.enabled !== true || identity.oauth?.enabled !== true || identity.publicUrl === undefined) return null;
  return `${new URL(identity.publicUrl).origin}${identity.oauth.path ?? '/oauth'}`;
}

export function compileIntrospect(
  options: z.output<typeof introspectSchema>,
  sources: z.output<typeof from>,
  context: OptionContext,
): IntrospectSettings {
  const { url, clientId = '', clientSecret, clientAuth, token, audience } = options;
  const credentials: IntrospectEndpoint['credentials'] =
    token !== undefined
      ? { kind: 'bearer', token }
      : clientSecret !== undefined
        ? { kind: clientAuth, clientId, clientSecret }
        : { kind: 'none' };
  const endpoint: IntrospectEndpoint = { url, credentials };
  return {
    id: idOf(endpoint),
    ownIssuer: ownProvider(context),
    host: new URL(endpoint.url).host,
    endpoint: context.secret('introspect', JSON.stringify(endpoint)),
    sources: sourcesOf(sources, context),
    audiences: audience ?? null,
    claims: DEFAULT_CLAIM_NAMES,
    maxTokenBytes: options.maxTokenSize,
    timeoutMs: options.timeout,
    cacheMs: options.cacheTtl,
    cacheEntries: options.cacheEntries,
  };
}
