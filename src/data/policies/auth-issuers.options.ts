/**
 * An issuer of tokens as it is written, in `issuers` at the top or in `auth.jwt.issuers` of a route, and what it
 * compiles to. Where its keys come from is one of: its own metadata (the default), a JWK set by URL, from a file or in
 * place, a public key in PEM, or a shared secret.
 */
import { createPublicKey, hash } from 'node:crypto';
import * as z from 'zod';
import { messageOf } from '../../base/errors.ts';
import { duration, durationOrOff, secret } from '../../base/zod-units.ts';
import { DEFAULT_CLAIM_NAMES } from '../auth/identity.ts';
import { PUBLIC_KEY_ALGORITHMS } from '../auth/jwt/algorithms.ts';
import { KeySet } from '../auth/jwt/verify-key.ts';
import { claimName, claimPaths, oneOrMore, safeUrlProblem } from '../auth/schema-parts.options.ts';
import { ALGORITHMS, type Algorithm, type IssuerKeys, type IssuerSettings, type Jwk } from '../contract/auth.ts';
import type { KeyPath, OptionContext } from '../contract/options.ts';

/** RFC 7518 §3.2: a key of HS256 is as long as the hash. */
export const MIN_SECRET_BYTES = 32;

const jwkSet = z
  .looseObject({ keys: z.array(z.record(z.string(), z.unknown())).min(1).max(64).describe('The keys.') })
  .describe('A JWK set (RFC 7517 §5).');

const claimNames = z
  .strictObject({
    subject: oneOrMore(claimName(), 10).optional().describe('Who it is. Default: `sub`.'),
    roles: oneOrMore(claimName(), 10)
      .optional()
      .describe(
        'Its roles: a list, or one text that is one role, such as `realm_access.roles`. Default: `roles`, then `role`.',
      ),
    scopes: oneOrMore(claimName(), 10)
      .optional()
      .describe('Its scopes, a list or words in one text. Default: `scope`, then `scp`, then `scopes`.'),
    plan: oneOrMore(claimName(), 10)
      .optional()
      .describe('Its plan, for limits. Default: `plan`, then `tier`, then `rate_limit_tier`.'),
  })
  .prefault({})
  .describe(
    'Claims that hold what the gateway needs, in order of preference. A name with dots is looked for whole, then a dot goes one level down.',
  );

const issuerShape = {
  issuer: oneOrMore(z.string().min(1).max(1_000), 20)
    .optional()
    .describe(
      'Value of `iss`, compared exactly; several have the same keys, and then `jwks` says where those are. `{tid}` in it stands for the claim of that name, as providers with many tenants have it: `https://login.microsoftonline.com/{tid}/v2.0`. May be absent only with `secret`: then it takes tokens of no other issuer.',
    ),
  tenants: z
    .union([z.literal('any'), oneOrMore(z.string().min(1).max(200), 1_000)])
    .optional()
    .describe(
      'Values of the claim in `issuer` that count. `any` takes tokens of every tenant of the provider, so of anybody who makes one there: allowed, but say so. Must be given with a claim in `issuer`.',
    ),
  audience: z
    .union([z.literal('any'), oneOrMore(z.string().min(1).max(1_000), 20)])
    .optional()
    .describe(
      'Values of `aud` of which a token must have one. `any` takes every token of the issuer, also those made for others: allowed, but say so. Must be given unless the issuer is a `secret`.',
    ),
  jwks: z
    .union([z.string().min(1).max(2_000), jwkSet])
    .optional()
    .describe(
      'Its keys: the URL of a JWK set, a file with one, or the set itself. Default: what the metadata of `issuer` names.',
    ),
  publicKey: z
    .string()
    .min(1)
    .optional()
    .describe('Its key instead: a public key or certificate in PEM, or a file with one.'),
  secret: secret()
    .optional()
    .describe('Its key instead: a secret of 32 bytes or more that it shares with the gateway (HS256).'),
  keyId: z
    .string()
    .min(1)
    .max(256)
    .optional()
    .describe('`kid` that tokens under `secret` or `publicKey` must have. Default: any.'),
  algorithms: z
    .array(z.enum(ALGORITHMS))
    .min(1)
    .optional()
    .describe('Signature algorithms that count. Default: HS256 with `secret`, all that have a public key without.'),
  types: z
    .array(z.string().min(1).max(100))
    .min(1)
    .prefault(['at+jwt', 'JWT', 'absent'])
    .describe(
      'Values of `typ` that count, in any case; `absent` for tokens without one. `[at+jwt]` takes RFC 9068 access tokens only.',
    ),
  leeway: duration({ max: 300_000 }).prefault('5s').describe('How far the clocks may differ.'),
  maxAge: durationOrOff({ min: 1_000 })
    .prefault('off')
    .describe('Greatest age of a token since `iat`, whatever its `exp` says.'),
  claims: claimNames,
  refreshInterval: duration({ min: 10_000 })
    .prefault('10m')
    .describe('How often published keys are fetched, in the background.'),
  maxStale: duration({ min: 60_000 })
    .prefault('1d')
    .describe('How long fetched keys count when the issuer stays out of reach.'),
  refreshCooldown: duration({ min: 1_000 })
    .prefault('30s')
    .describe('Least time between two fetches that tokens with unknown key ids cause.'),
  fetchTimeout: duration({ min: 100, max: 60_000 }).prefault('5s').describe('Longest time for one fetch of keys.'),
};

