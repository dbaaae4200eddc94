import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAULTS, Fault } from '../../../base/errors.ts';
import type { ApiKeyAnswer, ApiKeySettings, StaticApiKey } from '../../contract/auth.ts';
import { auth } from '../../policies/auth.ts';
import {
  createPolicy,
  type ExchangeFacts,
  RecordingExchange,
  runRequestPhases,
  testEnvironment,
} from '../../policies/testing.ts';
import { authSettings } from '../testing.ts';
import { digestOfKey } from './api-key.ts';

const configured: StaticApiKey[] = [
  {
    digest: digestOfKey('key123'),
    id: 'API_KEY_1',
    subject: 'user1',
    roles: [],
    scopes: ['read', 'write'],
    plan: 'premium',
  },
];

const apiKey: ApiKeySettings = {
  header: 'x-api-key',
  query: null,
  keys: 'keys',
  askIdentity: true,
  timeoutMs: 1_000,
  cacheMs: 10_000,
  refusedCacheMs: 2_000,
  cacheEntries: 100,
};

const found: ApiKeyAnswer = {
  subject: 'bob',
  roles: ['user'],
  scopes: ['a'],
  plan: null,
  keyId: 'k1',
  expiresAt: null,
};

function routeOf(more: Partial<ApiKeySettings> = {}, hideCredentials = false) {
  const environment = testEnvironment({ secrets: { keys: JSON.stringify(configured) } });
  const hooks = createPolicy(auth, authSettings({ apiKey: { ...apiKey, ...more }, hideCredentials }), environment);
  const call = async (facts: ExchangeFacts) => {
    const exchange = new RecordingExchange(facts);
    const outcome = await runRequestPhases(hooks, exchange);
    return { exchange, fault: outcome instanceof Fault ? outcome : null, identity: exchange.identity };
  };
  const withKey = (key: string, facts: ExchangeFacts = {}) => call({ ...facts, headers: { 'x-api-key': key } });
  return { environment, call, withKey, control: environment.control };
}

test('a configured key passes without asking anybody', async () => {
  const { withKey, control } = routeOf();
  const { identity } = await withKey('key123');
  assert.equal(identity?.subject, 'user1');
  assert.equal(identity?.method, 'apiKey');
  assert.deepEqual(identity?.scopes, ['read', 'write']);
  assert.equal(identity?.plan, 'premium');
  assert.equal(identity?.claims['key_id'], 'API_KEY_1');
  assert.equal(control.asked.length, 0);
});

test('another key is asked for once, however many requests bring it, and remembered for seconds', async () => {
  const { withKey, control, environment } = routeOf();
  control.answer('identity:api-key', () => found);
  const answers = await Promise.all([withKey('ghk_1'), withKey('ghk_1'), withKey('ghk_1')]);
  assert.deepEqual(
    answers.map(({ identity }) => identity?.subject),
    ['bob', 'bob', 'bob'],
  );
  assert.deepEqual(control.asked, [{ topic: 'identity:api-key', data: { key: 'ghk_1', address: '192.0.2.1' } }]);
  environment.clock.advance(9_999);
  await withKey('ghk_1');
  assert.equal(control.asked.length, 1);
  environment.clock.advance(1);
  await withKey('ghk_1');
  assert.equal(control.asked.length, 2);
});

test('a bad key is remembered too, for less long', async () => {
  const { withKey, control, environment } = routeOf();
  control.answer('identity:api-key', () => null);
  for (let round = 0; round < 5; round++) {
    const { fault } = await withKey('ghk_bad');
    assert.equal(fault?.kind, FAULTS.invalidCredentials);
    assert.equal(fault?.cause, 'unknown_credential');
  }
  assert.equal(control.asked.length, 1);
  environment.clock.advance(2_000);
  await withKey('ghk_bad');
  assert.equal(control.asked.length, 2);
});

test('an answer counts for the address that it was given for', async () => {
  const { withKey, control } = routeOf();
  control.answer('identity:api-key', (data) => ((data as { address: string }).address === '192.0.2.1' ? found : null));
  assert.equal((await withKey('ghk_1')).identity?.subject, 'bob');
  assert.equal((await withKey('ghk_1', { address: '198.51.100.9' })).identity, null);
});

test('a key counts no longer than it lives', async () => {
  const { withKey, control, environment } = routeOf();
  const expiresAt = environment.clock.wallMs() + 1_000;
  control.answer('identity:api-key', () => ({ ...found, expiresAt }));
  assert.equal((await withKey('ghk_1')).identity?.subject, 'bob');
  environment.clock.advance(1_000);
  assert.equal((await withKey('ghk_1')).identity, null);
});

test('a revocation forgets every answer at once', async () => {
  const { withKey, control } = routeOf();
  control.answer('identity:api-key', () => found);
  await withKey('ghk_1');
  control.answer('identity:api-key', () => null);
  control.publish('identity:revoked', { sids: [], jtis: [] });
  assert.equal((await withKey('ghk_1')).identity, null);
});

test('an answer that overtook a revocation is not remembered', async () => {
  const { withKey, control } = routeOf();
  control.answer('identity:api-key', () => {
    control.publish('identity:revoked', { sids: [], jtis: [] });
    return found;
  });
  await withKey('ghk_1');
  await withKey('ghk_1');
  assert.equal(control.asked.length, 2);
});

test('control away: 503, and configured keys keep working', async () => {
  const { withKey } = routeOf();
  const { fault } = await withKey('ghk_1');
  assert.equal(fault?.kind, FAULTS.authenticationUnavailable);
  assert.match(fault?.cause ?? '', /nobody answers/);
  assert.equal((await withKey('key123')).identity?.subject, 'user1');
});

test('without the identity service an unknown key is refused without a question', async () => {
  const { withKey, control } = routeOf({ askIdentity: false });
  assert.equal((await withKey('ghk_1')).fault?.cause, 'unknown_credential');
  assert.equal(control.asked.length, 0);
});

test('what cannot be a key is never asked for', async () => {
  const { withKey, control } = routeOf();
  for (const key of ['two, keys', 'with blank', 'ü', 'x'.repeat(513)]) {
    assert.equal((await withKey(key)).fault?.kind, FAULTS.invalidCredentials, key);
  }
  assert.equal(control.asked.length, 0);
});

test('the query carries a key only where that is allowed, and only once', async () => {
  const closed = routeOf();
  assert.equal((await closed.call({ query: 'api_key=key123' })).fault?.kind, FAULTS.authenticationRequired);
  const { call, control } = routeOf({ query: 'api_key' });
  assert.equal((await call({ query: 'a=1&api_key=key123' })).identity?.subject, 'user1');
  assert.equal((await call({ query: 'api_key=key123&api_key=key123' })).fault?.cause, 'malformed');
  assert.equal((await call({ query: 'xapi_key=key123' })).fault?.kind, FAULTS.authenticationRequired);
  assert.equal(control.asked.length, 0);
});

test('a hidden key does not reach the upstream', async () => {
  const { withKey } = routeOf({}, true);
  assert.equal((await withKey('key123')).exchange.upstreamHeaders.has('x-api-key'), false);
});

test('no more than 256 different keys are in question at once', async () => {
  const { withKey, control } = routeOf();
  let release = (): void => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  control.answer('identity:api-key', () => gate.then(() => found));
  const waiting = Array.from({ length: 256 }, (_, index) => withKey(`ghk_${index}`));
  assert.equal((await withKey('ghk_more')).fault?.kind, FAULTS.authenticationUnavailable);
  release();
  for (const { identity } of await Promise.all(waiting)) assert.equal(identity?.subject, 'bob');
});
