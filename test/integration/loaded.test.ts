/** What a gateway that only forwards has in memory: none of the packages of features that are not in use. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('../../tools/gatehouse.ts', import.meta.url));

/** Notes each module that any thread loads. */
const SPY = `
import { registerHooks } from 'node:module';
import { appendFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
const thread = isMainThread ? 'main' : 'worker';
registerHooks({
  load(url, context, next) {
    appendFileSync(process.env.SPY_FILE, thread + ' ' + url + '\\n');
    return next(url, context);
  },
});
`;

test('packages of what is not in use are not loaded, and workers load no package at all', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'gh-loaded-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const [file, spy, seen] = ['gatehouse.json', 'spy.mjs', 'seen.txt'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  await writeFile(spy, SPY);
  await writeFile(
    file,
    JSON.stringify({
      gateway: { host: '127.0.0.1', port: 0, workers: 1, dataDir: folder, accessLog: 'off' },
      services: { work: { instances: ['http://127.0.0.1:9'] } },
      routes: [
        { match: { path: '/x' }, respond: { body: 'ok' }, auth: 'public' },
        { match: { path: '/*' }, service: 'work', auth: 'public' },
      ],
    }),
  );
  const child = spawn(process.execPath, ['--import', spy, PROGRAM, 'start', file, '--json'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, NODE_TEST_CONTEXT: '', SPY_FILE: seen },
  });
  const ended = once(child, 'exit');
  t.after(() => void child.kill('SIGKILL'));
  const ends = ended.then(([code]) => Promise.reject(new Error(`it ended with ${code}`)));
  const [line] = (await Promise.race([once(createInterface(child.stdout), 'line'), ends])) as [string];
  const { port } = (JSON.parse(line) as { addresses: { port: number }[] }).addresses[0]!;
  assert.equal((await fetch(`http://127.0.0.1:${port}/x`)).status, 200);
  assert.equal((await fetch(`http://127.0.0.1:${port}/health/ready`)).status, 200);
  const loaded = readFileSync(seen, 'utf8').split('\n');
  const packages = (thread: string): string[] =>
    [
      ...new Set(
        loaded
          .filter((each) => each.startsWith(`${thread} `))
          .flatMap((each) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(each)?.[1] ?? []),
      ),
    ].sort();
  // The schema of the configuration, its files, and the language of transforms.
  assert.deepEqual(packages('main'), ['jmespath', 'yaml', 'zod']);
  assert.ok(
    loaded.some((each) => each.startsWith('worker ') && each.includes('/src/data/')),
    'workers are seen',
  );
  assert.deepEqual(packages('worker'), []);
});
