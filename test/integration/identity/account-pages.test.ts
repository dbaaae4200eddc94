/**
 * Pages that anybody opens by themselves: registering, signing in with cookies, and what the configuration says of how
 * all pages look and which language they speak. Without scripts, on a real socket.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { generate } from 'otplib';
import type { IdentityInput } from '../../../src/control/identity/options.ts';
import { type Bench, makeBench, PASSWORD } from './harness.ts';
import { complaintAt, headingOf, open, submit } from './page-reader.ts';

const HOSTILE = '"><script>alert(1)</script>';
const FROM_OWN_PAGE = { 'sec-fetch-site': 'same-origin' };

type Cleanup = { after(done: () => unknown): void };

async function served(t: Cleanup, input: IdentityInput = {}): Promise<{ bench: Bench; pages: string }> {
  const bench = await makeBench(input);
  t.after(() => bench.close());
  const { port } = await bench.identity.start({ host: '127.0.0.1', port: 0 });
  return { bench, pages: `http://127.0.0.1:${port}/api/auth/pages` };
}

/** A form sent as a browser does, with its cookies; what comes is not followed. */
async function send(url: string, fields: Record<string, string>, cookie = ''): Promise<Response> {
  return await fetch(url, {
    method: 'POST',
    redirect: 'manual',
    headers: { ...FROM_OWN_PAGE, ...(cookie === '' ? {} : { cookie }) },
    body: new URLSearchParams(fields),
  });
}

const cookieNames = (response: Response): string[] =>
  response.headers.getSetCookie().map((line) => line.slice(0, line.indexOf('=')));

describe('registering on a page', () => {
  test('an address is registered and confirmed by the link in the email', async (t) => {
    const { bench, pages } = await served(t, { publicUrl: 'https://api.example.com' });
    const page = await open(`${pages}/register`);
    assert.equal(headingOf(page), 'Create an account');
    const wrong = await submit(page, { email: HOSTILE, username: 'a b', password: 'short' });
    assert.equal(wrong.status, 400);
    assert.match(complaintAt(wrong, 'email'), /an email address such as/);
    assert.match(complaintAt(wrong, 'username'), /2 to 32 letters/);
    assert.ok(!wrong.html.includes('<script'));
    const weak = await submit(wrong, { email: 'ada@example.com', username: 'ada', password: 'password123' });
    assert.match(complaintAt(weak, 'password'), /common/);
    const sent = await submit(weak, { email: 'ada@example.com', username: 'ada', password: PASSWORD });
    assert.deepEqual([sent.status, headingOf(sent)], [200, 'Check your mailbox']);
    const again = await submit(weak, { email: 'ada@example.com', username: 'ada', password: PASSWORD });
    assert.equal(again.html, sent.html, 'the answer tells nothing of the address');
    const token = await bench.mailedCode('ada@example.com', 'confirm');
    const confirmed = await submit(await open(`${pages}/verify-email?token=${token}`), { password: PASSWORD });
    assert.equal(headingOf(confirmed), 'Your email address is confirmed');
    assert.equal((await bench.call('POST', '/login', { username: 'ada', password: PASSWORD })).status, 200);
  });

  test('where addresses are not confirmed the account exists at once, without a session', async (t) => {
    const { bench, pages } = await served(t, { registration: { verifyEmail: 'off' } });
    const page = await open(`${pages}/register`);
    const made = await submit(page, { email: 'bea@example.com', username: 'bea', password: PASSWORD });
    assert.deepEqual([made.status, headingOf(made)], [200, 'Your account is ready']);
    const sessions = await bench.identity.context.store.db.selectFrom('sessions').selectAll().execute();
    assert.deepEqual(sessions, []);
    const taken = await submit(page, { email: 'bea@example.com', username: 'other', password: PASSWORD });
    assert.equal(taken.status, 409);
    assert.match(taken.html, /An account with this address exists\./);
  });

  test('is not there where administrators make accounts', async (t) => {
    const { pages } = await served(t, { registration: { open: false }, cookies: {} });
    assert.equal((await open(`${pages}/register`)).status, 404);
    assert.ok(!(await open(`${pages}/sign-in`)).html.includes('href="register"'));
  });

  test('a form of another site registers nobody', async (t) => {
    const { pages } = await served(t);
    const page = await open(`${pages}/register`);
    const values = { email: 'ada@example.com', password: PASSWORD };
    const refused = await submit(page, values, { 'sec-fetch-site': 'cross-site' });
    assert.deepEqual([refused.status, headingOf(refused)], [403, 'That did not work']);
  });
});

