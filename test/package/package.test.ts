/**
 * The package as users get it: packed from a copy of this checkout, installed into an empty project from the tarball
 * with its dependencies, and used there: the command, the embedding API and its types. Nothing of the checkout is
 * touched, so that tests that run beside it find it as it was.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, posix } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { followTutorial } from '../support/tutorial.ts';
import { until } from '../support/until.ts';

const CHECKOUT = fileURLToPath(new URL('../../', import.meta.url));
const PARTS = [
  'package.json',
  'tools/bundle.ts',
  'tools/copy-pages.ts',
  'tsconfig.json',
  'tsconfig.build.json',
  'bin',
  'schema',
  'src',
  'README.md',
  'CHANGELOG.md',
  'LICENSE',
];
const DOCUMENT = `gateway: { host: 127.0.0.1, port: 0, workers: 1, accessLog: 'off' }
routes:
  - match: { path: /hello }
    respond: { status: 200, body: hello }
    auth: public
`;
const PROGRAM = `import { ConfigurationError, defineConfig, type RunningGateway, startGateway } from 'gatehouse';
import { defineBalancer } from 'gatehouse/balancer';
import { register } from 'gatehouse/registry';

const document = defineConfig({
  gateway: { host: '127.0.0.1', port: 0, workers: 1, accessLog: 'off' },
  routes: [{ match: { path: '/hello' }, respond: { status: 200, body: 'embedded' }, auth: 'public' }],
});
const gateway: RunningGateway = await startGateway({ document });
const { port } = gateway.addresses[0]!;
const answer = await fetch(\`http://127.0.0.1:\${port}/hello\`);
await gateway.stop();
const refused = await startGateway({ document: { routes: [{}] } }).catch((error: unknown) => error);
console.log([await answer.text(), refused instanceof ConfigurationError, typeof defineBalancer, typeof register].join(' '));
// @ts-expect-error: there is no such key
defineConfig({ gatway: {} });
`;
const PROJECT_TYPES = {
  compilerOptions: {
    target: 'esnext',
    module: 'nodenext',
    strict: true,
    noEmit: true,
    skipLibCheck: false,
    types: ['node'],
    lib: ['esnext'],
  },
  include: ['app.ts'],
};

/** npm, and what it starts, with this very Node first on the path. */
function run(program: string, args: readonly string[], cwd: string): Promise<{ stdout: string; stderr: string }> {
  const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env['PATH']}`, NODE_OPTIONS: '' };
  return promisify(execFile)(program, args, { cwd, env, maxBuffer: 64 * 1024 ** 2 });
}

describe('the package', { timeout: 240_000 }, () => {
  let folder = '';
  let project = '';
  let listed: readonly string[] = [];
  const gatehouse = (...args: string[]) => run(join(project, 'node_modules/.bin/gatehouse'), args, project);

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gatehouse-package-'));
    const stage = join(folder, 'stage');
    project = join(folder, 'project');
    await mkdir(project);
    for (const part of PARTS) await cp(join(CHECKOUT, part), join(stage, part), { recursive: true });
    await symlink(join(CHECKOUT, 'node_modules'), join(stage, 'node_modules'));
    const packed = await run('npm', ['pack', '--json', '--pack-destination', project], stage);
    // What the build prints comes before the JSON.
    const [tarball] = JSON.parse(packed.stdout.slice(packed.stdout.indexOf('[\n'))) as {
      filename: string;
      files: { path: string }[];
    }[];
    listed = tarball!.files.map(({ path }) => path);
    await writeFile(join(project, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
    // The cache has what the checkout was installed from; the registry is asked for the rest.
    const flags = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts'];
    await run('npm', ['install', `./${tarball!.filename}`, ...flags], project);
    await writeFile(join(project, 'gatehouse.yaml'), DOCUMENT);
    await writeFile(join(project, 'app.ts'), PROGRAM);
    await writeFile(join(project, 'tsconfig.json'), JSON.stringify(PROJECT_TYPES));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  test('has the command, the compiled code with types, the schema and the words that go with it', () => {
    for (const file of [
      'bin/gatehouse.js',
      'dist/index.js',
      'dist/index.d.ts',
      'dist/data/worker.js',
      'schema/gatehouse.schema.json',
      'README.md',
      'CHANGELOG.md',
      'LICENSE',
    ])
      assert.ok(listed.includes(file), file);
    const strange = listed.filter((file) => /\.test\.|\.suite\.|(^|\/)(test|src|examples|bench|\.ci)\//.test(file));
    assert.deepEqual(strange, []);
  });

  test('follows the tutorial', async (t) => {
    const command = join(project, 'node_modules/gatehouse/bin/gatehouse.js');
    const tookMs = await followTutorial(t, `'${process.execPath}' '${command}'`);
    t.diagnostic(`with the package it takes ${(tookMs / 1_000).toFixed(1)} s`);
  });

  test('has no module that only tests use', async () => {
    const installed = join(project, 'node_modules/gatehouse');
    const modules = listed.filter((file) => file.endsWith('.js'));
    const { exports } = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')) as {
      exports: Record<string, { default?: string }>;
    };
    const used = new Set(Object.values(exports).map((entry) => posix.normalize(entry.default ?? '')));
    for (const file of listed.filter((each) => /\.(js|d\.ts)$/.test(each))) {
      // Lines are broken in the middle of strings, too.
      const text = (await readFile(join(installed, file), 'utf8')).replaceAll('\\\n', '');
      // Imports, those of types too.
      for (const [, name = ''] of text.matchAll(/['"`](\.\.?\/[\w./-]+?)\.[jt]s['"]/g))
        used.add(`${posix.join(posix.dirname(file), name)}.js`);
      // Files that threads start with: named without their ending, from the place that the module had.
      for (const [, name = '', place = ''] of text.matchAll(/`(\.[\w./-]+)\$\{new URL\(\s*"\.\.\/([\w./-]+)"/g))
        used.add(`${posix.join('dist', posix.dirname(place), name)}.js`);
    }
    assert.deepEqual(
      // What a browser loads is in dist/vendor.
      modules.filter((file) => !/^(bin|dist\/vendor)\//.test(file) && !used.has(file)),
      [],
    );
  });

  test('has code of which Node keeps one byte for a character', async () => {
    for (const file of listed.filter((each) => each.startsWith('dist/bundle/') && each.endsWith('.js'))) {
      const text = await readFile(join(project, 'node_modules/gatehouse', file), 'latin1');
      assert.doesNotMatch(text, /[^\x00-\x7f]/, file);
    }
  });

  test('prints its version', async () => {
    const { version } = JSON.parse(await readFile(join(CHECKOUT, 'package.json'), 'utf8')) as { version: string };
    assert.equal((await gatehouse('--version')).stdout.trim(), version);
  });

  test('checks a configuration, and says where a bad one is wrong', async () => {
    assert.match((await gatehouse('check')).stdout, /gatehouse\.yaml is right/);
    await writeFile(join(project, 'bad.yaml'), 'gateway: { prot: 1 }\n');
    const refused = await gatehouse('check', 'bad.yaml').catch(
      (error: { code: number; stdout: string; stderr: string }) => error,
    );
    assert.ok('code' in refused && refused.code === 1);
    assert.match(refused.stdout + refused.stderr, /bad\.yaml:1:12.*prot/);
  });

  test('starts, answers a request, and drains when it is told to end', async () => {
    const child = spawn(process.execPath, [join(project, 'node_modules/gatehouse/bin/gatehouse.js'), 'start'], {
      cwd: project,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      const port = await portOf(child);
      const answer = await fetch(`http://127.0.0.1:${port}/hello`);
      assert.deepEqual([answer.status, await answer.text()], [200, 'hello']);
      const status = JSON.parse((await gatehouse('status', '--json')).stdout) as { pid: number };
      assert.equal(status.pid, child.pid);
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      assert.deepEqual(await ended, [0, null]);
    } finally {
      child.kill('SIGKILL');
    }
  });

  test('can be embedded, and its types hold without looking away from any of them', async () => {
    const types = join(project, 'node_modules/@types');
    await mkdir(types, { recursive: true });
    // A dependency may have brought types of another version.
    await rm(join(types, 'node'), { recursive: true, force: true });
    await symlink(join(CHECKOUT, 'node_modules/@types/node'), join(types, 'node'));
    const tsc = join(CHECKOUT, 'node_modules/.bin/tsc');
    const checked = await run(tsc, ['-p', '.'], project).catch((error: { stdout: string }) => error);
    assert.equal(checked.stdout, '');
    assert.equal((await run(process.execPath, ['app.ts'], project)).stdout.trim(), 'embedded true function function');
  });
});

async function portOf(child: ChildProcess): Promise<number> {
  let said = '';
  child.stdout!.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  const port = (): string | undefined => /listens on http:\/\/127\.0\.0\.1:(\d+)/.exec(said)?.[1];
  await until(() => port() !== undefined || child.exitCode !== null, 'it listens', 30_000);
  return Number(port());
}
