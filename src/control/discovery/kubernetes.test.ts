/** The Kubernetes source against an API server of the test's own, over real connections. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { describe, it } from 'node:test';
import { FakeTimers } from '../../../test/support/fake-timers.ts';
import { KubernetesApi } from '../../../test/support/kubernetes-api.ts';
import { TEST_CERTIFICATE } from '../../../test/support/test-certificate.ts';
import { until } from '../../../test/support/until.ts';
import type { KubernetesSettings } from './kubernetes.ts';
import { kubernetesSource, WATCH_IDLE_MS } from './kubernetes.ts';
import { readAccess } from './kubernetes-access.ts';
import type { Started } from './source.suite.ts';
import { seen, sourceSuite, startSource } from './source.suite.ts';

const RETRY_MS = 1_000;

async function apiServer(t: TestContext, options: { tls?: boolean } = {}): Promise<KubernetesApi> {
  const api = await KubernetesApi.start(options);
  t.after(() => api.close());
  return api;
}

function settings(api: KubernetesApi, more: Partial<KubernetesSettings> = {}): KubernetesSettings {
  return {
    service: api.service,
    namespace: api.namespace,
    port: null,
    scheme: null,
    zones: 'hints',
    apiServer: api.url,
    tokenFile: null,
    caFile: null,
    ...more,
  };
}

async function watching(t: TestContext, api: KubernetesApi, more: Partial<KubernetesSettings> = {}): Promise<Started> {
  const started = startSource(t, kubernetesSource, settings(api, more));
  await until(() => api.openWatches === 1, 'a watch');
  return started;
}

const endpoints = (...addresses: string[]) => ({ endpoints: addresses.map((address) => ({ addresses: [address] })) });

sourceSuite('kubernetes', async (t) => {
  const api = await apiServer(t);
  api.put('orders-a', endpoints('10.0.0.1', '10.0.0.2'));
  return {
    start: () => startSource(t, kubernetesSource, settings(api)),
    first: ['http://10.0.0.1:8080', 'http://10.0.0.2:8080'],
    change: async () => {
      api.put('orders-a', endpoints('10.0.0.2', '10.0.0.3'));
      return ['http://10.0.0.2:8080', 'http://10.0.0.3:8080'];
    },
    break: async () => {
      for (let times = 0; times < 3; times++) api.refusals.push({ status: 500, message: 'etcdserver: no leader' });
      api.cutConnections();
    },
    mend: async () => {
      api.refusals.length = 0;
    },
    lookMs: RETRY_MS,
  };
});

describe('kubernetes source: watching', () => {
  it('takes each change from the watch, without listing again', async (t) => {
    const api = await apiServer(t);
    api.put('orders-a', endpoints('10.0.0.1'));
    const { told } = await watching(t, api);
    api.put('orders-b', endpoints('10.0.0.2'));
    await until(() => told.urls.length === 2, 'the added slice');
    api.put('orders-a', { endpoints: null });
    await until(() => told.urls.join() === 'http://10.0.0.2:8080', 'the emptied slice');
    api.delete('orders-b');
    await until(() => told.urls.length === 0, 'the deleted slice');
    assert.deepEqual([api.count('list'), api.count('watch')], [1, 1]);
  });

  it('reads a list of several pages', async (t) => {
    const api = await apiServer(t);
    api.pageSize = 2;
    for (let slice = 1; slice <= 5; slice++) api.put(`orders-${slice}`, endpoints(`10.0.0.${slice}`));
    const { told } = await watching(t, api);
    assert.equal(told.urls.length, 5);
    assert.equal(api.count('list'), 3);
  });

  it('goes on from where a watch ended, missing nothing', async (t) => {
    const api = await apiServer(t);
    api.put('orders-a', endpoints('10.0.0.1'));
    const { told, timers } = await watching(t, api);
    timers.clock.advance(60_000);
    api.endWatches();
    await until(() => api.openWatches === 0, 'the end of the watch');
    api.put('orders-a', endpoints('10.0.0.7'));
    await seen(timers, RETRY_MS, () => told.urls.join() === 'http://10.0.0.7:8080', 'the change in between');
    assert.equal(api.count('list'), 1);
    assert.deepEqual(
      told.problems.filter((problem) => problem !== null),
      [],
    );
  });

  it('goes on from the version of the last bookmark', async (t) => {
    const api = await apiServer(t);
    const { timers } = await watching(t, api);
    api.bookmark();
    const version = String(api.version);
    api.oldest = api.version;
    api.endWatches();
    await seen(timers, RETRY_MS, () => api.count('watch') === 2, 'a second watch');
    assert.equal(api.calls.at(-1)?.query.get('resourceVersion'), version);
    assert.equal(api.count('list'), 1);
  });

  it('lists again, quietly, when its version is too old for a watch (410)', async (t) => {
    const api = await apiServer(t);
    api.put('orders-a', endpoints('10.0.0.1'));
    const { told, timers } = await watching(t, api);
    api.endWatches();
    await until(() => api.openWatches === 0, 'the end of the watch');
    api.delete('orders-a');
    api.put('orders-z', endpoints('10.0.0.9'));
    api.oldest = api.version;
    await seen(timers, RETRY_MS, () => told.urls.join() === 'http://10.0.0.9:8080', 'the list after 410');
    assert.equal(api.count('list'), 2);
    assert.deepEqual(
      told.problems.filter((problem) => problem !== null),
      [],
    );
  });

  it('lists again when the watch itself says 410', async (t) => {
    const api = await apiServer(t);
    const { told, timers } = await watching(t, api);
    api.failWatches(410, 'too old resource version: 100 (200)');
    await seen(timers, RETRY_MS, () => api.count('list') === 2 && api.openWatches === 1, 'list and watch anew');
    assert.deepEqual(
      told.problems.filter((problem) => problem !== null),
      [],
    );
  });

  it('takes long silence for a dead connection', async (t) => {
    const api = await apiServer(t);
    const { told, timers } = await watching(t, api);
    // Anything that comes, such as a bookmark, begins the silence anew.
    await timers.advance(WATCH_IDLE_MS - 1_000);
    api.bookmark();
    await until(() => timers.nextInMs === WATCH_IDLE_MS, 'the bookmark was heard');
    await timers.advance(WATCH_IDLE_MS - 1);
    assert.equal(api.count('watch'), 1);
    await seen(timers, RETRY_MS, () => api.count('watch') === 2, 'a second watch');
    assert.ok(told.problems.includes(`nothing heard on the watch within ${WATCH_IDLE_MS} ms`));
  });

  it('reads events that come in pieces', async (t) => {
    const api = await apiServer(t);
    api.put('orders-a', endpoints('10.0.0.1'));
    const { told } = await watching(t, api);
    const event = JSON.stringify({
      type: 'MODIFIED',
      object: {
        metadata: { name: 'orders-a', resourceVersion: '900' },
        addressType: 'IPv4',
        ports: [{ name: 'grüße', port: 81 }],
        endpoints: [{ addresses: ['10.0.0.8'] }],
      },
    });
    for (const piece of event) api.sendRaw(piece);
    assert.deepEqual(told.urls, ['http://10.0.0.1:8080']);
    api.sendRaw('\n');
    await until(() => told.urls.join() === 'http://10.0.0.8:81', 'the event');
  });
});

describe('kubernetes source: failing', () => {
  const refusals = [
    { name: 'a token that is not accepted', status: 401, want: /^the API server does not accept the token: nope$/ },
    {
      name: 'missing rights',
      status: 403,
      want: /needs get, list and watch on endpointslices\.discovery\.k8s\.io: nope$/,
    },
    { name: 'a server error', status: 503, want: /^the API server answered 503: nope$/ },
  ];
  for (const { name, status, want } of refusals) {
    it(`names ${name} and goes on trying`, async (t) => {
      const api = await apiServer(t);
      api.put('orders-a', endpoints('10.0.0.1'));
      api.refusals.push({ status, message: 'nope' });
      const { told, timers } = startSource(t, kubernetesSource, settings(api));
      await until(() => told.problems.length > 0, 'a problem');
      assert.match(told.problem ?? '', want);
      await seen(timers, RETRY_MS, () => told.urls.length === 1, 'the list after all');
      assert.equal(told.problem, null);
    });
  }

  it('backs off, twice as long each time, up to half a minute', async (t) => {
    const api = await apiServer(t);
    for (let times = 0; times < 9; times++) api.refusals.push({ status: 500, message: 'no' });
    const { timers } = startSource(t, kubernetesSource, settings(api));
    const waits: number[] = [];
    for (let attempt = 1; attempt <= 9; attempt++) {
      await until(
        () => api.calls.length === attempt && timers.pending === 1 && (timers.nextInMs ?? 0) < 30_000,
        `attempt ${attempt}`,
      );
      waits.push(timers.nextInMs ?? -1);
      await timers.advance(timers.nextInMs ?? 0);
    }
    assert.deepEqual(waits, [250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
  });

  it('does not spin when the server ends every watch at once', async (t) => {
    const api = await apiServer(t);
    const { timers } = await watching(t, api);
    for (let round = 1; round <= 5; round++) {
      api.endWatches();
      await until(() => api.openWatches === 0 && timers.pending === 1, 'the pause');
      assert.ok((timers.nextInMs ?? 0) >= 250 * 2 ** (round - 1), `pause ${round} is ${timers.nextInMs} ms`);
      await seen(timers, timers.nextInMs ?? 0, () => api.openWatches === 1, 'the next watch');
    }
  });

  it('lists again after a document that it cannot read', async (t) => {
    const api = await apiServer(t);
    api.put('orders-a', endpoints('10.0.0.1'));
    const { told, timers } = await watching(t, api);
    api.sendRaw('{"type":"ADDED","object":{"metadata":{"name":"x"},"addressType":"IPX"}}\n');
    await until(() => typeof told.problem === 'string', 'a problem');
    assert.match(
      told.problem ?? '',
      /^the API server sent something that is not an EndpointSlice \(object\.addressType: /,
    );
    await seen(timers, RETRY_MS, () => api.count('list') === 2 && told.problem === null, 'a second list');
    assert.deepEqual(told.urls, ['http://10.0.0.1:8080']);
  });

  it('says that there is no port to use, and keeps watching', async (t) => {
    const api = await apiServer(t);
    api.put('orders-a', endpoints('10.0.0.1'));
    const { told } = await watching(t, api, { port: 'grpc' });
    assert.equal(told.problem, 'there is no TCP port grpc; there are: http (8080)');
    api.put('orders-a', { ports: [{ name: 'grpc', port: 50051 }], endpoints: [{ addresses: ['10.0.0.1'] }] });
    await until(() => told.urls.join() === 'http://10.0.0.1:50051', 'the port');
    assert.equal(told.problem, null);
  });
});

describe('kubernetes source: access', () => {
  async function files(t: TestContext, content: Readonly<Record<string, string>>): Promise<(name: string) => string> {
    const folder = await mkdtemp(join(tmpdir(), 'gatehouse-kube-'));
    t.after(() => rm(folder, { recursive: true }));
    for (const [name, text] of Object.entries(content)) await writeFile(join(folder, name), text);
    return (name) => join(folder, name);
  }

  it('reads the token anew for each request, so that a rotated one is used', async (t) => {
    const api = await apiServer(t);
    api.tokens.add('first');
    const file = await files(t, { token: 'first\n' });
    const { timers, told } = await watching(t, api, { tokenFile: file('token') });
    api.tokens.clear();
    api.tokens.add('second');
    await writeFile(file('token'), 'second\n');
    api.endWatches();
    await seen(timers, RETRY_MS, () => api.count('watch') === 2 && api.openWatches === 1, 'a watch with the new token');
    assert.deepEqual(new Set(api.calls.map((call) => call.token)), new Set(['first', 'second']));
    assert.deepEqual(
      told.problems.filter((problem) => problem !== null),
      [],
    );
  });

  it('believes the API server by the given authority only', async (t) => {
    const api = await apiServer(t, { tls: true });
    api.put('orders-a', endpoints('10.0.0.1'));
    const distrusting = startSource(t, kubernetesSource, settings(api));
    await until(() => distrusting.told.problems.length > 0, 'a problem');
    assert.match(distrusting.told.problem ?? '', /self-signed certificate/);
    assert.equal(api.calls.length, 0);
    distrusting.source.stop();
    const file = await files(t, { 'ca.crt': TEST_CERTIFICATE });
    const { told } = await watching(t, api, { caFile: file('ca.crt') });
    assert.deepEqual(told.urls, ['http://10.0.0.1:8080']);
  });

  it('finds the API server of its pod in the environment', async (t) => {
    const api = await apiServer(t);
    const named = settings(api, { apiServer: null });
    const ask = async (env: Record<string, string>) => (await readAccess(named, env)).apiServer;
    assert.equal(
      await ask({ KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '6443' }),
      'https://10.96.0.1:6443',
    );
    assert.equal(await ask({ KUBERNETES_SERVICE_HOST: 'fd00::1' }), 'https://[fd00::1]:443');
    await assert.rejects(ask({}), /this is not a Kubernetes pod/);
  });

  it('names a token file that is not there', async (t) => {
    const api = await apiServer(t);
    const { told } = startSource(
      t,
      kubernetesSource,
      settings(api, { tokenFile: '/nonexistent/token' }),
      {},
      new FakeTimers(),
    );
    await until(() => told.problems.length > 0, 'a problem');
    assert.match(told.problem ?? '', /ENOENT.*\/nonexistent\/token/);
  });
});
