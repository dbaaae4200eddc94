/**
 * Rule: what was taken away is gone at once, and no way round brings more than the limit: removed roles, rotated keys,
 * and keys of the environment that anybody would guess.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { environmentKeys } from '../../src/control/identity/api-keys/environment-keys.ts';
import { environmentKeys as workerKeys } from '../../src/data/policies/auth-environment.ts';
import { type Bench, makeBench } from '../integration/identity/harness.ts';

async function benchFor(t: { after(done: () => Promise<void>): void }, more: object = {}): Promise<Bench> {
  const bench = await makeBench(more);
  t.after(() => bench.close());
  return bench;
}

test('a role that is removed ends the sessions of those who had it', async (t) => {
  const bench = await benchFor(t);
  const [admin, nora, other] = [await bench.admin(), await bench.member('nora'), await bench.member('other')];
  const call = (method: string, path: string, body?: object) => bench.call(method, path, body, admin.accessToken);
  await call('PUT', '/admin/roles/editor', { scopes: ['stories:write'] });
  await call('PATCH', `/admin/users/${nora.id}`, { roles: ['user', 'editor'] });
  const { body } = await bench.call('POST', '/login', { username: 'nora', password: nora.password });
  assert.match(body.scope, /stories:write/);
  assert.equal((await call('DELETE', '/admin/roles/editor')).status, 200);
  assert.equal((await bench.call('GET', '/me', undefined, body.accessToken)).status, 401);
  assert.ok(bench.identity.context.revocations.message().sids.some(([sid]) => sid === body.sessionId));
  assert.equal((await bench.call('GET', '/me', undefined, other.accessToken)).status, 200);
});

test('rotation with a grace does not pass the number of keys, also at once', async (t) => {
  const bench = await benchFor(t, { apiKeys: { maxPerUser: 3 } });
  const { accessToken } = await bench.member('nora');
  const post = (path: string, body: object) => bench.call('POST', path, body, accessToken);
  const first = (await post('/keys', { name: 'a' })).body.id;
  const rotations = await Promise.all(
    Array.from({ length: 8 }, () => post(`/keys/${first}/rotate`, { graceSeconds: 600 })),
  );
  assert.equal(rotations.filter(({ status }) => status === 201).length, 2);
  assert.equal((await bench.call('GET', '/keys', undefined, accessToken)).body.keys.length, 3);
  assert.equal((await post('/keys', { name: 'b' })).body.reason, 'too_many_keys');
  assert.equal((await post(`/keys/${first}/rotate`, {})).status, 201, 'one for one is no more than before');
});

test('a key of the environment that anybody guesses stops the start', () => {
  for (const value of ['a:user:read', 'abcde:user:read', ':user:read']) {
    assert.throws(() => environmentKeys({ API_KEY_1: value }), /six characters/);
    assert.match(workerKeys({ API_KEY_1: value }).problems.join(), /six characters/);
  }
  assert.equal(environmentKeys({ API_KEY_1: 'key123:user1:read,write:premium' }).size, 1);
});
