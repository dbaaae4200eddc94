/** Accounts from registration to deletion, as a caller sees them. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Bench, makeBench, PASSWORD } from './harness.ts';

/** The value at a path of keys. */
function at(body: unknown, path: readonly string[]): unknown {
  return path.reduce((found, key) => (found as Record<string, unknown>)[key], body);
}

describe('accounts', () => {
  let bench: Bench;
  before(async () => {
    bench = await makeBench({ lockout: { addressAttempts: 10_000 }, alsoAt: ['/api/v1/auth'] });
  });
  after(() => bench.close());

  test('an account exists only once the mailed code came back', async () => {
    const body = { email: 'Ada@Example.com', username: 'ada', password: PASSWORD };
    assert.equal((await bench.call('POST', '/register', body)).status, 202);
    assert.equal((await bench.call('POST', '/login', { username: 'ada', password: PASSWORD })).status, 401);
    const code = await bench.mailedCode('ada@example.com', 'confirm');
    assert.equal((await bench.call('POST', '/verify-email', { token: code, password: PASSWORD })).status, 200);
    assert.equal((await bench.call('POST', '/verify-email', { token: code, password: PASSWORD })).status, 400);
    for (const username of ['ada', 'ADA', 'ada@example.com', 'Ada@EXAMPLE.com']) {
      const answer = await bench.call('POST', '/login', { username, password: PASSWORD });
      assert.equal(answer.status, 200, username);
      for (const field of ['accessToken', 'refreshToken', 'expiresIn', 'tokenType', 'scope', 'sessionId']) {
        assert.ok(field in answer.body, field);
      }
    }
  });

  test('the documents’ paths and bodies work', async () => {
    const member = await bench.member('docs');
    const login = await bench.call('POST', '/api/v1/auth/login', { username: 'docs', password: member.password });
    assert.equal(login.status, 200);
    const refresh = await bench.call('POST', '/api/v1/auth/refresh', { refreshToken: login.body.refreshToken });
    assert.equal(refresh.status, 200);
    const logout = await bench.call('POST', '/api/v1/auth/logout', undefined, refresh.body.accessToken);
    assert.equal(logout.status, 200);
    assert.equal(
      (await bench.call('POST', '/api/v1/auth/refresh', { refreshToken: refresh.body.refreshToken })).status,
      401,
    );
    assert.equal((await bench.call('GET', '/me', undefined, refresh.body.accessToken)).status, 401);
  });

  test('registering a known address answers like an unknown one and writes to its owner', async () => {
    await bench.member('known');
    const again = await bench.call('POST', '/register', { email: 'known@example.com', password: PASSWORD });
    const fresh = await bench.call('POST', '/register', { email: 'unknown@example.com', password: PASSWORD });
    assert.equal(again.status, fresh.status);
    assert.deepEqual(again.body, fresh.body);
    const letters = (await bench.mails()).filter((mail) => mail.includes('To: known@example.com'));
    assert.match(letters.at(-1) ?? '', /already has one/);
  });

  test('nobody’s mailbox is filled through us: five mails an hour, and the answer does not change', async () => {
    await bench.member('flooded');
    const ask = () => bench.call('POST', '/password/forgot', { email: 'flooded@example.com' });
    const answers = [];
    for (let i = 0; i < 8; i++) answers.push(await ask());
    assert.ok(answers.every(({ status, body }) => status === 202 && body.status === 'sent'));
    const count = async () => (await bench.mails()).filter((mail) => mail.includes('To: flooded@')).length;
    assert.equal(await count(), 5, 'the confirmation and four of eight');
    bench.clock.advance(3_600_001);
    await ask();
    assert.equal(await count(), 6);
  });

  test('a taken user name is told to the holder of the code only, and the code stays good', async () => {
    await bench.member('taken');
    await bench.call('POST', '/register', { email: 'second@example.com', username: 'Taken', password: PASSWORD });
    const token = await bench.mailedCode('second@example.com', 'confirm');
    assert.equal(
      (await bench.call('POST', '/verify-email', { token, password: PASSWORD })).body.reason,
      'username_taken',
    );
    assert.equal(
      (await bench.call('POST', '/verify-email', { token, password: PASSWORD, username: 'second' })).status,
      200,
    );
  });

  test('wrong password, unknown name, disabled and locked account give one answer', async () => {
    const member = await bench.member('quiet');
    const { db } = bench.identity.context.store;
    const wrong = await bench.call('POST', '/login', { username: 'quiet', password: 'nonsense at all' });
    const unknown = await bench.call('POST', '/login', { username: 'nobody', password: 'nonsense at all' });
    await db.updateTable('users').set({ status: 'disabled' }).where('id', '=', member.id).execute();
    const disabled = await bench.call('POST', '/login', { username: 'quiet', password: member.password });
    for (const answer of [wrong, unknown, disabled]) {
      assert.equal(answer.status, 401);
      assert.equal(answer.body.message, wrong.body.message);
      assert.equal(answer.body.reason, 'invalid_credentials');
    }
  });

  test('guessing is slowed down per account, whichever name is typed, and the right password waits too', async () => {
    const member = await bench.member('victim');
    for (let i = 0; i < 6; i++) {
      const username = i % 2 === 0 ? 'victim' : 'victim@example.com';
      await bench.call('POST', '/login', { username, password: `guess number ${i}` });
    }
    for (const username of ['victim', 'victim@example.com']) {
      assert.equal((await bench.call('POST', '/login', { username, password: member.password })).status, 401);
    }
    bench.clock.advance(61_000);
    assert.equal((await bench.call('POST', '/login', { username: 'victim', password: member.password })).status, 200);
    assert.ok((await bench.mails()).some((mail) => mail.includes('To: victim@') && mail.includes('failed sign-ins')));
  });

  test('a session is listed with its device and can be ended by its owner alone', async () => {
    const one = await bench.member('one');
    const two = await bench.member('two');
    const listed = await bench.call('GET', '/sessions', undefined, one.accessToken);
    assert.equal(listed.body.sessions.length, 1);
    assert.equal(listed.body.sessions[0].address, '192.0.2.7');
    assert.equal((await bench.call('DELETE', `/sessions/${one.sessionId}`, undefined, two.accessToken)).status, 404);
    assert.equal((await bench.call('DELETE', `/sessions/${one.sessionId}`, undefined, one.accessToken)).status, 200);
    assert.equal((await bench.call('GET', '/me', undefined, one.accessToken)).status, 401);
    assert.equal((await bench.call('GET', '/me', undefined, two.accessToken)).status, 200);
  });

  test('a changed password ends every other session, and API keys', async () => {
    const member = await bench.member('changer');
    const other = await bench.call('POST', '/login', { username: 'changer', password: member.password });
    const key = await bench.call('POST', '/keys', { name: 'script' }, member.accessToken);
    assert.equal(key.status, 201);
    const wrong = { currentPassword: 'not the password', newPassword: 'a quite different sentence' };
    assert.equal((await bench.call('POST', '/password', wrong, member.accessToken)).status, 403);
    const right = { currentPassword: member.password, newPassword: 'a quite different sentence' };
    assert.equal((await bench.call('POST', '/password', right, member.accessToken)).status, 200);
    assert.equal((await bench.call('GET', '/me', undefined, member.accessToken)).status, 200);
    assert.equal((await bench.call('GET', '/me', undefined, other.body.accessToken)).status, 401);
    assert.equal((await bench.call('GET', '/keys', undefined, member.accessToken)).body.keys.length, 0);
  });

  test('a reset works once, ends all sessions, and does not tell whether an address is known', async () => {
    const member = await bench.member('forgot');
    const known = await bench.call('POST', '/password/forgot', { email: 'forgot@example.com' });
    const unknown = await bench.call('POST', '/password/forgot', { email: 'never@example.com' });
    assert.deepEqual([known.status, known.body], [unknown.status, unknown.body]);
    const token = await bench.mailedCode('forgot@example.com', 'new password');
    const body = { token, newPassword: 'seven lamps over the harbour' };
    assert.equal((await bench.call('POST', '/password/reset', body)).status, 200);
    assert.equal((await bench.call('POST', '/password/reset', body)).body.reason, 'invalid_code');
    assert.equal((await bench.call('GET', '/me', undefined, member.accessToken)).status, 401);
    assert.equal((await bench.call('POST', '/login', { username: 'forgot', password: body.newPassword })).status, 200);
  });

  test('a newer reset code voids the older one', async () => {
    await bench.member('twice');
    await bench.call('POST', '/password/forgot', { email: 'twice@example.com' });
    const older = await bench.mailedCode('twice@example.com', 'new password');
    await bench.call('POST', '/password/forgot', { email: 'twice@example.com' });
    const body = { token: older, newPassword: 'seven lamps over the harbour' };
    assert.equal((await bench.call('POST', '/password/reset', body)).status, 400);
  });

  test('a new address counts only once it was confirmed', async () => {
    const member = await bench.member('mover');
    const body = { email: 'moved@example.com', password: member.password };
    assert.equal((await bench.call('POST', '/me/email', body, member.accessToken)).status, 202);
    assert.equal((await bench.call('GET', '/me', undefined, member.accessToken)).body.email, 'mover@example.com');
    const token = await bench.mailedCode('moved@example.com', 'confirm');
    assert.equal((await bench.call('POST', '/verify-email', { token, password: PASSWORD })).status, 200);
    assert.equal((await bench.call('GET', '/me', undefined, member.accessToken)).body.email, 'moved@example.com');
    assert.ok(
      (await bench.mails()).some((mail) => mail.includes('To: mover@example.com') && mail.includes('was changed')),
    );
  });

  test('a deleted account is gone with everything it had', async () => {
    const member = await bench.member('leaver');
    assert.equal(
      (await bench.call('DELETE', '/me', { password: 'wrong wrong wrong' }, member.accessToken)).status,
      403,
    );
    assert.equal((await bench.call('DELETE', '/me', { password: member.password }, member.accessToken)).status, 200);
    assert.equal((await bench.call('GET', '/me', undefined, member.accessToken)).status, 401);
    assert.equal((await bench.call('POST', '/refresh', { refreshToken: member.refreshToken })).status, 401);
    const rows = await bench.identity.context.store.db
      .selectFrom('sessions')
      .select('id')
      .where('user_id', '=', member.id)
      .execute();
    assert.equal(rows.length, 0);
  });

  const badBodies: { name: string; path: string; body: unknown; field: string }[] = [
    { name: 'no address', path: '/register', body: { password: PASSWORD }, field: 'email' },
    { name: 'bad address', path: '/register', body: { email: 'x', password: PASSWORD }, field: 'email' },
    {
      name: 'line feed in address',
      path: '/register',
      body: { email: 'a@b.c\r\nBcc: d@e.f', password: PASSWORD },
      field: 'email',
    },
    {
      name: 'user name with @',
      path: '/register',
      body: { email: 'a@b.co', username: 'a@b', password: PASSWORD },
      field: 'username',
    },
    { name: 'short password', path: '/register', body: { email: 'a@b.co', password: 'short' }, field: 'password' },
    {
      name: 'common password',
      path: '/register',
      body: { email: 'a@b.co', password: 'Passw0rd2026!' },
      field: 'password',
    },
    {
      name: 'own name as password',
      path: '/register',
      body: { email: 'bartholomew@b.co', password: 'bartholomew12' },
      field: 'password',
    },
    {
      name: 'unknown field',
      path: '/register',
      body: { email: 'a@b.co', password: PASSWORD, roles: ['admin'] },
      field: 'roles',
    },
    { name: 'two names', path: '/login', body: { email: 'a@b.co', username: 'a', password: 'x' }, field: 'username' },
    { name: 'a list', path: '/login', body: [], field: '(body)' },
    { name: 'no JSON', path: '/login', body: '{', field: '(body)' },
    { name: 'number as token', path: '/refresh', body: { refreshToken: 5 }, field: 'refreshToken' },
    {
      name: 'impossible date',
      path: '/register',
      body: { email: 'a@b.co', password: PASSWORD, birthDate: '2001-02-30' },
      field: 'birthDate',
    },
  ];
  for (const { name, path, body, field } of badBodies) {
    test(`refuses ${name} and says which field`, async () => {
      const answer = await bench.call('POST', path, body);
      assert.equal(answer.status, 400, JSON.stringify(answer.body));
      assert.equal(answer.body.code, 'VALIDATION_ERROR');
      assert.equal(answer.body.errors[0].field, field);
      assert.ok(answer.body.errors[0].expected.length > 3);
      assert.ok(!JSON.stringify(answer.body).includes(PASSWORD));
      assert.equal(answer.headers.get('content-type'), 'application/problem+json');
    });
  }

  test('a secret never comes back in an error', async () => {
    const secret = 'x'.repeat(300);
    const answer = await bench.call('POST', '/login', { username: 'a', password: secret });
    assert.equal(answer.status, 400);
    assert.ok(!JSON.stringify(answer.body).includes('xxxx'));
  });

  test('refuses another media type and a body beyond 64 KiB', async () => {
    const form = await bench.call('POST', '/login', 'username=a', undefined, { 'content-type': 'text/plain' });
    assert.equal(form.status, 415);
    const large = await bench.call('POST', '/login', { username: 'a', password: 'x'.repeat(70_000) });
    assert.equal(large.status, 413);
  });

  test('answers carry the request id that came with the request', async () => {
    const answer = await bench.call('GET', '/me', undefined, undefined, { 'x-request-id': 'req-12345678' });
    assert.equal(answer.status, 401);
    assert.equal(answer.body.request_id, 'req-12345678');
    assert.equal(answer.headers.get('x-request-id'), 'req-12345678');
  });
});

