/**
 * One service in one worker: everything between "this route goes there" and "use this connection pool". It joins the
 * parts and decides nothing itself: breaker, room, choice on the way in (`pick`); counts, latency, breaker, ejection on
 * the way out (`finish`); retries and hedges between. The engine (exchange.ts) is its only caller.
 *
 *   pick:   refresh roster -> service breaker -> admission -> chooser (probe, sticky, zone, algorithm, limit)
 *   finish: count out -> latency -> breakers -> ejection -> next waiter
 *
 * Owner: the worker's thread. Counts, health, breakers and budget are shared with all workers (InstanceTable);
 * latencies, the adaptive limit, the queue and the algorithm's own state are this worker's. All of it outlives a
 * reload.
 */
import { workerData } from 'node:worker_threads';
import type { Fault, FaultKind } from '../../base/errors.ts';
import { FAULTS } from '../../base/errors.ts';
import type { BalancerRequest } from '../contract/balancer.ts';
import { INSTANCE, SERVICE, serviceAt } from '../contract/instance-layout.ts';
import { InstanceTable, TICK_MS } from '../contract/instance-table.ts';
import type { WorkerStart } from '../contract/messages.ts';
import type { ServiceState } from '../contract/service-state.ts';
import { readServiceState } from '../contract/service-state.ts';
import type { BreakerSettings, FallbackSettings, ServiceSettings } from '../contract/snapshot.ts';
import { Admission } from '../resilience/admission.ts';
import { Breaker, DEFAULT_PATIENCE_MS, NO_PROBE, REFUSED } from '../resilience/breaker.ts';
import { Ejector } from '../resilience/ejection.ts';
import type { ServiceEnvironment } from '../resilience/environment.ts';
import { ServiceEvents } from '../resilience/events.ts';
import { LatencyHistogram } from '../resilience/latency-histogram.ts';
import { isTimeout, OutcomeRules } from '../resilience/outcome.ts';
import { circuitOpen, noInstance } from '../resilience/refusals.ts';
import type { RetryRequest } from '../resilience/retry.ts';
import { retryDelayMs } from '../resilience/retry.ts';
import { RetryBudget } from '../resilience/retry-budget.ts';
import type { AttemptWaiter } from '../resilience/wait-queue.ts';
import type { Source } from '../wire/sources.ts';
import type { CreatedBalancer } from './algorithms/custom.ts';
import { createBalancer } from './algorithms/custom.ts';
import { Chooser } from './chooser.ts';
import type { Endpoint, PickClock } from './endpoint.ts';
import { Instance, instanceOf, Probe } from './endpoint.ts';
import { Roster } from './roster.ts';
import { Sticky, stickyKey } from './sticky.ts';

export type { ServiceEnvironment, StateChange } from '../resilience/environment.ts';
export type { RetryRequest } from '../resilience/retry.ts';
export type { AttemptWaiter } from '../resilience/wait-queue.ts';
export type { Endpoint } from './endpoint.ts';

/** Fewest responses of one instance that its breaker judges by. */
const LEAST_VOLUME = 5;

export class Service<P> {
  readonly #env: ServiceEnvironment<P>;
  readonly #table: InstanceTable;
  readonly #worker: number;
  readonly #timeline: PickClock = { nowMs: 0 };
  readonly #events: ServiceEvents;
  readonly #admission: Admission;
  readonly #latencies = new LatencyHistogram();
  #settings: ServiceSettings;
  #instances: readonly Instance<P>[] = [];
  #algorithm: CreatedBalancer;
  #breaker: Breaker | null = null;
  #ejector: Ejector<Instance<P>> | null = null;
  #budget: RetryBudget;
  #outcome: OutcomeRules;
  #sticky: Sticky<P> | null = null;
  #roster: Roster<P>;
  #chooser: Chooser<P>;
  #recordsLatencies = false;

