/**
 * What health and status respond with, and the services in them, as schemas for API documents. The names of the members
 * of the status are compared with its type below; real responses of it are by a test
 * (test/integration/own-apis-document.test.ts).
 */
import * as z from 'zod';
import { CONNECTION_COUNTERS, SERVICE_COUNTERS } from '../../data/contract/service-state.ts';
import type { GatewayStatus } from './sources.ts';

const time = z.iso.datetime();
const ms = z.number().describe('Milliseconds.');
const problem = z.string().nullable().describe('Null while all is well.');
/** By a known list of names, all of them. */
const counters = <Name extends string>(names: readonly Name[]) =>
  z.object(Object.fromEntries(names.map((name) => [name, z.number()])) as Record<Name, z.ZodNumber>);

export const breaker = z.object({
  state: z.enum(['closed', 'open', 'half-open']),
  requests: z.number().describe('Inside the rolling window.'),
  errors: z.number(),
  retryInMs: ms,
  openings: z.number(),
});
const probe = z.object({
  status: z.enum(['healthy', 'unhealthy', 'unknown']),
  kind: z.string(),
  lastStatus: z.number().nullable(),
  reason: z.string().nullable(),
  latencyMs: z.number().nullable(),
  consecutiveSuccesses: z.number(),
  consecutiveFailures: z.number(),
  since: time,
  checkedAt: time.nullable(),
});
export const instance = z.object({
  id: z.string(),
  url: z.string(),
  zone: z.string().nullable(),
  weight: z.number(),
  healthy: z.boolean(),
  draining: z.boolean(),
  ejected: z.boolean(),
  ejectedForMs: ms,
  ejections: z.number(),
  inFlight: z.number(),
  breaker: breaker.nullable(),
  usable: z.boolean(),
  healthCheck: probe.nullable(),
});
export const discovery = z.array(
  z.object({ source: z.string(), instances: z.number(), problem, updatedAt: time.nullable() }),
);
export const service = z.object({
  name: z.string(),
  algorithm: z.string(),
  inFlight: z.number(),
  waiting: z.number(),
  breaker: breaker.nullable(),
  budget: z.object({ requests: z.number(), retries: z.number() }),
  counters: counters(SERVICE_COUNTERS),
  connections: counters(CONNECTION_COUNTERS),
  status: z.enum(['running', 'degraded', 'unavailable']),
  instances: z.array(instance),
  discovery,
});

/** Of the history, without its text. */
export const revision = z.object({
  revision: z.number().describe('From 1, over restarts.'),
  at: time,
  author: z.string(),
  reason: z.string(),
  hash: z.string(),
  source: z.string(),
  restorable: z.boolean(),
  bytes: z.number(),
});
export const configurationStatus = z.object({
  version: z.number().describe('Counts up with each configuration that goes live.'),
  revision: revision.nullable(),
  source: z.string(),
  readOnly: z.string().nullable().describe('Why it cannot be written; null: it can.'),
  differsFromSource: z.boolean(),
  needsRestart: z.array(z.string()).describe('Keys that take effect at the next start only.'),
  lastReload: z.object({ at: time, ok: z.boolean(), problems: z.array(z.string()) }).nullable(),
});
const workers = z.array(
  z.object({
    index: z.number(),
    threadId: z.number(),
    version: z.number(),
    listening: z.boolean(),
    restarts: z.number(),
  }),
);
const detail = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]));
const dependencies = z.array(
  z.object({ name: z.string(), available: z.boolean(), required: z.boolean(), detail: detail.optional() }),
);
const overall = z.enum(['healthy', 'degraded', 'unhealthy']);

export const status = z.object({
  name: z.string(),
  version: z.string(),
  status: overall,
  startedAt: time,
  uptimeSeconds: z.number(),
  pid: z.number(),
  configuration: configurationStatus,
  listeners: z.array(z.object({ id: z.string(), host: z.string(), port: z.number(), tls: z.boolean() })),
  workers,
  traffic: z.object({
    requests: z.number(),
    errors: z.number(),
    errorRatio: z.number(),
    averageMs: ms,
    activeConnections: z.number(),
    activeExchanges: z.number(),
    tunnels: z.number(),
  }),
  services: z.array(service),
  dependencies,
  features: z.record(z.string(), z.unknown()).describe('What each feature in use says of itself.'),
});
/** Does not compile where the status has a member that is not described, or lacks one that is. */
type Same<A, B> = [keyof A] extends [keyof B] ? ([keyof B] extends [keyof A] ? true : never) : never;
const _status: Same<z.output<typeof status>, GatewayStatus> = true;
void _status;

export const plainHealth = z.object({
  status: overall,
  timestamp: time,
  services: z.record(
    z.string(),
    z.object({
      status: z.string(),
      available: z.boolean().optional(),
      active_connections: z.number().optional().describe('Of `websocket`.'),
    }),
  ),
  version: z.string(),
});
const missing = z.object({ state: z.enum(['closed', 'open']), configured: z.boolean() });
export const detailedHealth = plainHealth.extend({
  uptime: z.number().describe('Seconds.'),
  memory: z.object({ residentBytes: z.number() }),
  redis: z
    .object({ status: z.enum(['not configured', 'connected', 'disconnected']) })
    .catchall(z.union([z.string(), z.number(), z.boolean(), z.null()])),
  dependencies,
  loadBalancers: z.record(
    z.string(),
    z.object({
      algorithm: z.string(),
      totalInstances: z.number(),
      healthyInstances: z.number(),
      inFlight: z.number(),
      waiting: z.number(),
      instances: z.array(instance),
      discovery,
    }),
  ),
  circuitBreakers: z.record(z.string(), z.union([breaker, missing])),
  workers,
});

const labels = z.record(z.string(), z.string());
const sample = z.object({ labels, value: z.number() });
const histogram = z.object({
  labels,
  bounds: z.array(z.number()).describe('Upper bounds of buckets, in seconds.'),
  counts: z.array(z.number()).describe('One more than bounds; not cumulative.'),
  sum: z.number(),
});

/** `/metrics` as JSON. */
export const metrics = z.object({
  requests: z.number(),
  errors: z.number(),
  activeConnections: z.number(),
  responseTime: ms,
  errorRate: z.number().describe('Per cent.'),
  uptime: z.number().describe('Seconds.'),
  memory: z.object({ residentBytes: z.number() }),
  workers: z.object({ listening: z.number(), restarts: z.number() }),
  configurationVersion: z.number(),
  counters: z.record(z.string(), z.number()),
  faults: z.record(z.string(), z.number()).describe('By reason; those that there were.'),
  serviceHealth: z.record(
    z.string(),
    z.object({
      breaker: z.enum(['closed', 'open', 'half-open']).nullable(),
      instances: z.array(z.object({ url: z.string(), healthy: z.boolean(), inFlight: z.number() })),
    }),
  ),
  extra: z
    .record(z.string(), z.array(z.union([sample, histogram])))
    .describe('Metrics of features, by their name in the Prometheus format.'),
  routes: z.array(
    z.object({
      route: z.string(),
      requests: z.number(),
      byStatus: z.record(z.string(), z.number()),
      grpcCalls: z.record(z.string(), z.number()).optional(),
      averageMs: ms,
    }),
  ),
});
