/** Refresh tokens, access tokens, keys and revocations. */
import assert from 'node:assert/strict';
import { createHmac, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { describe, test } from 'node:test';
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, exportJWK, jwtVerify, SignJWT } from 'jose';
import type { ControlBus } from '../../../src/control/bus.ts';
import { type Bench, makeBench, PASSWORD } from './harness.ts';

async function benchFor(
  t: { after(done: () => Promise<void>): void },
  ...args: Parameters<typeof makeBench>
): Promise<Bench> {
  const bench = await makeBench(...args);
  t.after(() => bench.close());
  return bench;
}

describe('refresh', () => {
  test('each refresh token works once and makes the next', async (t) => {
    const bench = await benchFor(t);
    const member = await bench.member('rosa');
    const first = await bench.call('POST', '/refresh', { refreshToken: member.refreshToken });
    assert.equal(first.status, 200);
    assert.notEqual(first.body.refreshToken, member.refreshToken);
    assert.equal(first.body.sessionId, member.sessionId);
    assert.equal((await bench.call('POST', '/refresh', { refreshToken: first.body.refreshToken })).status, 200);
  });

  test('eight uses at once give one winner and, within the grace, a living session', async (t) => {
    const bench = await benchFor(t);
    const member = await bench.member('rosa');
    const body = { refreshToken: member.refreshToken };
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        bench.call('POST', '/refresh', body, undefined, { 'user-agent': `tab ${i}` }),
      ),
    );
    const statuses = answers.map((answer) => answer.status).sort();
    assert.deepEqual(statuses, [200, 409, 409, 409, 409, 409, 409, 409]);
    const winner = answers.find((answer) => answer.status === 200);
    assert.equal((await bench.call('GET', '/me', undefined, winner?.body.accessToken)).status, 200);
  });

  test('a client whose response was lost gets the same next token again, until it uses it', async (t) => {
    const bench = await benchFor(t);
    const { refreshToken } = await bench.member('rosa');
    const refresh = (token: string) => bench.call('POST', '/refresh', { refreshToken: token });
    const answers = await Promise.all(Array.from({ length: 5 }, () => refresh(refreshToken)));
    const [next, ...others] = new Set(answers.map(({ body }) => body.refreshToken));
    assert.deepEqual([answers.map(({ status }) => status), others], [[200, 200, 200, 200, 200], []]);
    assert.equal((await refresh(next)).status, 200);
    assert.equal((await refresh(refreshToken)).body.reason, 'refresh_in_progress', 'the next one was used');
    const rows = await bench.identity.context.store.db.selectFrom('refresh_tokens').selectAll().execute();
    assert.ok(!JSON.stringify(rows).includes(next), 'kept so that only the holder can read it');
  });

  test('a token used again after the grace ends the session of thief and owner', async (t) => {
    const bench = await benchFor(t);
    const member = await bench.member('rosa');
    const next = await bench.call('POST', '/refresh', { refreshToken: member.refreshToken });
    bench.clock.advance(10_001);
    assert.equal((await bench.call('POST', '/refresh', { refreshToken: member.refreshToken })).status, 401);
    assert.equal((await bench.call('POST', '/refresh', { refreshToken: next.body.refreshToken })).status, 401);
    assert.equal((await bench.call('GET', '/me', undefined, next.body.accessToken)).status, 401);
    const { db } = bench.identity.context.store;
    const entry = await db
      .selectFrom('audit_log')
      .selectAll()
      .where('action', '=', 'session.reuse-detected')
      .executeTakeFirst();
    assert.equal(entry?.target, member.sessionId);
  });

  test('another session of the account outlives the reuse', async (t) => {
    const bench = await benchFor(t);
    const member = await bench.member('rosa');
    const other = await bench.call('POST', '/login', { username: 'rosa', password: PASSWORD });
    await bench.call('POST', '/refresh', { refreshToken: member.refreshToken });
    bench.clock.advance(11_000);
    await bench.call('POST', '/refresh', { refreshToken: member.refreshToken });
    assert.equal((await bench.call('POST', '/refresh', { refreshToken: other.body.refreshToken })).status, 200);
  });

  test('a session ends when it was not used for its idle time, and at its absolute end', async (t) => {
    const bench = await benchFor(t, { sessions: { idleTtl: '1h', absoluteTtl: '90m' } });
    const idle = await bench.member('idle');
    const busy = await bench.member('busy');
    bench.clock.advance(50 * 60_000);
    const kept = await bench.call('POST', '/refresh', { refreshToken: busy.refreshToken });
    assert.equal(kept.status, 200);
    assert.ok(kept.body.refreshExpiresIn <= 40 * 60);
    bench.clock.advance(20 * 60_000);
    assert.equal((await bench.call('POST', '/refresh', { refreshToken: idle.refreshToken })).status, 401);
    bench.clock.advance(30 * 60_000);
    assert.equal((await bench.call('POST', '/refresh', { refreshToken: kept.body.refreshToken })).status, 401);
  });

  test('the oldest session ends when there are too many', async (t) => {
    const bench = await benchFor(t, { sessions: { maxPerUser: 2 } });
    const member = await bench.member('many');
    bench.clock.advance(1_000);
    await bench.call('POST', '/login', { username: 'many', password: PASSWORD });
    bench.clock.advance(1_000);
    await bench.call('POST', '/login', { username: 'many', password: PASSWORD });
    assert.equal((await bench.call('GET', '/me', undefined, member.accessToken)).status, 401);
  });

  test('a database copy holds nothing that refreshes, signs or resets', async (t) => {
    const bench = await benchFor(t);
    const member = await bench.member('rosa');
    await bench.call('POST', '/password/forgot', { email: member.email });
    const code = await bench.mailedCode(member.email, 'new password');
    const key = await bench.call('POST', '/keys', { name: 'k' }, member.accessToken);
    const { db } = bench.identity.context.store;
    const tables = [
      'users',
      'sessions',
      'refresh_tokens',
      'one_time_codes',
      'signing_keys',
      'api_keys',
      'mail_outbox',
      'audit_log',
    ] as const;
    for (const table of tables) {
      const text = JSON.stringify(await db.selectFrom(table).selectAll().execute());
      for (const secret of [member.refreshToken, member.accessToken, code, key.body.key, PASSWORD, '"d":']) {
        assert.ok(!text.includes(secret), `${table} holds a secret`);
      }
    }
  });
});

