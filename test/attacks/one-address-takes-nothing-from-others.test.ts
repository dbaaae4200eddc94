/**
 * Rule: one address takes nothing from others. Cheap checks come before hashing, every call that needs no account is
 * counted by address (IPv6 by its /64), one address holds a share of the queue of hashes, and a flood writes neither
 * rows nor a log line per refusal.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sweep } from '../../src/control/identity/cleanup.ts';
import { adapterFactory } from '../../src/control/identity/oauth/adapter.ts';
import { type Bench, makeBench, PASSWORD } from '../integration/identity/harness.ts';
import { served } from '../integration/identity/oauth-scene.ts';

const SECRET = 'a secret of the application with enough bytes';
const OUR_CLIENT = {
  id: 'us',
  name: 'Us',
  secret: SECRET,
  redirectUris: ['http://127.0.0.1:9/api/auth/outside/other/callback'],
  scopes: ['openid', 'email', 'profile'],
};

type Cleanup = { after(done: () => Promise<void>): void };

async function benchFor(t: Cleanup, ...args: Parameters<typeof makeBench>): Promise<Bench> {
  const bench = await makeBench(...args);
  t.after(() => bench.close());
  return bench;
}

const from = (address: string) => ({ 'x-forwarded-for': address });

/** How many hashes run while `work` does. */
async function hashesDuring(bench: Bench, work: () => Promise<unknown>): Promise<number> {
  const { semaphore } = bench.identity.context.hasher;
  const real = semaphore.run.bind(semaphore);
  let count = 0;
  semaphore.run = async (task, owner) => {
    count++;
    return await real(task, owner);
  };
  await work();
  semaphore.run = real;
  return count;
}

async function rowsOf(bench: Bench): Promise<Record<string, number>> {
  const { db } = bench.identity.context.store;
  const counts: Record<string, number> = {};
  for (const table of ['one_time_codes', 'audit_log', 'guards', 'mail_outbox', 'users', 'oidc_models'] as const) {
    const row = await db
      .selectFrom(table)
      .select((eb) => eb.fn.countAll().as('n'))
      .executeTakeFirstOrThrow();
    counts[table] = Number(row.n);
  }
  return counts;
}

describe('cheap checks come before hashing', () => {
  test('a made-up code of the first administrator or of a reset costs no hash', async (t) => {
    const bench = await benchFor(t, { firstAdmin: 'link' });
    const token = 'a-made-up-code-of-enough-length';
    const email = 'mallory@example.com';
    const hashes = await hashesDuring(bench, async () => {
      const setup = await bench.call('POST', '/setup', { token, email, password: PASSWORD });
      assert.deepEqual([setup.status, setup.body.reason], [400, 'invalid_code']);
      const reset = await bench.call('POST', '/password/reset', { token, newPassword: PASSWORD });
      assert.deepEqual([reset.status, reset.body.reason], [400, 'invalid_code']);
      const confirm = await bench.call('POST', '/verify-email', { token, newPassword: PASSWORD });
      assert.equal(confirm.status, 400);
    });
    assert.equal(hashes, 0);
  });

  test('so does a registration of a taken name, a weak password, a closed door or one too many', async (t) => {
    const bench = await benchFor(t, { registration: { verifyEmail: 'off' }, addressLimits: { signUps: '2/1h' } });
    const register = (email: string, password = PASSWORD, address = '192.0.2.50') =>
      bench.call('POST', '/register', { email, password }, undefined, from(address));
    assert.equal((await register('a@example.com')).status, 201);
    const hashes = await hashesDuring(bench, async () => {
      assert.equal((await register('a@example.com')).status, 409);
      assert.equal((await register('b@example.com')).status, 429);
      assert.equal((await register('c@example.com', 'password', '192.0.2.51')).status, 400);
    });
    assert.equal(hashes, 0);
  });
});

