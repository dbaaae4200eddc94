/**
 * Two processes on one database, on SQLite and on PostgreSQL: whatever works once, works once (rule 1), families die
 * once (rule 2), and the audit log stays one chain. SQLite alone would hide most faults: it has one writer.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { sql } from 'kysely';
import { generate } from 'otplib';
import { createLogger } from '../../../src/base/log.ts';
import { firstAdminLink } from '../../../src/control/identity/accounts/first-admin.ts';
import { completeSignIn } from '../../../src/control/identity/accounts/sign-in.ts';
import { insertUser } from '../../../src/control/identity/accounts/users.ts';
import { LOCAL_CALLER } from '../../../src/control/identity/caller.ts';
import type { IdentityContext } from '../../../src/control/identity/context.ts';
import { openContext } from '../../../src/control/identity/identity.ts';
import { makeRecoveryCodes } from '../../../src/control/identity/mfa/recovery.ts';
import { enrolTotp } from '../../../src/control/identity/mfa/totp.ts';
import { adapterFactory } from '../../../src/control/identity/oauth/adapter.ts';
import type { User } from '../../../src/control/identity/tables.ts';
import { isUnavailable } from '../../../src/control/store/faults.ts';
import { type PostgresServer, startPostgres } from '../../support/postgres.ts';
import { type Outcomes, type RaceOrder, runOrder } from './race-orders.ts';

const ROUNDS = 6;
const TRIES = 4;

async function race(context: IdentityContext, other: ChildProcess, order: RaceOrder): Promise<Outcomes> {
  const answer = once(other, 'message');
  other.send(order);
  const mine = await runOrder(context, order);
  const [theirs] = (await answer) as [Outcomes];
  return { passed: mine.passed + theirs.passed, faults: [...mine.faults, ...theirs.faults] };
}

function raceSuite(name: string, makeUrl: (folder: string) => Promise<string>): void {
  describe(`two processes on ${name}`, () => {
    let folder: string;
    let context: IdentityContext;
    let release: () => Promise<void>;
    let other: ChildProcess;
    let user: User;

    before(async () => {
      folder = mkdtempSync(join(tmpdir(), 'gatehouse-race-'));
      const storeUrl = await makeUrl(folder);
      ({ context, release } = await openContext(
        { passwords: { memory: '8mb', passes: 1 } },
        { dataDir: folder, storeUrl, log: createLogger('silent') },
      ));
      await context.signingKeys.refresh();
      other = fork(new URL('./race-worker.ts', import.meta.url), [storeUrl, folder], {
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      });
      await once(other, 'message');
      user = await context.store.transaction((trx) =>
        insertUser(context, trx, { kind: 'user', email: 'racer@example.com', roles: ['user'] }),
      );
    });
    after(async () => {
      if (other?.connected) {
        other.send('end');
        await once(other, 'exit');
      }
      await release?.();
      rmSync(folder, { recursive: true, force: true });
    });

    const order = (kind: RaceOrder['kind'], secret: string, tries = TRIES): RaceOrder => ({
      kind,
      secret,
      tries,
      userId: user.id,
    });

    test('one refresh token is exchanged once, and within the grace its session lives', async () => {
      for (let round = 0; round < ROUNDS; round++) {
        const facts = { amr: ['pwd'], mfaAt: null, scopes: null };
        const fresh = await context.store.db
          .selectFrom('users')
          .selectAll()
          .where('id', '=', user.id)
          .executeTakeFirstOrThrow();
        const tokens = await completeSignIn(context, fresh, facts, LOCAL_CALLER);
        const result = await race(context, other, order('refresh', tokens.refreshToken ?? ''));
        assert.deepEqual(result, { passed: 1, faults: [] });
        const session = await context.store.db
          .selectFrom('sessions')
          .selectAll()
          .where('id', '=', tokens.sessionId)
          .executeTakeFirstOrThrow();
        assert.equal(session.revoked_at, null);
      }
    });

    test('one reset code sets one password', async () => {
      for (let round = 0; round < 3; round++) {
        const code = await context.codes.issue(context.store.db, 'reset-password', { userId: user.id, ttlMs: 60_000 });
        assert.deepEqual(await race(context, other, order('reset', code)), { passed: 1, faults: [] });
      }
    });

    test('one confirmation makes one account, with the password that came first', async () => {
      for (let round = 0; round < 2; round++) {
        const email = `confirmed-${round}@example.com`;
        const waiting = { email, username: null, displayName: null, birthDate: null, passwordHash: '' };
        const code = await context.codes.issue(context.store.db, 'register', { payload: waiting, ttlMs: 60_000 });
        assert.deepEqual(await race(context, other, order('confirm', code)), { passed: 1, faults: [] });
        const made = await context.store.db.selectFrom('users').select('id').where('email', '=', email).execute();
        assert.equal(made.length, 1);
      }
    });

    test('one recovery code is taken once', async () => {
      const codes = await makeRecoveryCodes(context, context.store.db, user.id);
      for (const code of codes)
        assert.deepEqual(await race(context, other, order('recovery', code)), { passed: 1, faults: [] });
    });

    test('one authenticator code is taken once', async () => {
      const enrolled = await enrolTotp(context, context.store.db, user);
      const secret = enrolled?.secret ?? '';
      await context.store.db.updateTable('mfa_totp').set({ confirmed_at: 1 }).execute();
      for (let round = 0; round < ROUNDS; round++) {
        await context.store.db.updateTable('mfa_totp').set({ last_step: 0 }).execute();
        const code = await generate({ secret });
        assert.deepEqual(await race(context, other, order('totp', code)), { passed: 1, faults: [] });
      }
    });

    test('one authorization code of an application is consumed once (rule 3)', async () => {
      const codes = adapterFactory(context)('AuthorizationCode');
      for (let round = 0; round < ROUNDS; round++) {
        await codes.upsert(`code-${round}`, { grantId: 'g', accountId: user.id }, 60);
        assert.deepEqual(await race(context, other, order('oauth-code', `code-${round}`)), { passed: 1, faults: [] });
      }
    });

    test('every wrong password is counted', async () => {
      assert.deepEqual(await race(context, other, order('failures', '', 20)), { passed: 40, faults: [] });
      const row = await context.store.db
        .selectFrom('guards')
        .selectAll()
        .where('key', '=', `user:${user.id}`)
        .executeTakeFirst();
      assert.equal(row?.failures, 40);
    });

    test('one link makes one administrator', async () => {
      const token = /token=(\w+)/.exec((await firstAdminLink(context)) ?? '')?.[1] ?? '';
      assert.deepEqual(await race(context, other, order('first-admin', token, 2)), { passed: 1, faults: [] });
      const admins = await context.store.db.selectFrom('user_roles').selectAll().where('role', '=', 'admin').execute();
      assert.equal(admins.length, 1);
    });

    test('the audit log is one chain', async () => {
      assert.deepEqual(await race(context, other, order('audit', '', 25)), { passed: 50, faults: [] });
      const verdict = await context.audit.verify();
      assert.equal(verdict.broken, null);
      assert.ok(verdict.entries > 50);
    });

    test('both sign with the same key', async () => {
      const rows = await context.store.db.selectFrom('signing_keys').selectAll().execute();
      assert.equal(rows.length, 1);
    });
  });
}

raceSuite('SQLite', async (folder) => `sqlite:${join(folder, 'identity.db')}`);

describe('PostgreSQL', () => {
  let server: PostgresServer;
  before(async () => {
    server = await startPostgres();
  });
  after(() => server?.stop());

  raceSuite('PostgreSQL', () => server.database('races'));

  test('the audit log refuses change there, too', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'gatehouse-race-'));
    const { context, release } = await openContext({}, { dataDir: folder, storeUrl: await server.database('audit') });
    t.after(async () => {
      await release();
      rmSync(folder, { recursive: true, force: true });
    });
    await context.audit.write({ actor: 'a', action: 'b' });
    const { db } = context.store;
    await assert.rejects(db.deleteFrom('audit_log').execute(), /only grows/);
    await assert.rejects(sql`truncate audit_log`.execute(db), /only grows/);
  });

  test('away, it makes 503 of a login while known tokens still verify, and nothing is half-written', async (t) => {
    const { makeBench, PASSWORD } = await import('./harness.ts');
    const bench = await makeBench({}, { storeUrl: await server.database('away') });
    t.after(() => bench.close());
    const member = await bench.member('stays');
    await server.halt();
    const login = await bench.call('POST', '/login', { username: 'stays', password: PASSWORD });
    assert.deepEqual([login.status, login.body.code], [503, 'SERVICE_UNAVAILABLE']);
    assert.ok(login.headers.get('retry-after') !== null);
    assert.notEqual(await bench.identity.context.tokens.verify(member.accessToken), undefined);
    await assert.rejects(bench.identity.context.store.ping(), (error) => isUnavailable(error));
    const refresh = await bench.call('POST', '/refresh', { refreshToken: member.refreshToken });
    assert.equal(refresh.status, 503);
    await server.start();
    assert.equal(
      (await bench.call('POST', '/refresh', { refreshToken: member.refreshToken })).status,
      200,
      'the token was not burnt',
    );
    assert.equal((await bench.identity.context.audit.verify()).broken, null);
  });
});