describe('access tokens', () => {
  test('verify against the published set and carry the promised claims', async (t) => {
    const bench = await benchFor(t, { roles: { user: { scopes: ['stories:read', 'stories:write'] } } });
    const member = await bench.member('claims');
    const { body: jwks } = await bench.call('GET', '/.well-known/jwks.json');
    const options = {
      issuer: 'http://127.0.0.1:8000',
      audience: 'gatehouse',
      typ: 'at+jwt',
      currentDate: new Date(bench.clock.wallMs()),
    };
    const { payload, protectedHeader } = await jwtVerify(member.accessToken, createLocalJWKSet(jwks), options);
    assert.equal(protectedHeader.alg, 'ES256');
    assert.equal(protectedHeader.kid, jwks.keys[0].kid);
    assert.equal(payload.sub, member.id);
    assert.equal(payload['sid'], member.sessionId);
    assert.equal(payload['scope'], 'stories:read stories:write');
    assert.deepEqual(payload['roles'], ['user']);
    assert.equal(payload['plan'], 'standard');
    assert.equal(payload['mfa_verified'], false);
    assert.deepEqual(payload['amr'], ['pwd']);
    for (const claim of ['exp', 'iat', 'jti', 'auth_time']) assert.ok(claim in payload, claim);
    assert.equal((payload.exp ?? 0) - (payload.iat ?? 0), 300);
    assert.ok(!JSON.stringify(jwks).includes('"d"'));
  });

  test('can be narrowed at the sign-in and stay narrow', async (t) => {
    const bench = await benchFor(t, { roles: { user: { scopes: ['a', 'b'] } } });
    await bench.member('narrow');
    const login = await bench.call('POST', '/login', {
      username: 'narrow',
      password: PASSWORD,
      scope: 'a identity:admin',
    });
    assert.equal(login.body.scope, 'a');
    const refreshed = await bench.call('POST', '/refresh', { refreshToken: login.body.refreshToken });
    assert.equal(refreshed.body.scope, 'a');
    const key = await bench.call('POST', '/keys', { name: 'k', scopes: ['b'] }, login.body.accessToken);
    assert.equal(key.status, 400, 'a narrowed session makes no wider key');
  });

  for (const algorithm of ['ES256', 'EdDSA', 'RS256'] as const) {
    test(`${algorithm} signs and verifies`, async (t) => {
      const bench = await benchFor(t, { tokens: { algorithm } });
      const member = await bench.member('alg');
      assert.equal(decodeProtectedHeader(member.accessToken).alg, algorithm);
      assert.equal((await bench.call('GET', '/me', undefined, member.accessToken)).status, 200);
    });
  }

  test('JWT_SECRET makes them HS256, and the set shows no secret', async (t) => {
    const secret = 'a shared secret of more than thirty-two bytes';
    const bench = await benchFor(t, {}, { environment: { JWT_SECRET: secret } });
    const member = await bench.member('shared');
    await jwtVerify(member.accessToken, Buffer.from(secret), { currentDate: new Date(bench.clock.wallMs()) });
    assert.deepEqual((await bench.call('GET', '/.well-known/jwks.json')).body, { keys: [] });
    assert.equal((await bench.call('GET', '/me', undefined, member.accessToken)).status, 200);
  });

  for (const [name, environment] of [
    ['a short JWT_SECRET', { JWT_SECRET: 'short' }],
    ['a short JWT_REFRESH_SECRET', { JWT_REFRESH_SECRET: 'short' }],
    ['a REQUIRE_MFA that is neither', { REQUIRE_MFA: 'maybe' }],
    ['an API_KEY_1 without a user', { API_KEY_1: 'onlykey' }],
  ] as const) {
    test(`${name} stops the start without showing the value`, async () => {
      await assert.rejects(makeBench({}, { environment }), (error: Error) => {
        const [variable = '', value = ''] = Object.entries(environment)[0] ?? [];
        return (
          error instanceof TypeError &&
          error.message.includes(variable) &&
          (value === 'maybe' || !error.message.includes(value))
        );
      });
    });
  }

  test('every forged or damaged token gets the same 401', async (t) => {
    const bench = await benchFor(t);
    const member = await bench.member('target');
    const { keys } = (await bench.call('GET', '/.well-known/jwks.json')).body;
    const now = Math.floor(bench.clock.wallMs() / 1_000);
    const good = decodeJwt(member.accessToken);
    const header = { alg: 'ES256', kid: keys[0].kid, typ: 'at+jwt' };
    const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const foreign = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const foreignJwk = await exportJWK(foreign.publicKey);
    const forge = (head: object, claims: object = good): Promise<string> =>
      new SignJWT(claims as never).setProtectedHeader({ ...header, ...head } as never).sign(foreign.privateKey);
    const [head = '', body = '', signature = ''] = member.accessToken.split('.');
    const pem = createPublicKey({ key: keys[0], format: 'jwk' }).export({ type: 'spki', format: 'pem' });
    const confused = `${encode({ ...header, alg: 'HS256' })}.${body}`;
    const { context } = bench.identity;
    const { key } = await context.signingKeys.signer();
    const mint = (claims: object, more: object = {}): Promise<string> =>
      new SignJWT({ ...good, ...claims } as never)
        .setProtectedHeader({ ...header, ...more } as never)
        .sign(key as CryptoKey);
    const n = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551');
    const raw = Buffer.from(signature, 'base64url');
    const s = n - BigInt(`0x${raw.subarray(32).toString('hex')}`);
    const overflow = Buffer.concat([raw.subarray(0, 32), Buffer.from((s + n).toString(16).padStart(66, '0'), 'hex')]);
    const attacks: Record<string, string> = {
      'alg none': `${encode({ ...header, alg: 'none' })}.${body}.`,
      'alg None, other case': `${encode({ ...header, alg: 'nOnE' })}.${body}.`,
      'public key as HMAC secret': `${confused}.${createHmac('sha256', pem).update(confused).digest('base64url')}`,
      'foreign key, our kid': await forge({}),
      'foreign key in the header (jwk)': await forge({ jwk: foreignJwk }),
      'foreign key by address (jku)': await forge({ jku: 'https://evil.example/jwks.json', kid: 'evil' }),
      'unknown kid': await forge({ kid: 'unknown' }),
      'no kid': await forge({ kid: undefined }),
      'claims swapped': `${head}.${encode({ ...good, sub: 'somebody else' })}.${signature}`,
      expired: await mint({ exp: now - 1 }),
      'not yet valid': await mint({ nbf: now + 3_600 }),
      'wrong audience': await mint({ aud: 'other' }),
      'wrong issuer': await mint({ iss: 'https://evil.example' }),
      'no expiry': await mint({ exp: undefined }),
      'wrong type': await mint({}, { typ: 'JWT' }),
      'unknown critical header': `${encode({ ...header, crit: ['x'], x: 1 })}.${body}.${signature}`,
      'session of nobody': await mint({ sid: '00000000-0000-4000-8000-000000000000' }),
      'session of another account': await mint({ sub: '00000000-0000-4000-8000-000000000000' }),
      'no session': await mint({ sid: undefined }),
      'r = s = 0': `${head}.${body}.${Buffer.alloc(64).toString('base64url')}`,
      's beyond the order': `${head}.${body}.${overflow.toString('base64url')}`,
      'DER signature': `${head}.${body}.${Buffer.concat([Buffer.from('30440220', 'hex'), raw]).toString('base64url')}`,
      'truncated signature': member.accessToken.slice(0, -4),
      truncated: member.accessToken.slice(0, 40),
      'four parts': `${member.accessToken}.x`,
      oversized: `${head}.${'A'.repeat(20_000)}.${signature}`,
      garbage: 'AAAA.BBBB.CCCC',
    };
    const want = { status: 401, reason: 'invalid_token' };
    for (const [name, token] of Object.entries(attacks)) {
      const { status, body: answer } = await bench.call('GET', '/me', undefined, token);
      assert.deepEqual({ status, reason: answer.reason }, want, name);
    }
    assert.equal(
      (await bench.call('GET', '/me', undefined, member.accessToken)).status,
      200,
      'the real one still works',
    );
  });
});

