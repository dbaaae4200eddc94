/** `gatehouse log-level` against a real process, whose log is its standard error. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { commandLine } from './command-line.suite.ts';

const GATEHOUSE = fileURLToPath(new URL('../../tools/gatehouse.ts', import.meta.url));
const CONTRACT = new URL('../data/contract/user-policy.ts', import.meta.url).href;
const POLICY = `import { definePolicy } from '${CONTRACT}';
export default definePolicy({
  name: 'seen',
  create: (_options, { log }) => ({ requestHead: () => void log.debug('seen by the policy') }),
});
`;

interface Line {
  readonly level: string;
  readonly area?: string;
  readonly message: string;
}

class Log {
  readonly lines: Line[] = [];
  #rest = '';
  #wake = (): void => {};

  constructor(child: ChildProcess) {
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      const parts = (this.#rest + text).split('\n');
      this.#rest = parts.pop() ?? '';
      for (const part of parts) {
        assert.ok(part.startsWith('{'), part);
        this.lines.push(JSON.parse(part) as Line);
      }
      this.#wake();
    });
  }

  /** The first line that fits, when it is there. */
  async find(fits: (line: Line) => boolean): Promise<Line> {
    const endMs = Date.now() + 90_000;
    for (;;) {
      const found = this.lines.find(fits);
      if (found !== undefined) return found;
      assert.ok(Date.now() < endMs, JSON.stringify(this.lines));
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, 1_000);
      });
    }
  }
}

test('one area speaks up while the rest is silent, and holds its tongue again', { timeout: 240_000 }, async (t) => {
  const cli = commandLine();
  t.after(() => cli.remove());
  const file = join(cli.folder, 'gatehouse.yaml');
  writeFileSync(
    file,
    `gateway: { host: 127.0.0.1, port: 0, workers: 1, logLevel: error, logLevels: { cluster: warn } }
services:
  a: { discovery: { file: { path: ./instances.json } } }
routes:
  - { match: { path: /a }, service: a, auth: public }
  - { match: { path: /seen }, respond: { body: seen }, auth: public, use: ./policy.ts }
`,
  );
  const instances = (...ports: number[]): void => {
    const next = join(cli.folder, 'next.json');
    writeFileSync(next, JSON.stringify(ports.map((port) => ({ url: `http://127.0.0.1:${port}` }))));
    renameSync(next, join(cli.folder, 'instances.json'));
  };
  instances(1);
  writeFileSync(join(cli.folder, 'policy.ts'), POLICY);
  const child = spawn(process.execPath, [GATEHOUSE, 'start', file, '--json'], {
    cwd: cli.folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  const log = new Log(child);
  const [started] = (await once(child.stdout!, 'data')) as [Buffer];
  const { addresses } = JSON.parse(String(started)) as { addresses: { port: number }[] };
  const visit = async (): Promise<void> => {
    const response = await fetch(`http://127.0.0.1:${addresses[0]?.port}/seen`);
    assert.equal(await response.text(), 'seen', JSON.stringify(log.lines));
  };
  await visit();

  assert.equal((await cli.run('log-level', 'discovery', 'info')).code, 2, 'without a reason');
  assert.match((await cli.run('log-level', 'discovry', 'info', '--reason', 'x')).err, /"discovry" is not an area/);
  const set = await cli.run('log-level', 'discovery', 'info', '--reason', 'a test', '--for', '10m');
  assert.equal(set.code, 0, set.err);
  assert.match(set.out, /^discovery: log level set by hand until /);
  instances(1, 2);
  assert.equal((await log.find(({ message }) => message === 'instances changed')).area, 'discovery');

  assert.equal((await cli.run('log-level', 'traffic', 'debug', '--reason', 'a test')).code, 0);
  const endMs = Date.now() + 90_000;
  while (!log.lines.some(({ message }) => message === 'seen by the policy')) {
    assert.ok(Date.now() < endMs);
    await visit();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.equal((await log.find(({ level }) => level === 'debug')).area, 'traffic');
  // Everything else has the level of the configuration.
  assert.deepEqual(new Set(log.lines.map(({ area }) => area)), new Set(['discovery', 'traffic']));

  assert.match((await cli.run('log-level', 'discovery', 'reset')).out, /the configuration holds again/);
  const before = log.lines.filter(({ message }) => message === 'instances changed').length;
  instances(1, 2, 3);
  const seen = async (): Promise<number> => {
    const { out } = await cli.run('instance', 'list', '--json');
    return (JSON.parse(out) as { instances: unknown[] }[])[0]?.instances.length ?? 0;
  };
  while ((await seen()) < 3) assert.ok(Date.now() < endMs + 90_000);
  assert.equal(log.lines.filter(({ message }) => message === 'instances changed').length, before);
  child.kill('SIGTERM');
  await once(child, 'exit');
});
