/** Many nodes in one process over one store that counts what it is asked. */
import { type Clock, systemClock } from '../../src/base/clock.ts';
import { LATENCY_BUCKETS } from '../../src/base/duration-cells.ts';
import { createLogger } from '../../src/base/log.ts';
import { systemTimers, type Timers } from '../../src/base/system-timers.ts';
import { Agent } from '../../src/control/cluster/agent.ts';
import { Cluster } from '../../src/control/cluster/cluster.ts';
import { FactBoard } from '../../src/control/cluster/fact-board.ts';
import type { KeptVersion } from '../../src/control/cluster/kept-version.ts';
import type { ClusterPlan } from '../../src/control/cluster/options.ts';
import { type ClusterTables, MIGRATIONS } from '../../src/control/cluster/tables.ts';
import { Facts } from '../../src/control/facts.ts';
import { migrate } from '../../src/control/store/migrate.ts';
import { openStore, type Store } from '../../src/control/store/store.ts';

const log = createLogger('silent');
/** As a gateway is configured without a word. */
export const PLAN: Omit<ClusterPlan, 'node'> = {
  name: 'bench',
  url: null,
  zone: null,
  labels: {},
  store: null,
  leases: null,
  path: '/api/v1',
  adminIssuers: [],
  certified: {},
  heartbeatMs: 3_000,
  election: { leaseMs: 6_000, renewMs: 2_000 },
  members: { suspectMs: 10_000, goneMs: 30_000, maxNodes: 10_000, forgetMs: 7 * 86_400_000 },
  rollout: {
    canaryShare: 0.1,
    watchMs: 2_000,
    judgeWithinMs: null,
    // What is measured is how fast a version spreads once nothing holds it.
    waveWatchMs: 0,
    stepTimeoutMs: 60_000,
    waves: [0.5, 1],
    minRequests: 50,
    significance: 0.01,
    latencyRatio: 2,
  },
};

export interface SimulatedNode {
  readonly name: string;
  readonly cluster: Cluster;
  readonly agent: Agent;
  readonly board: FactBoard;
  /** As by kill -9: nothing is given up or said. */
  die(): void;
}

export interface SimulatedCluster {
  readonly store: Store<ClusterTables>;
  readonly nodes: readonly SimulatedNode[];
  /** Statements so far, by their first words and table. */
  readonly counts: ReadonlyMap<string, number>;
  close(): Promise<void>;
}

export interface Time {
  readonly clock: Clock;
  readonly timers: Timers;
}

const REAL: Time = { clock: systemClock, timers: systemTimers };

export async function openCluster(
  url: string,
  count: number,
  { time = REAL, plan = PLAN }: { readonly time?: Time; readonly plan?: typeof PLAN } = {},
): Promise<SimulatedCluster> {
  const store = await openStore<ClusterTables>(url, { maxConnections: 20 });
  await migrate(store, 'cluster', MIGRATIONS);
  await empty(store);
  const counts = new Map<string, number>();
  countStatements(store, counts);
  const nodes: SimulatedNode[] = [];
  for (let i = 0; i < count; i++)
    nodes.push(makeNode(store, { ...plan, node: `n${String(i).padStart(4, '0')}` }, time));
  const { members } = nodes[0]!.cluster;
  while ((await members.list()).length < count) await pause(200);
  // What each knows of the others' number, as after a minute; else the first minute is measured.
  for (const { cluster } of nodes) await cluster.crowd.count();
  return {
    store,
    nodes,
    counts,
    async close() {
      for (const { cluster } of nodes) cluster.crowd.close();
      await Promise.all(
        nodes.map(({ agent, board, cluster }) => Promise.all([agent.close(), board.close(), cluster.close()])),
      );
      await store.close();
    },
  };
}

function makeNode(store: Store<ClusterTables>, plan: ClusterPlan, { clock, timers: given }: Time): SimulatedNode {
  const { node } = plan;
  let isDead = false;
  const timers: Timers = {
    after: (ms, run) =>
      given.after(ms, () => {
        if (!isDead) run();
      }),
  };
  const cluster = new Cluster({ store, plan, clock, timers, log });
  const traffic = { requests: 0, faults: 0, buckets: LATENCY_BUCKETS.map(() => 0).concat(0), workerRestarts: 0 };
  const board = new FactBoard({
    store,
    facts: new Facts(),
    node,
    heartbeatMs: PLAN.heartbeatMs,
    clock,
    timers,
    log,
    crowd: cluster.crowd,
  });
  const agent = new Agent({
    host: {
      check: async () => null,
      apply: async () => null,
      health: () => 'healthy',
      load: () => ({ in_flight: 3 }),
      traffic: () => traffic,
    },
    members: cluster.members,
    rollouts: cluster.rollouts,
    kept: { write: async () => {} } as unknown as KeptVersion,
    node: { name: node, kind: 'gateway', url: null, zone: null, labels: {}, capacity: 0, software: 'bench' },
    heartbeatMs: PLAN.heartbeatMs,
    clock,
    timers,
    log,
    random: Math.random,
    crowd: cluster.crowd,
    appliedVersion: 0,
    onNewestFact: (seq, seenMs) => board.newest(seq, seenMs),
  });
  agent.start();
  board.start();
  cluster.start();
  return {
    name: node,
    cluster,
    agent,
    board,
    die() {
      isDead = true;
    },
  };
}

/** Each connection that is handed out counts what goes through it, also in transactions. */
function countStatements(store: Store<ClusterTables>, counts: Map<string, number>): void {
  const executor = store.db.getExecutor();
  const provide = executor.provideConnection.bind(executor);
  executor.provideConnection = (consume) =>
    provide((connection) =>
      consume(
        new Proxy(connection, {
          get(target, key) {
            if (key !== 'executeQuery') {
              const value: unknown = Reflect.get(target, key, target);
              return typeof value === 'function' ? value.bind(target) : value;
            }
            return (query: Parameters<typeof target.executeQuery>[0]) => {
              const kind = kindOf(query.sql);
              counts.set(kind, (counts.get(kind) ?? 0) + 1);
              return target.executeQuery(query);
            };
          },
        }),
      ),
    );
}

function kindOf(text: string): string {
  const [verb = ''] = text.trim().split(/\s/, 1);
  const table = /cluster_\w+/.exec(text)?.[0] ?? '';
  return `${verb.toLowerCase()} ${table.replace('cluster_', '')}`.trim();
}

async function empty({ db }: Store<ClusterTables>): Promise<void> {
  for (const table of [
    'cluster_leases',
    'cluster_nodes',
    'cluster_events',
    'cluster_tasks',
    'cluster_messages',
    'cluster_versions',
    'cluster_rollouts',
    'cluster_facts',
  ] as const)
    await db.deleteFrom(table).execute();
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
