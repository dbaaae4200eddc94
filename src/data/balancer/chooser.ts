/**
 * Chooses one instance for one attempt and counts the attempt in at it. The order: a due probe of a half-open breaker,
 * the caller's sticky instance, then the algorithm's choice among the list that zone, health and earlier attempts
 * leave, and when that one is full, among those that have room. Owner: one service in one worker; called by service.ts.
 */
import type { BalancerRequest } from '../contract/balancer.ts';
import type { InstanceTable } from '../contract/instance-table.ts';
import type { ServiceSettings } from '../contract/snapshot.ts';
import { NO_PROBE, REFUSED } from '../resilience/breaker.ts';
import type { CreatedBalancer } from './algorithms/custom.ts';
import type { Endpoint, Instance } from './endpoint.ts';
import { instanceOf } from './endpoint.ts';
import type { Roster } from './roster.ts';
import type { Sticky } from './sticky.ts';

export class Chooser<P> {
  /** Round of the instance breaker's probe that the last choice is, or `NO_PROBE`. */
  round = NO_PROBE;
  /** After a choice of none: there are usable instances, all at their limit. */
  isFull = false;
  readonly #table: InstanceTable;
  readonly #worker: number;
  readonly #roster: Roster<P>;
  readonly #algorithm: CreatedBalancer;
  readonly #sticky: Sticky<P> | null;
  readonly #random: () => number;
  readonly #maxPerInstance: number;
  readonly #triesAllWhenDown: boolean;
  /** Most requests in flight per local instance before traffic leaves the zone; infinite for no such limit. */
  readonly #maxInZone: number;

  constructor(
    table: InstanceTable,
    worker: number,
    settings: ServiceSettings,
    roster: Roster<P>,
    algorithm: CreatedBalancer,
    sticky: Sticky<P> | null,
    random: () => number,
  ) {
    const { concurrency, whenAllDown, zone } = settings.resilience;
    this.#table = table;
    this.#worker = worker;
    this.#roster = roster;
    this.#algorithm = algorithm;
    this.#sticky = sticky;
    this.#random = random;
    this.#maxPerInstance = concurrency?.maxPerInstance ?? 0;
    this.#triesAllWhenDown = whenAllDown === 'try';
    this.#maxInZone = zone !== null && zone.maxInFlightPerInstance > 0 ? zone.maxInFlightPerInstance : Infinity;
  }

  /** An instance with the attempt counted in, or null. The roster must be fresh. */
  choose(request: BalancerRequest, tried: readonly Endpoint<P>[], tick: number): Instance<P> | null {
    this.round = NO_PROBE;
    this.isFull = false;
    // Only first attempts are used as probes: a retry has failed once and should go where it will work.
    if (tried.length === 0) {
      if (this.#roster.probing.length > 0) {
        const probed = this.#probe(tick);
        if (probed !== null) return probed;
      }
      if (this.#sticky !== null) {
        const kept = this.#sticky.instanceOf(request);
        if (kept?.takesSticky && this.#enter(kept)) return kept;
      }
    }
    const candidates = this.#candidates(tried);
    if (candidates.length === 0) return this.#roster.probing.length > 0 ? this.#probe(tick) : null;
    const chosen = this.#ask(candidates, request);
    return this.#enter(chosen) ? chosen : this.#anyWithRoom(request, tried);
  }

  #probe(tick: number): Instance<P> | null {
    for (const instance of this.#roster.probing) {
      const round = instance.breaker?.admit(tick) ?? REFUSED;
      if (round === REFUSED) continue;
      if (!this.#enter(instance)) {
        if (round !== NO_PROBE) instance.breaker?.giveBack(round);
        continue;
      }
      this.round = round;
      return instance;
    }
    return null;
  }

  #enter(instance: Instance<P>): boolean {
    return this.#table.enterInstance(instance.settings.slot, this.#worker, this.#maxPerInstance);
  }

  /** Not those that were tried, unless there are no others. */
  #candidates(tried: readonly Endpoint<P>[]): readonly Instance<P>[] {
    const all = this.#all();
    const near = this.#roster.prefersLocal ? this.#nearby() : all;
    if (tried.length === 0) return near;
    const untriedNear = without(near, tried);
    if (untriedNear.length > 0) return untriedNear;
    const untried = near === all ? untriedNear : without(all, tried);
    return untried.length > 0 ? untried : near;
  }

  #all(): readonly Instance<P>[] {
    const { usable, desperate } = this.#roster;
    return usable.length === 0 && this.#triesAllWhenDown ? desperate : usable;
  }

  /** The local zone, or the others while the local one has its fill. */
  #nearby(): readonly Instance<P>[] {
    const { local, remote } = this.#roster;
    if (this.#maxInZone === Infinity || remote.length === 0) return local;
    let inFlight = 0;
    for (let i = 0; i < local.length; i++) inFlight += local[i]!.inFlight;
    return inFlight >= this.#maxInZone * local.length ? remote : local;
  }

  #ask(candidates: readonly Instance<P>[], request: BalancerRequest): Instance<P> {
    if (candidates.length === 1) return candidates[0]!;
    const { balancer, weighted } = this.#algorithm;
    const chosen = candidates[balancer.pick(candidates, request)]!;
    if (weighted || !this.#roster.isRamping || this.#random() < chosen.ramp) return chosen;
    // Slow start for an algorithm that does not look at weights: part of its picks go to those that are warm.
    const warm = candidates.filter((candidate) => candidate.ramp === 1);
    return warm.length === 0 ? chosen : warm[balancer.pick(warm, request)]!;
  }

  /** The slow path of a busy service: its choice was at the limit, so ask again among those that are not. */
  #anyWithRoom(request: BalancerRequest, tried: readonly Endpoint<P>[]): Instance<P> | null {
    const all = this.#all();
    const untried = without(all, tried);
    let open = (untried.length > 0 ? untried : all).filter((candidate) => candidate.inFlight < this.#maxPerInstance);
    while (open.length > 0) {
      const chosen = this.#ask(open, request);
      if (this.#enter(chosen)) return chosen;
      open = open.filter((candidate) => candidate !== chosen);
    }
    this.isFull = true;
    return null;
  }
}

function without<P>(instances: readonly Instance<P>[], tried: readonly Endpoint<P>[]): readonly Instance<P>[] {
  return instances.filter((instance) => !tried.some((endpoint) => instanceOf(endpoint) === instance));
}
