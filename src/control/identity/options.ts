/**
 * The `identity` section of the configuration: one Zod schema gives the checker, the types and the reference page.
 * Durations become milliseconds, sizes bytes. What the environment sets (JWT_SECRET, REQUIRE_MFA, ...) is laid over
 * it by environment.ts.
 */
import * as z from 'zod';
import type { ErrorFormat } from '../../base/error-body.ts';
import { storeUrl } from '../../base/store-urls.ts';
import { duration, ratio, secret, size, webUrl } from '../../base/zod-units.ts';
import { limitSchema } from '../../data/contract/limit-schema.ts';
import { ENGLISH_MAIL } from './mail/mail-texts-en.ts';
import { oauthProviderOptions, outsideProviderOptions } from './oauth/options.ts';
import { language, pagesOptions, textsOf } from './pages/options.ts';

const count = (least: number, most: number): z.ZodNumber => z.number().int().min(least).max(most);
const scopeName = z
  .string()
  .regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,100}$/, 'a scope: 1 to 100 visible characters, no quotes');
const roleName = z.string().regex(/^[a-z][a-z0-9_-]{0,49}$/, 'a role name: lower-case letters, digits, "-" and "_"');

const registration = z.strictObject({
  open: z.boolean().default(true).describe('Whether anybody may register. False: accounts are made by administrators.'),
  verifyEmail: z
    .enum(['required', 'off'])
    .default('required')
    .describe(
      '`required`: the account exists once the link in the mail was used, and the answer does not tell whether the address was known. `off`: the account exists at once and a taken address is answered with 409, which tells that it is known.',
    ),
});

const passwords = z.strictObject({
  minLength: count(8, 128).default(10).describe('Least number of characters of a new password.'),
  memory: size({ min: 8 * 1024 ** 2, max: 1024 ** 3 })
    .prefault('19mb')
    .describe('Memory of one argon2id hash.'),
  passes: count(1, 20).default(2).describe('Passes of argon2id over its memory.'),
  parallel: count(1, 4)
    .default(2)
    .describe(
      'Hashes computed at once in this process, each in a thread that on Linux steps back behind all other work of the gateway.',
    ),
  maxQueued: count(0, 10_000).default(100).describe('Hashes that may wait; further logins are answered with 503.'),
  queueShare: ratio({ min: 0.01, max: 1 })
    .prefault(0.25)
    .describe('Share of `maxQueued` that one address (IPv6: its /64) may hold.'),
  queueTimeout: duration({ min: 100, max: 60_000 }).prefault('10s').describe('Longest wait of one hash; then 503.'),
  refuseCommon: z.boolean().default(true).describe('Whether passwords of the bundled list of common ones are refused.'),
  refuseNames: z
    .boolean()
    .default(true)
    .describe('Whether passwords that are little more than the name or address of the account are refused.'),
});

const lockout = z.strictObject({
  freeAttempts: count(1, 100)
    .default(5)
    .describe('Wrong passwords of one account from one address (IPv6: its /64) before the first delay there.'),
  accountAttempts: count(1, 100_000)
    .default(100)
    .describe(
      'Wrong passwords of one account from all addresses before unknown devices are delayed everywhere. Devices and addresses that it signed in from are not.',
    ),
  firstDelay: duration({ min: 100 }).prefault('1s').describe('First delay; each further wrong password doubles it.'),
  maxDelay: duration({ min: 1_000 }).prefault('15m').describe('Longest delay.'),
  forgetAfter: duration({ min: 60_000 })
    .prefault('1d')
    .describe('Quiet time after which wrong passwords are forgotten.'),
  addressAttempts: count(1, 100_000)
    .default(50)
    .describe('Wrong attempts of one address (IPv6: its /64) in a window; then 429.'),
  addressWindow: duration({ min: 1_000 }).prefault('10m').describe('The window of `addressAttempts`.'),
});

// What it gives can be read again: the section is parsed where it is written and where the service starts.
const perAddress = limitSchema.transform((limit) => {
  const { limit: calls, windowMs, burst } = limit('gcra');
  return { limit: calls, window: windowMs, burst };
});

const addressLimits = z.strictObject({
  calls: perAddress
    .prefault('600/1m')
    .describe(
      'Calls that need no account: signing in, refreshing, challenges, pages, the start of an OAuth sign-in. A fifth of them registers, confirms an address, sets a new password or makes the first administrator.',
    ),
  signUps: perAddress.prefault('60/1h').describe('Registrations and uses of the first administrator’s link.'),
  emails: perAddress.prefault('60/1h').describe('Emails asked for with an address alone, such as for a new password.'),
});

