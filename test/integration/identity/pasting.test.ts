/** What people paste is taken where it can only be one thing: blanks, line ends and unseen characters come along. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generate } from 'otplib';
import { makeBench, PASSWORD } from './harness.ts';

test('codes, tokens and addresses of every form are taken as they are copied', async (t) => {
  const bench = await makeBench();
  t.after(() => bench.close());
  const { call } = bench;
  for (const [typed, kept] of [
    [' Ann <Ann@Example.com> ', 'ann@example.com'],
    ['mailto:bob@example.com', 'bob@example.com'],
    ['carl\u200b@b\u00fccher.example\n', 'carl@xn--bcher-kva.example'],
    ["o'neil+shop@sub.example.co.uk", "o'neil+shop@sub.example.co.uk"],
  ] as const) {
    const asked = await call('POST', '/register', { email: typed, password: PASSWORD });
    assert.equal(asked.status, 202, typed);
    const token = await bench.mailedCode(kept, 'confirm');
    const pasted = ` ${token.slice(0, 10)}\r\n${token.slice(10)}\ufeff`;
    const confirmed = await call('POST', '/verify-email', { token: pasted, password: PASSWORD });
    assert.deepEqual([confirmed.status, confirmed.body.user?.email], [200, kept], typed);
    const signedIn = await call('POST', '/login', { email: typed, password: PASSWORD });
    assert.equal(signedIn.status, 200, `signs in as ${typed}`);
  }
  for (const wrong of [
    'ann',
    'ann@',
    '@example.com',
    'a@b@example.com',
    'ann@exa mple..com\u0000',
    '<>',
    'x <y> z@w.example',
  ])
    assert.equal((await call('POST', '/register', { email: wrong, password: PASSWORD })).status, 400, wrong);
});

test('second factors too; a password is never changed', async (t) => {
  const bench = await makeBench();
  t.after(() => bench.close());
  const { call } = bench;
  const member = await bench.member('nora');
  const { secret } = (await call('POST', '/mfa/totp', undefined, member.accessToken)).body;
  const code = (): Promise<string> => generate({ secret, epoch: Math.floor(bench.clock.wallMs() / 1_000) });
  const first = await code();
  const spaced = `${first.slice(0, 3)}\u00a0${first.slice(3)} `;
  const confirmed = await call('POST', '/mfa/totp/confirm', { code: spaced }, member.accessToken);
  assert.equal(confirmed.status, 200, JSON.stringify(confirmed.body));
  const [one = '', two = ''] = confirmed.body.recoveryCodes as string[];
  const ticket = async (): Promise<string> =>
    (await call('POST', '/login', { username: 'nora', password: PASSWORD })).body.mfaTicket;
  for (const recoveryCode of [one.toUpperCase().replace('-', ' \u2013 '), ` ${two.replace('-', '')}\n`])
    assert.equal(
      (await call('POST', '/login/mfa', { mfaTicket: await ticket(), recoveryCode })).status,
      200,
      recoveryCode,
    );
  bench.clock.advance(60_000);
  const second = await code();
  const dashed = `${second.slice(0, 3)}-${second.slice(3)}`;
  assert.equal((await call('POST', '/login/mfa', { mfaTicket: ` ${await ticket()} `, code: dashed })).status, 200);
  const blank = await call('POST', '/login', { username: 'nora', password: ` ${PASSWORD}` });
  assert.equal(blank.status, 401, 'blanks are part of a password');
});
