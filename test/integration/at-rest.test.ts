/**
 * What a plain gateway has in memory while it rests: neither its main thread nor its workers load a package, nor parts
 * of Node.js that it does not use. The schema of the configuration is loaded by a thread that is gone afterwards.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { until } from '../support/until.ts';

const CLI = new URL('../../src/cli/gatehouse.ts', import.meta.url).href;
const PATIENCE_MS = 60_000;

/** Each thread keeps writing down what it has loaded. */
const PROBE = `import { renameSync, writeFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { isMainThread, threadName } from 'node:worker_threads';
const packages = new Set();
registerHooks({
  resolve(name, context, next) {
    const found = next(name, context);
    const inside = found.url.split('/node_modules/').at(-1);
    if (inside !== found.url) packages.add(inside.split('/')[0]);
    return found;
  },
});
const file = new URL((isMainThread ? 'main' : threadName) + '.loaded', import.meta.url);
const write = () => {
  const parts = process.moduleLoadList.map((name) => name.split(' ').at(-1));
  writeFileSync(new URL(file + '.new'), JSON.stringify({ packages: [...packages], parts, at: Date.now() }));
  renameSync(new URL(file + '.new'), file);
};
write();
setInterval(write, 100).unref();
`;

/** What costs megabytes in each thread. */
const PARTS = ['internal/deps/undici/undici', 'http2', 'tls', 'https', 'sqlite', 'internal/webstreams/readablestream'];

async function loadedBy(t: TestContext, document: string) {
  const folder = await mkdtemp(join(tmpdir(), 'gh-rest-'));
  const file = join(folder, 'gatehouse.yaml');
  await writeFile(file, document);
  await writeFile(join(folder, 'probe.mjs'), PROBE);
  const program = `import('${CLI}').then(({ main }) => main(['start', ${JSON.stringify(file)}]))`;
  const child = spawn(process.execPath, ['--import', join(folder, 'probe.mjs'), '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env['PATH'] },
  });
  t.after(async () => {
    child.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  await Promise.race([
    until(() => said.includes('listens on'), 'it listens', PATIENCE_MS),
    once(child, 'exit').then(() => assert.fail('it ended')),
  ]);
  const [, url = ''] = /listens on (\S+)/.exec(said) ?? [];
  for (const path of ['/fixed', '/health/ready']) assert.equal((await fetch(url + path)).status, 200, path);
  const since = Date.now();
  const read = async (name: string) =>
    JSON.parse(await readFile(join(folder, `${name}.loaded`), 'utf8')) as {
      readonly packages: readonly string[];
      readonly parts: readonly string[];
      readonly at: number;
    };
  const settled = async (name: string) => {
    await until(async () => (await read(name)).at >= since, `${name} writes on`, PATIENCE_MS);
    return await read(name);
  };
  return {
    main: await settled('main'),
    worker: await settled('gatehouse-worker-0'),
    configuration: await read('gatehouse-configuration'),
  };
}

test('a plain gateway loads no package, and nothing large of Node.js', async (t) => {
  const { main, worker, configuration } = await loadedBy(
    t,
    `gateway: { host: 127.0.0.1, port: 0, workers: 1, spareWorker: false, accessLog: 'off', dataDir: ./data }
services: { s: { instances: [http://127.0.0.1:9] } }
routes:
  - { match: { path: /fixed }, respond: { body: ok }, auth: public }
  - match: { path: /* }
    service: s
    auth: public
`,
  );
  for (const thread of [main, worker]) {
    assert.deepEqual(thread.packages, []);
    assert.deepEqual(
      PARTS.filter((part) => thread.parts.includes(part)),
      [],
    );
  }
  assert.ok(configuration.packages.includes('zod'), 'the thread that reads the configuration has the schema');
});

test('with accounts neither schemas nor a web framework are loaded before somebody asks for them', async (t) => {
  const { main, worker } = await loadedBy(
    t,
    `gateway: { host: 127.0.0.1, port: 0, workers: 1, spareWorker: false, accessLog: 'off', dataDir: ./data }
identity: { enabled: true, firstAdmin: 'off', masterKey: ${'m'.repeat(32)} }
routes:
  - { match: { path: /fixed }, respond: { body: ok }, auth: public }
`,
  );
  assert.deepEqual([...main.packages].sort(), ['jose', 'kysely']);
  assert.deepEqual(worker.packages, []);
  const large = PARTS.filter((part) => main.parts.includes(part));
  assert.deepEqual(large, ['sqlite']);
});
