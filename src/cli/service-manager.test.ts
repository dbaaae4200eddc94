import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { commandLine } from './command-line.suite.ts';
import { serviceManager } from './service-manager.ts';

/** The socket of a service manager, held by Python, since Node has none; a line for each datagram. */
const RECEIVER = `
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('bound', flush=True)
while True:
    # The program waits until a descriptor that comes with its last datagram is closed.
    data, descriptors, _, _ = socket.recv_fds(s, 4096, 8)
    for descriptor in descriptors: os.close(descriptor)
    if data and not data.startswith(b'BARRIER'):
        print(data.decode().strip().replace('\\n', ' '), flush=True)
`;

interface Manager {
  readonly path: string;
  /** The next message that fits; those before it are passed over, but kept in `all`. */
  next(fits: RegExp): Promise<string>;
  readonly all: string[];
}

async function manager(t: { after(hook: () => void | Promise<void>): void }): Promise<Manager> {
  const folder = mkdtempSync(join(tmpdir(), 'gh-notify-'));
  const path = join(folder, 'notify');
  const child: ChildProcess = spawn('/usr/bin/python3', ['-c', RECEIVER, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(async () => {
    child.kill('SIGKILL');
    await once(child, 'exit');
    rmSync(folder, { recursive: true, force: true });
  });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  await lines.next();
  const all: string[] = [];
  return {
    path,
    all,
    async next(fits) {
      for (;;) {
        const { value, done } = await lines.next();
        assert.ok(done !== true, 'the receiver ended');
        all.push(value);
        if (fits.test(value)) return value;
      }
    },
  };
}

test('systemd hears when the gateway is ready, reloads and ends, in this order', { timeout: 90_000 }, async (t) => {
  const { path, next, all } = await manager(t);
  const cli = commandLine();
  t.after(() => cli.remove());
  cli.env = { NOTIFY_SOCKET: path, PATH: process.env['PATH'] ?? '' };
  const document = {
    gateway: { port: 0, host: '127.0.0.1', workers: 1, logLevel: 'silent' },
    routes: [{ match: { path: '/' }, respond: { body: 'here' }, auth: 'public' }],
  };
  writeFileSync(join(cli.folder, 'gatehouse.json'), JSON.stringify(document));
  const ended = cli.run('start');
  // Also when this test fails.
  t.after(() => cli.signals.emit('SIGINT'));
  assert.match(await next(/READY=1/), /STATUS=listens on http:\/\/127\.0\.0\.1:\d+/);
  cli.signals.emit('SIGHUP');
  await next(/RELOADING=1/);
  await next(/READY=1/);
  // A configuration that is refused ends the reload as well: the old one serves.
  writeFileSync(join(cli.folder, 'gatehouse.json'), '{ "gateway": { "prot": 1 } }');
  cli.signals.emit('SIGHUP');
  await next(/RELOADING=1/);
  await next(/READY=1/);
  cli.signals.emit('SIGTERM');
  await next(/STOPPING=1/);
  const { code, err } = await ended;
  assert.equal(code, 0);
  assert.doesNotMatch(err, /systemd/);
  assert.deepEqual(
    all.map((line) => line.split(' ')[0]),
    ['READY=1', 'RELOADING=1', 'READY=1', 'RELOADING=1', 'READY=1', 'STOPPING=1'],
  );
});

test('without systemd nothing is started, and without the program it is said once', async () => {
  const problems: string[] = [];
  const none = serviceManager({}, (problem) => void problems.push(problem));
  none.ready('here');
  await none.delivered();
  assert.equal(problems.length, 0);
  const away = serviceManager(
    { NOTIFY_SOCKET: '/nowhere', PATH: '/nowhere' },
    (problem) => void problems.push(problem),
  );
  away.ready('here');
  away.stopping();
  await away.delivered();
  assert.equal(problems.length, 1);
  assert.match(problems[0] ?? '', /^systemd does not receive the state of this service: .*ENOENT/);
});
