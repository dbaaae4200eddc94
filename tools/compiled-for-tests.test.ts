import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { compiledForTests } from './compiled-for-tests.ts';

const SOURCE = new URL('../src/control/config/version.ts', import.meta.url).href;
const PRELOADED = new URL('./preload-tests.ts', import.meta.url).href;

test('the same sources have the same folder, with the modules of all threads', async () => {
  const dist = await compiledForTests();
  assert.equal(await compiledForTests(), dist);
  for (const entry of ['data/worker', 'control/config/build-worker', 'control/config/build', 'cli/gatehouse'])
    assert.match(readFileSync(join(dist, `${entry}.js`), 'utf8'), /^export \* from '\S+bundle\//, entry);
});

test('a thread begins with the compiled module, what a test imports is the source', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'gh-'));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, 'control/config'), { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(folder, 'control/config/version.js'), `console.log('compiled');`);
  const program = join(folder, 'program.mjs');
  writeFileSync(
    program,
    `import { Worker } from 'node:worker_threads';
    const { PRODUCT_VERSION } = await import('${SOURCE}');
    console.log(typeof PRODUCT_VERSION);
    new Worker(new URL('${SOURCE}'));`,
  );
  const env = { ...process.env, TEST_COMPILED: folder };
  const printed = execFileSync(process.execPath, ['--import', PRELOADED, program], { env, encoding: 'utf8' });
  assert.equal(printed, 'string\ncompiled\n');
});
