/**
 * Applications made while the provider runs, and signing out of it: openid-client and a browser against real sockets.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as oidc from 'openid-client';
import type { Answer, Bench, Member } from './harness.ts';
import { Browser, served } from './oauth-scene.ts';

const CALLBACK = 'http://127.0.0.1:1/callback';
const SIGNED_OUT = 'http://127.0.0.1:1/signed-out';

describe('applications made by administrators', () => {
  let bench: Bench;
  let issuer: string;
  let chief: Member;
  let member: Member;

  before(async () => {
    const made = await served({
      roles: { user: { scopes: ['stories:read'] } },
      oauth: {
        enabled: true,
        clients: [{ id: 'configured', name: 'Configured', redirectUris: [CALLBACK] }],
      },
      lockout: { addressAttempts: 10_000 },
    });
    bench = made.bench;
    issuer = `${made.url}/oauth`;
    chief = await bench.admin();
    member = await bench.member('olga');
  });
  after(() => bench?.close());

  const admin = (method: string, path: string, body?: unknown): Promise<Answer> =>
    bench.call(method, `/admin/oauth/clients${path}`, body, chief.accessToken);

  async function make(id: string, more: object = {}): Promise<oidc.Configuration> {
    const body = {
      id,
      name: `The ${id}`,
      redirectUris: [CALLBACK],
      scopes: ['openid', 'offline_access', 'stories:read'],
    };
    const made = await admin('POST', '', { ...body, ...more });
    assert.equal(made.status, 201, JSON.stringify(made.body));
    return await configure(id, made.body.secret);
  }

  const configure = (id: string, secret: string | undefined): Promise<oidc.Configuration> =>
    oidc.discovery(new URL(issuer), id, secret, secret === undefined ? oidc.None() : oidc.ClientSecretBasic(secret), {
      execute: [oidc.allowInsecureRequests],
    });

  async function signIn(
    app: oidc.Configuration,
    browser = new Browser(),
  ): Promise<oidc.TokenEndpointResponse & oidc.TokenEndpointResponseHelpers> {
    const verifier = oidc.randomPKCECodeVerifier();
    const state = oidc.randomState();
    const begin = oidc.buildAuthorizationUrl(app, {
      redirect_uri: CALLBACK,
      scope: 'openid offline_access stories:read',
      state,
      prompt: 'consent',
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    });
    const { url: page } = await browser.follow(begin, CALLBACK);
    const login = await browser.send(`${page}/login`, { login: 'olga', password: member.password });
    const consent = await browser.follow(new URL(login.headers.get('location') ?? '', page), CALLBACK);
    const confirmed = await browser.send(`${consent.url}/confirm`, {});
    const { url } = await browser.follow(new URL(confirmed.headers.get('location') ?? '', consent.url), CALLBACK);
    return await oidc.authorizationCodeGrant(app, url, { pkceCodeVerifier: verifier, expectedState: state });
  }

  test('one is there for the next request, with its scopes, and its secret is shown once', async () => {
    const app = await make('reader');
    const tokens = await signIn(app);
    assert.equal(tokens.claims()?.sub, member.id);
    assert.ok(tokens.scope?.includes('stories:read'), 'a scope that no configured application has');
    const listed = await admin('GET', '');
    assert.deepEqual(
      listed.body.clients.map(({ id, configured }: { id: string; configured: boolean }) => [id, configured]),
      [
        ['configured', true],
        ['reader', false],
      ],
    );
    assert.ok(!JSON.stringify(listed.body).includes('ghc_'));
    assert.ok(!JSON.stringify((await admin('GET', '/reader')).body).includes('ghc_'));
    const row = await bench.identity.context.store.db.selectFrom('oauth_clients').selectAll().executeTakeFirstOrThrow();
    assert.ok(!JSON.stringify(row).includes('ghc_'), 'sealed in the database');
  });

  test('a new secret ends the old one at once', async () => {
    const robot = { grants: ['client_credentials'], redirectUris: [], scopes: ['stories:read'] };
    const before = await make('robot', robot);
    assert.ok((await oidc.clientCredentialsGrant(before, { scope: 'stories:read' })).access_token);
    const { body } = await admin('POST', '/robot/secret', {});
    await assert.rejects(oidc.clientCredentialsGrant(before, { scope: 'stories:read' }));
    const now = await configure('robot', body.secret);
    assert.ok((await oidc.clientCredentialsGrant(now, { scope: 'stories:read' })).access_token);
  });

  test('a change counts for the next request', async () => {
    const app = await make('changing', { grants: ['client_credentials'], redirectUris: [], scopes: ['stories:read'] });
    // A scope that nobody knows is left out; one that others may have is refused.
    assert.equal((await oidc.clientCredentialsGrant(app, { scope: 'stories:write' })).scope, undefined);
    assert.equal((await admin('PATCH', '/changing', { scopes: ['stories:write'] })).status, 200);
    assert.equal((await oidc.clientCredentialsGrant(app, { scope: 'stories:write' })).scope, 'stories:write');
    await assert.rejects(oidc.clientCredentialsGrant(app, { scope: 'stories:read' }));
  });

  test('one that is removed takes its tokens with it', async () => {
    const app = await make('leaving');
    const watch = await make('watcher', {
      grants: ['client_credentials'],
      redirectUris: [],
      scopes: ['stories:read'],
      mayIntrospect: true,
    });
    const tokens = await signIn(app);
    assert.equal((await oidc.tokenIntrospection(watch, tokens.access_token)).active, true);
    assert.equal((await admin('DELETE', '/leaving')).status, 200);
    assert.equal((await oidc.tokenIntrospection(watch, tokens.access_token)).active, false);
    await assert.rejects(oidc.refreshTokenGrant(app, tokens.refresh_token ?? ''));
    assert.equal((await admin('DELETE', '/leaving')).status, 404);
  });

  test('a public one has no secret and cannot do what needs one', async () => {
    const app = await make('phone', { public: true, redirectUris: ['com.example.phone:/callback', CALLBACK] });
    assert.ok((await signIn(app)).access_token);
    assert.equal((await admin('POST', '/phone/secret', {})).body.reason, 'public_client');
  });

  const bad: { name: string; body: object; field: string }[] = [
    { name: 'http elsewhere', body: { redirectUris: ['http://example.com/callback'] }, field: 'redirectUris.0' },
    { name: 'a fragment', body: { redirectUris: ['https://example.com/#x'] }, field: 'redirectUris.0' },
    { name: 'a script', body: { redirectUris: ['javascript:alert(1)'] }, field: 'redirectUris.0' },
    { name: 'no address for a code', body: { redirectUris: [] }, field: 'redirectUris' },
    { name: 'an unknown grant', body: { grants: ['password'] }, field: 'grants.0' },
    {
      name: 'a public robot',
      body: { public: true, grants: ['client_credentials'], redirectUris: [] },
      field: 'grants',
    },
    { name: 'a public introspector', body: { public: true, mayIntrospect: true }, field: 'mayIntrospect' },
    { name: 'a secret of the caller', body: { secret: 'x'.repeat(40) }, field: 'secret' },
    { name: 'a name with a line feed', body: { name: 'a\nb' }, field: 'name' },
  ];
  for (const { name, body, field } of bad) {
    test(`refuses ${name} and says which field`, async () => {
      const answer = await admin('POST', '', { name: 'x', redirectUris: [CALLBACK], ...body });
      assert.deepEqual([answer.status, answer.body.errors?.[0]?.field], [400, field], JSON.stringify(answer.body));
    });
  }

  test('an id is taken once, and what is configured is not changed here', async () => {
    await make('twice');
    const again = { id: 'twice', name: 'x', redirectUris: [CALLBACK] };
    assert.equal((await admin('POST', '', again)).body.reason, 'client_taken');
    assert.equal((await admin('POST', '', { ...again, id: 'configured' })).body.reason, 'client_taken');
    assert.equal((await admin('DELETE', '/configured')).body.reason, 'configured_client');
    assert.equal((await admin('GET', '/configured')).body.configured, true);
  });

  test('members cannot look at applications, nor make them', async () => {
    for (const [method, body] of [
      ['GET', undefined],
      ['POST', { name: 'x', redirectUris: [CALLBACK] }],
    ] as const)
      assert.equal((await bench.call(method, '/admin/oauth/clients', body, member.accessToken)).status, 403);
  });

  test('what is done to applications is in the audit log', async () => {
    const { body } = await bench.call('GET', '/admin/audit?limit=200', undefined, chief.accessToken);
    const actions = new Set(body.entries.map(({ action }: { action: string }) => action));
    for (const action of ['created', 'changed', 'secret-changed', 'removed'])
      assert.ok(actions.has(`oauth-client.${action}`), action);
  });

  test('an application signs a person out of the provider, on a page without scripts', async () => {
    const app = await make('leaver', { postLogoutRedirectUris: [SIGNED_OUT] });
    const browser = new Browser();
    const tokens = await signIn(app, browser);
    const state = oidc.randomState();
    const end = oidc.buildEndSessionUrl(app, {
      id_token_hint: tokens.id_token ?? '',
      post_logout_redirect_uri: SIGNED_OUT,
      state,
    });
    const page = await browser.send(end);
    const html = await page.text();
    assert.equal(page.status, 200, html);
    assert.match(page.headers.get('content-security-policy') ?? '', /default-src 'none'/);
    assert.ok(html.includes('The leaver') && html.includes('<html lang="en">') && !html.includes('<script'));
    const [, action = ''] = /action="([^"]+)"/.exec(html) ?? [];
    const [, xsrf = ''] = /name="xsrf" value="([^"]+)"/.exec(html) ?? [];
    const ended = await browser.send(action, { xsrf, logout: 'yes' });
    const location = new URL(ended.headers.get('location') ?? '');
    assert.equal(`${location.origin}${location.pathname}`, SIGNED_OUT);
    assert.equal(location.searchParams.get('state'), state);
    const verifier = oidc.randomPKCECodeVerifier();
    const again = oidc.buildAuthorizationUrl(app, {
      redirect_uri: CALLBACK,
      scope: 'openid',
      state,
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    });
    const login = await browser.follow(again, CALLBACK);
    assert.match((await login.response?.text()) ?? '', /Sign in to continue/);
  });

  test('a sign-out leads to no address that the application did not name', async () => {
    const app = await make('elsewhere');
    const end = oidc.buildEndSessionUrl(app, { post_logout_redirect_uri: 'https://evil.example/' });
    const page = await new Browser().send(end);
    assert.equal(page.status, 400);
    assert.match(await page.text(), /not registered/);
  });
});
