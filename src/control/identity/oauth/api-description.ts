/**
 * The endpoints of the OAuth provider in words, for API documents: forms, parameters, responses and errors by the RFC
 * that says them. oidc-provider checks what it is sent by itself; a test compares its discovery document and its
 * responses with what is said here (test/integration/identity/document-oauth.test.ts).
 */
import * as z from 'zod';
import { describeApi, type Mapping, type OperationText, type OtherResponse } from '../../openapi-document.ts';
import { keySet } from '../responses.ts';

const text = z.string();
const optional = text.optional();
const seconds = z.int().describe('Seconds.');
const texts = z.array(text);
const page = text.describe('A page.');

/** RFC 6749 §5.2: not in `errorFormat`, since clients of OAuth read this. */
const refusal = z
  .object({
    error: text.describe('Such as `invalid_grant`.'),
    error_description: optional,
    scope: optional.describe('With `insufficient_scope`.'),
    state: optional,
    iss: optional,
  })
  .meta({ id: 'OAuthError', description: 'RFC 6749 §5.2.' });
const refused = (meaning: string): OtherResponse => ({ meaning, response: refusal });
const shownOr = (meaning: string): OtherResponse => ({
  meaning: `${meaning}. A page for browsers, JSON for other clients`,
  response: refusal,
  alsoAs: ['text/html'],
});
const INVALID = refused(
  'RFC 6749 §5.2: `invalid_request`, `invalid_grant`, `unauthorized_client`, `unsupported_grant_type` or `invalid_scope`',
);
const CLIENT = {
  401: {
    ...refused('RFC 6749 §5.2: `invalid_client`'),
    responseFields: { 'WWW-Authenticate': 'RFC 9110 §11.6.1, where credentials were in `Authorization`.' },
  },
};
/** RFC 6749 §2.3.1 with a secret; §3.2.1 without one. */
const BY_CLIENT = { security: [{ oauthClient: [] }, {}] };
const credentials = {
  client_id: optional.describe('Needed where the application does not authenticate by `Authorization`.'),
  client_secret: optional.describe('Instead of `Authorization` (RFC 6749 §2.3.1).'),
};

/** RFC 6749 §4.1.1, RFC 7636 §4.3, OpenID Connect Core §3.1.2.1, RFC 8707 §2. */
const authorizationRequest = {
  client_id: text.describe('Id of the application (RFC 6749 §2.2).'),
  response_type: z.literal('code').describe('RFC 6749 §3.1.1.'),
  redirect_uri: text.describe('Exactly one of those that are registered (RFC 6749 §3.1.2).'),
  scope: optional.describe('Scopes with spaces between (RFC 6749 §3.3); with `openid` there is an ID token.'),
  state: optional.describe('Given back as it is (RFC 6749 §10.12).'),
  code_challenge: text.describe('SHA-256 of the verifier in base64url (RFC 7636 §4.2).'),
  code_challenge_method: z.literal('S256').describe('RFC 7636 §4.3.'),
  nonce: optional.describe('In the ID token (OpenID Connect Core §3.1.2.1).'),
  prompt: optional.describe('`none`, `login` or `consent` (OpenID Connect Core §3.1.2.1).'),
  max_age: z.coerce.number().int().min(0).optional().describe('Seconds since the sign-in, at most.'),
  login_hint: optional,
  ui_locales: optional,
  id_token_hint: optional,
  acr_values: optional,
  response_mode: z.enum(['query', 'fragment', 'form_post']).optional(),
  resource: optional.describe('RFC 8707 §2.'),
};

const token = z
  .object({
    access_token: text.describe('Opaque.'),
    token_type: z.enum(['Bearer', 'DPoP']).describe('`DPoP`: bound to a key of the application (RFC 9449 §5).'),
    expires_in: seconds,
    scope: optional,
    refresh_token: optional,
    id_token: optional.describe('OpenID Connect Core §3.1.3.3.'),
  })
  .meta({ id: 'OAuthToken', description: 'RFC 6749 §5.1.' });

