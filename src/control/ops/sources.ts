/** What health, readiness and status say, from the state of the process. Pure: data in, bodies out. */
import type { ServiceState } from '../../data/contract/service-state.ts';
import type { Dependency, FeatureStatus, ListeningAddress } from '../feature-status.ts';
import type { LiveConfiguration } from '../live-configuration.ts';
import type { MetricsSources } from '../telemetry/prometheus.ts';
import { totals } from '../telemetry/prometheus.ts';
import type { WorkerStatus } from '../workers.ts';
import { serviceBreaker, serviceReports, serviceStatus } from './services.ts';

export interface OpsSources {
  readonly name: string;
  readonly version: string;
  readonly startedAt: string;
  readonly draining: boolean;
  readonly workers: readonly WorkerStatus[];
  readonly workersWanted: number;
  readonly services: readonly ServiceState[];
  /** What each feature says of itself. */
  readonly features: readonly FeatureStatus[];
  readonly dependencies: readonly Dependency[];
  readonly listeners: readonly ListeningAddress[];
  readonly metrics: MetricsSources;
  readonly metricsFormat: 'prometheus' | 'json';
  /** Protobuf is offered, with native histograms. */
  readonly nativeHistograms: boolean;
  readonly configuration: ReturnType<LiveConfiguration['status']>;
}

type HealthStatus = 'healthy' | 'degraded' | 'unhealthy';

export function overallHealth(sources: OpsSources): HealthStatus {
  const listening = sources.workers.filter((worker) => worker.listening).length;
  if (sources.draining || listening === 0 || sources.dependencies.some((each) => each.required && !each.available))
    return 'unhealthy';
  const states = sources.services.map(serviceStatus);
  const whole =
    listening === sources.workersWanted &&
    states.every((state) => state === 'running') &&
    sources.dependencies.every((each) => each.available);
  return whole ? 'healthy' : 'degraded';
}

export function readiness(sources: OpsSources) {
  const listening = sources.workers.filter((worker) => worker.listening).length;
  const checks = {
    accepting: !sources.draining,
    workers: listening > 0,
    ...Object.fromEntries(
      sources.dependencies.filter((each) => each.required).map((each) => [each.name, each.available]),
    ),
  };
  const ready = Object.values(checks).every(Boolean);
  return { status: ready ? 'ready' : 'not ready', ready, timestamp: new Date().toISOString(), checks };
}

/** The AIVillage document's body: status, timestamp, services, version. */
export function plainHealth(sources: OpsSources) {
  const services: Record<string, Readonly<Record<string, unknown>>> = {};
  for (const service of sources.services) {
    const status = serviceStatus(service);
    services[service.name] = { status, available: status !== 'unavailable' };
  }
  services['websocket'] ??= { status: 'running', active_connections: sources.metrics.reader.number('tunnels_active') };
  return { status: overallHealth(sources), timestamp: new Date().toISOString(), services, version: sources.version };
}

/** The Enhanced document's detailed body: Redis, balancers and breakers, and what else an operator wants first. */
export function detailedHealth(sources: OpsSources) {
  const redis = sources.dependencies.find((each) => each.name === 'redis');
  return {
    ...plainHealth(sources),
    uptime: sources.metrics.uptimeSeconds,
    memory: { residentBytes: sources.metrics.residentBytes },
    redis:
      redis === undefined
        ? { status: 'not configured' }
        : { status: redis.available ? 'connected' : 'disconnected', ...redis.detail },
    dependencies: sources.dependencies,
    loadBalancers: Object.fromEntries(
      serviceReports(sources.services, sources.features).map((service) => [
        service.name,
        {
          algorithm: service.algorithm,
          totalInstances: service.instances.length,
          healthyInstances: service.instances.filter((instance) => instance.usable).length,
          inFlight: service.inFlight,
          waiting: service.waiting,
          instances: service.instances,
          discovery: service.discovery,
        },
      ]),
    ),
    circuitBreakers: Object.fromEntries(sources.services.map((service) => [service.name, serviceBreaker(service)])),
    workers: sources.workers,
  };
}

export function gatewayStatus(sources: OpsSources) {
  const { requests, errors, averageMs, errorRatio } = totals(sources.metrics);
  return {
    name: sources.name,
    version: sources.version,
    status: overallHealth(sources),
    startedAt: sources.startedAt,
    uptimeSeconds: sources.metrics.uptimeSeconds,
    pid: process.pid,
    configuration: sources.configuration,
    listeners: sources.listeners,
    workers: sources.workers,
    traffic: {
      requests,
      errors,
      errorRatio,
      averageMs,
      activeConnections: sources.metrics.reader.number('connections_active'),
      activeExchanges: sources.metrics.reader.number('exchanges_active'),
      tunnels: sources.metrics.reader.number('tunnels_active'),
    },
    services: serviceReports(sources.services, sources.features),
    dependencies: sources.dependencies,
    features: Object.fromEntries(sources.features.flatMap(({ sections }) => Object.entries(sections ?? {}))),
  };
}

/** What the control socket answers, and `gatehouse status` shows. */
export type GatewayStatus = ReturnType<typeof gatewayStatus>;