describe('signing in on a page', () => {
  test('gives the session in cookies that no script reads, and leads on', async (t) => {
    const { bench, pages } = await served(t, { cookies: {}, publicUrl: 'https://api.example.com' });
    await bench.member('cleo');
    const page = await open(`${pages}/sign-in?next=/gatehouse/console/`);
    assert.equal(headingOf(page), 'Sign in');
    const wrong = await submit(page, { login: 'cleo', password: 'not the password' });
    assert.equal(wrong.status, 401);
    assert.match(wrong.html, /The name or the password is wrong/);
    assert.match(wrong.html, /name="next" value="\/gatehouse\/console\/"/);
    const fields = { login: 'cleo', password: PASSWORD, next: '/gatehouse/console/' };
    const done = await send(`${pages}/sign-in`, fields);
    assert.deepEqual([done.status, done.headers.get('location')], [303, '/gatehouse/console/']);
    assert.deepEqual(cookieNames(done), ['__Host-gh_access', '__Host-gh_session', '__Secure-gh_refresh', 'gh_device']);
    const refresh = done.headers.getSetCookie().find((line) => line.includes('gh_refresh')) ?? '';
    assert.match(refresh, /Path=\/api\/auth\/browser;.*HttpOnly.*SameSite=Strict/);
    const cookie = done.headers
      .getSetCookie()
      .map((line) => line.split(';', 1)[0])
      .join('; ');
    const session = await bench.call('GET', '/browser/session', undefined, undefined, { cookie });
    assert.equal(session.body.user.username, 'cleo');
  });

  test('asks for the second factor as a step of its own', async (t) => {
    const { bench, pages } = await served(t, { cookies: {} });
    const member = await bench.member('dora');
    const { secret } = (await bench.call('POST', '/mfa/totp', undefined, member.accessToken)).body;
    const code = () => generate({ secret, epoch: Math.floor(bench.clock.wallMs() / 1_000) });
    await bench.call('POST', '/mfa/totp/confirm', { code: await code() }, member.accessToken);
    bench.clock.advance(30_000);
    const factor = await submit(await open(`${pages}/sign-in?next=/home`), { login: 'dora', password: PASSWORD });
    assert.deepEqual([factor.status, headingOf(factor)], [200, 'Second factor']);
    const wrong = await submit(factor, { code: '000000' });
    assert.equal(wrong.status, 401);
    assert.match(wrong.html, /The code is wrong\./);
    const ticket = /name="ticket" value="([^"]+)"/.exec(wrong.html)?.[1] ?? '';
    const done = await send(`${pages}/sign-in`, { ticket, code: await code(), next: '/home' });
    assert.deepEqual([done.status, done.headers.get('location')], [303, '/home']);
    const used = await submit(wrong, { code: await code() });
    assert.equal(headingOf(used), 'Sign in', 'a ticket that was used leads back to the password');
  });

  for (const next of [
    'https://evil.example/',
    '//evil.example/',
    '/\\evil.example/',
    '\\\\evil.example',
    '/\t/evil.example',
    'javascript:alert(1)',
    '/ok/../../\\evil.example',
    HOSTILE,
    '/'.padEnd(3_000, 'a'),
  ])
    test(`leads nowhere else: ${JSON.stringify(next.slice(0, 30))}`, async (t) => {
      const { bench, pages } = await served(t, { cookies: {} });
      await bench.member('emil');
      const page = await open(`${pages}/sign-in?${new URLSearchParams({ next })}`);
      assert.ok(!page.html.includes('name="next"'));
      const done = await send(`${pages}/sign-in`, { login: 'emil', password: PASSWORD, next });
      assert.deepEqual([done.status, done.headers.get('location')], [200, null]);
    });

  test('leads to a page elsewhere that the configuration allows', async (t) => {
    const app = 'https://app.example.com/welcome';
    const { bench, pages } = await served(t, { cookies: {}, returnTo: [app] });
    await bench.member('fay');
    const page = await fetch(`${pages}/sign-in?${new URLSearchParams({ next: app })}`);
    // Chromium holds the redirect after a form against `form-action` too.
    assert.match(page.headers.get('content-security-policy') ?? '', /form-action 'self' https:\/\/app\.example\.com$/);
    const done = await send(`${pages}/sign-in`, { login: 'fay', password: PASSWORD, next: app });
    assert.deepEqual([done.status, done.headers.get('location')], [303, app]);
  });

  test('is not there where sessions are not in cookies', async (t) => {
    const { pages } = await served(t);
    assert.equal((await open(`${pages}/sign-in`)).status, 404);
  });
});