describe('signing keys', () => {
  test('a new key is published before it signs, and the old one verifies until its tokens are gone', async (t) => {
    const bench = await benchFor(t, {
      tokens: { rotateEvery: '1d', publishBefore: '1h', maxMintTtl: '1d' },
      sessions: { idleTtl: '30d' },
    });
    const member = await bench.member('keys');
    const kids = async (): Promise<string[]> =>
      (await bench.call('GET', '/.well-known/jwks.json')).body.keys.map((key: { kid: string }) => key.kid);
    const [first] = await kids();
    bench.clock.advance(23 * 3_600_000 + 60_000);
    const published = await kids();
    assert.equal(published.length, 2, 'the next key is published');
    const before = await bench.call('POST', '/refresh', { refreshToken: member.refreshToken });
    assert.equal(decodeProtectedHeader(before.body.accessToken).kid, first, 'but does not sign yet');
    bench.clock.advance(3_600_000);
    const after = await bench.call('POST', '/refresh', { refreshToken: before.body.refreshToken });
    assert.equal(decodeProtectedHeader(after.body.accessToken).kid, published[1]);
    assert.ok((await kids()).includes(first ?? ''), 'the old key still verifies');
    for (let day = 0; day < 4; day++) {
      bench.clock.advance(86_400_000);
      await kids();
    }
    assert.ok(!(await kids()).includes(first ?? ''), 'and is dropped in the end');
  });

  test('another master key is refused at the start', async (t) => {
    const one = await benchFor(t);
    const { store } = one.identity.context;
    await assert.rejects(
      makeBench({ masterKey: 'another master key of enough bytes' }, { store }),
      /another master key/,
    );
  });
});

