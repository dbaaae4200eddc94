/** The identity service inside a running gateway: its routes, and its tokens and keys at a route that demands them. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createLogger } from '../../../src/base/log.ts';
import { type RunningGateway, startGateway } from '../../../src/main.ts';
import { PASSWORD } from './harness.ts';
import { headingOf, open, submit } from './page-reader.ts';

const DEADLINE_MS = 5_000;

describe('identity in a gateway', () => {
  let folder: string;
  let upstream: Server;
  let gateway: RunningGateway;
  let base: string;
  const logged: string[] = [];

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'gatehouse-e2e-'));
    upstream = createServer((request, response) => {
      request.resume();
      response.end(JSON.stringify({ path: request.url, headers: request.headers }));
    }).listen(0, '127.0.0.1');
    await once(upstream, 'listening');
    const { port } = upstream.address() as { port: number };
    gateway = await startGateway({
      cwd: folder,
      env: { API_KEY_1: 'key123:user1:stories:read:premium' },
      log: createLogger('warn', (line) => logged.push(line)),
      document: {
        gateway: {
          port: 0,
          host: '127.0.0.1',
          workers: 2,
          dataDir: './data',
          accessLog: { file: join(folder, 'access.log') },
        },
        services: { stories: { instances: [{ url: `http://127.0.0.1:${port}` }] } },
        identity: {
          enabled: true,
          firstAdmin: 'off',
          alsoAt: ['/api/v1/auth'],
          passwords: { memory: '8mb', passes: 1 },
          roles: { user: { scopes: ['stories:read'] } },
        },
        routes: [
          {
            match: { path: '/stories/*' },
            service: 'stories',
            auth: { jwt: {}, apiKey: {}, scopes: ['stories:read'] },
          },
        ],
      },
    });
    base = `http://127.0.0.1:${gateway.addresses[0]?.port}`;
  });
  after(async () => {
    await gateway?.stop({ timeoutMs: 500 });
    upstream?.closeAllConnections();
    upstream?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function call(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
    // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies freely
  ): Promise<{ status: number; body: any }> {
    const response = await fetch(base + path, {
      method,
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
  }
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

  async function until<Result>(
    what: string,
    look: () => Result | undefined | Promise<Result | undefined>,
  ): Promise<Result> {
    const deadline = performance.now() + DEADLINE_MS;
    for (;;) {
      const found = await look();
      if (found !== undefined) return found;
      if (performance.now() > deadline) throw new Error(`not in time: ${what}`);
      await new Promise((done) => setImmediate(done));
    }
  }

  function mailbox(): string {
    const mails = join(folder, 'data', 'mailbox');
    try {
      return readdirSync(mails)
        .map((name) => readFileSync(join(mails, name), 'utf8'))
        .join('\n');
    } catch {
      return '';
    }
  }

  function mailedCode(): string | undefined {
    return /code: (\w+)/.exec(mailbox())?.[1];
  }

  test('an account made through the gateway passes its routes until it signs out, everywhere within a second', async () => {
    const made = await call('POST', '/api/auth/register', {
      email: 'eve@example.com',
      username: 'eve',
      password: PASSWORD,
    });
    assert.equal(made.status, 202, JSON.stringify(made.body));
    const token = await until('the mail', mailedCode);
    const letter = mailbox();
    const link = /http:\S+/.exec(letter)?.[0] ?? '';
    assert.equal(link, `${base}/api/auth/pages/verify-email?token=${token}`, 'without publicUrl, the real port');
    const done = await submit(await open(link), { password: PASSWORD });
    assert.deepEqual([done.status, headingOf(done)], [200, 'Your email address is confirmed']);
    const accessLog = await until('both in the access log', () => {
      const text = readFileSync(join(folder, 'access.log'), 'utf8');
      return text.match(/pages\/verify-email/g)?.length === 2 ? text : undefined;
    });
    assert.ok(!accessLog.includes(token), accessLog);
    const login = await call('POST', '/api/v1/auth/login', { username: 'eve', password: PASSWORD });
    assert.equal(login.status, 200, JSON.stringify(login.body));

    assert.equal((await call('GET', '/stories/1')).status, 401);
    const passed = await call('GET', '/stories/1', undefined, bearer(login.body.accessToken));
    assert.equal(passed.status, 200, JSON.stringify(passed.body));
    const sessions = await call('GET', '/api/auth/sessions', undefined, bearer(login.body.accessToken));
    assert.equal(sessions.body.sessions[0].address, '127.0.0.1', 'the caller, through the socket');

    await call('POST', '/api/auth/logout', undefined, bearer(login.body.accessToken));
    const from = performance.now();
    // Each try may meet the other worker: eight refusals in a row are both of them.
    await until('refused by every worker', async () => {
      const tries = await Promise.all(
        Array.from({ length: 8 }, () =>
          call('GET', '/stories/1', undefined, { ...bearer(login.body.accessToken), connection: 'close' }),
        ),
      );
      return tries.every(({ status }) => status === 401) ? true : undefined;
    });
    assert.ok(performance.now() - from < 1_000, 'within a second');
  });

  test('keys of an account and of the environment open the route', async () => {
    assert.equal((await call('GET', '/stories/1', undefined, { 'x-api-key': 'key123' })).status, 200);
    assert.equal((await call('GET', '/stories/1', undefined, { 'x-api-key': 'key124' })).status, 401);
    const login = await call('POST', '/api/auth/login', { username: 'eve', password: PASSWORD });
    const key = await call(
      'POST',
      '/api/auth/keys',
      { name: 'e2e', scopes: ['stories:read'] },
      bearer(login.body.accessToken),
    );
    assert.equal(key.status, 201);
    assert.equal((await call('GET', '/stories/1', undefined, { 'x-api-key': key.body.key })).status, 200);
  });

  test('the key set is public, and nothing was warned about', async () => {
    assert.equal((await call('GET', '/.well-known/jwks.json')).body.keys.length, 1);
    assert.deepEqual(
      logged.filter((line) => line.includes('identity')),
      [],
    );
  });
});
