/**
 * In which language emails are: what the account keeps, which is what its owner read when registering, until they or an
 * administrator change it; and that nothing of a name that somebody chose becomes HTML.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { IdentityInput } from '../../../src/control/identity/options.ts';
import { type Bench, makeBench, PASSWORD } from './harness.ts';

const FROM_OWN_PAGE = { 'sec-fetch-site': 'same-origin' };
const ENGLISH = 'confirm your address';
const GERMAN = 'Bestätigen Sie Ihre Adresse';

async function served(t: { after(done: () => unknown): void }, input: IdentityInput = {}) {
  const bench = await makeBench(input);
  t.after(() => bench.close());
  const { port } = await bench.identity.start({ host: '127.0.0.1', port: 0 });
  return { bench, url: `http://127.0.0.1:${port}/api/auth` };
}

interface Mail {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  readonly language: string | undefined;
}

/** Emails to an address, in the order in which they were sent. */
async function mailsTo(bench: Bench, name: string): Promise<Mail[]> {
  const all = await bench.mails();
  return all.filter((mail) => mail.includes(`To: ${name}@example.com\r\n`)).map(readMail);
}

function readMail(file: string): Mail {
  const [head = ''] = file.split('\r\n\r\n', 1);
  const subject = (/^Subject: (.*(?:\r\n .*)*)/m.exec(head)?.[1] ?? '')
    .replaceAll(/\?=\r\n =\?UTF-8\?B\?/g, '?==?UTF-8?B?')
    .replaceAll(/=\?UTF-8\?B\?([^?]*)\?=/g, (_, word) => Buffer.from(word, 'base64').toString());
  const boundary = /boundary="([^"]+)"/.exec(head)?.[1];
  assert.ok(boundary !== undefined, file);
  const [, text = '', html = ''] = file.split(`--${boundary}`).map((part) => part.slice(part.indexOf('\r\n\r\n') + 4));
  return { subject, text, html, language: /^Content-Language: (\S+)/m.exec(head)?.[1] };
}

