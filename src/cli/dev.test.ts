/** `dev`: runs, reloads, starts again, waits for a file with mistakes; lines for people; completion scripts. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { until } from '../../test/support/until.ts';
import { commandLine } from './command-line.suite.ts';
import { COMMANDS } from './commands.ts';
import { main } from './gatehouse.ts';
import { browserCommand } from './open-browser.ts';
import { colours, prettyLine } from './pretty-line.ts';
import { progressOf } from './progress.ts';

const GATEHOUSE = fileURLToPath(new URL('../../tools/gatehouse.ts', import.meta.url));
const DEADLINE_MS = 90_000;
const cli = commandLine();
after(() => cli.remove());

const document = (body: string, workers = 1): string =>
  `gateway: { host: 127.0.0.1, port: 0, workers: ${workers} }
routes: [{ match: { path: /* }, respond: { body: "${body}" }, auth: public }]
`;

test('dev waits for a file with mistakes, starts again for what cannot be reloaded, and ends on a signal', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'gh-dev-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'gatehouse.yaml');
  writeFileSync(file, 'gatway: {}');
  const child = spawn(process.execPath, [GATEHOUSE, 'dev', file], {
    cwd: folder,
    env: { ...process.env, GATEHOUSE_COMMAND: GATEHOUSE, FORCE_COLOR: '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  const said = listen(child);
  await said.until('waiting until the file changes');
  assert.match(said.text(), /did you mean "gateway"/);
  writeFileSync(file, document('one'));
  await said.until('gatehouse listens on');
  writeFileSync(file, document('two', 2));
  await said.until('this change needs a new start');
  await said.until('gatehouse listens on', 2);
  assert.doesNotMatch(said.text(), /\x1b\[/);
  child.kill('SIGTERM');
  const [code] = (await once(child, 'exit')) as [number];
  assert.equal(code, 0);
});

test('dev sees a file that is mended while the mistake is being read, and one that was deleted', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'gh-dev-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'gatehouse.yaml');
  writeFileSync(file, 'gatway: {}');
  // Behind the mistake, the process still lives for a second: meanwhile the file is mended.
  const slow = join(folder, 'slow.mjs');
  writeFileSync(
    slow,
    `import { spawnSync } from 'node:child_process';
const { status, stdout, stderr } = spawnSync(process.execPath, [${JSON.stringify(GATEHOUSE)}, ...process.argv.slice(2)], { encoding: 'utf8', env: { ...process.env, GATEHOUSE_COMMAND: '' } });
process.stdout.write(stdout + 'run ended\\n');
process.stderr.write(stderr);
setTimeout(() => process.exit(status), 1000);
`,
  );
  const child = spawn(process.execPath, [GATEHOUSE, 'dev', file], {
    cwd: folder,
    env: { ...process.env, GATEHOUSE_COMMAND: slow },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  const said = listen(child);
  await said.until('run ended');
  writeFileSync(file, 'gatewy: {}');
  await said.until('run ended', 2);
  await said.until('waiting until the file changes');
  rmSync(file);
  await said.until('run ended', 3);
  await said.until('waiting until the file changes', 2);
  writeFileSync(join(folder, 'policy.ts'), '');
  await said.until('run ended', 4);
  child.kill('SIGTERM');
  const [code] = (await once(child, 'exit')) as [number];
  assert.equal(code, 0);
});

test('dev that is killed leaves no gateway behind', { skip: process.platform === 'win32' }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'gh-dev-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'gatehouse.yaml');
  writeFileSync(file, document('one'));
  const env: Record<string, string | undefined> = { ...process.env, GATEHOUSE_COMMAND: GATEHOUSE };
  // Those of `npm test`, which are watched anyway.
  for (const name of ['npm_lifecycle_event', 'npm_command']) delete env[name];
  const child = spawn(process.execPath, [GATEHOUSE, 'dev', file], {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  const said = listen(child);
  await said.until('listens on');
  const url = /http:\S+/.exec(said.text())![0];
  assert.equal(await (await fetch(url)).text(), 'one');
  child.kill('SIGKILL');
  const isGone = () =>
    fetch(url).then(
      () => false,
      () => true,
    );
  await until(isGone, 'the gateway has ended', DEADLINE_MS);
});

test('dev in a folder that is not there says so', async () => {
  const { code, err } = await cli.run('dev', 'nowhere/gatehouse.yaml');
  assert.equal(code, 5);
  assert.match(err, /^the folder \S+nowhere cannot be watched: it does not exist\n$/);
});

/** On a terminal of its own; Ctrl+C ends it. */
const ON_A_TERMINAL = 'import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)';

