import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { describe, it } from 'node:test';
import { createLogger } from '../../base/log.ts';
import { History } from './history.ts';

const CHANGE = { author: 'ann', reason: 'because' };

async function folderOf(test: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'gh-'));
  test.after(() => rm(folder, { recursive: true, force: true }));
  return join(folder, 'history');
}

async function open(folder: string, logged: string[] = []): Promise<History> {
  const history = new History(
    folder,
    createLogger('info', (line) => void logged.push(line)),
  );
  await history.open();
  return history;
}

describe('the history of the configuration', () => {
  it('outlives the process, newest first, with who, when and why', async (test) => {
    const folder = await folderOf(test);
    const first = await open(folder);
    await first.record('a: 1', CHANGE, 'g.yaml', true);
    await first.record('a: 2', { author: 'bob', reason: 'more' }, 'g.yaml', true);
    const second = await open(folder);
    assert.deepEqual(
      second.list().map(({ revision, author, reason }) => [revision, author, reason]),
      [
        [2, 'bob', 'more'],
        [1, 'ann', 'because'],
      ],
    );
    assert.equal((await second.read(1))?.text, 'a: 1');
    assert.equal(await second.read(3), null);
  });

  it('has the same text once, as after a restart', async (test) => {
    const history = await open(await folderOf(test));
    const first = await history.record('a: 1', CHANGE, 'g.yaml', true);
    assert.equal((await history.record('a: 1', CHANGE, 'g.yaml', true)).revision, first.revision);
    assert.equal(history.list().length, 1);
  });

  it('is for the owner alone, since documents may hold secrets', {
    skip: process.platform === 'win32',
  }, async (test) => {
    const folder = await folderOf(test);
    await (await open(folder)).record('password: x', CHANGE, 'g.yaml', true);
    const [name = ''] = await readdir(folder);
    assert.equal((await stat(join(folder, name))).mode & 0o077, 0);
    assert.equal((await stat(folder)).mode & 0o077, 0);
  });

  it('keeps fifty, and 32 megabytes, and at least three', async (test) => {
    const folder = await folderOf(test);
    const history = await open(folder);
    for (let i = 0; i < 55; i++) await history.record(`a: ${i}`, CHANGE, 'g.yaml', true);
    assert.deepEqual([history.list().length, history.list().at(-1)?.revision], [50, 6]);
    assert.equal((await readdir(folder)).length, 50);
    for (let i = 0; i < 3; i++) await history.record(`${i}${'x'.repeat(20 * 1024 ** 2)}`, CHANGE, 'g.yaml', true);
    assert.deepEqual(
      history.list().map(({ revision }) => revision),
      [58, 57, 56],
    );
  });

  it('leaves out what is damaged, says so, and numbers on', async (test) => {
    const folder = await folderOf(test);
    await (await open(folder)).record('a: 1', CHANGE, 'g.yaml', true);
    await writeFile(join(folder, '00000002.json'), '{"revision":2,"restorable":true,"text":"a: 2","hash":"forged"}');
    await writeFile(join(folder, '00000003.json'), '{');
    const logged: string[] = [];
    const history = await open(folder, logged);
    assert.deepEqual(
      history.list().map(({ revision }) => revision),
      [1],
    );
    assert.equal(logged.filter((line) => line.includes('cannot be read')).length, 2);
  });
});
