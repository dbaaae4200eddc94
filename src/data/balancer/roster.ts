/**
 * Which instances may be chosen at the moment, as lists that picks only read. They are worked out when a state changed
 * (every change counts up the service's version in shared memory) or a time has come (an ejection ends, a breaker is
 * due, a slow start goes on): a few times a second in bad times, once a second in good ones, never per request.
 *
 * A list is never changed once it is handed out: another state is another array. The algorithms rely on that, and keep
 * what they derive from a list for as long as they see the same one. Owner: one service in one worker.
 */
import { DRAINING, EJECTED, INSTANCE, SERVICE, serviceAt } from '../contract/instance-layout.ts';
import type { InstanceTable } from '../contract/instance-table.ts';
import { TICK_MS } from '../contract/instance-table.ts';
import type { ServiceSettings } from '../contract/snapshot.ts';
import { letBack, returnIfDue } from '../resilience/ejection.ts';
import type { Instance } from './endpoint.ts';

/** Looked through at least this often. */
const RECHECK_TICKS = 1_000 / TICK_MS;
/** Steps in which a slow start raises the weight. */
const RAMP_STEPS = 20;
/** Share that an instance starts with: none at all would teach it nothing. */
const LEAST_RAMP = 0.05;
const LEAST_WEIGHT = 1e-6;

export interface RosterListener<P> {
  onReturned(instance: Instance<P>, reason: string): void;
}

export class Roster<P> {
  /** Healthy, weighted, not ejected, not draining, breaker closed. */
  usable: readonly Instance<P>[] = [];
  /** Those of them in the local zone, and the others; empty without zones. */
  local: readonly Instance<P>[] = [];
  remote: readonly Instance<P>[] = [];
  /** The local zone has enough healthy instances to stay in it. */
  prefersLocal = false;
  /** For `whenAllDown: try`: also those that are down or ejected. */
  desperate: readonly Instance<P>[] = [];
  /** Otherwise usable, behind a half-open breaker or one that is due. */
  probing: readonly Instance<P>[] = [];
  /** Some instance is starting slowly. */
  isRamping = false;
  /** An instance breaker keeps at least one from being used. */
  hasOpenBreaker = false;

  readonly #table: InstanceTable;
  readonly #instances: readonly Instance<P>[];
  readonly #settings: ServiceSettings;
  readonly #listener: RosterListener<P>;
  readonly #versionAt: number;
  #version = 0;
  #nextTick = 0;
  /** When the first instance comes back by itself; 0 for never. */
  #backTick = 0;
  #isFresh = false;

  constructor(
    table: InstanceTable,
    settings: ServiceSettings,
    instances: readonly Instance<P>[],
    listener: RosterListener<P>,
  ) {
    this.#table = table;
    this.#settings = settings;
    this.#instances = instances;
    this.#listener = listener;
    this.#versionAt = serviceAt(settings.slot) + SERVICE.version;
  }

  /** Two comparisons when nothing changed. */
  refresh(tick: number): void {
    if (this.#isFresh && this.#table.words[this.#versionAt] === this.#version && ((this.#nextTick - tick) | 0) > 0) {
      return;
    }
    this.#rebuild(tick);
  }

  /** Until an ejection or a breaker lets an instance back, for `Retry-After`; 0 when time alone will not. */
  waitMs(tick: number): number {
    return this.#backTick === 0 ? 0 : Math.max(0, ((this.#backTick - tick) | 0) * TICK_MS);
  }