describe('calls without an account are counted by address', () => {
  const OPEN: readonly [method: string, path: string, body?: object][] = [
    ['POST', '/register', {}],
    ['POST', '/verify-email', {}],
    ['POST', '/login', {}],
    ['POST', '/login/mfa', {}],
    ['POST', '/login/passkey', {}],
    ['POST', '/refresh', {}],
    ['POST', '/logout', {}],
    ['POST', '/password/forgot', {}],
    ['POST', '/password/reset', {}],
    ['POST', '/setup', {}],
    ['POST', '/passkeys/challenge'],
    ['POST', '/outside/exchange', {}],
    ['GET', '/outside/google/start?returnTo=x'],
    ['GET', '/outside/google/callback?state=x'],
  ];
  for (const [method, path, body] of OPEN) {
    test(`${method} ${path}: 429 with Retry-After beyond the limit, others unaffected`, async (t) => {
      const bench = await benchFor(t, { addressLimits: { calls: '3/1m' }, alsoAt: ['/api/v1/auth'] });
      const ask = (address: string, prefix = '') =>
        bench.call(method, `${prefix}${path}`, body, undefined, from(address));
      for (let i = 0; i < 3; i++) assert.notEqual((await ask('2001:db8:1:2::1')).status, 429);
      const refused = await ask('2001:db8:1:2:ffff::9');
      assert.deepEqual([refused.status, refused.body.reason], [429, 'too_many_calls'], 'the same /64');
      assert.equal((await ask('2001:db8:1:2::1', '/api/v1/auth')).status, 429, 'by another path of the same API');
      assert.equal(refused.headers.get('retry-after'), '20');
      assert.notEqual((await ask('2001:db8:1:3::1')).status, 429);
      bench.clock.advance(20_000);
      assert.notEqual((await ask('2001:db8:1:2::1')).status, 429, 'and time heals');
    });
  }

  test('each page of a link counts as well', async (t) => {
    const bench = await benchFor(t, { addressLimits: { calls: '2/1m' } });
    const open = () =>
      bench.identity.app.fetch(
        new Request('http://gatehouse.test/api/auth/pages/reset-password?token=made-up-token', {
          headers: from('192.0.2.60'),
        }),
      );
    const statuses = [];
    for (let i = 0; i < 3; i++) statuses.push((await open()).status);
    assert.deepEqual(statuses, [400, 400, 429]);
  });
});