/** RFC 8414 §2 and OpenID Connect Discovery §3. */
const metadata = z
  .object({
    issuer: text,
    authorization_endpoint: text,
    token_endpoint: text,
    jwks_uri: text,
    userinfo_endpoint: text,
    introspection_endpoint: text,
    revocation_endpoint: text,
    device_authorization_endpoint: text.describe('RFC 8628 §4.'),
    pushed_authorization_request_endpoint: text.describe('RFC 9126 §5.'),
    end_session_endpoint: text.describe('OpenID Connect RP-Initiated Logout §2.1.'),
    scopes_supported: texts,
    response_types_supported: texts,
    response_modes_supported: texts,
    grant_types_supported: texts,
    subject_types_supported: texts,
    claims_supported: texts,
    claim_types_supported: texts,
    code_challenge_methods_supported: texts,
    id_token_signing_alg_values_supported: texts,
    token_endpoint_auth_methods_supported: texts,
    token_endpoint_auth_signing_alg_values_supported: texts.optional(),
    dpop_signing_alg_values_supported: texts.describe('RFC 9449 §5.1.'),
    authorization_response_iss_parameter_supported: z.boolean().describe('RFC 9207 §3.'),
    claims_parameter_supported: z.boolean(),
    request_parameter_supported: z.boolean().optional(),
    request_uri_parameter_supported: z.boolean(),
  })
  .meta({ id: 'OAuthMetadata', description: 'RFC 8414 §2, OpenID Connect Discovery §3.' });

const userinfo = z
  .object({
    sub: text,
    email: text.nullable().optional().describe('With the scope `email`, as `email_verified`.'),
    email_verified: z.boolean().optional(),
    name: optional.describe('With the scope `profile`, as `preferred_username`.'),
    preferred_username: optional,
  })
  .meta({ id: 'UserInfo', description: 'OpenID Connect Core §5.3.2.' });

const introspection = z
  .object({
    active: z.boolean().describe('False: nothing else is said.'),
    client_id: optional,
    sub: optional.describe('The account; absent for client credentials.'),
    scope: optional,
    token_type: optional,
    exp: z.int().optional().describe('Seconds since 1970.'),
    iat: z.int().optional(),
    iss: optional,
    jti: optional,
    sid: optional,
    aud: z.union([text, texts]).optional(),
    cnf: z.object({ jkt: optional }).optional().describe('Of tokens that are bound to a key (RFC 9449 §6.2).'),
  })
  .meta({ id: 'OAuthIntrospection', description: 'RFC 7662 §2.2.' });

const REDIRECT = {
  Location: '`redirect_uri` with `code`, `state` and `iss`, or with `error` (RFC 6749 §4.1.2, RFC 9207).',
};
const POSTED: OtherResponse = {
  meaning: 'With `response_mode=form_post`: a page that posts to the application.',
  response: page,
  mediaType: 'text/html',
};
const INTERACTION = 'Where the browser goes on: the application, or a page to sign in or to consent.';
const BEARER_ERRORS = {
  401: {
    ...refused('RFC 6750 §3.1: `invalid_token`'),
    responseFields: { 'WWW-Authenticate': 'RFC 6750 §3.' },
  },
  403: {
    ...refused('RFC 6750 §3.1: `insufficient_scope`'),
    responseFields: { 'WWW-Authenticate': 'RFC 6750 §3.' },
  },
};
const GRANTS = [
  'authorization_code',
  'refresh_token',
  'client_credentials',
  'urn:ietf:params:oauth:grant-type:device_code',
] as const;
const DPOP = { DPoP: { meaning: 'Proof of a key that the tokens are bound to (RFC 9449 §4).' } };

