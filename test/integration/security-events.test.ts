/**
 * The stream of security events, through real sockets: who is in it, what is not, and what happens when it is too much.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, it } from 'node:test';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import { until } from '../support/until.ts';
import { wholeLines } from '../support/whole-lines.ts';

type Line = Readonly<Record<string, unknown>> & { readonly event: string };

const read = (file: string): Line[] =>
  existsSync(file) ? wholeLines(readFileSync(file, 'utf8')).map((line) => JSON.parse(line) as Line) : [];

/** The first line that fits; waits for it. */
async function line(file: string, event: string, fits: (found: Line) => boolean = () => true): Promise<Line> {
  const find = (): Line | undefined => read(file).find((each) => each.event === event && fits(each));
  await until(() => find() !== undefined, `${event} in the stream`, 60_000);
  return find()!;
}

const ROUTES = [
  { name: 'open', match: { path: '/open' }, respond: { body: 'open' }, auth: 'public' },
  { name: 'closed', match: { path: '/closed' }, respond: { body: 'closed' } },
  {
    name: 'hall',
    match: { path: '/hall' },
    respond: { body: 'hall' },
    ipFilter: { deny: ['127.0.0.0/8'] },
    auth: 'public',
  },
  { name: 'staff', match: { path: '/staff' }, respond: { body: 'staff' }, auth: { roles: ['admin'] } },
];

const TOKEN = 'a-token-that-is-long-enough';
/** Two ways to say how long a body is: an attempt to smuggle a request. */
const SMUGGLED = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n';

async function smuggle(port: number): Promise<void> {
  const caller = new RawCaller(port);
  caller.send(SMUGGLED);
  await caller.answer();
  caller.socket.destroy();
}

async function scene(
  t: Parameters<typeof startTestGateway>[0],
  more: object = {},
  gateway: object = {},
  env: Readonly<Record<string, string>> = {},
) {
  const document = {
    gateway: { securityEvents: { to: { file: 'security.log' } }, ...gateway },
    identity: { enabled: true, firstAdmin: 'off', registration: { verifyEmail: 'off' } },
    admin: { listen: '127.0.0.1:0', tokens: [{ name: 'script', role: 'operator', token: TOKEN }] },
    abuse: {},
    routes: ROUTES,
    ...more,
  };
  const started = await startTestGateway(t, document, env);
  const { admin } = (started.primary.opsSources().features.find(({ sections }) => sections?.['admin'])?.sections ??
    {}) as { admin: { url: string } };
  const file = join(started.folder, 'security.log');
  const post = async (path: string, body: object, headers: Record<string, string> = {}) => {
    const response = await fetch(`${started.url}/api/auth${path}`, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json', ...headers },
    });
    return (await response.json()) as Record<string, string>;
  };
  return { gateway: started, file, post, origin: admin.url };
}

async function account(post: Awaited<ReturnType<typeof scene>>['post']) {
  const password = 'ancient walrus paints 9 fences';
  await post('/register', { email: 'ada@example.com', username: 'ada', password });
  const { accessToken = '' } = await post('/login', { username: 'ada', password });
  assert.notEqual(accessToken, '');
  return { authorization: `Bearer ${accessToken}` };
}

const get = async (gateway: TestGateway, path: string, headers: Record<string, string> = {}): Promise<number> => {
  const response = await fetch(gateway.url + path, { headers });
  await response.arrayBuffer();
  return response.status;
};

