/**
 * What operators do with the configuration of a running gateway: look first, reload, go back, restart; by the command.
 */
import assert from 'node:assert/strict';
import { chmod, mkdir, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createLogger } from '../../src/base/log.ts';
import { commandLine } from '../../src/cli/command-line.suite.ts';
import { startGateway } from '../../src/main.ts';
import { until } from '../support/until.ts';

const LISTEN = '  host: 127.0.0.1\n  port: 0\n  workers: 1\n';

function document(body: string, gateway = ''): string {
  return `gateway:\n${LISTEN}${gateway}routes:\n  - { name: hello, match: { path: /hello }, auth: public, respond: { body: ${body} } }\n`;
}

async function running(test: TestContext, text: string, file = 'gatehouse.yaml') {
  const cli = commandLine();
  const path = join(cli.folder, file);
  await writeFile(path, text);
  const logged: string[] = [];
  const log = createLogger('info', (line) => void logged.push(line));
  const gateway = await startGateway({ configFile: file, cwd: cli.folder, env: {}, log });
  test.after(async () => {
    await gateway.stop({ timeoutMs: 500 });
    cli.remove();
  });
  const url = `http://127.0.0.1:${gateway.addresses[0]!.port}`;
  const hello = async (): Promise<string> => (await fetch(`${url}/hello`)).text();
  return { cli, path, gateway, url, hello, logged };
}

test('a dry run says what would change, changes nothing, and a bad file is refused as by check', async (t) => {
  const { cli, path, hello } = await running(t, document('one', '  watch: false\n'));
  const next = document('two', '  watch: false\n  workers: 2\n'.replace('  workers: 2\n', ''));
  await writeFile(path, `${next}  - { name: new, match: { path: /new }, auth: public, respond: { status: 204 } }\n`);
  const { code, out } = await cli.run('reload', '--dry-run');
  assert.deepEqual([code, out], [0, '+ route new\n~ route hello: action\n']);
  assert.equal(await hello(), 'one');
  await writeFile(path, 'routs: []\n');
  const bad = await cli.run('reload', '--dry-run');
  assert.equal(bad.code, 1);
  assert.match(bad.err, /gatehouse.yaml:1:1: unknown key "routs"; did you mean "routes"/);
});

test('rollback goes back without the file, a reload ends it, and the history has who and why', async (t) => {
  const { cli, path, hello } = await running(t, document('one', '  watch: false\n'));
  await writeFile(path, document('two', '  watch: false\n'));
  assert.equal((await cli.run('reload', '--reason', 'a new text')).code, 0);
  assert.equal(await hello(), 'two');
  const back = await cli.run('rollback', '-c', 'gatehouse.yaml');
  assert.deepEqual([back.code, back.out], [0, 'rolled back: version 3 is in use\n']);
  assert.equal(await hello(), 'one');
  assert.match(await readFile(path, 'utf8'), /two/);
  assert.match((await cli.run('status')).out, /gatehouse.yaml holds another one: its next change, or a reload/);
  const { out } = await cli.run('history');
  const rows = out.trimEnd().split('\n');
  assert.match(rows[0]!, /^\* {2}3 .* local:\S+ +gatehouse rollback$/);
  assert.match(rows[1]!, / 2 .*a new text$/);
  assert.match(rows[2]!, / 1 .*start +the gateway started$/);
  assert.equal((await cli.run('reload')).code, 0);
  assert.equal(await hello(), 'two');
});

test('rollback --write brings the file back too, byte for byte', async (t) => {
  const first = `# a note\n${document('one', '  watch: false\n')}`;
  const { cli, path, hello } = await running(t, first);
  await writeFile(path, document('two', '  watch: false\n'));
  await cli.run('reload');
  assert.equal((await cli.run('rollback', '1', '--write')).code, 0);
  assert.deepEqual([await hello(), await readFile(path, 'utf8')], ['one', first]);
  const gone = await cli.run('rollback', '77');
  assert.deepEqual([gone.code, gone.err], [4, 'there is no such revision that could be restored\n']);
});