const tokens = z.strictObject({
  algorithm: z
    .enum(['ES256', 'EdDSA', 'RS256', 'HS256'])
    .optional()
    .describe('Signature of access tokens. Default ES256, or HS256 when JWT_SECRET is set.'),
  secret: secret(32).optional().describe('Key of HS256, at least 32 bytes (RFC 7518 §3.2). From JWT_SECRET.'),
  audience: z.string().min(1).default('gatehouse').describe('`aud` of access tokens.'),
  accessTtl: duration({ min: 10_000, max: 3_600_000 }).prefault('5m').describe('Life of an access token.'),
  maxMintTtl: duration({ min: 60_000 }).prefault('30d').describe('Longest life of a token minted by an administrator.'),
  rotateEvery: duration({ min: 3_600_000 }).prefault('30d').describe('How long a signing key signs.'),
  publishBefore: duration({ min: 60_000 }).prefault('1h').describe('How long a key is published before it signs.'),
});

const sessions = z.strictObject({
  idleTtl: duration({ min: 60_000 })
    .prefault('14d')
    .describe('Life of a refresh token: a session unused for so long ends.'),
  absoluteTtl: duration({ min: 60_000 }).prefault('90d').describe('Longest life of a session.'),
  reuseGrace: duration({ max: 60_000 })
    .prefault('10s')
    .describe(
      'A refresh token used twice within this time gives the same client the same next one, and is refused to any other; later the whole session ends.',
    ),
  maxPerUser: count(1, 1_000)
    .default(50)
    .describe('Open sessions of one account; the oldest ends when one more begins.'),
  refreshSecret: secret(32)
    .optional()
    .describe('Key under which refresh tokens are hashed. From JWT_REFRESH_SECRET. A new one ends all sessions.'),
});

const cookies = z.strictObject({
  sameSite: z
    .enum(['lax', 'strict'])
    .default('lax')
    .describe('`strict`: also a click on a link of another site comes without the session.'),
  trustedSites: z
    .array(z.string().regex(/^https?:\/\/[^/\s]+$/, 'an origin such as https://app.example.com'))
    .max(100)
    .default([])
    .describe(
      'Origins of other pages that may use the session, on hosts of the same site; they need `cors` with `credentials` too. Its own pages always may.',
    ),
});

const mfa = z.strictObject({
  required: z.boolean().default(false).describe('Every account needs a second factor. From REQUIRE_MFA.'),
  requiredRoles: z.array(roleName).default([]).describe('Roles whose accounts need a second factor.'),
  issuer: z.string().min(1).max(64).default('Gatehouse').describe('Name shown in authenticator apps.'),
  stepUpTtl: duration({ min: 60_000 })
    .prefault('10m')
    .describe('How long a second factor counts for sensitive changes.'),
  ticketTtl: duration({ min: 30_000, max: 900_000 })
    .prefault('5m')
    .describe('Time to give the second factor after the password.'),
});

const passkeys = z.strictObject({
  rpId: z.string().min(1).optional().describe('Domain of passkeys. Default: the host of `publicUrl`.'),
  rpName: z.string().min(1).default('Gatehouse').describe('Name shown by the authenticator.'),
  origins: z.array(z.url()).default([]).describe('Origins of pages that use passkeys. Default: that of `publicUrl`.'),
});

const mail = z.strictObject({
  from: z.string().min(3).default('Gatehouse <no-reply@localhost>').describe('Sender of mails.'),
  smtp: storeUrl(/^smtps?:\/\/\S+$/, 'must be smtp://USER:PASSWORD@HOST:PORT or smtps://')
    .optional()
    .describe('`smtp://user:password@host:587` or `smtps://...`. Without it mails become files.'),
  mailbox: z.string().min(1).optional().describe('Folder of mail files. Default: `mailbox` in the data folder.'),
  linkBase: webUrl()
    .optional()
    .describe(
      'A page of your own that links in mails and the first administrator’s link lead to, with `?action=verify-email#token=...` (or `reset-password`, `setup`). Default: the pages of the service, under `basePath` at `publicUrl`.',
    ),
  texts: z
    .record(language, textsOf(ENGLISH_MAIL))
    .default({})
    .describe(
      'Texts of emails by language of `pages.languages`, in place of the shipped ones; `{name}` stands for a value. Plain text, no HTML. Emails go out in the language that the account keeps.',
    ),
});

const place = z.strictObject({
  database: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Database file of places in MaxMind’s format (`.mmdb`, such as GeoLite2 City or Country), read at start and held in memory.',
    ),
  header: z
    .string()
    .regex(/^[A-Za-z0-9-]{1,100}$/, 'the name of a request field')
    .optional()
    .describe(
      'Request field in which a proxy of `gateway.trustProxy` names the country, such as `CF-IPCountry`. From anybody else it is not read.',
    ),
});

const role = z.strictObject({
  scopes: z.array(scopeName).max(200).describe('Scopes that the role carries.'),
  description: z.string().max(200).default('').describe('What the role is for.'),
});

const apiKeys = z.strictObject({
  maxPerUser: count(0, 1_000).default(25).describe('Live API keys of one account.'),
  maxTtl: duration({ min: 3_600_000 }).optional().describe('Longest life of a key. Default: keys may live for ever.'),
});

