/**
 * A worker that ends while it takes a configuration, as `gatehouse reload` sees it on the control socket: the reload
 * counts as done only when every worker, or the one in its place, runs by it.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { callGateway } from '../../src/cli/control-socket.ts';
import type { ReloadResult } from '../../src/control/live-configuration.ts';
import { startGateway } from '../../src/main.ts';
import { until } from '../support/until.ts';

const PATIENCE_MS = 60_000;

/** Each thread that loads it writes its name down, and ends where it is on the list. */
const POLICY = `import { appendFileSync, readFileSync } from 'node:fs';
import { threadName } from 'node:worker_threads';
import { definePolicy } from 'gatehouse/policy';
const here = new URL('.', import.meta.url);
if (threadName.startsWith('gatehouse-')) {
  const loads = readFileSync(new URL('loads', here), 'utf8').split(' ').filter((name) => name === threadName).length;
  const deaths = JSON.parse(readFileSync(new URL('deaths.json', here), 'utf8'));
  appendFileSync(new URL('loads', here), threadName + ' ');
  if (loads < (deaths[threadName] ?? 0)) process.exit(7);
}
export default definePolicy({ name: 'mine', create: () => ({}) });`;

interface Scene {
  readonly gateway: Awaited<ReturnType<typeof startGateway>>;
  /** What is answered by the configuration that each worker runs by. */
  readonly answers: () => Promise<string[]>;
  /** Reloads another configuration, which ends these threads that often. */
  reload(deaths: Readonly<Record<string, number>>): Promise<ReloadResult>;
  loads(): Promise<string[]>;
}

async function scene(t: TestContext, more: object): Promise<Scene> {
  const folder = await mkdtemp(join(tmpdir(), 'gh-dies-'));
  const file = join(folder, 'gatehouse.json');
  const write = (body: string, use: object) =>
    writeFile(
      file,
      JSON.stringify({
        gateway: { host: '127.0.0.1', port: 0, accessLog: 'off', dataDir: folder, watch: false, ...more },
        routes: [{ match: { path: '/*' }, respond: { body }, auth: 'public', ...use }],
      }),
    );
  await write('old', {});
  await writeFile(join(folder, 'mine.ts'), POLICY);
  await writeFile(join(folder, 'loads'), '');
  const gateway = await startGateway({ configFile: file, env: {}, writeLog: () => {} });
  t.after(async () => {
    await gateway.stop({ timeoutMs: 500 });
    await rm(folder, { recursive: true, force: true });
  });
  const url = `http://127.0.0.1:${gateway.addresses[0]!.port}/`;
  const ask = async () => (await fetch(url, { headers: { connection: 'close' } })).text();
  return {
    gateway,
    answers: async () => [...new Set(await Promise.all(Array.from({ length: 40 }, ask)))],
    async reload(deaths) {
      await writeFile(join(folder, 'deaths.json'), JSON.stringify(deaths));
      await write('new', { use: './mine.ts' });
      const { status, body } = await callGateway(gateway.primary.compiled.plan.controlSocket, 'POST', '/reload');
      const result = body as ReloadResult;
      assert.equal(status, result.ok ? 200 : 422);
      return result;
    },
    loads: async () => (await readFile(join(folder, 'loads'), 'utf8')).trim().split(' ').filter(Boolean),
  };
}

test('where it ends the spare, the reload fails, no worker has seen it, and nothing is lost', async (t) => {
  const { gateway, answers, reload, loads } = await scene(t, { workers: 1, spareWorker: true });
  await until(() => gateway.primary.workers.hasSpare, 'a spare stands by', PATIENCE_MS);
  const [{ threadId } = { threadId: 0 }] = gateway.primary.workers.status();
  const result = await reload({ 'gatehouse-spare': 1 });
  assert.equal(result.ok, false);
  assert.deepEqual(result.problems, ['the spare worker ended with code 7 while it took the configuration']);
  assert.deepEqual(await answers(), ['old']);
  assert.deepEqual(await loads(), ['gatehouse-spare']);
  assert.equal(gateway.primary.workers.status()[0]?.threadId, threadId);
});

test('where it ends the first of two workers, the reload fails, and the other one never ends', async (t) => {
  const { gateway, answers, reload, loads } = await scene(t, { workers: 2 });
  const result = await reload({ 'gatehouse-worker-0': 9, 'gatehouse-worker-1': 9 });
  assert.equal(result.ok, false);
  assert.deepEqual(result.problems, ['worker 1 ended with code 7 while it took the configuration']);
  await until(() => gateway.primary.workers.listening === 2, 'both listen', PATIENCE_MS);
  assert.deepEqual(await answers(), ['old']);
  assert.deepEqual(await loads(), ['gatehouse-worker-1']);
  assert.deepEqual(gateway.primary.configuration.lastReload?.problems, result.problems);
});

test('a worker that ends by chance meanwhile counts by the one in its place', async (t) => {
  const { gateway, answers, reload, loads } = await scene(t, { workers: 2 });
  const result = await reload({ 'gatehouse-worker-0': 1 });
  assert.deepEqual(result.problems, []);
  assert.equal(result.ok, true);
  assert.equal(gateway.primary.workers.listening, 2);
  assert.deepEqual(await answers(), ['new']);
  assert.deepEqual(await loads(), ['gatehouse-worker-1', 'gatehouse-worker-0', 'gatehouse-worker-0']);
});

test('where the one in its place ends too, the reload fails and all go back', async (t) => {
  const { gateway, answers, reload } = await scene(t, { workers: 2 });
  const result = await reload({ 'gatehouse-worker-0': 2 });
  assert.deepEqual(result.problems, [
    'worker 0 ended with code 7 while it took the configuration, and so did the one in its place',
  ]);
  assert.equal(result.ok, false);
  await until(() => gateway.primary.workers.listening === 2, 'both listen', PATIENCE_MS);
  assert.deepEqual(await answers(), ['old']);
});

test('a reload while a worker waits to be replaced does not wait for it', async (t) => {
  const { gateway, answers, reload } = await scene(t, { workers: 2 });
  const { workers } = gateway.primary;
  for (const deaths of [1, 2, 3, 4]) {
    await workers.terminate(0);
    if (deaths < 4) await until(() => workers.listening === 2, 'both listen', PATIENCE_MS);
  }
  assert.equal(workers.listening, 1);
  const result = await reload({});
  assert.equal(result.ok, true);
  await until(() => workers.listening === 2, 'both listen', PATIENCE_MS);
  assert.deepEqual(await answers(), ['new']);
});

test('the only worker, without a spare: the reload fails, and its successor has the old configuration', async (t) => {
  const { gateway, answers, reload, loads } = await scene(t, { workers: 1, spareWorker: false });
  const result = await reload({ 'gatehouse-worker-0': 9 });
  assert.deepEqual(result.problems, ['worker 0 ended with code 7 while it took the configuration']);
  await until(() => gateway.primary.workers.listening === 1, 'it listens again', PATIENCE_MS);
  assert.deepEqual(await answers(), ['old']);
  assert.deepEqual(await loads(), ['gatehouse-worker-0'], 'it was not tried again');
});
