/**
 * Rule: what the gateway writes is its user's: the data folder and all in it open to nobody else, the access log to the
 * group at most. Also where the process was started with a careless umask.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';

test('the data folder is 0700, its files are for nobody else, the access log is 0640', async (t) => {
  const before = process.umask(0);
  t.after(() => void process.umask(before));
  const folder = await mkdtemp(join(tmpdir(), 'gh-files-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const dataDir = join(folder, 'made', 'data');
  const accessLog = join(folder, 'access.log');
  const gateway = await startTestGateway(t, {
    gateway: { dataDir, accessLog: { file: accessLog }, auth: 'public' },
    routes: [{ match: { path: '/*' }, respond: { body: 'x' } }],
    services: { orders: { discovery: { registry: true } } },
    registry: { token: 'registration-token-0123456789abcdef' },
    identity: { enabled: true, firstAdmin: 'off', passwords: { memory: '8mb', passes: 1 } },
    abuse: {},
  });
  const body = JSON.stringify({ email: 'ann@example.com', password: 'ancient walrus paints 9 fences' });
  const headers = { 'content-type': 'application/json' };
  const registered = await fetch(`${gateway.url}/api/auth/register`, { method: 'POST', headers, body });
  assert.equal(registered.status, 202);
  await gateway.stop({ timeoutMs: 500 });
  const mode = async (path: string): Promise<string> => ((await stat(path)).mode & 0o777).toString(8);
  assert.equal(await mode(dataDir), '700');
  assert.equal(await mode(accessLog), '640');
  const inside = await readdir(dataDir, { recursive: true });
  assert.ok(inside.length > 3, inside.join());
  for (const name of inside) {
    const path = join(dataDir, name);
    assert.equal(((await stat(path)).mode & 0o077).toString(8), '0', `${name} is open to others`);
  }
});
