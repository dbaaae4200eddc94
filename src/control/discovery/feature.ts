/**
 * Discovery and health checks as one feature of the control plane; they inform each other: what discovery finds is
 * probed, and what probes find decides which tier of discovered instances takes traffic. This file only connects:
 * sources -> manager -> snapshot -> monitor -> shared memory.
 */
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { systemClock } from '../../base/clock.ts';
import type { Timers } from '../../base/system-timers.ts';
import { systemTimers } from '../../base/system-timers.ts';
import type { Secrets, Snapshot } from '../../data/contract/snapshot.ts';
import { Facts } from '../facts.ts';
import type { FeatureHost } from '../feature.ts';
import type { FeatureStatus } from '../feature-status.ts';
import type { HintTable } from '../health/hints.ts';
import { HealthHints } from '../health/hints.ts';
import type { HealthSink } from '../health/monitor.ts';
import { HealthMonitor } from '../health/monitor.ts';
import type { HealthCheckSettings } from '../health/options.ts';
import { PROBES } from '../health/probes.ts';
import type { ProbeReport } from '../health/report.ts';
import { probeReport } from '../health/report.ts';
import { healthTargets } from '../health/targets.ts';
import { serviceMetrics } from './feature-metrics.ts';
import type { InstanceInput } from './instance.ts';
import type { SourceStatus } from './manager.ts';
import { DiscoveryManager } from './manager.ts';
import type { DiscoverySettings } from './options.ts';
import type { ListedByService } from './plan.ts';
import { discoveryPlans, registrationRules, servicesWithoutRegistry } from './plan.ts';
import { fileStore } from './registry/file-store.ts';
import { knownMs } from './registry/known-time.ts';
import type { Lease } from './registry/leases.ts';
import type { RegistrySection } from './registry/options.ts';
import { Registry } from './registry/registry.ts';
import type { SharedRegistry } from './registry/shared-registry.ts';
import type { SourceReport } from './report.ts';
import { sourceReport } from './report.ts';

/** What it reads of a compiled configuration. */
export interface CompiledServices {
  readonly snapshot: Snapshot;
  readonly secrets: Secrets;
  readonly plan: {
    readonly dataDir: string;
    readonly sections: { readonly registry: RegistrySection | null };
    readonly services: Readonly<
      Record<string, { readonly discovery: DiscoverySettings | null; readonly healthCheck: HealthCheckSettings | null }>
    >;
  };
}

/** What it needs of the process around it. */
export type ServicesHost = Pick<FeatureHost, 'log' | 'env' | 'serveBuiltin' | 'addresses'> & {
  /** Health bits in shared memory. */
  readonly instances: HealthSink & HintTable;
  /** Other nodes of a cluster. Default: none. */
  readonly facts?: Facts;
  /** `services` of the document that is live: the instances that it lists itself. */
  listed(): ListedByService;
  /** Publishes the live document with these instances. */
  setDiscovered(
    instances: Readonly<Record<string, readonly InstanceInput[]>>,
  ): Promise<{ readonly ok: boolean; readonly problems: readonly string[] }>;
  /** For tests. Default those of the system. */
  readonly clock?: Clock;
  readonly timers?: Timers;
};

/** The start waits this long for the first answers of discovery; later ones are published when they arrive. */
export const START_WAIT_MS = 3_000;

export class ServicesFeature {
  readonly #host: ServicesHost;
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #monitor: HealthMonitor;
  readonly #facts: Facts;
  #hints: HealthHints | null = null;
  #manager: DiscoveryManager | undefined;
  #registry: Registry | undefined;
  #shared: SharedRegistry | undefined;
  #live: CompiledServices | undefined;
  /** Services whose found instances are in the published snapshot. */
  #published: readonly string[] = [];
  #publishing: Promise<void> = Promise.resolve();
  #isPublishPlanned = false;
  #serves = false;
  #started = false;

