/**
 * One instance of a service in one worker: its pool, its place in shared memory, and what this worker has measured. The
 * object lives as long as the instance keeps its id, over reloads. A `Probe` stands for it in one attempt that a
 * half-open breaker let through, so that the end of that attempt is known to be the probe's.
 */
import type { Candidate } from '../contract/balancer.ts';
import { INSTANCE, instanceAt } from '../contract/instance-layout.ts';
import type { InstanceTable } from '../contract/instance-table.ts';
import type { InstanceSettings } from '../contract/snapshot.ts';
import type { Breaker } from '../resilience/breaker.ts';
import type { RollingWindow } from '../resilience/rolling-window.ts';

/** What the engine gets of an instance; P is its connection pool there. */
export interface Endpoint<P> extends Candidate {
  readonly settings: InstanceSettings;
  readonly pool: P;
  /** No longer configured: its slots in shared memory may be another's by now. */
  readonly isRetired: boolean;
}

/** The time of the current pick or finish, so that one reading of the clock serves all of it. */
export interface PickClock {
  nowMs: number;
}

/** An old latency has lost two thirds of its say after this long. */
const LATENCY_DECAY_MS = 10_000;
/**
 * A failure counts as twice the latency so far, within these: quick errors must not look like quick responses, and many
 * of them must not keep an instance out for minutes after it is well again.
 */
const LEAST_FAILURE_MS = 10;
const MOST_FAILURE_MS = 1_000;

/** More says nothing more. */
const MOST_FAILURES = 32;
/** Less is nothing. */
const LEAST_FAILURES = 0.05;

export class Instance<P> implements Endpoint<P> {
  readonly id: string;
  readonly pool: P;
  settings: InstanceSettings;
  /** As configured. */
  baseWeight = 1;
  /** 1, or less while it starts slowly. */
  ramp = 1;
  weight = 1;
  /** Offset of its record in shared memory. */
  at = 0;
  breaker: Breaker | null = null;
  ejectionWindow: RollingWindow | null = null;
  /** In flight from this worker. */
  localInFlight = 0;
  /** No longer configured: its pool goes when the last request ends. */
  isRetired = false;
  /** Healthy and not kept from its sticky callers; set by the roster. */
  takesSticky = false;
  readonly #words: Int32Array;
  readonly #timeline: PickClock;
  #latencyMs = 0;
  #latencyAtMs = 0;
  #failures = 0;
  #failuresAtMs = 0;

  constructor(settings: InstanceSettings, pool: P, table: InstanceTable, timeline: PickClock) {
    this.id = settings.id;
    this.pool = pool;
    this.settings = settings;
    this.#words = table.words;
    this.#timeline = timeline;
    this.configure(settings);
  }

  /** A reload changed what is configured of it. */
  configure(settings: InstanceSettings): void {
    this.settings = settings;
    this.baseWeight = settings.weight;
    this.weight = settings.weight;
    this.at = instanceAt(settings.slot);
  }

  get zone(): string | null {
    return this.settings.zone;
  }

  get metadata(): Readonly<Record<string, string>> {
    return this.settings.metadata;
  }

  /** A plain read: an algorithm does not need the very latest count, and an atomic one costs ten times as much. */
  get inFlight(): number {
    return this.#words[this.at + INSTANCE.inFlight]!;
  }

  get latencyMs(): number {
    if (this.#latencyMs === 0) return 0;
    return this.#latencyMs * Math.exp((this.#latencyAtMs - this.#timeline.nowMs) / LATENCY_DECAY_MS);
  }

  get recentFailures(): number {
    if (this.#failures === 0) return 0;
    const left = this.#failures * Math.exp((this.#failuresAtMs - this.#timeline.nowMs) / LATENCY_DECAY_MS);
    if (left >= LEAST_FAILURES) return left;
    this.#failures = 0;
    return 0;
  }

  noteFailure(): void {
    this.#failures = Math.min(this.recentFailures + 1, MOST_FAILURES);
    this.#failuresAtMs = this.#timeline.nowMs;
  }

  /** Jumps up to a higher latency, moves towards a lower one the faster, the older the last response. */
  observe(ms: number): void {
    const { nowMs } = this.#timeline;
    const decay = Math.exp((this.#latencyAtMs - nowMs) / LATENCY_DECAY_MS);
    const current = this.#latencyMs * decay;
    // Never 0, which means "not known".
    this.#latencyMs = Math.max(ms > current ? ms : current + ms * (1 - decay), 0.001);
    this.#latencyAtMs = nowMs;
  }

  observeFailure(ms: number): void {
    this.observe(Math.max(ms, LEAST_FAILURE_MS, Math.min(this.latencyMs * 2, MOST_FAILURE_MS)));
  }

  /** An attempt was called off: its latency would have been this at least. */
  observeAtLeast(ms: number): void {
    if (ms > this.latencyMs) this.observe(ms);
  }
}

/** One attempt that is a probe, for the breaker of the service, of the instance, or both. */
export class Probe<P> implements Endpoint<P> {
  readonly target: Instance<P>;
  /** Round of the instance's breaker, or `NO_PROBE`. */
  readonly instanceRound: number;
  /** Round of the service's breaker, or `NO_PROBE`. */
  readonly serviceRound: number;

  constructor(target: Instance<P>, instanceRound: number, serviceRound: number) {
    this.target = target;
    this.instanceRound = instanceRound;
    this.serviceRound = serviceRound;
  }

  get id(): string {
    return this.target.id;
  }

  get settings(): InstanceSettings {
    return this.target.settings;
  }

  get pool(): P {
    return this.target.pool;
  }

  get isRetired(): boolean {
    return this.target.isRetired;
  }

  get zone(): string | null {
    return this.target.zone;
  }

  get metadata(): Readonly<Record<string, string>> {
    return this.target.metadata;
  }

  get weight(): number {
    return this.target.weight;
  }

  get inFlight(): number {
    return this.target.inFlight;
  }

  get latencyMs(): number {
    return this.target.latencyMs;
  }

  get recentFailures(): number {
    return this.target.recentFailures;
  }
}

/** The instance behind what the engine was given. */
export function instanceOf<P>(endpoint: Endpoint<P>): Instance<P> {
  return endpoint instanceof Probe ? endpoint.target : (endpoint as Instance<P>);
}
