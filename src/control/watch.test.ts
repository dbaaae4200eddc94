import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { describe, it } from 'node:test';
import { until } from '../../test/support/until.ts';
import { createLogger } from '../base/log.ts';
import { FileWatch } from './watch.ts';

async function folderOf(test: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'gh-'));
  test.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

function watching(test: TestContext, files: readonly string[]) {
  const changes: string[] = [];
  const watch = new FileWatch((file) => changes.push(file), createLogger('silent'));
  watch.set(files);
  test.after(() => watch.close());
  return { changes, watch };
}

describe('watching files', () => {
  it('names the file that changed', async (test) => {
    const folder = await folderOf(test);
    const [a, b] = [join(folder, 'a'), join(folder, 'b')];
    await writeFile(a, '1');
    await writeFile(b, '1');
    const { changes } = watching(test, [a, b]);
    await writeFile(b, '22');
    await until(() => changes.length > 0, 'the change');
    assert.deepEqual(changes, [b]);
  });

  it('hears a save while another file in the folder changes without end', async (test) => {
    const folder = await folderOf(test);
    const file = join(folder, 'gatehouse.yaml');
    await writeFile(file, '1');
    const { changes } = watching(test, [file]);
    let busy = true;
    const noise = (async () => {
      for (let i = 0; busy; i++) await writeFile(join(folder, 'noise.log'), String(i));
    })();
    await writeFile(file, '22');
    await until(() => changes.length > 0, 'the change');
    busy = false;
    await noise;
  });

  it('hears a file that keeps changing, without waiting for its end', async (test) => {
    const folder = await folderOf(test);
    const file = join(folder, 'gatehouse.yaml');
    await writeFile(file, '1');
    const { changes } = watching(test, [file]);
    let busy = true;
    const saving = (async () => {
      for (let i = 0; busy; i++) await writeFile(file, 'x'.repeat(i % 100));
    })();
    await until(() => changes.length > 0, 'the change');
    busy = false;
    await saving;
  });

  it('follows a switched link, as Kubernetes mounts files', async (test) => {
    const folder = await folderOf(test);
    for (const version of ['1', '2']) {
      await mkdir(join(folder, `..v${version}`));
      await writeFile(join(folder, `..v${version}`, 'g.yaml'), `version ${version}`);
    }
    await symlink('..v1', join(folder, '..data'));
    await symlink(join('..data', 'g.yaml'), join(folder, 'g.yaml'));
    const { changes } = watching(test, [join(folder, 'g.yaml')]);
    await symlink('..v2', join(folder, '..new'));
    await rename(join(folder, '..new'), join(folder, '..data'));
    await until(() => changes.length > 0, 'the switch');
  });

  it('sees a change that gives no event: behind a link to another folder', async (test) => {
    const [folder, elsewhere] = [await folderOf(test), await folderOf(test)];
    await writeFile(join(elsewhere, 'real.yaml'), '1');
    await symlink(join(elsewhere, 'real.yaml'), join(folder, 'g.yaml'));
    const { changes } = watching(test, [join(folder, 'g.yaml')]);
    await writeFile(join(elsewhere, 'real.yaml'), '22');
    await until(() => changes.length > 0, 'the look at the file', 30_000);
  });

  it('does not lose a change between reading a file and watching it', async (test) => {
    const folder = await folderOf(test);
    const file = join(folder, 'g.yaml');
    await writeFile(file, '1');
    const changes: string[] = [];
    const watch = new FileWatch((changed) => changes.push(changed), createLogger('silent'));
    test.after(() => watch.close());
    watch.note(file);
    await writeFile(file, '22');
    watch.set([file]);
    await until(() => changes.length > 0, 'the change', 30_000);
  });

  it('is quiet about a write of our own', async (test) => {
    const folder = await folderOf(test);
    const [own, other] = [join(folder, 'own'), join(folder, 'other')];
    await writeFile(own, '1');
    await writeFile(other, '1');
    const { changes, watch } = watching(test, [own, other]);
    await writeFile(own, '22');
    watch.accept();
    await writeFile(other, '22');
    await until(() => changes.length > 0, 'the other change');
    assert.deepEqual(changes, [other]);
  });
});
