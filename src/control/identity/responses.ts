/**
 * What the account API responds with. One schema each: it types the function that makes the response, is what API
 * documents say of it, and real responses are compared with it (test/integration/identity/document.test.ts). Schemas
 * with an id are components of the documents.
 */
import * as z from 'zod';
import { childRules } from './child-accounts/rules-schema.ts';
import { oauthClient } from './oauth/options.ts';

const text = z.string();
const time = z.iso.datetime();
const seconds = z.int().describe('Seconds.');
const texts = z.array(text);

export const done = z.object({ success: z.literal(true) }).meta({ id: 'Done' });
/** How many sessions. */
export const ended = z.object({ ended: z.int().describe('Sessions.') }).meta({ id: 'Ended' });
export const sent = z.object({ status: text, message: text });
export const verificationSent = z.object({ status: z.literal('verification_sent') });

export const account = z
  .object({
    id: text,
    kind: z.enum(['user', 'child', 'service']),
    email: text.nullable(),
    emailVerified: z.boolean(),
    username: text.nullable(),
    displayName: text.nullable(),
    plan: text,
    birthDate: z.string().nullable().describe('Such as 2014-05-31.'),
    parentId: text.nullable().describe('Of a child account.'),
    status: z.enum(['active', 'disabled']),
    language: text.nullable().describe('Of its emails.'),
    createdAt: time,
    lastLoginAt: time.nullable(),
  })
  .meta({ id: 'Account' });
export type ShownAccount = z.output<typeof account>;

const factor = z.enum(['totp', 'passkey', 'recovery']);
const access = { roles: texts, scopes: texts };

export const ownAccount = account
  .extend({ ...access, factors: z.array(factor).describe('Second factors that are set up.'), sessionId: text })
  .meta({ id: 'OwnAccount' });
export const accountWithRoles = account.extend({ roles: texts }).meta({ id: 'AccountWithRoles' });
export const accountOfAdmin = account
  .extend({
    disabledReason: text.nullable(),
    ...access,
    languages: texts.describe('In which its emails can be.'),
  })
  .meta({ id: 'AccountForAdministrators' });
export const accounts = z.object({
  users: z.array(account),
  next: text.nullable().describe('For `after` of the next page; null: this is the last.'),
});
export const child = account.extend({ rules: childRules }).meta({ id: 'ChildAccount' });
export type ShownChild = z.output<typeof child>;
export const children = z.object({ children: z.array(child) });

export const session = z
  .object({
    id: text,
    current: z.boolean().describe('The one of this request.'),
    device: text.describe('`User-Agent` of the sign-in.'),
    address: text,
    place: text.nullable(),
    createdAt: time,
    lastSeenAt: time,
    expiresAt: time,
    methods: texts.describe('How the sign-in was proven (RFC 8176).'),
    impersonated: z.boolean(),
  })
  .meta({ id: 'Session' });
export type ShownSession = z.output<typeof session>;
export const sessions = z.object({ sessions: z.array(session) });

export const tokens = z
  .object({
    accessToken: text,
    refreshToken: text.optional().describe('Absent where the session cannot be renewed by this response.'),
    tokenType: z.literal('Bearer'),
    expiresIn: seconds,
    refreshExpiresIn: seconds.optional(),
    scope: text.describe('Scopes with spaces between.'),
    sessionId: text,
    mfaEnrolmentRequired: z
      .literal(true)
      .optional()
      .describe('The session may only set up a second factor before anything else.'),
  })
  .meta({ id: 'Tokens' });
export type TokenAnswer = Readonly<z.output<typeof tokens>>;

export const registered = tokens.extend({ user: account });
export const verified = z.object({ status: z.literal('verified'), user: account });
export const passwordChanged = z.object({
  success: z.literal(true),
  passkeysLeft: z.int().describe('Ways into the account that a new password does not close.'),
  linksLeft: z.int(),
});