describe('accounts with other settings', () => {
  test('without verification an account exists at once and is signed in', async (t) => {
    const bench = await makeBench({ registration: { verifyEmail: 'off' } });
    t.after(() => bench.close());
    const body = { email: 'fast@example.com', password: PASSWORD };
    const made = await bench.call('POST', '/register', body);
    assert.equal(made.status, 201);
    assert.equal((await bench.call('GET', '/me', undefined, made.body.accessToken)).body.emailVerified, false);
    assert.equal((await bench.call('POST', '/register', body)).body.reason, 'email_taken');
  });

  test('too many failures of one address are answered with 429, for every account', async (t) => {
    const bench = await makeBench({ lockout: { addressAttempts: 3 } });
    t.after(() => bench.close());
    const from = { 'x-forwarded-for': '2001:db8:1:2:3::4' };
    for (let i = 0; i < 3; i++)
      await bench.call('POST', '/login', { username: `n${i}`, password: 'guess' }, undefined, from);
    const sibling = { 'x-forwarded-for': '2001:db8:1:2:ffff::9' };
    const answer = await bench.call('POST', '/login', { username: 'other', password: 'guess' }, undefined, sibling);
    assert.equal(answer.status, 429);
    assert.ok(Number(answer.headers.get('retry-after')) > 0);
    const elsewhere = { 'x-forwarded-for': '2001:db8:1:3::1' };
    assert.equal(
      (await bench.call('POST', '/login', { username: 'other', password: 'g' }, undefined, elsewhere)).status,
      401,
    );
  });

  for (const [shape, path] of [
    ['nested', ['error', 'code']],
    ['flat', ['error_code']],
  ] as const) {
    test(`errors have the shape "${shape}" when it is configured`, async (t) => {
      const bench = await makeBench({ errorFormat: shape });
      t.after(() => bench.close());
      const { body } = await bench.call('GET', '/me');
      assert.equal(at(body, path), 'AUTHENTICATION_REQUIRED');
      assert.ok('timestamp' in body && 'request_id' in body);
    });
  }

  test('a closed registration stays closed', async (t) => {
    const bench = await makeBench({ registration: { open: false } });
    t.after(() => bench.close());
    assert.equal((await bench.call('POST', '/register', { email: 'a@b.co', password: PASSWORD })).status, 403);
  });
});
