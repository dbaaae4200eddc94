/** Parents and children: what a parent may, and every way out that a child or a stranger may try. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decodeJwt } from 'jose';
import { type Bench, type Member, makeBench, PASSWORD } from './harness.ts';

const CHILD_PASSWORD = 'purple crayons on the wall';
const ROLES = { user: { scopes: ['stories:read', 'stories:write', 'identity:introspect'] } };

async function family(
  t: { after(done: () => Promise<void>): void },
  rules: Record<string, unknown> = {},
): Promise<{ bench: Bench; parent: Member; childId: string; child: Member }> {
  const bench = await makeBench({ roles: ROLES });
  t.after(() => bench.close());
  const parent = await bench.member('parent');
  const body = { username: 'kid', password: CHILD_PASSWORD, birthDate: '2017-03-01', rules };
  const made = await bench.call('POST', '/children', body, parent.accessToken);
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const login = await bench.call('POST', '/login', { username: 'kid', password: CHILD_PASSWORD });
  assert.equal(login.status, 200, JSON.stringify(login.body));
  const { accessToken, refreshToken, sessionId } = login.body;
  const child = {
    id: made.body.id,
    email: '',
    username: 'kid',
    password: CHILD_PASSWORD,
    accessToken,
    refreshToken,
    sessionId,
  };
  return { bench, parent, childId: made.body.id, child };
}

describe('a child account', () => {
  test('carries its parent, its age band and its limits in the token', async (t) => {
    const rules = { scopes: ['stories:read'], contentRating: 6, blockedTopics: ['horror'], quotas: { stories: 3 } };
    const { parent, child } = await family(t, rules);
    const claims = decodeJwt(child.accessToken);
    assert.equal(claims['par'], parent.id);
    assert.equal(claims['age_band'], '7-12');
    assert.equal(claims['content_rating'], 6);
    assert.deepEqual(claims['blocked_topics'], ['horror']);
    assert.deepEqual(claims['quotas'], { stories: 3 });
    assert.equal(claims['scope'], 'stories:read');
    assert.deepEqual(claims['roles'], ['child']);
    assert.ok(!('birthDate' in claims));
  });

  test('never has more than its parent, whatever its rules say', async (t) => {
    const rules = { scopes: ['stories:read', 'identity:admin', 'payments:all'], plan: 'enterprise', contentRating: 18 };
    const { child } = await family(t, rules);
    const claims = decodeJwt(child.accessToken);
    assert.equal(claims['scope'], 'stories:read');
    assert.equal(claims['plan'], 'standard');
    assert.equal(claims['content_rating'], 8, 'its age is the most');
  });

  test('inherits no administration from a parent who is an administrator', async (t) => {
    const bench = await makeBench({ roles: ROLES });
    t.after(() => bench.close());
    const admin = await bench.admin();
    await bench.call(
      'POST',
      '/children',
      { username: 'kid', password: CHILD_PASSWORD, birthDate: '2017-03-01' },
      admin.accessToken,
    );
    const login = await bench.call('POST', '/login', { username: 'kid', password: CHILD_PASSWORD });
    assert.equal(login.body.scope, 'stories:read stories:write');
    assert.equal((await bench.call('GET', '/admin/users', undefined, login.body.accessToken)).status, 403);
  });

  test('loses at once what its parent loses', async (t) => {
    const { bench, parent, child } = await family(t);
    const { db } = bench.identity.context.store;
    await db.deleteFrom('user_roles').where('user_id', '=', parent.id).execute();
    const refreshed = await bench.call('POST', '/refresh', { refreshToken: child.refreshToken });
    assert.equal(refreshed.body.scope, '');
    await db.updateTable('users').set({ status: 'disabled' }).where('id', '=', parent.id).execute();
    assert.equal((await bench.call('POST', '/refresh', { refreshToken: refreshed.body.refreshToken })).status, 401);
    assert.equal((await bench.call('GET', '/me', undefined, child.accessToken)).status, 401);
    assert.equal((await bench.call('POST', '/login', { username: 'kid', password: CHILD_PASSWORD })).status, 403);
  });

  const escapes: { name: string; method: string; path: string; body?: unknown }[] = [
    { name: 'changing its own rules', method: 'PATCH', path: '/children/:child', body: { rules: {} } },
    {
      name: 'making a child of its own',
      method: 'POST',
      path: '/children',
      body: { username: 'sub', password: CHILD_PASSWORD, birthDate: '2017-03-01' },
    },
    { name: 'seeing its siblings', method: 'GET', path: '/children' },
    { name: 'ending its parent’s sessions', method: 'DELETE', path: '/children/:parent/sessions' },
    {
      name: 'setting its parent’s password',
      method: 'POST',
      path: '/children/:parent/password',
      body: { newPassword: PASSWORD },
    },
    { name: 'changing its name', method: 'PATCH', path: '/me', body: { displayName: 'Grown Up' } },
    { name: 'changing its birth date', method: 'PATCH', path: '/me', body: { birthDate: '1990-01-01' } },
    {
      name: 'getting an address',
      method: 'POST',
      path: '/me/email',
      body: { email: 'kid@example.com', password: CHILD_PASSWORD },
    },
    { name: 'deleting itself', method: 'DELETE', path: '/me', body: { password: CHILD_PASSWORD } },
    { name: 'making an API key that outlives its hours', method: 'POST', path: '/keys', body: { name: 'k' } },
    { name: 'setting up a second factor that its parent cannot give', method: 'POST', path: '/mfa/totp' },
    { name: 'registering a passkey', method: 'POST', path: '/mfa/passkeys/options' },
    { name: 'using the admin API', method: 'PATCH', path: '/admin/users/:child', body: { roles: ['admin'] } },
    { name: 'minting a token', method: 'POST', path: '/tokens', body: { subject: 'x' } },
    { name: 'linking an outside account', method: 'POST', path: '/outside/example/link' },
  ];
  for (const { name, method, path, body } of escapes) {
    test(`is refused ${name}`, async (t) => {
      const { bench, parent, child } = await family(t);
      const where = path.replace(':child', child.id).replace(':parent', parent.id);
      const answer = await bench.call(method, where, body, child.accessToken);
      assert.ok([400, 403, 404].includes(answer.status), `${answer.status} ${JSON.stringify(answer.body)}`);
      const after = await bench.call('GET', `/children/${child.id}`, undefined, parent.accessToken);
      assert.equal(after.status, 200, 'the child is still there');
      assert.deepEqual([after.body.birthDate, after.body.email, after.body.rules.hours], ['2017-03-01', null, []]);
    });
  }

  test('cannot get its password by mail, having no address', async (t) => {
    const { bench } = await family(t);
    await bench.call('POST', '/password/forgot', { email: 'kid@example.com' });
    assert.ok(!(await bench.mails()).some((mail) => mail.includes('kid@')));
  });

  test('asks for more scopes at the sign-in in vain', async (t) => {
    const { bench } = await family(t, { scopes: ['stories:read'] });
    const body = { username: 'kid', password: CHILD_PASSWORD, scope: 'stories:read stories:write identity:admin' };
    assert.equal((await bench.call('POST', '/login', body)).body.scope, 'stories:read');
  });

  test('gets no minted token that goes round its limits', async (t) => {
    const { bench, childId } = await family(t);
    const admin = await bench.admin();
    assert.equal((await bench.call('POST', '/tokens', { subject: childId }, admin.accessToken)).status, 400);
    assert.equal(
      (await bench.call('PATCH', `/admin/users/${childId}`, { roles: ['admin'] }, admin.accessToken)).status,
      400,
    );
  });
});

describe('allowed hours', () => {
  // The test clock begins on Thursday 2026-01-01 at 00:00 UTC.
  const hours = [{ days: [0, 1, 2, 3, 4, 5, 6], from: '07:00', to: '20:00' }];

  test('outside them a child neither signs in nor refreshes, and its token ends with them', async (t) => {
    const bench = await makeBench({ roles: ROLES });
    t.after(() => bench.close());
    const parent = await bench.member('parent');
    const body = { username: 'kid', password: CHILD_PASSWORD, birthDate: '2017-03-01', rules: { hours } };
    await bench.call('POST', '/children', body, parent.accessToken);
    const login = () => bench.call('POST', '/login', { username: 'kid', password: CHILD_PASSWORD });
    assert.equal((await login()).body.reason, 'outside_allowed_hours');
    bench.clock.advance((19 * 60 + 58) * 60_000);
    const inTime = await login();
    assert.equal(inTime.status, 200);
    assert.equal(inTime.body.expiresIn, 120, 'ends at 20:00, not in five minutes');
    bench.clock.advance(2 * 60_000);
    const late = await bench.call('POST', '/refresh', { refreshToken: inTime.body.refreshToken });
    assert.equal(late.body.reason, 'outside_allowed_hours');
    assert.equal((await bench.call('GET', '/me', undefined, inTime.body.accessToken)).status, 401);
    bench.clock.advance(11 * 3_600_000);
    const morning = await bench.call('POST', '/refresh', { refreshToken: inTime.body.refreshToken });
    assert.equal(morning.status, 200, 'in the morning the session goes on');
  });

  test('follow the time zone of the family', async (t) => {
    const { bench, parent, childId } = await family(t);
    const rules = { hours, timeZone: 'Pacific/Auckland' };
    await bench.call('PATCH', `/children/${childId}`, { rules }, parent.accessToken);
    assert.equal(
      (await bench.call('POST', '/login', { username: 'kid', password: CHILD_PASSWORD })).status,
      200,
      '13:00 there',
    );
  });
});

describe('a parent', () => {
  test('changes rules, and the child’s old tokens end', async (t) => {
    const { bench, parent, child } = await family(t);
    const rules = { scopes: ['stories:read'] };
    assert.equal((await bench.call('PATCH', `/children/${child.id}`, { rules }, parent.accessToken)).status, 200);
    assert.equal((await bench.call('GET', '/me', undefined, child.accessToken)).status, 401);
    assert.equal((await bench.call('POST', '/refresh', { refreshToken: child.refreshToken })).status, 401);
  });

  test('sees and ends the child’s sessions, and sets its password', async (t) => {
    const { bench, parent, child } = await family(t);
    const listed = await bench.call('GET', `/children/${child.id}/sessions`, undefined, parent.accessToken);
    assert.equal(listed.body.sessions[0].id, child.sessionId);
    assert.equal(
      (await bench.call('DELETE', `/children/${child.id}/sessions/${child.sessionId}`, undefined, parent.accessToken))
        .status,
      200,
    );
    assert.equal((await bench.call('GET', '/me', undefined, child.accessToken)).status, 401);
    const newPassword = 'nine green bottles standing';
    await bench.call('POST', `/children/${child.id}/password`, { newPassword }, parent.accessToken);
    assert.equal((await bench.call('POST', '/login', { username: 'kid', password: CHILD_PASSWORD })).status, 401);
    assert.equal((await bench.call('POST', '/login', { username: 'kid', password: newPassword })).status, 200);
  });

  test('does not reach somebody else’s child, nor an adult', async (t) => {
    const { bench, child } = await family(t);
    const stranger = await bench.member('stranger');
    for (const [method, path, body] of [
      ['GET', `/children/${child.id}`],
      ['PATCH', `/children/${child.id}`, { enabled: false }],
      ['DELETE', `/children/${child.id}`],
      ['POST', `/children/${child.id}/password`, { newPassword: PASSWORD }],
      ['GET', `/children/${child.id}/sessions`],
      ['DELETE', `/children/${child.id}/sessions`],
      ['GET', `/children/${stranger.id}`],
    ] as const) {
      assert.equal((await bench.call(method, path, body, stranger.accessToken)).status, 404, `${method} ${path}`);
    }
    assert.equal((await bench.call('GET', '/me', undefined, child.accessToken)).status, 200);
  });

  test('cannot undo what an administrator disabled', async (t) => {
    const { bench, parent, child } = await family(t);
    const admin = await bench.admin();
    await bench.call('PATCH', `/admin/users/${child.id}`, { status: 'disabled' }, admin.accessToken);
    const answer = await bench.call('PATCH', `/children/${child.id}`, { enabled: true }, parent.accessToken);
    assert.equal(answer.body.status, 'disabled');
  });

  test('is not left without its children by mistake, and takes them along on purpose', async (t) => {
    const { bench, parent, child } = await family(t);
    const body = { password: parent.password };
    assert.equal((await bench.call('DELETE', '/me', body, parent.accessToken)).body.reason, 'has_children');
    assert.equal(
      (await bench.call('DELETE', '/me', { ...body, deleteChildren: true }, parent.accessToken)).status,
      200,
    );
    assert.equal((await bench.call('GET', '/me', undefined, child.accessToken)).status, 401);
  });

  test('makes at most the configured number, also at once', async (t) => {
    const bench = await makeBench({ maxChildren: 2 });
    t.after(() => bench.close());
    const parent = await bench.member('parent');
    const make = (i: number) =>
      bench.call(
        'POST',
        '/children',
        { username: `kid${i}`, password: CHILD_PASSWORD, birthDate: '2017-03-01' },
        parent.accessToken,
      );
    const answers = await Promise.all([1, 2, 3, 4].map(make));
    assert.deepEqual(answers.map((answer) => answer.status).sort(), [201, 201, 409, 409]);
  });

  for (const birthDate of ['2000-01-01', '2030-01-01']) {
    test(`makes no child born ${birthDate}`, async (t) => {
      const { bench, parent } = await family(t);
      const body = { username: 'other', password: CHILD_PASSWORD, birthDate };
      assert.equal((await bench.call('POST', '/children', body, parent.accessToken)).body.errors[0].field, 'birthDate');
    });
  }
});
