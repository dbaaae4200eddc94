/** What an end and a new start keep: requests in flight are answered, sessions live on unless their secret changed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { setUp } from './set-up.ts';
import { eventually, type System, startSystem } from './testing.ts';

const COMMAND_LINE = fileURLToPath(new URL('../../tools/gatehouse.ts', import.meta.url));

test('a request in flight is answered before the gateway ends, and no new one is taken', async (t) => {
  const system = await startSystem(t, { services: ['project-manager'], env: { CLUSTER_MODE: 'false' } });
  for (const n of [1, 2]) await system.drill(`project-manager-${n}`, 'slow', 700);
  const inFlight = system.call('/api/v1/projects');
  const count = async (): Promise<number> => {
    const { loadBalancers } = (await system.call('/health/detailed', { from: '127.0.0.2' })).json<{
      loadBalancers: Record<string, { inFlight: number }>;
    }>();
    return loadBalancers['project-manager']?.inFlight ?? 0;
  };
  await eventually(async () => (await count()) === 1, 'the request is in flight');
  const ended = system.gateway.stop({ timeoutMs: 5_000 });
  assert.equal((await inFlight).status, 200);
  assert.equal(await ended, 0, 'connections cut off');
  await assert.rejects(system.call('/health', { alone: true }), { code: 'ECONNREFUSED' });
});

test('JWT_REFRESH_SECRET: sessions outlive a restart with the same secret, and none with another', async (t) => {
  const first = await startSystem(t, {
    services: [],
    env: { CLUSTER_MODE: 'false', JWT_REFRESH_SECRET: 'the first secret of these tests, long enough' },
    before: (env) => setUp(COMMAND_LINE, { ...process.env, ...env }),
  });
  const login = await first.call('/api/v1/auth/login', { body: { username: 'admin', password: 'admin123' } });
  const refresh = (system: System, refreshToken: string) =>
    system.call('/api/v1/auth/refresh', { body: { refreshToken } });
  const { refreshToken } = login.json<{ refreshToken: string }>();
  await first.gateway.stop({ timeoutMs: 500 });

  const env = { ...first.env, CLUSTER_MODE: 'false' };
  const second = await startSystem(t, { services: [], env });
  const renewed = await refresh(second, refreshToken);
  assert.equal(renewed.status, 200, renewed.text);
  await second.gateway.stop({ timeoutMs: 500 });

  const changed = { ...env, JWT_REFRESH_SECRET: 'the second secret of these tests, long enough' };
  const third = await startSystem(t, { services: [], env: changed });
  const refused = await refresh(third, renewed.json<{ refreshToken: string }>().refreshToken);
  assert.deepEqual([refused.status, refused.json()['code']], [401, 'AUTHENTICATION_REQUIRED']);
});
