import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { CommandLine } from './command-line.suite.ts';
import { commandLine } from './command-line.suite.ts';

let cli: CommandLine;
beforeEach(() => {
  cli = commandLine();
});
afterEach(() => cli.remove());

function write(body: string): void {
  const document = {
    gateway: { port: 0, host: '127.0.0.1', workers: 1, logLevel: 'silent' },
    routes: [{ match: { path: '/' }, respond: { body }, auth: 'public' }],
  };
  writeFileSync(join(cli.folder, 'gatehouse.json'), JSON.stringify(document));
}

/** Starts, and gives the port once it listens, and the exit code to come. */
async function started() {
  const ended = cli.run('start', '--json');
  const printed = once(cli.signals, 'printed', { signal: AbortSignal.timeout(20_000) });
  // One that does not start ends instead, and then says why.
  const first = await Promise.race([printed, ended]);
  assert.ok(Array.isArray(first), JSON.stringify(first));
  const { addresses } = JSON.parse(cli.printed().split('\n')[0] ?? '') as { addresses: { port: number }[] };
  const url = `http://127.0.0.1:${addresses[0]?.port}/`;
  return { ended, body: async () => (await fetch(url, { headers: { connection: 'close' } })).text() };
}

test('start serves, status and reload reach it, and SIGTERM ends it with 0', async () => {
  write('one');
  const { ended, body } = await started();
  assert.equal(await body(), 'one');

  const shown = await cli.run('status', '--json');
  assert.equal(shown.code, 0);
  assert.equal((JSON.parse(shown.out) as { pid: number }).pid, process.pid);
  assert.match((await cli.run('status')).out, /^gatehouse \S+: healthy, up /);

  write('two');
  const reloaded = await cli.run('reload');
  assert.deepEqual([reloaded.code, reloaded.err], [0, '']);
  assert.match(reloaded.out, /^reloaded: version \d+ is in use\n$/);
  assert.equal(await body(), 'two');

  writeFileSync(join(cli.folder, 'gatehouse.json'), '{ "gateway": { "prot": 1 } }');
  const refused = await cli.run('reload');
  assert.equal(refused.code, 1);
  assert.match(refused.err, /unknown key "prot"; did you mean "port"\?\nnot reloaded: version \d+ stays in use\n$/);
  assert.equal(await body(), 'two');

  cli.signals.emit('SIGTERM');
  const { code } = await ended;
  assert.equal(code, 0);
  assert.deepEqual(cli.exits, []);
  assert.equal(cli.signals.listenerCount('SIGTERM') + cli.signals.listenerCount('SIGHUP'), 0);
  assert.equal((await cli.run('status')).code, 3);
});

test('a second signal ends the process at once', async () => {
  write('one');
  const { ended } = await started();
  cli.signals.emit('SIGINT');
  cli.signals.emit('SIGINT');
  assert.deepEqual(cli.exits, [130]);
  assert.equal((await ended).code, 0);
});

test('SIGHUP reloads', async () => {
  write('one');
  const { ended, body } = await started();
  write('two');
  cli.signals.emit('SIGHUP');
  // Reloads happen one after the other, so this one ends behind the one that the signal asked for.
  await cli.run('reload');
  assert.equal(await body(), 'two');
  cli.signals.emit('SIGTERM');
  await ended;
});

test('a wrong configuration does not start, and everything that is wrong is shown', async () => {
  writeFileSync(join(cli.folder, 'gatehouse.yaml'), 'gateway: { prot: 1, wrokers: 2 }\n');
  const { code, err } = await cli.run('start');
  assert.equal(code, 1);
  assert.match(
    err,
    /"prot"; did you mean "port"\?\n.*"wrokers"; did you mean "workers"\?\ngatehouse.yaml: 2 errors\n$/,
  );
  assert.equal(cli.signals.listenerCount('SIGTERM'), 0);
});

test('a file that the system refuses is exit code 5 and named, with the reason in words', async () => {
  mkdirSync(join(cli.folder, 'data'));
  symlinkSync('identity.key', join(cli.folder, 'data/identity.key'));
  const document = {
    gateway: { port: 0, host: '127.0.0.1', logLevel: 'silent' },
    identity: { enabled: true, firstAdmin: 'off' },
  };
  writeFileSync(join(cli.folder, 'gatehouse.json'), JSON.stringify(document));
  const { code, err } = await cli.run('start');
  assert.equal(code, 5);
  assert.equal(err, `${join(cli.folder, 'data/identity.key')} cannot be opened: its links lead to themselves\n`);
});

test('a port in use is exit code 5 and names the listener', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as { port: number };
  writeFileSync(join(cli.folder, 'gatehouse.yaml'), `gateway: { port: ${port}, host: 127.0.0.1, logLevel: silent }\n`);
  const { code, err } = await cli.run('start');
  other.close();
  assert.equal(code, 5);
  assert.match(err, new RegExp(`^listener "main" cannot be bound to 127.0.0.1:${port}`));
});
