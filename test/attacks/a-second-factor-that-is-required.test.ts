/**
 * Rule: an account that must have a second factor and has none reaches nothing but the place where it sets one up,
 * wherever the requirement is written (`identity.mfa.required`, `requiredRoles`, REQUIRE_MFA) and whatever the route
 * asks.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generate } from 'otplib';
import { bearer, identityScene, type Scene } from './support.ts';

const ROUTES = [
  { match: { path: '/default/*' }, service: 'echo' },
  { match: { path: '/asks-nothing/*' }, service: 'echo', auth: {} },
  { match: { path: '/optional/*' }, service: 'echo', auth: { jwt: {}, optional: true } },
  { match: { path: '/scope/*' }, service: 'echo', auth: { jwt: {}, scopes: ['identity:enrol-mfa'] } },
  { match: { path: '/own/*' }, service: 'echo', auth: { jwt: {} }, authorize: { when: 'auth.sub == auth.sub' } },
];

async function enrol({ call }: Scene, token: string): Promise<string> {
  const begun = await call('POST', '/api/auth/mfa/totp', undefined, bearer(token));
  assert.equal(begun.status, 201, JSON.stringify(begun.body));
  const code = await generate({ secret: begun.body.secret });
  const done = await call('POST', '/api/auth/mfa/totp/confirm', { code }, bearer(token));
  assert.equal(done.status, 200, JSON.stringify(done.body));
  return done.body.accessToken;
}

for (const { where, identity, env } of [
  { where: 'identity.mfa.required', identity: { mfa: { required: true } }, env: {} },
  { where: 'identity.mfa.requiredRoles', identity: { mfa: { requiredRoles: ['user'] } }, env: {} },
  { where: 'REQUIRE_MFA', identity: {}, env: { REQUIRE_MFA: 'true' } },
]) {
  test(`${where} closes every route until there is a second factor`, async (t) => {
    const scene = await identityScene(t, { identity, routes: ROUTES }, env);
    const { accessToken } = await scene.account('eve');
    for (const { match } of ROUTES) {
      const path = match.path.replace('*', 'x');
      const { status, body } = await scene.call('GET', path, undefined, bearer(accessToken));
      assert.deepEqual([path, status, body.code], [path, 403, 'MFA_REQUIRED']);
    }
    assert.equal((await scene.call('GET', '/api/auth/me', undefined, bearer(accessToken))).status, 200);
    assert.equal((await scene.call('GET', '/api/auth/sessions', undefined, bearer(accessToken))).status, 403);
    const proven = await enrol(scene, accessToken);
    assert.equal((await scene.call('GET', '/default/x', undefined, bearer(proven))).status, 200);
  });
}
