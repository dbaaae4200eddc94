/**
 * Rule: equal subjects of two issuers are two callers, for services, limits, quotas, bans and ownership, and an outside
 * issuer's role administers nothing of this gateway unless the operator named that issuer.
 */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { exportJWK, exportPKCS8, generateKeyPair, importPKCS8, SignJWT } from 'jose';
import { secretToken } from '../../src/data/auth/testing.ts';
import { startTestGateway } from '../support/gateway.ts';
import { suiteScope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import { type Answer, bearer, identityScene, type Scene } from './support.ts';

const SECRET = 'a shared secret of 32 bytes or more';
const exp = Math.floor(Date.now() / 1_000) + 3_600;
const token = (issuer: string, more: object = {}): string =>
  secretToken(SECRET, { iss: `https://${issuer}.example`, sub: 'ann', exp, ...more });

describe('issuers stay apart', () => {
  const scope = suiteScope();
  let scene: Scene;

  before(async () => {
    scene = await identityScene(scope, {
      issuers: {
        a: { issuer: 'https://a.example', secret: SECRET },
        b: { issuer: 'https://b.example', secret: SECRET },
      },
      quotas: { stories: { per: 'day', limit: 1 } },
      abuse: {},
      limits: { adminIssuers: ['b'] },
      routes: [
        { match: { path: '/echo/*' }, service: 'echo' },
        { match: { path: '/limited/*' }, service: 'echo', rateLimit: { by: 'user', limits: ['1/1h'] } },
        {
          match: { path: '/cached/*' },
          service: 'echo',
          cache: { by: 'user', lifetimes: { 200: '1m' } },
        },
        { match: { path: '/counted/*' }, service: 'echo', quota: 'stories' },
        { match: { path: '/own/:id' }, service: 'echo', authorize: { owns: 'params.id == auth.account' } },
      ],
    });
  });

  const get = (path: string, issuer: string, more?: object): Promise<Answer> =>
    scene.call('GET', path, undefined, bearer(token(issuer, more)));

  test('a service gets the issuer beside the subject, and no copy that the caller wrote', async () => {
    const { body } = await get('/echo/x', 'a');
    assert.deepEqual([body['x-auth-subject'], body['x-auth-issuer']], ['ann', 'https://a.example']);
    for (const name of ['X-Auth-Issuer', 'X_Auth_Issuer', 'x-auth_issuer']) {
      const own = await scene.account(`forger${name.length}${name.charCodeAt(1)}${name.charCodeAt(6)}`);
      const forged = { ...bearer(own.accessToken), [name]: 'https://b.example' };
      const { body: seen } = await scene.call('GET', '/echo/x', undefined, forged);
      assert.deepEqual(
        [seen['x-auth-subject'], seen['x-auth-issuer'], seen['x_auth_issuer']],
        [own.id, undefined, undefined],
      );
    }
  });

  test('what is stored for one issuer’s ann is not given to the other’s', async () => {
    for (const wanted of ['a', 'b', 'a', 'b'])
      assert.equal((await get('/cached/x', wanted)).body['x-auth-issuer'], `https://${wanted}.example`);
  });

  test('a limit used up by one issuer’s ann leaves the other’s alone', async () => {
    assert.deepEqual([(await get('/limited/x', 'a')).status, (await get('/limited/x', 'a')).status], [200, 429]);
    assert.equal((await get('/limited/x', 'b')).status, 200);
  });

  test('a quota used up by one issuer’s ann leaves the other’s alone', async () => {
    assert.deepEqual([(await get('/counted/x', 'a')).status, (await get('/counted/x', 'a')).status], [200, 429]);
    assert.equal((await get('/counted/x', 'b')).status, 200);
    const used = await get('/api/v1/usage', 'b');
    assert.equal(used.status, 200);
    assert.match(JSON.stringify(used.body), /https:\/\/b\.example\|ann/);
  });

  test('ownership by auth.account tells them apart', async () => {
    const id = encodeURIComponent('https://a.example|ann');
    assert.equal((await get(`/own/${id.replaceAll('%2F', '_')}`, 'a')).status, 404);
    assert.equal((await get('/own/ann', 'a')).status, 404, 'the bare subject of an outside issuer owns nothing');
  });

  test('an outside role admin or scope limits:admin administers nothing, unless its issuer is named', async () => {
    for (const rights of [{ roles: ['admin'] }, { role: 'admin' }, { scope: 'limits:admin' }]) {
      const ban = { kind: 'user', subject: 'bob', reason: 'test', for: '1h' };
      const tried = await scene.call('POST', '/api/v1/bans', ban, bearer(token('a', rights)));
      assert.equal(tried.status, 403, JSON.stringify(rights));
      assert.equal((await get('/api/v1/bans', 'a', rights)).status, 403);
      assert.equal((await get('/api/v1/bans', 'b', rights)).status, 200);
    }
  });

  test('a ban of an account does not touch the same subject of another issuer', async () => {
    const ban = { kind: 'user', subject: 'https://a.example|zoe', reason: 'test', for: '1h' };
    const made = await scene.call('POST', '/api/v1/bans', ban, bearer(token('b', { roles: ['admin'] })));
    assert.equal(made.status, 201, JSON.stringify(made.body));
    await until(async () => (await get('/echo/x', 'a', { sub: 'zoe' })).status === 403, 'she is banned');
    assert.equal((await get('/echo/x', 'b', { sub: 'zoe' })).status, 200);
  });

  test('a route that takes several issuers because none is named is warned about', () => {
    assert.match(scene.gateway.logged.join('\n'), /tokens of every issuer count here/);
  });
});

describe('issuers that share keys', () => {
  const scope = suiteScope();
  let scene: Scene;

  before(async () => {
    scene = await identityScene(scope, {
      issuers: {
        both: { issuer: ['https://one.example', 'https://two.example'], secret: SECRET },
        tenants: { issuer: 'https://login.example/{tid}/v2.0', tenants: ['acme', 'globex'], secret: SECRET },
        any: { issuer: 'https://{org}.any.example', tenants: 'any', secret: SECRET },
      },
      routes: [
        { match: { path: '/echo/*' }, service: 'echo', auth: { jwt: { issuers: ['both', 'tenants', 'any'] } } },
        {
          match: { path: '/limited/*' },
          service: 'echo',
          auth: { jwt: { issuers: ['tenants'] } },
          rateLimit: { by: 'user', limits: ['1/1h'] },
        },
      ],
    });
  });

  const ask = async (iss: string, more: object = {}, path = '/echo/x'): Promise<[number, unknown]> => {
    const { status, body } = await scene.call(
      'GET',
      path,
      undefined,
      bearer(secretToken(SECRET, { iss, sub: 'ann', exp, ...more })),
    );
    return [status, status === 200 ? body['x-auth-issuer'] : undefined];
  };

  test('each of several names counts, and a service is told which one it was', async () => {
    for (const iss of ['https://one.example', 'https://two.example']) assert.deepEqual(await ask(iss), [200, iss]);
    assert.equal((await ask('https://three.example'))[0], 401);
  });

  test('a tenant in the name is the one of the claim, and one that counts', async () => {
    const of = (tenant: string): string => `https://login.example/${tenant}/v2.0`;
    assert.deepEqual(await ask(of('acme'), { tid: 'acme' }), [200, of('acme')]);
    assert.deepEqual(await ask('https://x1.any.example', { org: 'x1' }), [200, 'https://x1.any.example']);
    for (const [iss, more] of [
      [of('acme'), {}],
      [of('acme'), { tid: 'globex' }],
      [of('evil'), { tid: 'evil' }],
      [of('{tid}'), { tid: '{tid}' }],
      [of('acme/v2.0/x'), { tid: 'acme/v2.0/x' }],
      [of('..'), { tid: '..' }],
      [of('acme'), { tid: ['acme'] }],
      [`${of('acme')}/`, { tid: 'acme' }],
      ['https://evil.example/?.any.example', { org: 'evil.example/?' }],
    ] as const)
      assert.equal((await ask(iss, more))[0], 401, `${iss} ${JSON.stringify(more)}`);
  });

  test('equal subjects of two tenants are two callers', async () => {
    const of = (tenant: string) => ask(`https://login.example/${tenant}/v2.0`, { tid: tenant }, '/limited/x');
    assert.deepEqual([(await of('acme'))[0], (await of('acme'))[0], (await of('globex'))[0]], [200, 429, 200]);
  });

  test('what would take anybody’s tokens without saying so is refused', async () => {
    const refused = async (issuer: object, words: RegExp, more: object = {}): Promise<void> => {
      const routes = [{ match: { path: '/x' }, respond: { body: '' }, auth: 'public' }];
      await assert.rejects(startTestGateway(scope, { issuers: { x: issuer }, routes, ...more }), words);
    };
    const template = 'https://login.example/{tid}/v2.0';
    await refused({ issuer: template, secret: SECRET }, /must say which tenants count/);
    await refused({ issuer: template, tenants: 'any', audience: 'any' }, /must say where the keys are/);
    await refused({ issuer: ['https://a.example', 'https://b.example'], audience: 'any' }, /where the keys are/);
    await refused({ issuer: 'https://x.example/{a}/{b}', tenants: 'any', secret: SECRET }, /one claim in braces/);
    await refused({ issuer: 'https://x.example', tenants: ['a'], secret: SECRET }, /has no meaning/);
    const admin = { limits: { adminIssuers: ['x'] } };
    await refused({ issuer: template, tenants: 'any', secret: SECRET }, /every tenant would administer/, admin);
  });
});

describe('signature algorithms', () => {
  const scope = suiteScope();

  test('RS, PS, ES and HS of 256, 384 and 512 bits are verified, each only as itself', async () => {
    const long = 'a shared secret of sixty-four bytes or more, as HS512 wants it to be, at least';
    const rsa = await generateKeyPair('RS256', { extractable: true });
    const curves = await Promise.all(
      ['ES256', 'ES384', 'ES512'].map(async (alg) => ({ alg, ...(await generateKeyPair(alg, { extractable: true })) })),
    );
    const keys = [
      { ...(await exportJWK(rsa.publicKey)), kid: 'rsa' },
      ...(await Promise.all(curves.map(async ({ alg, publicKey }) => ({ ...(await exportJWK(publicKey)), kid: alg })))),
    ];
    const scene = await identityScene(scope, {
      issuers: {
        public: { issuer: 'https://public.example', audience: 'any', jwks: { keys } },
        shared: { issuer: 'https://shared.example', secret: long, algorithms: ['HS256', 'HS384', 'HS512'] },
      },
      routes: [{ match: { path: '/echo/*' }, service: 'echo', auth: { jwt: { issuers: ['public', 'shared'] } } }],
    });
    const sign = (alg: string, iss: string, key: CryptoKey | Uint8Array, kid?: string): Promise<string> =>
      new SignJWT({ sub: 'ann' })
        .setProtectedHeader({ alg, ...(kid === undefined ? {} : { kid }) })
        .setIssuer(iss)
        .setExpirationTime('5m')
        .sign(key);
    const rsaPkcs8 = await exportPKCS8(rsa.privateKey);
    for (const alg of ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']) {
      const signed = await sign(alg, 'https://public.example', await importPKCS8(rsaPkcs8, alg), 'rsa');
      assert.equal((await scene.call('GET', '/echo/x', undefined, bearer(signed))).status, 200, alg);
    }
    for (const { alg, privateKey } of curves) {
      const signed = await sign(alg, 'https://public.example', privateKey, alg);
      assert.equal((await scene.call('GET', '/echo/x', undefined, bearer(signed))).status, 200, alg);
      const [head = '', ...rest] = signed.split('.');
      const claimed = JSON.parse(Buffer.from(head, 'base64url').toString());
      const other = alg === 'ES256' ? 'ES384' : 'ES256';
      const forged = [Buffer.from(JSON.stringify({ ...claimed, alg: other })).toString('base64url'), ...rest].join('.');
      assert.equal((await scene.call('GET', '/echo/x', undefined, bearer(forged))).status, 401, `${alg} as ${other}`);
    }
    for (const alg of ['HS256', 'HS384', 'HS512']) {
      const signed = await sign(alg, 'https://shared.example', new TextEncoder().encode(long));
      assert.equal((await scene.call('GET', '/echo/x', undefined, bearer(signed))).status, 200, alg);
    }
  });
});
