/** Instances that discovery finds while the gateway runs: in use at once, and nothing else is touched. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

async function named(test: Scope, name: string): Promise<string> {
  return (await httpUpstream(test, (_request, response) => response.end(name))).url;
}

async function begin(test: Scope): Promise<{ gateway: TestGateway; urls: Record<string, string> }> {
  const urls = { a: await named(test, 'a'), b: await named(test, 'b'), other: await named(test, 'other') };
  const gateway = await startTestGateway(test, {
    services: { s: { instances: [], discovery: { file: { path: 'found.json' } } }, o: { instances: [urls.other] } },
    routes: [
      { match: { path: '/s/*' }, service: 's', auth: 'public' },
      { match: { path: '/o/*' }, service: 'o', auth: 'public' },
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