describe('the line to the workers', () => {
  test('gets keys and revocations, and its questions about API keys are answered', async (t) => {
    const published = new Map<string, unknown>();
    const answers = new Map<string, (data: unknown) => unknown>();
    const bus: ControlBus = {
      publish: (topic, data) => void published.set(topic, structuredClone(data)),
      onTell: () => {},
      onAsk: (topic, answer) => void answers.set(topic, answer),
    };
    const environment = {
      API_KEY_1: 'key123:user1:read,write:premium',
      API_KEY_2: 'key456:user2:projects:read:standard',
    };
    const bench = await benchFor(t, { roles: { user: { scopes: ['read', 'write'] } } }, { bus, environment });
    const member = await bench.member('worker');
    // biome-ignore lint/suspicious/noExplicitAny: messages are plain data
    const get = (topic: string): any => published.get(topic);
    assert.equal(get('identity:keys').issuer, 'http://127.0.0.1:8000');
    assert.equal(get('identity:keys').jwks.keys.length, 1);
    await bench.call('POST', '/logout', undefined, member.accessToken);
    const revoked = get('identity:revoked').sids as [string, number][];
    assert.ok(revoked.some(([sid, until]) => sid === member.sessionId && until > bench.clock.wallMs() / 1_000));

    const { body } = await bench.call('POST', '/login', { username: 'worker', password: PASSWORD });
    const limits = { scopes: ['read'], addresses: ['10.0.0.0/8'], expiresIn: 3_600 };
    const made = await bench.call('POST', '/keys', { name: 'ci', ...limits }, body.accessToken);
    assert.match(made.body.key, /^ghk_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$/);
    // biome-ignore lint/suspicious/noExplicitAny: messages are plain data
    const ask = async (key: string, address = '10.1.2.3'): Promise<any> =>
      answers.get('identity:api-key')?.({ key, address });
    const identity = await ask(made.body.key);
    assert.deepEqual([identity.subject, identity.scopes, identity.plan], [member.id, ['read'], 'standard']);
    assert.equal(identity.expiresAt, bench.clock.wallMs() + 3_600_000);
    assert.equal(await ask(made.body.key, '192.0.2.1'), null, 'other address');
    assert.equal(
      await ask(`${made.body.key.slice(0, -1)}${made.body.key.endsWith('0') ? '1' : '0'}`),
      null,
      'checksum',
    );
    assert.deepEqual((await ask('key123')).scopes, ['read', 'write']);
    assert.deepEqual([(await ask('key123')).plan, (await ask('key456')).scopes], ['premium', ['projects:read']]);
    assert.equal(await ask('key124'), null);

    const rotated = await bench.call('POST', `/keys/${made.body.id}/rotate`, undefined, body.accessToken);
    assert.equal(await ask(made.body.key), null, 'the old key ended');
    assert.equal((await ask(rotated.body.key)).subject, member.id);
    assert.ok(get('identity:revoked').keys.some(([id]: [string]) => id === made.body.id));
    bench.clock.advance(3_600_001);
    assert.equal(await ask(rotated.body.key), null, 'expired');
  });

  test('a revocation of another process arrives with the next round', async (t) => {
    const one = await benchFor(t);
    const seen: string[] = [];
    const { store } = one.identity.context;
    const two = await makeBench({}, { store, clock: one.clock, dataDir: one.folder });
    t.after(() => two.close());
    two.identity.context.revocations.onChange((message) => seen.push(...message.sids.map(([sid]) => sid)));
    const member = await one.member('far');
    await one.call('POST', '/logout', undefined, member.accessToken);
    await two.identity.context.revocations.announce();
    assert.ok(seen.includes(member.sessionId));
  });
});

