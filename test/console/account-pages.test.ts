/**
 * The pages of accounts and OAuth in a browser that runs no scripts: from the first administrator to the consent, each
 * page looked at in light and dark, wide and at 360 pixels.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import * as oidc from 'openid-client';
import { generate } from 'otplib';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { type Bench, type Member, PASSWORD } from '../integration/identity/harness.ts';
import { served } from '../integration/identity/oauth-scene.ts';
import { checkLook as check, startChromium } from './chromium.ts';

const HOSTILE = '<img src=x onerror="window.broken=1">';
const SECRET = 'a secret of the application with enough bytes';
const CALLBACK = 'http://127.0.0.1:1/callback';

describe('pages of accounts in Chromium, without scripts', () => {
  let bench: Bench;
  let url: string;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  /** Shows the same HTML where scripts run: axe is one. */
  let mirror: Page;
  let member: Member;

  before(async () => {
    ({ bench, url } = await served({
      firstAdmin: 'link',
      cookies: {},
      lockout: { addressAttempts: 10_000 },
      pages: { name: 'Harbour' },
      oauth: {
        enabled: true,
        clients: [
          {
            id: 'app',
            name: `Story ${HOSTILE}`,
            secret: SECRET,
            redirectUris: [CALLBACK],
            scopes: ['openid', 'email'],
          },
          { id: 'tv', name: 'Television', grants: ['device_code', 'refresh_token'], scopes: ['openid'] },
        ],
      },
    }));
    browser = await startChromium();
    context = await browser.newContext({ javaScriptEnabled: false, locale: 'en' });
    context.setDefaultTimeout(120_000);
    page = await context.newPage();
    mirror = await browser.newPage();
  });
  after(async () => {
    await browser?.close();
    await bench?.close();
  });

  const checkLook = async (name: string): Promise<void> => {
    await mirror.setContent(await page.content());
    await check(mirror, name);
    assert.equal(await mirror.evaluate('window.broken'), undefined);
  };
  const at = (name: string): string => `${url}/api/auth/pages/${name}`;
  const heading = async (text: string): Promise<void> => {
    await page.waitForSelector(`h1:text-is(${JSON.stringify(text)})`);
  };
  const press = (text: string): Promise<void> => page.click(`button:text-is("${text}")`);
  const fill = async (values: Record<string, string>): Promise<void> => {
    for (const [name, value] of Object.entries(values)) await page.fill(`input[name=${name}]`, value);
  };

  it('makes the first administrator', async () => {
    await page.goto(/http:\S+/.exec(bench.printed.join())?.[0] ?? '');
    await heading('Create the first administrator');
    await page.waitForSelector('header:has-text("Harbour")');
    await checkLook('account-set-up');
    await fill({ email: 'boss@example.com', password: PASSWORD });
    await press('Create administrator');
    await heading('You are the administrator');
    await checkLook('account-set-up-done');
  });

  it('registers, says what is wrong at its field, and confirms the address', async () => {
    await page.goto(at('register'));
    await fill({ email: 'ada@example.com', username: 'ada', password: 'password123' });
    await press('Create account');
    await page.waitForSelector('[role=alert]:has-text("common")');
    assert.equal(
      await page.evaluate('document.activeElement.name'),
      'password',
      'the field that is wrong has the focus',
    );
    await checkLook('account-register-wrong');
    await fill({ password: PASSWORD });
    await press('Create account');
    await heading('Check your mailbox');
    await page.goto(at(`verify-email?token=${await bench.mailedCode('ada@example.com', 'confirm')}`));
    await checkLook('account-verify');
    await page.fill('input[name=password]', PASSWORD);
    await press('Confirm');
    await heading('Your email address is confirmed');
    await page.reload();
    await page.goto(at('verify-email?token=nonsense-nonsense'));
    await heading('This link does not work');
    await checkLook('account-dead-link');
  });

  it('sets another password by email', async () => {
    await page.goto(at('sign-in'));
    await page.click('a:text-is("Forgot your password?")');
    await heading('Reset your password');
    await checkLook('account-forgot');
    await fill({ email: 'ada@example.com' });
    await press('Send me a link');
    await heading('Check your mailbox');
    await page.goto(at(`reset-password?token=${await bench.mailedCode('ada@example.com', 'new password')}`));
    await checkLook('account-reset');
    await fill({ newPassword: `${PASSWORD} and more` });
    await press('Set password');
    await heading('Your new password is set');
  });

  it('signs in with a second factor', async () => {
    member = await bench.member('bea');
    const { secret } = (await bench.call('POST', '/mfa/totp', undefined, member.accessToken)).body;
    const code = (seconds: number) => generate({ secret, epoch: Math.floor(Date.now() / 1_000) + seconds });
    const confirmed = await bench.call('POST', '/mfa/totp/confirm', { code: await code(-30) }, member.accessToken);
    assert.equal(confirmed.status, 200, JSON.stringify(confirmed.body));
    await page.goto(at('sign-in'));
    await fill({ login: 'bea', password: 'not the password' });
    await press('Sign in');
    await page.waitForSelector('[role=alert]:has-text("wrong")');
    await checkLook('account-sign-in');
    await fill({ password: PASSWORD });
    await press('Sign in');
    await heading('Second factor');
    await checkLook('account-second-factor');
    await fill({ code: confirmed.body.recoveryCodes[0] });
    await press('Continue');
    await heading('You are signed in');
    assert.ok((await context.cookies()).some(({ name, httpOnly }) => name === 'gh_access' && httpOnly));
  });

  it('asks for consent, and a name that an application chose runs nothing', async () => {
    const app = await oidc.discovery(new URL(`${url}/oauth`), 'app', SECRET, oidc.ClientSecretBasic(SECRET), {
      execute: [oidc.allowInsecureRequests],
    });
    const start = oidc.buildAuthorizationUrl(app, {
      redirect_uri: CALLBACK,
      scope: 'openid email',
      state: oidc.randomState(),
      code_challenge: await oidc.calculatePKCECodeChallenge(oidc.randomPKCECodeVerifier()),
      code_challenge_method: 'S256',
    });
    await page.goto(start.href);
    await heading(`Sign in to continue to Story ${HOSTILE}`);
    await checkLook('oauth-sign-in');
    await fill({ login: 'ada', password: `${PASSWORD} and more` });
    await press('Sign in');
    await heading(`Allow Story ${HOSTILE}?`);
    await checkLook('oauth-consent');
    // Nobody listens there; and the next page must not meet a navigation that is still under way.
    const isCallback = (to: URL): boolean => to.href.startsWith(CALLBACK);
    await page.route(isCallback, (route) => route.fulfill({ contentType: 'text/plain', body: 'the application' }));
    await press('Allow');
    await page.waitForURL(isCallback);
    assert.ok(new URL(page.url()).searchParams.has('code'));
    await page.unroute(isCallback);
    await page.goto(`${url}/oauth/interaction/nothing`);
    await heading('This page has expired');
    await checkLook('oauth-expired');
  });

  it('connects a device, and signs out', async () => {
    const tv = await oidc.discovery(new URL(`${url}/oauth`), 'tv', undefined, oidc.None(), {
      execute: [oidc.allowInsecureRequests],
    });
    const device = await oidc.initiateDeviceAuthorization(tv, { scope: 'openid' });
    await page.goto(device.verification_uri);
    await fill({ user_code: 'ABCD-EFGH' });
    await press('Continue');
    await page.waitForSelector('[role=alert]:has-text("expired")');
    await checkLook('oauth-device');
    await fill({ user_code: device.user_code });
    await press('Continue');
    await heading('Is this your device?');
    await checkLook('oauth-device-confirm');
    await page.goto(`${url}/oauth/session/end`);
    await heading('Sign out?');
    await checkLook('oauth-sign-out');
    await press('Sign out everywhere');
    await heading('You are signed out');
  });

  it('speaks German to those who want it', async () => {
    await page.goto(at('register'));
    await page.click('a:text-is("Deutsch")');
    await heading('Konto anlegen');
    await checkLook('account-register-german');
    await page.goto(at('sign-in'));
    await heading('Anmelden');
    await checkLook('account-sign-in-german');
  });
});
