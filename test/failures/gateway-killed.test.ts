/** The gateway itself is killed: one that starts in its place knows the registered instances before they call again. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Fleet } from '../support/fleet.ts';
import { RawCaller } from '../support/raw.ts';
import { until } from '../support/until.ts';

const PROGRAM = fileURLToPath(new URL('../../tools/gatehouse.ts', import.meta.url));
const TOKEN = 'a-token-of-some-length';
const PATIENCE_MS = 9_000;

/** Starts the program on the file; resolves with its port when it listens. */
async function startProcess(t: TestContext, file: string): Promise<{ child: ChildProcess; port: number }> {
  const child = spawn(process.execPath, [PROGRAM, 'start', file, '--json'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, NODE_TEST_CONTEXT: '' },
  });
  t.after(() => void child.kill('SIGKILL'));
  const [line] = (await once(createInterface(child.stdout!), 'line')) as [string];
  const { addresses } = JSON.parse(line) as { addresses: { port: number }[] };
  return { child, port: addresses[0]!.port };
}

test('registrations outlive a SIGKILL of the gateway', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'gh-killed-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'gatehouse.json');
  await writeFile(
    file,
    JSON.stringify({
      gateway: { host: '127.0.0.1', port: 0, workers: 1, dataDir: folder },
      registry: { token: TOKEN },
      services: { work: { discovery: { registry: true } } },
      routes: [{ match: { path: '/w/*' }, service: 'work', auth: 'public' }],
    }),
  );
  const ask = async (port: number): Promise<number> => {
    const caller = new RawCaller(port);
    const { status } = await caller.send('GET /w/1 HTTP/1.1\r\nHost: a\r\n\r\n').answer();
    caller.close();
    return status;
  };
  const fleet = await Fleet.start(t, ['a', 'b']);
  const first = await startProcess(t, file);
  // With this lease a heartbeat comes every twenty seconds: too late for anything here.
  const registration = { gateway: `http://127.0.0.1:${first.port}`, token: TOKEN, service: 'work', lease: '60s' };
  await Promise.all(fleet.instances.map((instance) => instance.register(registration)));
  const stored = join(folder, 'registry.json');
  const kept = (url: string): boolean => existsSync(stored) && readFileSync(stored, 'utf8').includes(url);
  await until(() => fleet.instances.every(({ url }) => kept(url)), 'both on the disk', PATIENCE_MS);

  const gone = once(first.child, 'exit');
  first.child.kill('SIGKILL');
  await gone;
  const second = await startProcess(t, file);
  for (let i = 0; i < 4; i++) assert.equal(await ask(second.port), 200);
  const answered = new Set((await fleet.journal()).map(({ instance }) => instance));
  assert.deepEqual([...answered].sort(), ['a', 'b']);
});