test('rollback --write through a link leaves the link, and the mode of the file', async (t) => {
  const first = document('one', '  watch: false\n');
  const { cli, path, hello } = await running(t, first);
  const real = join(cli.folder, 'elsewhere', 'real.yaml');
  await mkdir(join(cli.folder, 'elsewhere'));
  await rm(path);
  await writeFile(real, document('two', '  watch: false\n'));
  await chmod(real, 0o666);
  await symlink(join('elsewhere', 'real.yaml'), path);
  assert.equal((await cli.run('reload')).code, 0);
  assert.equal((await cli.run('rollback', '--write')).code, 0);
  assert.equal(await hello(), 'one');
  assert.equal(await readlink(path), join('elsewhere', 'real.yaml'));
  assert.equal(await readFile(real, 'utf8'), first);
  assert.equal((await stat(real)).mode & 0o777, 0o666);
  assert.deepEqual(await readdir(join(cli.folder, 'elsewhere')), ['real.yaml']);
});

test('a TypeScript configuration reloads when a file that it imports is saved, and goes back', async (t) => {
  const cli = commandLine();
  await writeFile(join(cli.folder, 'text.ts'), `export const text = 'one';\n`);
  const main = `import { text } from './text.ts';
export default {
  gateway: { host: '127.0.0.1', port: 0, workers: 1 },
  routes: [{ match: { path: "/hello" }, auth: "public", respond: { body: text } }],
};\n`;
  await writeFile(join(cli.folder, 'gatehouse.ts'), main);
  const gateway = await startGateway({
    configFile: 'gatehouse.ts',
    cwd: cli.folder,
    env: {},
    log: createLogger('silent'),
  });
  t.after(async () => {
    await gateway.stop({ timeoutMs: 500 });
    cli.remove();
  });
  const url = `http://127.0.0.1:${gateway.addresses[0]!.port}/hello`;
  await writeFile(join(cli.folder, 'text.ts'), `export const text = 'two';\n`);
  await until(() => gateway.primary.snapshot.version === 2, 'the reload', 30_000);
  const hello = async (): Promise<string> => (await fetch(url)).text();
  assert.equal(await hello(), 'two');
  const back = await cli.run('rollback');
  assert.deepEqual([back.code, back.err, await hello()], [0, '', 'one']);
});

test('check names what the gateway that runs with the file would take at its next start only', async (t) => {
  const { cli, path } = await running(t, document('one', '  watch: false\n'));
  const same = await cli.run('check', '--json');
  assert.deepEqual((JSON.parse(same.out) as { restart: unknown }).restart, []);
  const changed = document('two', '  watch: false\n').replace('workers: 1', 'workers: 2');
  await writeFile(path, changed);
  const { code, out, err } = await cli.run('check');
  assert.equal(code, 0, err);
  assert.match(out, /is right/);
  assert.match(err, /takes these at its next start only: gateway\.workers/m);
  const other = join(cli.folder, 'other.yaml');
  await writeFile(other, changed);
  const elsewhere = await cli.run('check', 'other.yaml', '--json');
  assert.equal((JSON.parse(elsewhere.out) as { restart: unknown }).restart, null, 'another file is not what it runs');
  assert.match((await cli.run('status')).out, /listening/);
});

test('what needs a restart is named with exit code 6, by reload and by status', async (t) => {
  const { cli, path, hello } = await running(t, document('one', '  watch: false\n'));
  await writeFile(path, document('two', '  watch: false\n  dataDir: ./elsewhere\n'));
  const socket = join(cli.folder, 'data/gatehouse.sock');
  const { code, err } = await cli.run('reload', '--socket', socket);
  assert.deepEqual([code, err], [6, 'takes effect at the next start only: gateway.dataDir\n']);
  assert.equal(await hello(), 'two');
  assert.match(
    (await cli.run('status', '--socket', socket)).out,
    /takes effect at the next start only: gateway.dataDir/,
  );
});

