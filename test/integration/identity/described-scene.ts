/**
 * A gateway with accounts whose every response is held against its own OpenAPI document, and calls of the account API.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { generate } from 'otplib';
import { createLogger } from '../../../src/base/log.ts';
import { firstAdminLink } from '../../../src/control/identity/accounts/first-admin.ts';
import { openContext } from '../../../src/control/identity/identity.ts';
import { DescribedCalls, type Document } from '../../support/described-calls.ts';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { until } from '../../support/until.ts';
import { PASSWORD } from './harness.ts';

const ROOT = 'the-key-of-an-administrator-of-the-gateway';
const PLENTY = { calls: '100000/1m', signUps: '100000/1m', emails: '100000/1m' };
/** Pages for people, and the document itself. */
const BESIDE = /^\/(openapi|api\/auth\/pages\/|oauth\/interaction\/)/;

// biome-ignore lint/suspicious/noExplicitAny: bodies of many shapes, checked by the document
export type Answer = { readonly status: number; readonly body: any; readonly headers: Headers };
export type Call = (
  method: string,
  path: string,
  more?: { body?: unknown; token?: string; headers?: Record<string, string>; text?: string },
) => Promise<Answer>;

export interface Scene {
  readonly gateway: TestGateway;
  readonly calls: DescribedCalls;
  readonly call: Call;
  /** Also checks the status. */
  readonly expect: (status: number, ...of: Parameters<Call>) => Promise<Answer['body']>;
}

export async function scene(
  t: TestContext,
  port: number,
  identity: object,
  gatewayOptions: object = {},
): Promise<Scene> {
  const gateway = await startTestGateway(t, {
    gateway: {
      port,
      auth: { apiKey: { keys: [{ key: ROOT, subject: 'root', roles: ['admin'] }] } },
      ...gatewayOptions,
    },
    identity: {
      enabled: true,
      publicUrl: `http://127.0.0.1:${port}`,
      passwords: { memory: '8mb', passes: 1 },
      addressLimits: PLENTY,
      lockout: { addressAttempts: 10_000 },
      firstAdmin: 'off',
      cookies: {},
      ...identity,
    },
    openapi: {},
    routes: [],
  });
  const response = await fetch(`${gateway.url}/openapi/admin.json`, { headers: { 'x-api-key': ROOT } });
  assert.equal(response.status, 200);
  const calls = new DescribedCalls((await response.json()) as Document, gateway.url);
  calls.watch(t, BESIDE);
  const call: Call = async (method, path, { body, token, headers = {}, text } = {}) => {
    const sent = text ?? (body === undefined ? undefined : JSON.stringify(body));
    const answer = await fetch(`${gateway.url}/api/auth${path}`, {
      method,
      redirect: 'manual',
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...headers,
      },
      ...(sent === undefined ? {} : { body: sent }),
    });
    const got = await answer.text();
    return { status: answer.status, body: got === '' ? undefined : JSON.parse(got), headers: answer.headers };
  };
  const expect: Scene['expect'] = async (status, ...of) => {
    const answer = await call(...of);
    assert.equal(answer.status, status, `${of[0]} ${of[1]}: ${JSON.stringify(answer.body)}`);
    return answer.body;
  };
  return { gateway, calls, call, expect };
}

/** The newest code that was mailed to an address, of an email with such a subject. */
export async function mailedCode({ gateway }: Scene, to: string, subject: RegExp): Promise<string> {
  const folder = join(gateway.folder, 'mailbox');
  const newest = (): string | undefined => {
    if (!existsSync(folder)) return undefined;
    const mails = readdirSync(folder)
      .sort()
      .map((name) => readFileSync(join(folder, name), 'utf8'));
    const found = mails.filter(
      (mail) => mail.includes(`To: ${to}\r\n`) && subject.test(/^Subject: (.*)$/m.exec(mail)![1]!),
    );
    return /code: (\S+)/.exec(found.at(-1) ?? '')?.[1];
  };
  let code: string | undefined;
  await until(() => {
    code = newest();
    return code !== undefined;
  }, `an email to ${to} about ${subject}`);
  return code!;
}

export async function member(
  at: Scene,
  username: string,
): Promise<{ accessToken: string; refreshToken: string; sessionId: string }> {
  const email = `${username}@example.com`;
  await at.expect(202, 'POST', '/register', { body: { email, username, password: PASSWORD } });
  const token = await mailedCode(at, email, /confirm/i);
  await at.expect(200, 'POST', '/verify-email', { body: { token, password: PASSWORD } });
  return await at.expect(200, 'POST', '/login', { body: { username, password: PASSWORD } });
}

/** As the one-time link of the start does, which a test does not see printed. */
export async function firstAdmin(at: Scene): Promise<string> {
  const { context, release } = await openContext(
    { publicUrl: at.gateway.url },
    {
      dataDir: at.gateway.folder,
      storeUrl: `sqlite:${join(at.gateway.folder, 'identity.db')}`,
      log: createLogger('error', () => {}),
    },
  );
  const link = await firstAdminLink(context);
  await release();
  const token = new URL(link ?? '').searchParams.get('token');
  const body = { token, email: 'chief@example.com', username: 'chief', password: PASSWORD };
  await at.expect(201, 'POST', '/setup', { body });
  return (await at.expect(200, 'POST', '/login', { body: { username: 'chief', password: PASSWORD } })).accessToken;
}

export const cookiesOf = (headers: Headers): string =>
  headers
    .getSetCookie()
    .map((line) => line.split(';', 1)[0])
    .join('; ');

export const totp = (secret: string, offsetSeconds: number): Promise<string> =>
  generate({ secret, epoch: Math.floor(Date.now() / 1_000) + offsetSeconds });
