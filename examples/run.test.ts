/** The launcher as people start it: everything comes up with one command, says what to try, and goes away again. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { freePorts } from '../test/support/ports.ts';

const LAUNCHER = fileURLToPath(new URL('run.ts', import.meta.url));
const GATEHOUSE_COMMAND = fileURLToPath(new URL('../tools/gatehouse.ts', import.meta.url));
const NAMES = ['STORYVERSE_PORT', 'STORIES_1_PORT', 'STORIES_2_PORT', 'LIBRARY_PORT', 'GENERATOR_PORT'];
/** Five processes on a busy machine. */
const DEADLINE_MS = 90_000;

interface Launched {
  readonly child: ChildProcess;
  readonly exit: Promise<[number | null, NodeJS.Signals | null]>;
  output(): string;
  /** Resolves when it has printed this; rejects when it ends before. */
  until(text: string): Promise<void>;
}

function launch(args: readonly string[], env: Readonly<Record<string, string>> = {}): Launched {
  const child = spawn(process.execPath, [LAUNCHER, ...args], { env: { ...process.env, ...env }, stdio: 'pipe' });
  const exit = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  const until = async (text: string): Promise<void> => {
    const signal = AbortSignal.timeout(DEADLINE_MS);
    while (!output.includes(text)) {
      const [what] = await Promise.race([once(child.stdout, 'data', { signal }), exit]);
      if (typeof what !== 'string') assert.fail(`it ended before it said "${text}": ${output}`);
    }
  };
  return { child, exit, output: () => output, until };
}

test('one command starts services and gateway, prints what to try, and SIGTERM ends all of it', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'gh-launch-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const ports = await freePorts(NAMES.length);
  const env = {
    GATEHOUSE_COMMAND,
    STORYVERSE_DATA: folder,
    ...Object.fromEntries(NAMES.map((name, i) => [name, String(ports[i])])),
  };
  const { child, exit, output, until } = launch(['storyverse'], env);
  t.after(() => child.kill('SIGKILL'));
  await until('Ctrl-C ends it.');
  const url = `http://127.0.0.1:${ports[0]}`;
  assert.ok(output().indexOf('gatehouse listens on') < output().indexOf('Try, in another terminal'), output());
  assert.ok(output().includes(`curl -s ${url}/docs`), output());
  assert.equal((await fetch(`${url}/docs`, { headers: { connection: 'close' } })).status, 200);

  // A second one would disturb the first.
  const second = launch(['storyverse'], env);
  assert.deepEqual(await second.exit, [1, null]);
  assert.match(second.output(), /^port \d+, which stories \(1\) wants, is in use/m);

  child.kill('SIGTERM');
  assert.deepEqual(await exit, [0, null], output());
  for (const port of ports) await assert.rejects(fetch(`http://127.0.0.1:${port}/`), TypeError);
});

test('without the name of an example, or with a wrong one, it names them all', async () => {
  for (const args of [[], ['storyvers']]) {
    const { exit, output } = launch(args);
    assert.deepEqual(await exit, [2, null]);
    assert.match(output(), /one of: .*enhanced.*quickstart.*storyverse/);
  }
});

test('when whoever started the launcher is gone, nothing is left running', async (t) => {
  const [gateway, app] = (await freePorts(2)) as [number, number];
  const shell = spawn('sh', ['-c', '"$0" "$1" browser & echo started; wait', process.execPath, LAUNCHER], {
    env: { ...process.env, GATEHOUSE_COMMAND, GATEWAY_PORT: String(gateway), APP_PORT: String(app) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => shell.kill('SIGKILL'));
  const answers = (port: number): Promise<boolean> =>
    fetch(`http://127.0.0.1:${port}/`).then(
      () => true,
      () => false,
    );
  const reached = async (wanted: boolean): Promise<void> => {
    const giveUpMs = performance.now() + DEADLINE_MS;
    for (const port of [gateway, app]) {
      while ((await answers(port)) !== wanted) {
        assert.ok(performance.now() < giveUpMs, `port ${port} ${wanted ? 'is not' : 'is still'} served`);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  };
  await reached(true);
  shell.kill('SIGKILL');
  await reached(false);
});
