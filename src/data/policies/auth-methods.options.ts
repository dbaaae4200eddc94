/**
 * The ways to authenticate without a token as they are written in `auth`, one schema and one compile function each: API
 * keys, names with passwords, client certificates, an outside authorizer. Keys and passwords go into `Secrets`.
 */
import * as z from 'zod';
import { duration, durationOrOff, secret } from '../../base/zod-units.ts';
import { IDENTITY_HEADERS } from '../auth/identity-headers.ts';
import { MAX_CACHE_MS } from '../auth/jwt/token-cache.ts';
import { digestOfKey } from '../auth/methods/api-key.ts';
import { plainFingerprint } from '../auth/methods/certificate.ts';
import { parsePasswordFile } from '../auth/methods/password-file.ts';
import { headerName, oneOrMore, roleName, safeUrl, scopeName } from '../auth/schema-parts.options.ts';
import type { ApiKeySettings, BasicSettings, ExternalSettings, MtlsRule, MtlsSettings } from '../contract/auth.ts';
import { FRAMING_FIELDS } from '../contract/framing-fields.ts';
import type { OptionContext } from '../contract/options.ts';
import { environmentKeys, type WrittenKey } from './auth-environment.ts';
import { cacheEntries, cacheTtl, identityEnabled, idOf } from './auth-parts.options.ts';

// --- API keys ---------------------------------------------------------------------------------------------------

const apiKey = z.strictObject({
  key: secret(16).describe('The key itself, at least 16 characters. Only its digest is kept.'),
  subject: z.string().min(1).max(200).describe('Whose key it is.'),
  roles: oneOrMore(roleName()).optional().describe('Roles of who has it. Default: none.'),
  scopes: oneOrMore(scopeName()).optional().describe('Scopes of who has it. Default: none.'),
  plan: z.string().min(1).max(100).optional().describe('Plan, for limits. Default: none.'),
});

export const apiKeySchema = z
  .strictObject({
    header: headerName().prefault('X-API-Key').describe('Field that holds the key.'),
    query: z
      .string()
      .min(1)
      .max(100)
      .optional()
      .describe(
        'Query parameter that may hold the key too. Security: queries end up in logs and browser histories. Default: none.',
      ),
    keys: z
      .array(apiKey)
      .max(1_000)
      .optional()
      .describe('Keys beside API_KEY_n of the environment and those of the identity service.'),
    timeout: duration({ min: 50, max: 60_000 })
      .prefault('2s')
      .describe('Longest wait for the identity service; then 503.'),
    cacheTtl: cacheTtl('10s'),
    refusedCacheTtl: durationOrOff({ max: MAX_CACHE_MS })
      .prefault('5s')
      .describe('How long a bad key is known to be bad.'),
    cacheEntries: cacheEntries(10_000),
  })
  .describe(
    'API keys in `X-API-Key`: of the environment (`API_KEY_1="key:user:scope,scope:plan"`), of the identity service, or written here.',
  );

export function offersApiKeys(context: OptionContext): boolean {
  return identityEnabled(context) || environmentKeys(context.env).keys.length > 0;
}

export function compileApiKey(
  options: z.output<typeof apiKeySchema>,
  context: OptionContext,
): ApiKeySettings | undefined {
  // The identity service judges the environment's keys itself, because it knows whether their owner is disabled.
  const askIdentity = identityEnabled(context);
  const environment = askIdentity ? { keys: [], problems: [] } : environmentKeys(context.env);
  for (const problem of environment.problems) context.problem(problem, { at: ['apiKey'] });
  const written = (options.keys ?? []).map(
    ({ key, subject, roles = [], scopes = [], plan = null }, index): WrittenKey => ({
      id: `key-${index + 1}`,
      key,
      subject,
      roles,
      scopes,
      plan,
    }),
  );
  const keys = [...environment.keys, ...written];
  if (new Set(keys.map(({ key }) => key)).size < keys.length)
    context.problem('a key stands for two callers', { at: ['apiKey', 'keys'] });
  if (keys.length === 0 && !askIdentity) {
    context.problem('there is no API key and no source of keys', {
      at: ['apiKey'],
      expected: 'keys, API_KEY_1, or identity',
    });
    return undefined;
  }
  if (environment.problems.length > 0) return undefined;
  const stored = keys.map(({ key, ...rest }) => ({ digest: digestOfKey(key), ...rest }));
  return {
    header: options.header.toLowerCase(),
    query: options.query ?? null,
    keys: keys.length === 0 ? null : context.secret('api-keys', JSON.stringify(stored)),
    askIdentity,
    timeoutMs: options.timeout,
    cacheMs: options.cacheTtl,
    refusedCacheMs: options.refusedCacheTtl,
    cacheEntries: options.cacheEntries,
  };
}

