/**
 * Rule: equal subjects of two issuers are two callers, for services, limits, quotas, bans and ownership, and an outside
 * issuer's role administers nothing of this gateway unless the operator named that issuer.
 */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { secretToken } from '../../src/data/auth/testing.ts';
import { suiteScope } from '../support/scope.ts';
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
    const deadline = performance.now() + 5_000;
    while ((await get('/echo/x', 'a', { sub: 'zoe' })).status !== 403) assert.ok(performance.now() < deadline);
    assert.equal((await get('/echo/x', 'b', { sub: 'zoe' })).status, 200);
  });

  test('a route that takes several issuers because none is named is warned about', () => {
    assert.match(scene.gateway.logged.join('\n'), /tokens of every issuer count here/);
  });
});
