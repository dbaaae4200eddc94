/**
 * The account API in words, for its OpenAPI document: every operation, who may call it, and the schema by which it
 * checks what it is sent. A test compares the list with the routes of the application.
 */
import type { Audience } from '../audience.ts';
import { describeApi, type Mapping, type OperationText } from '../openapi-document.ts';
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

type Line = readonly [summary: string, status?: number];

const ANYBODY: Readonly<Record<string, Line>> = {
  'POST /register': ['Registers an account', 201],
  'POST /verify-email': ['Confirms an address'],
  'POST /login': ['Signs in with a password'],
  'POST /login/mfa': ['Gives the second factor of a sign-in'],
  'POST /login/passkey': ['Signs in with a passkey'],
  'POST /passkeys/challenge': ['Makes the challenge that a passkey answers'],
  'POST /browser/login': ['Signs a browser in: tokens go into cookies'],
  'POST /browser/login/mfa': ['Gives the second factor of a sign-in of a browser'],
  'POST /browser/refresh': ['Renews the session of a browser'],
  'POST /browser/logout': ['Ends the session of a browser'],
  'GET /browser/session': ['Whether a browser is signed in, and as whom'],
  'POST /refresh': ['Exchanges a refresh token for the next tokens'],
  'POST /logout': ['Ends the session of an access or refresh token'],
  'POST /password/forgot': ['Sends an email by which a new password can be set', 202],
  'POST /password/reset': ['Sets a new password with the code of the email'],
  'POST /setup': ["Makes the first administrator with the one-time link's code", 201],
  'GET /jwks': ['Keys by which access tokens are verified'],
  'GET /outside': ['Outside providers that people may sign in with'],
  'GET /outside/:provider/start': ['Begins a sign-in with an outside provider', 302],
  'GET /outside/:provider/callback': ['Where an outside provider sends the browser back to', 302],
  'POST /outside/exchange': ['Exchanges the code of a finished outside sign-in for tokens'],
};

const ACCOUNT: Readonly<Record<string, Line>> = {
  'GET /me': ['The signed-in account'],
  'PATCH /me': ['Changes names and language of the account'],
  'DELETE /me': ['Deletes the account'],
  'POST /me/email': ['Asks for another address; the new one gets an email', 202],
  'GET /sessions': ['Open sessions'],
  'DELETE /sessions/:id': ['Ends a session'],
  'DELETE /sessions': ['Ends all other sessions'],
  'POST /password': ['Changes the password'],
  'POST /logout/all': ['Ends all sessions, and all grants of applications'],
  'GET /grants': ['Applications that may act for the account'],
  'DELETE /grants/:client': ['Ends what an application may do for the account'],
  'GET /keys': ['API keys of the account'],
  'POST /keys': ['Makes an API key', 201],
  'POST /keys/:id/rotate': ['Replaces an API key', 201],
  'DELETE /keys/:id': ['Ends an API key'],
  'GET /mfa': ['Second factors of the account'],
  'POST /mfa/totp': ['Begins to set up an authenticator app'],
  'POST /mfa/totp/confirm': ['Confirms the authenticator app by its first code'],
  'DELETE /mfa/totp': ['Removes the authenticator app'],
  'POST /mfa/recovery-codes': ['Makes new recovery codes'],
  'POST /mfa/passkeys/options': ['Makes what the browser needs to create a passkey'],
  'POST /mfa/passkeys': ['Adds a passkey', 201],
  'DELETE /mfa/passkeys/:id': ['Removes a passkey'],
  'POST /mfa/step-up': ['Proves again who is there, for sensitive changes'],
  'GET /children': ['Child accounts'],
  'POST /children': ['Makes a child account', 201],
  'GET /children/:id': ['One child account'],
  'PATCH /children/:id': ['Changes a child account and what it may do'],
  'DELETE /children/:id': ['Deletes a child account'],
  'POST /children/:id/password': ["Sets a child's password"],
  'GET /children/:id/sessions': ['Open sessions of a child'],
  'DELETE /children/:id/sessions': ['Ends all sessions of a child'],
  'DELETE /children/:id/sessions/:session': ['Ends a session of a child'],
  'POST /introspect': ['Says whether a token is good (RFC 7662)'],
  'POST /revoke': ['Revokes a token (RFC 7009)'],
  'POST /outside/:provider/link': ['Begins to link the account with an outside provider'],
  'GET /outside/links': ['Outside accounts that are linked'],
  'DELETE /outside/:provider/link': ['Removes the link to an outside provider'],
};

const ADMIN: Readonly<Record<string, Line>> = {
  'GET /admin/users': ['Accounts'],
  'POST /admin/users': ['Makes an account', 201],
  'GET /admin/users/:id': ['One account'],
  'PATCH /admin/users/:id': ['Changes status, plan, roles, name or language of an account'],
  'DELETE /admin/users/:id': ['Deletes an account and its children'],
  'POST /admin/users/:id/password': ['Sets the password of an account'],
  'DELETE /admin/users/:id/mfa': ['Removes the second factors of an account'],
  'GET /admin/users/:id/sessions': ['Open sessions of an account'],
  'DELETE /admin/users/:id/sessions': ['Ends all sessions of an account'],
  'DELETE /admin/users/:id/sessions/:session': ['Ends a session of an account'],
  'GET /admin/users/:id/keys': ['API keys of an account'],
  'POST /admin/users/:id/keys': ['Makes an API key for an account', 201],
  'POST /admin/keys/:key/rotate': ['Replaces an API key', 201],
  'DELETE /admin/keys/:key': ['Ends an API key'],
  'POST /admin/users/:id/impersonate': ['Opens a session as another account', 201],
  'GET /admin/audit': ['Entries of the audit log'],
  'GET /admin/audit/verify': ['Checks the chain of the audit log'],
  'GET /admin/roles': ['Roles and their scopes'],
  'PUT /admin/roles/:name': ['Makes or changes a role'],
  'DELETE /admin/roles/:name': ['Deletes a role'],
  'POST /tokens': ['Mints a token for a service', 201],
  'DELETE /tokens/:jti': ['Revokes a minted token'],
  'GET /admin/oauth/clients': ['OAuth applications'],
  'POST /admin/oauth/clients': ['Makes an OAuth application', 201],
  'GET /admin/oauth/clients/:id': ['One OAuth application'],
  'PATCH /admin/oauth/clients/:id': ['Changes an OAuth application'],
  'POST /admin/oauth/clients/:id/secret': ['Makes another secret for an OAuth application'],
  'DELETE /admin/oauth/clients/:id': ['Deletes an OAuth application'],
};

/** Keys as Hono has them: `METHOD /path/:name`. */
export const IDENTITY_OPERATIONS: Readonly<Record<string, OperationText>> = {
  ...texts(ANYBODY, 'public'),
  ...texts(ACCOUNT, 'signed-in'),
  ...texts(ADMIN, 'admin'),
};

export function identityDocument(version: string): Mapping {
  return describeApi('accounts', version, IDENTITY_OPERATIONS);
}

function texts(lines: Readonly<Record<string, Line>>, who: Audience): Record<string, OperationText> {
  return Object.fromEntries(
    Object.entries(lines).map(([key, [summary, status]]) => {
      const sent = BODIES[key];
      const given = sent === undefined ? {} : key.startsWith('GET ') ? { query: sent } : { body: sent };
      const form = FORMS.has(key) ? { form: true } : {};
      return [key, { summary, who, ...given, ...form, ...(status === undefined ? {} : { status }) }];
    }),
  );
}
