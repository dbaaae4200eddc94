import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAULTS, Fault } from '../../../base/errors.ts';
import type { IntrospectSettings } from '../../contract/auth.ts';
import { auth } from '../../policies/auth.ts';
import { createPolicy, RecordingExchange, runRequestPhases, testEnvironment } from '../../policies/testing.ts';
import { DEFAULT_CLAIM_NAMES } from '../identity.ts';
import { authSettings, issuerSettings, jwtSettings, SigningIssuer } from '../testing.ts';

const introspect: IntrospectSettings = {
  id: 'op',
  host: 'issuer.example',
  ownIssuer: null,
  endpoint: 'secret-of-control',
  sources: [{ in: 'authorization' }],
  audiences: null,
  claims: DEFAULT_CLAIM_NAMES,
  maxTokenBytes: 4_096,
  timeoutMs: 1_000,
  cacheMs: 10_000,
  cacheEntries: 100,
};
const ec = new SigningIssuer('ES256', 'ec');

function routeOf(more: Partial<IntrospectSettings> = {}, withJwt = false) {
  const environment = testEnvironment();
  const jwt = withJwt ? jwtSettings([issuerSettings({ keys: { kind: 'inline', keys: [ec.jwk] } })]) : null;
  const hooks = createPolicy(auth, authSettings({ jwt, introspect: { ...introspect, ...more } }), environment);
  const bearer = async (token: string) => {
    const exchange = new RecordingExchange({ headers: { authorization: `Bearer ${token}` } });
    const outcome = await runRequestPhases(hooks, exchange);
    return { fault: outcome instanceof Fault ? outcome : null, identity: exchange.identity };
  };
  return { environment, control: environment.control, bearer, nowSeconds: environment.clock.wallMs() / 1_000 };
}

test('an active token gives its identity, is asked for once and remembered for seconds', async () => {
  const { bearer, control, environment } = routeOf();
  control.answer('auth:introspect', () => ({ active: true, sub: 'alice', scope: 'read write', plan: 'premium' }));
  const [first, second] = await Promise.all([bearer('opaque-1'), bearer('opaque-1')]);
  assert.equal(first?.identity?.method, 'introspect');
  assert.deepEqual(second?.identity?.scopes, ['read', 'write']);
  await bearer('opaque-1');
  assert.deepEqual(control.asked, [
    { topic: 'auth:introspect', data: { id: 'op', token: 'opaque-1', traceparent: null } },
  ]);
  environment.clock.advance(10_000);
  await bearer('opaque-1');
  assert.equal(control.asked.length, 2);
});

for (const { name, answer, cause } of [
  { name: 'an inactive token', answer: { active: false }, cause: 'inactive' },
  { name: 'active as a text', answer: { active: 'true', sub: 'a' }, cause: 'inactive' },
  { name: 'no answer', answer: null, cause: 'inactive' },
  { name: 'an expired one, though called active', answer: { active: true, sub: 'a', exp: 1 }, cause: 'expired' },
  { name: 'one for later', answer: { active: true, sub: 'a', nbf: 9e9 }, cause: 'not_yet_valid' },
  { name: 'one bound to a key', answer: { active: true, sub: 'a', cnf: { jkt: 'x' } }, cause: 'wrong_binding' },
  { name: 'a refresh token', answer: { active: true, sub: 'a', token_type: 'refresh_token' }, cause: 'bad_type' },
  { name: 'a refresh token of Keycloak', answer: { active: true, sub: 'a', typ: 'Refresh' }, cause: 'bad_type' },
  { name: 'one of nobody', answer: { active: true }, cause: 'bad_claims' },
]) {
  test(`refuses ${name} with the common 401, and remembers it`, async () => {
    const { bearer, control } = routeOf();
    control.answer('auth:introspect', () => answer);
    for (let round = 0; round < 2; round++) {
      const { fault } = await bearer('opaque');
      assert.equal(fault?.kind, FAULTS.invalidCredentials);
      assert.equal(fault?.cause, cause);
    }
    assert.equal(control.asked.length, 1);
  });
}

test('a token counts no longer than the issuer says', async () => {
  const { bearer, control, environment, nowSeconds } = routeOf();
  control.answer('auth:introspect', () => ({ active: true, sub: 'a', exp: nowSeconds + 2 }));
  await bearer('opaque');
  environment.clock.advance(1_999);
  await bearer('opaque');
  assert.equal(control.asked.length, 1);
  environment.clock.advance(1);
  assert.equal((await bearer('opaque')).fault?.cause, 'expired');
});

test('an audience is asked for where one is configured', async () => {
  const { bearer, control } = routeOf({ audiences: ['api'] });
  let aud: unknown = 'other';
  control.answer('auth:introspect', () => ({ active: true, sub: 'a', aud }));
  assert.equal((await bearer('one')).fault?.cause, 'wrong_audience');
  aud = ['x', 'api'];
  assert.equal((await bearer('two')).identity?.subject, 'a');
});

test('a token of client credentials is known by its holder', async () => {
  const { bearer, control } = routeOf();
  control.answer('auth:introspect', () => ({ active: true, client_id: 'reporting', scope: 'read' }));
  assert.equal((await bearer('opaque')).identity?.subject, 'reporting');
});

test('the endpoint away: 503, nothing is remembered', async () => {
  const { bearer, control } = routeOf();
  control.answer('auth:introspect', () => {
    throw new Error('connect refused');
  });
  assert.equal((await bearer('opaque')).fault?.kind, FAULTS.authenticationUnavailable);
  control.answer('auth:introspect', () => ({ active: true, sub: 'a' }));
  assert.equal((await bearer('opaque')).identity?.subject, 'a');
});

test('what cannot be a token is not asked for', async () => {
  const { bearer, control } = routeOf();
  for (const token of ['ü', 'a,b', '"x"', 'x'.repeat(4_097), '=', 'a=b']) {
    assert.equal((await bearer(token)).fault?.kind, FAULTS.invalidCredentials, token);
  }
  assert.equal(control.asked.length, 0);
});

test('beside keys: a JWT of a known issuer is judged by them alone, everything else is asked for', async () => {
  const { bearer, control, nowSeconds } = routeOf({}, true);
  control.answer('auth:introspect', () => ({ active: true, sub: 'asked' }));
  const claims = { iss: 'https://issuer.example', aud: 'api', sub: 'alice', exp: nowSeconds + 60 };
  assert.equal((await bearer(ec.token(claims))).identity?.subject, 'alice');
  const expired = await bearer(ec.token({ ...claims, exp: nowSeconds - 60 }));
  assert.equal(expired.fault?.cause, 'expired', 'a bad token is not given a second chance');
  assert.equal(control.asked.length, 0);
  assert.equal((await bearer('opaque')).identity?.subject, 'asked');
  assert.equal((await bearer(ec.token({ ...claims, iss: 'https://else.example' }))).identity?.subject, 'asked');
});