// --- basic ------------------------------------------------------------------------------------------------------

export const basicSchema = z
  .strictObject({
    users: z
      .string()
      .min(1)
      .max(4_096)
      .describe(
        'File with one user a line, `name:hash roles=a,b scopes=c plan=d`; hashes are argon2id or scrypt (PHC).',
      ),
    cacheTtl: cacheTtl('30s'),
    cacheEntries: cacheEntries(1_000),
  })
  .describe('Name and password (RFC 7617) from a file, for small setups.');

export function compileBasic(
  { users, cacheTtl: cacheMs, cacheEntries: entries }: z.output<typeof basicSchema>,
  context: OptionContext,
): BasicSettings | undefined {
  const at = ['basic', 'users'];
  const text = context.readText(users, { at });
  if (text === undefined) return undefined;
  const { problems } = parsePasswordFile(text);
  for (const problem of problems) context.problem(problem, { at });
  return problems.length > 0 ? undefined : { users: context.secret('users', text), cacheMs, cacheEntries: entries };
}

// --- certificates -----------------------------------------------------------------------------------------------

const certificateRule = z.strictObject({
  subject: z
    .record(z.string().regex(/^[A-Za-z][A-Za-z0-9.]*$/, 'must be an attribute such as CN'), z.string().min(1))
    .optional()
    .describe('Attributes of its subject, such as `{ CN: billing, O: Example }`; all must agree.'),
  fingerprint: oneOrMore(z.string().regex(/^([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$/, 'must be a SHA-256 in hex'))
    .optional()
    .describe('SHA-256 of the certificate, of which one must agree.'),
  san: oneOrMore(
    z.string().regex(/^[A-Za-z ]+:\S+$/, 'must be a name such as DNS:billing.internal or URI:spiffe://example/billing'),
  )
    .optional()
    .describe('Alternative names of which the certificate must have one, such as `URI:spiffe://example/billing`.'),
  as: z
    .union([
      z.enum(['cn', 'subject', 'fingerprint']),
      z.strictObject({ name: z.string().min(1).max(200).describe('The name itself.') }),
    ])
    .prefault('cn')
    .describe('Who the caller then is: its common name, its whole subject, its fingerprint, or `{ name: ... }`.'),
  roles: oneOrMore(roleName()).optional().describe('Roles of the caller. Default: none.'),
  scopes: oneOrMore(scopeName()).optional().describe('Scopes of the caller. Default: none.'),
  plan: z.string().min(1).max(100).optional().describe('Plan, for limits. Default: none.'),
});

export const mtlsSchema = z
  .strictObject({
    certificates: z
      .array(certificateRule)
      .min(1)
      .max(1_000)
      .optional()
      .describe(
        'Which certificates may call and as whom; the first rule that agrees counts. Default: all that chain to `clientCa`, by their common name.',
      ),
  })
  .describe('Client certificates. The listener must ask for them (`tls.clientCertificate`).');

export function compileMtls(
  { certificates }: z.output<typeof mtlsSchema>,
  context: OptionContext,
): MtlsSettings | undefined {
  const listeners =
    (context.document?.['gateway'] as { readonly listeners?: readonly ListenerOptions[] } | undefined)?.listeners ?? [];
  const asks = listeners.some(({ tls }) => tls !== undefined && tls.clientCertificate !== 'off');
  if (context.document !== undefined && !asks) {
    context.problem('no listener asks for client certificates', {
      at: ['mtls'],
      expected: 'tls.clientCertificate on a listener',
    });
    return undefined;
  }
  const rules = certificates ?? [certificateRule.parse({})];
  return {
    rules: rules.map(
      (rule): MtlsRule => ({
        subject: rule.subject ?? {},
        fingerprints: (rule.fingerprint ?? []).map(plainFingerprint),
        alternativeNames: rule.san ?? [],
        identity: typeof rule.as === 'string' ? { from: rule.as } : { fixed: rule.as.name },
        roles: rule.roles ?? [],
        scopes: rule.scopes ?? [],
        plan: rule.plan ?? null,
      }),
    ),
  };
}

interface ListenerOptions {
  readonly tls?: { readonly clientCertificate?: 'off' | 'optional' | 'required' };
}

// --- external ---------------------------------------------------------------------------------------------------

export const externalSchema = z
  .strictObject({
    url: safeUrl().describe(
      'The authorizer: it gets a GET with `X-Forwarded-Method`, `-Proto`, `-Host`, `-Uri` and `-For`.',
    ),
    sendHeaders: oneOrMore(headerName(), 50)
      .prefault(['authorization', 'cookie', 'x-api-key'])
      .describe('Request fields that it sees.'),
    copyHeaders: oneOrMore(headerName(), 50)
      .optional()
      .describe('Fields of its answer that the service gets; copies that callers send are removed. Default: none.'),
    subject: headerName()
      .optional()
      .describe('Field of its answer that says who the caller is, such as `Remote-User`.'),
    roles: headerName()
      .optional()
      .describe('Field of its answer with the roles, separated by commas; a role may hold blanks.'),
    scopes: headerName().optional().describe('Field of its answer with the scopes, separated by blanks.'),
    passRefusal: z
      .boolean()
      .prefault(false)
      .describe(
        'Whether the caller gets its own refusal (a redirect to a login page, for instance) instead of the gateway’s 401 or 403.',
      ),
    timeout: duration({ min: 50, max: 60_000 }).prefault('2s').describe('Longest wait for an answer; then 503.'),
    cacheTtl: cacheTtl('off'),
    cacheEntries: cacheEntries(10_000),
  })
  .describe('An outside authorizer decides (forward authentication).');

export function compileExternal(
  options: z.output<typeof externalSchema>,
  context: OptionContext,
): ExternalSettings | undefined {
  const lower = (name: string | undefined): string | null => name?.toLowerCase() ?? null;
  const copyHeaders = (options.copyHeaders ?? []).map((name) => name.toLowerCase());
  const reserved = copyHeaders.find(
    (name) => (IDENTITY_HEADERS as readonly string[]).includes(name) || UNTOUCHABLE.has(name),
  );
  if (reserved !== undefined) {
    context.problem('the gateway writes this field itself', {
      at: ['external', 'copyHeaders'],
      got: JSON.stringify(reserved),
    });
    return undefined;
  }
  const { url, timeout: timeoutMs } = options;
  return {
    id: idOf({ url, timeoutMs }),
    host: new URL(url).host,
    endpoint: context.secret('external', url),
    sendHeaders: options.sendHeaders.map((name) => name.toLowerCase()),
    copyHeaders,
    subjectHeader: lower(options.subject),
    rolesHeader: lower(options.roles),
    scopesHeader: lower(options.scopes),
    passRefusal: options.passRefusal,
    timeoutMs,
    cacheMs: options.cacheTtl,
    cacheEntries: options.cacheEntries,
  };
}

/** Fields that no option may write: those of the framing, and the host. */
export const UNTOUCHABLE: ReadonlySet<string> = new Set([...FRAMING_FIELDS, 'host']);