export const issuerSchema = z.strictObject(issuerShape).check(({ value, issues }) => {
  const complain = (path: string[], message: string, expected?: string): void => {
    const params = expected === undefined ? {} : { params: { expected } };
    issues.push({ code: 'custom', path, input: value, message, ...params });
  };
  const sources = (['jwks', 'publicKey', 'secret'] as const).filter((name) => value[name] !== undefined);
  if (sources.length > 1) complain([sources[1]!], `${sources[0]} says already where the keys come from`);
  const isSecret = value.secret !== undefined;
  if (isSecret && Buffer.byteLength(value.secret ?? '') < MIN_SECRET_BYTES) {
    complain(['secret'], 'too short for HS256 (RFC 7518 §3.2)', `${MIN_SECRET_BYTES} bytes or more`);
  }
  if (!isSecret && value.issuer === undefined) complain(['issuer'], 'an issuer needs its name, the value of iss');
  if (!isSecret && value.audience === undefined) {
    complain(['audience'], 'must say for whom tokens are made', 'the audience of this API, or any');
  }
  const [first, ...others] = value.issuer ?? [];
  const templates = (value.issuer ?? []).filter((name) => name.includes('{'));
  for (const name of templates) {
    if (templateOf(name) === null)
      complain(['issuer'], 'one claim in braces may stand in it', 'https://login.example/{tid}/v2.0');
  }
  if (templates.length > 0 && value.tenants === undefined)
    complain(['tenants'], 'must say which tenants count', 'their values of the claim, or any');
  if (templates.length === 0 && value.tenants !== undefined)
    complain(['tenants'], 'has no meaning without a claim in `issuer`', 'https://login.example/{tid}/v2.0');
  if (sources.length === 0 && first !== undefined && (others.length > 0 || templates.length > 0))
    complain(['jwks'], 'must say where the keys are that all of them have', 'the URL of a JWK set');
  else if (sources.length === 0 && first !== undefined) {
    const problem = safeUrlProblem(first);
    if (problem !== undefined)
      complain(['issuer'], `${problem}, so its metadata cannot be fetched`, 'a URL, or jwks, publicKey or secret');
  }
  if (value.keyId !== undefined && (value.jwks !== undefined || sources.length === 0)) {
    complain(['keyId'], 'a JWK set has its own key ids');
  }
  const mixed = value.algorithms?.some((name) => name.startsWith('HS') !== isSecret) === true;
  const bytes = Math.max(
    ...(value.algorithms ?? []).map((name) => (name === 'HS512' ? 64 : name === 'HS384' ? 48 : 0)),
  );
  if (isSecret && !mixed && Buffer.byteLength(value.secret ?? '') < bytes)
    complain(['secret'], 'too short for its algorithm (RFC 7518 §3.2)', `${bytes} bytes or more`);
  if (mixed)
    complain(
      ['algorithms'],
      isSecret ? 'a shared secret signs with HS256, HS384 and HS512 only' : 'HS256 and its kind need a shared secret',
    );
});

export type IssuerOptions = z.output<typeof issuerSchema>;

/** `https://login.example/{tid}/v2.0`; null for what has no claim in it, or more than one. */
function templateOf(name: string): { before: string; claim: string; after: string } | null {
  const [, before, claim, after] = /^([^{}]+)\{([A-Za-z_][\w-]*)\}([^{}]*)$/.exec(name) ?? [];
  return before === undefined || claim === undefined || after === undefined ? null : { before, claim, after };
}

/**
 * One for each of its names. Undefined when something was wrong, which then is reported. `at` leads to the issuer,
 * below the key that is compiled.
 */
