import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { describe, it } from 'node:test';
import { FakeTimers } from '../../../../test/support/fake-timers.ts';
import { until } from '../../../../test/support/until.ts';
import { createLogger } from '../../../base/log.ts';
import { fileStore, WRITE_BEHIND_MS } from './file-store.ts';
import type { RegistryContent, StoredLease } from './store.ts';

const LEASE: StoredLease = {
  service: 'orders',
  id: 'i1',
  url: 'http://10.0.0.1:81',
  weight: 1,
  zone: null,
  metadata: { v: '1' },
  leaseMs: 30_000,
  registeredAtMs: 1_000,
  heldUntilMs: 0,
};

const content = (...ids: string[]): RegistryContent => ({
  leases: ids.map((id) => ({ ...LEASE, id })),
  comebacks: [{ service: 'orders', url: 'http://10.0.0.1:81', atMs: [5] }],
});

async function setUp(t: TestContext, inFolder = 'registry.json') {
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-registry-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, inFolder);
  const timers = new FakeTimers();
  const lines: { message: string }[] = [];
  const log = createLogger('info', (line) => lines.push(JSON.parse(line)));
  return { folder, path, timers, lines, store: fileStore(path, timers, log) };
}

describe('registry file', () => {
  it('gives back what was saved, to the next process', async (t) => {
    const { path, timers, store } = await setUp(t);
    assert.equal(await store.load(), null);
    store.save(() => content('a', 'b'));
    await store.flush();
    const next = fileStore(path, timers, createLogger('silent'));
    const loaded = await next.load();
    assert.deepEqual([loaded?.leases, loaded?.comebacks], [content('a', 'b').leases, content('a', 'b').comebacks]);
  });

  it('writes a burst of changes once, a moment later, with the latest content', async (t) => {
    const { path, timers, store } = await setUp(t);
    let asked = 0;
    for (let round = 0; round < 50; round++) {
      store.save(() => {
        asked++;
        return content(`i${round}`);
      });
    }
    await timers.advance(WRITE_BEHIND_MS - 1);
    assert.equal(asked, 0);
    await timers.advance(1);
    await store.flush();
    assert.equal(asked, 1);
    assert.match(await readFile(path, 'utf8'), /"i49"/);
  });

  it('leaves one whole file that others cannot read, and nothing beside it', {
    skip: process.platform === 'win32' && 'no file modes',
  }, async (t) => {
    const { folder, path, store } = await setUp(t);
    for (const id of ['a', 'b', 'c']) {
      store.save(() => content(id));
      await store.flush();
    }
    assert.deepEqual(await readdir(folder), ['registry.json']);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
  });

  it('is not hurt by a half-written file beside it, as a crash leaves one', async (t) => {
    const { path, store } = await setUp(t);
    store.save(() => content('a'));
    await store.flush();
    await writeFile(`${path}.new`, '{"version":1,"leas');
    assert.equal((await store.load())?.leases.length, 1);
    store.save(() => content('a', 'b'));
    await store.flush();
    assert.equal((await store.load())?.leases.length, 2);
  });

  for (const [name, text] of [
    ['cut off', '{"version":1,"leases":['],
    ['of another kind', '{"version":1,"leases":[{"service":7}],"comebacks":[]}'],
    ['of a later version', '{"version":2,"leases":[],"comebacks":[]}'],
  ] as const) {
    it(`moves a file aside that is ${name}, and says so`, async (t) => {
      const { folder, path, store } = await setUp(t);
      await writeFile(path, text);
      await assert.rejects(store.load(), /is not a registry file and was moved aside/);
      assert.deepEqual(await readdir(folder), ['registry.json.unreadable']);
      assert.equal(await store.load(), null);
    });
  }

  it('logs a write that fails, tells whoever waits for it, and tries again', async (t) => {
    const { folder, timers, lines, store } = await setUp(t, 'missing/registry.json');
    store.save(() => content('a'));
    await timers.advance(WRITE_BEHIND_MS);
    await until(() => lines.length === 1, 'a log line');
    assert.equal(lines[0]?.message, 'the registry could not be written');
    await assert.rejects(store.flush(), /ENOENT/);
    const { mkdir } = await import('node:fs/promises');
    await mkdir(join(folder, 'missing'));
    await store.flush();
    assert.equal((await store.load())?.leases.length, 1);
  });
});
