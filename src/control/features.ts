/** The features of the control plane, in the order in which they start. Each is given what it needs of the process. */

import type { LogArea, Logger } from '../base/log.ts';
import { accessRecordsFeature } from './access-records/feature.ts';
import { AdminFeature } from './admin/feature.ts';
import { apiPagesFeature } from './api-pages/feature.ts';
import { AuthFeature } from './auth/feature.ts';
import { cacheFeature } from './cache/feature.ts';
import { lazyCertificates } from './certificates/lazy-feature.ts';
import { lazyCluster } from './cluster/lazy-feature.ts';
import { ServicesFeature } from './discovery/feature.ts';
import { lazyEvents } from './events/lazy-feature.ts';
import type { Feature, OperatorHost } from './feature.ts';
import { ReflectionFeature } from './grpc/feature.ts';
import { idempotencyFeature } from './idempotency/feature.ts';
import { identityFeature } from './identity/feature.ts';
import { lazyLimits } from './limits/lazy-feature.ts';
import { objectivesFeature } from './objectives/feature.ts';
import { policiesFeature } from './policies/feature.ts';
import { securityEventsFeature } from './security-events/feature.ts';
import { telemetryFeature } from './telemetry/feature.ts';
import { ticketsFeature } from './tickets/feature.ts';
import { tracingFeature } from './tracing/feature.ts';

/** Lines of a feature say its area, which may have a level of its own. */
function inArea(area: LogArea, make: (host: OperatorHost) => Feature): (host: OperatorHost) => Feature {
  return (host) => make(withLog(host, host.log.child({ area })));
}

/** The host as it is, but for its log. */
function withLog(host: OperatorHost, log: Logger): OperatorHost {
  return new Proxy(host, {
    get(target, key) {
      if (key === 'log') return log;
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

export const FEATURES: readonly ((host: OperatorHost) => Feature)[] = [
  inArea('logs', accessRecordsFeature),
  inArea('logs', securityEventsFeature),
  inArea('tracing', tracingFeature),
  objectivesFeature,
  telemetryFeature,
  inArea('auth', (host) => new AuthFeature({ bus: host.bus, log: host.log, latest: () => host.compiled })),
  inArea('policies', policiesFeature),
  inArea('identity', identityFeature),
  idempotencyFeature,
  inArea('auth', ticketsFeature),
  inArea('limits', lazyLimits),
  inArea('events', lazyEvents),
  inArea('cache', cacheFeature),
  inArea('discovery', (host) => new ServicesFeature(host)),
  inArea('grpc', (host) => new ReflectionFeature(host)),
  inArea('certificates', lazyCertificates),
  inArea('cluster', lazyCluster),
  inArea('api-pages', apiPagesFeature),
  inArea('admin', (host) => new AdminFeature(host)),
];
