/** Administrators, the first of them, roles, impersonation, and the audit log. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decodeJwt } from 'jose';
import { sql } from 'kysely';
import { type Bench, makeBench, PASSWORD } from './harness.ts';

async function benchFor(
  t: { after(done: () => Promise<void>): void },
  ...args: Parameters<typeof makeBench>
): Promise<Bench> {
  const bench = await makeBench(...args);
  t.after(() => bench.close());
  return bench;
}

/** As an attacker with all rights on the database would begin. */
async function dropTriggers(bench: Bench): Promise<void> {
  const { store } = bench.identity.context;
  const texts =
    store.dialect === 'sqlite'
      ? ['drop trigger audit_log_no_update', 'drop trigger audit_log_no_delete']
      : ['drop trigger audit_log_only_grows on audit_log'];
  for (const text of texts) await sql.raw(text).execute(store.db);
}

describe('the first administrator', () => {
  test('comes by a link that is printed, not logged, and works once', async (t) => {
    const bench = await benchFor(t, { firstAdmin: 'link' });
    const token = /token=([A-Za-z0-9]+)/.exec(bench.printed.join('\n'))?.[1];
    assert.ok(token !== undefined);
    assert.ok(!bench.logged.join('\n').includes(token));
    const body = { token, email: 'chief@example.com', username: 'chief', password: PASSWORD };
    const made = await Promise.all(
      [1, 2, 3].map((i) => bench.call('POST', '/setup', { ...body, email: `c${i}@example.com`, username: `c${i}` })),
    );
    assert.deepEqual(made.map((answer) => answer.status).sort(), [201, 400, 400]);
    const roles = await bench.identity.context.store.db
      .selectFrom('user_roles')
      .selectAll()
      .where('role', '=', 'admin')
      .execute();
    assert.equal(roles.length, 1);
  });

  test('no link is printed while there is one', async (t) => {
    const one = await benchFor(t, { firstAdmin: 'link' });
    await one.admin();
    const { store } = one.identity.context;
    const two = await makeBench({ firstAdmin: 'link' }, { store, clock: one.clock, dataDir: one.folder });
    t.after(() => two.close());
    assert.deepEqual(two.printed, []);
  });
});