describe('security events', { timeout: 240_000 }, () => {
  it('tell of failed sign-ins, refused credentials, keys that are over, denied access and refused messages', async (t) => {
    const { gateway, file, post } = await scene(t);
    await post('/login', { username: 'nobody', password: 'wrong wrong wrong' });
    const failed = await line(file, 'login.failed');
    assert.deepEqual([failed['log'], failed['actor'], failed['address']], ['security', 'anonymous', '127.0.0.1']);
    assert.match(String(failed['time']), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);

    assert.equal(await get(gateway, '/closed', { authorization: 'Bearer not.a.token' }), 401);
    const refused = await line(file, 'credentials.refused');
    assert.deepEqual([refused['route'], refused['path'], refused['status']], ['closed', '/closed', 401]);
    assert.notEqual(refused['cause'], undefined);

    const signedIn = await account(post);
    assert.equal(await get(gateway, '/staff', signedIn), 403);
    const denied = await line(file, 'access.denied');
    assert.equal(denied['route'], 'staff');
    assert.notEqual(denied['subject'], undefined);
    assert.equal(await get(gateway, '/hall'), 403);
    await line(file, 'address.denied');

    const { key = '', id = '' } = await post('/keys', { name: 'script' }, signedIn);
    assert.equal(await get(gateway, '/closed', { 'x-api-key': key }), 200);
    const keyOf = async (): Promise<string> => (await post('/keys', { name: 'second' }, signedIn))['key'] ?? '';
    const second = await keyOf();
    const database = new DatabaseSync(join(gateway.folder, 'identity.db'));
    database.exec('UPDATE api_keys SET expires_at = 1');
    database.close();
    assert.equal(await get(gateway, '/closed', { 'x-api-key': second }), 401);
    const over = await line(file, 'key.used-after-expiry');
    assert.notEqual(over['key'], id);
    assert.equal(over['address'], '127.0.0.1');

    await smuggle(gateway.port);
    const message = await line(file, 'message.refused');
    assert.deepEqual([message['reason'], message['address']], ['ambiguous_framing', '127.0.0.1']);
    const all = JSON.stringify(read(file));
    for (const secret of [key, second, 'wrong wrong wrong', 'ancient walrus', 'not.a.token'])
      assert.ok(!all.includes(secret), secret);
  });

  it('tell of bans made, hit and lifted, of what operators do, and of who is none', async (t) => {
    const ada = 'user-0123456789abcdef0123456789';
    const { gateway, file, origin } = await scene(t, {}, {}, { API_KEY_1: `${ada}:ada:stories:basic` });
    const admin = async (method: string, path: string, body?: object, token = TOKEN) => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
      const init = body === undefined ? { method, headers } : { method, headers, body: JSON.stringify(body) };
      const response = await fetch(`${origin}/api${path}`, init);
      return { status: response.status, body: (await response.json().catch(() => ({}))) as Record<string, string> };
    };
    assert.equal((await admin('GET', '/status', undefined, 'a-token-that-nobody-has')).status, 401);
    assert.equal((await line(file, 'admin.refused'))['path'], '/api/status');

    const made = await admin('POST', '/features/limits/bans', {
      kind: 'user',
      subject: 'ada',
      for: '1h',
      reason: 'test',
    });
    assert.equal(made.status, 201, JSON.stringify(made.body));
    const ban = await line(file, 'ban.made');
    assert.deepEqual([ban['kind'], ban['subject']], ['user', 'ada']);
    const isBanned = async (): Promise<boolean> => (await get(gateway, '/closed', { 'x-api-key': ada })) === 403;
    await until(isBanned, 'she is banned', 60_000);
    assert.equal((await line(file, 'ban.hit'))['subject'], 'ada');
    assert.equal((await admin('DELETE', `/features/limits/bans/${made.body['id']}`)).status, 204);
    await line(file, 'ban.lifted');

    await admin('PUT', '/log-level', { level: 'debug', reason: 'a test', forMs: 60_000 });
    const acted = await line(file, 'admin.logLevel.set');
    assert.equal(acted['actor'], 'token:script');
    assert.equal(read(file).filter(({ event }) => event === 'admin.logLevel.set').length, 1, 'once, not twice');
  });

  it('are none where they are left out, and in a new file after a move and SIGUSR1', async (t) => {
    const { gateway, file, post } = await scene(
      t,
      {},
      {
        securityEvents: { to: { file: 'security.log' }, leaveOut: ['login.failed', 'message.*'] },
      },
    );
    await post('/login', { username: 'nobody', password: 'wrong wrong wrong' });
    await smuggle(gateway.port);
    await get(gateway, '/closed', { authorization: 'Bearer not.a.token' });
    await line(file, 'credentials.refused');
    assert.deepEqual(new Set(read(file).map(({ event }) => event)), new Set(['credentials.refused']));
    renameSync(file, `${file}.old`);
    gateway.reopenLogs();
    await until(() => existsSync(file), 'a new file', 60_000);
    await get(gateway, '/hall');
    await line(file, 'address.denied');
    assert.deepEqual(
      read(`${file}.old`).map(({ event }) => event),
      ['credentials.refused'],
    );
  });
});