  #rebuild(tick: number): void {
    // Read first: a change while we look is seen by the next refresh.
    this.#version = Atomics.load(this.#table.words, this.#versionAt);
    this.#isFresh = true;
    this.#nextTick = (tick + RECHECK_TICKS) | 0;
    this.#backTick = 0;
    this.isRamping = false;
    this.hasOpenBreaker = false;
    const usable: Instance<P>[] = [];
    const desperate: Instance<P>[] = [];
    const probing: Instance<P>[] = [];
    const ejected: Instance<P>[] = [];
    for (const instance of this.#instances) {
      const health = this.#health(instance, tick);
      const { breaker } = instance;
      const isShut = breaker !== null && !breaker.isClosed;
      this.#ramp(instance, tick);
      instance.takesSticky = health === 0 && !isShut;
      if ((health & DRAINING) !== 0 || instance.baseWeight <= 0) continue;
      if (isShut) {
        if (health !== 0) continue;
        this.hasOpenBreaker = true;
        const wait = breaker.waitTicks(tick);
        if (wait === 0 || breaker.isHalfOpen) probing.push(instance);
        if (wait > 0) this.#backIn(tick, wait);
        continue;
      }
      desperate.push(instance);
      if (health === 0) usable.push(instance);
      else if (health === EJECTED) ejected.push(instance);
    }
    if (usable.length === 0 && probing.length === 0)
      for (const instance of ejected) usable.push(this.#return(instance, tick));
    this.usable = usable;
    this.desperate = desperate;
    this.probing = probing;
    this.#divide(usable);
  }

  /** The health word, after the end of an ejection has been seen to. */
  #health(instance: Instance<P>, tick: number): number {
    const { words } = this.#table;
    const health = Atomics.load(words, instance.at + INSTANCE.health);
    if ((health & EJECTED) === 0) return health;
    if (returnIfDue(this.#table, instance.at, tick)) {
      this.#table.touch(this.#settings.slot);
      this.#listener.onReturned(instance, 'ejection time passed');
    }
    const now = Atomics.load(words, instance.at + INSTANCE.health);
    if ((now & EJECTED) !== 0) {
      this.#backIn(tick, (Atomics.load(words, instance.at + INSTANCE.ejectedUntil) - tick) | 0);
    }
    return now;
  }

  /** An ejection was decided while others worked. If no other is left, a failed one is better than none. */
  #return(instance: Instance<P>, tick: number): Instance<P> {
    if (letBack(this.#table, instance.at, tick)) {
      this.#table.touch(this.#settings.slot);
      this.#listener.onReturned(instance, 'no other instance is left');
    }
    return instance;
  }

  #ramp(instance: Instance<P>, tick: number): void {
    const { words } = this.#table;
    const slowTicks = this.#settings.resilience.slowStartMs / TICK_MS;
    const since = Atomics.load(words, instance.at + INSTANCE.recoveredAt);
    instance.ramp = 1;
    if (since !== 0) {
      const age = (tick - since) | 0;
      if (age >= slowTicks) {
        // Forgotten once it is over, before the tick can wrap round and look recent again.
        Atomics.compareExchange(words, instance.at + INSTANCE.recoveredAt, since, 0);
      } else {
        instance.ramp = Math.max(LEAST_RAMP, age / slowTicks);
        this.isRamping = true;
        this.#lookAgainIn(tick, Math.ceil(slowTicks / RAMP_STEPS));
      }
    }
    instance.weight = Math.max(LEAST_WEIGHT, instance.baseWeight * instance.ramp);
  }

  /** Shares are of the instances that should be there, so that one of two that is down is half a zone. */
  #divide(usable: readonly Instance<P>[]): void {
    const { zone } = this.#settings.resilience;
    if (zone === null) return;
    this.local = usable.filter((instance) => instance.zone === zone.local);
    this.remote = usable.filter((instance) => instance.zone !== zone.local);
    const inZone = this.#instances.filter((instance) => instance.zone === zone.local && instance.baseWeight > 0);
    this.prefersLocal = this.local.length > 0 && this.local.length >= zone.minHealthyRatio * inZone.length;
  }

  #backIn(tick: number, ticks: number): void {
    const at = (tick + Math.max(1, ticks)) | 0 || 1;
    if (this.#backTick === 0 || ((at - this.#backTick) | 0) < 0) this.#backTick = at;
    this.#lookAgainIn(tick, ticks);
  }

  #lookAgainIn(tick: number, ticks: number): void {
    const at = (tick + Math.max(1, ticks)) | 0;
    if (((at - this.#nextTick) | 0) < 0) this.#nextTick = at;
  }
}
