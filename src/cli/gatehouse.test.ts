import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { commandLine } from './command-line.suite.ts';
import { COMMANDS } from './commands.ts';

const cli = commandLine();
after(() => cli.remove());

const BIN = fileURLToPath(new URL('../../bin/gatehouse.js', import.meta.url));
const VERSION = (
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
).version;

test('--version prints the version of the package', async () => {
  assert.deepEqual(await cli.run('--version'), { code: 0, out: `${VERSION}\n`, err: '' });
});

test('--help lists every command, and nothing at all is a wrong use that shows the same', async () => {
  const asked = await cli.run('--help');
  const bare = await cli.run();
  assert.equal(asked.code, 0);
  assert.deepEqual([bare.code, bare.out, bare.err], [2, '', asked.out]);
  for (const { name, summary } of COMMANDS)
    assert.ok(asked.out.includes(`${name}`) && asked.out.includes(summary), name);
});

for (const { name, options } of COMMANDS) {
  test(`${name} --help shows its use and all of its options`, async () => {
    const { code, out } = await cli.run(name, '--help');
    assert.equal(code, 0);
    assert.match(out, new RegExp(`Usage: gatehouse ${name}`));
    for (const option of Object.keys(options)) assert.ok(out.includes(`--${option}`), option);
    assert.equal((await cli.run('help', name)).out, out);
  });
}

const wrong = [
  { args: ['chekc'], want: 'gatehouse: there is no command "chekc"; did you mean "check"?' },
  { args: ['serve'], want: 'gatehouse: there is no command "serve"; one of start,' },
  { args: ['check', '--jsno'], want: 'gatehouse check: there is no option --jsno; did you mean --json?' },
  { args: ['check', '-x'], want: 'gatehouse check: there is no option -x' },
  { args: ['check', 'a.yaml', 'b.yaml'], want: 'gatehouse check: there is one argument too many: "b.yaml"' },
  { args: ['status', '--socket'], want: 'gatehouse status: --socket needs a value: --socket ' },
  { args: ['check', '-c'], want: 'gatehouse check: --config needs a value: --config FILE' },
  { args: ['check', '--config', '--json'], want: 'gatehouse check: --config needs a value: --config FILE' },
  { args: ['check', '--json=yes'], want: 'gatehouse check: --json takes no value' },
  { args: ['--config', 'a.yaml', 'check'], want: 'gatehouse: the command stands before its options' },
  { args: ['routes', 'GET'], want: 'gatehouse routes: behind GET a URL is missing' },
  { args: ['check'], want: 'gatehouse check: there is no configuration file here' },
  { args: ['routes', 'GET', '/'], want: 'gatehouse routes: there is no configuration file here' },
];

for (const { args, want } of wrong) {
  test(`"gatehouse ${args.join(' ')}" is a wrong use and says so`, async () => {
    const { code, out, err } = await cli.run(...args);
    assert.deepEqual([code, out], [2, '']);
    assert.ok(err.startsWith(want), err);
  });
}

test('the binary runs, from a folder that knows nothing of the project', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [BIN, '--version'], { cwd: cli.folder });
  assert.equal(stdout, `${VERSION}\n`);
});

test('the binary says clearly that an old Node is too old', async () => {
  const pretend = "data:text/javascript,Object.defineProperty(process,'versions',{value:{node:'20.11.0'}})";
  const old = promisify(execFile)(process.execPath, ['--import', pretend, BIN, 'start']);
  await assert.rejects(old, (error: { code: number; stderr: string }) => {
    assert.equal(error.code, 5);
    assert.match(error.stderr, /^gatehouse needs Node.js 24 or newer; this is 20\.11\.0/);
    return true;
  });
});

/** One line for each time that Node begins in the process: its id, and what it was called with. */
async function beginnings(command: string, options = ''): Promise<unknown[][]> {
  const says = `data:text/javascript,import{isMainThread}from'node:worker_threads';
    if(isMainThread)console.log(JSON.stringify([process.pid,...process.execArgv]))`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', says, BIN, command, 'no-such.yaml'], {
    cwd: cli.folder,
    env: { ...process.env, NODE_OPTIONS: options },
  }).catch((error: { stdout: string }) => error);
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown[]);
}

const helpers = Math.max(1, availableParallelism() - 1);
const why =
  process.platform === 'win32' ? 'no execve' : helpers >= 4 ? 'V8 has four threads, and there are cores' : false;
test('a start leaves V8 one thread for each core beside one, in the same process', { skip: why }, async () => {
  const [first, second, ...more] = await beginnings('start');
  assert.deepEqual(more, []);
  assert.equal(second?.[0], first?.[0]);
  assert.deepEqual(second?.slice(1), [`--v8-pool-size=${helpers}`, ...(first?.slice(1) ?? [])]);
});

test('a start that says itself how many threads V8 has begins once, as other commands do', async () => {
  assert.equal((await beginnings('start', '--v8-pool-size=4')).length, 1);
  assert.equal((await beginnings('check')).length, 1);
});

test('the guide of the command line names every command', () => {
  const guide = readFileSync(new URL('../../docs/guide/command-line.md', import.meta.url), 'utf8');
  for (const { name } of COMMANDS) assert.ok(guide.includes(`gatehouse ${name}`), name);
});