describe('how pages look and speak', () => {
  test('name, logo, colours and texts are the configuration’s, and nothing in them runs', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'gatehouse-logo-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const logo = join(folder, 'logo.svg');
    writeFileSync(logo, '<svg xmlns="http://www.w3.org/2000/svg"/>');
    const { pages } = await served(t, {
      pages: {
        name: HOSTILE,
        logo,
        colours: { light: { accent: '#7a1fd0' }, dark: { card: '#101014' } },
        texts: { en: { registerTitle: `Join ${HOSTILE}` } },
      },
    });
    const response = await fetch(`${pages}/register`);
    const html = await response.text();
    assert.ok(!html.includes('<script'));
    assert.ok(html.includes('<h1>Join &#34;&#62;&#60;script'));
    assert.ok(html.includes('<img src="data:image/svg+xml;base64,PHN2Zy'));
    assert.match(html, /--accent:#7a1fd0.*prefers-color-scheme:dark.*--card:#101014/s);
    assert.match(response.headers.get('content-security-policy') ?? '', /img-src data:;/);
  });

  test('the browser’s language is spoken, and another that somebody chooses is kept', async (t) => {
    const { pages } = await served(t);
    const german = await (await fetch(`${pages}/register`, { headers: { 'accept-language': 'de-CH' } })).text();
    assert.match(german, /<html lang="de">.*<h1>Konto anlegen<\/h1>.*<a href="\?lang=en" lang="en"/s);
    const french = await fetch(`${pages}/register`, { headers: { 'accept-language': 'fr' } });
    assert.match(await french.text(), /<html lang="en">/);
    const chosen = await fetch(`${pages}/forgot-password?lang=de`);
    assert.match(await chosen.text(), /<h1>Passwort zurücksetzen<\/h1>/);
    const [cookie = ''] = chosen.headers.getSetCookie();
    assert.match(cookie, /^gh_language=de; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Lax$/);
    const kept = await send(`${pages}/forgot-password`, { email: 'nonsense' }, cookie.split(';', 1)[0]);
    assert.match(await kept.text(), /Geben Sie eine E-Mail-Adresse/);
    for (const lang of ['xx', HOSTILE]) {
      const odd = await fetch(`${pages}/register?${new URLSearchParams({ lang })}`);
      assert.deepEqual(odd.headers.getSetCookie(), []);
      assert.match(await odd.text(), /<html lang="en">/);
    }
  });

  test('one language is no choice', async (t) => {
    const { pages } = await served(t, { pages: { languages: ['de'] } });
    const html = await (await fetch(`${pages}/register`, { headers: { 'accept-language': 'en' } })).text();
    assert.ok(html.includes('<html lang="de">') && !html.includes('<footer>'));
  });
});
