import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RecordingExchange } from '../../policies/testing.ts';
import { PreparedIdentity } from '../identity.ts';
import { noHeaders } from '../identity-headers.ts';
import { compileCondition, compileReader, expressionProblem } from './expression.ts';

const identity = new PreparedIdentity(
  { method: 'jwt', subject: 'alice', roles: ['user', 'editor'], scopes: ['read'], plan: 'premium' },
  {
    sub: 'alice',
    tenant: 7,
    children: ['bob', 'carol'],
    age: 41,
    verified: true,
    org: { id: 'acme', 'dept-no': '12' },
  },
  noHeaders,
);

const exchange = new RecordingExchange({
  method: 'PUT',
  path: '/users/alice',
  query: 'tenant=7&twice=a&twice=b&n=12',
  params: { userId: 'alice', childId: 'bob', tenant: '7' },
  headers: { 'x-tenant': 'acme' },
  identity,
});

for (const [source, want] of [
  ['params.userId == auth.sub', true],
  ['params.userId == auth.subject', true],
  ['params.childId == auth.sub', false],
  ['params.childId in auth.claims.children', true],
  ['params.userId in auth.claims.children', false],
  ['params.childId == auth.sub || params.childId in auth.claims.children', true],
  ['\'editor\' in auth.roles && "read" in auth.scopes', true],
  ["'admin' in auth.roles", false],
  ["auth.plan == 'premium' && auth.method == 'jwt'", true],
  ['params.tenant == auth.claims.tenant', true],
  ['query.tenant == auth.claims.tenant', true],
  ["query.twice == 'a'", false],
  ['header.X-Tenant == auth.claims.org.id', true],
  ["auth.claims.org.dept-no == '12'", true],
  ["request.method in ['PUT', 'PATCH']", true],
  ["request.path == '/users/alice' && request.host == 'gateway.example' && request.address == '192.0.2.1'", true],
  ['auth.claims.age >= 18', true],
  ['auth.claims.age < 18', false],
  ['query.n > 11.5 && query.n <= 12', true],
  ['auth.claims.verified', true],
  ['auth.claims.verified == true', true],
  ['auth.claims.children', false],
  ['auth.sub', false],
  ['!(params.userId == auth.sub)', false],
  ['!!auth.claims.verified', true],
  ['false || true && false', false],
  ['(false || true) && true', true],
  // what is not there equals nothing
  ['params.none == auth.claims.none', false],
  ['params.none != auth.sub', false],
  ['params.userId != auth.claims.none', false],
  ['params.userId != params.childId', true],
  ['params.none in auth.claims.children', false],
  ['params.userId in auth.claims.none', false],
  ['auth.claims.none < 5', false],
  ['auth.claims.none >= 0', false],
  // nothing of the prototype is there
  ["params.constructor == 'x'", false],
  ['auth.claims.constructor', false],
  ['auth.claims.children.length == 2', true],
  // types
  ["auth.claims.tenant == '07'", false],
  ["auth.claims.verified == 'true'", false],
  ['auth.claims.children == auth.claims.children', false],
] as const) {
  test(`${source} is ${want}`, () => assert.equal(compileCondition(source)(exchange), want));
}

test('without an identity nothing about it is there', () => {
  const anonymous = new RecordingExchange({ params: { userId: 'undefined' } });
  for (const source of [
    'params.userId == auth.sub',
    "'user' in auth.roles",
    "auth.plan != 'x'",
    'auth.claims.x == auth.sub',
  ]) {
    assert.equal(compileCondition(source)(anonymous), false, source);
  }
});

for (const [source, want] of [
  ['', /a value is missing at character 1/],
  ['params.userId ==', /a value is missing at character 17/],
  ['params.userId = auth.sub', /unexpected "=" at character 15/],
  ['params.userId == auth.sub auth.sub', /unexpected "auth.sub" at character 27/],
  ['(params.a == 1', /expected "\)"/],
  ["request.method in ['GET'", /expected "\]"/],
  ['user.id == auth.sub', /"user.id" is not known/],
  ['params.a.b == 1', /"params.a.b" is not known/],
  ['auth.claims == 1', /"auth.claims" is not known/],
  ['auth.name == 1', /auth.claims.x/],
  ['request.body == 1', /not known/],
  ["'a\\'b' == 1", /unexpected/],
  ['process.exit()', /not known/],
  [`${'('.repeat(40)}true${')'.repeat(40)}`, /nested too deep/],
  [`'${'x'.repeat(1_001)}'`, /longer than 1000/],
] as const) {
  test(`says what is wrong with ${source.slice(0, 40)}`, () => assert.match(expressionProblem(source) ?? '', want));
}

test('a reader gives the value itself', () => {
  assert.equal(compileReader('query.n')(exchange), '12');
  assert.equal(compileReader('auth.claims.age')(exchange), 41);
  assert.equal(compileReader('query.none')(exchange), undefined);
});