describe('administrators', () => {
  test('only they use the admin API', async (t) => {
    const bench = await benchFor(t);
    const member = await bench.member('plain');
    for (const [method, path] of [
      ['GET', '/admin/users'],
      ['POST', '/admin/users'],
      ['GET', `/admin/users/${member.id}`],
      ['GET', '/admin/audit'],
      ['PUT', '/admin/roles/x'],
      ['POST', `/admin/users/${member.id}/impersonate`],
    ] as const) {
      assert.equal((await bench.call(method, path, undefined, member.accessToken)).status, 403, path);
      assert.equal((await bench.call(method, path)).status, 401, path);
    }
  });

  test('make, find, change and remove accounts', async (t) => {
    const bench = await benchFor(t);
    const admin = await bench.admin();
    const body = { email: 'new@example.com', username: 'new_one', password: PASSWORD, plan: 'premium' };
    const strange = await bench.call('POST', '/admin/users', { ...body, plan: 'silver' }, admin.accessToken);
    const wanted = { field: 'plan', value: '"silver"', expected: 'one of standard, premium, enterprise' };
    assert.deepEqual([strange.status, strange.body.errors], [400, [wanted]]);
    const made = await bench.call('POST', '/admin/users', body, admin.accessToken);
    assert.equal(made.status, 201, JSON.stringify(made.body));
    const changed = await bench.call('PATCH', `/admin/users/${made.body.id}`, { plan: 'silver' }, admin.accessToken);
    assert.deepEqual([changed.status, changed.body.errors], [400, [wanted]]);
    const found = await bench.call('GET', '/admin/users?q=new_', undefined, admin.accessToken);
    assert.deepEqual(
      found.body.users.map((user: { id: string }) => user.id),
      [made.body.id],
    );
    assert.equal((await bench.call('GET', '/admin/users?q=newx', undefined, admin.accessToken)).body.users.length, 0);
    assert.equal(
      (await bench.call('GET', '/admin/users?limit=0', undefined, admin.accessToken)).body.errors[0].field,
      'limit',
    );
    const login = await bench.call('POST', '/login', { username: 'new_one', password: PASSWORD });
    assert.equal(decodeJwt(login.body.accessToken)['plan'], 'premium');
    assert.equal(
      (await bench.call('DELETE', `/admin/users/${made.body.id}`, undefined, admin.accessToken)).status,
      200,
    );
    assert.equal((await bench.call('GET', '/me', undefined, login.body.accessToken)).status, 401);
  });

  test('disabling ends sessions, refresh, minted tokens and API keys at once (rule 8)', async (t) => {
    const bench = await benchFor(t);
    const [admin, member] = [await bench.admin(), await bench.member('bad')];
    const key = await bench.call('POST', '/keys', { name: 'k' }, member.accessToken);
    const minted = await bench.call('POST', '/tokens', { subject: 'bad', scopes: [] }, admin.accessToken);
    const { ApiKeyVerifier } = await import('../../../src/control/identity/api-keys/verify.ts');
    const keys = new ApiKeyVerifier(bench.identity.context);
    const ask = { key: key.body.key, address: '192.0.2.1' };
    assert.ok((await keys.verify(ask)) !== null);
    await bench.call('PATCH', `/admin/users/${member.id}`, { status: 'disabled' }, admin.accessToken);
    assert.equal((await bench.call('GET', '/me', undefined, member.accessToken)).status, 401);
    assert.equal((await bench.call('POST', '/refresh', { refreshToken: member.refreshToken })).status, 401);
    assert.equal(await keys.verify(ask), null);
    const asked = await bench.call('POST', '/introspect', { token: minted.body.accessToken }, admin.accessToken);
    assert.equal(asked.body.active, false);
    await keys.stop();
  });

  test('the last one can be neither disabled, demoted nor deleted', async (t) => {
    const bench = await benchFor(t);
    const admin = await bench.admin();
    for (const [method, body] of [
      ['PATCH', { status: 'disabled' }],
      ['PATCH', { roles: ['user'] }],
      ['DELETE', undefined],
    ] as const) {
      const answer = await bench.call(method, `/admin/users/${admin.id}`, body, admin.accessToken);
      assert.equal(answer.body.reason, 'last_admin');
    }
    assert.equal(
      (await bench.call('DELETE', '/me', { password: PASSWORD }, admin.accessToken)).body.reason,
      'last_admin',
    );
  });

  test('roles carry scopes, from the configuration and by the API, and take effect at the next token', async (t) => {
    const bench = await benchFor(t, { roles: { editor: { scopes: ['posts:write'] } } });
    const [admin, member] = [await bench.admin(), await bench.member('writer')];
    await bench.call('PUT', '/admin/roles/reviewer', { scopes: ['posts:review'] }, admin.accessToken);
    await bench.call('PATCH', `/admin/users/${member.id}`, { roles: ['editor', 'reviewer'] }, admin.accessToken);
    assert.equal(
      (await bench.call('POST', '/refresh', { refreshToken: member.refreshToken })).status,
      401,
      'sessions ended',
    );
    const login = await bench.call('POST', '/login', { username: 'writer', password: PASSWORD });
    assert.equal(login.body.scope, 'posts:review posts:write');
    const configured = await bench.call('PUT', '/admin/roles/editor', { scopes: [] }, admin.accessToken);
    assert.equal(configured.body.reason, 'configured_role');
    const unknown = await bench.call('PATCH', `/admin/users/${member.id}`, { roles: ['nonsense'] }, admin.accessToken);
    assert.equal(unknown.body.errors[0].field, 'roles');
  });

  test('impersonation is marked, short, audited, and does nothing sensitive', async (t) => {
    const bench = await benchFor(t);
    const [admin, member] = [await bench.admin(), await bench.member('shown')];
    const acting = await bench.call('POST', `/admin/users/${member.id}/impersonate`, undefined, admin.accessToken);
    assert.equal(acting.status, 201);
    assert.ok(!('refreshToken' in acting.body));
    const claims = decodeJwt(acting.body.accessToken);
    assert.deepEqual([claims.sub, claims['act']], [member.id, { sub: admin.id }]);
    const token = acting.body.accessToken;
    assert.equal((await bench.call('GET', '/me', undefined, token)).status, 200);
    const passwords = { currentPassword: PASSWORD, newPassword: 'something else entirely' };
    for (const [method, path, body] of [
      ['POST', '/password', passwords],
      ['POST', '/keys', { name: 'k' }],
      ['POST', '/mfa/totp', undefined],
      ['DELETE', '/me', { password: PASSWORD }],
      ['POST', '/children', { username: 'kid', password: PASSWORD, birthDate: '2017-01-01' }],
    ] as const) {
      assert.equal((await bench.call(method, path, body, token)).body.reason, 'impersonating', path);
    }
    const { body } = await bench.call('GET', '/admin/audit?action=user.impersonated', undefined, admin.accessToken);
    assert.deepEqual([body.entries[0].actor, body.entries[0].target], [admin.id, member.id]);
    const self = await bench.call('POST', `/admin/users/${admin.id}/impersonate`, undefined, admin.accessToken);
    assert.equal(self.body.reason, 'not_impersonable');
  });
});