describe('a flood from one address', () => {
  test('of registrations leaves the sign-ins of others their turn', async (t) => {
    const bench = await benchFor(t, { passwords: { parallel: 1, maxQueued: 20 } });
    await bench.member('calm');
    const register = (i: number) =>
      bench.call(
        'POST',
        '/register',
        { email: `f${i}@example.com`, password: PASSWORD },
        undefined,
        from('192.0.2.66'),
      );
    const flood = Array.from({ length: 130 }, (_, i) => register(i));
    const signIns = Array.from({ length: 10 }, (_, i) =>
      bench.call('POST', '/login', { username: 'calm', password: PASSWORD }, undefined, from(`198.51.100.${i}`)),
    );
    assert.deepEqual(
      (await Promise.all(signIns)).map(({ status }) => status),
      new Array(10).fill(200),
    );
    const statuses = (await Promise.all(flood)).map(({ status }) => status);
    assert.ok(statuses.filter((status) => status === 503).length >= 100, 'the flood is refused beyond its share');
    const lines = bench.logged.filter((line) => line.includes('refused requests'));
    assert.ok(lines.length <= 2, `${lines.length} lines`);
    assert.ok(!bench.logged.some((line) => line.includes('"error"')));
  });

  test('of questions about addresses that nobody has writes no row', async (t) => {
    const bench = await benchFor(t);
    const before = await rowsOf(bench);
    for (let i = 0; i < 60; i++) {
      const { status } = await bench.call('POST', '/password/forgot', { email: `nobody${i}@example.com` });
      assert.equal(status, 202);
      assert.equal((await bench.call('POST', '/passkeys/challenge')).status, 200);
    }
    await bench.identity.context.background.settled();
    assert.deepEqual(await rowsOf(bench), before);
  });

  test('of sign-ins with an outside provider that nobody ends writes no row, nor one of their answers', async (t) => {
    const { bench: provider, url } = await served({ oauth: { enabled: true, clients: [OUR_CLIENT] } });
    t.after(() => provider.close());
    const bench = await benchFor(t, {
      publicUrl: 'http://127.0.0.1:9',
      returnTo: ['http://127.0.0.1:9/welcome'],
      providers: { other: { issuer: `${url}/oauth`, clientId: 'us', clientSecret: SECRET, allowInsecure: true } },
    });
    const ask = (path: string, headers: Record<string, string> = {}) =>
      bench.identity.app.fetch(new Request(`http://gatehouse.test/api/auth/outside/other/${path}`, { headers }));
    const before = await rowsOf(bench);
    const returnTo = encodeURIComponent('http://127.0.0.1:9/welcome');
    let cookie = '';
    let state = '';
    for (let i = 0; i < 50; i++) {
      const begun = await ask(`start?returnTo=${returnTo}`);
      assert.equal(begun.status, 302);
      cookie = begun.headers.getSetCookie()[0]?.split(';')[0] ?? '';
      state = new URL(begun.headers.get('location') ?? '').searchParams.get('state') ?? '';
      assert.ok(!cookie.includes(state), 'what is in the cookie is sealed');
      assert.equal((await ask('callback?code=x&state=made-up', { cookie })).status, 403);
      assert.equal((await ask(`callback?code=x&state=${state}`, { cookie: cookie.slice(0, -4) })).status, 403);
    }
    assert.deepEqual(await rowsOf(bench), before);
    assert.equal(
      (await ask(`callback?code=x&state=${state}`, { cookie })).status,
      302,
      'back to the page with an error',
    );
    assert.equal((await ask(`callback?code=x&state=${state}`, { cookie })).status, 403, 'once');
  });

  test('of registrations that nobody confirms keeps a fixed number of codes, the newest', async (t) => {
    const bench = await benchFor(t);
    for (let i = 0; i < 30; i++) {
      await bench.call('POST', '/register', { email: `never${i}@example.com`, password: PASSWORD });
      bench.clock.advance(1_000);
    }
    await sweep(bench.identity.context, 10);
    assert.equal((await rowsOf(bench))['one_time_codes'], 10);
    const token = await bench.mailedCode('never29@example.com', 'confirm');
    const confirmed = await bench.call('POST', '/verify-email', { token, password: PASSWORD });
    assert.equal(confirmed.status, 200, 'the newest still works');
    bench.clock.advance(86_400_001);
    await sweep(bench.identity.context, 10);
    assert.equal((await rowsOf(bench))['one_time_codes'], 0, 'what is over is gone at once');
  });

  test('of OAuth sign-ins that nobody ends keeps a fixed number of rows, the newest, whatever is in them', async (t) => {
    const bench = await benchFor(t);
    const adapter = adapterFactory(bench.identity.context, 100)('Interaction');
    const state = 'x'.repeat(4_000);
    const seconds = Math.floor(Date.now() / 1_000);
    for (let i = 0; i < 300; i++) {
      const payload = { uid: `uid${i}`, params: { state }, exp: seconds + 600 + i } as never;
      await adapter.upsert(`id${i}`, payload, 600 + i);
    }
    const signedIn = { uid: 'mine', accountId: 'someone', exp: seconds + 60 } as never;
    await adapter.upsert('mine', signedIn, 60);
    const rows = (await rowsOf(bench))['oidc_models']!;
    assert.ok(rows > 90 && rows <= 106, `${rows} rows`);
    assert.ok((await adapter.find('id299')) !== undefined);
    assert.equal(await adapter.find('id0'), undefined);
    assert.ok((await adapter.find('mine')) !== undefined, 'that of an account stays');
  });

  test('of made-up names fills a fixed number of rows, and the audit log with a few', async (t) => {
    const bench = await benchFor(t, { lockout: { addressAttempts: 100_000 } });
    const before = await rowsOf(bench);
    for (let i = 0; i < 220; i++) {
      await bench.call('POST', '/login', { username: `invented${i}`, password: 'x' }, undefined, from('192.0.2.70'));
    }
    const after = await rowsOf(bench);
    assert.ok(after['audit_log']! - before['audit_log']! <= 200, `${after['audit_log']} entries`);
    bench.clock.advance(60_000);
    await bench.call('POST', '/login', { username: 'invented', password: 'x' });
    const last = await bench.identity.context.store.db
      .selectFrom('audit_log')
      .select('detail')
      .orderBy('seq', 'desc')
      .executeTakeFirstOrThrow();
    assert.equal(JSON.parse(last.detail).leftOutBefore, 20);
    assert.equal((await bench.identity.context.audit.verify()).broken, null);
  });
});
