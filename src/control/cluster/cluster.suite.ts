/** What the cluster promises over any SQL store: run by cluster.test.ts on SQLite and by cluster-postgres.test.ts. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { sql } from 'kysely';
import { until } from '../../../test/support/until.ts';
import { systemClock } from '../../base/clock.ts';
import { createLogger } from '../../base/log.ts';
import { systemTimers } from '../../base/system-timers.ts';
import { migrate } from '../store/migrate.ts';
import { openStore, type Store } from '../store/store.ts';
import { Cluster } from './cluster.ts';
import { Fence, FencedError } from './fence.ts';
import { leaseSuite } from './lease.suite.ts';
import { SqlLeaseStore } from './lease.ts';
import type { Heartbeat, NewNode } from './members.ts';
import { MAX_WAITING } from './messages.ts';
import type { ClusterPlan } from './options.ts';
import { Queen } from './queen.ts';
import { ClusterRefusal } from './refusal.ts';
import type { Rollout, RolloutSettings, RolloutState } from './rollout.ts';
import { type ClusterTables, MIGRATIONS } from './tables.ts';

const log = createLogger({ level: 'error' });
const PATIENCE_MS = 20_000;

export const PLAN: ClusterPlan = {
  name: 'test',
  node: 'one',
  url: null,
  zone: null,
  labels: {},
  store: null,
  leases: null,
  path: '/api/v1',
  adminIssuers: [],
  certified: {},
  heartbeatMs: 100,
  election: { leaseMs: 10_000, renewMs: 3_000 },
  members: { suspectMs: 10_000, goneMs: 30_000, maxNodes: 50, forgetMs: 7 * 86_400_000 },
  rollout: {
    canaryShare: 0.1,
    watchMs: 0,
    judgeWithinMs: null,
    waveWatchMs: 0,
    stepTimeoutMs: 30_000,
    waves: [0.5, 1],
    minRequests: 50,
    significance: 0.01,
    latencyRatio: 2,
  },
};

export interface Scene {
  readonly store: Store<ClusterTables>;
  readonly cluster: Cluster;
  readonly queen: Queen;
}

const WORKER: NewNode = { name: 'w1', kind: 'worker', url: null, zone: null, labels: {}, capacity: 2, software: null };
const GATEWAY: NewNode = { ...WORKER, name: 'g1', kind: 'gateway', capacity: 0 };
const TASK = {
  kind: 'count',
  payload: { n: 1 },
  selector: {},
  affinity: {},
  priority: 0,
  maxAttempts: 2,
  timeoutMs: 60_000,
  dedupe: null,
  createdBy: 'test',
};

function refusedWith(code: string) {
  return (error: unknown): boolean => error instanceof ClusterRefusal && error.code === code;
}

export function clusterSuite(name: string, database: () => Promise<string>): void {
  async function scene(t: TestContext): Promise<Scene> {
    const store = await openStore<ClusterTables>(await database());
    await migrate(store, 'cluster', MIGRATIONS);
    const cluster = new Cluster({ store, plan: PLAN, clock: systemClock, timers: systemTimers, log });
    const queen = queenOf(store, cluster);
    t.after(async () => {
      await cluster.close();
      await store.close();
    });
    return { store, cluster, queen };
  }

  function queenOf(store: Store<ClusterTables>, cluster: Cluster): Queen {
    return new Queen({
      store,
      fence: new Fence(store, PLAN.name),
      members: cluster.members,
      messages: cluster.messages,
      nodeName: 'one',
      timers: systemTimers,
      log,
      onFenced: () => {},
    });
  }

  async function joinWorker({ cluster }: Scene, wanted: Partial<NewNode> = {}) {
    const { token } = await cluster.joinTokens.create({
      labels: {},
      zone: null,
      ttlMs: 60_000,
      uses: 1,
      createdBy: 'test',
    });
    return await cluster.members.join(token, { ...WORKER, ...wanted });
  }

  /** As if the node had been silent for so long. */
  async function silence({ store }: Scene, id: string, ms: number): Promise<void> {
    await store.db
      .updateTable('cluster_nodes')
      .set((set) => ({ seen_at: set('seen_at', '-', ms) }))
      .where('id', '=', id)
      .execute();
  }

  leaseSuite(name, {
    isBesideTheFence: true,
    async open() {
      const url = await database();
      const stores = [await openStore<ClusterTables>(url), await openStore<ClusterTables>(url)] as const;
      await migrate(stores[0], 'cluster', MIGRATIONS);
      return [new SqlLeaseStore(stores[0], 'test'), new SqlLeaseStore(stores[1], 'test')];
    },
  });

  describe(`the cluster on ${name}`, () => {
    test('a join token of one use joins one node, and what it says of labels wins', async (t) => {
      const { cluster } = await scene(t);
      const { token } = await cluster.joinTokens.create({
        labels: { tier: 'gold' },
        zone: 'b',
        ttlMs: 60_000,
        uses: 1,
        createdBy: 'test',
      });
      const wanted = { ...WORKER, labels: { tier: 'forged', gpu: 'no' }, zone: 'a' };
      const joined = await Promise.allSettled([
        cluster.members.join(token, wanted),
        cluster.members.join(token, { ...wanted, name: 'w2' }),
      ]);
      const [made] = joined.filter((result) => result.status === 'fulfilled');
      assert.equal(joined.filter(({ status }) => status === 'fulfilled').length, 1);
      assert.deepEqual(made?.value.node.labels, { tier: 'gold', gpu: 'no' });
      assert.equal(made?.value.node.zone, 'b');
      await assert.rejects(
        cluster.members.join(token, { ...wanted, name: 'w3' }),
        refusedWith('AUTHENTICATION_REQUIRED'),
      );
    });

    test('a node token works until the node is taken out', async (t) => {
      const each = await scene(t);
      const { node, token } = await joinWorker(each);
      assert.equal(await each.cluster.members.authenticate(token), node.id);
      await each.cluster.members.setState(node.id, 'left', 'sold', 'ada');
      await assert.rejects(each.cluster.members.authenticate(token), refusedWith('AUTHENTICATION_REQUIRED'));
      await assert.rejects(each.cluster.members.heartbeat(node.id, {}), refusedWith('RESOURCE_NOT_FOUND'));
    });

    test('the name of a live node cannot be taken; that of a silent one can, and it keeps its id', async (t) => {
      const each = await scene(t);
      const { node } = await joinWorker(each);
      await assert.rejects(joinWorker(each), refusedWith('NAME_TAKEN'));
      await silence(each, node.id, 15_000);
      const again = await joinWorker(each);
      assert.equal(again.node.id, node.id);
      assert.equal(again.node.incarnation, 2);
    });

    test('silence makes a node suspect, then gone, which the queen says once; a heartbeat brings it back', async (t) => {
      const each = await scene(t);
      const { node } = await joinWorker(each);
      await silence(each, node.id, 12_000);
      assert.equal((await each.cluster.members.get(node.id)).presence, 'suspect');
      await silence(each, node.id, 20_000);
      await each.queen.work(1);
      await each.queen.work(1);
      await each.cluster.members.heartbeat(node.id, { health: 'healthy' });
      assert.equal((await each.cluster.members.get(node.id)).presence, 'alive');
      const types = (await each.cluster.events.after(0, 100)).map(({ type }) => type);
      assert.equal(types.filter((type) => type === 'node.gone').length, 1);
      assert.ok(types.includes('node.back'));
    });

    test('the clock of the store is set back by an hour: no lease, node, task or step waits for that hour', async (t) => {
      const each = await scene(t);
      const { store, cluster, queen } = each;
      const { node } = await joinWorker(each);
      const { task } = await cluster.tasks.create(TASK);
      await queen.work(1);
      await cluster.tasks.accept(task.id, node.id, { attempt: 1 });
      const leases = new SqlLeaseStore(store, 'stepped');
      assert.equal(await leases.acquire('dead', 1_000), 1);
      // As all rows look when the clock goes back.
      const ahead = (column: string) => sql<number>`${sql.ref(column)} + 3600000`;
      await store.db
        .updateTable('cluster_leases')
        .set({ until: ahead('until') })
        .where('until', '>', 0)
        .execute();
      await store.db
        .updateTable('cluster_nodes')
        .set({ seen_at: ahead('seen_at') })
        .execute();
      await store.db
        .updateTable('cluster_tasks')
        .set({ lease_until: ahead('lease_until'), updated_at: ahead('updated_at'), not_before: ahead('not_before') })
        .execute();
      assert.equal(await leases.acquire('other', 50), null, 'it may be that its holder lives');
      const lease = await leases.read();
      assert.equal(lease?.holder, 'dead');
      await until(() => systemClock.wallMs() > (lease?.untilMs ?? 0), 'the lease ends soon', PATIENCE_MS);
      assert.equal(await leases.acquire('other', 50), 2);
      await queenOf(store, cluster).work(1);
      await silence(each, node.id, 40_000);
      await joinWorker(each, { name: 'w2' });
      await queen.work(1);
      const moved = await cluster.tasks.get(task.id);
      assert.equal(moved.attempt, 2, 'the task of the dead node went to another one');
      assert.ok((moved.leaseUntilMs ?? 0) < Date.now() + 120_000);
    });

    test('what an older epoch writes is refused whole', async (t) => {
      const { store, cluster, queen } = await scene(t);
      await queen.work(2);
      const fence = new Fence(store, PLAN.name);
      const before = (await cluster.events.range()).last;
      await assert.rejects(
        fence.write(1, async (trx) => {
          await trx.deleteFrom('cluster_nodes').execute();
        }),
        FencedError,
      );
      await fence.write(2, async () => {});
      assert.equal((await cluster.events.range()).last, before);
    });

    test('events have ids without holes in the order of commits, under many writers', async (t) => {
      const { cluster } = await scene(t);
      const { joinTokens } = cluster;
      const made = Array.from({ length: 30 }, () =>
        joinTokens.create({ labels: {}, zone: null, ttlMs: 60_000, uses: null, createdBy: 'test' }),
      );
      await Promise.all(made);
      const ids = (await cluster.events.after(0, 100)).map(({ id }) => id);
      assert.equal(ids.length, 30);
      assert.deepEqual(
        ids,
        [...ids].sort((a, b) => a - b),
      );
    });

    test('nodes that left or are gone do not fill the cluster, and are forgotten after a week', async (t) => {
      const each = await scene(t);
      const { cluster, queen, store } = each;
      const day = 86_400_000;
      const names = ['gone-long', 'gone', 'left-long', 'left', 'alive'];
      const ids: string[] = [];
      for (const name of names) ids.push((await joinWorker(each, { name })).node.id);
      for (const id of ids.slice(2, 4)) await cluster.members.setState(id, 'left', 'test', 'ada');
      for (const [at, days] of [8, 1, 8, 1].entries()) await silence(each, ids[at] ?? '', days * day);
      await queen.work(1);
      const left = await cluster.members.list({ all: true });
      assert.deepEqual(
        left.map(({ name, presence }) => [name, presence]),
        [
          ['alive', 'alive'],
          ['gone', 'gone'],
          ['left', 'left'],
        ],
      );
      const events = await store.db.selectFrom('cluster_events').select(['type', 'subject']).execute();
      const forgotten = events.filter(({ type }) => type === 'node.forgotten').map(({ subject }) => subject);
      assert.deepEqual(forgotten.sort(), [ids[0], ids[2]].sort());
      cluster.members.configure({ ...PLAN.members, maxNodes: 2 });
      await joinWorker(each, { name: 'one more' });
      await assert.rejects(joinWorker(each, { name: 'too many' }), refusedWith('CLUSTER_FULL'));
    });

    test('a task goes to the node with its labels, and its result is kept', async (t) => {
      const each = await scene(t);
      const { cluster, queen } = each;
      await joinWorker(each);
      const { node } = await joinWorker(each, { name: 'gpu', labels: { gpu: 'yes' } });
      const { task } = await cluster.tasks.create({ ...TASK, selector: { gpu: 'yes' } });
      await queen.work(1);
      const [assigned] = await cluster.tasks.assignedTo(node.id, 10);
      assert.equal(assigned?.id, task.id);
      await cluster.tasks.accept(task.id, node.id, { attempt: 1 });
      await cluster.tasks.progress(task.id, node.id, { attempt: 1, progress: 0.5 });
      await cluster.tasks.complete(task.id, node.id, 1, { words: 7 });
      const done = await cluster.tasks.get(task.id);
      assert.deepEqual([done.state, done.progress, done.result], ['done', 1, { words: 7 }]);
    });

    test('a dedupe id makes twice once, and refuses other content', async (t) => {
      const { cluster } = await scene(t);
      const made = await Promise.all(
        Array.from({ length: 10 }, () => cluster.tasks.create({ ...TASK, dedupe: 'test k1' })),
      );
      assert.equal(new Set(made.map(({ task }) => task.id)).size, 1);
      assert.equal(made.filter(({ isNew }) => isNew).length, 1);
      await assert.rejects(
        cluster.tasks.create({ ...TASK, payload: { n: 2 }, dedupe: 'test k1' }),
        refusedWith('IDEMPOTENCY_KEY_REUSED'),
      );
    });

    test('the tasks of a node that is gone go to another, and a late report of the first is refused', async (t) => {
      const each = await scene(t);
      const { cluster, queen } = each;
      const { node: first } = await joinWorker(each);
      const { task } = await cluster.tasks.create(TASK);
      await queen.work(1);
      await cluster.tasks.accept(task.id, first.id, { attempt: 1 });
      const { node: second } = await joinWorker(each, { name: 'w2' });
      await silence(each, first.id, 40_000);
      await queen.work(1);
      const moved = await cluster.tasks.get(task.id);
      assert.deepEqual([moved.nodeId, moved.attempt, moved.state], [second.id, 2, 'assigned']);
      await assert.rejects(cluster.tasks.complete(task.id, first.id, 1, null), refusedWith('TASK_NOT_YOURS'));
      await cluster.tasks.complete(task.id, second.id, 2, null);
    });

    test('a task fails for good after its last attempt, or at once when the node says so', async (t) => {
      const each = await scene(t);
      const { cluster, queen, store } = each;
      const { node } = await joinWorker(each);
      const { task } = await cluster.tasks.create(TASK);
      await queen.work(1);
      await cluster.tasks.fail(task.id, node.id, 1, 'no luck', false);
      await queen.work(1);
      assert.equal((await cluster.tasks.get(task.id)).state, 'queued', 'not before its back-off is over');
      await store.db.updateTable('cluster_tasks').set({ not_before: 0 }).execute();
      await queen.work(1);
      await cluster.tasks.fail(task.id, node.id, 2, 'no luck again', false);
      assert.equal((await cluster.tasks.get(task.id)).state, 'failed');
      const other = await cluster.tasks.create(TASK);
      await queen.work(1);
      await cluster.tasks.fail(other.task.id, node.id, 1, 'it never can', true);
      assert.equal((await cluster.tasks.get(other.task.id)).error, 'it never can');
    });

    test('a cordoned node gets nothing new, and capacity bounds what one holds', async (t) => {
      const each = await scene(t);
      const { cluster, queen } = each;
      const { node: one } = await joinWorker(each);
      const { node: two } = await joinWorker(each, { name: 'w2' });
      await cluster.members.setState(two.id, 'cordoned', 'upgrade', 'ada');
      for (let i = 0; i < 4; i++) await cluster.tasks.create(TASK);
      await queen.work(1);
      assert.equal((await cluster.tasks.assignedTo(one.id, 10)).length, 2);
      assert.equal((await cluster.tasks.assignedTo(two.id, 10)).length, 0);
      await cluster.members.setState(two.id, 'active', 'done', 'ada');
      await queen.work(1);
      assert.equal((await cluster.tasks.assignedTo(two.id, 10)).length, 2);
    });

    test('messages come in order until they are acknowledged, to one or to all', async (t) => {
      const each = await scene(t);
      const { messages } = each.cluster;
      const { node: a } = await joinWorker(each);
      const { node: b } = await joinWorker(each, { name: 'b' });
      const send = (to: string, body: unknown, dedupe: string | null = null) =>
        messages.send({ to, from: a.id, topic: 'news', body, dedupe, ttlMs: 60_000 });
      await send(b.id, 1, 'k');
      assert.equal((await send(b.id, 1, 'k')).sentTo, 0);
      assert.equal((await send('all', 2)).sentTo, 1);
      const read = await messages.read(b.id, 0, 10);
      assert.deepEqual(
        read.map(({ body }) => body),
        [1, 2],
      );
      await messages.acknowledge(b.id, read[0]?.id ?? 0);
      const again = await messages.read(b.id, 0, 10);
      assert.deepEqual(
        again.map(({ body, deliveries }) => [body, deliveries]),
        [[2, 2]],
      );
      await assert.rejects(messages.acknowledge(a.id, again[0]?.id ?? 0), refusedWith('RESOURCE_NOT_FOUND'));
      await assert.rejects(send('nobody', 3), refusedWith('RESOURCE_NOT_FOUND'));
    });

    test('a worker that never reads, or a gateway, keeps no message from the others', async (t) => {
      const each = await scene(t);
      const { messages, members } = each.cluster;
      const { node: a } = await joinWorker(each);
      const { node: b } = await joinWorker(each, { name: 'b' });
      const { node: full } = await joinWorker(each, { name: 'full' });
      const gateway = await members.joinGateway({ ...WORKER, name: 'g', kind: 'gateway' });
      const row = {
        from_node: a.id,
        topic: 't',
        body: '1',
        dedupe: null,
        created_at: 0,
        deliveries: 0,
        acked_at: null,
      };
      for (let i = 0; i < MAX_WAITING; i += 500)
        await each.store.db
          .insertInto('cluster_messages')
          .values(
            Array.from({ length: 500 }, () => ({
              ...({} as { id: number }),
              ...row,
              to_node: full.id,
              expires_at: Number.MAX_SAFE_INTEGER,
            })),
          )
          .execute();
      const send = (to: string) =>
        messages.send({ to, from: a.id, topic: 'news', body: 1, dedupe: null, ttlMs: 60_000 });
      assert.equal((await send('all')).sentTo, 1);
      assert.equal((await messages.read(b.id, 0, 10)).length, 1);
      const once = { to: 'all', from: a.id, topic: 't', body: 2, dedupe: 'k', ttlMs: 60_000 };
      assert.deepEqual([(await messages.send(once)).sentTo, (await messages.send(once)).sentTo], [1, 0], 'sent twice');
      await assert.rejects(send(full.id), refusedWith('SERVICE_UNAVAILABLE'));
      await assert.rejects(send(gateway.id), refusedWith('NOT_A_WORKER'));
    });

    // --- rollouts ----------------------------------------------------------------------------------------------------

    type Change = (id: string, wantedVersion: number) => Partial<Heartbeat>;

    interface Gateways {
      readonly ids: readonly string[];
      /** What each gateway does with its next heartbeat: takes up what is wanted, unless told otherwise. */
      beat(change?: Change): Promise<void>;
    }

    async function gateways({ cluster }: Scene, count: number): Promise<Gateways> {
      const ids: string[] = [];
      for (let i = 0; i < count; i++) ids.push((await cluster.members.joinGateway({ ...GATEWAY, name: `g${i}` })).id);
      return {
        ids,
        async beat(change = () => ({})) {
          for (const id of ids) {
            const { node, rollout } = await cluster.members.heartbeat(id, { health: 'healthy' });
            const checked =
              rollout?.isChecked === true ? { checked: { version: rollout.version, problems: null } } : {};
            await cluster.members.heartbeat(id, {
              appliedVersion: node.wantedVersion,
              ...checked,
              ...change(id, node.wantedVersion),
            });
          }
        },
      };
    }

    async function run(
      { cluster, queen }: Scene,
      { beat }: Gateways,
      change?: Change,
      rounds = 12,
    ): Promise<RolloutState[]> {
      const states: RolloutState[] = [];
      for (let i = 0; i < rounds; i++) {
        await beat(change);
        await queen.work(1);
        const [rollout] = await cluster.rollouts.list(1);
        if (rollout !== undefined && states.at(-1) !== rollout.state) states.push(rollout.state);
      }
      return states;
    }

    const propose = ({ cluster }: Scene, document: string, force = false, settings: Partial<RolloutSettings> = {}) =>
      cluster.rollouts.propose({
        document,
        author: 'ada',
        reason: 'test',
        settings: { ...PLAN.rollout, ...settings },
        force,
      });

    const latest = async ({ cluster }: Scene): Promise<Rollout> => {
      const [rollout] = await cluster.rollouts.list(1);
      assert.ok(rollout);
      return rollout;
    };

    /** Counters that grow by so many requests and faults a round; `isBad` says on which gateways, from when on. */
    function counting(requests: number, isBad: (id: string, wantedVersion: number) => boolean): Change {
      const counters = new Map<string, { requests: number; faults: number }>();
      const buckets = Array.from({ length: 14 }, () => 0);
      return (id, wantedVersion) => {
        const now = counters.get(id) ?? { requests: 0, faults: 0 };
        now.requests += requests;
        if (isBad(id, wantedVersion)) now.faults += requests;
        counters.set(id, now);
        return { traffic: { ...now, buckets, workerRestarts: 0 } };
      };
    }

    test('a good version goes from one node to all', async (t) => {
      const each = await scene(t);
      const all = await gateways(each, 10);
      await propose(each, 'routes: []');
      assert.deepEqual(await run(each, all), ['canary', 'watching', 'waves', 'done']);
      const nodes = await each.cluster.members.list();
      assert.ok(nodes.every(({ appliedVersion, wantedVersion }) => appliedVersion === 1 && wantedVersion === 1));
      const late = await each.cluster.members.joinGateway({ ...GATEWAY, name: 'late' });
      assert.equal(late.wantedVersion, 1, 'who joins later gets it');
    });

    test('a version that one node refuses reaches none', async (t) => {
      const each = await scene(t);
      const all = await gateways(each, 3);
      await propose(each, 'routes: [');
      const states = await run(each, all, (id) =>
        id === all.ids[2] ? { checked: { version: 1, problems: ['line 1: no end'] } } : {},
      );
      assert.deepEqual(states, ['rejected']);
      const [rollout] = await each.cluster.rollouts.list(1);
      assert.match(rollout?.reason ?? '', /g2 refuses it: line 1: no end/);
      assert.ok((await each.cluster.members.list()).every(({ appliedVersion }) => appliedVersion === 0));
    });

    test('a canary with more faults than the others is undone, and the version refused until a person says so', async (t) => {
      const each = await scene(t);
      const all = await gateways(each, 4);
      await propose(each, 'bad: true');
      let requests = 0;
      const buckets = Array.from({ length: 14 }, () => 0);
      const states = await run(each, all, (id) => {
        requests += 200;
        const isCanary = id === all.ids[0];
        return { traffic: { requests, faults: isCanary ? requests / 2 : 0, buckets, workerRestarts: 0 } };
      });
      assert.deepEqual(states, ['canary', 'watching', 'rolling-back', 'rolled-back']);
      const nodes = await each.cluster.members.list();
      assert.ok(nodes.every(({ appliedVersion }) => appliedVersion === 0));
      await assert.rejects(propose(each, 'bad: true'), refusedWith('ROLLED_BACK_BEFORE'));
      assert.equal((await propose(each, 'bad: true', true)).state, 'checking');
    });

    test('a canary that does not come back, or ends a worker, is undone', async (t) => {
      const each = await scene(t);
      const all = await gateways(each, 3);
      await propose(each, 'v: 1');
      const traffic = (workerRestarts: number) => ({
        traffic: { requests: 0, faults: 0, buckets: [], workerRestarts },
      });
      let rounds = 0;
      const states = await run(each, all, () => traffic(rounds++ > 3 * 3 ? 1 : 0));
      assert.deepEqual(states.slice(-2), ['rolling-back', 'rolled-back']);
    });

    test('a canary that only says it is unhealthy is undone, unless it was so before', async (t) => {
      const each = await scene(t);
      const all = await gateways(each, 3);
      await propose(each, 'v: 1');
      const [canary] = all.ids;
      const states = await run(each, all, (id, wanted) =>
        id === canary && wanted === 1 ? { health: 'unhealthy' } : { health: 'healthy' },
      );
      assert.deepEqual(states, ['canary', 'rolling-back', 'rolled-back']);
      assert.equal((await latest(each)).reason, 'g0 is unhealthy with it');
      await propose(each, 'v: 2');
      await run(each, all, (id) => ({ health: id === canary ? 'unhealthy' : 'healthy' }));
      assert.equal((await latest(each)).state, 'done', 'that says nothing of the version');
    });

    test('ten failures of ten on the canary undo it, though that is little traffic', async (t) => {
      const each = await scene(t);
      const all = await gateways(each, 2);
      await propose(each, 'v: 1', false, { watchMs: 600_000 });
      const change = counting(5, (_id, wanted) => wanted === 1);
      assert.deepEqual((await run(each, all, change)).slice(-2), ['rolling-back', 'rolled-back']);
      const { reason, isJudged } = await latest(each);
      assert.match(reason ?? '', /requests on the canary failed/);
      assert.equal(isJudged, true);
    });

    test('a version that spreads without traffic to judge it says so: in the rollout, an event, the metrics', async (t) => {
      const each = await scene(t);
      const all = await gateways(each, 3);
      await propose(each, 'v: 1');
      await run(
        each,
        all,
        counting(1, () => false),
      );
      const { state, reason, isJudged } = await latest(each);
      assert.deepEqual([state, isJudged], ['done', false]);
      assert.match(reason ?? '', /^not judged: \d+ requests on the gateways that run it, of 50 that it takes$/);
      const events = await each.store.db.selectFrom('cluster_events').select('type').execute();
      assert.equal(events.filter(({ type }) => type === 'rollout.unjudged').length, 1);
      assert.deepEqual([...each.queen.ended.values()], [{ end: { state: 'done', isJudged: false }, count: 1 }]);
      await propose(each, 'v: 2');
      await run(
        each,
        all,
        counting(100, () => false),
      );
      const judged = await latest(each);
      assert.deepEqual([judged.state, judged.isJudged, judged.reason], ['done', true, null]);
    });

    test('where it must be judged, it waits for traffic, and goes back without', async (t) => {
      const each = await scene(t);
      const all = await gateways(each, 3);
      await propose(each, 'v: 1', false, { judgeWithinMs: 600_000 });
      assert.equal((await run(each, all)).at(-1), 'watching');
      await run(
        each,
        all,
        counting(100, () => false),
      );
      assert.equal((await latest(each)).state, 'done');
      await propose(each, 'v: 2', false, { judgeWithinMs: 1 });
      await run(each, all);
      const { state, reason } = await latest(each);
      assert.equal(state, 'rolled-back');
      assert.match(reason ?? '', /^it could not be judged in 1ms: 0 requests/);
    });

    test('each wave is compared, the last one too: what fails only where all run it is undone', async (t) => {
      const each = await scene(t);
      const all = await gateways(each, 4);
      await propose(each, 'v: 1', false, { waveWatchMs: 600_000, waves: [1] });
      const running = new Set<string>();
      const change = counting(50, (id, wanted) => {
        if (wanted === 1) running.add(id);
        return wanted === 1 && running.size === all.ids.length;
      });
      const states = await run(each, all, change, 20);
      assert.equal(running.size, 4, 'it was everywhere');
      assert.deepEqual(states, ['canary', 'watching', 'waves', 'rolling-back', 'rolled-back']);
      assert.match((await latest(each)).reason ?? '', /requests on the canary failed, and no other node has traffic/);
      await propose(each, 'v: 2', false, { waveWatchMs: 600_000, waves: [1] });
      const good = await run(
        each,
        all,
        counting(50, () => false),
        20,
      );
      assert.equal(good.at(-1), 'waves', 'it is not done before it was watched');
      await each.store.db
        .updateTable('cluster_rollouts')
        .set({ settings: JSON.stringify(PLAN.rollout) })
        .execute();
      await run(each, all);
      assert.equal((await latest(each)).state, 'done');
    });

    test('one rollout at a time; an aborted one goes back to the version before', async (t) => {
      const each = await scene(t);
      const all = await gateways(each, 3);
      await propose(each, 'v: 1');
      await run(each, all);
      const second = await propose(each, 'v: 2');
      await assert.rejects(propose(each, 'v: 3'), refusedWith('ROLLOUT_OPEN'));
      await all.beat();
      await each.queen.work(1);
      await all.beat();
      await each.cluster.rollouts.abort(second.id, 'ada', 'changed my mind');
      await run(each, all);
      assert.equal((await each.cluster.rollouts.get(second.id)).state, 'rolled-back');
      assert.ok((await each.cluster.members.list()).every(({ appliedVersion }) => appliedVersion === 1));
    });

    test('the next queen goes on with a rollout in whatever state the last one left it', async (t) => {
      const each = await scene(t);
      const all = await gateways(each, 5);
      await propose(each, 'v: 1');
      for (let epoch = 1; epoch <= 12; epoch++) {
        await all.beat();
        // Each round is another queen, and the one before tries once more.
        await each.queen.work(epoch);
        if (epoch > 1) await assert.rejects(each.queen.work(epoch - 1), FencedError);
      }
      assert.equal((await each.cluster.rollouts.list(1))[0]?.state, 'done');
    });
  });
}
