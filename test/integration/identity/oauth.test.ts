/**
 * Both sides of OAuth over real sockets: openid-client as an application of our provider, and our sign-in with an
 * outside provider against a second service that is one.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as oidc from 'openid-client';
import { systemClock } from '../../../src/base/clock.ts';
import type { IdentityInput } from '../../../src/control/identity/options.ts';
import { freePort } from '../../support/ports.ts';
import { type Bench, type Member, makeBench, PASSWORD } from './harness.ts';
import { Browser, served } from './oauth-scene.ts';

const SECRET = 'a secret of the application with enough bytes';
const CALLBACK = 'http://127.0.0.1:1/callback';

const CLIENTS: NonNullable<IdentityInput['oauth']>['clients'] = [
  {
    id: 'app',
    name: 'Story <App>',
    secret: SECRET,
    redirectUris: [CALLBACK],
    scopes: ['openid', 'email', 'profile', 'offline_access', 'stories:read', 'stories:admin'],
  },
  { id: 'robot', name: 'Robot', secret: SECRET, grants: ['client_credentials'], scopes: ['stories:read'] },
  {
    id: 'gateway',
    name: 'Gateway',
    secret: SECRET,
    grants: ['client_credentials'],
    scopes: ['stories:read'],
    mayIntrospect: true,
  },
  { id: 'tv', name: 'Television', grants: ['device_code', 'refresh_token'], scopes: ['openid', 'offline_access'] },
];

describe('the provider', () => {
  let bench: Bench;
  let issuer: string;
  let member: Member;
  let app: oidc.Configuration;
  const configure = (id: string, secret: string | undefined): Promise<oidc.Configuration> =>
    oidc.discovery(new URL(issuer), id, secret, secret === undefined ? oidc.None() : oidc.ClientSecretBasic(secret), {
      execute: [oidc.allowInsecureRequests],
    });

  before(async () => {
    const made = await served({
      roles: { user: { scopes: ['stories:read'] } },
      oauth: { enabled: true, clients: CLIENTS },
      lockout: { addressAttempts: 10_000 },
    });
    bench = made.bench;
    issuer = `${made.url}/oauth`;
    member = await bench.member('olga');
    app = await configure('app', SECRET);
  });
  after(() => bench?.close());

  const scope = 'openid email offline_access stories:read stories:admin';

  async function begin(browser: Browser): Promise<{ verifier: string; state: string; page: URL; html: string }> {
    const verifier = oidc.randomPKCECodeVerifier();
    const state = oidc.randomState();
    const start = oidc.buildAuthorizationUrl(app, {
      redirect_uri: CALLBACK,
      scope,
      state,
      prompt: 'consent',
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    });
    const { url, response } = await browser.follow(start, CALLBACK);
    return { verifier, state, page: url, html: (await response?.text()) ?? '' };
  }

  async function authorise(): Promise<{ callback: URL; verifier: string; state: string; consent: string }> {
    const browser = new Browser();
    const { verifier, state, page } = await begin(browser);
    const login = await browser.send(`${page}/login`, { login: 'olga', password: member.password });
    const location = login.headers.get('location');
    assert.ok(location !== null, `signed in: ${login.status} ${await login.text()}`);
    const consent = await browser.follow(new URL(location, page), CALLBACK);
    const html = (await consent.response?.text()) ?? '';
    const confirmed = await browser.send(`${consent.url}/confirm`, {});
    const { url } = await browser.follow(new URL(confirmed.headers.get('location') ?? '', consent.url), CALLBACK);
    return { callback: url, verifier, state, consent: html };
  }

  const exchange = (flow: { callback: URL; verifier: string; state: string }) =>
    oidc.authorizationCodeGrant(app, flow.callback, { pkceCodeVerifier: flow.verifier, expectedState: flow.state });

  test('discovery names the public issuer whatever Host says', async () => {
    const metadata = app.serverMetadata();
    assert.equal(metadata.issuer, issuer);
    assert.equal(metadata.token_endpoint, `${issuer}/token`);
    const odd = await fetch(`${issuer}/.well-known/openid-configuration`, {
      headers: { 'x-forwarded-host': 'evil.example' },
    });
    assert.ok(!(await odd.text()).includes('evil.example'));
  });

  test('code with PKCE gives opaque tokens, an ID token, and no more scopes than the account has', async () => {
    const flow = await authorise();
    assert.ok(flow.consent.includes('Story &#60;App&#62;'), 'names are escaped');
    const tokens = await exchange(flow);
    assert.equal(tokens.claims()?.sub, member.id);
    assert.ok(!tokens.access_token.includes('.'), 'opaque');
    assert.deepEqual(new Set(tokens.scope?.split(' ')), new Set(['openid', 'email', 'offline_access', 'stories:read']));
    const info = await oidc.fetchUserInfo(app, tokens.access_token, member.id);
    assert.deepEqual([info.email, info.email_verified], ['olga@example.com', true]);
  });

  test('a code is exchanged once of eight tries at once, and its reuse ends the grant', async () => {
    const flow = await authorise();
    const answers = await Promise.allSettled(Array.from({ length: 8 }, () => exchange(flow)));
    const won = answers.filter((answer) => answer.status === 'fulfilled');
    assert.ok(won.length <= 1, `${won.length} of 8 won`);
    const again = await Promise.allSettled([exchange(flow)]);
    assert.equal(again[0]?.status, 'rejected');
    const [first] = won;
    if (first?.status === 'fulfilled') {
      assert.equal((await oidc.tokenIntrospection(app, first.value.access_token)).active, false, 'its tokens ended');
    }
  });

  test('no PKCE, a wrong verifier, another redirect and a foreign page are refused', async () => {
    const plain = oidc.buildAuthorizationUrl(app, { redirect_uri: CALLBACK, scope: 'openid', state: 'x' });
    const refused = await new Browser().follow(plain, CALLBACK);
    assert.equal(refused.url.searchParams.get('error'), 'invalid_request');
    const flow = await authorise();
    await assert.rejects(exchange({ ...flow, verifier: oidc.randomPKCECodeVerifier() }));
    const other = oidc.buildAuthorizationUrl(app, {
      redirect_uri: 'http://127.0.0.1:1/other',
      scope: 'openid',
      state: 'x',
    });
    assert.equal((await new Browser().follow(other, CALLBACK)).response?.status, 400);
    const browser = new Browser();
    const { page } = await begin(browser);
    const foreign = await browser.send(
      `${page}/login`,
      { login: 'olga', password: member.password },
      'https://evil.example',
    );
    assert.equal(foreign.status, 403);
    const stranger = await new Browser().send(`${page}/login`, { login: 'olga', password: member.password });
    assert.equal(stranger.status, 400, 'without the cookie of the flow');
  });

  test('refresh rotates; a used refresh token ends the grant; revocation ends a token', async () => {
    const tokens = await exchange(await authorise());
    const next = await oidc.refreshTokenGrant(app, tokens.refresh_token ?? '');
    assert.notEqual(next.refresh_token, tokens.refresh_token);
    await assert.rejects(oidc.refreshTokenGrant(app, tokens.refresh_token ?? ''));
    await assert.rejects(oidc.refreshTokenGrant(app, next.refresh_token ?? ''));
    const other = await exchange(await authorise());
    assert.equal((await oidc.tokenIntrospection(app, other.access_token)).active, true);
    await oidc.tokenRevocation(app, other.access_token);
    assert.equal((await oidc.tokenIntrospection(app, other.access_token)).active, false);
  });

  test('a changed password and a disabled account end every grant at once (rule 8)', async () => {
    const victim = await bench.member('gone');
    const browser = new Browser();
    const { verifier, state, page } = await begin(browser);
    const login = await browser.send(`${page}/login`, { login: 'gone', password: victim.password });
    const consent = await browser.follow(new URL(login.headers.get('location') ?? '', page), CALLBACK);
    const confirmed = await browser.send(`${consent.url}/confirm`, {});
    const { url } = await browser.follow(new URL(confirmed.headers.get('location') ?? '', consent.url), CALLBACK);
    const tokens = await exchange({ callback: url, verifier, state });
    const passwords = { currentPassword: victim.password, newPassword: 'seven lamps over the harbour' };
    assert.equal((await bench.call('POST', '/password', passwords, victim.accessToken)).status, 200);
    assert.equal((await oidc.tokenIntrospection(app, tokens.access_token)).active, false);
    await assert.rejects(oidc.refreshTokenGrant(app, tokens.refresh_token ?? ''));
    await assert.rejects(oidc.fetchUserInfo(app, tokens.access_token, victim.id));
  });

  test('client credentials, and introspection by a resource server only', async () => {
    const robot = await configure('robot', SECRET);
    const tokens = await oidc.clientCredentialsGrant(robot, { scope: 'stories:read' });
    assert.equal(tokens.scope, 'stories:read');
    const gateway = await configure('gateway', SECRET);
    const seen = await oidc.tokenIntrospection(gateway, tokens.access_token);
    assert.deepEqual([seen.active, seen.client_id, seen.scope], [true, 'robot', 'stories:read']);
    assert.equal(
      (await oidc.tokenIntrospection(app, tokens.access_token)).active,
      false,
      'another application learns nothing',
    );
    await assert.rejects(oidc.clientCredentialsGrant(robot, { scope: 'stories:admin' }));
  });

  test('a device is connected by its code', async () => {
    const tv = await configure('tv', undefined);
    const device = await oidc.initiateDeviceAuthorization(tv, { scope: 'openid offline_access' });
    const browser = new Browser();
    const input = await browser.send(device.verification_uri);
    const field = (html: string, name: string): string =>
      new RegExp(`name="${name}" value="([^"]*)"`).exec(html)?.[1] ?? '';
    const html = await input.text();
    assert.match(html, /Connect a device/);
    assert.match(html, /<label for="user_code">[^<]+<\/label><input id="user_code"/);
    assert.ok(!html.includes('onfocus'));
    const asked = await browser.send(device.verification_uri, {
      xsrf: field(html, 'xsrf'),
      user_code: device.user_code,
    });
    const confirmHtml = await asked.text();
    assert.match(confirmHtml, /Is this your device/);
    const body = { xsrf: field(confirmHtml, 'xsrf'), user_code: field(confirmHtml, 'user_code'), confirm: 'yes' };
    const confirmed = await browser.send(device.verification_uri, body);
    const login = await browser.follow(
      new URL(confirmed.headers.get('location') ?? '', device.verification_uri),
      CALLBACK,
    );
    const signed = await browser.send(`${login.url}/login`, { login: 'olga', password: member.password });
    const consent = await browser.follow(new URL(signed.headers.get('location') ?? '', login.url), CALLBACK);
    const done = await browser.send(`${consent.url}/confirm`, {});
    const end = await browser.follow(new URL(done.headers.get('location') ?? '', consent.url), CALLBACK);
    assert.match((await end.response?.text()) ?? '', /Your device is connected/);
    const grant = 'urn:ietf:params:oauth:grant-type:device_code';
    const tokens = await oidc.genericGrantRequest(tv, grant, { device_code: device.device_code });
    assert.ok(tokens.refresh_token !== undefined);
  });

  test('its pages are labelled, script-free and say what is wrong', async () => {
    const browser = new Browser();
    const { page, html } = await begin(browser);
    assert.match(html, /<html lang="en">/);
    for (const id of ['login', 'password'])
      assert.match(html, new RegExp(`<label for="${id}">[\\s\\S]*<input id="${id}"`));
    assert.ok(!html.includes('<script'));
    const wrong = await browser.send(`${page}/login`, { login: '"><b>olga', password: 'not the password' });
    assert.equal(wrong.status, 422);
    const text = await wrong.text();
    assert.match(text, /role="alert"[^>]*id="problem"/);
    assert.match(text, /aria-describedby="problem"/);
    assert.ok(!text.includes('<b>olga'));
    assert.match(wrong.headers.get('content-security-policy') ?? '', /frame-ancestors 'none'/);
  });

  test('a copy of the database holds no code, token or cookie', async () => {
    const tokens = await exchange(await authorise());
    const text = JSON.stringify(await bench.identity.context.store.db.selectFrom('oidc_models').selectAll().execute());
    for (const secret of [tokens.access_token, tokens.refresh_token ?? '-', SECRET]) assert.ok(!text.includes(secret));
  });

  test('a child account is not used with other applications', async () => {
    const child = { username: 'kid', password: 'purple crayons on the wall', birthDate: '2018-01-01' };
    assert.equal((await bench.call('POST', '/children', child, member.accessToken)).status, 201);
    const browser = new Browser();
    const { page } = await begin(browser);
    const refused = await browser.send(`${page}/login`, { login: 'kid', password: child.password });
    assert.equal(refused.status, 422);
  });
});

describe('signing in with an outside provider', () => {
  let provider: Bench;
  let bench: Bench;
  let url: string;
  let providerUrl: string;
  const RETURN = 'http://127.0.0.1:1/welcome';

  before(async () => {
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    const client = {
      id: 'us',
      name: 'Us',
      secret: SECRET,
      redirectUris: [`${url}/api/auth/outside/other/callback`],
      scopes: ['openid', 'email', 'profile'],
    };
    const made = await served({ oauth: { enabled: true, clients: [client] }, lockout: { addressAttempts: 10_000 } });
    provider = made.bench;
    providerUrl = made.url;
    bench = await makeBench(
      {
        publicUrl: url,
        returnTo: [RETURN],
        lockout: { addressAttempts: 10_000 },
        providers: {
          other: { issuer: `${made.url}/oauth`, clientId: 'us', clientSecret: SECRET, allowInsecure: true },
        },
      },
      { clock: systemClock as never },
    );
    await bench.identity.start({ host: '127.0.0.1', port });
  });
  after(async () => {
    await bench?.close();
    await provider?.close();
  });

  /** From the first address to the page we return to, as `name` at the provider. */
  async function goThrough(browser: Browser, start: string, name: string): Promise<URL> {
    const page = await browser.follow(start, RETURN);
    const login = await browser.send(`${page.url}/login`, { login: name, password: PASSWORD });
    const consent = await browser.follow(new URL(login.headers.get('location') ?? '', page.url), RETURN);
    if (consent.response === undefined) return consent.url;
    const confirmed = await browser.send(`${consent.url}/confirm`, {});
    return (await browser.follow(new URL(confirmed.headers.get('location') ?? '', consent.url), RETURN)).url;
  }
  const startUrl = (): string => `${url}/api/auth/outside/other/start?returnTo=${encodeURIComponent(RETURN)}`;
  const resultOf = (page: URL): URLSearchParams => new URLSearchParams(page.hash.slice(1));
  const exchange = (page: URL, browser: Browser) =>
    bench.call('POST', '/outside/exchange', { code: resultOf(page).get('code') ?? '' }, undefined, {
      cookie: browser.cookieFor(`${url}/api/auth/outside/exchange`),
    });

  test('makes an account with the vouched address, and finds it the next time', async () => {
    await provider.member('nina');
    const browser = new Browser();
    const first = await exchange(await goThrough(browser, startUrl(), 'nina'), browser);
    assert.equal(first.status, 200, JSON.stringify(first.body));
    const me = await bench.call('GET', '/me', undefined, first.body.accessToken);
    assert.deepEqual([me.body.email, me.body.emailVerified], ['nina@example.com', true]);
    const page = await goThrough(browser, startUrl(), 'nina');
    const second = await exchange(page, browser);
    assert.equal((await bench.call('GET', '/me', undefined, second.body.accessToken)).body.id, me.body.id);
    assert.equal((await exchange(page, browser)).status, 400, 'the code works once');
  });

  test('links by address only when it is verified on both sides (rule 9)', async () => {
    await provider.member('vera');
    const here = await bench.member('vera');
    const browser = new Browser();
    const linked = await exchange(await goThrough(browser, startUrl(), 'vera'), browser);
    assert.equal((await bench.call('GET', '/me', undefined, linked.body.accessToken)).body.id, here.id);

    await provider.member('ulla');
    await bench.member('ulla');
    const { db } = bench.identity.context.store;
    await db.updateTable('users').set({ email_verified_at: null }).where('username', '=', 'ulla').execute();
    const refused = await goThrough(new Browser(), startUrl(), 'ulla');
    assert.equal(resultOf(refused).get('error'), 'link_needs_sign_in');

    await provider.member('wanda');
    await bench.member('wanda');
    const there = provider.identity.context.store.db;
    await there.updateTable('users').set({ email_verified_at: null }).where('username', '=', 'wanda').execute();
    assert.equal(resultOf(await goThrough(new Browser(), startUrl(), 'wanda')).get('error'), 'link_needs_sign_in');
  });

  test('links from a signed-in session, also with another address', async () => {
    await provider.member('there');
    const here = await bench.member('here');
    const browser = new Browser();
    const begun = await fetch(`${url}/api/auth/outside/other/link`, {
      method: 'POST',
      headers: { authorization: `Bearer ${here.accessToken}`, 'content-type': 'application/json' },
      body: JSON.stringify({ returnTo: RETURN }),
    });
    const { location } = (await begun.json()) as { location: string };
    const cookie = begun.headers.getSetCookie()[0]?.split(';')[0] ?? '';
    const page = await browser.follow(location, `${url}/api/auth`);
    const login = await browser.send(`${page.url}/login`, { login: 'there', password: PASSWORD });
    const consent = await browser.follow(new URL(login.headers.get('location') ?? '', page.url), `${url}/api/auth`);
    const confirmed = await browser.send(`${consent.url}/confirm`, {});
    const callback = await browser.follow(
      new URL(confirmed.headers.get('location') ?? '', consent.url),
      `${url}/api/auth`,
    );
    const back = await fetch(callback.url, { redirect: 'manual', headers: { cookie } });
    assert.ok(resultOf(new URL(back.headers.get('location') ?? '')).get('code') !== null);
    const links = await bench.call('GET', '/outside/links', undefined, here.accessToken);
    assert.deepEqual(
      links.body.links.map((link: { email: string }) => link.email),
      ['there@example.com'],
    );
  });

  test('an answer begun in another browser, a foreign page to return to and a foreign provider are refused', async () => {
    await provider.member('mallory');
    const attacker = new Browser();
    const page = await attacker.follow(startUrl(), `${url}/api/auth/outside/other/callback`);
    const atProvider = page.url.href.startsWith(providerUrl) ? page : await attacker.follow(page.url, providerUrl);
    const login = await attacker.send(`${atProvider.url}/login`, { login: 'mallory', password: PASSWORD });
    const consent = await attacker.follow(new URL(login.headers.get('location') ?? '', atProvider.url), `${url}/api`);
    const confirmed = await attacker.send(`${consent.url}/confirm`, {});
    const callback = await attacker.follow(new URL(confirmed.headers.get('location') ?? '', consent.url), `${url}/api`);
    const victim = await new Browser().send(callback.url);
    assert.equal(victim.status, 403);
    const open = await fetch(`${url}/api/auth/outside/other/start?returnTo=https://evil.example/`, {
      redirect: 'manual',
    });
    assert.equal(open.status, 400);
    const unknown = await fetch(startUrl().replace('/other/', '/nobody/'), { redirect: 'manual' });
    assert.equal(unknown.status, 404);
  });
});
