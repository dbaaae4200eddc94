/**
 * Real processes of one cluster while the queen stands still or is cut off, a clock steps, the store is away, or a
 * version is bad: what callers saw is counted by the caller, and printed.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { badVersion, cutOffQueen, stepClock, stopQueen, storeAway, type Told } from '../support/cluster-faults.ts';
import { Callers, clientOf, scene as folderFor, ROOT, startNode, version, waitFor } from '../support/cluster-nodes.ts';
import { ClusterScene, type StoreKind } from '../support/cluster-scene.ts';
import { startPostgres } from '../support/postgres.ts';

/** Does it while callers ask every node that is there; none of them may fail, but at nodes that stand still. */
async function counted(
  t: TestContext,
  store: StoreKind,
  does: (scene: ClusterScene) => Promise<Told>,
  leaveOut: 'queen' | 'nobody' = 'nobody',
): Promise<void> {
  const scene = await ClusterScene.open(t, { store });
  const callers = new Callers(t, leaveOut === 'queen' ? scene.othersThan(await scene.queen()) : scene.nodes);
  const { line } = await does(scene);
  await callers.stop();
  console.log(`${line}; callers: ${callers.served} served, ${callers.failures} failures`);
  assert.equal(callers.failures, 0);
  assert.ok(callers.served > 0);
}

test('a queen that stood still for 20 s writes nothing when it goes on', async (t) =>
  // Not SQLite: a process that is stopped while it writes would hold the lock of the file.
  counted(t, 'PostgreSQL', (scene) => stopQueen(scene, 20_000), 'queen'));

test('a queen whose line to the store is cut steps down, another follows, and all go on serving', async (t) =>
  counted(t, 'PostgreSQL', cutOffQueen));

for (const store of ['SQLite', 'PostgreSQL'] as const)
  test(`on ${store}: the clock of one node steps by an hour, and back: nothing changes`, async (t) =>
    counted(t, store, stepClock));

test('the store is away for a minute: every node goes on by its last good configuration', async (t) =>
  counted(t, 'PostgreSQL', (scene) => storeAway(scene, 60_000)));

test('a bad version is found by the check of a node, by a canary whose worker ends, by the gate', async (t) => {
  // The gate judges from 50 requests on the canary on.
  const rollout = { watch: '6s', timeout: '60s', waves: ['60%', '100%'] };
  const scene = await ClusterScene.open(t, { store: 'SQLite', cluster: { rollout } });
  const [canary, ...rest] = scene.nodes;
  for (const foundBy of ['check', 'canary', 'gate'] as const) {
    const [trying, others] = [new Callers(t, [canary!]), new Callers(t, rest)];
    const { line } = await badVersion(scene, foundBy);
    await Promise.all([trying.stop(), others.stop()]);
    console.log(`${line}; callers of the canary: ${trying.failures} failures, of the others: ${others.failures}`);
    assert.equal(others.failures, 0, 'it reached nobody else');
    if (foundBy === 'check') assert.equal(trying.failures, 0);
    assert.ok(![...others.answers.keys()].some((body) => body.startsWith('bad')), [...others.answers.keys()].join());
  }
});

test('a node that starts while the store is away runs by the last version on its disk', async (t) => {
  const server = await startPostgres();
  t.after(() => server.stop());
  const store = await server.database('cluster');
  const folder = await folderFor(t);
  const nodes = await Promise.all(['one', 'two'].map((name) => startNode(t, folder, name, { store })));
  const cluster = clientOf(nodes);
  await waitFor(
    () => cluster.status(),
    (status) => status.queen !== null && status.nodes['alive'] === 2,
    'a queen',
  );
  const { id } = await cluster.rollOut({ document: version('new'), reason: 'first' });
  const ended = await waitFor(
    () => cluster.rollout(id),
    ({ state }) => ['done', 'rejected', 'rolled-back'].includes(state),
    'it is rolled out',
  );
  assert.equal(ended.state, 'done', ended.reason ?? '');
  const callers = new Callers(t, [nodes[0]!]);
  await server.halt();
  const gone = once(nodes[1]!.child, 'exit');
  nodes[1]!.child.kill('SIGKILL');
  await gone;
  const again = await startNode(t, folder, 'two', { store });
  assert.equal(await (await fetch(`${again.url}/hello`)).text(), 'new', 'started without the store');
  const away = await fetch(`${nodes[0]!.url}/api/v1/cluster`, { headers: { 'x-api-key': ROOT } });
  assert.equal(away.status, 503, 'the API says so');
  await away.body?.cancel();
  await server.start();
  await waitFor(
    () => clientOf([again]).status(),
    (status) => status.queen !== null && status.nodes['alive'] === 2,
    'the cluster is whole again',
  );
  await callers.stop();
  assert.equal(callers.failures, 0);
  assert.deepEqual([...callers.answers.keys()], ['new']);
});
