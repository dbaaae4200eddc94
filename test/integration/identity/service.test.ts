/**
 * The identity service as a process of its own behind a gateway (`identity.service`): the gateway sends its calls
 * there, and learns keys, revocations and API keys from the database that both have.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLogger } from '../../../src/base/log.ts';
import { createIdentity } from '../../../src/control/identity/identity.ts';
import { startTestGateway } from '../../support/gateway.ts';
import { httpUpstream } from '../../support/upstream.ts';
import { PASSWORD } from './harness.ts';

const MASTER = 'a master key of enough characters';
const DEADLINE_MS = 5_000;

test('a gateway in front of a separate identity service takes its tokens, and hears of a sign-out', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-apart-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const settings = {
    enabled: true,
    store: `sqlite:${join(folder, 'shared.db')}`,
    masterKey: MASTER,
    firstAdmin: 'off',
    registration: { verifyEmail: 'off' },
    passwords: { memory: '8mb', passes: 1 },
  } as const;
  const identity = await createIdentity(settings, {
    dataDir: folder,
    log: createLogger('silent'),
    trustProxy: ['127.0.0.1/32'],
  });
  t.after(() => identity.close());
  const { port } = await identity.start({ host: '127.0.0.1', port: 0 });
  const behind = await httpUpstream(t, (request, response) => response.end(String(request.headers['x-auth-subject'])));
  const gateway = await startTestGateway(t, {
    services: {
      authentication: { instances: [`http://127.0.0.1:${port}`] },
      stories: { instances: [behind.url] },
    },
    routes: [{ match: { path: '/stories' }, service: 'stories' }],
    identity: { ...settings, service: 'authentication' },
  });
  const call = (path: string, token?: string, body?: object): Promise<Response> =>
    fetch(`${gateway.url}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });

  const registered = await call('/api/auth/register', undefined, { email: 'ada@example.com', password: PASSWORD });
  assert.equal(registered.status, 201);
  const { accessToken, user } = (await registered.json()) as { accessToken: string; user: { id: string } };
  const until = performance.now() + DEADLINE_MS;
  const statusOf = async (wanted: number): Promise<Response> => {
    for (;;) {
      const answer = await call('/stories', accessToken);
      if (answer.status === wanted) return answer;
      assert.ok(performance.now() < until, `still ${answer.status}, not ${wanted}`);
    }
  };
  assert.equal(await (await statusOf(200)).text(), user.id);
  assert.equal((await call('/.well-known/jwks.json')).status, 200);
  assert.equal((await call('/metrics')).headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');

  const own = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  assert.match(own, /^gatehouse_identity_tokens_total 1$/m);
  assert.equal((await call('/api/auth/logout', accessToken, {})).status, 200);
  await statusOf(401);
});
