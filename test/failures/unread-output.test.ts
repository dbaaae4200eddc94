/**
 * Standard output and standard error that nobody reads: a full pipe for each, one for both, a reader that has gone.
 * None of them holds up requests, a reload, a takeover or the end, and what is lost is bounded and counted.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync, readSync, writeFileSync, writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readSeries } from '../support/series.ts';
import { until } from '../support/until.ts';
import { deadPort } from '../support/upstream.ts';

const PROGRAM = fileURLToPath(new URL('../../tools/gatehouse.ts', import.meta.url));
const PATIENCE_MS = 90_000;
/** Far less than `gateway.shutdownTimeout` (30 s): nothing is in flight when it is asked to end. */
const END_MS = 25_000;
const PIECE = Buffer.alloc(4_096, 'z');

/** A pipe that has room for nothing once it is full; both of its ends are the test's. */
class Pipe {
  readonly #path: string;
  readonly #fds: number[] = [];
  readonly #own: number;

  constructor(t: TestContext, folder: string) {
    this.#path = join(folder, 'pipe');
    execFileSync('mkfifo', [this.#path]);
    this.#own = openSync(this.#path, constants.O_RDWR | constants.O_NONBLOCK);
    t.after(() => {
      for (const fd of [this.#own, ...this.#fds]) closeSync(fd);
    });
  }

  /** For one process: what it sets on its end holds for no other. */
  end(): number {
    const fd = openSync(this.#path, constants.O_RDWR);
    this.#fds.push(fd);
    return fd;
  }

  fill(): void {
    for (const bytes of [PIECE, PIECE.subarray(0, 1)])
      try {
        for (;;) writeSync(this.#own, bytes);
      } catch (error) {
        assert.equal((error as NodeJS.ErrnoException).code, 'EAGAIN');
      }
  }

  /** What is in it. */
  read(): string {
    const bytes = Buffer.alloc(65_536);
    try {
      return bytes.toString('utf8', 0, readSync(this.#own, bytes));
    } catch {
      return '';
    }
  }
}

async function folderOf(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'gh-unread-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** The configuration of a gateway, written to its folder; `body` is what it responds with. */
function configure(folder: string, port: number, body: string): string {
  const file = join(folder, 'gatehouse.json');
  writeFileSync(join(folder, 'prints.mjs'), PRINTS);
  const document = {
    gateway: { host: '127.0.0.1', port, workers: 1, dataDir: folder, accessLog: 'stdout' },
    routes: [
      { match: { path: '/a/*' }, respond: { body }, auth: 'public' },
      { match: { path: '/prints' }, handler: join(folder, 'prints.mjs'), auth: 'public' },
    ],
  };
  writeFileSync(file, JSON.stringify(document));
  return file;
}

/** Each call prints 200 KB. */
const PRINTS = `import { defineHandler } from 'gatehouse/policy';
export default defineHandler(() => { console.error('p'.repeat(200_000)); return new Response('printed'); });`;

type Stdio = 'ignore' | 'pipe' | number;

function run(t: TestContext, args: readonly string[], stdout: Stdio, stderr: Stdio): ChildProcess {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    stdio: ['ignore', stdout, stderr],
    env: { ...process.env, NODE_TEST_CONTEXT: '' },
  });
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const isGone = once(child, 'exit');
    if (child.kill('SIGKILL')) await isGone;
  });
  return child;
}

const bodyAt = async (port: number): Promise<string> =>
  (await fetch(`http://127.0.0.1:${port}/a/${'x'.repeat(1_500)}`)).text();

const serves = (port: number, body: string): Promise<void> =>
  until(async () => (await bodyAt(port).catch(() => '')) === body, `it responds with ${body}`, PATIENCE_MS);

async function endsWith(child: ChildProcess, code: number): Promise<void> {
  const ended = (): boolean => child.exitCode !== null || child.signalCode !== null;
  await until(ended, 'the process ends', END_MS);
  assert.deepEqual([child.exitCode, child.signalCode], [code, null]);
}

for (const name of ['standard output', 'standard error', 'one pipe for both']) {
  test(`a full pipe that nobody reads as ${name} holds up neither a reload, nor SIGTERM, nor a takeover`, {
    timeout: 280_000,
  }, async (t) => {
    const folder = await folderOf(t);
    const port = await deadPort();
    const file = configure(folder, port, 'one');
    const pipe = new Pipe(t, folder);
    pipe.fill();
    const start = (...more: string[]): ChildProcess => {
      const end = pipe.end();
      const stdout = name === 'standard error' ? 'ignore' : end;
      return run(t, ['start', file, ...more], stdout, name === 'standard output' ? 'ignore' : end);
    };

    const first = start();
    await serves(port, 'one');
    configure(folder, port, 'two');
    first.kill('SIGHUP');
    await serves(port, 'two');

    const second = start('--takeover');
    await endsWith(first, 0);
    for (let i = 0; i < 100; i++) assert.equal(await bodyAt(port), 'two');
    second.kill('SIGTERM');
    await endsWith(second, 0);
  });
}

test('what nobody reads is kept up to a bound, then dropped and counted, and a line says so later', {
  timeout: 280_000,
}, async (t) => {
  const folder = await folderOf(t);
  const port = await deadPort();
  const pipe = new Pipe(t, folder);
  const child = run(t, ['start', configure(folder, port, 'one')], 'ignore', pipe.end());
  await serves(port, 'one');
  const url = `http://127.0.0.1:${port}`;
  const dropped = async (): Promise<number> => (await readSeries(url)).get('gatehouse_process_log_dropped_total')!;
  assert.equal(await dropped(), 0);
  for (let i = 0; i < 50; i++) assert.equal(await (await fetch(`${url}/prints`)).text(), 'printed');
  // 10 MB were printed, and 4 MB are kept.
  await until(async () => (await dropped()) > 10, 'it drops some', PATIENCE_MS);

  let text = '';
  const isSaid = async (): Promise<boolean> => {
    text = (text + pipe.read()).slice(-400_000);
    await fetch(`${url}/prints`);
    return text.includes('what was written here is lost');
  };
  await until(isSaid, 'it says how many were lost', PATIENCE_MS);
  child.kill('SIGTERM');
  await endsWith(child, 0);
});

test('a reader of both that goes away ends no gateway', { timeout: 200_000 }, async (t) => {
  const folder = await folderOf(t);
  const port = await deadPort();
  const child = run(t, ['start', configure(folder, port, 'one')], 'pipe', 'pipe');
  await serves(port, 'one');
  child.stdout!.destroy();
  child.stderr!.destroy();
  for (let i = 0; i < 3; i++) await fetch(`http://127.0.0.1:${port}/prints`);
  configure(folder, port, 'two');
  child.kill('SIGHUP');
  await serves(port, 'two');
  child.kill('SIGTERM');
  await endsWith(child, 0);
});

for (const args of [['dev'], ['identity', '--listen'], ['limits', '--listen']]) {
  test(`\`gatehouse ${args[0]}\` ends at SIGTERM while nobody reads what it prints`, {
    timeout: 200_000,
  }, async (t) => {
    const folder = await folderOf(t);
    const port = await deadPort();
    const file = configure(folder, port, 'one');
    const pipe = new Pipe(t, folder);
    pipe.fill();
    const rest = args[0] === 'dev' ? [file] : [`127.0.0.1:${port}`, '--config', file];
    const end = pipe.end();
    const child = run(t, [...args, ...rest], end, end);
    const isThere = (): Promise<boolean> =>
      fetch(`http://127.0.0.1:${port}/`).then(
        () => true,
        () => false,
      );
    await until(isThere, 'it listens', PATIENCE_MS);
    child.kill('SIGTERM');
    await endsWith(child, 0);
  });
}
