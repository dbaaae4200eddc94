/**
 * Rule: a role is one name. Only scopes are words of one text (RFC 6749 §3.3); whatever else came as one text, or as
 * one member of a list, is compared whole. Tried from the written configuration to what a caller may do, for tokens
 * with every documented form of `claims`, for an outside authorizer, and for the fields that a service gets.
 */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { secretToken } from '../../src/data/auth/testing.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { suiteScope } from '../support/scope.ts';
import { httpUpstream } from '../support/upstream.ts';

const SECRET = 'a shared secret of 32 bytes or more';
const exp = Math.floor(Date.now() / 1_000) + 3_600;

describe('a role is one name', () => {
  const scope = suiteScope();
  let gateway: TestGateway;
  let groups = '';

  before(async () => {
    const authorizer = await httpUpstream(scope, (request, response) => {
      request.resume();
      response.setHeader('Remote-User', 'alice').setHeader('Remote-Groups', groups).end();
    });
    const echo = await httpUpstream(scope, (request, response) => {
      request.resume();
      response.end(JSON.stringify(request.headers));
    });
    const issuer = (name: string, claims: object) => ({ issuer: `https://${name}.example`, secret: SECRET, claims });
    gateway = await startTestGateway(scope, {
      issuers: {
        plain: issuer('plain', {}),
        one: issuer('one', { subject: 'uid', roles: 'https://acme.example/roles', plan: 'org.plan' }),
        several: issuer('several', { subject: ['uid', 'sub'], roles: ['realm_access.roles', 'groups'] }),
      },
      services: { echo: { instances: [{ url: echo.url }] } },
      routes: [
        { match: { path: '/admin' }, service: 'echo', auth: { jwt: {}, roles: 'Admin' } },
        { match: { path: '/billing' }, service: 'echo', auth: { jwt: {}, roles: ['Billing Admin'] } },
        { match: { path: '/who' }, service: 'echo', auth: { jwt: {} } },
        {
          match: { path: '/outside' },
          service: 'echo',
          auth: { external: { url: authorizer.url, subject: 'Remote-User', roles: 'Remote-Groups' }, roles: ['Admin'] },
        },
      ],
    });
  });

  const ask = async (path: string, claims?: Record<string, unknown>): Promise<Response> => {
    const token =
      claims === undefined ? undefined : secretToken(SECRET, { exp, iss: 'https://plain.example', ...claims });
    return await fetch(
      `${gateway.url}${path}`,
      token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } },
    );
  };

  for (const claims of [
    { role: 'Billing Admin' },
    { roles: 'Admin Billing' },
    { roles: ['Billing Admin'] },
    { roles: 'Billing\tAdmin' },
    { roles: 'Billing,Admin' },
    { roles: 'admin' },
    { roles: ' Admin' },
    { roles: 'Admin ' },
  ]) {
    test(`${JSON.stringify(claims)} is not the role Admin`, async () => {
      assert.equal((await ask('/admin', { sub: 'mallory', ...claims })).status, 403);
    });
  }

  test('the role of that name passes, with blanks in the token and in the configuration', async () => {
    assert.equal((await ask('/admin', { sub: 'a', role: 'Admin' })).status, 200);
    assert.equal((await ask('/billing', { sub: 'a', role: 'Billing Admin' })).status, 200);
    assert.equal((await ask('/billing', { sub: 'a', roles: ['x', 'Billing Admin'] })).status, 200);
    assert.equal((await ask('/billing', { sub: 'a', roles: ['Billing', 'Admin'] })).status, 403);
  });

  test('a service gets a role with blanks and commas as one member of the list', async () => {
    const seen = (await (await ask('/who', { sub: 'a', roles: ['Billing Admin', 'x,Admin'] })).json()) as object;
    assert.equal((seen as Record<string, string>)['x-auth-roles'], 'Billing%20Admin,x%2CAdmin');
  });

  test('each written form of claims finds its claims: one name, a name with dots, a way down, a list', async () => {
    const one = await ask('/admin', {
      iss: 'https://one.example',
      uid: 'u1',
      'https://acme.example/roles': 'Admin',
      org: { plan: 'gold' },
    });
    assert.equal(one.status, 200);
    const seen = (await one.json()) as Record<string, string>;
    assert.deepEqual([seen['x-auth-subject'], seen['x-auth-plan']], ['u1', 'gold']);
    const several = { iss: 'https://several.example', sub: 's' };
    assert.equal((await ask('/admin', { ...several, realm_access: { roles: ['Admin'] } })).status, 200);
    assert.equal((await ask('/admin', { ...several, groups: 'Admin' })).status, 200);
    assert.equal((await ask('/admin', { ...several, groups: 'Other Admin' })).status, 403);
    // The whole name wins over the way down, as it is the only one that its issuer can have meant.
    const both = { ...several, 'realm_access.roles': 'user', realm_access: { roles: ['Admin'] } };
    assert.equal((await ask('/admin', both)).status, 403);
  });

  test('an outside authorizer separates roles by commas', async () => {
    for (const [said, status] of [
      ['Admin', 200],
      ['users, Admin', 200],
      ['Billing Admin', 403],
      ['Billing Admin, users', 403],
    ] as const) {
      groups = said;
      assert.equal((await ask('/outside')).status, status, said);
    }
  });
});
