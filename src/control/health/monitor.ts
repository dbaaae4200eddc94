/**
 * Probes every instance that has a health check, once per process, and tells the workers through shared memory who is
 * healthy. It decides nothing about a request; passive ejection and breakers are the workers' own. Owner: the main
 * thread; the only writer of health bits; stopped by `stop()`.
 *
 * A reload hands in the whole list again. An instance whose check and address are as before keeps its state and its
 * schedule; one whose check changed keeps its verdict and starts counting anew.
 */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { Cancel, Timers } from '../../base/system-timers.ts';
import { jittered } from '../../base/system-timers.ts';
import type { HealthCheckSettings } from './options.ts';
import type { Probe, ProbeOutcome } from './probe.ts';
import { bad } from './probe.ts';
import type { ProbeKind } from './probes.ts';
import type { HealthState, HealthStatus } from './state.ts';
import { initialState, nextState } from './state.ts';
import type { HealthTarget } from './targets.ts';

/** Where the workers read it: the table over shared memory, or what a test hands in. */
export interface HealthSink {
  setHealthy(slot: number, healthy: boolean): void;
}

export interface MonitorEnvironment {
  readonly sink: HealthSink;
  readonly probes: Readonly<Record<ProbeKind, Probe>>;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Logger;
  /** Numbers in [0, 1) for jitter. */
  readonly random: () => number;
  /** Probes under way at once; the rest wait their turn. Default 64. */
  readonly maxConcurrent?: number;
  /** Called at each change of what the workers get. */
  readonly onChange?: (change: HealthChange) => void;
}

export interface HealthChange {
  readonly service: string;
  readonly instance: string;
  readonly url: string;
  readonly healthy: boolean;
  readonly reason: string;
}

/** One instance for `/health/detailed`, `gatehouse status` and the metrics. */
export interface InstanceHealth {
  readonly service: string;
  readonly instance: string;
  readonly url: string;
  readonly healthy: boolean;
  /** `unchecked` when the service has no health check. */
  readonly status: HealthStatus | 'unchecked';
  readonly kind: ProbeKind | null;
  readonly lastStatus: number | null;
  /** Why the last probe failed; null when it was good. */
  readonly lastReason: string | null;
  readonly latencyMs: number | null;
  readonly consecutiveSuccesses: number;
  readonly consecutiveFailures: number;
  readonly probes: number;
  readonly failures: number;
  /** Times of day, milliseconds since 1970. */
  readonly checkedAtMs: number | null;
  readonly sinceMs: number;
}

interface Watch {
  target: HealthTarget;
  key: string;
  state: HealthState;
  cancel: Cancel | null;
  /** The probe under way; aborted when the watch ends. */
  running: AbortController | null;
  queued: boolean;
  ended: boolean;
  last: ProbeOutcome | null;
  latencyMs: number | null;
  checkedAtMs: number | null;
  probes: number;
  failures: number;
}

const DEFAULT_MAX_CONCURRENT = 64;
/** Until the first verdict, probes come at least this often: a dead instance should not wait out long intervals. */
const FIRST_INTERVAL_MS = 1_000;

export class HealthMonitor {
  readonly #env: MonitorEnvironment;
  readonly #maxConcurrent: number;
  #watches = new Map<string, Watch>();
  #waiting: Watch[] = [];
  #underWay = 0;
  #stopped = false;

  constructor(environment: MonitorEnvironment) {
    this.#env = environment;
    this.#maxConcurrent = environment.maxConcurrent ?? DEFAULT_MAX_CONCURRENT;
  }

  /** Takes the whole list of instances, at start and after each reload, and writes the health bit of each. */
  apply(targets: readonly HealthTarget[]): void {
    if (this.#stopped) return;
    const before = this.#watches;
    this.#watches = new Map();
    for (const target of targets) {
      const known = before.get(target.instance);
      before.delete(target.instance);
      this.#watches.set(target.instance, known === undefined ? this.#begin(target) : this.#goOn(known, target));
    }
    // Gone ones are silenced only after the new list is written: their slots may already belong to others.
    for (const gone of before.values()) this.#end(gone);
  }

  /** Does not wait for the next turn of this instance: there is a reason to look. One under way is enough. */
  probeNow(instance: string): void {
    const watch = this.#watches.get(instance);
    if (watch === undefined || watch.cancel === null) return;
    watch.cancel();
    this.#schedule(watch, 0);
  }

  /** What is known of every instance, in the order of the configuration. */
  states(): InstanceHealth[] {
    return [...this.#watches.values()].map(describe);
  }

  stop(): void {
    this.#stopped = true;
    for (const watch of this.#watches.values()) this.#end(watch);
    this.#waiting = [];
  }

  #begin(target: HealthTarget): Watch {
    const watch: Watch = {
      target,
      key: keyOf(target),
      state: initialState(target.configuredHealthy, this.#env.clock.wallMs()),
      cancel: null,
      running: null,
      queued: false,
      ended: false,
      last: null,
      latencyMs: null,
      checkedAtMs: null,
      probes: 0,
      failures: 0,
    };
    this.#publish(watch);
    if (target.check !== null) this.#schedule(watch, firstDelay(target.check) * this.#env.random());
    return watch;
  }

  #goOn(watch: Watch, target: HealthTarget): Watch {
    // The same object, as of services that did not change, needs no key.
    const key = target === watch.target ? watch.key : keyOf(target);
    if (key === watch.key) {
      watch.target = target;
      this.#publish(watch);
      return watch;
    }
    this.#end(watch);
    const renewed = this.#begin(target);
    // The old verdict is better than none, until the new check has one; without a check the configuration rules.
    if (target.check !== null && watch.state.status !== 'unknown') {
      renewed.state = { ...watch.state, consecutiveSuccesses: 0, consecutiveFailures: 0 };
      this.#publish(renewed);
    }
    return renewed;
  }

  #end(watch: Watch): void {
    watch.ended = true;
    watch.cancel?.();
    watch.cancel = null;
    watch.running?.abort();
    if (watch.queued) this.#waiting = this.#waiting.filter((other) => other !== watch);
    watch.queued = false;
  }

  #publish(watch: Watch): void {
    this.#env.sink.setHealthy(watch.target.slot, watch.state.healthy);
  }

