import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_CLAIM_NAMES, factsOfClaims, PreparedIdentity, readClaim } from './identity.ts';
import { plainHeaders } from './identity-headers.ts';

for (const { name, claims, want } of [
  {
    name: 'RFC 9068: scope as words, roles as a list',
    claims: { sub: 'a', scope: 'read write', roles: ['admin'] },
    want: { subject: 'a', roles: ['admin'], scopes: ['read', 'write'], plan: null },
  },
  {
    name: 'scp as a list, role as a text, tier',
    claims: { sub: 'a', scp: ['read'], role: 'user', tier: 'premium' },
    want: { subject: 'a', roles: ['user'], scopes: ['read'], plan: 'premium' },
  },
  {
    name: 'the first name that is there counts, also when it is empty',
    claims: { sub: 'a', scope: '', scp: ['admin'], plan: null, tier: 'basic' },
    want: { subject: 'a', roles: [], scopes: [], plan: 'basic' },
  },
  {
    name: 'values of another type grant nothing',
    claims: { sub: 'a', scope: { admin: true }, roles: [1, null, '', { a: 1 }, 'ok'], plan: 7 },
    want: { subject: 'a', roles: ['ok'], scopes: [], plan: null },
  },
  {
    name: 'a role that is one text is one role, also with blanks',
    claims: { sub: 'a', role: 'Billing Admin', scope: 'Billing Admin' },
    want: { subject: 'a', roles: ['Billing Admin'], scopes: ['Billing', 'Admin'], plan: null },
  },
  {
    name: 'names that are no text grant nothing',
    claims: { sub: 'a', roles: ['\ud800', 'fine'] },
    want: { subject: 'a', roles: ['fine'], scopes: [], plan: null },
  },
]) {
  test(name, () => {
    assert.deepEqual(factsOfClaims('jwt', claims, DEFAULT_CLAIM_NAMES), { method: 'jwt', issuer: null, ...want });
  });
}

test('no subject, no identity', () => {
  for (const sub of [undefined, null, '', 7, ['a'], '\udfff']) {
    assert.equal(factsOfClaims('jwt', { sub }, DEFAULT_CLAIM_NAMES), null);
  }
});

test('claims can lie deep, and only own members count', () => {
  const claims = JSON.parse('{"realm_access":{"roles":["editor"]},"__proto__":{"polluted":true}}') as Record<
    string,
    unknown
  >;
  assert.deepEqual(readClaim(claims, ['realm_access', 'roles']), ['editor']);
  assert.equal(readClaim(claims, ['constructor']), undefined);
  assert.equal(readClaim(claims, ['realm_access', 'toString']), undefined);
  assert.equal(readClaim(claims, ['realm_access', 'roles', 'length']), 1);
  assert.equal(({} as { polluted?: boolean }).polluted, undefined);
});

test('an identity cannot be changed by one request for another', () => {
  const claims = { sub: 'a', nested: { list: [{ deep: 1 }] } };
  const identity = new PreparedIdentity(
    { method: 'jwt', subject: 'a', roles: ['r'], scopes: ['s'], plan: null },
    claims,
    plainHeaders,
  );
  assert.throws(() => (identity.roles as string[]).push('admin'), TypeError);
  assert.throws(() => (identity.scopes as string[]).push('admin'), TypeError);
  assert.throws(() => {
    (identity.claims as Record<string, unknown>)['sub'] = 'root';
  }, TypeError);
  assert.throws(() => {
    claims.nested.list[0]!.deep = 2;
  }, TypeError);
  assert.throws(() => {
    (identity.upstreamHeaders as Record<string, string>)['x-auth-subject'] = 'root';
  }, TypeError);
});
