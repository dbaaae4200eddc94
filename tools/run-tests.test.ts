import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';

const RUN_TESTS = join(import.meta.dirname, 'run-tests.ts');

/** Fails when it is run for the first time, as a test does that a busy machine was too much for. */
const UNSTEADY = `
import { existsSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
test('sometimes', () => {
  const mark = new URL('./was-here', import.meta.url);
  const isFirst = !existsSync(mark);
  writeFileSync(mark, '');
  if (isFirst) throw new Error('the first time');
});`;
const GOOD = `import { test } from 'node:test'; test('good', () => {});`;
const BAD = `import { test } from 'node:test'; test('never right', () => { throw new Error('no'); });`;

function runTests(
  t: TestContext,
  files: Readonly<Record<string, string>>,
  more: Readonly<Record<string, string>> = {},
  ...flags: string[]
) {
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-run-tests-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const env: NodeJS.ProcessEnv = { ...process.env, ...more };
  delete env['NODE_TEST_CONTEXT'];
  const paths = Object.keys(files).map((name) => join(folder, name));
  const { status, stdout } = spawnSync(process.execPath, [RUN_TESTS, ...flags, ...paths], { env, encoding: 'utf8' });
  return { status, said: stdout };
}

test('what passes is run once', (t) => {
  const { status, said } = runTests(t, { 'good.mjs': GOOD });
  assert.equal(status, 0, said);
  assert.doesNotMatch(said, /Once more/);
});

test('what passes the second time is named, and no failure', (t) => {
  const { status, said } = runTests(t, { 'good.mjs': GOOD, 'unsteady.mjs': UNSTEADY });
  assert.equal(status, 0, said);
  assert.match(said, /Unsteady, .*\n.*unsteady\.mjs: sometimes/);
});

test('what fails twice is a failure, beside something unsteady too', (t) => {
  const { status, said } = runTests(t, { 'unsteady.mjs': UNSTEADY, 'bad.mjs': BAD });
  assert.equal(status, 1, said);
  assert.match(said, /Failed twice:\n.*bad\.mjs: never right/);
});

test('a file that cannot be loaded is a failure', (t) => {
  const { status, said } = runTests(t, { 'broken.mjs': 'throw new Error("not to be loaded");' });
  assert.equal(status, 1, said);
});

test('many that fail are not run again', (t) => {
  const files = Object.fromEntries(Array.from({ length: 6 }, (_, index) => [`bad-${index}.mjs`, BAD]));
  const { status, said } = runTests(t, files);
  assert.equal(status, 1, said);
  assert.doesNotMatch(said, /Once more/);
});

test('a file that does not end is ended, and is a failure', (t) => {
  const stuck = `
import { spawn } from 'node:child_process';
import { test } from 'node:test';
test('leaves something', () => { spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']); });`;
  const { status, said } = runTests(t, { 'good.mjs': GOOD, 'stuck.mjs': stuck }, { TEST_SILENCE_MS: '6000' });
  assert.equal(status, 1, said);
  assert.match(said, /Nothing was heard for 6 s/);
  assert.match(said, /Failed twice:\n.*stuck\.mjs/);
});

test('the processor time of a file holds that of the processes it started', (t) => {
  const busy = `
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
test('busy elsewhere', () => {
  spawnSync(process.execPath, ['-e', 'while (process.cpuUsage().user < 2_000_000);']);
});`;
  const { status, said } = runTests(t, { 'busy.test.mjs': busy, 'good.test.mjs': GOOD });
  assert.equal(status, 0, said);
  assert.match(said, /The processor was used for \d+ s, by these most:\n +[2-9] s .*busy\.test\.mjs\n +\d s .*good/);
});

/** Fails where another file of its process has left something. */
const TOUCHY = `import { test } from 'node:test';
test('touchy', () => { if (globalThis.leftBehind) throw new Error('not alone'); });`;
const LEAVES = `import { test } from 'node:test'; test('leaves', () => { globalThis.leftBehind = true; });`;

test('files that share a process are run once where they pass', (t) => {
  const { status, said } = runTests(t, { 'good.mjs': GOOD, 'good-too.mjs': GOOD }, {}, '--shared');
  assert.equal(status, 0, said);
  assert.doesNotMatch(said, /Once more/);
});

test('files that share a process may be named from the root of the checkout', (t) => {
  const { status, said } = runTests(t, {}, {}, '--shared', 'src/base/ip.test.ts', 'src/base/once.test.ts');
  assert.equal(status, 0, said);
  assert.doesNotMatch(said, /Once more/);
});

test('what fails only beside others in one process is run again alone, and named', (t) => {
  const files = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`${i}.mjs`, LEAVES]));
  const { status, said } = runTests(t, { ...files, 'touchy.mjs': TOUCHY }, {}, '--shared');
  assert.equal(status, 0, said);
  assert.match(said, /Unsteady, .*\n.*touchy\.mjs: touchy/);
});

test('what fails in a shared process and alone is a failure', (t) => {
  const { status, said } = runTests(t, { 'good.mjs': GOOD, 'bad.mjs': BAD }, {}, '--shared');
  assert.equal(status, 1, said);
  assert.match(said, /Failed twice:\n.*bad\.mjs: never right/);
});

test('a shared process that ends early hides no test of the files after it', (t) => {
  const ends = `import { test } from 'node:test'; test('ends it', () => process.exit(0));`;
  const many = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`z${i}.mjs`, BAD]));
  const { status, said } = runTests(t, { 'ends.mjs': ends, ...many }, {}, '--shared');
  assert.equal(status, 1, said);
  assert.match(said, /never right/);
});
