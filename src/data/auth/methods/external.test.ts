import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAULTS, Fault } from '../../../base/errors.ts';
import type { ExternalQuestion, ExternalResponse, ExternalSettings } from '../../contract/auth.ts';
import { auth } from '../../policies/auth.ts';
import {
  createPolicy,
  type ExchangeFacts,
  RecordingExchange,
  runRequestPhases,
  testEnvironment,
} from '../../policies/testing.ts';
import { authSettings } from '../testing.ts';

const external: ExternalSettings = {
  id: 'authz',
  host: 'authorizer.example',
  endpoint: 'secret-of-control',
  sendHeaders: ['authorization', 'cookie'],
  copyHeaders: ['x-tenant', 'remote-user'],
  subjectHeader: 'remote-user',
  rolesHeader: 'remote-groups',
  scopesHeader: null,
  passRefusal: false,
  timeoutMs: 1_000,
  cacheMs: 0,
  cacheEntries: 100,
};

function routeOf(more: Partial<ExternalSettings> = {}) {
  const environment = testEnvironment();
  const hooks = createPolicy(auth, authSettings({ external: { ...external, ...more } }), environment);
  let count = 0;
  const call = async (facts: ExchangeFacts = {}) => {
    const exchange = new RecordingExchange({ requestId: `req-${++count}`, ...facts });
    const outcome = await runRequestPhases(hooks, exchange);
    return { exchange, outcome, fault: outcome instanceof Fault ? outcome : null, identity: exchange.identity };
  };
  const answer = (status: number, headers: Record<string, string> = {}, body = '') =>
    environment.control.answer('auth:external', (): ExternalResponse => ({ status, headers, body }));
  return { environment, call, answer, control: environment.control };
}

test('the authorizer sees the request, and its fields make the identity and reach the upstream', async () => {
  const { call, answer, control } = routeOf();
  answer(200, { 'remote-user': 'alice', 'remote-groups': 'admin, staff', 'x-tenant': 'acme', 'x-secret': 'no' });
  const { exchange, identity } = await call({
    method: 'PUT',
    path: '/a',
    query: 'b=1',
    headers: { authorization: 'Custom 1', accept: '*/*' },
  });
  assert.deepEqual(control.asked[0]?.data, {
    id: 'authz',
    method: 'PUT',
    scheme: 'https',
    host: 'gateway.example',
    uri: '/a?b=1',
    address: '192.0.2.1',
    requestId: 'req-1',
    headers: { authorization: 'Custom 1' },
    traceparent: null,
  } satisfies ExternalQuestion);
  assert.equal(identity?.subject, 'alice');
  assert.deepEqual(identity?.roles, ['admin', 'staff']);
  assert.equal(exchange.upstreamHeaders.get('x-tenant'), 'acme');
  assert.equal(exchange.upstreamHeaders.has('x-secret'), false);
});

test('what the authorizer may say, the caller may not, in any spelling', async () => {
  const { call, answer } = routeOf();
  answer(200, { 'remote-user': 'alice' });
  const { exchange } = await call({ headers: { 'x-tenant': 'forged', x_tenant: 'forged', remote_user: 'root' } });
  assert.equal(exchange.upstreamHeaders.get('remote-user'), 'alice');
  for (const name of ['x-tenant', 'x_tenant', 'remote_user'])
    assert.equal(exchange.upstreamHeaders.has(name), false, name);
});

test('without a name everybody is the authorizer itself', async () => {
  const { call, answer } = routeOf();
  answer(204);
  assert.equal((await call()).identity?.subject, 'external:authz');
});

for (const { status, kind } of [
  { status: 401, kind: FAULTS.invalidCredentials },
  { status: 302, kind: FAULTS.invalidCredentials },
  { status: 403, kind: FAULTS.insufficientPermissions },
  { status: 404, kind: FAULTS.authenticationUnavailable },
  { status: 429, kind: FAULTS.authenticationUnavailable },
  { status: 500, kind: FAULTS.authenticationUnavailable },
]) {
  test(`${status} becomes ${kind.reason}`, async () => {
    const { call, answer } = routeOf();
    answer(status, { location: 'https://login.example' }, 'inner details');
    const { fault, identity } = await call();
    assert.equal(fault?.kind, kind);
    assert.equal(identity, null);
  });
}

test("a refusal goes to the caller as it is where that is wanted, without the authorizer's other fields", async () => {
  const { call, answer } = routeOf({ passRefusal: true });
  answer(302, { location: 'https://login.example', 'set-cookie': 'a=1', server: 'x' }, '');
  assert.deepEqual((await call()).outcome, {
    status: 302,
    headers: { location: 'https://login.example', 'set-cookie': 'a=1' },
    body: '',
  });
  answer(500);
  assert.equal((await call()).fault?.kind, FAULTS.authenticationUnavailable, 'a failure is no refusal');
});

test('control away: 503', async () => {
  const { call } = routeOf();
  assert.equal((await call()).fault?.kind, FAULTS.authenticationUnavailable);
});

test('every request is asked for, unless answers may be kept; then equal requests share one', async () => {
  const asking = routeOf();
  asking.answer(200);
  await asking.call();
  await asking.call();
  assert.equal(asking.control.asked.length, 2);

  const keeping = routeOf({ cacheMs: 5_000 });
  keeping.answer(200, { 'x-tenant': 'acme' });
  await keeping.call();
  const { exchange } = await keeping.call();
  assert.equal(keeping.control.asked.length, 1);
  assert.equal(exchange.upstreamHeaders.get('x-tenant'), 'acme', 'also from the cache');
  await keeping.call({ path: '/other' });
  await keeping.call({ headers: { authorization: 'other' } });
  await keeping.call({ address: '192.0.2.2' });
  assert.equal(keeping.control.asked.length, 4);
  keeping.environment.clock.advance(5_000);
  await keeping.call();
  assert.equal(keeping.control.asked.length, 5);
});

test('no more than 512 questions are under way', async () => {
  const { call, control } = routeOf();
  let release = (): void => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  control.answer('auth:external', () => gate.then(() => ({ status: 200, headers: {}, body: '' })));
  const waiting = Array.from({ length: 512 }, () => call());
  assert.equal((await call()).fault?.kind, FAULTS.authenticationUnavailable);
  release();
  for (const { identity } of await Promise.all(waiting)) assert.ok(identity !== null);
});