describe('the audit log', () => {
  test('is one unbroken chain over everything that happened', async (t) => {
    const bench = await benchFor(t);
    const admin = await bench.admin();
    await Promise.all([bench.member('anna'), bench.member('bert'), bench.member('cleo')]);
    const { body } = await bench.call('GET', '/admin/audit/verify', undefined, admin.accessToken);
    assert.equal(body.broken, null);
    assert.ok(body.entries >= 10);
    const text = JSON.stringify(await bench.identity.context.store.db.selectFrom('audit_log').selectAll().execute());
    assert.ok(!text.includes(PASSWORD));
  });

  test('is refused change and removal by the database itself', async (t) => {
    const bench = await benchFor(t);
    await bench.member('anna');
    const { db } = bench.identity.context.store;
    await assert.rejects(db.updateTable('audit_log').set({ actor: 'x' }).where('seq', '=', 1).execute(), /only grows/);
    await assert.rejects(db.deleteFrom('audit_log').where('seq', '=', 1).execute(), /only grows/);
  });

  const tampering: { name: string; run: string[] }[] = [
    { name: 'a changed entry', run: [`update audit_log set detail = '{}' || ' ' where seq = 2`] },
    { name: 'a removed entry', run: ['delete from audit_log where seq = 2'] },
    { name: 'a removed end', run: ['delete from audit_log where seq = (select max(seq) from audit_log)'] },
    {
      name: 'two entries swapped',
      run: [
        'update audit_log set seq = -1 where seq = 2',
        'update audit_log set seq = 2 where seq = 3',
        'update audit_log set seq = 3 where seq = -1',
      ],
    },
    {
      name: 'a removed end with a matching number in the head',
      run: [
        'delete from audit_log where seq = (select max(seq) from audit_log)',
        'update audit_head set seq = seq - 1',
      ],
    },
  ];
  for (const { name, run } of tampering) {
    test(`shows ${name}`, async (t) => {
      const bench = await benchFor(t);
      await bench.member('anna');
      const { db } = bench.identity.context.store;
      await dropTriggers(bench);
      for (const text of run) await sql.raw(text).execute(db);
      assert.notEqual((await bench.identity.context.audit.verify()).broken, null);
    });
  }

  test('shows an end cut off together with its head to who noted the head', async (t) => {
    const bench = await benchFor(t);
    await bench.member('anna');
    const { audit, store } = bench.identity.context;
    const early = await audit.head();
    await bench.member('bert');
    const noted = await audit.head();
    await dropTriggers(bench);
    await store.db.deleteFrom('audit_log').where('seq', '>', early.seq).execute();
    await store.db.updateTable('audit_head').set(early).execute();
    assert.equal((await audit.verify()).broken, null, 'from inside it cannot be seen');
    assert.notEqual((await audit.verify(noted)).broken, null);
  });
});
