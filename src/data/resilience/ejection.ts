/**
 * Passive health: takes an instance out when the traffic itself shows that it fails, and lets it back after a time that
 * grows with each relapse. Two signs: so many failures in a row, or an error ratio above that of its peers. All
 * numbers are in shared memory, so the traffic of all workers counts and all see an ejection at once.
 *
 *   usable -- consecutiveFaults, or error ratio > peers' mean + deviationFactor * spread --> ejected
 *     ^                                                                                         |
 *     +------ baseEjection * (1 + relapses), at most maxEjection, passed: slow start, if any ---+
 *
 * At most `maxEjectedRatio` of the instances are out at a time (one may be, however few there are), and never the last
 * one that works: a service that fails as a whole is the breaker's business. Each limit holds across workers: the bit
 * is set first and taken back if there are too many then. If the others go away later, roster.ts lets it back early.
 */
import type { FaultKind } from '../../base/errors.ts';
import { FAULTS } from '../../base/errors.ts';
import { BUCKET_WORDS, EJECTED, EJECTION_BUCKETS, INSTANCE, SERVICE, serviceAt } from '../contract/instance-layout.ts';
import type { InstanceTable } from '../contract/instance-table.ts';
import { TICK_MS } from '../contract/instance-table.ts';
import type { EjectionSettings } from '../contract/snapshot.ts';
import { RollingWindow } from './rolling-window.ts';

/** The instance, or the way to it, is gone: not an unwelcome response, and not slowness. */
function isOfConnection(fault: FaultKind): boolean {
  return fault.phase === 'connect' || fault === FAULTS.upstreamReset || fault === FAULTS.upstreamTruncated;
}

/** An instance as the ejector sees it. */
export interface Ejectable {
  /** Offset of its record in shared memory. */
  readonly at: number;
  /** As configured. */
  readonly baseWeight: number;
  /** Responses and failures of this interval and the one before; the ejector puts it there. */
  ejectionWindow: RollingWindow | null;
}

export interface EjectionListener<E> {
  onEjected(target: E, reason: string, forMs: number): void;
}

/** Least spread of error ratios: with hardly any errors at all, a hundredth more is no outlier. */
const LEAST_SPREAD = 0.01;

export class Ejector<E extends Ejectable> {
  readonly #table: InstanceTable;
  readonly #settings: EjectionSettings;
  readonly #listener: EjectionListener<E>;
  readonly #serviceSlot: number;
  readonly #epochAt: number;
  readonly #peers: readonly E[];
  /** Only for the number of a tick's interval. */
  readonly #intervals: RollingWindow;

  constructor(
    table: InstanceTable,
    serviceSlot: number,
    settings: EjectionSettings,
    peers: readonly E[],
    listener: EjectionListener<E>,
  ) {
    this.#table = table;
    this.#settings = settings;
    this.#serviceSlot = serviceSlot;
    this.#epochAt = serviceAt(serviceSlot) + SERVICE.ejectionEpoch;
    this.#peers = peers;
    this.#listener = listener;
    const ticks = Math.max(1, Math.round(settings.intervalMs / TICK_MS));
    this.#intervals = new RollingWindow(table.words, 0, 1, ticks);
    for (const peer of peers) {
      peer.ejectionWindow = new RollingWindow(table.words, peer.at + INSTANCE.ejectionWindow, EJECTION_BUCKETS, ticks);
    }
  }