const register = async (url: string, name: string, more: object = {}, headers: Record<string, string> = {}) =>
  await fetch(`${url}/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ email: `${name}@example.com`, username: name, password: PASSWORD, ...more }),
  });

const codeOf = ({ text }: Mail): string => /token=(\w+)/.exec(text)?.[1] ?? '';

async function confirm(bench: Bench, name: string): Promise<string> {
  const [mail] = await mailsTo(bench, name);
  const confirmed = await bench.call('POST', '/verify-email', { token: codeOf(mail!), password: PASSWORD });
  assert.equal(confirmed.status, 200, JSON.stringify(confirmed.body));
  const { body } = await bench.call('POST', '/login', { username: name, password: PASSWORD });
  return body.accessToken;
}

describe('the language of emails', () => {
  test('is what the registration was read in, and stays the account’s', async (t) => {
    const { bench, url } = await served(t);
    for (const [name, accepts, language, subject] of [
      ['gerd', 'de-AT, en;q=0.5', 'de', GERMAN],
      ['ann', 'en-GB', 'en', ENGLISH],
      ['paul', 'fr, it;q=0.3', null, ENGLISH],
    ] as const) {
      assert.equal((await register(url, name, {}, { 'accept-language': accepts })).status, 202);
      const [mail] = await mailsTo(bench, name);
      assert.equal(mail?.subject, `Gatehouse: ${subject}`);
      const token = await confirm(bench, name);
      assert.equal((await bench.call('GET', '/me', undefined, token)).body.language, language);
    }
    // The language of whoever causes the email, here a browser in English, is not that of the account.
    await bench.call('POST', '/password/forgot', { email: 'gerd@example.com' }, undefined, { 'accept-language': 'en' });
    const reset = (await mailsTo(bench, 'gerd')).at(-1)!;
    assert.deepEqual([reset.subject, reset.language], ['Gatehouse: Neues Passwort festlegen', 'de']);
    assert.match(reset.text, /Jemand hat für das Konto „gerd“/);
    assert.match(reset.html, /^<!doctype html>\r\n<html lang="de">/);
    assert.match(reset.html, /<strong>gerd<\/strong>/);
    assert.ok(reset.html.includes(`/pages/reset-password?token=${codeOf(reset)}"`), 'the link is in both parts');
  });

  test('is what a page was read in, and what somebody chose on one becomes the account’s when they sign in', async (t) => {
    const { bench, url } = await served(t, { cookies: {} });
    const send = (page: string, fields: Record<string, string>, headers: Record<string, string> = {}) =>
      fetch(`${url}/pages/${page}`, {
        method: 'POST',
        redirect: 'manual',
        headers: { ...FROM_OWN_PAGE, ...headers },
        body: new URLSearchParams(fields),
      });
    const fields = { email: 'ida@example.com', username: 'ida', password: PASSWORD };
    await send('register', fields, { cookie: 'gh_language=de', 'accept-language': 'en' });
    assert.equal((await mailsTo(bench, 'ida'))[0]?.subject, `Gatehouse: ${GERMAN}`);
    const token = await confirm(bench, 'ida');
    const language = async () => (await bench.call('GET', '/me', undefined, token)).body.language;
    assert.equal(await language(), 'de');
    const credentials = { login: 'ida', password: PASSWORD };
    await send('sign-in', credentials, { 'accept-language': 'en' });
    assert.equal(await language(), 'de', 'a browser chooses nothing');
    await send('sign-in', credentials, { cookie: 'gh_language=en' });
    assert.equal(await language(), 'en');
  });

  test('is changed by the account and by administrators, to one that there is', async (t) => {
    const { bench, url } = await served(t);
    const admin = await bench.admin();
    assert.equal((await register(url, 'otto', { language: 'de-CH' })).status, 202);
    assert.equal((await register(url, 'nobody', { language: 'fr' })).status, 400);
    const token = await confirm(bench, 'otto');
    const change = (language: unknown) => bench.call('PATCH', '/me', { language }, token);
    assert.equal((await change('en')).body.language, 'en');
    const refused = await change('fr');
    assert.deepEqual(
      [refused.status, refused.body.errors],
      [400, [{ field: 'language', value: '"fr"', expected: 'one of en, de' }]],
    );
    assert.equal((await change('<b>')).status, 400);
    assert.equal((await change(null)).body.language, null);
    const { id } = (await bench.call('GET', '/me', undefined, token)).body;
    const path = `/admin/users/${id}`;
    const set = await bench.call('PATCH', path, { language: 'de' }, admin.accessToken);
    assert.equal(set.body.language, 'de');
    assert.deepEqual((await bench.call('GET', path, undefined, admin.accessToken)).body.languages, ['en', 'de']);
    await bench.call('POST', '/keys', { name: 'script' }, token);
    assert.equal((await mailsTo(bench, 'otto')).at(-1)?.subject, 'Gatehouse: Der Zugang zu Ihrem Konto wurde geändert');
    const made = { email: 'uwe@example.com', language: 'de' };
    assert.equal((await bench.call('POST', '/admin/users', made, admin.accessToken)).body.language, 'de');
  });

  test('of an address that has an account is its owner’s, not the stranger’s', async (t) => {
    const { bench, url } = await served(t);
    await register(url, 'vera', { language: 'de' });
    await confirm(bench, 'vera');
    await register(url, 'vera', { username: 'other', language: 'en' });
    assert.equal((await mailsTo(bench, 'vera')).at(-1)?.subject, 'Gatehouse: Sie haben bereits ein Konto');
  });

  test('is the default where the configuration has dropped the account’s', async (t) => {
    const { bench, url } = await served(t, { pages: { languages: ['de'] } });
    await register(url, 'lena');
    await confirm(bench, 'lena');
    const { db } = bench.identity.context.store;
    await db.updateTable('users').set({ language: 'en' }).where('username', '=', 'lena').execute();
    await bench.call('POST', '/password/forgot', { email: 'lena@example.com' });
    assert.equal((await mailsTo(bench, 'lena')).at(-1)?.language, 'de');
  });
});

describe('what an email shows', () => {
  test('name, colours and texts are the configuration’s, and markup in them and in names is shown, not run', async (t) => {
    const hostile = '"><img src=x onerror=alert(1)>';
    const { bench } = await served(t, {
      pages: { name: `Harbour ${hostile}`, colours: { light: { accent: '#7a1fd0' } } },
      mail: { texts: { en: { keyMade: 'New key "{name}".\r\nSee <b>here</b>', accessSubject: 'a new\nkey' } } },
    });
    const { accessToken } = await bench.member('mona');
    assert.equal((await bench.call('POST', '/keys', { name: hostile }, accessToken)).status, 201);
    const [verify, key] = (await mailsTo(bench, 'mona')) as [Mail, Mail];
    assert.ok(verify.html.includes('background:#7a1fd0'));
    assert.equal(key.subject, `Harbour ${hostile}: a new key`);
    assert.ok(key.text.includes(`New key "${hostile}".`), key.text);
    for (const { html } of [verify, key]) {
      assert.ok(!/<(img|b|script)\b/.test(html), html);
      assert.ok(!/(src|href)="(?!http:\/\/127\.0\.0\.1)/.test(html), 'nothing comes from elsewhere');
    }
    assert.ok(key.html.includes('&#60;b&#62;here'), key.html);
  });
});
