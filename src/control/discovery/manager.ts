/**
 * Runs the sources of every service and tells, per service, the one list of instances that they add up to: merged by
 * URL, debounced, compared with the last. Priorities become weights here: only the first tier that has a healthy
 * instance takes traffic, the others stand by with weight 0, still probed. Owner: the main thread.
 *
 * A reload hands in all services again; sources whose settings are as before go on undisturbed.
 */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { Cancel, Timers } from '../../base/system-timers.ts';
import type { InstanceInput } from './instance.ts';
import { readInstanceUrl, sameInstances } from './instance.ts';
import type { DiscoverySettings } from './options.ts';
import type { Registry } from './registry/registry.ts';
import type { DiscoverySource, SourceDefinition, SourceEnvironment } from './source.ts';
import { SOURCES } from './sources.ts';

/** What a service has for discovery: its configured instances and its sources. */
export interface DiscoveryPlan {
  readonly service: string;
  readonly static: readonly InstanceInput[];
  readonly discovery: DiscoverySettings;
}

export interface ManagerEnvironment {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Logger;
  readonly random: () => number;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly registry: Registry | null;
  /** The whole new list of a service. Called only when it differs from the last one that was reported. */
  readonly onChange: (service: string, instances: readonly InstanceInput[]) => void;
  /** Other sources than the built-in ones, by name; for tests. */
  readonly sources?: Readonly<Record<keyof typeof SOURCES, SourceDefinition<never>>>;
}

/** One source for `/health/detailed` and `gatehouse status`. */
export interface SourceStatus {
  readonly service: string;
  readonly source: string;
  readonly instances: number;
  /** Null while all is well. */
  readonly problem: string | null;
  /** Time of day of the last list, milliseconds since 1970; null before the first. */
  readonly toldAtMs: number | null;
}

type SourceName = keyof typeof SOURCES;

interface Running {
  readonly name: SourceName;
  readonly key: string;
  readonly source: DiscoverySource;
  instances: readonly InstanceInput[];
  problem: string | null;
  toldAtMs: number | null;
  stopped: boolean;
}

interface Service {
  readonly name: string;
  running: Map<SourceName, Running>;
  /** URLs that health checks have found dead. */
  readonly unhealthy: Set<string>;
  /** The last reported list. */
  reported: readonly InstanceInput[] | undefined;
  cancelTell: Cancel | null;
  /** Monotonic time of the first change that is not reported yet. */
  changedMs: number | null;
}

/** A burst of changes (a rolling deployment) is one change; steady ones are still reported this often. */
export const DEBOUNCE_MS = 100;
export const MAX_DEBOUNCE_MS = 1_000;
/** Shared memory has slots for 8,192 instances in all; no one service may take most of them by accident. */
const MAX_PER_SERVICE = 2_048;

export class DiscoveryManager {
  readonly #env: ManagerEnvironment;
  readonly #sources: Readonly<Record<SourceName, SourceDefinition<never>>>;
  readonly #services = new Map<string, Service>();
  readonly #waiting = new Set<() => void>();
  #stopped = false;

  constructor(environment: ManagerEnvironment) {
    this.#env = environment;
    this.#sources = environment.sources ?? SOURCES;
  }

  /** At start and after each reload: every service that has `discovery`. Others are forgotten. */
  apply(plans: readonly DiscoveryPlan[]): void {
    if (this.#stopped) return;
    const names = new Set(plans.map((plan) => plan.service));
    for (const [name, service] of this.#services) {
      if (names.has(name)) continue;
      this.#end(service);
      this.#services.delete(name);
    }
    for (const plan of plans) this.#applyOne(plan);
    this.#checkReady();
  }

  /** The list of each service as it is now, for a start or a reload to compile with. The result counts as reported. */
  all(): Map<string, readonly InstanceInput[]> {
    for (const service of this.#services.values()) service.reported = this.#merge(service);
    return new Map([...this.#services].map(([name, service]) => [name, service.reported ?? []]));
  }

  status(): SourceStatus[] {
    return [...this.#services.values()].flatMap((service) =>
      [...service.running.values()].map(({ name, instances, problem, toldAtMs }) => ({
        service: service.name,
        source: name,
        instances: instances.length,
        problem,
        toldAtMs,
      })),
    );
  }

  /** Resolves when every source has reported a list or a problem, or after `timeoutMs`. For the start. */
  ready(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        cancel();
        this.#waiting.delete(done);
        resolve();
      };
      const cancel = this.#env.timers.after(timeoutMs, done);
      this.#waiting.add(done);
      this.#checkReady();
    });
  }

  /** From the health monitor: moves traffic to the next tier when the first has no instance left, and back. */
  healthChanged(serviceName: string, url: string, healthy: boolean): void {
    const service = this.#services.get(serviceName);
    if (service === undefined) return;
    const key = canonical(url);
    if (healthy) service.unhealthy.delete(key);
    else service.unhealthy.add(key);
    this.#schedule(service);
  }

  stop(): void {
    this.#stopped = true;
    for (const service of this.#services.values()) this.#end(service);
    for (const done of this.#waiting) done();
  }

  #applyOne(plan: DiscoveryPlan): void {
    const service = this.#services.get(plan.service) ?? {
      name: plan.service,
      running: new Map(),
      unhealthy: new Set(),
      reported: undefined,
      cancelTell: null,
      changedMs: null,
    };
    this.#services.set(plan.service, service);
    const before = service.running;
    service.running = new Map();
    for (const name of Object.keys(this.#sources) as SourceName[]) {
      const settings = name === 'static' ? plan.static : plan.discovery[name];
      if (settings === null || (name === 'static' && plan.static.length === 0)) continue;
      const key = JSON.stringify(settings);
      const known = before.get(name);
      if (known?.key === key) {
        before.delete(name);
        service.running.set(name, known);
        continue;
      }
      const begun = this.#begin(service, name, key, settings);
      // Until the new one has spoken, what the old one knew is better than nothing.
      if (known !== undefined && begun.toldAtMs === null) begun.instances = known.instances;
    }
    for (const gone of before.values()) this.#endSource(gone);
    this.#schedule(service);
  }

  #begin(service: Service, name: SourceName, key: string, settings: unknown): Running {
    const { clock, timers, random, registry, env } = this.#env;
    const log = this.#env.log.child({ service: service.name, source: name });
    const environment: SourceEnvironment = { service: service.name, clock, timers, log, random, registry, env };
    const definition = this.#sources[name] as SourceDefinition<unknown>;
    const running: Running = {
      name,
      key,
      source: definition.create(settings, environment),
      instances: [],
      problem: null,
      toldAtMs: null,
      stopped: false,
    };
    service.running.set(name, running);
    running.source.start(
      (instances) => {
        if (running.stopped) return;
        running.instances = instances;
        running.toldAtMs = clock.wallMs();
        this.#schedule(service);
        this.#checkReady();
      },
      (problem) => {
        if (running.stopped || problem === running.problem) return;
        running.problem = problem;
        if (problem === null) log.info('discovery works again');
        else log.warn('discovery problem', { reason: problem, instances: running.instances.length });
        this.#checkReady();
      },
    );
    return running;
  }

  #end(service: Service): void {
    service.cancelTell?.();
    for (const running of service.running.values()) this.#endSource(running);
  }