export const identityOptions = z.strictObject({
  enabled: z.boolean().default(false).describe('Runs the identity service as `builtin:identity`.'),
  service: z
    .string()
    .min(1)
    .max(100)
    .optional()
    .describe(
      'Name of a service of this configuration whose instances run `gatehouse identity` on the same database: requests go there. This process then answers none; it reads keys, revocations and API keys from the database. Default: it answers them itself.',
    ),
  publicUrl: webUrl()
    .optional()
    .describe(
      'Where callers reach the gateway; links in mails and redirects are built from it. Default: the first listener of this process, for trying it out.',
    ),
  issuer: z
    .string()
    .min(1)
    .optional()
    .describe('`iss` of tokens. Default: `publicUrl`, or `http://127.0.0.1:8000` without it.'),
  basePath: z
    .string()
    .regex(/^(\/[A-Za-z0-9._~-]+)+$/, 'a path such as /api/auth')
    .default('/api/auth')
    .describe('Path of the API.'),
  alsoAt: z
    .array(z.string().regex(/^(\/[A-Za-z0-9._~-]+)+$/, 'a path such as /api/v1/auth'))
    .max(5)
    .default([])
    .describe('Further paths of the same API. Limits of routes to `basePath` do not go for them: write them for each.'),
  store: storeUrl(
    /^(sqlite:.+|postgres(ql)?:\/\/\S+)$/,
    'must be sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE',
  )
    .optional()
    .describe('Database URL. Default: DATABASE_URL, then `stores.sql`, then SQLite in the data folder.'),
  masterKey: secret(32)
    .optional()
    .describe(
      'Seals signing keys and other secrets at rest. From GATEHOUSE_MASTER_KEY. Default: a file in the data folder.',
    ),
  errorFormat: z
    .enum(['problem', 'nested', 'flat'])
    .optional()
    .describe('Shape of error bodies where `Accept` does not decide. Default: `gateway.errorFormat`.'),
  firstAdmin: z
    .enum(['link', 'off'])
    .default('link')
    .describe('`link`: while no administrator exists, a one-time link is printed at start.'),
  roles: z
    .record(roleName, role)
    .default({})
    .describe(
      'Roles and their scopes, beside the built-in `user`, `admin` and `service`, which may be given more scopes here.',
    ),
  defaultRoles: z.array(roleName).default(['user']).describe('Roles of a newly registered account.'),
  defaultPlan: z
    .string()
    .min(1)
    .max(50)
    .optional()
    .describe(
      'Plan of a newly registered account. Default: `limits.defaultPlan`, then `standard`, or the first of `plans` where that is not one.',
    ),
  plans: z
    .array(z.string().min(1).max(50))
    .min(1)
    .optional()
    .describe(
      'Names of plans, smallest first; a child never has a larger plan than its parent. Default: those of `plans` of the document, or `standard`, `premium`, `enterprise`.',
    ),
  maxChildren: count(0, 100).default(10).describe('Child accounts of one parent. 0 turns them off.'),
  registration: registration.prefault({}).describe('How accounts come to be.'),
  passwords: passwords.prefault({}).describe('Hashing and rules of passwords.'),
  lockout: lockout.prefault({}).describe('What guessing costs.'),
  addressLimits: addressLimits
    .prefault({})
    .describe('What one address (IPv6: its /64) may ask for without an account; then 429.'),
  tokens: tokens.prefault({}).describe('Access tokens and their keys.'),
  sessions: sessions.prefault({}).describe('Sessions and refresh tokens.'),
  cookies: cookies
    .optional()
    .describe(
      'Sessions of browsers in HttpOnly cookies, by `POST basePath/browser/login`; routes then take the cookie beside `Authorization`. `Secure` when `publicUrl` is https. Absent: none.',
    ),
  mfa: mfa.prefault({}).describe('Second factors.'),
  passkeys: passkeys.prefault({}).describe('Passkeys (WebAuthn).'),
  pages: pagesOptions.prefault({}).describe('The pages of accounts and OAuth: name, logo, colours, languages, texts.'),
  mail: mail.prefault({}).describe('How mails leave.'),
  place: place.prefault({}).describe('Where sessions come from, shown in their list.'),
  apiKeys: apiKeys.prefault({}).describe('API keys of accounts.'),
  providers: z
    .record(
      z.string().regex(/^[a-z][a-z0-9-]{0,29}$/, 'a name of lower-case letters, digits and "-"'),
      outsideProviderOptions,
    )
    .default({})
    .describe('Outside OpenID providers that people may sign in with.'),
  returnTo: z
    .array(webUrl())
    .default([])
    .describe('Pages that a sign-in with an outside provider may return to. Others are refused.'),
  oauth: oauthProviderOptions.prefault({}).describe('Being an OAuth 2 and OpenID provider for others.'),
});

/** The section as it stands in the configuration. */
export type IdentitySection = z.output<typeof identityOptions>;
/** As environment.ts completes it. */
export type IdentityOptions = IdentitySection & {
  readonly publicUrl: string;
  readonly errorFormat: ErrorFormat;
  readonly plans: readonly string[];
  readonly defaultPlan: string;
};
export type IdentityInput = z.input<typeof identityOptions>;
