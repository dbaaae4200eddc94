/** A gateway with the identity service and a service behind it that says which fields it got, and who attacks it. */
import assert from 'node:assert/strict';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import type { Scope } from '../support/scope.ts';
import { httpUpstream } from '../support/upstream.ts';

export const PASSWORD = 'ancient walrus paints 9 fences';

export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies freely
  readonly body: any;
  readonly headers: Headers;
}

export interface Scene {
  readonly gateway: TestGateway;
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  /** Registers an account and signs it in. */
  account(name: string): Promise<{ readonly id: string; readonly accessToken: string; readonly refreshToken: string }>;
}

export const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });

/** `echo` is the service; accounts exist at once, without a confirmed address. */
export async function identityScene(
  scope: Scope,
  document: { readonly identity?: object; readonly routes?: readonly object[]; readonly [section: string]: unknown },
  env: Readonly<Record<string, string>> = {},
): Promise<Scene> {
  const echo = await httpUpstream(scope, (request, response) => {
    request.resume();
    response.setHeader('content-type', 'application/json').end(JSON.stringify(request.headers));
  });
  const gateway = await startTestGateway(
    scope,
    {
      routes: [{ match: { path: '/echo/*' }, service: 'echo' }],
      ...document,
      services: { echo: { instances: [{ url: echo.url }] } },
      identity: {
        enabled: true,
        firstAdmin: 'off',
        registration: { verifyEmail: 'off' },
        ...document.identity,
        passwords: {
          memory: '8mb',
          passes: 1,
          ...(document.identity as { passwords?: object } | undefined)?.passwords,
        },
      },
    },
    env,
  );
  const call: Scene['call'] = async (method, path, body, headers = {}) => {
    const response = await fetch(`${gateway.url}${path}`, {
      method,
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = /json/.test(response.headers.get('content-type') ?? '');
    return { status: response.status, body: isJson ? JSON.parse(text) : text, headers: response.headers };
  };
  return {
    gateway,
    call,
    async account(username) {
      const body = { email: `${username}@example.com`, username, password: PASSWORD };
      const made = await call('POST', '/api/auth/register', body);
      assert.equal(made.status, 201, JSON.stringify(made.body));
      const { accessToken, refreshToken, user } = made.body;
      return { id: user.id, accessToken, refreshToken };
    },
  };
}
