/** A spare worker sleeps: whatever wakes it takes time from the worker that serves, on a machine with one core. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../support/until.ts';

const CLI = new URL('../../src/cli/gatehouse.ts', import.meta.url).href;
const PATIENCE_MS = 60_000;
const DOCUMENT = `gateway: { host: 127.0.0.1, port: 0, workers: 1, accessLog: 'off', dataDir: ./data }
routes:
  - { match: { path: /* }, respond: { body: ok }, auth: public }
`;
const SECONDS = 2;
/** Its timer wheel turns ten times a second, and it looks once a second whether something is asked of it. */
const MOST_A_SECOND = 20;

test('a spare worker wakes up a few times a second only', { skip: process.platform !== 'linux' }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'gh-spare-'));
  const file = join(folder, 'gatehouse.yaml');
  await writeFile(file, DOCUMENT);
  const program = `import('${CLI}').then(({ main }) => main(['start', ${JSON.stringify(file)}]))`;
  const child = spawn(process.execPath, ['-e', program], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { PATH: process.env['PATH'] },
  });
  t.after(async () => {
    child.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  });
  const tasks = `/proc/${child.pid}/task`;
  const find = async (): Promise<string | undefined> => {
    for (const task of await readdir(tasks)) {
      const name = await readFile(join(tasks, task, 'comm'), 'utf8').catch(() => '');
      if (name.startsWith('gatehouse-spare')) return task;
    }
    return undefined;
  };
  const wakes = async (task: string): Promise<number> => {
    const status = await readFile(join(tasks, task, 'status'), 'utf8');
    return Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1]);
  };
  await until(async () => (await find()) !== undefined, 'a spare stands by', PATIENCE_MS);
  const spare = (await find())!;
  // Compiling and the first collections are over once it is quiet, or it never is.
  let least = Infinity;
  for (let tries = 0; tries < 8 && least > MOST_A_SECOND * SECONDS; tries++) {
    const before = await wakes(spare);
    await sleep(SECONDS * 1_000);
    least = Math.min(least, (await wakes(spare)) - before);
  }
  assert.ok(least <= MOST_A_SECOND * SECONDS, `${least} times in ${SECONDS} s`);
});
