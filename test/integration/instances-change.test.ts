/** Instances that discovery finds while the gateway runs: in use at once, and nothing else is touched. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

async function named(test: Scope, name: string): Promise<string> {
  return (await httpUpstream(test, (_request, response) => response.end(name))).url;
}

async function begin(
  test: Scope,
  more: object = {},
  use: object = {},
): Promise<{ gateway: TestGateway; urls: Record<string, string> }> {
  const urls = { a: await named(test, 'a'), b: await named(test, 'b'), other: await named(test, 'other') };
  const gateway = await startTestGateway(test, {
    gateway: more as Record<string, unknown>,
    services: { s: { instances: [], discovery: { file: { path: 'found.json' } } }, o: { instances: [urls.other] } },
    routes: [
      { match: { path: '/s/*' }, service: 's', auth: 'public' },
      { match: { path: '/o/*' }, service: 'o', auth: 'public', ...use },
    ],
  });
  return { gateway, urls };
}

async function body(gateway: TestGateway, path: string): Promise<string> {
  const response = await fetch(`${gateway.url}${path}`);
  return response.ok ? await response.text() : String(response.status);
}

test('they take requests from then on, those that are gone none, and no route is compiled for it', async (t) => {
  const { gateway, urls } = await begin(t);
  const { configuration } = gateway.primary;
  const { routes } = configuration.compiled.snapshot;
  const { version } = gateway.primary.snapshot;
  assert.equal((await gateway.primary.setDiscovered({ s: [{ url: urls['a']! }] })).version, version + 1);
  assert.equal(await body(gateway, '/s/x'), 'a');
  assert.ok((await gateway.primary.setDiscovered({ s: [{ url: urls['b']! }] })).ok);
  for (let i = 0; i < 5; i++) assert.equal(await body(gateway, '/s/x'), 'b');
  assert.equal(await body(gateway, '/o/x'), 'other');
  assert.equal(configuration.compiled.snapshot.routes, routes, 'the very same routes');
  assert.equal(gateway.primary.snapshot.version, version + 2);
  // The same again is no change.
  assert.equal((await gateway.primary.setDiscovered({ s: [{ url: urls['b']! }] })).version, version + 2);
});

test('a reload keeps them, and a worker that takes another’s place has them', async (t) => {
  const { gateway, urls } = await begin(t);
  await gateway.primary.setDiscovered({ s: [{ url: urls['a']! }] });
  assert.ok((await gateway.reload('again')).ok);
  assert.equal(await body(gateway, '/s/x'), 'a');
  await gateway.primary.setDiscovered({ s: [{ url: urls['b']! }] });
  const [worker] = gateway.primary.workers.status();
  await gateway.primary.workers.terminate(worker!.index);
  await until(() => gateway.primary.workers.status()[0]?.restarts === 1, 'the worker is replaced', 60_000);
  await until(() => gateway.primary.workers.listening === 1, 'another one listens', 60_000);
  assert.equal(await body(gateway, '/s/x'), 'b');
});

test('what cannot be taken leaves the former ones in use', async (t) => {
  const { gateway, urls } = await begin(t);
  await gateway.primary.setDiscovered({ s: [{ url: urls['a']! }] });
  const many = Array.from({ length: 20_000 }, (_, i) => ({ url: `http://10.1.${i >> 8}.${i & 255}:80` }));
  const refused = await gateway.primary.setDiscovered({ s: many });
  assert.equal(refused.ok, false);
  assert.match(refused.problems.join(), /too many/);
  assert.equal(await body(gateway, '/s/x'), 'a');
});

/** In the thread of a spare it writes that it is being loaded, and is loaded when the file `go` is there. */
const SLOW_FOR_SPARES = `import { existsSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { threadName } from 'node:worker_threads';
import { definePolicy } from 'gatehouse/policy';
const at = (name) => new URL(name, import.meta.url);
if (threadName === 'gatehouse-spare') {
  writeFileSync(at('loading'), '');
  while (!existsSync(at('go'))) await delay(5);
}
export default definePolicy({ name: 'slow', create: () => ({}) });`;

test('a spare that is still starting is not waited for, and has them when it takes a place', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'gh-spare-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, 'slow.ts'), SLOW_FOR_SPARES);
  const { gateway, urls } = await begin(t, { spareWorker: true }, { use: join(folder, 'slow.ts') });
  const { primary } = gateway;
  await until(() => existsSync(join(folder, 'loading')), 'a spare is starting', 60_000);
  for (const name of ['a', 'b']) {
    assert.ok((await primary.setDiscovered({ s: [{ url: urls[name]! }] })).ok);
    assert.equal(await body(gateway, '/s/x'), name);
  }
  assert.equal(primary.workers.hasSpare, false);
  await writeFile(join(folder, 'go'), '');
  await until(() => primary.workers.hasSpare, 'the spare stands by', 60_000);
  await primary.workers.terminate(0);
  await until(() => primary.workers.status()[0]?.restarts === 1, 'it takes the place', 60_000);
  await until(() => primary.workers.listening === 1, 'it listens', 60_000);
  assert.equal(await body(gateway, '/s/x'), 'b');
});

test('a spare that still takes instances when it takes a place counts as listening once one can connect', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'gh-spare-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, 'slow.ts'), SLOW_FOR_SPARES);
  const { gateway, urls } = await begin(t, { spareWorker: true }, { use: join(folder, 'slow.ts') });
  const { primary } = gateway;
  const { workers } = primary;
  await until(() => existsSync(join(folder, 'loading')), 'a spare is starting', 60_000);
  const many = Array.from({ length: 2_500 }, (_, i) => ({ url: `http://10.1.${i >> 8}.${i & 255}:80` }));
  for (let i = 0; i < 12; i++)
    assert.ok((await primary.setDiscovered({ s: i % 2 === 0 ? many : [{ url: urls['b']! }] })).ok);
  const connected = new Promise<void>((resolve, reject) => {
    workers.onChange(() => {
      if (workers.status()[0]?.restarts !== 1 || workers.listening === 0) return;
      const socket = connect(gateway.port, '127.0.0.1');
      once(socket, 'connect')
        .finally(() => socket.destroy())
        .then(() => resolve(), reject);
    });
  });
  let ending: Promise<void> | undefined;
  workers.onChange(() => {
    if (workers.hasSpare) ending ??= workers.terminate(0);
  });
  await writeFile(join(folder, 'go'), '');
  await connected;
  await ending;
  assert.equal(await body(gateway, '/s/x'), 'b');
});