describe('introspection, revocation and minted tokens', () => {
  test('a minted token is active until it is revoked', async (t) => {
    const bench = await benchFor(t);
    const admin = await bench.admin();
    const wanted = {
      subject: 'user123',
      scopes: ['read', 'write'],
      mfaVerified: true,
      plan: 'premium',
      expiresIn: 600,
    };
    const minted = await bench.call('POST', '/tokens', wanted, admin.accessToken);
    assert.equal(minted.status, 201);
    const claims = decodeJwt(minted.body.accessToken);
    assert.deepEqual(
      [claims.sub, claims['scope'], claims['plan'], claims['mfa_verified']],
      ['user123', 'read write', 'premium', true],
    );
    const ask = async (): Promise<boolean> =>
      (await bench.call('POST', '/introspect', { token: minted.body.accessToken }, admin.accessToken)).body.active;
    assert.equal(await ask(), true);
    assert.equal((await bench.call('DELETE', `/tokens/${minted.body.jti}`, undefined, admin.accessToken)).status, 200);
    assert.equal(await ask(), false);
  });

  test('nobody learns about tokens of others, and everybody about their own', async (t) => {
    const bench = await benchFor(t);
    const [one, two] = [await bench.member('one'), await bench.member('two')];
    assert.equal((await bench.call('POST', '/introspect', { token: one.accessToken })).status, 401);
    assert.equal((await bench.call('POST', '/introspect', { token: one.accessToken }, two.accessToken)).status, 403);
    const own = await bench.call('POST', '/introspect', { token: one.accessToken }, one.accessToken);
    assert.deepEqual([own.status, own.body.active, own.body.sub], [200, true, one.id]);
    await bench.call('POST', '/revoke', { token: one.refreshToken }, two.accessToken);
    assert.equal((await bench.call('GET', '/me', undefined, one.accessToken)).status, 200, 'not ended by another');
    await bench.call('POST', '/revoke', { token: one.refreshToken }, one.accessToken);
    assert.equal((await bench.call('GET', '/me', undefined, one.accessToken)).status, 401);
  });

  test('an expired token is inactive', async (t) => {
    const bench = await benchFor(t);
    const [admin, member] = [await bench.admin(), await bench.member('old')];
    bench.clock.advance(301_000);
    const { accessToken } = (await bench.call('POST', '/refresh', { refreshToken: admin.refreshToken })).body;
    const answer = await bench.call('POST', '/introspect', { token: member.accessToken }, accessToken);
    assert.deepEqual(answer.body, { active: false });
  });
});