export const browserSession = z
  .object({
    csrfToken: text.describe('For the field `X-CSRF-Token` of requests that change something.'),
    expiresIn: seconds,
    scope: text,
    sessionId: text,
    mfaEnrolmentRequired: z.literal(true).optional(),
  })
  .meta({ id: 'BrowserSession' });
export const signedInBrowser = z.object({
  user: z.object({ id: text, username: text.nullable(), displayName: text.nullable() }),
  scopes: texts,
  csrfToken: text,
});

export const apiKey = z
  .object({
    id: text,
    name: text,
    owner: text.describe('Id of an account.'),
    ...access,
    plan: text.nullable(),
    addresses: texts.describe('From which it may be used; empty: from all.'),
    createdAt: time,
    expiresAt: time.nullable(),
    lastUsedAt: time.nullable(),
    revokedAt: time.nullable(),
  })
  .meta({ id: 'ApiKey' });
export type ShownKey = z.output<typeof apiKey>;
export const apiKeys = z.object({ keys: z.array(apiKey) });
export const newApiKey = apiKey.extend({ key: text.describe('The key itself, only here.') }).meta({ id: 'NewApiKey' });

export const factors = z.object({
  factors: z.array(factor),
  required: z.boolean().describe('The account must have one.'),
  passkeys: z.array(z.object({ id: text, name: text, createdAt: time, lastUsedAt: time.nullable() })),
  recoveryCodesLeft: z.int(),
});
export const authenticator = z.object({ secret: text, uri: text.describe('For a QR code: `otpauth://...`') });
const recoveryCodes = texts.describe('Each works once; only here.');
export const codes = z.object({ recoveryCodes });
export const tokensAndCodes = tokens.extend({ recoveryCodes });
export const newPasskey = tokens.extend({
  id: text,
  recoveryCodes: recoveryCodes.optional().describe('With the first second factor.'),
});

const credentialDescriptor = z.object({
  id: text,
  type: z.literal('public-key'),
  transports: texts.optional(),
});
const extensions = z.record(text, z.unknown()).optional();
/** Web Authentication Level 3 §5.1.8: `PublicKeyCredentialCreationOptionsJSON`. */
export const passkeyCreation = z
  .object({
    rp: z.object({ id: text.optional(), name: text }),
    user: z.object({ id: text, name: text, displayName: text }),
    challenge: text,
    pubKeyCredParams: z.array(z.object({ type: z.literal('public-key'), alg: z.int() })),
    timeout: z.int().optional().describe('Milliseconds.'),
    excludeCredentials: z.array(credentialDescriptor).optional(),
    authenticatorSelection: z
      .object({
        authenticatorAttachment: text.optional(),
        residentKey: text.optional(),
        requireResidentKey: z.boolean().optional(),
        userVerification: text.optional(),
      })
      .optional(),
    hints: texts.optional(),
    attestation: text.optional(),
    attestationFormats: texts.optional(),
    extensions,
  })
  .describe('For `PublicKeyCredential.parseCreationOptionsFromJSON()` (Web Authentication Level 3).');
/** Web Authentication Level 3 §5.1.9: `PublicKeyCredentialRequestOptionsJSON`. */
export const passkeyRequest = z
  .object({
    challenge: text,
    timeout: z.int().optional().describe('Milliseconds.'),
    rpId: text.optional(),
    allowCredentials: z.array(credentialDescriptor).optional(),
    userVerification: text.optional(),
    hints: texts.optional(),
    extensions,
  })
  .describe('For `PublicKeyCredential.parseRequestOptionsFromJSON()` (Web Authentication Level 3).');

export const grants = z.object({
  grants: z.array(
    z.object({
      clientId: text,
      name: text.describe('Of the application; its id when it is there no more.'),
      scopes: texts,
      grantedAt: time,
      expiresAt: time.nullable(),
    }),
  ),
});

