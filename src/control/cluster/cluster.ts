/**
 * The parts of the cluster in one place: what the API, the command line and the feature use. Owns the election and the
 * queen's work of this process; the store is opened and closed by feature.ts.
 */
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Timers } from '../../base/system-timers.ts';
import type { Store } from '../store/store.ts';
import { Crowd } from './crowd.ts';
import { Election } from './election.ts';
import { EventFeed } from './event-feed.ts';
import { EventReader } from './events.ts';
import { Fence } from './fence.ts';
import { JoinTokens } from './join-tokens.ts';
import type { EpochFloor, Lease, LeaseStore } from './lease.ts';
import { SqlLeaseStore } from './lease.ts';
import { Members } from './members.ts';
import { Messages } from './messages.ts';
import type { ClusterPlan } from './options.ts';
import { Queen } from './queen.ts';
import { Rollouts } from './rollout.ts';
import type { RolloutEnd } from './rollout-steps.ts';
import * as schema from './schemas.ts';
import type { ClusterTables } from './tables.ts';
import { Tasks } from './tasks.ts';
import { WaitRoom } from './wait-room.ts';

/** Of all nodes that are not the queen: how often together they ask whether they could be. */
const CANDIDATES_PER_SECOND = 5;

export interface ClusterParts {
  readonly store: Store<ClusterTables>;
  readonly plan: ClusterPlan;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Logger;
  /** Default: in the same store. */
  readonly openLeases?: (floor: EpochFloor) => LeaseStore;
  readonly random?: () => number;
}

export class Cluster {
  readonly plan: ClusterPlan;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly members: Members;
  readonly joinTokens: JoinTokens;
  readonly tasks: Tasks;
  readonly messages: Messages;
  readonly rollouts: Rollouts;
  readonly events: EventReader;
  readonly crowd: Crowd;
  readonly feed: EventFeed;
  readonly waitRoom: WaitRoom;
  readonly #store: Store<ClusterTables>;
  readonly #log: Logger;
  readonly #leases: LeaseStore;
  readonly #election: Election;
  readonly #queen: Queen;
  isClosed = false;

  constructor({ store, plan, clock, timers, log, openLeases, random = Math.random }: ClusterParts) {
    this.plan = plan;
    this.clock = clock;
    this.timers = timers;
    this.#store = store;
    this.#log = log;
    this.members = new Members(store, plan.members);
    this.joinTokens = new JoinTokens(store);
    this.tasks = new Tasks(store);
    this.messages = new Messages(store);
    this.rollouts = new Rollouts(store);
    this.events = new EventReader(store);
    this.crowd = new Crowd({ store, timers, log, random });
    this.feed = new EventFeed(this.events, timers, log, this.crowd);
    this.waitRoom = new WaitRoom(store, timers, log, this.crowd);
    const fence = new Fence(store, plan.name);
    this.#leases = openLeases?.(() => fence.newest()) ?? new SqlLeaseStore(store, plan.name);
    this.#queen = new Queen({
      store,
      fence,
      members: this.members,
      messages: this.messages,
      nodeName: plan.node,
      timers,
      log,
      onFenced: () => this.#election.stepDown(),
    });
    this.#election = new Election({
      leases: this.#leases,
      holder: plan.node,
      settings: plan.election,
      clock,
      timers,
      log,
      random,
      turnMs: () => this.crowd.turnMs(plan.election.renewMs, CANDIDATES_PER_SECOND),
      onChange: (epoch) => {
        if (epoch !== null) log.info('this node is the queen', { node: plan.node, epoch });
        this.#queen.reign(epoch);
      },
    });
  }

  /** Stands for election from now on. */
  start(): void {
    this.crowd.start();
    this.#election.start();
  }

  /** Rollouts that ended while this node was the queen. */
  get endedRollouts(): readonly { readonly end: RolloutEnd; readonly count: number }[] {
    return [...this.#queen.ended.values()];
  }

  get isQueen(): boolean {
    return this.#election.epoch !== null;
  }

  get epoch(): number {
    return this.#election.epoch ?? 0;
  }

  /** Null as well when the place of the election is away: the queen is then unknown. */
  async #lease(): Promise<Lease | null> {
    try {
      return await this.#leases.read();
    } catch (error) {
      this.#log.debug('the lease could not be read', { reason: messageOf(error) });
      return null;
    }
  }

  /** Name of the node that holds the lease, or null. */
  async queenName(): Promise<string | null> {
    const lease = await this.#lease();
    return lease?.isHeld === true ? lease.holder : null;
  }

  async status() {
    const [lease, nodes, rollouts, counts] = await Promise.all([
      this.#lease(),
      this.members.list(),
      this.rollouts.list(1),
      this.#store.db
        .selectFrom('cluster_tasks')
        .select(({ fn }) => ['state', fn.countAll().as('count')])
        .groupBy('state')
        .execute(),
    ]);
    const queen = lease?.isHeld === true ? lease.holder : null;
    const presences: Record<string, number> = { alive: 0, suspect: 0, gone: 0 };
    for (const { presence } of nodes) presences[presence] = (presences[presence] ?? 0) + 1;
    const [latest] = rollouts;
    const isWhole = presences['suspect'] === 0 && presences['gone'] === 0;
    const status = queen === null ? 'unhealthy' : isWhole ? 'healthy' : 'degraded';
    return {
      name: this.plan.name,
      status: status as 'healthy' | 'degraded' | 'unhealthy',
      queen,
      epoch: lease?.epoch ?? 0,
      node: this.plan.node,
      version: nodes.find(({ name }) => name === this.plan.node)?.appliedVersion ?? 0,
      nodes: presences,
      tasks: Object.fromEntries(counts.map(({ state, count }) => [state, Number(count)])),
      rollout: latest === undefined ? null : schema.shownRollout(latest),
      timestamp: new Date(this.clock.wallMs()).toISOString(),
    };
  }

  /** Gives the office up and ends streams; the store stays open. */
  async close(): Promise<void> {
    this.isClosed = true;
    this.crowd.close();
    this.waitRoom.close();
    await this.#election.close();
    await this.#queen.close();
    await this.#leases.close();
  }
}