test('dev opens the console on a terminal, once, and not when told not to', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'gh-dev-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'gatehouse.yaml');
  writeFileSync(file, document('one'));
  const browser = join(folder, 'browser');
  writeFileSync(browser, `#!/bin/sh\necho "$1" >> "${folder}/opened"\n`, { mode: 0o755 });
  const run = (...args: string[]) => {
    const line = [process.execPath, '--no-warnings', GATEHOUSE, 'dev', file, ...args];
    const env = { ...process.env, GATEHOUSE_COMMAND: GATEHOUSE, BROWSER: browser, NO_COLOR: '1' };
    const child = spawn('/usr/bin/python3', ['-c', ON_A_TERMINAL, ...line], { cwd: folder, env });
    t.after(() => child.kill('SIGKILL'));
    const end = async (): Promise<void> => {
      child.stdin.write('\x03');
      await once(child, 'exit');
    };
    return { said: listen(child), end, close: () => child.kill('SIGKILL') };
  };
  const shown = run();
  await shown.said.until('console: http://127.0.0.1:');
  const [, link = ''] = /console: (\S+)/.exec(shown.said.text()) ?? [];
  assert.match(link, /\/console\/#link=/);
  assert.equal((await fetch(link)).status, 200);
  writeFileSync(file, document('two', 2));
  await shown.said.until('console: http://127.0.0.1:', 2);
  await until(() => existsSync(join(folder, 'opened')), 'the browser was opened', DEADLINE_MS);
  await shown.end();
  assert.equal(readFileSync(join(folder, 'opened'), 'utf8').trim(), link, 'once');
  const quiet = run('--no-console');
  await quiet.said.until('gatehouse listens on');
  assert.doesNotMatch(quiet.said.text(), /console: /);
  const [, url = ''] = /listens on (\S+)/.exec(quiet.said.text()) ?? [];
  assert.equal((await fetch(url)).status, 200);
  quiet.close();
  const isGone = (): Promise<boolean> =>
    fetch(url).then(
      () => false,
      () => true,
    );
  await until(isGone, 'a closed terminal ends the gateway', DEADLINE_MS);
});

test('Ctrl+C in dev waits for what is in flight', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'gh-dev-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const waiting = Promise.withResolvers<ServerResponse>();
  const service = createServer((_, response) => waiting.resolve(response)).listen(0, '127.0.0.1');
  await once(service, 'listening');
  t.after(() => service.close());
  const { port } = service.address() as AddressInfo;
  const file = join(folder, 'gatehouse.yaml');
  writeFileSync(
    file,
    `gateway: { host: 127.0.0.1, port: 0, workers: 1 }
services: { s: { instances: ["http://127.0.0.1:${port}"] } }
routes: [{ match: { path: /* }, service: s, auth: public }]
`,
  );
  const line = [process.execPath, '--no-warnings', GATEHOUSE, 'dev', file, '--no-console'];
  const child = spawn('/usr/bin/python3', ['-c', ON_A_TERMINAL, ...line], {
    cwd: folder,
    env: { ...process.env, GATEHOUSE_COMMAND: GATEHOUSE, NO_COLOR: '1' },
  });
  t.after(() => child.kill('SIGKILL'));
  const said = listen(child);
  await said.until('gatehouse listens on');
  const [, url = ''] = /listens on (\S+)/.exec(said.text()) ?? [];
  const inFlight = fetch(url).then((response) => response.text());
  inFlight.catch(() => {});
  const response = await waiting.promise;
  child.stdin.write('\x03');
  const takesNoMore = (): Promise<boolean> =>
    fetch(url, { headers: { connection: 'close' }, signal: AbortSignal.timeout(1_000) }).then(
      () => false,
      ({ name }: Error) => name !== 'TimeoutError',
    );
  await until(takesNoMore, 'the gateway takes no more connections', DEADLINE_MS);
  response.end('finished');
  assert.equal(await inFlight, 'finished');
  await once(child, 'exit');
});

test('a browser is opened where there is one', () => {
  assert.deepEqual(browserCommand({}, 'darwin'), ['open']);
  assert.deepEqual(browserCommand({ DISPLAY: ':0' }, 'linux'), ['xdg-open']);
  assert.deepEqual(browserCommand({ BROWSER: 'firefox' }, 'linux'), ['firefox']);
  assert.equal(browserCommand({}, 'linux'), null);
  assert.equal(browserCommand({ BROWSER: 'none', DISPLAY: ':0' }, 'linux'), null);
});

const outside = {
  cwd: '.',
  env: {},
  signals: { on: () => {}, off: () => {} },
  exit: () => {},
  out: () => {},
  err: () => {},
};

