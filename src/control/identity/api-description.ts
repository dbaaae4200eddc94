/**
 * The account API in words, for its OpenAPI document: every operation, who may call it, the schema by which it checks
 * what it is sent, and that of its response (responses.ts). Tests compare the list with the routes of the application
 * and every response with what is said here.
 */
import * as z from 'zod';
import type { ErrorFormat } from '../../base/error-body.ts';
import { accessCookieName } from '../../data/contract/browser-session.ts';
import type { Audience } from '../audience.ts';
import { describeApi, type ErrorText, type Mapping, type OperationText } from '../openapi-document.ts';
import { accountBodies } from './accounts/routes.ts';
import { adminBodies } from './accounts/routes-admin.ts';
import { setupBodies } from './accounts/routes-setup.ts';
import { signInBodies } from './accounts/routes-sign-in.ts';
import { loginBody, secondFactorBody } from './accounts/sign-in-bodies.ts';
import { keyBodies } from './api-keys/routes.ts';
import { auditBodies } from './audit/routes.ts';
import { childBodies } from './child-accounts/routes.ts';
import { mfaBodies } from './mfa/routes.ts';
import { clientBodies } from './oauth/routes-clients.ts';
import * as shown from './responses.ts';
import { socialLoginBodies } from './social-login/routes.ts';
import { tokenBodies } from './tokens/routes.ts';

const BODIES: Readonly<Record<string, OperationText['body']>> = {
  ...accountBodies,
  ...adminBodies,
  ...setupBodies,
  ...signInBodies,
  ...keyBodies,
  ...auditBodies,
  ...childBodies,
  ...mfaBodies,
  ...clientBodies,
  ...socialLoginBodies,
  ...tokenBodies,
  'POST /browser/login': loginBody,
  'POST /browser/login/mfa': secondFactorBody,
};

/** Bodies that are forms (RFC 7009, RFC 7662); JSON is taken as well. */
const FORMS = new Set(['POST /introspect', 'POST /revoke']);
/** What is sent stands in the query. */
const inQuery = (key: string): boolean => key.startsWith('GET ') || key === 'DELETE /sessions';
/** A request without a body is right, too. */
const OPTIONAL = new Set(['POST /logout', 'POST /logout/all', 'POST /keys/:id/rotate', 'POST /admin/keys/:key/rotate']);

const SIGN_IN: Readonly<Record<number, string | ErrorText>> = {
  401: 'Wrong, or after too many attempts: one response for all of it',
  403: {
    meaning: 'The account may not be used now, or a second factor is needed (`MFA_REQUIRED`)',
    members: shown.factorNeeded,
  },
};
/** For changes that open another way in: the sign-in, or the second factor, must be recent. */
const PROOF: Readonly<Record<number, string | ErrorText>> = {
  403: {
    meaning: 'The account may not do this, or must prove again who is there (`MFA_REQUIRED`)',
    members: shown.proofNeeded,
  },
};
const TAKEN = { 409: 'The address or the user name is taken' };
const LAST_ADMIN = { 409: 'The last administrator must stay' };
const NO_CODE = { 400: 'The request is not valid, or the code is wrong, expired or was used before' };
const BROWSER: Partial<OperationText> = { responseFields: { 'Set-Cookie': 'The access and the refresh token.' } };
const FOREIGN = { 403: 'The request comes from a page of another site' };

/** RFC 6749 §4.1.2, RFC 9207; openid-client checks it. */
const fromProvider = z.object({
  code: z.string().optional(),
  state: z.string().optional(),
  iss: z.string().optional(),
  error: z.string().optional(),
  error_description: z.string().optional(),
});

type Line = readonly [summary: string, response: z.ZodType | null, more?: Partial<OperationText>];