/** Below `identity.oauth.path`. */
const OAUTH_OPERATIONS: Readonly<Record<string, OperationText>> = {
  'GET /.well-known/openid-configuration': {
    summary: 'What the provider can do, and where its endpoints are (OpenID Connect Discovery §4)',
    who: 'public',
    response: metadata,
  },
  'GET /.well-known/oauth-authorization-server': {
    summary: 'The same for clients of OAuth alone (RFC 8414 §3)',
    who: 'public',
    response: metadata,
  },
  'GET /jwks': {
    summary: 'Keys by which ID tokens are verified',
    who: 'public',
    response: keySet,
    mediaType: 'application/jwk-set+json',
  },
  'GET /auth': {
    summary: 'Asks a person to let an application act for the account (RFC 6749 §4.1.1)',
    description:
      'For browsers. PKCE (RFC 7636) is always needed. Of a pushed request (RFC 9126 §4): `request_uri` and `client_id` alone.',
    who: 'public',
    query: z
      .object({ ...authorizationRequest, request_uri: optional.describe('Of `POST /request`.') })
      .partial()
      .required({ client_id: true }),
    status: 303,
    responseFields: { Location: `${INTERACTION} ${REDIRECT.Location}` },
    also: {
      200: POSTED,
      400: shownOr('The application or its `redirect_uri` is not known, so no error is sent there (RFC 6749 §4.1.2.1)'),
    },
  },
  'GET /auth/:uid': {
    summary: 'Goes on after a person signed in or consented',
    who: 'public',
    status: 303,
    responseFields: { Location: `${INTERACTION} ${REDIRECT.Location}` },
    also: { 200: POSTED, 400: shownOr('The authorization request is over, or was begun in another browser') },
  },
  'POST /request': {
    summary: 'Pushes an authorization request (RFC 9126 §2)',
    who: 'public',
    ...BY_CLIENT,
    form: true,
    body: z.object({ ...authorizationRequest, ...credentials }).partial(),
    fields: DPOP,
    status: 201,
    response: z.object({ request_uri: text.describe('For `GET /auth`.'), expires_in: seconds }),
    also: { 400: refused('RFC 9126 §2.3'), ...CLIENT },
  },
  'POST /token': {
    summary: 'Exchanges a code, a refresh token, client credentials or a device code for tokens (RFC 6749 §3.2)',
    who: 'public',
    ...BY_CLIENT,
    form: true,
    body: z.object({
      grant_type: z.enum(GRANTS),
      ...credentials,
      code: optional.describe('Of `authorization_code` (RFC 6749 §4.1.3).'),
      redirect_uri: optional.describe('The one of the authorization request (RFC 6749 §4.1.3).'),
      code_verifier: optional.describe('RFC 7636 §4.5.'),
      refresh_token: optional.describe('RFC 6749 §6. Works once.'),
      device_code: optional.describe('RFC 8628 §3.4.'),
      scope: optional.describe('Fewer scopes than granted (RFC 6749 §6), or those of client credentials.'),
      resource: optional.describe('RFC 8707 §2.2.'),
    }),
    fields: DPOP,
    response: token,
    also: {
      400: {
        ...INVALID,
        meaning: `${INVALID.meaning}; of devices also \`authorization_pending\`, \`slow_down\`, \`access_denied\` and \`expired_token\` (RFC 8628 §3.5)`,
      },
      ...CLIENT,
    },
  },
  'POST /token/introspection': {
    summary: 'Says whether a token is good (RFC 7662)',
    description: 'For the application that it was given to, and for applications with `mayIntrospect`.',
    who: 'public',
    ...BY_CLIENT,
    form: true,
    body: z.object({ token: text, token_type_hint: optional, ...credentials }),
    response: introspection,
    also: { 400: refused('RFC 7662 §2.3: `invalid_request`'), ...CLIENT },
  },
  'POST /token/revocation': {
    summary: 'Revokes a token and all that came of its grant (RFC 7009)',
    description: 'A token that is unknown, or that was given to another application, is no error (RFC 7009 §2.2).',
    who: 'public',
    ...BY_CLIENT,
    form: true,
    body: z.object({ token: text, token_type_hint: optional, ...credentials }),
    response: null,
    also: { 400: refused('RFC 7009 §2.2.1: `invalid_request` or `unsupported_token_type`'), ...CLIENT },
  },
  'GET /me': {
    summary: 'Claims of the account behind an access token (OpenID Connect Core §5.3)',
    who: 'public',
    security: [{ oauthToken: [] }],
    query: z.object({ scope: optional }),
    fields: DPOP,
    response: userinfo,
    also: { 400: refused('RFC 6750 §3.1: `invalid_request`'), ...BEARER_ERRORS },
  },
  'POST /me': {
    summary: 'Claims of the account behind an access token (OpenID Connect Core §5.3)',
    who: 'public',
    security: [{ oauthToken: [] }, {}],
    form: true,
    bodyOptional: true,
    body: z.object({ access_token: optional.describe('Instead of `Authorization` (RFC 6750 §2.2).'), scope: optional }),
    fields: DPOP,
    response: userinfo,
    also: { 400: refused('RFC 6750 §3.1: `invalid_request`'), ...BEARER_ERRORS },
  },
  'POST /device/auth': {
    summary: 'Begins a sign-in on a device without a browser (RFC 8628 §3.1)',
    who: 'public',
    ...BY_CLIENT,
    form: true,
    body: z.object({ ...credentials, scope: optional, resource: optional }),
    response: z
      .object({
        device_code: text,
        user_code: text.describe('What the person types at `verification_uri`.'),
        verification_uri: text,
        verification_uri_complete: text,
        expires_in: seconds,
        interval: seconds.optional(),
      })
      .describe('RFC 8628 §3.2.'),
    also: { 400: INVALID, ...CLIENT },
  },
  'GET /device': {
    summary: 'The page where a person types the code of a device (RFC 8628 §3.3)',
    who: 'public',
    query: z.object({ user_code: optional }),
    mediaType: 'text/html',
    response: page,
  },
  'POST /device': {
    summary: 'What that page sends',
    who: 'public',
    form: true,
    body: z.object({
      xsrf: text.describe('Of the page.'),
      user_code: optional,
      confirm: optional,
      abort: optional,
    }),
    mediaType: 'text/html',
    response: page,
    also: {
      303: {
        meaning: 'To a page to sign in or to consent.',
        response: null,
        responseFields: { Location: INTERACTION },
      },
      400: { meaning: 'The code is wrong, or the page is old.', response: page, mediaType: 'text/html' },
    },
  },
  'GET /device/:uid': {
    summary: 'Goes on after a person signed in or consented for a device',
    who: 'public',
    mediaType: 'text/html',
    response: page,
    also: {
      303: {
        meaning: 'To a page to sign in or to consent.',
        response: null,
        responseFields: { Location: INTERACTION },
      },
      400: {
        meaning: 'The sign-in of the device is over, or was begun in another browser.',
        response: page,
        mediaType: 'text/html',
      },
    },
  },
  'GET /session/end': {
    summary: 'Asks a person whether to sign out (OpenID Connect RP-Initiated Logout §2)',
    who: 'public',
    query: z.object({
      id_token_hint: optional,
      client_id: optional,
      post_logout_redirect_uri: optional.describe('One of those that are registered.'),
      state: optional,
      logout_hint: optional,
      ui_locales: optional,
    }),
    mediaType: 'text/html',
    response: page,
    also: { 400: shownOr('The application, the hint or the address is not known') },
  },
  'POST /session/end/confirm': {
    summary: 'What that page sends',
    who: 'public',
    form: true,
    body: z.object({ xsrf: text.describe('Of the page.'), logout: optional }),
    status: 303,
    responseFields: { Location: '`post_logout_redirect_uri` with `state`, or a page that says it is done.' },
    also: { 400: shownOr('The page is old, or of another browser') },
  },
  'GET /session/end/success': {
    summary: 'The page after a sign-out without an address to return to',
    who: 'public',
    query: z.object({ client_id: optional }),
    mediaType: 'text/html',
    response: page,
    also: { 400: shownOr('The application is not known') },
  },
};

export function oauthDocument(version: string): Mapping {
  const schemes = {
    oauthClient: { type: 'http', scheme: 'basic', description: 'Id and secret of an application (RFC 6749 §2.3.1).' },
    oauthToken: { type: 'http', scheme: 'bearer', description: 'An access token of the OAuth provider: opaque.' },
  };
  return describeApi('oauth', version, OAUTH_OPERATIONS, { schemes });
}
