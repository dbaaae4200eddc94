/**
 * The cluster through real gateways: who may do what over HTTP, workers that join and work, a rollout over three nodes.
 * The three run in one process on one SQLite file; test/failures/cluster.test.ts has processes.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { ClusterCallError, clusterClient, joinCluster, type WorkerTask } from '../../src/cluster-client/index.ts';
import type { ClusterTables } from '../../src/control/cluster/tables.ts';
import { openStore } from '../../src/control/store/store.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';

const ROOT = 'root-key-0123456789abcdef0123456789';
const READER = 'reader-key-0123456789abcdef0123456';
const STRANGER = 'stranger-key-0123456789abcdef01234';
const KEYS = {
  API_KEY_1: `${ROOT}:root:cluster:admin:premium`,
  API_KEY_2: `${READER}:reader:cluster:read:standard`,
  API_KEY_3: `${STRANGER}:stranger:notes:read:standard`,
};

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'gh-cluster-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

function document(folder: string, node: string, body: string) {
  return {
    cluster: {
      name: 'test',
      node,
      store: `sqlite:${join(folder, 'cluster.db')}`,
      heartbeat: '200ms',
      suspectAfter: '2s',
      goneAfter: '4s',
      lease: '2s',
      rollout: { watch: '0s', waves: ['100%'] },
    },
    routes: [{ match: { path: '/hello' }, auth: 'public', respond: { status: 200, body } }],
  };
}

async function hello({ url }: TestGateway): Promise<string> {
  const response = await fetch(`${url}/hello`);
  return await response.text();
}

async function waitFor<T>(read: () => Promise<T>, isRight: (value: T) => boolean, what: string): Promise<T> {
  for (let tries = 0; tries < 400; tries++) {
    const value = await read().catch(() => undefined);
    if (value !== undefined && isRight(value)) return value;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`it did not happen: ${what}`);
}

describe('the cluster API', () => {
  test('is for those who may: 401 without a key, 403 with one that may not, 200 with one that may', async (t) => {
    const gateway = await startTestGateway(t, document(await folderFor(t), 'one', 'own'), KEYS);
    const status = async (path: string, key?: string, init: RequestInit = {}): Promise<number> => {
      const headers = { 'content-type': 'application/json', ...(key === undefined ? {} : { 'x-api-key': key }) };
      return (await fetch(`${gateway.url}/api/v1${path}`, { ...init, headers })).status;
    };
    await waitFor(
      () => status('/cluster', READER),
      (got) => got === 200,
      'the cluster is open',
    );
    assert.equal(await status('/cluster'), 401);
    assert.equal(await status('/cluster', STRANGER), 403);
    const token = { method: 'POST', body: '{}' };
    assert.equal(await status('/cluster/tokens', READER, token), 403);
    assert.equal(await status('/cluster/tokens', ROOT, token), 201);
    assert.equal(await status('/nodes', READER), 200);
    // An identity that a caller makes up is not one.
    const forged = await fetch(`${gateway.url}/api/v1/cluster/join`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-auth-subject': 'root', 'x-auth-roles': 'admin' },
      body: JSON.stringify({ name: 'evil' }),
    });
    assert.equal(forged.status, 401);
  });

  test('names field, value and expectation of what is wrong', async (t) => {
    const gateway = await startTestGateway(t, document(await folderFor(t), 'one', 'own'), KEYS);
    const post = (path: string, body: string) =>
      fetch(`${gateway.url}/api/v1${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-api-key': ROOT },
        body,
      });
    await waitFor(
      () => post('/cluster/tasks', '{"kind":"count"}'),
      ({ status }) => status === 202,
      'the cluster is open',
    );
    for (const { path, body, status, field } of [
      { path: '/cluster/tasks', body: '{"kind":"a b"}', status: 400, field: 'kind' },
      { path: '/cluster/tasks', body: '{"kind":"a","max_attempts":0}', status: 400, field: 'max_attempts' },
      { path: '/cluster/tasks', body: '{"kind":"a","extra":1}', status: 400, field: 'extra' },
      { path: '/cluster/rollouts', body: '{"reason":"x"}', status: 400, field: 'document' },
      {
        path: '/cluster/rollouts',
        body: '{"reason":"x","document":"a: 1","waves":[0.5]}',
        status: 400,
        field: 'waves',
      },
      { path: '/cluster/tasks', body: '{', status: 400, field: undefined },
    ]) {
      const response = await post(path, body);
      const problem = (await response.json()) as { code: string; errors?: { field: string; expected: string }[] };
      assert.equal(response.status, status, body);
      assert.equal(problem.code, 'VALIDATION_ERROR', body);
      assert.equal(problem.errors?.[0]?.field, field, body);
      for (const { expected } of problem.errors ?? []) assert.doesNotMatch(expected, /nvalid|received/, body);
    }
    const openapi = await fetch(`${gateway.url}/api/v1/cluster/openapi.json`, { headers: { 'x-api-key': ROOT } });
    const { paths, components } = (await openapi.json()) as {
      paths: Record<string, Record<string, { security: object[]; responses: Record<string, object> }>>;
      components: { securitySchemes: object; responses: { Error: { content: object } } };
    };
    assert.ok('/api/v1/cluster/tasks' in paths && '/api/v1/nodes/{id}/drain' in paths, Object.keys(paths).join(' '));
    // Who calls how, and what an error looks like, for each operation.
    for (const [path, item] of Object.entries(paths)) {
      for (const [method, { security, responses }] of Object.entries(item)) {
        assert.deepEqual(responses['default'], { $ref: '#/components/responses/Error' }, `${method} ${path}`);
        const schemes = security.flatMap((each) => Object.keys(each));
        assert.ok(schemes.length > 0 && schemes.every((name) => name in components.securitySchemes), path);
        assert.equal(schemes.includes('node'), /\/cluster\/(join$|self\/)/.test(path), path);
      }
    }
    assert.deepEqual(Object.keys(components.responses.Error.content), ['application/problem+json']);
  });

  test('events resume where a client left off, and a stream sends them as they come', async (t) => {
    const gateway = await startTestGateway(t, document(await folderFor(t), 'one', 'own'), KEYS);
    const cluster = clusterClient({ url: gateway.url, apiKey: ROOT });
    await waitFor(
      () => cluster.status(),
      ({ queen }) => queen === 'one',
      'there is a queen',
    );
    const before = await cluster.events(0);
    assert.ok(before.some(({ type }) => type === 'node.joined'));
    const last = before.at(-1)?.id ?? 0;
    const waiting = cluster.events(last, 20);
    await cluster.createJoinToken();
    assert.deepEqual(
      (await waiting).map(({ type }) => type),
      ['token.created'],
    );
    const stream = await fetch(`${gateway.url}/api/v1/cluster/events`, {
      headers: { 'x-api-key': ROOT, accept: 'text/event-stream', 'last-event-id': String(last) },
    });
    const reader = stream.body!.getReader();
    let text = '';
    while (!text.includes('token.created')) text += Buffer.from((await reader.read()).value ?? []).toString();
    assert.match(
      text,
      new RegExp(`event: token.created[\\s\\S]*id: ${last + 1}|id: ${last + 1}[\\s\\S]*token.created`),
    );
    await reader.cancel();
  });
});

test('join tokens are listed without their texts and revoked by id; nodes that joined with one stay', async (t) => {
  const gateway = await startTestGateway(t, document(await folderFor(t), 'one', 'own'), KEYS);
  const { url } = gateway;
  const cluster = clusterClient({ url, apiKey: ROOT });
  await waitFor(
    () => cluster.status(),
    ({ queen }) => queen === 'one',
    'there is a queen',
  );
  const leaked = await cluster.createJoinToken({ uses: 3, labels: { tier: 'words' } });
  const once = await cluster.createJoinToken();
  const endless = await cluster.createJoinToken({ uses: null });
  const run = async () => null;
  const member = await joinCluster({ url, joinToken: leaked.token, name: 'w1', run });
  t.after(() => member.close());
  await (await joinCluster({ url, joinToken: once.token, name: 'w2', run })).close();
  const listed = await cluster.joinTokens();
  assert.deepEqual(
    listed.map(({ id, labels, uses_left }) => [id, labels, uses_left]).sort(),
    [
      [leaked.id, { tier: 'words' }, 2],
      [endless.id, {}, null],
    ].sort(),
    'the one that was used up is of no use any more',
  );
  assert.ok(!JSON.stringify(listed).includes('ghj_'));
  await cluster.revokeJoinToken(leaked.id);
  await assert.rejects(
    joinCluster({ url, joinToken: leaked.token, name: 'w3', run }),
    (error) => error instanceof ClusterCallError && error.status === 401,
  );
  await assert.rejects(
    cluster.revokeJoinToken(leaked.id),
    (error) => error instanceof ClusterCallError && error.status === 404,
  );
  assert.deepEqual(
    (await cluster.nodes()).filter(({ kind }) => kind === 'worker').map(({ name }) => name),
    ['w1'],
  );
  const events = await cluster.events(0);
  assert.deepEqual(
    events.filter(({ type }) => type === 'token.revoked').map(({ subject, data }) => [subject, data['by']]),
    [[leaked.id, 'root']],
  );
});

describe('callers that come late, or too often', () => {
  test('who asks for events that are no longer kept is told of the gap', async (t) => {
    const folder = await folderFor(t);
    const gateway = await startTestGateway(t, document(folder, 'one', 'own'), KEYS);
    const cluster = clusterClient({ url: gateway.url, apiKey: ROOT });
    await waitFor(
      () => cluster.status(),
      ({ queen }) => queen === 'one',
      'there is a queen',
    );
    await cluster.createJoinToken();
    const last = (await cluster.events(0)).at(-1)!.id;
    const store = await openStore<ClusterTables>(`sqlite:${join(folder, 'cluster.db')}`);
    t.after(() => store.close());
    await store.db.deleteFrom('cluster_events').where('id', '<', last).execute();
    const stream = await fetch(`${gateway.url}/api/v1/cluster/events`, {
      headers: { 'x-api-key': ROOT, accept: 'text/event-stream', 'last-event-id': '1' },
    });
    const reader = stream.body!.getReader();
    let text = '';
    while (!text.includes('token.created')) text += Buffer.from((await reader.read()).value ?? []).toString();
    await reader.cancel();
    assert.match(text, new RegExp(`event: gap\\ndata: \\{"from":1,"to":${last - 1}\\}\\nid: ${last - 1}`));
    assert.ok(text.indexOf('event: gap') < text.indexOf('event: token.created'));
  });

  test('who guesses tokens gets 429 with Retry-After, and the errors have the shape of all others', async (t) => {
    const gateway = await startTestGateway(t, document(await folderFor(t), 'one', 'own'), KEYS);
    const guess = async (n: number): Promise<Response> =>
      await fetch(`${gateway.url}/api/v1/cluster/self/tasks`, { headers: { authorization: `Bearer ghn_${n}guess` } });
    await waitFor(
      () => guess(0),
      ({ status }) => status === 401,
      'the cluster is open',
    );
    const statuses: number[] = [];
    let refused: Response | undefined;
    for (let n = 0; n < 60 && refused === undefined; n++) {
      const response = await guess(n);
      statuses.push(response.status);
      if (response.status === 429) refused = response;
      else await response.body?.cancel();
    }
    assert.ok(refused !== undefined, statuses.join(' '));
    assert.equal(refused.headers.get('retry-after'), '1');
    const body = (await refused.json()) as Record<string, unknown>;
    assert.equal(body['code'], 'RATE_LIMIT_EXCEEDED');
    assert.match(refused.headers.get('content-type') ?? '', /problem\+json/);
  });
});

describe('workers', () => {
  test('join, run tasks, report progress, talk to each other, and leave', async (t) => {
    const folder = await folderFor(t);
    const gateways = [
      await startTestGateway(t, document(folder, 'one', 'own'), KEYS),
      await startTestGateway(t, document(folder, 'two', 'own'), KEYS),
    ];
    const url = gateways.map((gateway) => gateway.url);
    const cluster = clusterClient({ url, apiKey: ROOT });
    await waitFor(
      () => cluster.status(),
      ({ queen }) => queen !== null,
      'there is a queen',
    );
    const messages: unknown[] = [];
    const run = async (task: WorkerTask): Promise<unknown> => {
      await task.progress(0.5);
      const { text } = task.payload as { text: string };
      if (text === '') throw Object.assign(new Error('there is no text'), { final: true });
      return { words: text.split(' ').length, attempt: task.attempt };
    };
    const { token: joinToken } = await cluster.createJoinToken({ uses: 2, labels: { tier: 'words' } });
    const options = { url, joinToken, run, capacity: 2 };
    const one = await joinCluster({ ...options, name: 'w1' });
    const two = await joinCluster({
      ...options,
      name: 'w2',
      onMessage: ({ body, from }) => void messages.push([body, from]),
    });
    t.after(() => Promise.all([one.close(), two.close()]));
    await assert.rejects(
      joinCluster({ ...options, name: 'w3' }),
      (error) => error instanceof ClusterCallError && error.status === 401,
    );
    const tasks = await Promise.all(
      ['a b c', 'd', 'e f'].map((text) =>
        cluster.createTask({ kind: 'count', payload: { text }, selector: { tier: 'words' } }),
      ),
    );
    const done = await Promise.all(tasks.map(({ id }) => cluster.waitForTask(id, { everyMs: 50 })));
    assert.deepEqual(
      done.map(({ result }) => (result as { words: number }).words),
      [3, 1, 2],
    );
    const empty = await cluster.createTask({ kind: 'count', payload: { text: '' } });
    const failed = await cluster.waitForTask(empty.id, { everyMs: 50 });
    assert.deepEqual([failed.state, failed.error, failed.attempt], ['failed', 'there is no text', 1]);
    assert.equal(await one.send(two.nodeId, 'news', { hello: 1 }), 1);
    await waitFor(
      async () => messages,
      (all) => all.length > 0,
      'the message comes',
    );
    assert.deepEqual(messages, [[{ hello: 1 }, one.nodeId]]);
    await two.close();
    const { state } = await cluster.node(two.nodeId);
    assert.equal(state, 'left');
  });

  test('a drained gateway is not ready, and ready again when it is activated', async (t) => {
    const gateway = await startTestGateway(t, document(await folderFor(t), 'one', 'own'), KEYS);
    const cluster = clusterClient({ url: gateway.url, apiKey: ROOT });
    const ready = async (): Promise<number> => (await fetch(`${gateway.url}/health/ready`)).status;
    const [node] = await waitFor(
      () => cluster.nodes(),
      (nodes) => nodes.length === 1,
      'it has joined',
    );
    assert.equal(await ready(), 200);
    await cluster.changeNode(node?.id ?? '', 'drain', 'upgrade');
    await waitFor(ready, (status) => status === 503, 'it is not ready');
    assert.equal(await hello(gateway), 'own', 'what comes all the same is answered');
    await cluster.changeNode(node?.id ?? '', 'activate', 'done');
    await waitFor(ready, (status) => status === 200, 'it is ready');
  });
});

describe('a rollout over three gateways', () => {
  test('a good one reaches all, a bad one none', async (t) => {
    const folder = await folderFor(t);
    const names = ['one', 'two', 'three'];
    const gateways: TestGateway[] = [];
    for (const name of names) gateways.push(await startTestGateway(t, document(folder, name, `own of ${name}`), KEYS));
    const cluster = clusterClient({ url: gateways.map(({ url }) => url), apiKey: ROOT });
    await waitFor(
      () => cluster.nodes(),
      (nodes) => nodes.length === 3,
      'all have joined',
    );
    assert.deepEqual(
      await Promise.all(gateways.map(hello)),
      names.map((name) => `own of ${name}`),
    );

    const shared = (body: string) =>
      `routes:\n  - { match: { path: /hello }, auth: public, respond: { status: 200, body: "${body}" } }\n`;
    const end = (id: string) =>
      waitFor(
        () => cluster.rollouts(),
        (rollouts) =>
          rollouts.some((each) => each.id === id && ['done', 'rejected', 'rolled-back'].includes(each.state)),
        'the rollout ends',
      );
    const good = await cluster.rollOut({ document: shared('version one'), reason: 'first' });
    const [ended] = await end(good.id);
    assert.equal(ended?.state, 'done', ended?.reason ?? '');
    assert.deepEqual(
      await Promise.all(gateways.map(hello)),
      names.map(() => 'version one'),
    );

    const bad = await cluster.rollOut({ document: 'routes: [{ match: {}, service: nobody }]', reason: 'typo' });
    const [rejected] = await end(bad.id);
    assert.equal(rejected?.state, 'rejected');
    assert.match(rejected?.reason ?? '', /refuses it/);
    assert.deepEqual(
      await Promise.all(gateways.map(hello)),
      names.map(() => 'version one'),
    );
    const options = { watchMs: 0, waveWatchMs: 0, judgeWithinMs: null, canaryShare: 1, waves: [1] };
    const again = await cluster.rollOut({ version: 1, reason: 'as it was', ...options });
    await end(again.id);
    const third = await cluster.rollout(again.id);
    assert.deepEqual([third.state, third.canary.length, third.judged], ['done', 3, false]);
    assert.match(third.reason ?? '', /^not judged/);
    const versions = await cluster.versions();
    assert.deepEqual(
      versions.map(({ version, reason }) => [version, reason]),
      [
        [3, 'as it was'],
        [2, 'typo'],
        [1, 'first'],
      ],
    );
    const { from, lines } = await cluster.difference(2);
    assert.equal(from, 1);
    assert.ok(
      lines.includes('+routes: [{ match: {}, service: nobody }]') && lines.includes('-routes:'),
      lines.join('\n'),
    );
    assert.ok(
      (await cluster.difference(1)).lines.every((line) => line.startsWith('+')),
      'the first one is all new',
    );
    const seen: string[] = [];
    const enough = new AbortController();
    for await (const { type, subject } of cluster.followEvents(0, enough.signal)) {
      if (subject === bad.id) seen.push(type);
      if (type === 'rollout.rejected') enough.abort();
    }
    assert.deepEqual(seen, ['rollout.checking', 'rollout.rejected']);
    const status = gateways[0]!.status() as { features: { sections?: { cluster?: { version: number } } }[] };
    assert.equal(status.features.find(({ sections }) => sections?.cluster)?.sections?.cluster?.version, 3);
  });
});
