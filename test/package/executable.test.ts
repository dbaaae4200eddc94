/**
 * The single executable, made from a copy of this checkout and used as on a machine without Node: an empty environment
 * and path. Policies in TypeScript, accounts, a reload and the end of the process are as with the package.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { followTutorial } from '../support/tutorial.ts';

const CHECKOUT = fileURLToPath(new URL('../../', import.meta.url));
const PARTS = [
  'package.json',
  'package-lock.json',
  'tools',
  'tsconfig.json',
  'tsconfig.build.json',
  'bin',
  'console',
  'schema',
  'src',
  'CHANGELOG.md',
  'LICENSE',
];
const DOCUMENT = `gateway: { host: 127.0.0.1, port: 0, workers: 1, accessLog: 'off', dataDir: ./data }
identity: { enabled: true }
routes:
  - match: { path: /hello }
    respond: { status: 200, body: hello }
    auth: public
    use: [{ policy: ./policy.ts, options: { say: salve } }]
`;
const POLICY = `import { definePolicy } from 'gatehouse/policy';

interface Options { readonly say: string }
export default definePolicy<Options>({
  name: 'say',
  create: ({ say }) => ({
    requestHead(request) { request.setResponseHeader('X-Say', say); },
  }),
});
`;

describe('the single executable', { timeout: 600_000 }, () => {
  let folder = '';
  let program = '';
  let project = '';
  const environment = () => ({ HOME: join(folder, 'home') });
  const run = (...args: string[]) => promisify(execFile)(program, args, { cwd: project, env: environment() });

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gatehouse-executable-'));
    const stage = join(folder, 'stage');
    project = join(folder, 'project');
    for (const place of [project, join(folder, 'home')]) await mkdir(place);
    for (const part of PARTS) await cp(join(CHECKOUT, part), join(stage, part), { recursive: true });
    await symlink(join(CHECKOUT, 'node_modules'), join(stage, 'node_modules'));
    const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env['PATH']}`, NODE_OPTIONS: '' };
    const out = join(folder, 'release');
    await promisify(execFile)('npm', ['run', 'executable', '--', '--out', out], { cwd: stage, env });
    program = join(out, (await readdir(out)).find((name) => name.endsWith(`${process.platform}-${process.arch}`))!);
    await writeFile(join(project, 'gatehouse.yaml'), DOCUMENT);
    await writeFile(join(project, 'policy.ts'), POLICY);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  test('has its checksum and what it is made of beside it', async () => {
    const sums = await readFile(join(program, '../SHA256SUMS'), 'utf8');
    for (const line of sums.trim().split('\n')) {
      const [sum, name] = line.split('  ') as [string, string];
      const bytes = await readFile(join(program, '..', name));
      assert.equal(createHash('sha256').update(bytes).digest('hex'), sum);
    }
    const bill = (await readdir(dirname(program))).find((name) => name.endsWith('.cdx.json'))!;
    const { components } = JSON.parse(await readFile(join(dirname(program), bill), 'utf8')) as {
      components: { name: string }[];
    };
    const names = components.map(({ name }) => name);
    assert.ok(names.includes('zod') && !names.includes('typescript'));
  });

  test('says its version, and unpacks itself once, for its user alone', async () => {
    const { version } = JSON.parse(await readFile(join(CHECKOUT, 'package.json'), 'utf8')) as { version: string };
    assert.equal((await run('--version')).stdout.trim(), version);
    const cache = join(folder, 'home/.cache/gatehouse');
    const [name, ...more] = await readdir(cache);
    assert.ok(name!.startsWith(version));
    assert.deepEqual(more, []);
    assert.equal((await stat(cache)).mode & 0o777, 0o700);
    const { ino } = await stat(join(cache, name!));
    await run('--version');
    assert.deepEqual(await readdir(cache), [name]);
    assert.equal((await stat(join(cache, name!))).ino, ino);
  });

  test('unpacks itself anew where a cache was cleaned', async () => {
    const cache = join(folder, 'home/.cache/gatehouse');
    const [name = ''] = await readdir(cache);
    const modules = (await readdir(join(cache, name, 'dist/bundle'))).filter((file) => file.endsWith('.js'));
    for (const spoil of [
      () => rm(join(cache, name, 'bin'), { recursive: true }),
      () => rm(join(cache, name, 'dist/bundle', modules[0]!)),
      () => truncate(join(cache, name, 'dist/bundle', modules.at(-1)!), 10),
      () => rm(join(cache, name, 'node_modules/jose'), { recursive: true }),
    ]) {
      await spoil();
      await run('--version');
      assert.deepEqual(await readdir(cache), [name]);
      for (const file of ['bin/gatehouse.js', 'node_modules/jose/package.json', `dist/bundle/${modules[0]}`])
        assert.ok((await stat(join(cache, name, file))).isFile(), file);
      assert.ok((await stat(join(cache, name, 'dist/bundle', modules.at(-1)!))).size > 10);
    }
  });

  test('follows the tutorial, without Node on the path', async (t) => {
    const tookMs = await followTutorial(t, `env HOME='${join(folder, 'home')}' '${program}'`);
    t.diagnostic(`with the single executable it takes ${(tookMs / 1_000).toFixed(1)} s`);
  });

  test('runs nothing from a folder that others can write to', async () => {
    const open = join(folder, 'open');
    await mkdir(open);
    await chmod(open, 0o777);
    const env = { ...environment(), GATEHOUSE_UNPACK_DIR: open };
    await promisify(execFile)(program, ['--version'], { cwd: project, env });
    assert.deepEqual(await readdir(open), []);
  });

  test('checks a configuration with a policy in TypeScript, and names what is wrong in it', async () => {
    await run('check');
    await writeFile(join(project, 'wrong.yaml'), DOCUMENT.replace('./policy.ts', './missing.ts'));
    await assert.rejects(run('check', 'wrong.yaml'), /missing\.ts/);
  });

  test('serves: routes, the policy, accounts, and ends on SIGTERM', async (t) => {
    const child: ChildProcess = spawn(program, ['start', '--json'], {
      cwd: project,
      env: environment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    t.after(() => void child.kill('SIGKILL'));
    let complaints = '';
    child.stderr!.on('data', (bytes) => {
      complaints += bytes;
    });
    const failed = once(child, 'exit').then(() => assert.fail(complaints));
    const [line] = (await Promise.race([once(createInterface(child.stdout!), 'line'), failed])) as [string];
    failed.catch(() => {});
    const { addresses } = JSON.parse(line) as { addresses: { port: number }[] };
    const url = `http://127.0.0.1:${addresses[0]!.port}`;
    const response = await fetch(`${url}/hello`);
    assert.equal(await response.text(), 'hello');
    assert.equal(response.headers.get('x-say'), 'salve');
    // Threads of its own hash the password.
    const registered = await fetch(`${url}/api/auth/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ email: 'ann@example.com', username: 'ann', password: 'a long enough sentence' }),
    });
    assert.ok(registered.status < 300, `${registered.status} ${await registered.text()}`);
    const ended = once(child, 'close');
    child.kill('SIGTERM');
    assert.deepEqual(await ended, [0, null]);
    assert.doesNotMatch(complaints, /Warning/);
  });
});
