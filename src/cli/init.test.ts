import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { editorSchema } from '../control/config/json-schema.ts';
import { commandLine } from './command-line.suite.ts';

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

test('init --policy writes a policy whose test passes, and never overwrites it', async () => {
  assert.equal((await cli.run('init', 'mine', '--policy', 'my-policy')).code, 0);
  const folder = join(cli.folder, 'mine');
  // The package as it is found from a project, made of the sources.
  const source = fileURLToPath(new URL('..', import.meta.url));
  const modules = join(folder, 'node_modules/gatehouse');
  mkdirSync(modules, { recursive: true });
  symlinkSync(source, join(modules, 'src'));
  const exports = { './policy': './src/data/contract/user-policy.ts', './testing': './src/testing/index.ts' };
  writeFileSync(join(modules, 'package.json'), JSON.stringify({ name: 'gatehouse', type: 'module', exports }));
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
  const { stdout } = await promisify(execFile)(process.execPath, ['--test', 'policies/my-policy.test.ts'], {
    cwd: folder,
    env: { PATH: process.env['PATH'] },
  });
  assert.match(stdout, /pass 2/);
  const again = await cli.run('init', 'mine', '--policy', 'my-policy');
  assert.equal(again.code, 5);
  assert.match(again.err, /my-policy\.ts exists already/);
  assert.equal((await cli.run('init', '--policy', 'My Policy')).code, 2);
});
