/**
 * Another process holds the lock of the identity database for longer than the gateway waits: it says 503 in its time,
 * says why in its health, does everything else meanwhile, and is right again when the lock is gone.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('../../tools/gatehouse.ts', import.meta.url));
const PASSWORD = 'ancient walrus paints 9 fences';
const WAIT_MS = 5_000;
/** A machine with other work may be late, but not by as much again: one wait for each write would be longer. */
const LATEST_MS = 2 * WAIT_MS;
const PATIENCE_MS = 60_000;

async function start(t: TestContext): Promise<{ url: string; folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'gh-locked-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'gatehouse.json');
  writeFileSync(
    file,
    JSON.stringify({
      gateway: { host: '127.0.0.1', port: 0, workers: 1, dataDir: folder, accessLog: 'off' },
      identity: {
        enabled: true,
        registration: { verifyEmail: 'off' },
        firstAdmin: 'off',
        passwords: { memory: '8mb', passes: 1 },
      },
      routes: [{ match: { path: '/x' }, respond: { body: 'ok' }, auth: 'public' }],
    }),
  );
  const child = spawn(process.execPath, [PROGRAM, 'start', file, '--json'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, NODE_TEST_CONTEXT: '' },
  });
  t.after(async () => {
    const isGone = once(child, 'exit');
    if (child.kill('SIGKILL')) await isGone;
  });
  const ended = once(child, 'exit').then(([code]) => Promise.reject(new Error(`it ended with ${code}`)));
  const [line] = (await Promise.race([once(createInterface(child.stdout), 'line'), ended])) as [string];
  const { addresses } = JSON.parse(line) as { addresses: { port: number }[] };
  return { url: `http://127.0.0.1:${addresses[0]!.port}`, folder };
}

test('a database that another process has locked: 503 after 5 s, said in health, and right again', async (t) => {
  const { url, folder } = await start(t);
  const post = async (path: string, body: object): Promise<{ status: number; ms: number; after: string | null }> => {
    const began = performance.now();
    const response = await fetch(`${url}/api/auth${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    await response.text();
    return { status: response.status, ms: performance.now() - began, after: response.headers.get('retry-after') };
  };
  const account = (name: string) => ({ email: `${name}@example.com`, username: name, password: PASSWORD });
  const health = async (): Promise<string> => await (await fetch(`${url}/health/detailed`)).text();
  assert.ok((await post('/register', account('ada'))).status < 300);

  const other = new DatabaseSync(join(folder, 'identity.db'));
  t.after(() => other.close());
  other.exec('begin immediate');
  // Both write several times: the wait is one for all of it.
  const [registered, signedIn] = await Promise.all([
    post('/register', account('bob')),
    post('/login', { username: 'ada', password: PASSWORD }),
  ]);
  for (const { status, ms, after } of [registered, signedIn]) {
    assert.equal(status, 503);
    assert.ok(Number(after) > 0, 'when to come again');
    assert.ok(ms > WAIT_MS * 0.8 && ms < LATEST_MS, `after ${Math.round(ms)} ms`);
  }
  assert.match(await health(), /locked/);
  assert.equal((await fetch(`${url}/x`)).status, 200, 'what needs no database goes on');
  // Who comes now need not wait as long again.
  const late = await post('/login', { username: 'ada', password: PASSWORD });
  assert.equal(late.status, 503);
  assert.ok(late.ms < WAIT_MS, `after ${Math.round(late.ms)} ms`);

  other.exec('rollback');
  assert.ok((await post('/register', account('bob'))).status < 300);
  assert.equal((await post('/login', { username: 'ada', password: PASSWORD })).status, 200);
  const giveUp = AbortSignal.timeout(PATIENCE_MS);
  while (/locked/.test(await health())) giveUp.throwIfAborted();
});