  #schedule(watch: Watch, ms: number): void {
    watch.cancel = this.#env.timers.after(ms, () => {
      watch.cancel = null;
      watch.queued = true;
      this.#waiting.push(watch);
      this.#drain();
    });
  }

  #drain(): void {
    while (this.#underWay < this.#maxConcurrent) {
      const watch = this.#waiting.shift();
      if (watch === undefined) return;
      watch.queued = false;
      const check = watch.target.check;
      if (check !== null) void this.#probe(watch, check);
    }
  }

  async #probe(watch: Watch, check: HealthCheckSettings): Promise<void> {
    const { clock, timers, probes, random } = this.#env;
    const controller = new AbortController();
    watch.running = controller;
    this.#underWay++;
    const startedMs = clock.monotonicMs();
    let timedOut = false;
    const cancelTimeout = timers.after(check.timeoutMs, () => {
      timedOut = true;
      controller.abort();
    });
    const outcome = await probes[watch.target.kind].run(watch.target.address, check, controller.signal).catch(
      // A probe settles with an outcome; if one throws nevertheless, the schedule must go on.
      (error: unknown) => bad(error instanceof Error ? error.message : String(error)),
    );
    cancelTimeout();
    this.#underWay--;
    watch.running = null;
    if (!watch.ended) {
      const elapsedMs = clock.monotonicMs() - startedMs;
      this.#take(watch, check, timedOut ? bad(`no answer within ${check.timeoutMs} ms`) : outcome, elapsedMs);
      const intervalMs = watch.state.status === 'unknown' ? firstDelay(check) : check.intervalMs;
      this.#schedule(watch, Math.max(0, jittered(intervalMs, check.jitterRatio, random) - elapsedMs));
    }
    this.#drain();
  }

  #take(watch: Watch, check: HealthCheckSettings, outcome: ProbeOutcome, latencyMs: number): void {
    const before = watch.state;
    const nowMs = this.#env.clock.wallMs();
    watch.state = nextState(before, outcome, check, nowMs);
    watch.last = outcome;
    watch.latencyMs = latencyMs;
    watch.checkedAtMs = nowMs;
    watch.probes++;
    if (!outcome.ok) watch.failures++;
    if (watch.state.status !== before.status) this.#tell(watch, before, outcome);
  }

  #tell(watch: Watch, before: HealthState, outcome: ProbeOutcome): void {
    const { service, instance, url } = watch.target;
    const { healthy, status, consecutiveFailures, consecutiveSuccesses } = watch.state;
    const reason =
      outcome.reason ?? `${consecutiveSuccesses} good ${consecutiveSuccesses === 1 ? 'response' : 'responses'}`;
    const fields = { service, instance, url, kind: watch.target.kind, was: before.status, reason };
    if (status === 'unhealthy') this.#env.log.warn('instance unhealthy', { ...fields, failures: consecutiveFailures });
    else this.#env.log.info('instance healthy', fields);
    if (healthy === before.healthy) return;
    this.#publish(watch);
    this.#env.onChange?.({ service, instance, url, healthy, reason });
  }
}

function firstDelay(check: HealthCheckSettings): number {
  return Math.min(check.intervalMs, FIRST_INTERVAL_MS);
}

/** Everything that makes a probe another probe. The slot is not part of it. */
function keyOf(target: HealthTarget): string {
  return JSON.stringify([target.check, target.kind, target.address, target.configuredHealthy]);
}

function describe(watch: Watch): InstanceHealth {
  const { target, state, last } = watch;
  const checked = target.check !== null;
  return {
    service: target.service,
    instance: target.instance,
    url: target.url,
    healthy: state.healthy,
    status: checked ? state.status : 'unchecked',
    kind: checked ? target.kind : null,
    lastStatus: last?.status ?? null,
    lastReason: last?.reason ?? null,
    latencyMs: watch.latencyMs,
    consecutiveSuccesses: state.consecutiveSuccesses,
    consecutiveFailures: state.consecutiveFailures,
    probes: watch.probes,
    failures: watch.failures,
    checkedAtMs: watch.checkedAtMs,
    sinceMs: state.sinceMs,
  };
}
