/** Commands about a gateway elsewhere, by its admin API and a token. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLogger } from '../../../src/base/log.ts';
import { commandLine } from '../../../src/cli/command-line.suite.ts';
import { startGateway } from '../../../src/main.ts';

const TOKENS = { viewer: 'viewer-token-that-is-long-enough', operator: 'operator-token-that-is-long-enough' };

test('status and reload work from afar, as far as the role of the token goes', async (t) => {
  const line = commandLine();
  t.after(() => line.remove());
  const path = join(line.folder, 'gateway.yaml');
  const tokens = Object.entries(TOKENS)
    .map(([role, token]) => `{ name: ${role}, role: ${role}, token: ${token} }`)
    .join(', ');
  const text = (body: string): string =>
    `gateway: { host: 127.0.0.1, port: 0, workers: 1, dataDir: ./own, watch: false, accessLog: off }\nadmin: { listen: 127.0.0.1:0, tokens: [${tokens}] }\nroutes: [{ match: { path: /a }, auth: public, respond: { body: ${body} } }]\n`;
  await writeFile(path, text('one'));
  const log = createLogger('silent');
  const gateway = await startGateway({ configFile: path, cwd: line.folder, env: {}, log });
  t.after(() => gateway.stop({ timeoutMs: 500 }));
  const found = gateway.primary.opsSources().features.find((each) => each.sections?.['admin'] !== undefined);
  const { url } = found!.sections!['admin'] as { url: string };
  const body = async (): Promise<string> =>
    await (await fetch(`http://127.0.0.1:${gateway.addresses[0]!.port}/a`)).text();
  line.env = { GATEHOUSE_SERVER: url, GATEHOUSE_TOKEN: TOKENS.operator };

  const status = await line.run('status');
  assert.deepEqual([status.code, status.err], [0, '']);
  assert.match(status.out, /: healthy, up/);
  assert.equal(JSON.parse((await line.run('status', '--json')).out).pid, process.pid);

  await writeFile(path, text('two'));
  const trial = await line.run('reload', '--dry-run');
  assert.deepEqual([trial.code, trial.err, await body()], [0, '', 'one']);
  assert.match(trial.out, /~/);
  const done = await line.run('reload', '--server', url, '--reason', 'release 42');
  assert.deepEqual([done.code, done.err, await body()], [0, '', 'two']);
  assert.match(done.out, /^reloaded: version \d+ is in use\n$/);

  await writeFile(path, 'routs: []\n');
  for (const args of [['reload'], ['reload', '--dry-run']]) {
    const wrong = await line.run(...args);
    assert.equal(wrong.code, 1, args.join(' '));
    assert.match(wrong.err, /unknown key "routs"/, args.join(' '));
  }
  assert.equal(await body(), 'two');

  line.env = { GATEHOUSE_SERVER: url, GATEHOUSE_TOKEN: TOKENS.viewer };
  const refused = await line.run('reload');
  assert.deepEqual([refused.code, refused.err], [5, 'this needs the role operator\n']);
  line.env = { GATEHOUSE_SERVER: url };
  assert.match((await line.run('status')).err, /GATEHOUSE_TOKEN/);
  line.env = { GATEHOUSE_SERVER: 'http://127.0.0.1:1', GATEHOUSE_TOKEN: TOKENS.viewer };
  assert.equal((await line.run('status')).code, 3);
});

test('keys, sessions, quotas, bans and the cache are administered from afar', async (t) => {
  const line = commandLine();
  t.after(() => line.remove());
  const path = join(line.folder, 'gateway.yaml');
  const document = {
    gateway: { host: '127.0.0.1', port: 0, workers: 1, dataDir: './own', watch: false, accessLog: 'off' },
    admin: { listen: '127.0.0.1:0', tokens: [{ name: 'admin', role: 'admin', token: TOKENS.viewer }] },
    identity: { enabled: true, firstAdmin: 'off', passwords: { memory: '8mb', passes: 1 } },
    abuse: {},
    plans: { free: { quotas: { stories: 3 } } },
    quotas: { stories: { per: 'day' } },
    services: { notes: { instances: ['http://127.0.0.1:9'] } },
    routes: [{ match: { path: '/notes/*' }, auth: 'public', service: 'notes', cache: {} }],
  };
  await writeFile(path, JSON.stringify(document));
  const gateway = await startGateway({ configFile: path, cwd: line.folder, env: {}, log: createLogger('silent') });
  t.after(() => gateway.stop({ timeoutMs: 500 }));
  const found = gateway.primary.opsSources().features.find((each) => each.sections?.['admin'] !== undefined);
  const { url } = found!.sections!['admin'] as { url: string };
  const origin = `http://127.0.0.1:${gateway.addresses[0]!.port}`;
  const post = async (path: string, body: object): Promise<Response> =>
    await fetch(`${origin}/api/auth${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  const mia = { email: 'mia@example.com', password: 'a long enough passphrase 7' };
  const made = await fetch(`${url}/api/features/identity/users`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TOKENS.viewer}`, 'content-type': 'application/json' },
    body: JSON.stringify({ ...mia, username: 'mia', plan: 'free' }),
  });
  assert.equal(made.status, 201, await made.text());
  line.env = { GATEHOUSE_SERVER: url, GATEHOUSE_TOKEN: TOKENS.viewer };
  const json = async (...args: string[]) => {
    const { code, out, err } = await line.run(...args, '--json');
    assert.deepEqual([code, err], [0, ''], args.join(' '));
    return JSON.parse(out);
  };

  const key = await json('key', 'create', '--user', 'mia', '--name', 'ci', '--ttl', '90d');
  assert.match(key.key, /^ghk_/);
  const rotated = await json('key', 'rotate', key.id, '--user', 'mia', '--grace', '1h');
  assert.notEqual(rotated.key, key.key);
  assert.equal((await line.run('key', 'revoke', rotated.id)).code, 0);
  assert.equal((await line.run('key', 'revoke', rotated.id)).code, 4);
  const keys = (await json('key', 'list', '--user', 'mia@example.com')) as { id: string; revokedAt: string | null }[];
  assert.deepEqual(
    keys.map(({ id, revokedAt }) => [id, revokedAt === null]).sort(),
    [
      [key.id, true],
      [rotated.id, false],
    ].sort(),
  );
  assert.match((await line.run('key', 'list', '--user', 'mia')).out, /^ID +NAME/);
  const nobody = await line.run('key', 'create', '--user', 'nobody', '--name', 'ci');
  assert.deepEqual([nobody.code, nobody.err], [4, 'there is no account "nobody"\n']);
  assert.equal((await line.run('key', 'create', '--user', 'mia', '--name', 'ci', '--ttl', 'long')).code, 2);
  assert.equal(
    (await line.run('key', 'create', '--user', 'mia', '--name', 'ci', '--scopes', 'identity:admin')).code,
    5,
  );

  for (let count = 0; count < 2; count++) assert.equal((await post('/login', mia)).status, 200);
  const open = (await json('session', 'list', 'mia')) as { id: string }[];
  assert.equal(open.length, 2);
  assert.deepEqual(await json('session', 'end', 'mia', open[0]!.id), { ended: 1 });
  assert.equal((await line.run('session', 'end', 'mia', open[0]!.id)).code, 4);
  assert.deepEqual(await json('session', 'end', 'mia', 'all'), { ended: 1 });
  assert.equal((await line.run('session', 'list', 'mia')).out, 'no sessions\n');
  assert.equal((await line.run('session', 'list', 'nobody')).code, 4);
  assert.equal((await line.run('session', 'end', 'mia')).code, 2);
  // Who may not ask is told so, not that the account does not exist.
  for (const args of [
    ['session', 'list', 'mia'],
    ['key', 'list', '--user', 'mia'],
  ]) {
    const stranger = await line.run(...args, '--token', 'none-of-theirs-0123456789abcdef');
    assert.equal(stranger.code, 5, stranger.err);
    assert.doesNotMatch(stranger.err, /no account/);
  }

  const [quota] = (await json('usage', 'show', 'mia')) as { quota: string; limit: number; remaining: number }[];
  assert.deepEqual([quota!.quota, quota!.limit, quota!.remaining], ['stories', 3, 3]);
  // By each name that an account has, in any case; a name that none has is no account without use.
  for (const name of ['MIA', 'Mia@Example.com']) assert.deepEqual((await json('usage', 'show', name))[0], quota);
  const unknown = await line.run('usage', 'show', 'miah');
  assert.deepEqual([unknown.code, unknown.out], [4, '']);
  assert.match(unknown.err, /^there is no account "miah", and no caller of that name has used anything; /);
  const ban = await json('ban', 'add', '203.0.113.7', '--for', '1h');
  assert.deepEqual([ban.subject, ban.made_by], ['203.0.113.7', 'token:admin']);
  assert.equal((await line.run('ban', 'lift', '203.0.113.7')).out, 'lifted: 203.0.113.7\n');
  assert.equal((await json('cache')).objects, 0);
  assert.equal((await line.run('cache', 'purge', '--all')).out, 'purged\n');
});

test('accounts, the audit log and tokens are administered from afar; nobody mints a token there', async (t) => {
  const line = commandLine();
  t.after(() => line.remove());
  const path = join(line.folder, 'gatehouse.yaml');
  const document = {
    gateway: { host: '127.0.0.1', port: 0, workers: 1, dataDir: './own', watch: false, accessLog: 'off' },
    admin: {
      listen: '127.0.0.1:0',
      tokens: [
        { name: 'admin', role: 'admin', token: TOKENS.viewer },
        { name: 'operator', role: 'operator', token: TOKENS.operator },
      ],
    },
    identity: {
      enabled: true,
      firstAdmin: 'off',
      publicUrl: 'https://api.example.com',
      passwords: { memory: '8mb', passes: 1 },
    },
    plans: { free: {}, gold: {} },
    routes: [{ match: { path: '/a' }, respond: { body: 'a' }, auth: 'public' }],
  };
  await writeFile(path, JSON.stringify(document));
  const gateway = await startGateway({ configFile: path, cwd: line.folder, env: {}, log: createLogger('silent') });
  t.after(() => gateway.stop({ timeoutMs: 500 }));
  const found = gateway.primary.opsSources().features.find((each) => each.sections?.['admin'] !== undefined);
  const { url } = found!.sections!['admin'] as { url: string };
  // Minted on this machine, by the database.
  const minted = JSON.parse((await line.run('token', '--user', 'script', '--json')).out) as Record<string, string>;
  line.env = { GATEHOUSE_SERVER: url, GATEHOUSE_TOKEN: TOKENS.viewer };
  const json = async (...args: string[]) => {
    const done = await line.run(...args, '--json');
    assert.deepEqual([done.code, done.err], [0, ''], args.join(' '));
    return JSON.parse(done.out);
  };

  const made = await json('user', 'create', '--email', 'ann@example.com', '--username', 'ann', '--admin');
  assert.deepEqual([made.username, [...made.roles].sort()], ['ann', ['admin', 'user']]);
  const login = (password: string): Promise<number> =>
    fetch(`http://127.0.0.1:${gateway.addresses[0]!.port}/api/auth/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ email: 'ann@example.com', password }),
    }).then(async (response) => {
      await response.text();
      return response.status;
    });
  assert.equal(await login(made.password), 200);
  const fresh = await json('user', 'password', 'ann');
  assert.deepEqual([await login(made.password), await login(fresh.password)], [401, 200]);
  const twice = await line.run('user', 'create', '--username', 'ann');
  assert.equal(twice.code, 5, twice.out);
  await json('user', 'create', '--username', 'robot', '--service');
  for (let i = 0; i < 3; i++) await json('user', 'create', '--username', `bob-${i}`, '--service');
  assert.match((await line.run('user', 'list')).out, /^ID +KIND +NAME/);
  const bobs = (await json('user', 'list', '--query', 'bob')) as { username: string }[];
  assert.deepEqual(bobs.map(({ username }) => username).sort(), ['bob-0', 'bob-1', 'bob-2']);
  assert.equal((await json('user', 'plan', 'robot', '--plan', 'gold')).plan, 'gold');
  assert.equal((await json('user', 'disable', 'robot')).status, 'disabled');
  assert.equal((await json('user', 'enable', 'robot')).status, 'active');
  const last = await line.run('user', 'disable', 'ann');
  assert.equal(last.code, 5, 'the last administrator');
  assert.equal((await line.run('user', 'roles', 'robot', '--roles', 'nonsense')).code, 5);
  assert.deepEqual((await json('user', 'roles', 'robot', '--roles', 'service')).roles, ['service']);
  assert.equal((await json('user', 'show', 'robot')).plan, 'gold');
  assert.equal((await line.run('user', 'show', 'nobody')).code, 4);
  for (const args of [['show'], ['grow', 'x'], ['create'], ['plan', 'robot']])
    assert.equal((await line.run('user', ...args)).code, 2, args.join(' '));

  const check = async () => {
    const response = await fetch(`${url}/api/features/identity/tokens/check`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKENS.viewer}`, 'content-type': 'application/json' },
      body: JSON.stringify({ token: minted['accessToken'] }),
    });
    return (await response.json()) as { active: boolean };
  };
  assert.equal((await check()).active, true);
  assert.equal((await line.run('token', 'revoke', minted['jti']!)).code, 0);
  assert.equal((await check()).active, false);
  assert.equal((await line.run('token', 'revoke', 'none')).code, 4);
  const mint = await line.run('token', '--user', 'ann');
  assert.equal(mint.code, 2);
  assert.match(mint.err, /minted, and keys rotated, on the gateway’s machine/);

  const head = (await line.run('audit', 'head')).out.trim();
  assert.match(head, /^\d+:[\w-]+$/);
  assert.match((await line.run('audit', 'verify', '--expect', head)).out, /^\d+ entries, the chain is whole\n$/);
  assert.equal((await line.run('audit', 'verify', '--expect', '99999:abc')).code, 5);
  assert.equal((await line.run('audit', 'verify', '--expect', 'nonsense')).code, 2);
  const rows = (await line.run('audit', 'list', '--last', '3', '--json')).out.trim().split('\n');
  assert.equal(rows.length, 3);
  assert.match((await line.run('audit', 'list', '--action', 'user.created')).out, /user\.created +token:admin/);
  line.env = { GATEHOUSE_SERVER: url, GATEHOUSE_TOKEN: TOKENS.operator };
  assert.equal((await line.run('user', 'disable', 'robot')).code, 5);
  assert.equal((await line.run('audit', 'head')).code, 0, 'operators look');
});