const ANYBODY: Readonly<Record<string, Line>> = {
  'POST /register': [
    'Registers an account',
    shown.registered,
    {
      status: 201,
      also: {
        202: {
          meaning: 'An email with a code is on its way, whether or not the address is known (`verifyEmail: required`).',
          response: shown.sent,
        },
      },
      errors: { 403: 'Accounts are made by administrators here, or by a parent', ...TAKEN },
    },
  ],
  'POST /verify-email': [
    'Confirms an address',
    shown.verified,
    { errors: { ...NO_CODE, 403: 'This is not the password of the registration', ...TAKEN } },
  ],
  'POST /login': ['Signs in with a password', shown.tokens, { errors: SIGN_IN }],
  'POST /login/mfa': ['Gives the second factor of a sign-in', shown.tokens, { errors: SIGN_IN }],
  'POST /login/passkey': ['Signs in with a passkey', shown.tokens, { errors: SIGN_IN }],
  'POST /passkeys/challenge': [
    'Makes the challenge that a passkey answers',
    shown.passkeyRequest,
    { security: [{}, { bearer: [] }], errors: { 401: 'The access token is not valid' } },
  ],
  'POST /browser/login': [
    'Signs a browser in: tokens go into cookies',
    shown.browserSession,
    { ...BROWSER, errors: SIGN_IN },
  ],
  'POST /browser/login/mfa': [
    'Gives the second factor of a sign-in of a browser',
    shown.browserSession,
    { ...BROWSER, errors: SIGN_IN },
  ],
  'POST /browser/refresh': [
    'Renews the session of a browser',
    shown.browserSession,
    {
      ...BROWSER,
      errors: { 401: 'The refresh token is not valid', ...FOREIGN, 409: 'Another request is renewing it' },
    },
  ],
  'POST /browser/logout': ['Ends the session of a browser', shown.done, { errors: FOREIGN }],
  'GET /browser/session': [
    'Whether a browser is signed in, and as whom',
    shown.signedInBrowser,
    { security: [{ browserSession: [] }], errors: { 401: 'No account is signed in' } },
  ],
  'POST /refresh': [
    'Exchanges a refresh token for the next tokens',
    shown.tokens,
    {
      errors: {
        401: 'The refresh token is not valid',
        403: 'The account may not be used now',
        409: 'The refresh token was used a moment ago',
      },
    },
  ],
  'POST /logout': [
    'Ends the session of an access or refresh token',
    shown.done,
    { security: [{}, { bearer: [] }], errors: { 401: 'There is no token, or it is not valid' } },
  ],
  'POST /password/forgot': ['Sends an email by which a new password can be set', shown.sent, { status: 202 }],
  'POST /password/reset': [
    'Sets a new password with the code of the email',
    shown.passwordChanged,
    { errors: NO_CODE },
  ],
  'POST /setup': [
    "Makes the first administrator with the one-time link's code",
    shown.account,
    { status: 201, errors: { ...NO_CODE, ...TAKEN } },
  ],
  'GET /jwks': ['Keys by which access tokens are verified', shown.keySet],
  'GET /outside': ['Outside providers that people may sign in with', shown.providers],
  'GET /outside/:provider/start': [
    'Begins a sign-in with an outside provider',
    null,
    {
      status: 302,
      responseFields: { Location: 'The page of the provider.', 'Set-Cookie': 'Binds the sign-in to this browser.' },
      errors: { 404: 'There is no such provider' },
    },
  ],
  'GET /outside/:provider/callback': [
    'Where an outside provider sends the browser back to',
    null,
    {
      query: fromProvider,
      status: 302,
      responseFields: { Location: 'The page that the sign-in began at, with `#code=...` or `#error=...`.' },
      errors: { 403: 'The sign-in was begun elsewhere, or is over', 404: 'There is no such provider' },
    },
  ],
  'POST /outside/exchange': [
    'Exchanges the code of a finished outside sign-in for tokens',
    shown.tokens,
    { errors: { ...NO_CODE, ...SIGN_IN } },
  ],
};

