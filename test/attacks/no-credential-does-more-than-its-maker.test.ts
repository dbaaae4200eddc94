/**
 * Rule: nobody makes a credential that can do more than the one used, a stolen access token does not become lasting
 * access, and what the account has (not what its session was begun with) decides about the second factor.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decodeJwt } from 'jose';
import { generate } from 'otplib';
import { ApiKeyVerifier } from '../../src/control/identity/api-keys/verify.ts';
import { type Answer, type Bench, type Member, makeBench, PASSWORD } from '../integration/identity/harness.ts';
import { SoftwareAuthenticator } from '../integration/identity/software-authenticator.ts';

const ROLES = { user: { scopes: ['stories:read', 'stories:write'] } };
const BIRTH = '2015-05-05';

async function benchFor(t: { after(done: () => Promise<void>): void }, more: object = {}): Promise<Bench> {
  const bench = await makeBench({ roles: ROLES, publicUrl: 'http://localhost:8000', ...more });
  t.after(() => bench.close());
  return bench;
}

async function narrowed(bench: Bench, member: Member, scope: string): Promise<string> {
  const { status, body } = await bench.call('POST', '/login', { username: member.username, password: PASSWORD, scope });
  assert.equal(status, 200, JSON.stringify(body));
  return body.accessToken;
}

async function enrol(bench: Bench, token: string): Promise<{ secret: string; accessToken: string }> {
  const { body } = await bench.call('POST', '/mfa/totp', undefined, token);
  const code = await generate({ secret: body.secret, epoch: Math.floor(bench.clock.wallMs() / 1_000) });
  const done = await bench.call('POST', '/mfa/totp/confirm', { code }, token);
  assert.equal(done.status, 200, JSON.stringify(done.body));
  return { secret: body.secret, accessToken: done.body.accessToken };
}

const reasonOf = ({ status, body }: Answer): [number, string] => [status, body.reason];

describe('roles and scopes', () => {
  test('a key has no role unless it was asked for, and none that the owner lost', async (t) => {
    const bench = await benchFor(t);
    const admin = await bench.admin();
    const verifier = new ApiKeyVerifier(bench.identity.context);
    const make = async (body: object) => {
      const made = await bench.call('POST', '/keys', { name: 'k', ...body }, admin.accessToken);
      assert.equal(made.status, 201, JSON.stringify(made.body));
      return await verifier.verify({ key: made.body.key, address: '192.0.2.7' });
    };
    assert.deepEqual((await make({}))?.roles, []);
    assert.deepEqual((await make({ scopes: ['stories:read'] }))?.roles, []);
    assert.deepEqual((await make({ roles: ['user'] }))?.roles, ['user']);
    const foreign = await bench.call('POST', '/keys', { name: 'k', roles: ['service'] }, admin.accessToken);
    assert.equal(foreign.body.errors[0].field, 'roles');
  });

  test('a session that named its scopes has no role', async (t) => {
    const bench = await benchFor(t);
    const admin = await bench.admin();
    const claims = decodeJwt(await narrowed(bench, admin, 'stories:read'));
    assert.deepEqual([claims['scope'], claims['roles']], ['stories:read', []]);
  });

  test('it is not left by a wider key, a key with a role, a rotation, a child, a factor or a link', async (t) => {
    const bench = await benchFor(t);
    const member = await bench.member('nora');
    const wide = await bench.call('POST', '/keys', { name: 'wide', scopes: ['stories:write'] }, member.accessToken);
    const token = await narrowed(bench, member, 'stories:read');
    const post = (path: string, body?: object) => bench.call('POST', path, body, token);
    assert.equal((await post('/keys', { name: 'k', scopes: ['stories:write'] })).status, 400);
    assert.deepEqual(reasonOf(await post('/keys', { name: 'k', roles: ['user'] })), [403, 'narrowed_session']);
    assert.deepEqual(reasonOf(await post(`/keys/${wide.body.id}/rotate`, {})), [403, 'narrowed_session']);
    const child = { username: 'kid', password: PASSWORD, birthDate: BIRTH };
    assert.deepEqual(reasonOf(await post('/children', child)), [403, 'narrowed_session']);
    assert.deepEqual(reasonOf(await post('/mfa/totp')), [403, 'narrowed_session']);
    assert.deepEqual(reasonOf(await post('/mfa/passkeys/options')), [403, 'narrowed_session']);
    assert.deepEqual(reasonOf(await post('/outside/any/link', { returnTo: 'x' })), [403, 'narrowed_session']);
    assert.equal((await post('/keys', { name: 'k', scopes: ['stories:read'] })).status, 201, 'what it has it may give');
  });

  test('an administrator of a narrowed session mints no token', async (t) => {
    const bench = await benchFor(t);
    const token = await narrowed(bench, await bench.admin(), 'identity:admin');
    const minted = await bench.call('POST', '/tokens', { subject: 'x', scopes: ['gateway:admin'] }, token);
    assert.deepEqual(reasonOf(minted), [403, 'narrowed_session']);
  });
});

describe('a stolen access token', () => {
  const LASTING: readonly [method: string, path: string, body?: object][] = [
    ['POST', '/mfa/totp'],
    ['POST', '/mfa/passkeys/options'],
    ['POST', '/mfa/recovery-codes'],
    ['POST', '/keys', { name: 'k' }],
    ['POST', '/outside/any/link', { returnTo: 'http://localhost/x' }],
    ['POST', '/children', { username: 'kid', password: PASSWORD, birthDate: BIRTH }],
    ['DELETE', '/me', {}],
  ];
  for (const [method, path, body] of LASTING) {
    test(`of a sign-in some time ago does not do ${method} ${path}; the password opens it`, async (t) => {
      const bench = await benchFor(t);
      const { refreshToken } = await bench.member('nora');
      bench.clock.advance(11 * 60_000);
      const { accessToken } = (await bench.call('POST', '/refresh', { refreshToken })).body;
      assert.deepEqual(reasonOf(await bench.call(method, path, body, accessToken)), [403, 'step_up_required']);
      const wrong = await bench.call('POST', '/mfa/step-up', { password: 'not this one' }, accessToken);
      assert.equal(wrong.status, 403);
      const proven = await bench.call('POST', '/mfa/step-up', { password: PASSWORD }, accessToken);
      assert.equal(proven.status, 200, JSON.stringify(proven.body));
      assert.equal(decodeJwt(proven.body.accessToken)['mfa_verified'], false, 'a password is one factor');
      const again = await bench.call(method, path, body, proven.body.accessToken);
      assert.notEqual(again.body.reason, 'step_up_required');
    });
  }

  for (const [method, path, body] of [
    ['POST', '/tokens', { subject: 'svc' }],
    ['POST', '/admin/users', { username: 'second' }],
    ['PATCH', '/admin/users/:nora', { roles: ['admin'] }],
    ['POST', '/admin/users/:nora/password', { newPassword: `${PASSWORD} x` }],
    ['POST', '/admin/users/:nora/impersonate'],
    ['POST', '/admin/oauth/clients', { name: 'app', redirectUris: ['https://a.example/cb'] }],
  ] as const) {
    test(`of an administrator does not do ${method} ${path}`, async (t) => {
      const bench = await benchFor(t, { oauth: { enabled: true } });
      const nora = await bench.member('nora');
      const { refreshToken } = await bench.admin();
      bench.clock.advance(11 * 60_000);
      const { accessToken } = (await bench.call('POST', '/refresh', { refreshToken })).body;
      const refused = await bench.call(method, path.replace(':nora', nora.id), body, accessToken);
      assert.deepEqual(reasonOf(refused), [403, 'step_up_required']);
    });
  }

  test('the password alone does not step up an account that has a second factor', async (t) => {
    const bench = await benchFor(t);
    const member = await bench.member('nora');
    const { accessToken } = await enrol(bench, member.accessToken);
    assert.equal((await bench.call('POST', '/mfa/step-up', { password: PASSWORD }, accessToken)).status, 401);
  });
});

describe('the second factor of the account decides', () => {
  test('adding the first one ends all other sessions, which never gave it', async (t) => {
    const bench = await benchFor(t);
    const other = await bench.member('nora');
    const { body } = await bench.call('POST', '/login', { username: 'nora', password: PASSWORD });
    await enrol(bench, body.accessToken);
    assert.equal((await bench.call('GET', '/me', undefined, other.accessToken)).status, 401);
    assert.equal((await bench.call('POST', '/refresh', { refreshToken: other.refreshToken })).status, 401);
    assert.equal((await bench.call('GET', '/me', undefined, body.accessToken)).status, 200);
  });

  test('an administrator’s change asks for it, also in a session from before', async (t) => {
    const bench = await benchFor(t);
    const admin = await bench.admin();
    const nora = await bench.member('nora');
    const { db } = bench.identity.context.store;
    await enrol(bench, admin.accessToken);
    // As a session that was begun before the factor, and somehow lives.
    await db.updateTable('sessions').set({ mfa_at: null }).where('id', '=', admin.sessionId).execute();
    for (const [method, path, body] of [
      ['PATCH', `/admin/users/${nora.id}`, { plan: 'premium' }],
      ['DELETE', `/admin/users/${nora.id}`],
      ['PUT', '/admin/roles/editor', { scopes: [] }],
      ['POST', '/tokens', { subject: 'svc' }],
    ] as const) {
      const refused = await bench.call(method, path, body, admin.accessToken);
      assert.deepEqual([path, ...reasonOf(refused)], [path, 403, 'step_up_required']);
    }
  });
});

describe('the owner learns of it', () => {
  test('each new way in is told by email', async (t) => {
    const bench = await benchFor(t);
    const member = await bench.member('nora');
    const told = async (): Promise<number> =>
      (await bench.mails()).filter((mail) => /Subject: .*(access to your account|second factors)/.test(mail)).length;
    const post = (path: string, body?: object) => bench.call('POST', path, body, member.accessToken);
    const key = await post('/keys', { name: 'k' });
    assert.equal(await told(), 1);
    await post(`/keys/${key.body.id}/rotate`, {});
    assert.equal(await told(), 2);
    await post('/children', { username: 'kid', password: PASSWORD, birthDate: BIRTH });
    assert.equal(await told(), 3);
    for (const count of [4, 5]) {
      const offered = await post('/mfa/passkeys/options');
      const response = new SoftwareAuthenticator('http://localhost:8000').create(offered.body);
      assert.equal((await post('/mfa/passkeys', { name: 'p', response })).status, 201);
      assert.equal(await told(), count);
    }
    await post('/mfa/recovery-codes');
    assert.equal(await told(), 6);
  });

  test('a reset offers to drop the other ways in, and never drops an only second factor', async (t) => {
    const bench = await benchFor(t);
    const member = await bench.member('nora');
    const { db } = bench.identity.context.store;
    const link = { provider: 'evil', subject: 's', user_id: member.id, email: null, created_at: 0 };
    await db.insertInto('linked_accounts').values(link).execute();
    const offered = await bench.call('POST', '/mfa/passkeys/options', undefined, member.accessToken);
    const response = new SoftwareAuthenticator('http://localhost:8000').create(offered.body);
    await bench.call('POST', '/mfa/passkeys', { name: 'p', response }, member.accessToken);
    const reset = async (more: object) => {
      await bench.call('POST', '/password/forgot', { email: member.email });
      const token = await bench.mailedCode(member.email, 'new password');
      return await bench.call('POST', '/password/reset', { token, newPassword: `${PASSWORD} new`, ...more });
    };
    const kept = (await reset({})).body;
    assert.deepEqual([kept.passkeysLeft, kept.linksLeft], [1, 1]);
    const dropped = (await reset({ removePasskeys: true, removeLinks: true })).body;
    assert.deepEqual([dropped.passkeysLeft, dropped.linksLeft], [1, 0]);
  });
});
