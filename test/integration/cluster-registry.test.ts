/**
 * Services that register themselves with a cluster, as behind a load balancer that knows nothing of them: each call may
 * reach another node. Real processes; what is killed and cut is the node that took the registration, and the store.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type ClusterProcess, waitFor } from '../support/cluster-nodes.ts';
import { ClusterScene, type StoreKind } from '../support/cluster-scene.ts';
import { httpUpstream } from '../support/upstream.ts';

const TOKEN = 'registration-token-0123456789';
const LEASE_MS = 5_000;
const DOCUMENT = {
  registry: { token: TOKEN, lease: { default: LEASE_MS, min: LEASE_MS } },
  services: { orders: { discovery: { registry: true }, retries: 0 } },
  routes: [
    { match: { path: '/hello' }, auth: 'public', respond: { status: 200, body: 'own' } },
    { match: { path: '/orders/*' }, auth: 'public', service: 'orders' },
  ],
};

interface Called {
  readonly status: number;
  readonly id: string;
}

async function call(node: ClusterProcess, method: string, path: string, body?: object): Promise<Called> {
  const response = await fetch(`${node.url}/api/v1/registry/services/orders/instances${path}`, {
    method,
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, id: text === '' ? '' : ((JSON.parse(text) as { id?: string }).id ?? '') };
}

/** Sends a heartbeat to each of these nodes in turn, a third of a lease apart; `refused` counts what was not 200. */
function beating(t: TestContext, id: string, nodes: () => readonly ClusterProcess[]): { refused: number } {
  const seen = { refused: 0 };
  let round = 0;
  const timer = setInterval(() => {
    const all = nodes();
    const node = all[round++ % all.length];
    if (node === undefined) return;
    void call(node, 'PUT', `/${id}/heartbeat`).then(
      ({ status }) => {
        if (status !== 200) seen.refused++;
      },
      () => void seen.refused++,
    );
  }, LEASE_MS / 3);
  t.after(() => clearInterval(timer));
  return seen;
}

async function statusOf(node: ClusterProcess): Promise<number> {
  const response = await fetch(`${node.url}/orders/1`);
  await response.body?.cancel();
  return response.status;
}

const metricsOf = async (node: ClusterProcess): Promise<string> => (await fetch(`${node.url}/metrics`)).text();

async function countAt(node: ClusterProcess): Promise<number> {
  const response = await fetch(`${node.url}/api/v1/registry/services/orders/instances`, {
    headers: { authorization: `Bearer ${TOKEN}` },
  });
  return ((await response.json()) as { instances: unknown[] }).instances.length;
}

const serves = (nodes: readonly ClusterProcess[], status = 200): Promise<unknown> =>
  Promise.all(
    nodes.map((node) =>
      waitFor(
        () => statusOf(node),
        (is) => is === status,
        `${node.name} answers ${status}`,
      ),
    ),
  );

/** Looks at every node every 100 ms for so long; each must answer well each time. */
async function holds(nodes: readonly ClusterProcess[], forMs: number): Promise<void> {
  const untilMs = performance.now() + forMs;
  while (performance.now() < untilMs) {
    assert.deepEqual(
      await Promise.all(nodes.map(statusOf)),
      nodes.map(() => 200),
    );
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function sceneOf(t: TestContext, store: StoreKind): Promise<ClusterScene> {
  return await ClusterScene.open(t, { store, document: DOCUMENT });
}

test('registered at A: B serves it, heartbeats at B and C keep it, also after A and the queen are killed', async (t) => {
  const upstream = await httpUpstream(t, (_request, response) => response.end('order'));
  const scene = await sceneOf(t, 'SQLite');
  const queen = await scene.queen();
  const [a, b, c] = [scene.node('a'), scene.node('b'), scene.node('c')];
  assert.equal(await statusOf(b), 503, 'nobody is there yet');
  const lease = await call(a, 'POST', '', { url: upstream.url });
  assert.equal(lease.status, 201);
  // The moment it is registered, another node takes its heartbeat.
  assert.equal((await call(b, 'PUT', `/${lease.id}/heartbeat`)).status, 200);
  await serves([a, b, c]);
  const beats = beating(t, lease.id, () =>
    scene.nodes.filter(({ name, child }) => name !== 'a' && child.exitCode === null && child.signalCode === null),
  );
  await holds([a, b, c], 2 * LEASE_MS);
  await scene.kill('a');
  await holds([b, c], 2 * LEASE_MS);
  if (queen !== 'a') {
    await scene.kill(queen);
    await holds(
      [b, c].filter(({ name }) => name !== queen),
      2 * LEASE_MS,
    );
    await scene.start(queen);
  }
  await scene.start('a');
  await serves(scene.nodes);
  assert.equal(beats.refused, 0);
  // It leaves at C, the others hear of it.
  assert.equal((await call(scene.node('c'), 'DELETE', `/${lease.id}`)).status, 204);
  await serves(scene.nodes, 503);
  assert.equal((await call(scene.node('b'), 'PUT', `/${lease.id}/heartbeat`)).status, 404);
  // Another one that dies without a word is gone everywhere.
  assert.equal((await call(scene.node('b'), 'POST', '', { url: upstream.url })).status, 201);
  await serves(scene.nodes);
  await serves(scene.nodes, 503);
});

test('the store is away for three lengths of a lease: no node drops it, though none gets all heartbeats', async (t) => {
  const upstream = await httpUpstream(t, (_request, response) => response.end('order'));
  const scene = await sceneOf(t, 'PostgreSQL');
  const lease = await call(scene.node('a'), 'POST', '', { url: upstream.url });
  await serves(scene.nodes);
  const beats = beating(t, lease.id, () => scene.nodes);
  await holds(scene.nodes, LEASE_MS);
  const silent = await httpUpstream(t, (_request, response) => response.end('order'));
  assert.equal((await call(scene.node('a'), 'POST', '', { url: silent.url })).status, 201);
  for (const node of scene.nodes)
    await waitFor(
      () => countAt(node),
      (count) => count === 2,
      `${node.name} knows both`,
    );
  await scene.haltStore();
  await holds(scene.nodes, 3 * LEASE_MS);
  assert.equal((await call(scene.node('b'), 'PUT', '/nobody/heartbeat')).status, 503, 'it cannot know');
  assert.match(await metricsOf(scene.node('b')), /gatehouse_registry_leases_overdue\{service="orders"\} [12]\n/);
  await scene.startStore();
  await scene.isWhole();
  await holds(scene.nodes, 2 * LEASE_MS);
  assert.equal(beats.refused, 0);
  for (const node of scene.nodes)
    await waitFor(
      () => countAt(node),
      (count) => count === 1,
      `${node.name} has dropped the silent one`,
    );
  // One node alone has lost its line to the store: it keeps what it has, and what ends elsewhere meanwhile ends later.
  scene.line('b').cut();
  await holds(scene.nodes, 2 * LEASE_MS);
  assert.equal((await call(scene.node('c'), 'DELETE', `/${lease.id}`)).status, 204);
  await serves([scene.node('a'), scene.node('c')], 503);
  scene.line('b').mend();
  await serves(scene.nodes, 503);
});
