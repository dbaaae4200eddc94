/**
 * The services of a worker across reloads: one whose name and slot stay keeps its object, and with it connections,
 * counts, breaker and queue. New ones are built aside; a snapshot that is refused leaves everything as it was.
 */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { MetricsBank } from '../../base/metrics.ts';
import type { Steps } from '../../base/slices.ts';
import type { TimerWheel } from '../../base/timers.ts';
import { balancerFinder, loadCustomBalancers } from '../balancer/algorithms/custom.ts';
import { Service } from '../balancer/service.ts';
import { InstanceTable } from '../contract/instance-table.ts';
import type { WorkerStart } from '../contract/messages.ts';
import type {
  InstanceSettings,
  Secrets,
  ServiceProtocol,
  ServiceSettings,
  Snapshot,
  UpstreamTls,
} from '../contract/snapshot.ts';
import type { UpstreamService } from '../exchange/attempt.ts';
import { AlpnPool } from '../upstream/alpn-pool.ts';
import { ConnectionCounts } from '../upstream/connection-counts.ts';
import type { DialTarget } from '../upstream/dial.ts';
import { dialTarget, TrustContext } from '../upstream/dial.ts';
import { Http2Pool } from '../upstream/http2-pool.ts';
import { Pool, type UpstreamPool } from '../upstream/pool.ts';

interface Parts {
  readonly start: WorkerStart;
  readonly wheel: TimerWheel;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: MetricsBank;
}

export class ServiceSet {
  readonly #parts: Parts;
  #services: ReadonlyMap<string, UpstreamService> = new Map();
  #pending: ReadonlyMap<string, ServiceSettings> = new Map();
  readonly #table: InstanceTable;
  #secrets: Secrets = {};
  /** Secrets are others than before, so that services take them though they stay. */
  #hasNewSecrets = false;
  #find = balancerFinder();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#table = new InstanceTable(parts.start.shared.instances, parts.clock);
  }

  /** The services that the snapshot will have: old objects where they stay, new ones where not. Changes nothing yet. */
  async prepare(snapshot: Snapshot, secrets: Secrets): Promise<ReadonlyMap<string, UpstreamService>> {
    this.#find = balancerFinder(await loadCustomBalancers(snapshot.services));
    this.#hasNewSecrets = secrets !== this.#secrets;
    this.#secrets = secrets;
    const services = new Map<string, UpstreamService>();
    for (const settings of snapshot.services) {
      const existing = this.#services.get(settings.name);
      if (existing !== undefined && !this.#isUnchanged(existing, settings)) existing.check(settings);
      services.set(
        settings.name,
        existing !== undefined && isSame(existing.settings, settings) ? existing : this.#make(settings),
      );
    }
    this.#pending = new Map(snapshot.services.map((settings) => [settings.name, settings]));
    return services;
  }

  /**
   * The snapshot is live: services that stay take their new settings, those that are gone end after their last request.
   */
  *commitSteps(services: ReadonlyMap<string, UpstreamService>): Steps<void> {
    const before = this.#services;
    this.#services = services;
    for (const [name, service] of services) {
      const settings = this.#pending.get(name)!;
      if (before.get(name) === service && !this.#isUnchanged(service, settings)) service.update(settings);
      yield;
    }
    for (const [name, service] of before) if (services.get(name) !== service) service.dispose();
  }

  /** Services that are there take other instances. Throws before anything has changed. */
  *changeSteps(changed: readonly ServiceSettings[]): Steps<void> {
    const known: UpstreamService[] = [];
    for (const settings of changed) {
      const service = this.#services.get(settings.name);
      if (service === undefined || !isSame(service.settings, settings))
        throw new TypeError(`"${settings.name}" is no service that could take other instances`);
      service.check(settings);
      known.push(service);
      yield;
    }
    for (const [i, service] of known.entries()) {
      service.update(changed[i]!);
      yield;
    }
  }

  get(name: string): UpstreamService | undefined {
    return this.#services.get(name);
  }

  dispose(): void {
    for (const service of this.#services.values()) service.dispose();
    this.#services = new Map();
  }

  /** A file of the user's may be another one though its settings are the same. */
  #isUnchanged(service: UpstreamService, settings: ServiceSettings): boolean {
    return service.settings === settings && !this.#hasNewSecrets && settings.balancer.algorithm !== 'custom';
  }

  #make(settings: ServiceSettings): UpstreamService {
    const { start, wheel, clock, log, metrics } = this.#parts;
    const secrets = (): Secrets => this.#secrets;
    const counts = new ConnectionCounts(this.#table, settings.slot);
    const context = new TrustContext();
    const target = (instance: InstanceSettings, tls: UpstreamTls | null): DialTarget =>
      dialTarget(instance, tls, this.#secrets, context);
    return new Service<UpstreamPool>(settings, {
      clock,
      log,
      random: Math.random,
      shared: start.shared,
      // Asked for each time: a reload may bring other ones.
      get secrets() {
        return secrets();
      },
      workerIndex: start.index,
      findBalancer: (name) => this.#find(name),
      makePool: (instance, service) =>
        new (poolOf(service.protocol, instance.protocol === 'https'))(
          target(instance, service.tls),
          service.pool,
          service.timeouts.connectMs,
          { wheel, clock, metrics, counts },
        ),
      updatePool: (pool, instance, service) =>
        pool.update(target(instance, service.tls), service.pool, service.timeouts.connectMs),
      disposePool: (pool) => pool.close(),
    });
  }
}

/** Without TLS no protocol is negotiated, so this is the one that every instance speaks. */
function poolOf(protocol: ServiceProtocol, isSecure: boolean): typeof Pool | typeof Http2Pool | typeof AlpnPool {
  if (protocol === 'auto') return isSecure ? AlpnPool : Pool;
  return protocol === 'h1' ? Pool : Http2Pool;
}

/** Connections that speak another protocol are another service, though it has the same name. */
function isSame(before: ServiceSettings, after: ServiceSettings): boolean {
  return before.slot === after.slot && before.protocol === after.protocol;
}
