/**
 * A queue full of sign-ins beside other traffic: neither the connections to the service nor the threads of the process
 * may be taken up by it. How little it is felt is measured by `npm run bench:login`.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTestGateway } from '../../support/gateway.ts';
import { PASSWORD } from './harness.ts';

/** Fewer than the connections that one address may have to the service (32 for each worker). */
const SIGN_INS = 28;
const DEADLINE_MS = 5_000;

test('a queue full of sign-ins holds up no other call to the service', async (t) => {
  const gateway = await startTestGateway(t, {
    gateway: { workers: 1 },
    services: {},
    routes: [],
    identity: {
      enabled: true,
      firstAdmin: 'off',
      registration: { verifyEmail: 'off' },
      passwords: { memory: '8mb', passes: 1, parallel: 1, queueShare: 1 },
      lockout: { addressAttempts: 1_000 },
    },
  });
  const call = (path: string, body?: object, token?: string): Promise<Response> =>
    fetch(`${gateway.url}/api/auth${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const made = await call('/register', { email: 'eve@example.com', password: PASSWORD });
  const { accessToken } = (await made.json()) as { accessToken: string };

  let answered = 0;
  const statuses = Array.from({ length: SIGN_INS }, async () => {
    const { status } = await call('/login', { username: 'nobody', password: PASSWORD });
    answered++;
    return status;
  });
  const deadline = performance.now() + DEADLINE_MS;
  for (;;) {
    const metrics = await (await fetch(`${gateway.url}/metrics/prometheus`)).text();
    const queued = Number(/^gatehouse_identity_hashes_queued (\d+)/m.exec(metrics)?.[1]);
    if (queued > SIGN_INS / 2) {
      assert.match(metrics, /^gatehouse_identity_hashes_running [1-9]/m);
      break;
    }
    assert.ok(performance.now() < deadline, `${queued} sign-ins wait, ${answered} were answered`);
  }
  const before = answered;
  assert.equal((await call('/me', undefined, accessToken)).status, 200);
  assert.ok(answered - before < 10, `${answered - before} sign-ins were answered before the profile`);
  for (const status of await Promise.all(statuses)) assert.equal(status, 401);
});
