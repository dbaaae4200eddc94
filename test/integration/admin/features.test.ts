/** What features offer operators below the admin API: bans, the cache, accounts; each by its roles, and audited. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { startTestGateway } from '../../support/gateway.ts';
import { until } from '../../support/until.ts';
import { httpUpstream } from '../../support/upstream.ts';

const token = (role: string): string => `${role}-token-that-is-long-enough`;
const LONG_MS = 60_000;

async function scene(t: TestContext, document: Readonly<Record<string, unknown>>) {
  const gateway = await startTestGateway(t, {
    admin: {
      listen: '127.0.0.1:0',
      tokens: ['viewer', 'operator', 'admin'].map((role) => ({ name: role, role, token: token(role) })),
    },
    ...document,
  });
  const found = gateway.primary.opsSources().features.find(({ sections }) => sections?.['admin'] !== undefined);
  const { url } = found!.sections!['admin'] as { url: string };
  const ask = async (role: string, method: string, path: string, body?: unknown) => {
    const response = await fetch(`${url}/api/features${path}`, {
      method,
      headers: { authorization: `Bearer ${token(role)}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    // biome-ignore lint/suspicious/noExplicitAny: bodies of many shapes, checked by the assertions
    return { status: response.status, body: (text === '' ? null : JSON.parse(text)) as any };
  };
  return { gateway, ask };
}

test('an address is banned and let in again by operators; viewers only look', async (t) => {
  const { gateway, ask } = await scene(t, {
    abuse: {},
    routes: [{ match: { path: '/a' }, respond: { body: 'a' }, auth: 'public' }],
  });
  const status = async (): Promise<number> =>
    await fetch(`${gateway.url}/a`).then(
      async (response) => {
        await response.text();
        return response.status;
      },
      () => 0,
    );
  assert.equal(await status(), 200);
  const ban = { kind: 'address', subject: '127.0.0.1', reason: 'a test', for: '1h' };
  assert.equal((await ask('viewer', 'POST', '/limits/bans', ban)).status, 403);
  const made = await ask('operator', 'POST', '/limits/bans', ban);
  assert.deepEqual([made.status, made.body.made_by], [201, 'token:operator']);
  const waitFor = async (wanted: (status: number) => boolean): Promise<void> => {
    const giveUpMs = performance.now() + LONG_MS;
    while (!wanted(await status())) assert.ok(performance.now() < giveUpMs, 'the ban does nothing');
  };
  await waitFor((found) => found !== 200);
  const { bans } = (await ask('viewer', 'GET', '/limits/bans')).body;
  assert.deepEqual(
    bans.map((each: { subject: string; reason: string }) => [each.subject, each.reason]),
    [['127.0.0.1', 'a test']],
  );
  assert.equal((await ask('viewer', 'DELETE', `/limits/bans/${made.body.id}`)).status, 403);
  assert.equal((await ask('operator', 'DELETE', `/limits/bans/${made.body.id}`)).status, 204);
  assert.equal((await ask('operator', 'DELETE', `/limits/bans/${made.body.id}`)).status, 404);
  await waitFor((found) => found === 200);
  assert.ok(gateway.logged.some((line) => line.includes('admin.limits') && line.includes('token:operator')));
});

test('the cache says what it holds and saves; a purge by an operator empties it', async (t) => {
  let asked = 0;
  const upstream = await httpUpstream(t, (_, response) => {
    asked++;
    response.setHeader('cache-control', 'max-age=600');
    response.end('stored');
  });
  const { gateway, ask } = await scene(t, {
    services: { s: { instances: [{ url: upstream.url }] } },
    routes: [{ name: 'stored', match: { path: '/stored/*' }, service: 's', auth: 'public', cache: {} }],
  });
  const get = async (): Promise<string> => (await fetch(`${gateway.url}/stored/one`)).text();
  await get();
  const objects = async (): Promise<number> => (await ask('viewer', 'GET', '/cache')).body.objects;
  const giveUpMs = performance.now() + LONG_MS;
  while ((await objects()) !== 1) assert.ok(performance.now() < giveUpMs, 'nothing is stored');
  await get();
  assert.equal(asked, 1);
  const { most_used: used, largest } = (await ask('viewer', 'GET', '/cache')).body;
  assert.match(used[0].key, /\/stored\/one/);
  assert.equal(largest.length, 1);
  assert.equal((await ask('viewer', 'POST', '/cache/purge', { all: true })).status, 403);
  assert.equal((await ask('operator', 'POST', '/cache/purge', {})).status, 400);
  assert.equal((await ask('operator', 'POST', '/cache/purge', { all: true })).status, 200);
  const emptied = (await ask('viewer', 'GET', '/cache')).body;
  assert.deepEqual([emptied.most_used, emptied.largest], [[], []]);
  await get();
  assert.equal(asked, 2);
  await until(() => gateway.logged.some((line) => line.includes('admin.cache')), 'the audit line', LONG_MS);
});

test('administrators find accounts, give plans, block, end sessions and revoke keys; operators look; viewers do not', async (t) => {
  const { gateway, ask } = await scene(t, {
    identity: { enabled: true, firstAdmin: 'off', plans: ['free', 'gold'], passwords: { memory: '8mb', passes: 1 } },
  });
  const password = 'a long enough passphrase 7';
  const made = await ask('admin', 'POST', '/identity/users', { email: 'mia@example.com', password });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const { id } = made.body;
  assert.equal((await ask('viewer', 'GET', '/identity/users')).status, 403);
  const { users } = (await ask('operator', 'GET', '/identity/users?q=mia')).body;
  assert.deepEqual(
    users.map((user: { id: string }) => user.id),
    [id],
  );
  assert.equal((await ask('operator', 'PATCH', `/identity/users/${id}`, { plan: 'gold' })).status, 403);
  assert.equal((await ask('admin', 'PATCH', `/identity/users/${id}`, { plan: 'gold' })).body.plan, 'gold');

  const own = async (method: string, path: string, token?: string, body?: unknown) => {
    const response = await fetch(`${gateway.url}/api/auth${path}`, {
      method,
      headers: {
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    // biome-ignore lint/suspicious/noExplicitAny: bodies of many shapes, checked by the assertions
    return { status: response.status, body: (await response.json()) as any };
  };
  const login = () => own('POST', '/login', undefined, { email: 'mia@example.com', password });
  const signedIn = await login();
  assert.equal(signedIn.status, 200, JSON.stringify(signedIn.body));
  const access = signedIn.body.accessToken as string;
  const key = await own('POST', '/keys', access, { name: '<b>robot</b>' });
  assert.equal(key.status, 201, JSON.stringify(key.body));
  assert.equal((await ask('operator', 'GET', `/identity/users/${id}/sessions`)).body.sessions.length, 1);
  const { keys } = (await ask('operator', 'GET', `/identity/users/${id}/keys`)).body;
  assert.deepEqual([keys[0].name, keys[0].revokedAt], ['<b>robot</b>', null]);
  const fresh = { name: 'made by an operator', scopes: [], expiresIn: 3_600 };
  assert.equal((await ask('operator', 'POST', `/identity/users/${id}/keys`, fresh)).status, 403);
  const beyond = await ask('admin', 'POST', `/identity/users/${id}/keys`, { ...fresh, scopes: ['identity:admin'] });
  assert.deepEqual([beyond.status, beyond.body.errors[0].field], [400, 'scopes']);
  const madeKey = await ask('admin', 'POST', `/identity/users/${id}/keys`, fresh);
  assert.deepEqual([madeKey.status, madeKey.body.owner], [201, id]);
  assert.match(madeKey.body.key, /^ghk_/);
  assert.equal((await ask('operator', 'POST', `/identity/keys/${madeKey.body.id}/rotate`)).status, 403);
  const rotated = await ask('admin', 'POST', `/identity/keys/${madeKey.body.id}/rotate`, { graceSeconds: 60 });
  assert.deepEqual([rotated.status, rotated.body.name], [201, fresh.name]);
  assert.notEqual(rotated.body.key, madeKey.body.key);
  const again = await ask('admin', 'POST', `/identity/keys/${madeKey.body.id}/rotate`);
  assert.equal(again.status, 201, 'in its grace it still lives');
  assert.equal((await ask('admin', 'POST', `/identity/keys/${madeKey.body.id}/rotate`)).status, 404);
  for (const each of [rotated, again])
    assert.equal((await ask('admin', 'DELETE', `/identity/keys/${each.body.id}`)).status, 200);
  assert.equal((await ask('operator', 'DELETE', `/identity/keys/${keys[0].id}`)).status, 403);
  assert.equal((await ask('admin', 'DELETE', `/identity/keys/${keys[0].id}`)).status, 200);
  const after = (await ask('operator', 'GET', `/identity/users/${id}/keys`)).body.keys;
  assert.ok(after.every((each: { revokedAt: string | null }) => each.revokedAt !== null));

  assert.equal((await own('GET', '/me', access)).status, 200);
  const second = (await login()).body.accessToken as string;
  const opened = (await ask('operator', 'GET', `/identity/users/${id}/sessions`)).body.sessions;
  assert.equal(opened.length, 2);
  const [newest] = opened;
  const one = `/identity/users/${id}/sessions/${newest.id}`;
  assert.equal((await ask('operator', 'DELETE', one)).status, 403);
  assert.equal((await ask('admin', 'DELETE', one)).body.ended, 1);
  assert.equal((await ask('admin', 'DELETE', one)).status, 404);
  const answers = await Promise.all([access, second].map(async (each) => (await own('GET', '/me', each)).status));
  assert.deepEqual(answers.sort(), [200, 401], 'one of the two sessions is over');
  assert.equal((await ask('admin', 'DELETE', `/identity/users/${id}/sessions`)).body.ended, 1);
  assert.equal((await own('GET', '/me', access)).status, 401);
  assert.equal((await own('GET', '/me', second)).status, 401);
  assert.equal((await ask('admin', 'PATCH', `/identity/users/${id}`, { status: 'disabled' })).body.status, 'disabled');
  const refused = await ask('admin', 'POST', `/identity/users/${id}/keys`, fresh);
  assert.deepEqual([refused.status, refused.body.code], [409, 'CONFLICT']);
  assert.notEqual((await login()).status, 200);
  assert.equal((await ask('admin', 'PATCH', `/identity/users/${id}`, { status: 'active' })).body.status, 'active');
  assert.equal((await login()).status, 200);
  // Nobody becomes somebody else by a token of the admin API.
  assert.equal((await ask('admin', 'POST', `/identity/users/${id}/impersonate`)).status, 404);
  const wrong = await ask('admin', 'PATCH', `/identity/users/${id}`, { plan: '' });
  assert.deepEqual([wrong.status, wrong.body.code], [400, 'VALIDATION_ERROR']);
  assert.ok(gateway.logged.some((line) => line.includes('admin.identity') && line.includes('token:admin')));
});

test('what is not in use is not there', async (t) => {
  const { ask } = await scene(t, {});
  for (const path of ['/cache', '/limits/bans', '/identity/users', '/nothing']) {
    const { status, body } = await ask('admin', 'GET', path);
    assert.deepEqual([status, body.code], [404, 'RESOURCE_NOT_FOUND'], path);
  }
});

test('documents and join tokens of the cluster are for administrators, however the path is spelled', async (t) => {
  const { ask } = await scene(t, {
    cluster: { name: 'prod', node: 'one' },
    routes: [{ match: { path: '/a' }, respond: { body: 'a' }, auth: 'public' }],
  });
  await until(async () => (await ask('viewer', 'GET', '/cluster/cluster')).body?.queen === 'one', 'a queen', LONG_MS);
  for (const path of ['/tokens', '/versions/1', '/versions/1/difference', '/%76ersions/1', '/%74okens'])
    for (const role of ['viewer', 'operator'])
      assert.equal((await ask(role, 'GET', `/cluster/cluster${path}`)).status, 403, `${role} ${path}`);
  assert.equal(
    (await ask('operator', 'POST', '/cluster/cluster/%72ollouts', { document: 'x', reason: 'x' })).status,
    403,
  );
  assert.equal((await ask('admin', 'GET', '/cluster/cluster/%74okens')).status, 200, 'the router reads escapes');
  assert.equal((await ask('admin', 'GET', '/cluster/cluster/versions/1')).status, 404, 'asked, and not there');
  assert.equal((await ask('viewer', 'GET', '/cluster/cluster/versions')).status, 200, 'who, when and why');
});
