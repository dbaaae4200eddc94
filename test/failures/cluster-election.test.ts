/**
 * Real processes whose queen is elected in NATS or Kubernetes while everything else of the cluster lies in SQL: the
 * queen is killed, and the place of the election goes away and comes back.
 */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { test } from 'node:test';
import { Callers, clientOf, scene, startNode, version, waitFor } from '../support/cluster-nodes.ts';
import { KubernetesLeases } from '../support/kubernetes-leases.ts';
import { startNats } from '../support/nats.ts';
import { TEST_CERTIFICATE } from '../support/test-certificate.ts';

interface Place {
  readonly election: Readonly<Record<string, unknown>>;
  halt(): Promise<void>;
  goOn(): Promise<void>;
}

async function nats(t: TestContext): Promise<Place> {
  const server = await startNats();
  t.after(() => server.stop());
  return { election: { nats: { url: server.url } }, halt: () => server.kill(), goOn: () => server.start() };
}

async function kubernetes(t: TestContext, folder: string): Promise<Place> {
  const server = await KubernetesLeases.start({ tls: true });
  t.after(() => server.close());
  server.tokens.add('token-of-the-pod');
  const [tokenFile, caFile] = [join(folder, 'token'), join(folder, 'ca.crt')];
  await Promise.all([writeFile(tokenFile, 'token-of-the-pod'), writeFile(caFile, TEST_CERTIFICATE)]);
  const away = (isAway: boolean) => async () => {
    server.isAway = isAway;
  };
  const election = { kubernetes: { apiServer: server.url, namespace: 'edge', tokenFile, caFile } };
  return { election, halt: away(true), goOn: away(false) };
}

for (const [name, open] of [
  ['NATS', nats],
  ['Kubernetes', kubernetes],
] as const)
  test(`elected in ${name}: a killed queen is followed, and with ${name} away there is none until it is back`, async (t) => {
    const folder = await scene(t);
    const place = await open(t, folder);
    const wishes = { store: `sqlite:${join(folder, 'cluster.db')}`, cluster: { election: place.election } };
    const nodes = await Promise.all(['one', 'two', 'three'].map((each) => startNode(t, folder, each, wishes)));
    const first = await waitFor(
      () => clientOf(nodes).status(),
      (status) => status.queen !== null && status.nodes['alive'] === 3,
      'three nodes and a queen',
    );
    const victim = nodes.find((node) => node.name === first.queen)!;
    const others = nodes.filter((node) => node !== victim);
    const cluster = clientOf(others);
    const callers = new Callers(t, others);
    victim.child.kill('SIGKILL');
    const second = await waitFor(
      () => cluster.status(),
      (status) => status.queen !== null && status.queen !== first.queen,
      'another queen',
    );
    assert.ok(second.epoch > first.epoch);
    await place.halt();
    const elected = async () => (await cluster.events(0)).filter(({ type }) => type === 'queen.elected').length;
    const before = await elected();
    await waitFor(
      () => cluster.status(),
      ({ queen, status }) => queen === null && status === 'unhealthy',
      'the API says that nobody knows of a queen',
    );
    await place.goOn();
    await waitFor(
      () => cluster.status(),
      (status) => status.queen !== null && status.epoch >= second.epoch,
      'a queen again',
    );
    assert.ok((await elected()) >= before);
    const { id } = await cluster.rollOut({ document: version('new'), reason: 'after all that' });
    await waitFor(
      async () => (await cluster.rollouts()).find((each) => each.id === id)?.state,
      (state) => state === 'done',
      'a version is rolled out',
    );
    await callers.stop();
    assert.equal(callers.failures, 0);
  });
