/**
 * Real processes of one cluster while the queen is killed or stopped, a version is bad, or the store is away: what
 * callers saw is counted by the caller, and printed.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import type { RolloutRecord } from '../../src/cluster-client/index.ts';
import { Callers, clientOf, ROOT, scene, startNode, version, waitFor } from '../support/cluster-nodes.ts';
import { pauseProcess } from '../support/pause.ts';
import { startPostgres } from '../support/postgres.ts';

const OVER = ['done', 'rejected', 'rolled-back'];

for (const state of ['checking', 'canary', 'watching', 'waves'] as const)
  test(`the queen is killed while a rollout is ${state} or later: the next one finishes it, callers of the others lose nothing`, async (t) => {
    const folder = await scene(t);
    const store = `sqlite:${join(folder, 'cluster.db')}`;
    const nodes = await Promise.all(['one', 'two', 'three'].map((name) => startNode(t, folder, name, { store })));
    const cluster = clientOf(nodes);
    const { queen } = await waitFor(
      () => cluster.status(),
      (status) => status.queen !== null && status.nodes['alive'] === 3,
      'three nodes and a queen',
    );
    const victim = nodes.find(({ name }) => name === queen)!;
    const others = nodes.filter((node) => node !== victim);
    const survivors = clientOf(others);
    const callers = new Callers(others);
    const { id } = await survivors.rollOut({ document: version('new'), reason: state });
    const order = ['checking', 'canary', 'watching', 'waves', 'done'];
    const read = async (): Promise<RolloutRecord> => (await survivors.rollouts()).find((each) => each.id === id)!;
    await waitFor(read, (rollout) => order.indexOf(rollout.state) >= order.indexOf(state), `it is ${state}`);
    const killedMs = performance.now();
    victim.child.kill('SIGKILL');
    const next = await waitFor(
      () => survivors.status(),
      (status) => status.queen !== null && status.queen !== queen,
      'another queen',
    );
    const failOverMs = Math.round(performance.now() - killedMs);
    // The canary may have been the node that was killed: then it is undone, which is right too.
    const ended = await waitFor(read, (rollout) => OVER.includes(rollout.state), 'the rollout ends');
    const want = ended.state === 'done' ? 'new' : 'own';
    for (const { url } of others)
      await waitFor(
        async () => (await fetch(`${url}/hello`)).text(),
        (text) => text === want,
        `both run ${want}`,
      );
    await callers.stop();
    console.log(
      `killed in ${state}: next queen ${next.queen} after ${failOverMs} ms, rollout ${ended.state}` +
        `${ended.reason === null ? '' : ` (${ended.reason})`}; callers: ${JSON.stringify([...callers.answers])}, ${callers.failures} failures`,
    );
    assert.equal(callers.failures, 0);
    assert.ok(['done', 'rolled-back'].includes(ended.state), ended.state);
  });

test('a queen that was stopped for longer than its lease writes nothing when it goes on', async (t) => {
  const folder = await scene(t);
  // Not SQLite: a process that is stopped while it writes would hold the lock of the file.
  const server = await startPostgres();
  t.after(() => server.stop());
  const store = await server.database('cluster');
  const nodes = await Promise.all(['one', 'two'].map((name) => startNode(t, folder, name, { store })));
  const cluster = clientOf(nodes);
  const first = await waitFor(
    () => cluster.status(),
    (status) => status.queen !== null && status.nodes['alive'] === 2,
    'a queen',
  );
  const stopped = nodes.find(({ name }) => name === first.queen)!;
  const other = clientOf(nodes.filter((node) => node !== stopped));
  pauseProcess(stopped.child.pid!);
  const second = await waitFor(
    () => other.status(),
    (status) => status.queen !== null && status.queen !== first.queen,
    'another queen',
  );
  assert.ok(second.epoch > first.epoch);
  const { last } = { last: (await other.events(0)).at(-1)?.id ?? 0 };
  stopped.child.kill('SIGCONT');
  await waitFor(
    () => other.nodes(),
    (all) => all.every(({ presence }) => presence === 'alive'),
    'the stopped one is back',
  );
  const later = await other.events(last);
  assert.ok(
    later.every(({ epoch }) => epoch === null || epoch >= second.epoch),
    JSON.stringify(later),
  );
  assert.equal((await other.status()).queen, second.queen);
});

test('with the store away every node goes on, and one that starts then has the last version from its disk', async (t) => {
  const server = await startPostgres();
  t.after(() => server.stop());
  const store = await server.database('cluster');
  const folder = await scene(t);
  const nodes = await Promise.all(['one', 'two'].map((name) => startNode(t, folder, name, { store })));
  const cluster = clientOf(nodes);
  await waitFor(
    () => cluster.status(),
    (status) => status.queen !== null && status.nodes['alive'] === 2,
    'a queen',
  );
  const { id } = await cluster.rollOut({ document: version('new'), reason: 'first' });
  await waitFor(
    async () => (await cluster.rollouts()).find((each) => each.id === id)?.state,
    (state) => state === 'done',
    'it is rolled out',
  );
  const callers = new Callers([nodes[0]!]);
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
  console.log(`store away: ${JSON.stringify([...callers.answers])}, ${callers.failures} failures`);
  assert.equal(callers.failures, 0);
  assert.deepEqual([...callers.answers.keys()], ['new']);
});
