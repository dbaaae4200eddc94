/**
 * An identity service for tests: SQLite in memory (or any URL), a clock that moves when told, cheap hashes, a mailbox
 * folder to read codes from, and `call`, which speaks to it as a caller would.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { FakeClock } from '../../../src/base/clock.ts';
import { createLogger } from '../../../src/base/log.ts';
import { createIdentity, type Identity, type IdentityDeps } from '../../../src/control/identity/identity.ts';
import type { IdentityInput } from '../../../src/control/identity/options.ts';

export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies freely
  readonly body: any;
  readonly headers: Headers;
}

export interface Bench {
  readonly identity: Identity;
  readonly clock: FakeClock;
  readonly folder: string;
  readonly printed: string[];
  readonly logged: string[];
  call(method: string, path: string, body?: unknown, token?: string, headers?: Record<string, string>): Promise<Answer>;
  /** The newest code mailed to an address whose subject holds a text. */
  mailedCode(to: string, subject: string): Promise<string>;
  mails(): Promise<string[]>;
  /** Registers and confirms; returns the tokens of a first sign-in. */
  member(name: string, password?: string): Promise<Member>;
  admin(name?: string): Promise<Member>;
  close(): Promise<void>;
}

export interface Member {
  readonly id: string;
  readonly email: string;
  readonly username: string;
  readonly password: string;
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly sessionId: string;
}

export const PASSWORD = 'ancient walrus paints 9 fences';
/** One test calls from one address as often as many people do. */
const PLENTY = { calls: '100000/1m', signUps: '100000/1m', emails: '100000/1m' };
const CHEAP = { memory: '8mb', passes: 1 } as const;

/**
 * SQLite in memory, or with GATEHOUSE_TEST_POSTGRES (the address of a server's `postgres` database) a new database
 * there each time, so that every flow can be run on both.
 */
async function testStore(): Promise<string> {
  const server = process.env['GATEHOUSE_TEST_POSTGRES'];
  if (server === undefined) return 'sqlite::memory:';
  const name = `bench_${randomBytes(8).toString('hex')}`;
  const client = new Client({ connectionString: server });
  await client.connect();
  await client.query(`create database ${name}`);
  await client.end();
  const url = new URL(server);
  url.pathname = `/${name}`;
  return url.href;
}

export async function makeBench(input: IdentityInput = {}, deps: Partial<IdentityDeps> = {}): Promise<Bench> {
  const storeUrl = await testStore();
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-identity-'));
  const clock = (deps.clock as FakeClock | undefined) ?? new FakeClock();
  const printed: string[] = [];
  const logged: string[] = [];
  const log = createLogger('info', (line) => logged.push(line));
  const identity = await createIdentity(
    { firstAdmin: 'off', addressLimits: PLENTY, ...input, passwords: { ...CHEAP, ...input.passwords } },
    { dataDir: folder, storeUrl, clock, log, print: (text) => printed.push(text), ...deps },
  );
  const call: Bench['call'] = async (method, path, body, token, headers = {}) => {
    const request = new Request(
      `http://gatehouse.test${path.startsWith('/api') || path.startsWith('/.') ? '' : '/api/auth'}${path}`,
      {
        method,
        headers: {
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          'x-forwarded-for': '192.0.2.7',
          ...headers,
        },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      },
    );
    const response = await identity.app.fetch(request);
    const text = await response.text();
    return { status: response.status, body: text === '' ? undefined : JSON.parse(text), headers: response.headers };
  };
  const mails = async (): Promise<string[]> => {
    await identity.context.background.settled();
    identity.context.outbox.nudge();
    await identity.context.outbox.settled();
    const mailbox = join(folder, 'mailbox');
    try {
      return readdirSync(mailbox)
        .sort()
        .map((name) => readFileSync(join(mailbox, name), 'utf8'));
    } catch {
      return [];
    }
  };
  const mailedCode: Bench['mailedCode'] = async (to, subject) => {
    // By its subject: the email that says "your password was changed" speaks of a new password, too.
    const found = (await mails()).filter(
      (mail) => mail.includes(`To: ${to}\r\n`) && /^Subject: (.*)$/m.exec(mail)![1]!.includes(subject),
    );
    const code = /code: (\S+)/.exec(found.at(-1) ?? '')?.[1];
    assert.ok(code !== undefined, `a mail to ${to} about "${subject}" holds a code`);
    return code;
  };
  const signedIn = async (username: string, password: string): Promise<Member> => {
    const { status, body } = await call('POST', '/login', { username, password });
    assert.equal(status, 200, JSON.stringify(body));
    const me = await call('GET', '/me', undefined, body.accessToken);
    const { accessToken, refreshToken, sessionId } = body;
    return { id: me.body.id, email: me.body.email, username, password, accessToken, refreshToken, sessionId };
  };
  return {
    identity,
    clock,
    folder,
    printed,
    logged,
    call,
    mails,
    mailedCode,
    async member(username, password = PASSWORD) {
      const email = `${username}@example.com`;
      const asked = await call('POST', '/register', { email, username, password });
      assert.equal(asked.status, 202, JSON.stringify(asked.body));
      const confirmed = await call('POST', '/verify-email', { token: await mailedCode(email, 'confirm'), password });
      assert.equal(confirmed.status, 200, JSON.stringify(confirmed.body));
      return await signedIn(username, password);
    },
    async admin(username = 'chief') {
      const { context } = identity;
      const passwordHash = await context.hasher.hash(PASSWORD);
      const { insertUser } = await import('../../../src/control/identity/accounts/users.ts');
      await context.store.transaction((trx) =>
        insertUser(context, trx, {
          kind: 'user',
          email: `${username}@example.com`,
          username,
          passwordHash,
          roles: ['user', 'admin'],
        }),
      );
      return await signedIn(username, PASSWORD);
    },
    async close() {
      await identity.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