  /** Throws a `TypeError` when the settings cannot be carried out: no such algorithm, no key, no slot. */
  constructor(settings: ServiceSettings, env: ServiceEnvironment<P>) {
    this.#env = env;
    this.#worker = env.workerIndex ?? (workerData as WorkerStart | null)?.index ?? 0;
    this.#table = new InstanceTable(env.shared.instances, env.clock);
    this.#events = new ServiceEvents(this.#table, settings.name, settings.slot, env);
    this.#admission = new Admission(this.#table, settings.slot, this.#worker, env, this.#events);
    this.#settings = settings;
    this.#algorithm = this.#checked(settings);
    this.#table.claim(settings, false);
    this.#instances = settings.instances.map((instance) => this.#make(instance, settings));
    this.#outcome = new OutcomeRules(settings.resilience.breaker);
    this.#budget = this.#makeBudget();
    this.#roster = this.#makeRoster();
    this.#chooser = this.#assemble();
  }

  get settings(): ServiceSettings {
    return this.#settings;
  }

  /** A reload: instances whose id stays keep object, pool and counts; those that are new start slowly. */
  update(settings: ServiceSettings): void {
    const before = this.#settings;
    if (settings.name !== before.name || settings.slot !== before.slot) {
      throw new TypeError(`"${before.name}" cannot become "${settings.name}"`);
    }
    // What can fail comes first: a snapshot that is refused must leave everything as it was.
    const algorithm = this.#checked(settings);
    const isSame =
      algorithm.definition === this.#algorithm.definition &&
      JSON.stringify(settings.balancer) === JSON.stringify(before.balancer);
    if (!isSame) this.#algorithm = algorithm; // else the one that is there goes on with its state
    this.#table.claim(settings, true);
    this.#settings = settings;
    const known = new Map(this.#instances.map((instance) => [instance.id, instance]));
    this.#instances = settings.instances.map((instance) => {
      const kept = known.get(instance.id);
      if (kept === undefined || kept.settings.slot !== instance.slot) return this.#make(instance, settings);
      known.delete(instance.id);
      kept.configure(instance);
      this.#env.updatePool?.(kept.pool, instance, settings);
      return kept;
    });
    for (const gone of known.values()) this.#retire(gone);
    this.#outcome = new OutcomeRules(settings.resilience.breaker);
    this.#budget = this.#makeBudget();
    this.#roster = this.#makeRoster();
    this.#chooser = this.#assemble();
  }

  /** A response passes only because of `lenient`. */
  onLenient(problem: string, instance: string): void {
    this.#events.lenient(problem, instance);
  }

  /** Throws what `update` would throw, and changes nothing: for a snapshot that is taken as a whole or not at all. */
  check(settings: ServiceSettings): void {
    this.#checked(settings);
  }

  /**
   * Chooses an instance and counts the attempt in until `finish`. 'wait': queued; the waiter hears later, and calls
   * `pick` again inside `onAdmitted`. `tried` holds what earlier attempts got: those are avoided if there are others.
   */
  pick(
    request: BalancerRequest,
    tried: readonly Endpoint<P>[],
    waiter: AttemptWaiter,
    nowMs = this.#env.clock.monotonicMs(),
  ): Endpoint<P> | Fault | 'wait' {
    const result = this.#pick(request, tried, waiter, nowMs);
    if (result !== 'wait' && this.#admission.queued > 0) this.#admission.forget(waiter);
    return result;
  }

  #pick(
    request: BalancerRequest,
    tried: readonly Endpoint<P>[],
    waiter: AttemptWaiter,
    nowMs: number,
  ): Endpoint<P> | Fault | 'wait' {
    const tick = this.#table.tickOf(nowMs);
    this.#timeline.nowMs = nowMs;
    this.#roster.refresh(tick);
    const breaker = this.#breaker;
    let serviceRound = NO_PROBE;
    if (breaker !== null) {
      serviceRound = breaker.admit(tick);
      if (serviceRound === REFUSED) {
        this.#events.count('circuitRefusals');
        return circuitOpen(breaker.waitTicks(tick) * TICK_MS);
      }
    }
    if (!this.#admission.tryEnter(waiter)) {
      if (serviceRound !== NO_PROBE) breaker?.giveBack(serviceRound);
      return this.#admission.wait(waiter, nowMs);
    }
    const instance = this.#chooser.choose(request, tried, tick);
    if (instance === null) {
      this.#admission.leave(waiter.source ?? null);
      if (serviceRound !== NO_PROBE) breaker?.giveBack(serviceRound);
      return this.#chooser.isFull ? this.#admission.wait(waiter, nowMs) : this.#nobody(tick);
    }
    instance.localInFlight++;
    if (tried.length === 0) this.#budget.countRequest(tick);
    const { round } = this.#chooser;
    return round === NO_PROBE && serviceRound === NO_PROBE ? instance : new Probe(instance, round, serviceRound);
  }

  #nobody(tick: number): Fault {
    const waitMs = this.#roster.waitMs(tick);
    // Healthy, but each behind a breaker of its own: the caller should read it as that.
    if (this.#roster.hasOpenBreaker) {
      this.#events.count('circuitRefusals');
      return circuitOpen(waitMs);
    }
    this.#events.count('noInstance');
    return noInstance(waitMs);
  }

  /** The exchange no longer wants what it waits for. */
  cancelWait(waiter: AttemptWaiter): void {
    this.#admission.forget(waiter);
  }

  /**
   * Ends an attempt, exactly once. `status` 0 and a kind when it failed; `cancelled` when the caller left or a hedge
   * won (counts for nothing). `firstByteMs`: from its start to the response head, or to its failure. `failedOver`:
   * another instance is asked instead, so it says nothing about the service as a whole. `source`: that of the waiter of
   * `pick`.
   */
  finish(
    endpoint: Endpoint<P>,
    status: number,
    fault: FaultKind | null,
    firstByteMs: number,
    cancelled: boolean,
    nowMs = this.#env.clock.monotonicMs(),
    failedOver = false,
    source: Source | null = null,
  ): void {
    const tick = this.#table.tickOf(nowMs);
    this.#timeline.nowMs = nowMs;
    const instance = instanceOf(endpoint);
    const probe = endpoint instanceof Probe ? endpoint : null;
    const inFlight = this.#admission.localInFlight;
    this.#table.leaveInstance(instance.settings.slot, this.#worker);
    this.#admission.leave(source);
    instance.localInFlight--;
    // A retired instance's words in shared memory may be another's by now.
    if (instance.isRetired || this.#outcome.saysNothing(fault, cancelled)) {
      this.#calledOff(instance, probe, firstByteMs);
    } else {
      const failed = this.#outcome.hasFailed(status, fault, firstByteMs);
      const startTick = (tick - Math.ceil(firstByteMs / TICK_MS)) | 0;
      if (failed) instance.noteFailure();
      if (fault === null) instance.observe(firstByteMs);
      else instance.observeFailure(firstByteMs);
      if (fault === null && this.#recordsLatencies) this.#latencies.record(firstByteMs);
      if (fault === null || isTimeout(fault)) {
        this.#admission.adaptive?.record(firstByteMs, fault !== null, inFlight, nowMs);
      }
      if (!failedOver) this.#breaker?.record(tick, startTick, failed, probe === null ? NO_PROBE : probe.serviceRound);
      else if (probe !== null && probe.serviceRound !== NO_PROBE) this.#breaker?.giveBack(probe.serviceRound);
      instance.breaker?.record(tick, startTick, failed, probe === null ? NO_PROBE : probe.instanceRound);
      this.#ejector?.record(instance, tick, failed, fault);
    }
    if (instance.isRetired && instance.localInFlight === 0) this.#env.disposePool(instance.pool);
    this.#admission.admitWaiting();
  }

  /**
   * Its time so far is a lower bound of its latency. Without it hedging would hide a slow instance from the balancer,
   * and lower its own percentile by cutting off whatever is above.
   */
  #calledOff(instance: Instance<P>, probe: Probe<P> | null, ms: number): void {
    if (ms > 0) instance.observeAtLeast(ms);
    const percentile = this.#settings.resilience.hedge?.percentile ?? null;
    if (percentile !== null && ms > 0 && ms >= this.#latencies.quantileMs(percentile)) this.#latencies.record(ms);
    if (probe === null || instance.isRetired) return;
    if (probe.serviceRound !== NO_PROBE) this.#breaker?.giveBack(probe.serviceRound);
    if (probe.instanceRound !== NO_PROBE) instance.breaker?.giveBack(probe.instanceRound);
  }

  /**
   * May a failed attempt be tried again, and after how many milliseconds? -1: no. `attemptsMade` is 1 after the first;
   * `status` 0 if there was a fault; `retryAfterSeconds` from the response or -1. A yes has been taken from the budget.
   */
  retryDelayMs(
    request: RetryRequest,
    attemptsMade: number,
    fault: FaultKind | null,
    status: number,
    reusedConnection: boolean,
    retryAfterSeconds: number,
  ): number {
    const failed = { attemptsMade, fault, status, reusedConnection, retryAfterSeconds };
    const delayMs = retryDelayMs(this.#settings.retries, request, failed, this.#env.random);
    if (delayMs < 0) return -1;
    // A full connection pool is no reason to ask the same instance again.
    if (fault?.phase === 'pick' && attemptsMade >= this.#roster.usable.length) return -1;
    const tick = this.#table.nowTick();
    if (this.#breaker !== null && this.#breaker.waitTicks(tick) > 0) return -1; // would be refused, and cost budget
    return this.#take(tick, 'retries') ? delayMs : -1;
  }

  /**
   * Nothing was sent to `failed`: is there an instance that was not asked yet? Then it is asked at once, whatever the
   * method, and takes nothing from the budget: each instance gets the request at most once, so there is no storm.
   */
  failsOver(fault: FaultKind, tried: readonly Endpoint<P>[], failed: Endpoint<P>): boolean {
    if (fault.phase !== 'connect' && fault !== FAULTS.overloaded) return false;
    const lost = instanceOf(failed);
    const isOther = (instance: Instance<P>): boolean =>
      instance !== lost && !tried.some((endpoint) => instanceOf(endpoint) === instance);
    const other = this.#roster.usable.some(isOther);
    if (other) this.#events.count('failovers');
    return other;
  }

  /** There may be second attempts beside slow first ones. */
  get hedges(): boolean {
    return this.#settings.resilience.hedge !== null;
  }

  /** After how many milliseconds without a response a second attempt may start; -1: none. */
  hedgeDelayMs(request: RetryRequest): number {
    const { hedge } = this.#settings.resilience;
    if (hedge === null || !request.bodyReplayable || !hedge.methods.includes(request.method)) return -1;
    if (hedge.delayMs !== null) return hedge.delayMs;
    return hedge.percentile === null ? -1 : this.#latencies.quantileMs(hedge.percentile);
  }

  /** The delay has passed: may the second attempt go? A yes has been taken from the budget. */
  takeHedge(): boolean {
    return this.#take(this.#table.nowTick(), 'hedges');
  }

  #take(tick: number, counter: 'retries' | 'hedges'): boolean {
    const may = this.#budget.take(tick);
    this.#events.count(may ? counter : 'budgetRefusals');
    return may;
  }

  /** `Set-Cookie` to add to the response of a sticky service; null when it is not one or the caller has it already. */
  stickyCookieFor(endpoint: Endpoint<P>, request: BalancerRequest): string | null {
    if (this.#sticky === null) return null;
    const instance = instanceOf(endpoint);
    return this.#sticky.instanceOf(request) === instance ? null : this.#sticky.setCookieFor(instance);
  }

  /**
   * What the configuration says to do instead when `pick` refused for the state of the service; null: respond with the
   * fault.
   */
  fallbackFor(fault: Fault): FallbackSettings | null {
    const refusedForState = fault.kind === FAULTS.circuitOpen || fault.kind === FAULTS.noInstance;
    return refusedForState ? this.#settings.resilience.fallback : null;
  }

  /** For status pages. The main thread makes the same with `readServiceState`. */
  snapshotState(): ServiceState {
    return readServiceState(this.#table, this.#settings);
  }

  /** The service is no longer configured. Waiters are refused; attempts that still run may be finished as usual. */
  dispose(): void {
    this.#admission.dispose();
    for (const instance of this.#instances) this.#retire(instance);
    this.#instances = [];
  }

  // --- building, at start and on reload -------------------------------------------------------------------------

  /** The algorithm, and everything else that may refuse the settings. */
  #checked(settings: ServiceSettings): CreatedBalancer {
    const { sticky } = settings.resilience;
    if (sticky !== null) stickyKey(sticky, settings.name, this.#env.secrets);
    return createBalancer(settings, this.#env.findBalancer, this.#env.random, this.#env.log);
  }

  #make(settings: Instance<P>['settings'], service: ServiceSettings): Instance<P> {
    return new Instance(settings, this.#env.makePool(settings, service), this.#table, this.#timeline);
  }

  #retire(instance: Instance<P>): void {
    instance.isRetired = true;
    if (instance.localInFlight === 0) this.#env.disposePool(instance.pool);
  }

  #makeBudget(): RetryBudget {
    const { budgetRatio, budgetMinPerSecond } = this.#settings.retries;
    return new RetryBudget(this.#table, this.#settings.slot, budgetRatio, budgetMinPerSecond);
  }

  #makeRoster(): Roster<P> {
    return new Roster(this.#table, this.#settings, this.#instances, {
      onReturned: (instance, reason) => this.#events.changed('returned', instance, reason),
    });
  }

  /** Everything that hangs on the settings and the list of instances. */
  #assemble(): Chooser<P> {
    const { slot, resilience, name } = this.#settings;
    const { breaker, ejection, sticky, hedge, concurrency } = resilience;
    const at = serviceAt(slot);
    this.#breaker =
      breaker === null || breaker.scope === 'instance'
        ? null
        : this.#makeBreaker(at + SERVICE.breakerWord, at + SERVICE.breakerWindow, breaker, null);
    for (const instance of this.#instances) {
      instance.breaker =
        breaker === null || breaker.scope === 'service' ? null : this.#breakerOfInstance(breaker, instance);
    }
    this.#ejector =
      ejection === null
        ? null
        : new Ejector(this.#table, slot, ejection, this.#instances, {
            onEjected: (target, reason, ms) => this.#events.changed('ejected', target, `${reason}; out for ${ms} ms`),
          });
    this.#sticky = sticky === null ? null : new Sticky(sticky, name, this.#env.secrets, this.#instances);
    this.#admission.configure(concurrency, this.#settings.pool.addressShare);
    this.#recordsLatencies = hedge !== null && hedge.percentile !== null;
    const { random } = this.#env;
    return new Chooser(this.#table, this.#worker, this.#settings, this.#roster, this.#algorithm, this.#sticky, random);
  }

  /** The threshold of a service is shared out among its instances, so that each opens on its own few responses. */
  #breakerOfInstance(settings: BreakerSettings, instance: Instance<P>): Breaker {
    const { volumeThreshold } = settings;
    const share = Math.max(LEAST_VOLUME, Math.ceil(volumeThreshold / this.#instances.length));
    const own = { ...settings, volumeThreshold: Math.min(volumeThreshold, share) };
    return this.#makeBreaker(instance.at + INSTANCE.breakerWord, instance.at + INSTANCE.breakerWindow, own, instance);
  }

  #makeBreaker(wordAt: number, windowAt: number, settings: BreakerSettings, instance: Instance<P> | null): Breaker {
    const { totalMs, firstByteMs } = this.#settings.timeouts;
    const patienceMs = totalMs || firstByteMs || DEFAULT_PATIENCE_MS;
    return new Breaker(this.#table, wordAt, windowAt, settings, patienceMs, this.#events.breakerListener(instance));
  }
}
