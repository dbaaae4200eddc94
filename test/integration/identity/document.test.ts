/**
 * What the published OpenAPI document says of the account API is what a real gateway does: every operation is called,
 * and status, media type, fields and body of every response are held against the document, closed against members that
 * it does not name; errors in each configured format.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { freePort } from '../../support/ports.ts';
import { type Answer, cookiesOf, firstAdmin, mailedCode, member, type Scene, scene, totp } from './described-scene.ts';
import { PASSWORD } from './harness.ts';
import { Browser, served } from './oauth-scene.ts';
import { SoftwareAuthenticator } from './software-authenticator.ts';

const SECRET = 'a secret of the application with enough bytes';
const RETURN = 'http://127.0.0.1:1/welcome';
const CALLBACK = 'http://127.0.0.1:1/callback';
const OTHER_PASSWORD = 'seven lamps over the harbour';

describe('the OpenAPI document of the account API', () => {
  it('says what every operation responds with', { timeout: 120_000 }, async (t) => {
    const port = await freePort();
    const redirectUris = [`http://127.0.0.1:${port}/api/auth/outside/other/callback`];
    const us = { id: 'us', name: 'Us', secret: SECRET, redirectUris, scopes: ['openid', 'email', 'profile'] };
    const provider = await served({ oauth: { enabled: true, clients: [us] }, lockout: { addressAttempts: 10_000 } });
    t.after(() => provider.bench.close());
    const at = await scene(t, port, {
      returnTo: [RETURN],
      roles: { user: { scopes: ['stories:read'] } },
      oauth: {
        enabled: true,
        clients: [{ id: 'app', name: 'App', secret: SECRET, redirectUris: [CALLBACK], scopes: ['openid'] }],
      },
      providers: {
        other: { issuer: `${provider.url}/oauth`, clientId: 'us', clientSecret: SECRET, allowInsecure: true },
      },
    });
    const { expect, gateway } = at;
    const chief = await firstAdmin(at);

    // Sign-in, tokens, sessions.
    const ada = await member(at, 'ada');
    const token = ada.accessToken;
    const { id: adaId } = await expect(200, 'GET', '/me', { token });
    await expect(200, 'PATCH', '/me', { token, body: { displayName: 'Ada', language: 'en' } });
    await expect(202, 'POST', '/me/email', { token, body: { email: 'ada@elsewhere.example', password: PASSWORD } });
    for (const path of ['/jwks', '/outside']) await expect(200, 'GET', path);
    assert.equal((await fetch(`${gateway.url}/.well-known/jwks.json`)).status, 200);
    const again = (): Promise<Answer['body']> =>
      expect(200, 'POST', '/login', { body: { username: 'ada', password: PASSWORD } });
    const second = await again();
    await expect(200, 'GET', '/sessions', { token });
    await expect(200, 'DELETE', `/sessions/${second.sessionId}`, { token });
    await again();
    await expect(200, 'DELETE', '/sessions', { token });
    const third = await again();
    const fourth = await expect(200, 'POST', '/refresh', { body: { refreshToken: third.refreshToken } });
    await expect(200, 'POST', '/introspect', { token, body: { token } });
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    await expect(200, 'POST', '/introspect', { token: chief, headers: form, text: `token=${fourth.refreshToken}` });
    await expect(200, 'POST', '/introspect', { token: chief, body: { token: 'ghr_there-is-no-such-token' } });
    await expect(200, 'POST', '/revoke', {
      token,
      headers: form,
      text: `token=${fourth.accessToken}&token_type_hint=access_token`,
    });
    await expect(200, 'POST', '/logout', { token: (await again()).accessToken });

    // Passwords.
    await expect(202, 'POST', '/password/forgot', { body: { email: 'ada@example.com' } });
    const code = await mailedCode(at, 'ada@example.com', /password/i);
    await expect(200, 'POST', '/password/reset', { body: { token: code, newPassword: OTHER_PASSWORD } });
    const fifth = await expect(200, 'POST', '/login', { body: { email: 'ada@example.com', password: OTHER_PASSWORD } });
    const passwords = { currentPassword: OTHER_PASSWORD, newPassword: PASSWORD };
    await expect(200, 'POST', '/password', { token: fifth.accessToken, body: passwords });

    // API keys.
    const owner = (await again()).accessToken;
    const key = await expect(201, 'POST', '/keys', {
      token: owner,
      body: { name: 'script', expiresIn: 600, addresses: ['127.0.0.1'] },
    });
    const next = await expect(201, 'POST', `/keys/${key.id}/rotate`, { token: owner, body: { graceSeconds: 60 } });
    await expect(200, 'GET', '/keys', { token: owner });
    await expect(200, 'DELETE', `/keys/${next.id}`, { token: owner });

    // Children.
    const kid = await expect(201, 'POST', '/children', {
      token: owner,
      body: {
        username: 'kid',
        password: OTHER_PASSWORD,
        birthDate: '2018-01-01',
        rules: { quotas: { stories: 3 }, blockedTopics: ['war'] },
      },
    });
    const kids = `/children/${kid.id}`;
    const session = await expect(200, 'POST', '/login', { body: { username: 'kid', password: OTHER_PASSWORD } });
    await expect(200, 'POST', '/introspect', { token: session.accessToken, body: { token: session.accessToken } });
    for (const path of ['/children', kids, `${kids}/sessions`]) await expect(200, 'GET', path, { token: owner });
    await expect(200, 'DELETE', `${kids}/sessions/${session.sessionId}`, { token: owner });
    await expect(200, 'DELETE', `${kids}/sessions`, { token: owner });
    const hours = [{ days: [0, 1, 2, 3, 4, 5, 6], from: '00:00', to: '24:00' }];
    await expect(200, 'PATCH', kids, { token: owner, body: { rules: { hours, timeZone: 'Europe/Berlin' } } });
    await expect(200, 'POST', `${kids}/password`, { token: owner, body: { newPassword: PASSWORD } });
    await expect(200, 'DELETE', kids, { token: owner });

    await secondFactors(at);
    await browsers(at);
    await outside(at, provider.bench);
    await administrators(at, chief, adaId);

    // The end of an account.
    const gone = (await again()).accessToken;
    await expect(200, 'POST', '/logout/all', { token: gone });
    await expect(200, 'DELETE', '/me', { token: (await again()).accessToken, body: { password: PASSWORD } });
    const left = at.calls.untried('accounts');
    // Where addresses need no confirmation: below, and grants are made by the provider's own flow.
    assert.deepEqual(left, ['DELETE /api/auth/grants/{client} 200', 'POST /api/auth/register 201']);
  });

  for (const [format, accept] of [
    ['problem', undefined],
    ['nested', undefined],
    ['flat', undefined],
    ['flat', 'application/problem+json'],
  ] as const)
    it(`says what errors are (${format}${accept === undefined ? '' : `, with Accept: ${accept}`})`, async (t) => {
      const at = await scene(t, await freePort(), { registration: { verifyEmail: 'off' } }, { errorFormat: format });
      const headers: Record<string, string> = accept === undefined ? {} : { accept };
      const user = { email: 'eve@example.com', username: 'eve', password: PASSWORD };
      const { accessToken: token } = await at.expect(201, 'POST', '/register', { body: user, headers });
      await at.expect(409, 'POST', '/register', { body: user, headers });
      let refused = 0;
      for (const { key, operation } of at.calls.operations('accounts')) {
        const [method = '', path = ''] = key.split(' ');
        if (!path.startsWith('/api/auth/')) continue;
        const below = path.slice('/api/auth'.length).replace(/\{\w+\}/g, 'nothing-of-this-id');
        const isOpen = operation.security === undefined || operation.security.length === 0;
        if (!isOpen) {
          const { status } = await at.call(method, below, { headers });
          assert.ok([200, 400, 401, 403, 415].includes(status), `${key} of a stranger: ${status}`);
          await at.call(method, below, { headers, token });
        }
        if (operation.requestBody === undefined) continue;
        const wrong = await at.call(method, below, { headers, token, body: { nonsense: 1, email: 7 } });
        assert.ok(wrong.status >= 400 && wrong.status < 500, `${key} of nonsense: ${wrong.status}`);
        await at.call(method, below, { headers: { ...headers, 'content-type': 'text/plain' }, token, text: 'x' });
        refused++;
      }
      assert.ok(refused > 20, `${refused} operations with bodies`);
      // A ticket for the second factor is said in each shape.
      const secret = await at.expect(201, 'POST', '/mfa/totp', { headers, token: await fresh(at) });
      const more = { headers, token: await fresh(at), body: { code: await totp(secret.secret, 0) } };
      await at.expect(200, 'POST', '/mfa/totp/confirm', more);
      const needed = await at.expect(403, 'POST', '/login', { headers, body: { username: 'eve', password: PASSWORD } });
      const said = format === 'nested' ? needed.error.details : needed;
      assert.equal(typeof said.mfaTicket, 'string', JSON.stringify(needed));
      assert.deepEqual(said.methods, ['totp', 'recovery']);
    });
});

const fresh = async ({ expect }: Scene): Promise<string> =>
  (await expect(200, 'POST', '/login', { body: { username: 'eve', password: PASSWORD } })).accessToken;

async function secondFactors(at: Scene): Promise<void> {
  const { expect, gateway } = at;
  let { accessToken: token } = await member(at, 'otto');
  const { secret } = await expect(201, 'POST', '/mfa/totp', { token });
  // One code of three steps that all count as now: each works once.
  const confirmed = await expect(200, 'POST', '/mfa/totp/confirm', { token, body: { code: await totp(secret, -30) } });
  token = confirmed.accessToken;
  const { mfaTicket } = (await at.call('POST', '/login', { body: { username: 'otto', password: PASSWORD } })).body;
  await expect(200, 'POST', '/login/mfa', { body: { mfaTicket, code: await totp(secret, 0) } });
  const other = (await at.call('POST', '/browser/login', { body: { username: 'otto', password: PASSWORD } })).body;
  await expect(200, 'POST', '/browser/login/mfa', {
    body: { mfaTicket: other.mfaTicket, code: await totp(secret, 30) },
  });
  await expect(200, 'POST', '/mfa/step-up', { token, body: { recoveryCode: confirmed.recoveryCodes[0] } });
  await expect(201, 'POST', '/mfa/recovery-codes', { token });
  const device = new SoftwareAuthenticator(gateway.url);
  const options = await expect(200, 'POST', '/mfa/passkeys/options', { token });
  const passkey = { name: 'phone', response: device.create(options) };
  const { id } = await expect(201, 'POST', '/mfa/passkeys', { token, body: passkey });
  const challenge = await expect(200, 'POST', '/passkeys/challenge');
  await expect(200, 'POST', '/login/passkey', { body: { passkey: device.get(challenge) } });
  await expect(200, 'POST', '/passkeys/challenge', { token });
  await expect(200, 'GET', '/mfa', { token });
  await expect(200, 'POST', '/mfa/passkeys/options', { token });
  await expect(200, 'DELETE', `/mfa/passkeys/${encodeURIComponent(id)}`, { token });
  await expect(200, 'DELETE', '/mfa/totp', { token });
}

async function browsers(at: Scene): Promise<void> {
  await member(at, 'bea');
  const signedIn = await at.call('POST', '/browser/login', { body: { username: 'bea', password: PASSWORD } });
  assert.equal(signedIn.status, 200);
  const cookie = cookiesOf(signedIn.headers);
  await at.expect(200, 'GET', '/browser/session', { headers: { cookie } });
  const renewed = await at.call('POST', '/browser/refresh', { headers: { cookie } });
  assert.equal(renewed.status, 200);
  const headers = { cookie: cookiesOf(renewed.headers), 'x-csrf-token': renewed.body.csrfToken };
  await at.expect(200, 'POST', '/browser/logout', { headers });
}

async function outside(at: Scene, provider: Awaited<ReturnType<typeof served>>['bench']): Promise<void> {
  const { gateway, expect } = at;
  await provider.member('nina');
  await provider.member('elsewhere');
  const here = `${gateway.url}/api/auth/outside/other/callback`;
  /** Signs in at the provider, and comes back to our callback. */
  const goThrough = async (browser: Browser, start: string, login: string): Promise<URL> => {
    const page = await browser.follow(start, here);
    const signedIn = await browser.send(`${page.url}/login`, { login, password: PASSWORD });
    const consent = await browser.follow(new URL(signedIn.headers.get('location') ?? '', page.url), here);
    if (consent.response === undefined) return consent.url;
    const confirmed = await browser.send(`${consent.url}/confirm`, {});
    return (await browser.follow(new URL(confirmed.headers.get('location') ?? '', consent.url), here)).url;
  };
  const start = `${gateway.url}/api/auth/outside/other/start?returnTo=${encodeURIComponent(RETURN)}`;
  const browser = new Browser();
  const callback = await goThrough(browser, start, 'nina');
  const { url: back } = await browser.follow(callback, RETURN);
  const code = new URLSearchParams(back.hash.slice(1)).get('code');
  const cookie = browser.cookieFor(`${gateway.url}/api/auth/outside/exchange`);
  const tokens = await expect(200, 'POST', '/outside/exchange', { body: { code }, headers: { cookie } });

  const { accessToken: token } = await member(at, 'linda');
  const begun = await at.call('POST', '/outside/other/link', { token, body: { returnTo: RETURN } });
  assert.equal(begun.status, 200, JSON.stringify(begun.body));
  const other = await goThrough(new Browser(), begun.body.location, 'elsewhere');
  const linked = await fetch(other, { redirect: 'manual', headers: { cookie: cookiesOf(begun.headers) } });
  assert.match(linked.headers.get('location') ?? '', /#code=/);
  const { links } = await expect(200, 'GET', '/outside/links', { token });
  assert.equal(links.length, 1);
  await expect(200, 'DELETE', '/outside/other/link', { token });
  await expect(200, 'GET', '/me', { token: tokens.accessToken });
}

