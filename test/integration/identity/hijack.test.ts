/**
 * Accounts made in advance: somebody registers another's address, or moves an account to it, and waits for that person
 * to confirm it. Nothing that was set before the owner of the address came may open the account afterwards.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { generate } from 'otplib';
import { type Bench, makeBench, PASSWORD } from './harness.ts';

const OWNERS = 'seven lamps over the harbour';
const VICTIM = 'victim@example.com';

async function bench(t: TestContext, verifyEmail: 'required' | 'off' = 'required'): Promise<Bench> {
  const made = await makeBench({ registration: { verifyEmail }, lockout: { addressAttempts: 10_000 } });
  t.after(() => made.close());
  return made;
}

async function statusOfLogin(service: Bench, password: string): Promise<number> {
  return (await service.call('POST', '/login', { username: VICTIM, password })).status;
}

test('a stranger’s password does not survive the confirmation by the owner of the address', async (t) => {
  const service = await bench(t);
  await service.call('POST', '/register', { email: VICTIM, username: 'stranger', password: PASSWORD });
  const token = await service.mailedCode(VICTIM, 'confirm');
  const bare = await service.call('POST', '/verify-email', { token });
  assert.equal(bare.status, 400);
  assert.equal(bare.body.errors[0].field, 'password');
  const guessed = await service.call('POST', '/verify-email', { token, password: OWNERS });
  assert.deepEqual([guessed.status, guessed.body.reason], [403, 'wrong_password']);
  assert.equal(await statusOfLogin(service, PASSWORD), 401, 'there is no account yet');

  assert.equal((await service.call('POST', '/verify-email', { token, newPassword: OWNERS })).status, 200);
  assert.equal(await statusOfLogin(service, PASSWORD), 401);
  assert.equal(await statusOfLogin(service, OWNERS), 200);
});

test('a new password at the confirmation is held to the rules for passwords', async (t) => {
  const service = await bench(t);
  await service.call('POST', '/register', { email: VICTIM, password: PASSWORD });
  const token = await service.mailedCode(VICTIM, 'confirm');
  for (const newPassword of ['short', 'password123', VICTIM]) {
    const answer = await service.call('POST', '/verify-email', { token, newPassword });
    assert.deepEqual([answer.status, answer.body.errors[0].field], [400, 'newPassword'], newPassword);
  }
});

test('ten wrong passwords end the code, so that who has only the mailbox cannot guess what was chosen', async (t) => {
  const service = await bench(t);
  await service.call('POST', '/register', { email: VICTIM, password: PASSWORD });
  const token = await service.mailedCode(VICTIM, 'confirm');
  for (let i = 0; i < 10; i++)
    assert.equal((await service.call('POST', '/verify-email', { token, password: `guess number ${i}` })).status, 403);
  const right = await service.call('POST', '/verify-email', { token, password: PASSWORD });
  assert.deepEqual([right.status, right.body.reason], [400, 'invalid_code']);
});

test('an account does not move to an address because its owner opened a link', async (t) => {
  const service = await bench(t);
  const stranger = await service.member('stranger');
  await service.call('POST', '/me/email', { email: VICTIM, password: PASSWORD }, stranger.accessToken);
  const token = await service.mailedCode(VICTIM, 'confirm');
  assert.equal((await service.call('POST', '/verify-email', { token, newPassword: OWNERS })).status, 400);
  assert.equal((await service.call('POST', '/verify-email', { token, password: OWNERS })).status, 403);
  const { body } = await service.call('GET', '/me', undefined, stranger.accessToken);
  assert.equal(body.email, 'stranger@example.com');
  assert.equal((await service.call('POST', '/verify-email', { token, password: PASSWORD })).status, 200);
});

test('a stolen session is no oracle for the password when the address is changed', async (t) => {
  const service = await bench(t);
  const member = await service.member('member');
  const ask = (password: string) => service.call('POST', '/me/email', { email: VICTIM, password }, member.accessToken);
  for (let i = 0; i < 6; i++) assert.equal((await ask(`guess number ${i}`)).status, 403);
  assert.equal((await ask(PASSWORD)).status, 403, 'locked like a sign-in');
});

test('without confirmation, the first reset by mail ends all that was set up before', async (t) => {
  const service = await bench(t, 'off');
  const { body: stranger } = await service.call('POST', '/register', { email: VICTIM, password: PASSWORD });
  const key = await service.call('POST', '/keys', { name: 'later', scopes: [] }, stranger.accessToken);
  assert.equal(key.status, 201, JSON.stringify(key.body));
  const child = { username: 'little', password: PASSWORD, birthDate: '2018-05-31' };
  assert.equal((await service.call('POST', '/children', child, stranger.accessToken)).status, 201);
  const enrolled = await service.call('POST', '/mfa/totp', { password: PASSWORD }, stranger.accessToken);
  const code = await generate({ secret: enrolled.body.secret, epoch: service.clock.wallMs() / 1_000 });
  assert.equal((await service.call('POST', '/mfa/totp/confirm', { code }, stranger.accessToken)).status, 200);

  await service.call('POST', '/password/forgot', { email: VICTIM });
  const token = await service.mailedCode(VICTIM, 'new password');
  assert.equal((await service.call('POST', '/password/reset', { token, newPassword: OWNERS })).status, 200);

  assert.equal((await service.call('GET', '/me', undefined, stranger.accessToken)).status, 401);
  assert.equal((await service.call('POST', '/refresh', { refreshToken: stranger.refreshToken })).status, 401);
  assert.equal((await service.call('POST', '/login', { username: 'little', password: PASSWORD })).status, 401);
  assert.equal(await statusOfLogin(service, PASSWORD), 401);
  const owner = await service.call('POST', '/login', { username: VICTIM, password: OWNERS });
  assert.equal(owner.status, 200, 'no second factor of the stranger is asked for');
  const me = await service.call('GET', '/me', undefined, owner.body.accessToken);
  assert.deepEqual([me.body.factors, me.body.emailVerified], [[], true]);
  const keys = await service.call('GET', '/keys', undefined, owner.body.accessToken);
  assert.ok(keys.body.keys.every((each: { revokedAt?: unknown }) => each.revokedAt != null));
});
