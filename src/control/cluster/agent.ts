/**
 * This process as a node of the cluster: joins, sends heartbeats, checks and applies the versions that a rollout wants,
 * and keeps the last one that worked on disk, with which feature.ts starts while the store is away. Sees no request;
 * what traffic does is read from the process's counters through `AgentHost`.
 */
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Cancel, Timers } from '../../base/system-timers.ts';
import { jittered } from '../../base/system-timers.ts';
import type { Crowd } from './crowd.ts';
import type { KeptVersion } from './kept-version.ts';
import type { ClusterNode, Heartbeat, Members, NewNode, Traffic } from './members.ts';
import { ClusterRefusal } from './refusal.ts';
import type { Rollouts } from './rollout.ts';

/** What the agent needs of the gateway around it. */
export interface AgentHost {
  /** Compiles the document as this node would, with its secrets and files. The problems, or null when there is none. */
  check(document: string): Promise<readonly string[] | null>;
  /** Runs by the document from now on, or (null) by the node's own file again. The problems, or null. */
  apply(document: string | null, version: number): Promise<readonly string[] | null>;
  health(): string;
  load(): Readonly<Record<string, number>>;
  traffic(): Traffic;
}

export interface AgentParts {
  readonly host: AgentHost;
  readonly members: Members;
  readonly rollouts: Rollouts;
  readonly kept: KeptVersion;
  readonly node: NewNode;
  readonly heartbeatMs: number;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Logger;
  readonly random: () => number;
  readonly crowd: Pick<Crowd, 'pacedMs'>;
  /** What the process runs by already: the version that was kept on disk, or 0. */
  readonly appliedVersion: number;
  /** The newest number of a fact, as each heartbeat sees it, and when (monotonic) that heartbeat began. */
  readonly onNewestFact?: (seq: number, seenMs: number) => void;
}

/** While a rollout is open, so that its steps do not wait for heartbeats. */
const FAST_HEARTBEAT_MS = 500;
/** Of those, by all gateways together. */
const ALL_PER_SECOND = 300;

export class Agent {
  readonly #parts: AgentParts;
  #node: ClusterNode | null = null;
  #appliedVersion = 0;
  #applyProblem: string | null = null;
  /** Not tried again until another one is wanted. */
  #failedVersion = -1;
  #checked: Heartbeat['checked'];
  #isStoreAvailable = false;
  #isClosed = false;
  #cancel: Cancel = () => {};
  #beating: Promise<void> = Promise.resolve();

  constructor(parts: AgentParts) {
    this.#parts = parts;
    this.#appliedVersion = parts.appliedVersion;
  }

  /** Joins in the background: nothing waits for a store that is away. */
  start(): void {
    this.#beating = this.#beat();
  }

  /** As of the last heartbeat; null before the first one got through. */
  get node(): ClusterNode | null {
    return this.#node;
  }

  get appliedVersion(): number {
    return this.#appliedVersion;
  }

  get isStoreAvailable(): boolean {
    return this.#isStoreAvailable;
  }

  get isDraining(): boolean {
    return this.#node?.state === 'draining';
  }

  async #beat(): Promise<void> {
    const { heartbeatMs, timers, log, random, crowd } = this.#parts;
    let isRolloutOpen = false;
    try {
      isRolloutOpen = await this.#beatOnce();
      if (!this.#isStoreAvailable) log.info('the cluster store is available', { node: this.#node?.name });
      this.#isStoreAvailable = true;
    } catch (error) {
      if (this.#isStoreAvailable || this.#node === null)
        log.warn('the cluster store is away: this node goes on with what it has', { reason: messageOf(error) });
      this.#isStoreAvailable = false;
    }
    if (this.#isClosed) return;
    const fastMs = Math.min(crowd.pacedMs(FAST_HEARTBEAT_MS, ALL_PER_SECOND), heartbeatMs);
    const nextMs = isRolloutOpen ? fastMs : heartbeatMs;
    this.#cancel = timers.after(jittered(nextMs, 0.1, random), () => {
      this.#beating = this.#beat();
    });
  }

  /** True while a rollout is open. */
  async #beatOnce(): Promise<boolean> {
    const { members, clock } = this.#parts;
    this.#node ??= await members.joinGateway(this.#parts.node);
    // Before the store reads: what is sent while the response is on its way is not seen.
    const seenMs = clock.monotonicMs();
    const { node, rollout, newestFact } = await this.#heartbeat(this.#node.id);
    this.#node = node;
    this.#parts.onNewestFact?.(newestFact, seenMs);
    if (rollout?.isChecked === true && node.checkedVersion !== rollout.version) await this.#check(rollout.version);
    const wanted = node.wantedVersion;
    if (wanted !== this.#appliedVersion && wanted !== this.#failedVersion) await this.#apply(wanted);
    return rollout !== null;
  }

  async #heartbeat(id: string) {
    const { host, members } = this.#parts;
    const beat: Heartbeat = {
      health: host.health(),
      load: host.load(),
      traffic: host.traffic(),
      appliedVersion: this.#appliedVersion,
      applyProblem: this.#applyProblem,
      checked: this.#checked,
    };
    try {
      return await members.heartbeat(id, beat);
    } catch (error) {
      // Taken out, or the store was made anew: a gateway that runs is a member.
      if (!(error instanceof ClusterRefusal) || error.status !== 404) throw error;
      this.#node = await members.joinGateway(this.#parts.node);
      return await members.heartbeat(this.#node.id, beat);
    }
  }

  async #check(version: number): Promise<void> {
    const { host, rollouts, log } = this.#parts;
    const { document } = await rollouts.version(version);
    const problems = await host.check(document);
    if (problems !== null) log.warn('this node refuses a version of the cluster', { version, problems });
    this.#checked = { version, problems };
    if (this.#node !== null) await this.#heartbeat(this.#node.id);
  }

  async #apply(version: number): Promise<void> {
    const { host, rollouts, kept, log } = this.#parts;
    const found = version === 0 ? null : await rollouts.version(version);
    const problems = await host.apply(found?.document ?? null, version);
    if (problems === null) {
      this.#appliedVersion = version;
      this.#applyProblem = null;
      this.#failedVersion = -1;
      await kept.write(found);
      log.info('this node runs another version of the cluster', { version });
    } else {
      this.#failedVersion = version;
      this.#applyProblem = problems.join('; ').slice(0, 2_000);
      log.error('a version of the cluster could not be applied', { version, problems });
    }
    if (this.#node !== null) await this.#heartbeat(this.#node.id);
  }

  /** Leaves, so that the cluster does not wait for its heartbeats. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancel();
    await this.#beating;
    this.#cancel();
    if (this.#node !== null && this.#isStoreAvailable) await this.#parts.members.leave(this.#node.id).catch(() => {});
  }
}