test('built-in endpoints still answer after a reload that names another data folder', async (t) => {
  const { gateway, path, url } = await running(t, document('one', '  watch: false\n'));
  await writeFile(path, document('two', '  watch: false\n  dataDir: ./elsewhere\n'));
  assert.equal((await gateway.reload()).ok, true);
  assert.equal((await fetch(`${url}/health/live`)).status, 200);
});

test('accounts that a reload turns on answer at once', async (t) => {
  const { gateway, path, url } = await running(t, document('one', '  watch: false\n'));
  await writeFile(path, `${document('one', '  watch: false\n')}identity: { enabled: true, firstAdmin: off }\n`);
  const result = await gateway.reload();
  assert.deepEqual([result.problems, result.restart], [[], []]);
  const response = await fetch(`${url}/api/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email: 'nobody@example.com', password: 'wrong wrong wrong' }),
  });
  assert.equal(response.status, 401);
});

test('a gateway that has ended starts nothing again, whoever still reloads or tells of instances', async (t) => {
  const { gateway, path } = await running(t, document('one', '  watch: false\n'));
  await gateway.stop({ timeoutMs: 500 });
  await writeFile(path, `${document('one', '  watch: false\n')}identity: { enabled: true, firstAdmin: off }\n`);
  assert.deepEqual((await gateway.reload()).problems, ['the gateway is shutting down']);
  const { ok, problems } = await gateway.primary.configuration.setDiscovered({});
  assert.deepEqual([ok, problems], [true, []]);
});

test('watch: false waits for a reload by hand', async (t) => {
  const { gateway, path, hello } = await running(t, document('one', '  watch: false\n'));
  await writeFile(path, document('two', '  watch: false\n'));
  // Longer than the files would be left alone: whoever watched would have seen it by now.
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  assert.equal(await hello(), 'one');
  assert.equal((await gateway.reload()).ok, true);
  assert.equal(await hello(), 'two');
});

test('an instance is drained and a breaker held open by command, here and from afar', async (t) => {
  const { cli, gateway } = await running(
    t,
    `gateway:\n${LISTEN}admin: { listen: 127.0.0.1:0, tokens: [{ name: ci, role: operator, token: a-token-for-the-pipeline-of-ci }] }
services:
  s: { instances: [{ url: http://127.0.0.1:9 }, { url: http://127.0.0.1:10 }], circuitBreaker: {} }
routes: [{ match: { path: /a }, service: s, auth: public }]\n`,
  );
  assert.equal((await cli.run('instance', 'drain', 'http://127.0.0.1:9')).code, 2, 'a reason is wanted');
  const drained = await cli.run('instance', 'drain', 'http://127.0.0.1:9', '--reason', 'release', '--for', '1h');
  assert.deepEqual([drained.code, drained.err], [0, '']);
  assert.match((await cli.run('instance', 'list')).out, /s@127.0.0.1:9 +drained/);
  const { url } = JSON.parse((await cli.run('console', '--json')).out) as { url: string };
  assert.match(url, /^http:\/\/127\.0\.0\.1:\d+\/console\/#link=/);
  cli.env = { GATEHOUSE_SERVER: new URL(url).origin, GATEHOUSE_TOKEN: 'a-token-for-the-pipeline-of-ci' };
  const open = await cli.run('breaker', 'open', 's', '--reason', 'move', '--for', '10m');
  assert.deepEqual([open.code, open.err], [0, '']);
  assert.equal(gateway.primary.opsSources().services[0]!.breaker!.state, 'open');
  assert.deepEqual(
    gateway.primary.overrides.list().map(({ owner }) => owner.split(':')[0]),
    ['local', 'token'],
  );
  assert.equal((await cli.run('breaker', 'reset', 's')).code, 0);
  assert.equal((await cli.run('instance', 'undrain', 'http://127.0.0.1:9')).out, 'the configuration holds again\n');
  assert.equal((await cli.run('instance', 'undrain', 'http://127.0.0.1:77')).code, 0);
  assert.equal((await cli.run('console', '--role', 'admin')).code, 5, 'an operator makes no links');
});
