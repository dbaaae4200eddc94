/**
 * The rules of docs/identity-rules.md, each by its name, in its plainest form. Where a rule is a race, the two
 * processes of races.test.ts prove it as well; rule 9 needs an outside provider and is in oauth.test.ts.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { decodeJwt } from 'jose';
import { IDENTITY_MIGRATIONS } from '../../../src/control/identity/migrations.ts';
import { adapterFactory } from '../../../src/control/identity/oauth/adapter.ts';
import type { IdentityTables } from '../../../src/control/identity/tables.ts';
import { migrate } from '../../../src/control/store/migrate.ts';
import { openSqlite } from '../../../src/control/store/sqlite.ts';
import { openStore } from '../../../src/control/store/store.ts';
import { type Bench, makeBench, PASSWORD } from './harness.ts';

async function benchFor(
  t: { after(done: () => Promise<void>): void },
  ...args: Parameters<typeof makeBench>
): Promise<Bench> {
  const bench = await makeBench(...args);
  t.after(() => bench.close());
  return bench;
}

describe('the rules of the identity service', () => {
  test('rule 1: one statement decides single use, in a transaction that begins with a write', async (t) => {
    const bench = await benchFor(t);
    const { codes, store } = bench.identity.context;
    const code = await codes.issue(store.db, 'mfa-ticket', { ttlMs: 60_000 });
    const uses = await Promise.all(
      Array.from({ length: 20 }, () => store.transaction((trx) => codes.use(trx, 'mfa-ticket', code))),
    );
    assert.equal(uses.filter((use) => use !== undefined).length, 1);
    assert.equal(await codes.use(store.db, 'reset-password', code), undefined, 'nor for another purpose');
  });

  test('rule 1: a transaction that only reads so far keeps a second process from writing', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'gatehouse-rules-'));
    const path = join(folder, 'one.db');
    const first = await openStore<IdentityTables>(`sqlite:${path}`);
    // A connection of its own, as another process would have; the store shares one within a process.
    const second = openSqlite<IdentityTables>(path, 20);
    t.after(async () => {
      await Promise.all([first.close(), second.destroy()]);
      rmSync(folder, { recursive: true, force: true });
    });
    await migrate(first, 'identity', IDENTITY_MIGRATIONS);
    const spend = () => second.updateTable('roles').set({ scopes: '[]' }).execute();
    await first.transaction(async (trx) => {
      await trx.selectFrom('roles').selectAll().execute();
      await assert.rejects(spend(), /locked|busy/i);
    });
    await spend();
  });

  test('rule 2: a family is a session; a duplicate inside the grace is refused, after it the session ends', async (t) => {
    const bench = await benchFor(t, { sessions: { reuseGrace: '5s' } });
    const { refreshToken } = await bench.member('family');
    const refresh = async (token: string) => bench.call('POST', '/refresh', { refreshToken: token });
    const next = await refresh(refreshToken);
    bench.clock.advance(4_999);
    assert.equal((await refresh(refreshToken)).body.refreshToken, next.body.refreshToken, 'the same client, again');
    const other = { 'x-forwarded-for': '198.51.100.1' };
    const elsewhere = await bench.call('POST', '/refresh', { refreshToken }, undefined, other);
    assert.equal(elsewhere.body.reason, 'refresh_in_progress');
    const third = await refresh(next.body.refreshToken);
    assert.equal(third.status, 200);
    bench.clock.advance(1);
    assert.equal((await refresh(refreshToken)).status, 401);
    assert.equal((await refresh(third.body.refreshToken)).status, 401);
  });

  test('rule 3: the OAuth adapter hashes ids, drops jti, and refuses the second consume', async (t) => {
    const bench = await benchFor(t);
    const { store } = bench.identity.context;
    for (const model of ['AccessToken', 'AuthorizationCode', 'RefreshToken', 'ClientCredentials']) {
      const adapter = adapterFactory(bench.identity.context)(model);
      await adapter.upsert('the-bearer-value', { jti: 'the-bearer-value', accountId: 'a' }, 60);
      const row = await store.db
        .selectFrom('oidc_models')
        .selectAll()
        .where('model', '=', model)
        .executeTakeFirstOrThrow();
      assert.ok(!JSON.stringify(row).includes('the-bearer-value'));
      const { Encryption } = await import('../../../src/control/secrets/encryption.ts');
      const encryption = new Encryption(bench.identity.context.master.derive('oauth'));
      assert.deepEqual(JSON.parse(encryption.decrypt(row.sealed, `${model}:${row.hash}`)), { accountId: 'a' });
      assert.deepEqual(await adapter.find('the-bearer-value'), { accountId: 'a', jti: 'the-bearer-value' });
      await adapter.consume('the-bearer-value');
      await assert.rejects(adapter.consume('the-bearer-value'), { error: 'invalid_grant' });
    }
  });

  test('rule 4: first-party JWTs live five minutes at most and die with their session', async (t) => {
    const bench = await benchFor(t);
    const member = await bench.member('short');
    const { exp = 0, iat = 0 } = decodeJwt(member.accessToken);
    assert.ok(exp - iat <= 300);
    await bench.call('POST', '/logout', undefined, member.accessToken);
    assert.equal((await bench.call('GET', '/me', undefined, member.accessToken)).status, 401);
    assert.ok(bench.identity.context.revocations.message().sids.some(([sid]) => sid === member.sessionId));
    // Opaque tokens of third parties: oauth.test.ts, "code with PKCE gives opaque tokens".
  });

  test('rule 5: signing keys are sealed in a table and bound to their row', async (t) => {
    const bench = await benchFor(t);
    const { db } = bench.identity.context.store;
    const row = await db.selectFrom('signing_keys').selectAll().executeTakeFirstOrThrow();
    assert.match(row.sealed_jwk, /^v1\./);
    await db.updateTable('signing_keys').set({ kid: 'swapped' }).execute();
    bench.clock.advance(61_000);
    await assert.rejects(bench.identity.context.signingKeys.refresh());
  });

  test('rule 6: failures are counted by account id, not by what was typed; user names hold no @', async (t) => {
    const bench = await benchFor(t, { lockout: { freeAttempts: 3, firstDelay: '10m' } });
    const member = await bench.member('counted');
    for (const username of ['counted', 'COUNTED', 'counted@example.com']) {
      await bench.call('POST', '/login', { username, password: 'a wrong one' });
    }
    const rows = await bench.identity.context.store.db
      .selectFrom('guards')
      .selectAll()
      .where('key', 'like', 'user:%')
      .where('key', 'like', 'user:%@%')
      .execute();
    assert.deepEqual(
      rows.map((row) => [row.key, row.failures]),
      [[`user:${member.id}@192.0.2.7`, 3]],
    );
    for (const username of ['counted', 'counted@example.com']) {
      assert.equal((await bench.call('POST', '/login', { username, password: PASSWORD })).status, 401);
    }
    const named = await bench.call('POST', '/register', { email: 'a@b.co', username: 'x@y', password: PASSWORD });
    assert.equal(named.body.errors[0].field, 'username');
  });

  test('rule 6: a locked account and a name that nobody has cost the same hash and the same statements', async (t) => {
    const bench = await benchFor(t, { lockout: { freeAttempts: 2, firstDelay: '10m' } });
    await bench.member('counted');
    for (let i = 0; i < 3; i++) await bench.call('POST', '/login', { username: 'counted', password: 'a wrong one' });
    const { hasher } = bench.identity.context;
    const real = hasher.checkInside.bind(hasher);
    const hashed: boolean[] = [];
    hasher.checkInside = async (password, stored) => {
      hashed.push(stored !== null);
      return await real(password, stored);
    };
    await bench.call('POST', '/login', { username: 'counted', password: 'a wrong one' });
    await bench.call('POST', '/login', { username: 'nobody', password: 'a wrong one' });
    assert.deepEqual(hashed, [false, false], 'the dummy, both times');
  });

  test('rule 7: a flood of logins queues, then gets 503, and everything else goes on', async (t) => {
    const bench = await benchFor(t, { passwords: { parallel: 2, maxQueued: 5 }, lockout: { addressAttempts: 10_000 } });
    const member = await bench.member('calm');
    const flood = Array.from({ length: 30 }, (_, i) =>
      bench.call('POST', '/login', { username: `n${i}`, password: 'flood' }, undefined, {
        'x-forwarded-for': `198.51.100.${i}`,
      }),
    );
    const refreshed = await bench.call('POST', '/refresh', { refreshToken: member.refreshToken });
    assert.equal(refreshed.status, 200);
    const statuses = (await Promise.all(flood)).map((answer) => answer.status);
    assert.equal(statuses.filter((status) => status === 401).length, 7);
    assert.equal(statuses.filter((status) => status === 503).length, 23);
    assert.equal((await bench.call('POST', '/login', { username: 'calm', password: PASSWORD })).status, 200);
  });

  test('rule 8: disabling ends sessions, tokens, grants and keys', async (t) => {
    const bench = await benchFor(t);
    const [admin, member] = [await bench.admin(), await bench.member('ended')];
    const { store } = bench.identity.context;
    await adapterFactory(bench.identity.context)('RefreshToken').upsert('r', { accountId: member.id }, 3_600);
    await bench.call('PATCH', `/admin/users/${member.id}`, { status: 'disabled' }, admin.accessToken);
    assert.equal((await bench.call('POST', '/refresh', { refreshToken: member.refreshToken })).status, 401);
    assert.equal((await bench.call('GET', '/me', undefined, member.accessToken)).status, 401);
    assert.deepEqual(await store.db.selectFrom('oidc_models').selectAll().execute(), []);
    // Keys, by status at each use: admin.test.ts; password change and reset: accounts.test.ts, oauth.test.ts.
  });

  test('rule 10: the libraries that were refused are not there', () => {
    const { dependencies } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
    for (const name of ['better-auth', 'fast-jwt', 'drizzle-orm', 'postgres']) assert.ok(!(name in dependencies), name);
    for (const name of ['jose', 'kysely', 'pg', 'otplib', 'oidc-provider', 'openid-client', 'nodemailer']) {
      assert.match(dependencies[name], /^\d+\.\d+\.\d+$/, `${name} is pinned`);
    }
  });
});