export function compileIssuer(
  name: string,
  options: IssuerOptions,
  context: OptionContext,
  at: KeyPath,
): IssuerSettings[] | undefined {
  const { leeway, maxAge, audience, types, claims, tenants } = options;
  const algorithms =
    options.algorithms ?? (options.secret === undefined ? PUBLIC_KEY_ALGORITHMS : (['HS256'] as const));
  const keys = compileKeys(name, options, algorithms, context, at);
  if (keys === undefined) return undefined;
  const common = {
    name,
    audiences: audience === undefined || audience === 'any' ? null : audience,
    types: types.map(plainType),
    leewaySeconds: leeway / 1_000,
    maxAgeSeconds: maxAge / 1_000,
    algorithms,
    keys,
    claims: {
      subject: claims.subject === undefined ? DEFAULT_CLAIM_NAMES.subject : claimPaths(claims.subject),
      roles: claims.roles === undefined ? DEFAULT_CLAIM_NAMES.roles : claimPaths(claims.roles),
      scopes: claims.scopes === undefined ? DEFAULT_CLAIM_NAMES.scopes : claimPaths(claims.scopes),
      plan: claims.plan === undefined ? DEFAULT_CLAIM_NAMES.plan : claimPaths(claims.plan),
    },
  };
  return (options.issuer ?? [null]).map((issuer) => {
    const found = issuer === null ? null : templateOf(issuer);
    const template =
      found === null ? {} : { template: { ...found, tenants: tenants === 'any' ? null : (tenants ?? []) } };
    return { ...common, issuer, ...template };
  });
}

/** As jwt.ts gives the type of a token. */
function plainType(type: string): string {
  const lower = type.toLowerCase();
  if (lower === 'absent') return '';
  return lower.startsWith('application/') ? lower.slice('application/'.length) : lower;
}

function compileKeys(
  name: string,
  options: IssuerOptions,
  algorithms: readonly Algorithm[],
  context: OptionContext,
  at: KeyPath,
): IssuerKeys | undefined {
  const { jwks, publicKey, secret: shared, keyId } = options;
  if (shared !== undefined) {
    return { kind: 'secret', secret: context.secret(`issuer/${name}`, shared), kid: keyId ?? null };
  }
  if (publicKey !== undefined) {
    const pem = publicKey.includes('-----BEGIN')
      ? publicKey
      : context.readText(publicKey, { at: [...at, 'publicKey'] });
    if (pem === undefined) return undefined;
    try {
      const jwk = createPublicKey(pem).export({ format: 'jwk' }) as unknown as Jwk;
      return inlineKeys([keyId === undefined ? jwk : { ...jwk, kid: keyId }], algorithms, context, [
        ...at,
        'publicKey',
      ]);
    } catch (error) {
      context.problem(`not a public key in PEM: ${messageOf(error)}`, { at: [...at, 'publicKey'] });
      return undefined;
    }
  }
  if (typeof jwks === 'object') return inlineKeys(jwks.keys as unknown as Jwk[], algorithms, context, [...at, 'jwks']);
  if (typeof jwks === 'string' && !/^[a-z][a-z0-9+.-]*:\/\//i.test(jwks)) {
    const text = context.readText(jwks, { at: [...at, 'jwks'] });
    return text === undefined ? undefined : fileKeys(text, algorithms, context, [...at, 'jwks']);
  }
  const problem = jwks === undefined ? undefined : safeUrlProblem(jwks);
  if (problem !== undefined) {
    context.problem(problem, { at: [...at, 'jwks'], expected: 'an https URL, or a file' });
    return undefined;
  }
  const source = {
    url: jwks ?? null,
    discovery: jwks === undefined ? (options.issuer?.[0] ?? null) : null,
    refreshMs: options.refreshInterval,
    maxStaleMs: options.maxStale,
    cooldownMs: options.refreshCooldown,
    timeoutMs: options.fetchTimeout,
  };
  // Equal sources have equal ids, so that two routes with the same issuer cause one fetch.
  return { kind: 'published', id: hash('sha256', JSON.stringify(source), 'base64url').slice(0, 16), ...source };
}

function fileKeys(
  text: string,
  algorithms: readonly Algorithm[],
  context: OptionContext,
  at: KeyPath,
): IssuerKeys | undefined {
  let parsed: z.ZodSafeParseResult<z.output<typeof jwkSet>>;
  try {
    parsed = jwkSet.safeParse(JSON.parse(text));
  } catch {
    context.problem('the file is not JSON', { at });
    return undefined;
  }
  if (parsed.success) return inlineKeys(parsed.data.keys as unknown as Jwk[], algorithms, context, at);
  context.problem('the file is not a JWK set', { at, expected: '{ "keys": [...] }' });
  return undefined;
}

/**
 * Keys in the configuration are trusted, but every one must be usable: one that is silently left out locks people out.
 */
function inlineKeys(
  jwks: readonly Jwk[],
  algorithms: readonly Algorithm[],
  context: OptionContext,
  at: KeyPath,
): IssuerKeys | undefined {
  const { problems } = KeySet.ofJwks(jwks, algorithms, 'configuration');
  for (const problem of problems) context.problem(problem, { at });
  if (problems.length > 0) return undefined;
  // Only public members go into the snapshot; a private key that somebody pasted must not be dumped with it.
  const keys = jwks.map(({ kty, kid, alg, use, key_ops, crv, x, y, n, e }) =>
    Object.fromEntries(
      Object.entries({ kty, kid, alg, use, key_ops, crv, x, y, n, e }).filter((entry) => entry[1] !== undefined),
    ),
  );
  return { kind: 'inline', keys: keys as unknown as Jwk[] };
}
