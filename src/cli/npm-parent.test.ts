import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { FakeTimers } from '../../test/support/fake-timers.ts';
import { onParentGone } from './npm-parent.ts';

const BIN = fileURLToPath(new URL('../../bin/gatehouse.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'gatehouse-'));
after(() => rmSync(folder, { recursive: true, force: true }));
writeFileSync(
  join(folder, 'gatehouse.json'),
  JSON.stringify({
    gateway: { port: 0, host: '127.0.0.1', dataDir: join(folder, 'data') },
    routes: [{ match: { path: '/*' }, respond: { body: 'hello' }, auth: 'public' }],
  }),
);

const watched = [
  { name: 'npx', env: { npm_command: 'exec' }, ends: 1 },
  { name: 'npm start', env: { npm_lifecycle_event: 'start' }, ends: 1 },
  { name: 'gatehouse dev', env: { GATEHOUSE_DEV_PARENT: '1' }, ends: 1 },
  { name: 'anything else', env: {}, ends: 0 },
];
for (const { name, env, ends } of watched) {
  test(`what ${name} has started ends ${ends === 1 ? 'once' : 'never'} when its parent has gone`, async () => {
    const timers = new FakeTimers();
    let parent = 4_711;
    let ended = 0;
    onParentGone(env, () => ended++, { timers, parent: () => parent });
    await timers.advance(60_000);
    assert.equal(ended, 0, 'while the parent is there');
    parent = 1;
    await timers.advance(60_000);
    assert.equal(ended, ends);
  });
}

test('a watch that was given up calls nobody', async () => {
  const timers = new FakeTimers();
  let parent = 4_711;
  const forget = onParentGone({ npm_command: 'exec' }, () => assert.fail('called'), { timers, parent: () => parent });
  forget();
  parent = 1;
  await timers.advance(60_000);
});

// npm sends a signal to this shell only, which waits and does not pass it on.
test('a shell of npm that a signal ends leaves no gateway behind', { skip: process.platform === 'win32' }, async () => {
  const shell = spawn('sh', ['-c', '"$0" "$1" start; exit $?', process.execPath, BIN], {
    cwd: folder,
    env: { ...process.env, npm_lifecycle_event: 'npx', NODE_TEST_CONTEXT: undefined },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [out, err] = [textOf(shell.stdout), textOf(shell.stderr)];
  await out.has('listens on');
  const address = /http:\S+/.exec(out.text())![0];
  assert.equal(await (await fetch(address)).text(), 'hello');
  shell.kill('SIGTERM');
  await once(shell, 'exit');
  // Both ends are open as long as the gateway is there.
  await Promise.all([out.ended, err.ended]);
  assert.equal(err.text(), 'what started this gateway has ended: so does the gateway\n');
  await assert.rejects(fetch(address));
});

function textOf(stream: Readable): { text(): string; has(part: string): Promise<void>; ended: Promise<unknown> } {
  let text = '';
  stream.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  const ended = once(stream, 'end');
  return {
    text: () => text,
    ended,
    async has(part) {
      while (!text.includes(part)) {
        const over = await Promise.race([once(stream, 'data'), ended.then(() => null)]);
        assert.notEqual(over, null, `ended after ${text}`);
      }
    },
  };
}