const ACCOUNT: Readonly<Record<string, Line>> = {
  'GET /me': ['The signed-in account', shown.ownAccount],
  'PATCH /me': ['Changes names and language of the account', shown.account, { errors: TAKEN }],
  'DELETE /me': [
    'Deletes the account',
    shown.done,
    { errors: { ...PROOF, 409: 'The account has child accounts, or is the last administrator' } },
  ],
  'POST /me/email': [
    'Asks for another address; the new one gets an email',
    shown.verificationSent,
    { status: 202, errors: PROOF },
  ],
  'GET /sessions': ['Open sessions', shown.sessions],
  'DELETE /sessions/:id': ['Ends a session', shown.done],
  'DELETE /sessions': ['Ends all other sessions, with `?all=true` this one too', shown.ended],
  'POST /password': ['Changes the password', shown.passwordChanged, { errors: PROOF }],
  'POST /logout/all': ['Ends all sessions, and all grants of applications', shown.ended],
  'GET /grants': ['Applications that may act for the account', shown.grants],
  'DELETE /grants/:client': ['Ends what an application may do for the account', shown.done],
  'GET /keys': ['API keys of the account', shown.apiKeys],
  'POST /keys': [
    'Makes an API key',
    shown.newApiKey,
    { status: 201, errors: { ...PROOF, 409: 'There are too many keys' } },
  ],
  'POST /keys/:id/rotate': [
    'Replaces an API key',
    shown.newApiKey,
    { status: 201, errors: { ...PROOF, 409: 'There are too many keys' } },
  ],
  'DELETE /keys/:id': ['Ends an API key', shown.done],
  'GET /mfa': ['Second factors of the account', shown.factors],
  'POST /mfa/totp': [
    'Begins to set up an authenticator app',
    shown.authenticator,
    { status: 201, errors: { ...PROOF, 409: 'One is set up already' } },
  ],
  'POST /mfa/totp/confirm': [
    'Confirms the authenticator app by its first code',
    shown.tokensAndCodes,
    { errors: { ...NO_CODE, ...PROOF } },
  ],
  'DELETE /mfa/totp': [
    'Removes the authenticator app',
    shown.done,
    { errors: { ...PROOF, 404: 'There is none', 409: 'The account must keep a second factor' } },
  ],
  'POST /mfa/recovery-codes': [
    'Makes new recovery codes',
    shown.codes,
    { status: 201, errors: { ...PROOF, 409: 'There is no second factor' } },
  ],
  'POST /mfa/passkeys/options': [
    'Makes what the browser needs to create a passkey',
    shown.passkeyCreation,
    { errors: { ...PROOF, 409: 'There are too many passkeys' } },
  ],
  'POST /mfa/passkeys': [
    'Adds a passkey',
    shown.newPasskey,
    { status: 201, errors: { ...NO_CODE, ...PROOF, 409: 'The passkey is registered already' } },
  ],
  'DELETE /mfa/passkeys/:id': [
    'Removes a passkey',
    shown.done,
    { errors: { ...PROOF, 409: 'The account must keep a second factor' } },
  ],
  'POST /mfa/step-up': [
    'Proves again who is there, for sensitive changes',
    shown.tokens,
    { errors: { 401: 'No account is signed in, or the proof is wrong' } },
  ],
  'GET /children': ['Child accounts', shown.children],
  'POST /children': [
    'Makes a child account',
    shown.child,
    { status: 201, errors: { ...PROOF, 409: 'The user name is taken, or there are too many child accounts' } },
  ],
  'GET /children/:id': ['One child account', shown.child],
  'PATCH /children/:id': ['Changes a child account and what it may do', shown.child],
  'DELETE /children/:id': ['Deletes a child account', shown.done],
  'POST /children/:id/password': ["Sets a child's password", shown.done, { errors: PROOF }],
  'GET /children/:id/sessions': ['Open sessions of a child', shown.sessions],
  'DELETE /children/:id/sessions': ['Ends all sessions of a child', shown.ended],
  'DELETE /children/:id/sessions/:session': ['Ends a session of a child', shown.done],
  'POST /introspect': [
    'Says whether a token is good (RFC 7662)',
    shown.introspection,
    {
      description:
        'For services: an API key or token with the scope `identity:introspect`, or the very token that is asked about.',
      security: [{ bearer: [] }, { serviceKey: [] }],
    },
  ],
  'POST /revoke': ['Revokes a token (RFC 7009)', shown.done],
  'POST /outside/:provider/link': [
    'Begins to link the account with an outside provider',
    shown.linkBegun,
    { errors: PROOF },
  ],
  'GET /outside/links': ['Outside accounts that are linked', shown.links],
  'DELETE /outside/:provider/link': [
    'Removes the link to an outside provider',
    shown.done,
    { errors: { ...PROOF, 409: 'It is the only way into the account' } },
  ],
};