const client = oauthClient.omit({ secret: true }).extend({
  public: z.boolean().describe('It has no secret.'),
  configured: z.boolean().describe('It stands in the configuration and is changed there.'),
  createdBy: text.optional().describe('Id of an account; absent where it is configured.'),
  createdAt: time.optional(),
  updatedAt: time.optional(),
});
export const application = client.meta({ id: 'OAuthApplication' });
export type ShownApplication = z.output<typeof application>;
export const applications = z.object({ clients: z.array(application) });
export const newApplication = client.extend({ secret: text.optional().describe('Only here; none of a public one.') });
export const applicationSecret = z.object({ id: text, secret: text.describe('Only here.') });

export const providers = z.object({ providers: texts });
export const linkBegun = z.object({ location: text.describe('Where the page sends the browser.') });
export const links = z.object({
  links: z.array(z.object({ provider: text, email: text.nullable(), createdAt: time })),
});

/** RFC 7517 §4 and §5, RFC 7518 §6. */
export const keySet = z
  .object({
    keys: z.array(
      z.object({
        kty: text,
        kid: text.optional(),
        alg: text.optional(),
        use: text.optional(),
        crv: text.optional(),
        x: text.optional(),
        y: text.optional(),
        n: text.optional(),
        e: text.optional(),
      }),
    ),
  })
  .meta({ id: 'KeySet', description: 'A JSON Web Key Set (RFC 7517).' });

/** RFC 7662 §2.2, with the claims of our own tokens. */
export const introspection = z
  .object({
    active: z.boolean().describe('False: nothing else is said.'),
    token_type: text.optional(),
    scope: text.optional(),
    sub: text.optional(),
    aud: z.union([text, texts]).optional(),
    iss: text.optional(),
    exp: z.int().optional().describe('Seconds since 1970.'),
    iat: z.int().optional(),
    jti: text.optional(),
    sid: text.optional().describe('Its session.'),
    roles: texts.optional(),
    plan: text.optional(),
    mfa_verified: z.boolean().optional(),
    amr: texts.optional(),
    auth_time: z.int().optional(),
    par: text.optional().describe('The parent of a child account.'),
    age_band: text.optional(),
    content_rating: z.int().optional(),
    blocked_topics: texts.optional(),
    quotas: z.record(text, z.int()).optional(),
    csrf: text.optional().describe('Of tokens in cookies: digest of the CSRF token.'),
    act: z.object({ sub: text }).optional().describe('Who really acts (RFC 8693 §4.1).'),
  })
  .meta({ id: 'Introspection' });

export const mintedToken = z.object({
  accessToken: text,
  tokenType: z.literal('Bearer'),
  expiresIn: seconds,
  jti: text.describe('By which it can be revoked.'),
  subject: text,
});

const auditEntry = z
  .object({
    seq: z.int(),
    at: time,
    actor: text,
    action: text,
    target: text,
    address: text,
    requestId: text,
    detail: z.record(text, z.unknown()).describe('By the action.'),
  })
  .meta({ id: 'AuditEntry' });
export const auditEntries = z.object({
  entries: z.array(auditEntry),
  next: z.int().nullable().describe('For `before` of the next page; null: this is the last.'),
});
export const auditHead = z.object({ seq: z.int(), mac: text });
export const auditVerdict = z.object({
  entries: z.int().describe('Entries that were checked.'),
  broken: z.object({ seq: z.int(), why: text }).nullable(),
  head: auditHead,
});
export const roles = z.object({ roles: z.array(z.object({ name: text, scopes: texts })) });
export const role = z.object({ name: text, scopes: texts, description: text });

/** What errors of a sign-in and of changes that need a fresh proof say beyond others (code `MFA_REQUIRED`). */
export const factorNeeded = z.object({
  mfaTicket: text.optional().describe('With `MFA_REQUIRED`: for `POST /login/mfa`.'),
  methods: z.array(factor).optional().describe('With `MFA_REQUIRED`: second factors that the account has.'),
  expiresIn: seconds.optional(),
});
export const proofNeeded = z.object({
  stepUp: text.optional().describe('With `MFA_REQUIRED`: path of the operation that proves it again.'),
});
