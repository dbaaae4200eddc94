/** Second factors: authenticator codes, recovery codes, passkeys, step-up, and accounts that must have one. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decodeJwt } from 'jose';
import { generate } from 'otplib';
import { type Bench, type Member, makeBench, PASSWORD } from './harness.ts';
import { SoftwareAuthenticator } from './software-authenticator.ts';

type Cleanup = { after(done: () => Promise<void>): void };

async function benchFor(t: Cleanup, ...args: Parameters<typeof makeBench>): Promise<Bench> {
  const bench = await makeBench(...args);
  t.after(() => bench.close());
  return bench;
}

const codeAt = (bench: Bench, secret: string): Promise<string> =>
  generate({ secret, epoch: Math.floor(bench.clock.wallMs() / 1_000) });

async function enrol(
  bench: Bench,
  member: Member,
): Promise<{ secret: string; recoveryCodes: string[]; accessToken: string }> {
  const enrolled = await bench.call('POST', '/mfa/totp', undefined, member.accessToken);
  assert.equal(enrolled.status, 201, JSON.stringify(enrolled.body));
  const { secret, uri } = enrolled.body;
  assert.match(uri, /^otpauth:\/\/totp\/Gatehouse/);
  const confirmed = await bench.call(
    'POST',
    '/mfa/totp/confirm',
    { code: await codeAt(bench, secret) },
    member.accessToken,
  );
  assert.equal(confirmed.status, 200, JSON.stringify(confirmed.body));
  return { secret, recoveryCodes: confirmed.body.recoveryCodes, accessToken: confirmed.body.accessToken };
}

async function ticketOf(bench: Bench, username: string): Promise<string> {
  const { status, body } = await bench.call('POST', '/login', { username, password: PASSWORD });
  assert.deepEqual([status, body.code, body.reason], [403, 'MFA_REQUIRED', 'mfa_required']);
  assert.ok(!('accessToken' in body));
  return body.mfaTicket;
}

describe('authenticator codes', () => {
  test('an enrolled account signs in with both factors, and the token says so', async (t) => {
    const bench = await benchFor(t);
    const { secret, accessToken } = await enrol(bench, await bench.member('otto'));
    assert.equal(decodeJwt(accessToken)['mfa_verified'], true);
    bench.clock.advance(30_000);
    const body = { mfaTicket: await ticketOf(bench, 'otto'), code: await codeAt(bench, secret) };
    const done = await bench.call('POST', '/login/mfa', body);
    assert.equal(done.status, 200);
    const claims = decodeJwt(done.body.accessToken);
    assert.equal(claims['mfa_verified'], true);
    assert.deepEqual(claims['amr'], ['pwd', 'otp', 'mfa']);
    assert.equal((await bench.call('POST', '/login/mfa', body)).status, 401, 'the ticket was used');
  });

  test('the same code is refused the second time, and an earlier one after it', async (t) => {
    const bench = await benchFor(t);
    const { secret } = await enrol(bench, await bench.member('otto'));
    const earlier = await codeAt(bench, secret);
    bench.clock.advance(30_000);
    const code = await codeAt(bench, secret);
    const give = async (text: string) =>
      bench.call('POST', '/login/mfa', { mfaTicket: await ticketOf(bench, 'otto'), code: text });
    assert.equal((await give(code)).status, 200);
    assert.equal((await give(code)).body.reason, 'invalid_second_factor');
    assert.equal((await give(earlier)).body.reason, 'invalid_second_factor');
  });

  test('one code given eight times at once passes once', async (t) => {
    const bench = await benchFor(t, { lockout: { freeAttempts: 100 } });
    const { secret } = await enrol(bench, await bench.member('otto'));
    bench.clock.advance(30_000);
    const code = await codeAt(bench, secret);
    const tickets = await Promise.all(Array.from({ length: 8 }, () => ticketOf(bench, 'otto')));
    const answers = await Promise.all(
      tickets.map((mfaTicket) => bench.call('POST', '/login/mfa', { mfaTicket, code })),
    );
    assert.equal(answers.filter((answer) => answer.status === 200).length, 1);
  });

  test('guessing ends the ticket and slows the account down', async (t) => {
    const bench = await benchFor(t);
    const { secret } = await enrol(bench, await bench.member('otto'));
    bench.clock.advance(30_000);
    const mfaTicket = await ticketOf(bench, 'otto');
    const right = await codeAt(bench, secret);
    const wrong = right === '000000' ? '000001' : '000000';
    for (let i = 0; i < 5; i++)
      assert.equal((await bench.call('POST', '/login/mfa', { mfaTicket, code: wrong })).status, 401);
    assert.equal((await bench.call('POST', '/login/mfa', { mfaTicket, code: right })).body.reason, 'invalid_ticket');
    assert.equal(
      (await bench.call('POST', '/login', { username: 'otto', password: PASSWORD })).status,
      401,
      'locked for a moment',
    );
  });

  test('a secret that was never confirmed asks for nothing', async (t) => {
    const bench = await benchFor(t);
    const member = await bench.member('otto');
    await bench.call('POST', '/mfa/totp', undefined, member.accessToken);
    assert.equal((await bench.call('POST', '/login', { username: 'otto', password: PASSWORD })).status, 200);
  });

  test('a password changed meanwhile voids the ticket', async (t) => {
    const bench = await benchFor(t);
    const { secret } = await enrol(bench, await bench.member('otto'));
    const mfaTicket = await ticketOf(bench, 'otto');
    await bench.call('POST', '/password/forgot', { email: 'otto@example.com' });
    const token = await bench.mailedCode('otto@example.com', 'new password');
    await bench.call('POST', '/password/reset', { token, newPassword: 'seven lamps over the harbour' });
    bench.clock.advance(30_000);
    assert.equal(
      (await bench.call('POST', '/login/mfa', { mfaTicket, code: await codeAt(bench, secret) })).status,
      401,
    );
  });
});

describe('recovery codes', () => {
  test('each works once, new ones void the old', async (t) => {
    const bench = await benchFor(t);
    const { recoveryCodes, accessToken } = await enrol(bench, await bench.member('otto'));
    assert.equal(new Set(recoveryCodes).size, 10);
    const [first = '', second = ''] = recoveryCodes;
    const give = async (recoveryCode: string) =>
      bench.call('POST', '/login/mfa', { mfaTicket: await ticketOf(bench, 'otto'), recoveryCode });
    assert.equal((await give(first.toUpperCase().replace('-', ''))).status, 200);
    assert.equal((await give(first)).status, 401);
    assert.equal((await bench.call('GET', '/mfa', undefined, accessToken)).body.recoveryCodesLeft, 9);
    const renewed = await bench.call('POST', '/mfa/recovery-codes', undefined, accessToken);
    assert.equal(renewed.status, 201);
    assert.equal((await give(second)).status, 401);
    assert.equal((await give(renewed.body.recoveryCodes[0])).status, 200);
  });

  test('are kept only as keyed hashes', async (t) => {
    const bench = await benchFor(t);
    const { recoveryCodes, secret } = await enrol(bench, await bench.member('otto'));
    const { db } = bench.identity.context.store;
    const text = JSON.stringify([
      await db.selectFrom('recovery_codes').selectAll().execute(),
      await db.selectFrom('mfa_totp').selectAll().execute(),
    ]);
    for (const code of [...recoveryCodes, ...recoveryCodes.map((each) => each.replace('-', '')), secret])
      assert.ok(!text.includes(code));
  });
});

describe('step-up', () => {
  test('a sensitive change needs a recent second factor', async (t) => {
    const bench = await benchFor(t);
    const member = await bench.member('otto');
    const { secret } = await enrol(bench, member);
    assert.equal((await bench.call('POST', '/keys', { name: 'now' }, member.accessToken)).status, 201);
    bench.clock.advance(11 * 60_000);
    const { accessToken } = (await bench.call('POST', '/refresh', { refreshToken: member.refreshToken })).body;
    const refused = await bench.call('POST', '/keys', { name: 'later' }, accessToken);
    assert.deepEqual([refused.status, refused.body.reason], [403, 'step_up_required']);
    assert.equal((await bench.call('DELETE', '/mfa/totp', undefined, accessToken)).status, 403);
    const stepped = await bench.call('POST', '/mfa/step-up', { code: await codeAt(bench, secret) }, accessToken);
    assert.equal(stepped.status, 200);
    const claims = decodeJwt(stepped.body.accessToken);
    assert.equal(claims['auth_time'], Math.floor(bench.clock.wallMs() / 1_000));
    assert.equal((await bench.call('POST', '/keys', { name: 'later' }, stepped.body.accessToken)).status, 201);
    assert.equal((await bench.call('DELETE', '/mfa/totp', undefined, stepped.body.accessToken)).status, 200);
    assert.equal((await bench.call('POST', '/login', { username: 'otto', password: PASSWORD })).status, 200);
  });
});

describe('a lost device', () => {
  test('is removed by an administrator, which ends all sessions and is told by mail', async (t) => {
    const bench = await benchFor(t);
    const [admin, member] = [await bench.admin(), await bench.member('otto')];
    await enrol(bench, member);
    const removed = await bench.call('DELETE', `/admin/users/${member.id}/mfa`, undefined, admin.accessToken);
    assert.equal(removed.status, 200);
    assert.equal((await bench.call('GET', '/me', undefined, member.accessToken)).status, 401);
    assert.equal((await bench.call('POST', '/login', { username: 'otto', password: PASSWORD })).status, 200);
    assert.ok(
      (await bench.mails()).some((mail) => mail.includes('To: otto@') && mail.includes('An administrator removed')),
    );
    assert.equal(
      (await bench.call('DELETE', `/admin/users/${admin.id}/mfa`, undefined, member.accessToken)).status,
      401,
    );
  });
});

describe('REQUIRE_MFA', () => {
  test('an account without a second factor may do nothing but set one up', async (t) => {
    const bench = await makeBench({ roles: { user: { scopes: ['read'] } } }, { environment: { REQUIRE_MFA: 'true' } });
    t.after(() => bench.close());
    const member = await bench.member('must');
    assert.deepEqual(
      [decodeJwt(member.accessToken)['scope'], decodeJwt(member.accessToken)['roles']],
      ['identity:enrol-mfa', []],
    );
    assert.equal(
      (await bench.call('GET', '/sessions', undefined, member.accessToken)).body.reason,
      'mfa_enrolment_required',
    );
    const { accessToken } = await enrol(bench, member);
    assert.equal(decodeJwt(accessToken)['scope'], 'read');
    const refreshed = await bench.call('POST', '/refresh', { refreshToken: member.refreshToken });
    assert.equal(decodeJwt(refreshed.body.accessToken)['scope'], 'read');
    const removal = await bench.call('DELETE', '/mfa/totp', undefined, refreshed.body.accessToken);
    assert.equal(removal.body.reason, 'mfa_required', 'the last one stays');
  });

  test('by role it binds those who have the role', async (t) => {
    const bench = await benchFor(t, { mfa: { requiredRoles: ['admin'] } });
    const [admin, member] = [await bench.admin(), await bench.member('free')];
    assert.equal((await bench.call('GET', '/admin/users', undefined, admin.accessToken)).status, 403);
    assert.equal((await bench.call('GET', '/sessions', undefined, member.accessToken)).status, 200);
  });
});

describe('passkeys', () => {
  async function register(bench: Bench, member: Member, device: SoftwareAuthenticator) {
    const options = await bench.call('POST', '/mfa/passkeys/options', undefined, member.accessToken);
    const body = { name: 'my key', response: device.create(options.body) };
    return bench.call('POST', '/mfa/passkeys', body, member.accessToken);
  }

  test('one is registered, signs in alone, and is a second factor', async (t) => {
    const bench = await benchFor(t, { publicUrl: 'http://localhost:8000' });
    const member = await bench.member('paula');
    const device = new SoftwareAuthenticator('http://localhost:8000');
    const made = await register(bench, member, device);
    assert.equal(made.status, 201, JSON.stringify(made.body));
    assert.equal(made.body.recoveryCodes.length, 10);

    const challenge = await bench.call('POST', '/passkeys/challenge');
    const alone = await bench.call('POST', '/login/passkey', { passkey: device.get(challenge.body) });
    assert.equal(alone.status, 200, JSON.stringify(alone.body));
    assert.equal(decodeJwt(alone.body.accessToken)['mfa_verified'], true);

    const mfaTicket = await ticketOf(bench, 'paula');
    const second = await bench.call('POST', '/passkeys/challenge');
    const done = await bench.call('POST', '/login/mfa', { mfaTicket, passkey: device.get(second.body) });
    assert.equal(done.status, 200);
  });

  test('a replayed answer, a cloned counter, another origin and another device are refused', async (t) => {
    const bench = await benchFor(t, { publicUrl: 'http://localhost:8000' });
    const member = await bench.member('paula');
    const device = new SoftwareAuthenticator('http://localhost:8000');
    await register(bench, member, device);
    const challenge = async () => (await bench.call('POST', '/passkeys/challenge')).body;
    const login = async (passkey: object) => (await bench.call('POST', '/login/passkey', { passkey })).status;
    const answer = device.get(await challenge());
    assert.equal(await login(answer), 200);
    assert.equal(await login(answer), 401, 'replay');
    assert.equal(await login(device.get(await challenge(), { counter: 1 })), 401, 'counter went back');
    assert.equal(await login(device.get(await challenge(), { origin: 'https://evil.example' })), 401, 'origin');
    assert.equal(await login(device.get(await challenge(), { verified: false })), 401, 'no user verification');
    assert.equal(await login(device.get({ ...(await challenge()), challenge: 'AAAA' })), 401, 'own challenge');
    const stranger = new SoftwareAuthenticator('http://localhost:8000');
    assert.equal(await login(stranger.get(await challenge())), 401, 'unknown device');
    assert.equal(await login(device.get(await challenge())), 200);
  });

  test('the challenge of one account registers nothing for another', async (t) => {
    const bench = await benchFor(t, { publicUrl: 'http://localhost:8000' });
    const [one, two] = [await bench.member('one'), await bench.member('two')];
    const options = await bench.call('POST', '/mfa/passkeys/options', undefined, one.accessToken);
    const response = new SoftwareAuthenticator('http://localhost:8000').create(options.body);
    assert.equal((await bench.call('POST', '/mfa/passkeys', { name: 'x', response }, two.accessToken)).status, 400);
  });
});