  #endSource(running: Running): void {
    running.stopped = true;
    running.source.stop();
  }

  #schedule(service: Service): void {
    if (this.#stopped) return;
    const nowMs = this.#env.clock.monotonicMs();
    service.changedMs ??= nowMs;
    const leftMs = Math.max(0, service.changedMs + MAX_DEBOUNCE_MS - nowMs);
    service.cancelTell?.();
    service.cancelTell = this.#env.timers.after(Math.min(DEBOUNCE_MS, leftMs), () => this.#tell(service));
  }

  #tell(service: Service): void {
    service.cancelTell = null;
    service.changedMs = null;
    const instances = this.#merge(service);
    const before = service.reported ?? [];
    if (sameInstances(instances, before)) return;
    service.reported = instances;
    this.#env.log.info('instances changed', { service: service.name, ...difference(before, instances) });
    this.#env.onChange(service.name, instances);
  }

  #merge(service: Service): InstanceInput[] {
    const merged = new Map<string, InstanceInput>();
    for (const name of Object.keys(this.#sources) as SourceName[]) {
      for (const instance of service.running.get(name)?.instances ?? []) {
        const key = canonical(instance.url);
        if (!merged.has(key) && merged.size < MAX_PER_SERVICE) merged.set(key, instance);
      }
    }
    // An address that is gone may come back as something else: nothing is remembered of it.
    for (const url of service.unhealthy) if (!merged.has(url)) service.unhealthy.delete(url);
    return inTiers(merged, service.unhealthy);
  }

  #checkReady(): void {
    const spoken = (running: Running): boolean => running.toldAtMs !== null || running.problem !== null;
    for (const service of this.#services.values()) {
      for (const running of service.running.values()) if (!spoken(running)) return;
    }
    for (const done of this.#waiting) done();
  }
}

/** Weight 0 for instances behind the first tier that has a healthy one, or behind the first of all. */
function inTiers(instances: ReadonlyMap<string, InstanceInput>, unhealthy: ReadonlySet<string>): InstanceInput[] {
  const all = [...instances];
  const tiers = all.map(([, instance]) => instance.priority);
  const alive = all.filter(([url, { healthy, weight }]) => healthy && weight > 0 && !unhealthy.has(url));
  const first = alive.length > 0 ? Math.min(...alive.map(([, { priority }]) => priority)) : Math.min(...tiers);
  return all.map(([, instance]) => (instance.priority > first ? { ...instance, weight: 0 } : instance));
}

/** Two spellings of one address are one address. What is no http URL (a socket) stands for itself. */
function canonical(url: string): string {
  const read = readInstanceUrl(url);
  return 'url' in read ? read.url : url;
}

function difference(before: readonly InstanceInput[], after: readonly InstanceInput[]) {
  const urls = (list: readonly InstanceInput[]): Set<string> => new Set(list.map((instance) => instance.url));
  const [old, now] = [urls(before), urls(after)];
  return {
    instances: now.size,
    added: some([...now].filter((url) => !old.has(url))),
    removed: some([...old].filter((url) => !now.has(url))),
  };
}

/** Log lines stay short. */
function some(urls: readonly string[]): readonly string[] {
  return urls.length <= 10 ? urls : [...urls.slice(0, 10), `and ${urls.length - 10} more`];
}