test('what takes more than a second says so on a terminal until there is output', async () => {
  const drawn: string[] = [];
  let out = '';
  const write = (text: string): void => {
    out += text;
  };
  const progress = progressOf('check', { ...outside, out: write }, (text) => void drawn.push(text));
  await until(() => drawn.length >= 2, 'it was drawn twice', 20_000);
  assert.match(drawn[0]!, /^\r\x1b\[Kgatehouse check: \d+ s \.\.\.\r$/);
  progress.surroundings.out('done\n');
  const lines = drawn.length;
  assert.deepEqual([out, drawn.at(-1)], ['done\n', '\r\x1b[K']);
  progress.end();
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  assert.equal(drawn.length, lines, 'nothing behind the output');
});

test('check leaves turns in which that can be drawn', async () => {
  const route = (n: number): string => `  - { match: { path: /r${n}/* }, respond: {}, auth: public }`;
  const routes = Array.from({ length: 4_000 }, (_, n) => route(n)).join('\n');
  writeFileSync(join(cli.folder, 'large.yaml'), `routes:\n${routes}\n`);
  const turnsOf = async (): Promise<number> => {
    let turns = 0;
    let isDone = false;
    const count = (): void => {
      turns++;
      if (!isDone) setImmediate(count);
    };
    count();
    assert.equal(await main(['check', 'large.yaml'], { ...outside, cwd: cli.folder }), 0);
    isDone = true;
    return turns;
  };
  // The first one also loads modules; three turns read the file.
  await turnsOf();
  const turns = await turnsOf();
  assert.ok(turns >= 8, `${turns} turns`);
});

function listen(child: ChildProcess) {
  let all = '';
  const listeners = new Set<() => void>();
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      all += text;
      for (const listener of listeners) listener();
    });
  }
  const until = (text: string, times = 1): Promise<void> =>
    new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`it did not say "${text}" ${times} times: ${all}`)), DEADLINE_MS);
      const look = (): void => {
        if (all.split(text).length - 1 < times) return;
        clearTimeout(late);
        listeners.delete(look);
        resolve();
      };
      listeners.add(look);
      look();
    });
  return { text: () => all, until };
}

describe('a line for people', () => {
  const plain = colours({}, false);
  test('has time, status, method and path of a request', () => {
    const line = JSON.stringify({
      time: '2026-01-02T03:04:05.678Z',
      method: 'GET',
      path: '/a',
      status: 404,
      route: 'r',
    });
    assert.equal(prettyLine(line, plain), '03:04:05 404 GET /a route=r');
  });
  test('has level, message and fields of the log, and leaves other lines alone', () => {
    const line = JSON.stringify({ time: '2026-01-02T03:04:05.678Z', level: 'warn', message: 'look', n: 1 });
    assert.equal(prettyLine(line, plain), '03:04:05 warn  look n=1');
    for (const text of ['gatehouse listens on http://x', '{broken', '{}']) assert.equal(prettyLine(text, plain), text);
  });
  test('is coloured on a terminal only, and never by who sends a request', () => {
    const line = JSON.stringify({ time: '', method: 'GET', path: '/\u001b[31m', status: 200 });
    assert.doesNotMatch(prettyLine(line, plain), /\x1b/);
    assert.match(prettyLine(line, colours({}, true)), /\x1b\[32m200/);
    assert.doesNotMatch(prettyLine(line, colours({ NO_COLOR: '1' }, true)), /\x1b/);
    assert.match(prettyLine(line, colours({ FORCE_COLOR: '1' }, false)), /\x1b/);
  });
});

describe('completion', () => {
  test('of bash knows every command and the options of each', async () => {
    const { code, out } = await cli.run('completion', 'bash');
    assert.equal(code, 0);
    const complete = (...words: string[]): string[] =>
      execFileSync(
        'bash',
        [
          '-c',
          `${out}\nCOMP_WORDS=(${words.map((word) => `"${word}"`).join(' ')}); COMP_CWORD=${words.length - 1}; _gatehouse; printf '%s\\n' "\${COMPREPLY[@]}"`,
        ],
        { encoding: 'utf8' },
      )
        .trim()
        .split('\n');
    assert.deepEqual(complete('gatehouse', 'che'), ['check']);
    for (const { name } of COMMANDS) assert.ok(complete('gatehouse', name).includes(name), name);
    assert.deepEqual(complete('gatehouse', 'check', '--str'), ['--strict']);
    assert.deepEqual(complete('gatehouse', 'user', 'dis'), ['disable']);
    assert.deepEqual(complete('gatehouse', 'import', 'k').sort(), ['kong', 'krakend']);
    assert.deepEqual(complete('gatehouse', 'user', 'show', 'cre'), [''], 'only right behind the command');
  });
  test('of others is there, and of unknown shells refused', async () => {
    assert.match((await cli.run('completion', 'zsh')).out, /^compdef _gatehouse gatehouse$/m);
    assert.match((await cli.run('completion', 'fish')).out, /complete -c gatehouse .* -a start/);
    assert.match((await cli.run('completion', 'fish')).out, /__gatehouse_of user 2' -f -a disable$/m);
    assert.equal((await cli.run('completion', 'tcsh')).code, 2);
  });
});

test('init --ts writes a configuration that check takes, --schema the schema alone, and next steps are as typed', async () => {
  const typed = await cli.run('init', 'typed', '--ts');
  assert.equal(typed.code, 0);
  assert.match(typed.out, /gatehouse check typed\/gatehouse\.ts/);
  const checked = await cli.run('check', 'typed/gatehouse.ts', '--strict');
  assert.deepEqual([checked.code, checked.err], [0, '']);
  const schema = await cli.run('init', 'only', '--schema');
  assert.equal(schema.code, 0);
  assert.doesNotMatch(schema.out, /next/);
  assert.equal((await cli.run('check', 'only/gatehouse.yaml')).code, 1);
  assert.equal((await cli.run('init', 'x', '--ts', '--schema')).code, 2);
});
