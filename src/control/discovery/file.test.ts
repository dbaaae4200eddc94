import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { describe, it } from 'node:test';
import { until } from '../../../test/support/until.ts';
import { systemTimers } from '../../base/system-timers.ts';
import { fileSource, SETTLE_MS } from './file.ts';
import { seen, sourceSuite, startSource } from './source.suite.ts';

const POLL_MS = 5_000;

async function temporary(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-file-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** As whoever writes such a file should: whole, beside it, renamed over it. */
async function replace(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}

sourceSuite('file', async (t) => {
  const path = join(await temporary(t), 'list.yaml');
  const first = '- http://10.0.0.1:81\n';
  await writeFile(path, first);
  return {
    start: () => startSource(t, fileSource, { path, pollIntervalMs: POLL_MS }),
    first: ['http://10.0.0.1:81'],
    change: async () => {
      await replace(path, '["http://10.0.0.2:82", "http://10.0.0.1:81"]');
      return ['http://10.0.0.2:82', 'http://10.0.0.1:81'];
    },
    break: () => replace(path, '- not a url'),
    mend: () => replace(path, first),
    lookMs: POLL_MS,
  };
});

describe('file source', () => {
  it('hears of a change from the system, without polling', async (t) => {
    const path = join(await temporary(t), 'list.json');
    await writeFile(path, '["http://10.0.0.1:81"]');
    const { told } = startSource(t, fileSource, { path, pollIntervalMs: 3_600_000 }, { timers: systemTimers });
    await until(() => told.last !== undefined, 'a first list');
    await replace(path, '["http://10.0.0.2:82"]');
    await until(() => told.urls.join() === 'http://10.0.0.2:82', 'the change');
  });

  it('sees the links of a mounted ConfigMap move', async (t) => {
    const folder = await temporary(t);
    for (const [version, port] of [
      ['v1', 81],
      ['v2', 82],
    ] as const) {
      await mkdir(join(folder, version));
      await writeFile(join(folder, version, 'list.yaml'), `- http://10.0.0.1:${port}\n`);
    }
    await symlink('v1', join(folder, '..data'));
    await symlink('..data/list.yaml', join(folder, 'list.yaml'));
    const { told, timers } = startSource(t, fileSource, { path: join(folder, 'list.yaml'), pollIntervalMs: POLL_MS });
    await until(() => told.last !== undefined, 'a first list');
    await symlink('v2', join(folder, '..data.new'));
    await rename(join(folder, '..data.new'), join(folder, '..data'));
    await seen(timers, SETTLE_MS, () => told.urls.join() === 'http://10.0.0.1:82', 'the new list');
  });

  it('does not take a list that is still being written', async (t) => {
    const path = join(await temporary(t), 'list.yaml');
    await writeFile(path, '- http://10.0.0.1:81\n');
    const { told, timers } = startSource(t, fileSource, { path, pollIntervalMs: POLL_MS });
    await until(() => told.last !== undefined, 'a first list');
    let text = '';
    for (let port = 1; port <= 5; port++) {
      text += `- http://10.0.0.2:${port}\n`;
      await writeFile(path, text);
      // One look at each stage; none is seen twice, so none is taken.
      await timers.advance(SETTLE_MS);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.deepEqual(told.urls, ['http://10.0.0.1:81']);
    await seen(timers, SETTLE_MS, () => told.urls.length === 5, 'the finished list');
    assert.equal(told.lists.length, 2);
  });

  it('begins with a problem when the file is not there, and finds it when it comes', async (t) => {
    const path = join(await temporary(t), 'list.yaml');
    const { told, timers } = startSource(t, fileSource, { path, pollIntervalMs: POLL_MS });
    await until(() => told.problems.length > 0, 'a problem');
    assert.match(told.problem ?? '', /ENOENT/);
    assert.equal(told.lists.length, 0);
    await replace(path, '- http://10.0.0.1:81\n');
    await seen(timers, POLL_MS, () => told.urls.length === 1, 'the list');
    assert.equal(told.problem, null);
  });

  it('keeps the last list when the file goes away, and takes the same text again without a change', async (t) => {
    const path = join(await temporary(t), 'list.yaml');
    await writeFile(path, '- http://10.0.0.1:81\n');
    const { told, timers } = startSource(t, fileSource, { path, pollIntervalMs: POLL_MS });
    await until(() => told.last !== undefined, 'a first list');
    await rm(path);
    await seen(timers, POLL_MS, () => typeof told.problem === 'string', 'a problem');
    assert.match(told.problem ?? '', /ENOENT.*keeping the last list of 1$/);
    await replace(path, '- http://10.0.0.1:81\n');
    await seen(timers, POLL_MS, () => told.problem === null, 'the end of the problem');
    assert.deepEqual(told.urls, ['http://10.0.0.1:81']);
  });

  it('watches a file in a folder that is not there yet by looking for it', async (t) => {
    const folder = join(await temporary(t), 'later');
    const path = join(folder, 'list.yaml');
    const { told, timers } = startSource(t, fileSource, { path, pollIntervalMs: POLL_MS });
    await until(() => told.problems.length > 0, 'a problem');
    await mkdir(folder);
    await writeFile(path, '- http://10.0.0.1:81\n');
    await seen(timers, POLL_MS, () => told.urls.length === 1, 'the list');
  });

  it('refuses a file of many megabytes before it reads it', async (t) => {
    const path = join(await temporary(t), 'list.yaml');
    await writeFile(path, `# ${'x'.repeat(5 * 1024 ** 2)}`);
    const { told } = startSource(t, fileSource, { path, pollIntervalMs: POLL_MS });
    await until(() => told.problems.length > 0, 'a problem');
    assert.match(told.problem ?? '', /larger than 4194304 bytes/);
  });
});