  /** `fault`: of the attempt, if it had one; `failed` is also true for an error status or a slow response. */
  record(target: E, tick: number, outcome: boolean, fault: FaultKind | null): void {
    const { words } = this.#table;
    const settings = this.#settings;
    const failed = settings.counts === 'failures' ? outcome : fault !== null && isOfConnection(fault);
    if (settings.deviationFactor > 0) {
      const window = target.ejectionWindow;
      window?.addTotal(tick);
      if (failed) window?.addMarked(tick);
      const epoch = this.#intervals.epochOf(tick);
      if (words[this.#epochAt] !== epoch) this.#compare(epoch, tick);
    }
    const consecutiveAt = target.at + INSTANCE.consecutiveFaults;
    if (!failed) {
      if (words[consecutiveAt] !== 0) Atomics.store(words, consecutiveAt, 0);
      return;
    }
    // A response that breaks off behind its head comes between good ones: it would hardly ever be in a row.
    const worth = fault === FAULTS.upstreamTruncated ? 2 : 1;
    const inARow = Atomics.add(words, consecutiveAt, worth) + worth;
    if (settings.consecutiveFaults > 0 && inARow >= settings.consecutiveFaults) {
      this.#eject(target, tick, `${inARow} failures in a row`);
    }
  }

  /** Once per interval, by the first worker: compares each instance with the others. */
  #compare(epoch: number, tick: number): void {
    const { words } = this.#table;
    const before = Atomics.load(words, this.#epochAt);
    if (((epoch - before) | 0) <= 0 || Atomics.compareExchange(words, this.#epochAt, before, epoch) !== before) return;
    const samples: { target: E; total: number; ratio: number }[] = [];
    for (const target of this.#peers) {
      const window = target.ejectionWindow;
      if (window === null) continue;
      window.readEpoch((epoch - 1) | 0);
      const { total, marked } = window;
      if (total > 0 && total >= this.#settings.minimumRequests) samples.push({ target, total, ratio: marked / total });
    }
    for (const { target, total, ratio } of samples) {
      const others = samples.filter((sample) => sample.target !== target).map((sample) => sample.ratio);
      if (others.length === 0) return;
      const limit = outlierLimit(others, total, this.#settings.deviationFactor);
      if (ratio > limit) {
        this.#eject(target, tick, `error ratio ${ratio.toFixed(3)} is above its peers' limit of ${limit.toFixed(3)}`);
      }
    }
  }

  #eject(target: E, tick: number, reason: string): void {
    const { words } = this.#table;
    const { at } = target;
    const forTicks = this.#ejectionTicks(at, tick);
    if ((Atomics.load(words, at + INSTANCE.health) & EJECTED) !== 0) return;
    const untilBefore = Atomics.load(words, at + INSTANCE.ejectedUntil);
    Atomics.store(words, at + INSTANCE.ejectedUntil, (tick + forTicks.ticks) | 0);
    if ((Atomics.or(words, at + INSTANCE.health, EJECTED) & EJECTED) !== 0) return; // another worker was first
    if (!this.#mayBeOut()) {
      Atomics.and(words, at + INSTANCE.health, ~EJECTED);
      Atomics.store(words, at + INSTANCE.ejectedUntil, untilBefore);
      return;
    }
    Atomics.store(words, at + INSTANCE.ejectionStreak, forTicks.streak);
    Atomics.store(words, at + INSTANCE.consecutiveFaults, 0);
    Atomics.add(words, at + INSTANCE.ejections, 1);
    this.#table.touch(this.#serviceSlot);
    this.#listener.onEjected(target, reason, forTicks.ticks * TICK_MS);
  }

  /** A relapse: it failed again before it had been back for as long as it was out. */
  #ejectionTicks(at: number, tick: number): { ticks: number; streak: number } {
    const { words } = this.#table;
    const streak = Atomics.load(words, at + INSTANCE.ejectionStreak);
    const backFor = (tick - Atomics.load(words, at + INSTANCE.ejectedUntil)) | 0;
    const isRelapse = streak > 0 && backFor < this.#ticksOf(streak);
    const next = isRelapse ? streak + 1 : 1;
    return { ticks: this.#ticksOf(next), streak: next };
  }

  #ticksOf(streak: number): number {
    const { baseEjectionMs, maxEjectionMs } = this.#settings;
    return Math.max(1, Math.round(Math.min(maxEjectionMs, baseEjectionMs * streak) / TICK_MS));
  }

  /** With those that are out now: not too many, and one that works is left. */
  #mayBeOut(): boolean {
    let ejected = 0;
    let working = 0;
    for (const peer of this.#peers) {
      const health = Atomics.load(this.#table.words, peer.at + INSTANCE.health);
      if ((health & EJECTED) !== 0) ejected++;
      if (health === 0 && peer.baseWeight > 0) working++;
    }
    const { maxEjectedRatio } = this.#settings;
    const allowed = maxEjectedRatio > 0 ? Math.max(1, Math.floor(maxEjectedRatio * this.#peers.length)) : 0;
    return working > 0 && ejected <= allowed;
  }
}

/**
 * The error ratio above which an instance is an outlier. The spread is the largest of: how far its peers differ, how
 * far chance alone carries a sample of its size, and one hundredth. Peers, not all: an instance must not widen by its
 * own errors the spread that it is compared with, else one of three could never stand out.
 */
export function outlierLimit(peerRatios: readonly number[], sampleSize: number, factor: number): number {
  const mean = peerRatios.reduce((sum, ratio) => sum + ratio, 0) / peerRatios.length;
  const variance = peerRatios.reduce((sum, ratio) => sum + (ratio - mean) ** 2, 0) / peerRatios.length;
  const byChance = Math.sqrt((mean * (1 - mean)) / sampleSize);
  return mean + factor * Math.max(Math.sqrt(variance), byChance, LEAST_SPREAD);
}

/**
 * True for the one caller who lets an instance back whose time is over. Works without settings: a reload may drop them.
 */
export function returnIfDue(table: InstanceTable, at: number, tick: number): boolean {
  if (((Atomics.load(table.words, at + INSTANCE.ejectedUntil) - tick) | 0) > 0) return false;
  return letBack(table, at, tick);
}

/** True for the one caller who ends an ejection, whatever time is left of it. */
export function letBack(table: InstanceTable, at: number, tick: number): boolean {
  const { words } = table;
  if ((Atomics.and(words, at + INSTANCE.health, ~EJECTED) & EJECTED) === 0) return false;
  Atomics.store(words, at + INSTANCE.consecutiveFaults, 0);
  Atomics.store(words, at + INSTANCE.recoveredAt, tick);
  // Its earlier results must not count at the end of this interval.
  for (let word = 0; word < EJECTION_BUCKETS * BUCKET_WORDS; word++) {
    Atomics.store(words, at + INSTANCE.ejectionWindow + word, 0);
  }
  return true;
}
