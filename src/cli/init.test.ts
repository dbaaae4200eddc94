import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { editorSchema } from '../control/config/json-schema.ts';
import { commandLine } from './command-line.suite.ts';
import { typedPath } from './typed-path.ts';

const cli = commandLine();
after(() => cli.remove());

test('what init writes is right, and names the schema that lies beside it', async () => {
  const { code } = await cli.run('init', 'new/folder');
  assert.equal(code, 0);
  const file = join(cli.folder, 'new/folder/gatehouse.yaml');
  assert.match(readFileSync(file, 'utf8'), /^# yaml-language-server: \$schema=\.\/gatehouse\.schema\.json\n/);
  const schema: unknown = JSON.parse(readFileSync(join(cli.folder, 'new/folder/gatehouse.schema.json'), 'utf8'));
  assert.deepEqual(schema, JSON.parse(JSON.stringify(editorSchema())));
  const checked = await cli.run('check', 'new/folder/gatehouse.yaml', '--strict');
  assert.deepEqual([checked.code, checked.err], [0, '']);
});

test('every line that init leaves commented out is right as well', async () => {
  await cli.run('init', 'full');
  const file = join(cli.folder, 'full/gatehouse.yaml');
  const text = readFileSync(file, 'utf8');
  const head = text.indexOf('\ngateway:');
  // Keys and list entries; sentences stay comments. Listeners need files and exclude the port.
  const uncommented = text.slice(head).replace(/^( *)# ((?:- \{|trustProxy|circuitBreaker).*)$/gm, '$1$2');
  writeFileSync(file, uncommented);
  assert.notEqual(uncommented, text.slice(head));
  assert.deepEqual(await cli.run('check', 'full/gatehouse.yaml'), {
    code: 0,
    out: 'full/gatehouse.yaml is right: 1 service, 2 routes\n',
    err: '',
  });
});

test('init never overwrites', async () => {
  writeFileSync(join(cli.folder, 'gatehouse.yaml'), 'mine');
  const { code, err } = await cli.run('init');
  assert.equal(code, 5);
  assert.match(err, /gatehouse.yaml exists already and is left as it is/);
  assert.equal(readFileSync(join(cli.folder, 'gatehouse.yaml'), 'utf8'), 'mine');
});

test('init makes no second configuration beside one of another name', async () => {
  mkdirSync(join(cli.folder, 'other'));
  writeFileSync(join(cli.folder, 'other/gatehouse.ts'), 'mine');
  for (const args of [[], ['--ts']]) {
    const { code, err } = await cli.run('init', 'other', ...args);
    assert.equal(code, 5);
    assert.match(err, /other\/gatehouse\.ts exists already and is left as it is\n$/);
  }
});

test('init says in words why a file cannot be written', async () => {
  writeFileSync(join(cli.folder, 'file'), '');
  for (const args of [[], ['--ts'], ['--policy', 'mine']]) {
    const { code, err } = await cli.run('init', 'file', ...args);
    assert.equal(code, 5);
    assert.match(err, /\/file\S* cannot be written: (?:it is a file and no folder|a part of its path is no folder)\n$/);
  }
});

test('next steps name a folder as a shell takes it', async () => {
  const name = "mein Projekt's ü";
  const { out } = await cli.run('init', name);
  const steps = nextSteps(out).filter((step) => step.startsWith('gatehouse '));
  assert.equal(steps.length, 2);
  for (const step of steps) {
    const words = execFileSync('sh', ['-c', `gatehouse() { printf '%s\\n' "$@"; }; ${step}`], { encoding: 'utf8' });
    assert.equal(words.split('\n')[1], `${name}/gatehouse.yaml`);
  }
  assert.match((await cli.run('init', '--', '-x')).out, / check \.\/-x\/gatehouse\.yaml /);
});

test('a path of plain letters stays as it is', () => {
  assert.equal(typedPath('a/größe-1.yaml', 'linux'), 'a/größe-1.yaml');
  assert.equal(typedPath('C:\\a b\\c.yaml', 'win32'), '"C:\\a b\\c.yaml"');
  assert.equal(typedPath('C:\\a\\c.yaml', 'win32'), 'C:\\a\\c.yaml');
  for (const path of ['a b', 'a;b', '$HOME', '~', 'a\nb', '', '*']) assert.match(typedPath(path, 'linux'), /^'[^']*'$/);
});

/** Lines under "next" that a shell takes, without what stands behind them in words. */
function nextSteps(out: string): string[] {
  const lines = out.slice(out.indexOf('next\n')).split('\n').slice(1);
  return lines.filter((line) => line.startsWith('  ')).map((line) => line.trim().replace(/ {3,}.*$/, ''));
}

test('the next steps of init --ts work as typed in a folder without the package', async () => {
  const { code, out } = await cli.run('init', 'empty', '--ts');
  assert.equal(code, 0);
  const steps = nextSteps(out);
  assert.deepEqual(steps.slice(0, 2), [
    'npm install --prefix empty --save-dev gatehouse @types/node',
    'gatehouse check empty/gatehouse.ts',
  ]);
  const bin = join(cli.folder, 'bin');
  mkdirSync(bin);
  const command = fileURLToPath(new URL('../../tools/gatehouse.ts', import.meta.url));
  writeFileSync(join(bin, 'gatehouse'), `#!/bin/sh\nexec "${process.execPath}" --no-warnings "${command}" "$@"\n`, {
    mode: 0o755,
  });
  const { stdout } = await promisify(execFile)('sh', ['-c', steps[1]!], {
    cwd: cli.folder,
    env: { PATH: `${bin}:${process.env['PATH']}` },
  });
  assert.equal(stdout, 'empty/gatehouse.ts is right: 1 service, 2 routes\n');
});

test('init --policy writes a policy whose test passes, and never overwrites it', async () => {
  const first = await cli.run('init', 'mine', '--policy', 'my-policy');
  const steps = nextSteps(first.out);
  assert.deepEqual(
    [first.code, steps],
    [0, ['npm install --prefix mine --save-dev gatehouse', 'node --test mine/policies/my-policy.test.ts']],
  );
  const folder = join(cli.folder, 'mine');
  // The package as it is found from a project, made of the sources.
  const source = fileURLToPath(new URL('..', import.meta.url));
  const modules = join(folder, 'node_modules/gatehouse');
  mkdirSync(modules, { recursive: true });
  symlinkSync(source, join(modules, 'src'));
  const exports = {
    './package.json': './package.json',
    './policy': './src/data/contract/user-policy.ts',
    './testing': './src/testing/index.ts',
  };
  writeFileSync(join(modules, 'package.json'), JSON.stringify({ name: 'gatehouse', type: 'module', exports }));
  const { stdout } = await promisify(execFile)('sh', ['-c', steps[1]!], {
    cwd: cli.folder,
    env: { PATH: `${dirname(process.execPath)}:${process.env['PATH']}` },
  });
  assert.match(stdout, /pass 2/);
  assert.ok(!(await cli.run('init', 'mine', '--policy', 'another')).out.includes('npm install'), 'it is there now');
  const again = await cli.run('init', 'mine', '--policy', 'my-policy');
  assert.equal(again.code, 5);
  assert.match(again.err, /my-policy\.ts exists already/);
  assert.equal((await cli.run('init', '--policy', 'My Policy')).code, 2);
  // As `npm init` writes it: Node would take the test for CommonJS.
  const own = join(folder, 'package.json');
  writeFileSync(own, '{ "name": "mine", "version": "1.0.0", "type": "commonjs" }');
  const [type = '', run = ''] = nextSteps((await cli.run('init', 'mine', '--policy', 'third')).out);
  assert.equal(type, 'npm pkg set type=module --prefix mine');
  const env = { PATH: `${dirname(process.execPath)}:${process.env['PATH']}` };
  await promisify(execFile)('sh', ['-c', `${type} && ${run}`], { cwd: cli.folder, env });
  assert.equal((JSON.parse(readFileSync(own, 'utf8')) as { type: string }).type, 'module');
  assert.ok(!(await cli.run('init', 'mine', '--policy', 'fourth')).out.includes('npm pkg'), 'it says so now');
});
