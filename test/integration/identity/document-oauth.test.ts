/**
 * What the published OpenAPI document says of the OAuth provider is what it does: an independent client and a browser
 * go through every flow at a real gateway, and every response is held against the document.
 */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import * as oidc from 'openid-client';
import { freePort } from '../../support/ports.ts';
import { member, scene } from './described-scene.ts';
import { PASSWORD } from './harness.ts';
import { Browser } from './oauth-scene.ts';

const SECRET = 'a secret of the application with enough bytes';
const CALLBACK = 'http://127.0.0.1:1/callback';
/** Of an application that is no program on the person's machine, which must ask for consent each time. */
const WEB = 'https://app.example/callback';
const GOODBYE = 'http://127.0.0.1:1/goodbye';

it('the OpenAPI document says what every endpoint of the OAuth provider responds with', {
  timeout: 120_000,
}, async (t) => {
  const at = await scene(t, await freePort(), {
    roles: { user: { scopes: ['stories:read'] } },
    oauth: {
      enabled: true,
      clients: [
        {
          id: 'app',
          name: 'App',
          secret: SECRET,
          redirectUris: [CALLBACK],
          postLogoutRedirectUris: [GOODBYE],
          scopes: ['openid', 'email', 'profile', 'offline_access', 'stories:read'],
        },
        { id: 'robot', name: 'Robot', secret: SECRET, grants: ['client_credentials'], scopes: ['stories:read'] },
        { id: 'web', name: 'Web', secret: SECRET, redirectUris: [WEB], scopes: ['openid'] },
        { id: 'tv', name: 'TV', grants: ['device_code', 'refresh_token'], scopes: ['openid', 'offline_access'] },
      ],
    },
  });
  const issuer = `${at.gateway.url}/oauth`;
  const { accessToken: account } = await member(at, 'olga');
  const configure = (id: string, secret: string | undefined, algorithm: 'oidc' | 'oauth2' = 'oidc') =>
    oidc.discovery(new URL(issuer), id, secret, secret === undefined ? oidc.None() : oidc.ClientSecretBasic(secret), {
      execute: [oidc.allowInsecureRequests],
      algorithm,
    });
  const app = await configure('app', SECRET);
  assert.equal((await fetch(`${issuer}/.well-known/oauth-authorization-server`)).status, 200);

  // Every endpoint that the provider names is an operation of the document.
  const named = Object.entries(app.serverMetadata()).filter(([key]) => /_endpoint$|^jwks_uri$/.test(key));
  for (const [key, url] of named) {
    const path = new URL(String(url)).pathname;
    assert.ok(at.calls.document.paths[path] !== undefined, `${key}: ${path}`);
  }
  assert.equal((await fetch(String(app.serverMetadata().jwks_uri))).status, 200);

  const field = (html: string, name: string): string =>
    new RegExp(`name="${name}" value="([^"]*)"`).exec(html)?.[1] ?? '';
  /** Signs in and consents where that is asked for, until the browser is sent to `end` or shown a page. */
  const goThrough = async (browser: Browser, start: URL, end: string) => {
    let page = await browser.follow(start, end);
    for (let steps = 0; page.response !== undefined && page.url.pathname.includes('/interaction/'); steps++) {
      assert.ok(steps < 3, 'one sign-in and one consent');
      const isLogin = (await page.response.text()).includes('id="password"');
      const sent = isLogin
        ? await browser.send(`${page.url}/login`, { login: 'olga', password: PASSWORD })
        : await browser.send(`${page.url}/confirm`, {});
      page = await browser.follow(new URL(sent.headers.get('location') ?? '', page.url), end);
    }
    return page;
  };
  const browser = new Browser();
  const authorise = async (more: Record<string, string> = {}, pushed = false) => {
    const verifier = oidc.randomPKCECodeVerifier();
    const state = oidc.randomState();
    const request = {
      redirect_uri: CALLBACK,
      scope: 'openid email profile offline_access stories:read',
      state,
      prompt: 'consent',
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      ...more,
    };
    const start = pushed
      ? await oidc.buildAuthorizationUrlWithPAR(app, request)
      : oidc.buildAuthorizationUrl(app, request);
    const { url } = await goThrough(browser, start, CALLBACK);
    return { url, verifier, state };
  };
  const exchange = ({ url, verifier, state }: Awaited<ReturnType<typeof authorise>>, dpop?: oidc.DPoPHandle) =>
    oidc.authorizationCodeGrant(
      app,
      url,
      { pkceCodeVerifier: verifier, expectedState: state },
      undefined,
      dpop === undefined ? {} : { DPoP: dpop },
    );

  // A code, pushed and not; tokens looked at, renewed, revoked.
  const tokens = await exchange(await authorise());
  await oidc.fetchUserInfo(app, tokens.access_token, oidc.skipSubjectCheck);
  const posted = { method: 'POST', body: new URLSearchParams({ access_token: tokens.access_token }) };
  assert.equal((await fetch(`${issuer}/me`, posted)).status, 200);
  assert.equal((await oidc.tokenIntrospection(app, tokens.access_token)).active, true);
  assert.equal((await oidc.tokenIntrospection(app, tokens.refresh_token ?? '')).active, true);
  const renewed = await oidc.refreshTokenGrant(app, tokens.refresh_token ?? '');
  await oidc.tokenRevocation(app, renewed.access_token);
  assert.equal((await oidc.tokenIntrospection(app, renewed.access_token)).active, false);
  const bound = oidc.getDPoPHandle(app, await oidc.randomDPoPKeyPair());
  const proven = await exchange(await authorise({}, true), bound);
  assert.equal(proven.token_type, 'dpop');
  assert.equal((await oidc.tokenIntrospection(app, proven.access_token)).active, true);
  // One application with its secret in the form.
  const machine = await oidc.discovery(new URL(issuer), 'robot', SECRET, oidc.ClientSecretPost(SECRET), {
    execute: [oidc.allowInsecureRequests],
  });
  const robot = await oidc.clientCredentialsGrant(machine, { scope: 'stories:read' });
  assert.equal((await oidc.tokenIntrospection(machine, robot.access_token)).active, true);
  const web = await configure('web', SECRET);
  for (const prompt of ['consent', '']) {
    const posts = oidc.buildAuthorizationUrl(web, {
      redirect_uri: WEB,
      scope: 'openid',
      response_mode: 'form_post',
      ...(prompt === '' ? {} : { prompt }),
      code_challenge: await oidc.calculatePKCECodeChallenge(oidc.randomPKCECodeVerifier()),
      code_challenge_method: 'S256',
    });
    const form = await goThrough(browser, posts, WEB);
    assert.match((await form.response?.text()) ?? '', /method="post"/);
  }

  // What is refused, by the RFC of each endpoint.
  await assert.rejects(oidc.refreshTokenGrant(app, tokens.refresh_token ?? ''));
  const refused = async (path: string, body: Record<string, string>, wanted: number, secret = SECRET) => {
    const authorization = `Basic ${Buffer.from(`app:${encodeURIComponent(secret)}`).toString('base64')}`;
    const response = await fetch(issuer + path, {
      method: 'POST',
      headers: { authorization },
      body: new URLSearchParams(body),
    });
    assert.equal(response.status, wanted, `${path}: ${await response.clone().text()}`);
    return ((await response.json()) as { error: string }).error;
  };
  for (const path of ['/token', '/token/introspection', '/token/revocation', '/request', '/device/auth']) {
    await refused(path, {}, 400);
    assert.equal(
      await refused(path, { token: 'x', grant_type: 'x', client_id: 'app' }, 401, 'wrong'),
      'invalid_client',
    );
  }
  assert.equal(await refused('/token', { grant_type: 'password' }, 400), 'unsupported_grant_type');
  assert.equal((await fetch(`${issuer}/me`)).status, 401);
  assert.equal((await fetch(`${issuer}/me`, { headers: { authorization: 'Bearer a b' } })).status, 400);
  assert.equal((await fetch(`${issuer}/me`, { headers: { authorization: 'Bearer nothing' } })).status, 401);
  const bearer = { authorization: `Bearer ${robot.access_token}` };
  assert.ok([401, 403].includes((await fetch(`${issuer}/me`, { headers: bearer })).status));
  for (const accept of ['text/html', 'application/json']) {
    const headers = { accept };
    for (const path of [
      '/auth?client_id=nobody',
      '/auth/of-no-request',
      '/device/of-no-request',
      '/session/end?client_id=nobody',
      '/session/end/success?client_id=nobody',
    ])
      assert.equal((await fetch(issuer + path, { headers, redirect: 'manual' })).status, 400, path);
    const empty = { method: 'POST', headers, body: new URLSearchParams({ xsrf: 'x' }) };
    assert.equal((await fetch(`${issuer}/session/end/confirm`, empty)).status, 400);
  }

  // A device, in another browser: with a sign-in and a consent.
  const elsewhere = new Browser();
  const tv = await configure('tv', undefined);
  const device = await oidc.initiateDeviceAuthorization(tv, { scope: 'openid offline_access' });
  const grant = 'urn:ietf:params:oauth:grant-type:device_code';
  await assert.rejects(oidc.genericGrantRequest(tv, grant, { device_code: device.device_code }));
  const input = await (await elsewhere.send(device.verification_uri)).text();
  const wrong = { xsrf: field(input, 'xsrf'), user_code: 'WRNG-CODE' };
  const again = await (await elsewhere.send(device.verification_uri, wrong)).text();
  const typed = { xsrf: field(again, 'xsrf'), user_code: device.user_code };
  const asked = await (await elsewhere.send(device.verification_uri, typed)).text();
  const yes = { xsrf: field(asked, 'xsrf'), user_code: field(asked, 'user_code'), confirm: 'yes' };
  const sent = await elsewhere.send(device.verification_uri, yes);
  const next = new URL(sent.headers.get('location') ?? '', device.verification_uri);
  const end = await goThrough(elsewhere, next, CALLBACK);
  assert.match((await end.response?.text()) ?? '', /Your device is connected/);
  await oidc.genericGrantRequest(tv, grant, { device_code: device.device_code });

  // Grants are seen and ended; then the person signs out, once with an address to return to and once without.
  const { grants } = await at.expect(200, 'GET', '/grants', { token: account });
  assert.deepEqual(new Set(grants.map((each: { clientId: string }) => each.clientId)), new Set(['app', 'tv', 'web']));
  await at.expect(200, 'DELETE', '/grants/tv', { token: account });
  for (const back of [`?client_id=app&post_logout_redirect_uri=${encodeURIComponent(GOODBYE)}&state=x`, '']) {
    const leave = await (await browser.send(`${issuer}/session/end${back}`)).text();
    const done = await browser.send(`${issuer}/session/end/confirm`, { xsrf: field(leave, 'xsrf'), logout: 'yes' });
    assert.equal(done.status, 303);
    if (back === '') assert.equal((await browser.send(done.headers.get('location') ?? '')).status, 200);
  }
  assert.deepEqual(at.calls.untried('oauth'), []);
});