  constructor(host: ServicesHost) {
    this.#host = host;
    this.#facts = host.facts ?? new Facts();
    this.#clock = host.clock ?? systemClock;
    this.#timers = host.timers ?? systemTimers;
    this.#monitor = new HealthMonitor({
      sink: host.instances,
      probes: PROBES,
      clock: this.#clock,
      timers: this.#timers,
      log: host.log,
      random: Math.random,
      onChange: ({ service, url, healthy }) => this.#manager?.healthChanged(service, url, healthy),
    });
  }

  /** Rejects when services take registrations and no instance could register. */
  async start(compiled: CompiledServices): Promise<void> {
    const { log, env } = this.#host;
    const without = unregistrable(compiled);
    if (without !== null) throw new Error(without);
    const environment = { clock: this.#clock, timers: this.#timers, log };
    const store = fileStore(join(compiled.plan.dataDir, 'registry.json'), this.#timers, log);
    const { registry: section } = compiled.plan.sections;
    const ownAddresses = () => this.#host.addresses();
    const facts = this.#facts;
    const parts = { ...environment, store, ownAddresses, knownMs: () => knownMs(facts, this.#clock) };
    this.#registry = await Registry.open(parts, section?.settings ?? NO_REGISTRY);
    this.#manager = new DiscoveryManager({
      ...environment,
      random: Math.random,
      env,
      registry: this.#registry,
      onChange: () => this.#plan(),
    });
    this.#started = true;
    if (this.#host.facts !== undefined)
      this.#hints = new HealthHints({
        ...environment,
        facts,
        table: this.#host.instances,
        services: () => this.#live?.snapshot.services ?? [],
        probeNow: (instance) => this.#monitor.probeNow(instance),
      });
    await this.#configure(compiled);
    await this.#manager.ready(START_WAIT_MS);
    await this.#publish();
  }

  /** A configuration is live. */
  applied(compiled: CompiledServices): void {
    if (!this.#started) return;
    const checks = new Map<string, HealthCheckSettings>();
    for (const [service, { healthCheck }] of Object.entries(compiled.plan.services)) {
      if (healthCheck !== null) checks.set(service, healthCheck);
    }
    this.#monitor.apply(healthTargets(compiled.snapshot, compiled.secrets, checks));
    // The same plan again, as after every change of instances, changes nothing.
    void this.#configure(compiled).catch((error: unknown) => {
      this.#host.log.error('discovery was not changed', {
        reason: error instanceof Error ? error.message : String(error),
      });
    });
  }

  /** Probes of each instance and sources of each service, for health and `gatehouse status`. */
  status(): FeatureStatus {
    const probes = new Map<string, ProbeReport>();
    for (const state of this.#monitor.states()) {
      const report = probeReport(state);
      if (report !== null) probes.set(state.instance, report);
    }
    const sources = new Map<string, SourceReport[]>();
    for (const state of this.#discovery()) {
      const reports = sources.get(state.service) ?? [];
      reports.push(sourceReport(state));
      sources.set(state.service, reports);
    }
    return { probes, sources };
  }

  #discovery(): readonly SourceStatus[] {
    return this.#manager?.status() ?? [];
  }

  /** Sources outside of this process. None is required: the last good instances stay. */
  dependencies() {
    return this.#discovery()
      .filter(({ source }) => source !== 'static' && source !== 'registry')
      .map(({ service, source, problem, instances }) => ({
        name: `discovery:${service}/${source}`,
        available: problem === null,
        required: false,
        detail: { instances, problem },
      }));
  }

  metrics() {
    const leases = this.#registry?.listAll() ?? new Map<string, readonly Lease[]>();
    const overdue = [...leases.keys()].map((service) => [service, this.#registry?.overdue(service) ?? 0] as const);
    return serviceMetrics(this.#monitor.states(), this.#discovery(), leases, overdue);
  }

  async handOver(): Promise<() => void> {
    return (await this.#registry?.handOver()) ?? (() => {});
  }

  async stop(): Promise<void> {
    this.#started = false;
    this.#hints?.stop();
    this.#monitor.stop();
    this.#manager?.stop();
    await this.#publishing;
    this.#shared?.stop();
    await this.#registry?.close();
  }

  async #configure(compiled: CompiledServices): Promise<void> {
    this.#live = compiled;
    const { services, sections } = compiled.plan;
    const without = unregistrable(compiled);
    if (without !== null) this.#host.log.error(without);
    // The registry first: its sources subscribe to the services that it knows.
    this.#registry?.configure(sections.registry?.settings ?? NO_REGISTRY, registrationRules(services));
    if (sections.registry !== null) await this.#share();
    this.#shared?.configured();
    const plans = discoveryPlans(services, this.#host.listed());
    this.#manager?.apply(plans);
    // No source reports on services that lost their discovery: their found instances must go.
    if (this.#published.some((name) => !plans.some(({ service }) => service === name))) this.#plan();
    if (sections.registry !== null) await this.#serve();
  }

  /** Nothing registers, and nothing is learnt of others, before a configuration has the section. */
  async #share(): Promise<void> {
    if (this.#shared !== undefined) return;
    const { SharedRegistry } = await import('./registry/shared-registry.ts');
    const [registry, facts] = [this.#registry!, this.#facts];
    const environment = { clock: this.#clock, timers: this.#timers, log: this.#host.log };
    this.#shared ??= new SharedRegistry({ ...environment, registry, facts });
  }

  async #serve(): Promise<void> {
    if (this.#serves || this.#shared === undefined) return;
    this.#serves = true;
    const { createRegistryApp } = await import('./registry/app.ts');
    const { log } = this.#host;
    const registry = this.#shared;
    const current = () => ({
      tokenHashes: this.#live?.plan.sections.registry?.tokenHashes ?? [],
      errorFormat: this.#live?.snapshot.gateway.errorFormat ?? 'problem',
    });
    let app: { readonly path: string; readonly fetch: (request: Request) => Response | Promise<Response> } | undefined;
    await this.#host.serveBuiltin('builtin:registry', (request) => {
      const path = this.#live?.plan.sections.registry?.path ?? app?.path ?? '/';
      if (app?.path !== path) {
        const made = createRegistryApp({ registry, current, clock: this.#clock, log, path });
        app = { path, fetch: (incoming) => made.fetch(incoming) };
      }
      return app.fetch(request);
    });
  }

  /** Changes of several services that come together are one snapshot. */
  #plan(): void {
    if (this.#isPublishPlanned || !this.#started) return;
    this.#isPublishPlanned = true;
    this.#publishing = this.#publishing.then(async () => {
      this.#isPublishPlanned = false;
      if (this.#started) await this.#publish();
    });
  }

  async #publish(): Promise<void> {
    const all = this.#manager?.all() ?? new Map<string, readonly InstanceInput[]>();
    if (all.size === 0 && this.#published.length === 0) return;
    this.#published = [...all.keys()];
    try {
      const { ok, problems } = await this.#host.setDiscovered(Object.fromEntries(all));
      // Of workers that end with the gateway nobody need hear.
      if (!ok && this.#started) this.#host.log.error('discovered instances were not published', { problems });
    } catch (error) {
      this.#host.log.error('discovered instances were not published', {
        reason: error instanceof Error ? error.message : String(error),
      });
    }
  }
}

/** For a configuration without the section: nothing registers, so only the types want it. */
const NO_REGISTRY: RegistrySection['settings'] = {
  leaseMs: { default: 30_000, min: 5_000, max: 600_000 },
  restartGraceMs: 30_000,
  damping: { after: 3, holdMs: 10_000, maxHoldMs: 300_000, windowMs: 600_000 },
};

function unregistrable({ plan }: CompiledServices): string | null {
  const discovery = new Map(Object.entries(plan.services).map(([name, service]) => [name, service.discovery]));
  const names = servicesWithoutRegistry(plan.sections.registry, discovery);
  if (names.length === 0) return null;
  return `services take registrations, but there is no section \`registry\` with a token: ${names.join(', ')}`;
}
