/**
 * Signing in to the console with accounts: password, second factor, passkey; what each role may do; and that a session
 * ends when the account's does.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { generate } from 'otplib';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { httpUpstream } from '../support/upstream.ts';
import { checkLook, startChromium } from './chromium.ts';

const TOKEN = 'admin-token-that-is-long-enough';
const PASSWORD = 'ancient walrus paints 9 fences';
/** A name that an account chose. */
const HOSTILE = '<img src=x onerror="window.broken=1">';

describe('signing in to the console with an account', () => {
  let gateway: TestGateway;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let origin: string;
  const ends: (() => unknown)[] = [];
  const scope = { after: (end: () => unknown) => void ends.unshift(end) };

  // biome-ignore lint/suspicious/noExplicitAny: bodies of many shapes, checked by the assertions
  const call = async (url: string, method: string, token: string, body?: unknown): Promise<any> => {
    const response = await fetch(url, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    assert.ok(response.ok, `${method} ${url}: ${response.status} ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  };
  const users = (path: string, method = 'GET', body?: unknown) =>
    call(`${origin.replace('localhost', '127.0.0.1')}/api/features/identity/users${path}`, method, TOKEN, body);

  async function account(name: string, roles: readonly string[]): Promise<{ id: string; token: string }> {
    const made = await call(`${gateway.url}/api/auth/register`, 'POST', '', {
      email: `${name}@example.com`,
      username: name,
      password: PASSWORD,
      displayName: HOSTILE,
    });
    await users(`/${made.user.id}`, 'PATCH', { roles });
    // Other roles end what was given before.
    const again = await call(`${gateway.url}/api/auth/login`, 'POST', '', { username: name, password: PASSWORD });
    return { id: made.user.id, token: again.accessToken };
  }

  const fill = async (values: Record<string, string>): Promise<void> => {
    for (const [name, value] of Object.entries(values)) await page.fill(`input[name=${name}]`, value);
  };
  const signIn = async (login: string, password = PASSWORD): Promise<void> => {
    await page.goto(`${origin}/console/`);
    await fill({ login, password });
    await page.click('button:text-is("Sign in")');
  };
  const isIn = (name: string, role: string) =>
    page.waitForSelector(`header span:text-is("${name}, ${role}")`, { timeout: 60_000 });
  const isOut = () => page.waitForSelector('h2:text-is("Sign in with your account")', { timeout: 60_000 });
  const open = (name: string) => page.click(`nav >> text=${name}`);

  before(async () => {
    const upstream = await httpUpstream(scope as never, (_, response) => void response.end('ok'));
    gateway = await startTestGateway(scope as never, {
      admin: { listen: '127.0.0.1:0', path: '/gatehouse', tokens: [{ name: 'test', role: 'admin', token: TOKEN }] },
      identity: {
        enabled: true,
        publicUrl: 'http://localhost:8000',
        firstAdmin: 'off',
        registration: { verifyEmail: 'off' },
        passwords: { memory: '8mb', passes: 1 },
        roles: { viewer: { scopes: [] }, operator: { scopes: [] } },
      },
      services: { notes: { instances: [{ url: upstream.url }] } },
      routes: [{ name: 'notes', match: { path: '/api/notes/*' }, service: 'notes', auth: 'public' }],
    });
    const found = gateway.primary.opsSources().features.find(({ sections }) => sections?.['admin'] !== undefined);
    // Passkeys need a domain: this machine's own name is one.
    origin = (found!.sections!['admin'] as { url: string }).url.replace('127.0.0.1', 'localhost');
    browser = await startChromium();
  });
  after(async () => {
    await browser?.close();
    for (const end of ends) await end();
  });

  const anew = async (): Promise<void> => {
    await context?.close();
    context = await browser.newContext({ viewport: { width: 1200, height: 900 } });
    context.setDefaultTimeout(120_000);
    page = await context.newPage();
  };

  it('a wrong password is said, a right one opens the console, and a viewer only looks', async () => {
    await anew();
    await account('vera', ['viewer']);
    await signIn('vera', 'not the password');
    await page.waitForSelector('[role=alert]:has-text("the name or the password is wrong")');
    await checkLook(page, 'console-sign-in');
    await fill({ password: PASSWORD });
    await page.click('button:text-is("Sign in")');
    await isIn('vera@example.com', 'viewer');
    await open('Services');
    await page.waitForSelector('td:has-text("up")');
    assert.equal(await page.locator('button:has-text("Drain")').count(), 0);
    await page.click('button:text-is("Sign out")');
    await isOut();
    await page.reload();
    await isOut();
  });

  it('an account without a role of the console stays outside, and gets no session', async () => {
    await anew();
    const { id } = await account('nobody', ['user']);
    const before = (await users(`/${id}/sessions`)).sessions.length;
    await signIn('nobody');
    await page.waitForSelector('[role=alert]:has-text("no role for the console")');
    assert.equal((await users(`/${id}/sessions`)).sessions.length, before);
  });

  it('a second factor is asked for as a step of its own; a recovery code is one', async () => {
    await anew();
    const { token } = await account('olga', ['operator']);
    const { secret } = await call(`${gateway.url}/api/auth/mfa/totp`, 'POST', token);
    const code = await generate({ secret, epoch: Math.floor(Date.now() / 1_000) });
    const { recoveryCodes } = await call(`${gateway.url}/api/auth/mfa/totp/confirm`, 'POST', token, { code });
    await signIn('olga');
    await page.waitForSelector('h2:text-is("Second factor")');
    await fill({ code: '000000' });
    await page.click('button:text-is("Continue")');
    await page.waitForSelector('[role=alert]:has-text("wrong")');
    await checkLook(page, 'console-second-factor');
    await fill({ code: recoveryCodes[0] });
    await page.click('button:text-is("Continue")');
    await isIn('olga@example.com', 'operator');
    await open('Services');
    await page.click('button:has-text("Drain")');
    await page.fill('dialog input[name=reason]', 'release');
    await page.click('dialog button.main');
    await page.waitForSelector('td:has-text("drained")');
    assert.equal(gateway.primary.overrides.list()[0]?.owner, 'olga@example.com');
    await page.click('button:has-text("Take traffic again")');
    await page.waitForSelector('td:has-text("up")');
  });

  it('a passkey alone opens the console, in one click', async () => {
    await anew();
    const { token } = await account('pia', ['admin']);
    const devices = await context.newCDPSession(page);
    await devices.send('WebAuthn.enable');
    await devices.send('WebAuthn.addVirtualAuthenticator', {
      options: {
        protocol: 'ctap2',
        transport: 'internal',
        hasResidentKey: true,
        hasUserVerification: true,
        isUserVerified: true,
      },
    });
    await page.goto(`${origin}/console/`);
    await isOut();
    const options = await call(`${gateway.url}/api/auth/mfa/passkeys/options`, 'POST', token);
    const response = await page.evaluate(
      `navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(${JSON.stringify(options)}) }).then((made) => made.toJSON())`,
    );
    await call(`${gateway.url}/api/auth/mfa/passkeys`, 'POST', token, { name: 'laptop', response });
    await page.click('button:text-is("Use a passkey")');
    await isIn('pia@example.com', 'admin');
    await page.click('button:text-is("Sign out")');
    await isOut();
    await fill({ login: 'pia', password: PASSWORD });
    await page.click('button:text-is("Sign in")');
    await page.waitForSelector('h2:text-is("Second factor")');
    await page.click('button:text-is("Use a passkey")');
    await isIn('pia@example.com', 'admin');
  });

  it('the session ends when an administrator ends those of the account, or takes a role away', async () => {
    await anew();
    const { id } = await account('rita', ['operator']);
    await signIn('rita');
    await isIn('rita@example.com', 'operator');
    const { sessions } = await users(`/${id}/sessions`);
    assert.ok(sessions.length >= 1, 'it is listed with the others');
    await users(`/${id}`, 'PATCH', { roles: ['viewer'] });
    await isOut();
    await signIn('rita');
    await isIn('rita@example.com', 'viewer');
    await users(`/${id}/sessions`, 'DELETE');
    await isOut();
    assert.equal(await page.evaluate('window.broken'), undefined);
  });

  it('behind the gateway: pages are open, nothing else is without a session, and forged fields open nothing', async () => {
    await anew();
    const at = `${gateway.url}/gatehouse/console`;
    const status = async (path: string, init: RequestInit = {}) => (await fetch(at + path, init)).status;
    const own = { 'x-gatehouse-console': '1', 'content-type': 'application/json' };
    const forged = {
      'x-auth-subject': 'boss',
      'x-auth-roles': 'admin',
      'x-auth-account': 'boss',
      'x-auth-method': 'jwt',
    };
    assert.equal(await status('/'), 200);
    assert.equal(await status('/api/status'), 401);
    assert.equal(await status('/api/status', { headers: forged }), 401);
    assert.equal(await status('/api/status', { headers: { authorization: `Bearer ${TOKEN}` } }), 401);
    assert.equal((await fetch(`${gateway.url}/gatehouse/api/status`, { headers: forged })).status, 401);
    assert.equal(await status('/api/session', { method: 'POST', body: '{}' }), 403, 'a foreign page');
    for (const body of [
      '{}',
      'nonsense',
      '{"login":"vera"}',
      JSON.stringify({ login: 'v'.repeat(70_000), password: 'x' }),
    ])
      assert.equal(await status('/api/session', { method: 'POST', headers: own, body }), 400, body.slice(0, 30));
    const entered = await fetch(`${at}/api/session`, {
      method: 'POST',
      headers: own,
      body: JSON.stringify({ login: 'vera', password: PASSWORD }),
    });
    const cookie = entered.headers.get('set-cookie') ?? '';
    assert.match(cookie, /; Path=\/gatehouse\/console\/api; HttpOnly; SameSite=Strict$/);
    const session = { cookie: cookie.split(';', 1)[0] ?? '' };
    assert.equal(await status('/api/status', { headers: session }), 200);
    assert.equal(await status('/api/log-level', { method: 'DELETE', headers: session }), 403, 'a forged request');
    origin = `${gateway.url}/gatehouse`;
    await signIn('vera');
    await isIn('vera@example.com', 'viewer');
  });

  it('guessing is slowed down as everywhere', async () => {
    const at = `${gateway.url}/gatehouse/console/api/session`;
    const statuses = new Set<number>();
    const ask = async (): Promise<void> => {
      const headers = { 'x-gatehouse-console': '1', 'content-type': 'application/json' };
      const response = await fetch(at, { method: 'POST', headers, body: '{}' });
      await response.text();
      statuses.add(response.status);
    };
    const giveUpMs = performance.now() + 60_000;
    while (!statuses.has(429) && performance.now() < giveUpMs) await Promise.all(Array.from({ length: 50 }, ask));
    assert.ok(statuses.has(429), `${[...statuses]}`);
  });
});