async function administrators({ expect }: Scene, token: string, ada: string): Promise<void> {
  const made = await expect(201, 'POST', '/admin/users', {
    token,
    body: { email: 'zoe@example.com', username: 'zoe', password: PASSWORD, displayName: 'Zoe', roles: ['user'] },
  });
  const at = `/admin/users/${made.id}`;
  await expect(200, 'GET', '/admin/users?limit=2', { token });
  await expect(200, 'GET', '/admin/users?q=zoe', { token });
  await expect(200, 'GET', at, { token });
  await expect(200, 'PATCH', at, { token, body: { displayName: 'Zoë' } });
  await expect(200, 'POST', `${at}/password`, { token, body: { newPassword: OTHER_PASSWORD } });
  await expect(200, 'DELETE', `${at}/mfa`, { token });
  const { sessionId } = await expect(200, 'POST', '/login', { body: { username: 'zoe', password: OTHER_PASSWORD } });
  await expect(200, 'GET', `${at}/sessions`, { token });
  await expect(200, 'DELETE', `${at}/sessions/${sessionId}`, { token });
  await expect(200, 'DELETE', `${at}/sessions`, { token });
  const key = await expect(201, 'POST', `${at}/keys`, { token, body: { name: 'robot' } });
  await expect(200, 'GET', `${at}/keys`, { token });
  const next = await expect(201, 'POST', `/admin/keys/${key.id}/rotate`, { token });
  await expect(200, 'DELETE', `/admin/keys/${next.id}`, { token });
  const borrowed = await expect(201, 'POST', `/admin/users/${ada}/impersonate`, { token });
  await expect(200, 'GET', '/sessions', { token: borrowed.accessToken });
  await expect(200, 'POST', '/introspect', { token, body: { token: borrowed.accessToken } });
  await expect(200, 'GET', '/admin/audit?limit=3', { token });
  await expect(200, 'GET', '/admin/audit?limit=200', { token });
  await expect(200, 'GET', '/admin/audit/verify', { token });
  await expect(200, 'PUT', '/admin/roles/writer', { token, body: { scopes: ['stories:write'] } });
  await expect(200, 'GET', '/admin/roles', { token });
  await expect(200, 'DELETE', '/admin/roles/writer', { token });
  const minted = await expect(201, 'POST', '/tokens', {
    token,
    body: { subject: 'nightly', scopes: ['stories:read'] },
  });
  await expect(200, 'POST', '/introspect', { token, body: { token: minted.accessToken } });
  await expect(200, 'DELETE', `/tokens/${minted.jti}`, { token });
  const fresh = { id: 'reader', name: 'Reader', redirectUris: [CALLBACK], scopes: ['openid'] };
  await expect(201, 'POST', '/admin/oauth/clients', { token, body: fresh });
  await expect(201, 'POST', '/admin/oauth/clients', { token, body: { ...fresh, id: 'open', public: true } });
  for (const path of ['', '/reader', '/app']) await expect(200, 'GET', `/admin/oauth/clients${path}`, { token });
  await expect(200, 'PATCH', '/admin/oauth/clients/reader', { token, body: { name: 'Reader 2' } });
  await expect(200, 'POST', '/admin/oauth/clients/reader/secret', { token });
  await expect(200, 'DELETE', '/admin/oauth/clients/reader', { token });
  await expect(200, 'GET', '/grants', { token });
  await expect(200, 'DELETE', at, { token });
}