const ADMIN: Readonly<Record<string, Line>> = {
  'GET /admin/users': ['Accounts', shown.accounts],
  'POST /admin/users': ['Makes an account', shown.accountWithRoles, { status: 201, errors: { ...PROOF, ...TAKEN } }],
  'GET /admin/users/:id': ['One account', shown.accountOfAdmin],
  'PATCH /admin/users/:id': [
    'Changes status, plan, roles, name or language of an account',
    shown.accountWithRoles,
    { errors: { ...PROOF, ...LAST_ADMIN } },
  ],
  'DELETE /admin/users/:id': [
    'Deletes an account and its children',
    shown.done,
    { errors: { ...PROOF, ...LAST_ADMIN } },
  ],
  'POST /admin/users/:id/password': ['Sets the password of an account', shown.done, { errors: PROOF }],
  'DELETE /admin/users/:id/mfa': ['Removes the second factors of an account', shown.done, { errors: PROOF }],
  'GET /admin/users/:id/sessions': ['Open sessions of an account', shown.sessions],
  'DELETE /admin/users/:id/sessions': ['Ends all sessions of an account', shown.ended, { errors: PROOF }],
  'DELETE /admin/users/:id/sessions/:session': ['Ends a session of an account', shown.ended, { errors: PROOF }],
  'GET /admin/users/:id/keys': ['API keys of an account', shown.apiKeys],
  'POST /admin/users/:id/keys': [
    'Makes an API key for an account',
    shown.newApiKey,
    { status: 201, errors: { ...PROOF, 409: 'The account is disabled, or there are too many keys' } },
  ],
  'POST /admin/keys/:key/rotate': [
    'Replaces an API key',
    shown.newApiKey,
    { status: 201, errors: { ...PROOF, 409: 'There are too many keys' } },
  ],
  'DELETE /admin/keys/:key': ['Ends an API key', shown.done, { errors: PROOF }],
  'POST /admin/users/:id/impersonate': [
    'Opens a session as another account',
    shown.tokens,
    { status: 201, errors: PROOF },
  ],
  'GET /admin/audit': ['Entries of the audit log', shown.auditEntries],
  'GET /admin/audit/verify': ['Checks the chain of the audit log', shown.auditVerdict],
  'GET /admin/roles': ['Roles and their scopes', shown.roles],
  'PUT /admin/roles/:name': [
    'Makes or changes a role',
    shown.role,
    { errors: { ...PROOF, 409: 'Built-in and configured roles are changed in the configuration' } },
  ],
  'DELETE /admin/roles/:name': ['Deletes a role', shown.done, { errors: PROOF }],
  'POST /tokens': ['Mints a token for a service', shown.mintedToken, { status: 201, errors: PROOF }],
  'DELETE /tokens/:jti': ['Revokes a minted token', shown.done],
  'GET /admin/oauth/clients': ['OAuth applications', shown.applications],
  'POST /admin/oauth/clients': [
    'Makes an OAuth application',
    shown.newApplication,
    { status: 201, errors: { ...PROOF, 409: 'The id is taken, or there are too many applications' } },
  ],
  'GET /admin/oauth/clients/:id': ['One OAuth application', shown.application],
  'PATCH /admin/oauth/clients/:id': [
    'Changes an OAuth application',
    shown.application,
    { errors: { ...PROOF, 409: 'The application stands in the configuration' } },
  ],
  'POST /admin/oauth/clients/:id/secret': [
    'Makes another secret for an OAuth application',
    shown.applicationSecret,
    { errors: { ...PROOF, 409: 'The application is public, or stands in the configuration' } },
  ],
  'DELETE /admin/oauth/clients/:id': [
    'Deletes an OAuth application',
    shown.done,
    { errors: { ...PROOF, 409: 'The application stands in the configuration' } },
  ],
};

/** Keys as Hono has them: `METHOD /path/:name`. */
export const IDENTITY_OPERATIONS: Readonly<Record<string, OperationText>> = {
  ...texts(ANYBODY, 'public'),
  ...texts(ACCOUNT, 'signed-in'),
  ...texts(ADMIN, 'admin'),
};

/** What a configuration decides about the API. */
export interface ApiSettings {
  readonly errorFormat: ErrorFormat;
  /** Sessions of browsers are in cookies. */
  readonly cookies: boolean;
  readonly oauth: boolean;
  readonly publicUrl: string;
}

/** Without settings: everything that there can be. */
export function identityDocument(version: string, settings?: ApiSettings): Mapping {
  const { cookies = true, oauth = true, errorFormat: format = 'problem' } = settings ?? {};
  const operations = Object.entries(IDENTITY_OPERATIONS).filter(
    ([key]) => (cookies || !key.includes(' /browser/')) && (oauth || !/ \/(grants|admin\/oauth\/)/.test(key)),
  );
  const cookie = accessCookieName(settings?.publicUrl ?? 'https://');
  const schemes = {
    serviceKey: { type: 'apiKey', in: 'header', name: 'X-Api-Key', description: 'With `identity:introspect`.' },
    browserSession: { type: 'apiKey', in: 'cookie', name: cookie },
  };
  return describeApi('accounts', version, Object.fromEntries(operations), { format, schemes });
}

function texts(lines: Readonly<Record<string, Line>>, who: Audience): Record<string, OperationText> {
  return Object.fromEntries(
    Object.entries(lines).map(([key, [summary, response, more = {}]]) => {
      const sent = BODIES[key];
      const given = sent === undefined ? {} : inQuery(key) ? { query: sent } : { body: sent };
      const form = FORMS.has(key) ? { form: 'json' as const } : {};
      const optional = OPTIONAL.has(key) ? { bodyOptional: true } : {};
      const errors = { ...usualErrors(key, sent !== undefined, who), ...more.errors };
      const text: OperationText = { summary, who, response, ...given, ...form, ...optional, ...more, errors };
      return [key, text];
    }),
  );
}

/** What an operation may refuse by its kind; those that every route adds (429, 503) are the route's to say. */
function usualErrors(key: string, isSentSomething: boolean, who: Audience): OperationText['errors'] {
  const hasBody = isSentSomething && !inQuery(key);
  return {
    ...(isSentSomething ? { 400: 'The request is not valid' } : {}),
    ...(who === 'public' ? {} : { 401: 'No account is signed in, or its token is not valid' }),
    ...(who === 'public' ? {} : { 403: 'The account may not do this' }),
    ...(key.includes('/:') ? { 404: 'There is no such thing' } : {}),
    ...(hasBody ? { 413: 'The body is larger than 64 KiB', 415: 'The body is not JSON' } : {}),
  };
}
