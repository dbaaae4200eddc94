/**
 * The cluster as a feature of the control plane: opens the store, serves the API (`builtin:cluster` for the gateway's
 * routes, and a socket of its own for the command line), stands for election, and runs this process as a node. Nothing
 * of it is loaded without the key `cluster`. It only connects; the parts are beside it.
 */
import { join } from 'node:path';
import { systemClock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { ExtraMetric } from '../../base/extra-metric.ts';
import { systemTimers } from '../../base/system-timers.ts';
import type { Compiled } from '../config/compile.ts';
import { PRODUCT_VERSION } from '../config/version.ts';
import type { FeatureHost, OperationsApi } from '../feature.ts';
import type { Dependency, FeatureStatus } from '../feature-status.ts';
import type { Fetch } from '../local-server.ts';
import { migrate } from '../store/migrate.ts';
import { openStore, type Store } from '../store/store.ts';
import { Agent } from './agent.ts';
import { createClusterApp } from './app.ts';
import { gatewayCaller, localCaller, type ReadCaller } from './caller.ts';
import { Cluster } from './cluster.ts';
import { FactBoard } from './fact-board.ts';
import { KeptVersion } from './kept-version.ts';
import { leaseOpener } from './lease-opener.ts';
import type { ClusterPlan } from './options.ts';
import { BUILTIN_CLUSTER } from './options.ts';
import { type ClusterTables, MIGRATIONS } from './tables.ts';

export type ClusterHost = Pick<
  FeatureHost,
  'log' | 'env' | 'compiled' | 'serveBuiltin' | 'tryOverlay' | 'useOverlay' | 'traffic' | 'health' | 'facts'
>;

const RETRY_MS = 2_000;

export class ClusterFeature {
  readonly #host: ClusterHost;
  readonly #plan: ClusterPlan;
  readonly #storeUrl: string;
  readonly #kept: KeptVersion;
  #store: Store<ClusterTables> | undefined;
  #cluster: Cluster | undefined;
  #agent: Agent | undefined;
  #board: FactBoard | undefined;
  #control: Fetch | undefined;
  #opening: Promise<void> | undefined;
  #isClosed = false;

  constructor(host: ClusterHost, compiled: Compiled, plan: ClusterPlan) {
    this.#host = host;
    this.#plan = plan;
    this.#storeUrl = storeUrl(compiled, plan);
    this.#kept = new KeptVersion(join(compiled.plan.dataDir, 'cluster', 'version.json'), host.log);
    host.facts.expectCarrier();
  }

  /**
   * Runs by the version that was kept on disk, then opens the store. An unreachable store is tried again and nothing
   * waits for it; one that is newer than this program stops the start.
   */
  async start(): Promise<void> {
    const { log } = this.#host;
    const kept = await this.#kept.read();
    let appliedVersion = 0;
    if (kept !== null) {
      const problems = await this.#apply(kept.document, kept.version);
      if (problems === null) appliedVersion = kept.version;
      else log.error('the kept configuration of the cluster does not work', { version: kept.version, problems });
    }
    this.#opening = this.#open(appliedVersion);
    // The first try decides whether a mistake in the URL is a mistake of the start.
    await Promise.race([this.#opening, new Promise((resolve) => systemTimers.after(RETRY_MS, () => resolve(null)))]);
  }

  async #open(appliedVersion: number): Promise<void> {
    const { log } = this.#host;
    while (!this.#isClosed) {
      try {
        const store = await openStore<ClusterTables>(this.#storeUrl, {
          log,
          maxConnections: 5,
          idleTransactionMs: this.#plan.election.leaseMs / 2,
        });
        this.#store = store;
        await migrate(store, 'cluster', MIGRATIONS);
        return await this.#begin(store, appliedVersion);
      } catch (error) {
        log.warn('the cluster store cannot be opened; this node goes on alone', { reason: messageOf(error) });
        await this.#store?.close().catch(() => {});
        this.#store = undefined;
      }
      await new Promise<void>((resolve) => systemTimers.after(RETRY_MS, resolve));
    }
  }

  async #begin(store: Store<ClusterTables>, appliedVersion: number): Promise<void> {
    const { log } = this.#host;
    const plan = this.#plan;
    const { compiled, env } = this.#host;
    const leases = await leaseOpener(plan, {
      secrets: compiled.secrets,
      env,
      clock: systemClock,
      timers: systemTimers,
    });
    const cluster = new Cluster({ store, plan, clock: systemClock, timers: systemTimers, log, ...leases });
    this.#cluster = cluster;
    await this.#serve(BUILTIN_CLUSTER, cluster, gatewayCaller(plan.adminIssuers), plan.path);
    this.#control = await this.#serve(`${BUILTIN_CLUSTER}-control`, cluster, localCaller, '/');
    const board = new FactBoard({
      store,
      facts: this.#host.facts,
      node: plan.node,
      heartbeatMs: plan.heartbeatMs,
      clock: systemClock,
      timers: systemTimers,
      log,
      crowd: cluster.crowd,
    });
    this.#board = board;
    this.#agent = new Agent({
      host: {
        check: (document) => this.#host.tryOverlay({ text: document, name: 'the proposed version' }),
        apply: (document, version) => this.#apply(document, version),
        health: () => this.#host.health(),
        load: () => ({ in_flight: this.#host.traffic().inFlight }),
        traffic: () => this.#host.traffic(),
      },
      members: cluster.members,
      rollouts: cluster.rollouts,
      kept: this.#kept,
      node: {
        name: plan.node,
        kind: 'gateway',
        url: plan.url,
        zone: plan.zone,
        labels: plan.labels,
        capacity: 0,
        software: `gatehouse ${PRODUCT_VERSION}`,
      },
      heartbeatMs: plan.heartbeatMs,
      clock: systemClock,
      timers: systemTimers,
      log,
      random: Math.random,
      crowd: cluster.crowd,
      appliedVersion,
      onNewestFact: (seq, seenMs) => board.newest(seq, seenMs),
    });
    this.#agent.start();
    board.start();
    cluster.start();
  }

  async #serve(name: string, cluster: Cluster, caller: ReadCaller, path: string): Promise<Fetch> {
    const errorFormat = () => this.#host.compiled.snapshot.gateway.errorFormat;
    const { log } = this.#host;
    const app = createClusterApp({ cluster, caller, errorFormat, log, path, version: PRODUCT_VERSION });
    await this.#host.serveBuiltin(name, app.fetch);
    return app.fetch;
  }

  async #apply(document: string | null, version: number): Promise<readonly string[] | null> {
    const overlay = document === null ? null : { text: document, name: `version ${version}` };
    return await this.#host.useOverlay(overlay, { author: 'cluster', reason: `version ${version} of the cluster` });
  }

  /** Nodes, tasks and rollouts, for the admin API; what changes everybody's configuration is an administrator's. */
  operations(): OperationsApi | undefined {
    if (this.#control === undefined) return undefined;
    const change = (path: string) => (/^\/cluster\/(rollouts|tokens)/.test(path) ? 'admin' : 'operator');
    // Documents of versions hold secrets, as the text of the configuration does.
    const look = (path: string) => (/^\/cluster\/(tokens|versions\/)/.test(path) ? 'admin' : 'viewer');
    return { name: 'cluster', fetch: this.#control, describe, look, change };
  }

  restartKeys(next: Compiled): readonly string[] {
    const { cluster } = next.plan.sections;
    const isSame =
      JSON.stringify(cluster) === JSON.stringify(this.#plan) && storeUrl(next, this.#plan) === this.#storeUrl;
    return isSame ? [] : ['cluster'];
  }

  /** A drained node is not ready; a store that is away costs the cluster, not the traffic. */
  dependencies(): readonly Dependency[] {
    const store = { name: 'cluster', available: this.#agent?.isStoreAvailable ?? false, required: false };
    return this.#agent?.isDraining === true ? [store, { name: 'drained', available: false, required: true }] : [store];
  }

  status(): FeatureStatus {
    const node = this.#agent?.node ?? null;
    return {
      sections: {
        cluster: {
          name: this.#plan.name,
          node: this.#plan.node,
          state: node?.state ?? 'joining',
          isQueen: this.#cluster?.isQueen ?? false,
          epoch: this.#cluster?.epoch ?? 0,
          version: this.#agent?.appliedVersion ?? 0,
          storeAvailable: this.#agent?.isStoreAvailable ?? false,
        },
      },
    };
  }

  metrics(): readonly ExtraMetric[] {
    const gauge = (name: string, help: string, value: number): ExtraMetric => ({
      name,
      type: 'gauge',
      help,
      samples: [{ labels: {}, value }],
    });
    return [
      gauge('gatehouse_cluster_queen', '1 while this node is the queen of the cluster', this.#cluster?.isQueen ? 1 : 0),
      gauge('gatehouse_cluster_epoch', 'Epoch of the queen while this node is it, else 0', this.#cluster?.epoch ?? 0),
      gauge(
        'gatehouse_cluster_version',
        'Version of the cluster that this node runs; 0 is its own file',
        this.#agent?.appliedVersion ?? 0,
      ),
      gauge(
        'gatehouse_cluster_store_available',
        '1 while the last heartbeat reached the store',
        this.#agent?.isStoreAvailable === true ? 1 : 0,
      ),
      gauge(
        'gatehouse_cluster_event_listeners',
        'Clients that listen to events here',
        this.#cluster?.feed.listening ?? 0,
      ),
      {
        name: 'gatehouse_cluster_rollouts_total',
        type: 'counter',
        help: 'Rollouts that ended while this node was the queen; judged: no where there was too little traffic for it',
        samples: (this.#cluster?.endedRollouts ?? []).map(({ end, count }) => ({
          labels: { end: end.state, judged: end.isJudged ? 'yes' : 'no' },
          value: count,
        })),
      },
      ...this.#factMetrics(),
    ];
  }

  #factMetrics(): readonly ExtraMetric[] {
    const { told = 0, heard = 0, waiting = 0 } = this.#board ?? {};
    return [
      {
        name: 'gatehouse_cluster_facts_total',
        type: 'counter',
        help: 'Bans, purges, hints and registrations that this node sent to the others, or received',
        samples: [
          { labels: { direction: 'told' }, value: told },
          { labels: { direction: 'heard' }, value: heard },
        ],
      },
      {
        name: 'gatehouse_cluster_facts_waiting',
        type: 'gauge',
        help: 'Bans, purges, hints and registrations that wait for the store of the cluster',
        samples: [{ labels: {}, value: waiting }],
      },
    ];
  }

  async stop(): Promise<void> {
    this.#isClosed = true;
    await this.#board?.close();
    await this.#cluster?.close();
    await this.#agent?.close();
    await this.#store?.close().catch(() => {});
  }
}

function storeUrl({ plan, secrets }: Compiled, { store }: ClusterPlan): string {
  const { sql } = plan.sections.stores;
  const url = store === null ? (sql === null ? undefined : secrets[sql]) : secrets[store];
  return url ?? `sqlite:${join(plan.dataDir, 'cluster.db')}`;
}

/** For the document of the admin API. */
const describe = async () => (await import('./operator-description.ts')).operatorPaths();
