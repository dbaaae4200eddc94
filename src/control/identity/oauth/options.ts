/** Options of both sides of OAuth: signing in with outside providers, and being a provider for others. */
import * as z from 'zod';
import { duration, secret, webUrl } from '../../../base/zod-units.ts';

export const outsideProviderOptions = z.strictObject({
  issuer: webUrl().describe('Issuer of the provider; its discovery document is read from there.'),
  clientId: z.string().min(1).describe('Our id at the provider.'),
  clientSecret: secret()
    .optional()
    .describe('Our secret at the provider. Without it we are a public client with PKCE.'),
  scopes: z.array(z.string().min(1)).default(['openid', 'email', 'profile']).describe('Scopes we ask for.'),
  trustEmail: z
    .boolean()
    .default(true)
    .describe('Whether `email_verified` of this provider is believed when accounts are linked by address.'),
  allowInsecure: z.boolean().default(false).describe('Allows http for the provider. Only for tests on loopback.'),
});

/**
 * RFC 8252 §7.1: schemes of installed applications have a dot, so that none is a browser's own, such as `javascript:`.
 */
const APPLICATION_SCHEME = /^(https?|[a-z][a-z0-9-]*(\.[a-z0-9-]+)+)$/;
const applicationUri = z
  .url({
    protocol: APPLICATION_SCHEME,
    error: 'must be an http or https URL, or one such as com.example.app:/callback',
  })
  .refine((uri) => !uri.includes('#'), { error: 'must have no fragment (RFC 6749 §3.1.2)' });

export const oauthClient = z.strictObject({
  id: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,100}$/, 'letters, digits, ".", "_" and "-"')
    .describe('`client_id`.'),
  name: z.string().min(1).max(100).describe('Shown on the consent page.'),
  secret: secret(32).optional().describe('`client_secret`. Without it the application is public and must use PKCE.'),
  redirectUris: z.array(applicationUri).default([]).describe('Exact addresses to which codes are sent.'),
  postLogoutRedirectUris: z
    .array(applicationUri)
    .default([])
    .describe('Exact addresses to which a browser may be sent after a sign-out.'),
  grants: z
    .array(z.enum(['authorization_code', 'refresh_token', 'client_credentials', 'device_code']))
    .min(1)
    .default(['authorization_code', 'refresh_token'])
    .describe('What the application may ask for.'),
  scopes: z.array(z.string().min(1)).default(['openid']).describe('Scopes that it may be given.'),
  mayIntrospect: z
    .boolean()
    .default(false)
    .describe(
      'Whether it may introspect tokens of other applications, as a resource server or a gateway does. Needs a secret.',
    ),
});

export const oauthProviderOptions = z.strictObject({
  enabled: z.boolean().default(false).describe('Turns the provider on.'),
  path: z
    .string()
    .regex(/^(\/[A-Za-z0-9._~-]+)+$/, 'a path such as /oauth')
    .default('/oauth')
    .describe('Where it is mounted; `issuer` is `publicUrl` with this path.'),
  clients: z.array(oauthClient).max(1_000).default([]).describe('Applications that may use it.'),
  accessTtl: duration({ min: 60_000, max: 86_400_000 }).prefault('1h').describe('Life of the opaque access tokens.'),
  refreshTtl: duration({ min: 60_000 }).prefault('14d').describe('Life of refresh tokens.'),
});

export type OauthProviderOptions = z.output<typeof oauthProviderOptions>;
