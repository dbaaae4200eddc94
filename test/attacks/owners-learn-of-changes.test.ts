/**
 * Rule: whoever owns an account learns by email of each change to what opens it, as docs/guide/mfa.md promises. The
 * email goes out with the change or not at all: both are one transaction.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generate } from 'otplib';
import { type Bench, makeBench, PASSWORD } from '../integration/identity/harness.ts';
import { SoftwareAuthenticator } from '../integration/identity/software-authenticator.ts';

const ORIGIN = 'http://localhost:8000';
const ABOUT_ACCESS = /Subject: .*(access to your account|second factors|your password)/;

test('factors, recovery codes, keys, links, children, passwords and grants: one email each, and what changed is in it', async (t) => {
  const bench = await makeBench({ publicUrl: ORIGIN });
  t.after(() => bench.close());
  const nora = await bench.member('nora');
  const admin = await bench.admin();
  const { db } = bench.identity.context.store;
  let token = nora.accessToken;
  const mailsToNora = async (): Promise<string[]> =>
    (await bench.mails()).filter((mail) => mail.includes(`To: ${nora.email}\r\n`) && ABOUT_ACCESS.test(mail));
  let seen = (await mailsToNora()).length;
  const call = async (method: string, path: string, body?: object, as = token) => {
    const answer = await bench.call(method, path, body, as);
    assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    token = as === token && typeof answer.body.accessToken === 'string' ? answer.body.accessToken : token;
    return answer.body;
  };
  /** The one email that `change` causes. */
  const tells = async (change: () => Promise<unknown>, words: RegExp): Promise<void> => {
    await change();
    const mails = (await mailsToNora()).slice(seen);
    seen += mails.length;
    assert.equal(mails.filter((mail) => words.test(mail)).length, 1, `${words} in ${mails.join('\n---\n')}`);
  };
  const passkey = async (): Promise<string> => {
    const offered = await call('POST', '/mfa/passkeys/options');
    const response = new SoftwareAuthenticator(ORIGIN).create(offered);
    return (await call('POST', '/mfa/passkeys', { name: 'p', response })).id;
  };
  const link = { provider: 'example', subject: 's', user_id: nora.id, email: null, created_at: 0 };

  const { secret } = await call('POST', '/mfa/totp');
  const code = await generate({ secret, epoch: Math.floor(bench.clock.wallMs() / 1_000) });
  await tells(() => call('POST', '/mfa/totp/confirm', { code }), /A second factor was added/);
  let added = '';
  await tells(async () => (added = await passkey()), /A second factor was added/);
  let recovery: string[] = [];
  await tells(
    async () => (recovery = (await call('POST', '/mfa/recovery-codes')).recoveryCodes),
    /New recovery codes were made/,
  );
  await tells(async () => {
    const first = await bench.call('POST', '/login', { username: 'nora', password: PASSWORD });
    const { mfaTicket } = first.body;
    await bench.call('POST', '/login/mfa', { mfaTicket, recoveryCode: recovery[0] });
  }, /A recovery code of your account was used; 9 are left/);
  await tells(() => call('DELETE', `/mfa/passkeys/${added}`), /A second factor was removed/);
  await tells(() => call('DELETE', '/mfa/totp'), /A second factor was removed/);

  let key = '';
  await tells(async () => (key = (await call('POST', '/keys', { name: 'k' })).id), /The API key "k" was made/);
  await tells(async () => (key = (await call('POST', `/keys/${key}/rotate`, {})).id), /The API key "k".*was replaced/);
  const child = { username: 'kid', password: PASSWORD, birthDate: '2018-01-01' };
  await tells(() => call('POST', '/children', child), /The child account "kid" was made/);

  await db.insertInto('linked_accounts').values(link).execute();
  await tells(() => call('DELETE', '/outside/example/link'), /The link .* example was removed/);

  await passkey();
  await db.insertInto('linked_accounts').values(link).execute();
  seen = (await mailsToNora()).length;
  const change = { currentPassword: PASSWORD, newPassword: `${PASSWORD} 2`, removePasskeys: true, removeLinks: true };
  await call('POST', '/password', change);
  const mails = (await mailsToNora()).slice(seen);
  seen += mails.length;
  for (const words of [/password of your account was changed/, /All passkeys were removed/, /All links .* removed/])
    assert.equal(mails.filter((mail) => words.test(mail)).length, 1, String(words));

  await passkey();
  seen = (await mailsToNora()).length;
  await tells(
    () => call('DELETE', `/admin/users/${nora.id}/mfa`, undefined, admin.accessToken),
    /An administrator removed the second factors/,
  );
  await tells(
    () => call('POST', `/admin/users/${nora.id}/password`, { newPassword: `${PASSWORD} 3` }, admin.accessToken),
    /password of your account was changed/,
  );
});

test('a reset of an account that never confirmed its address says what of before it took away', async (t) => {
  const bench: Bench = await makeBench({ publicUrl: ORIGIN, registration: { verifyEmail: 'off' } });
  t.after(() => bench.close());
  const body = { email: 'owner@example.com', password: PASSWORD };
  const { accessToken } = (await bench.call('POST', '/register', body)).body;
  const offered = await bench.call('POST', '/mfa/passkeys/options', undefined, accessToken);
  const response = new SoftwareAuthenticator(ORIGIN).create(offered.body);
  assert.equal((await bench.call('POST', '/mfa/passkeys', { name: 'p', response }, accessToken)).status, 201);
  await bench.call('POST', '/password/forgot', { email: body.email });
  const token = await bench.mailedCode(body.email, 'new password');
  const reset = await bench.call('POST', '/password/reset', { token, newPassword: `${PASSWORD} new` });
  assert.equal(reset.status, 200);
  assert.equal((await bench.mails()).filter((mail) => mail.includes('set up before you confirmed')).length, 1);
});
