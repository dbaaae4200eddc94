/** The features of the control plane, in the order in which they start. Each is given what it needs of the process. */
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
import { tracingFeature } from './tracing/feature.ts';

export const FEATURES: readonly ((host: OperatorHost) => Feature)[] = [
  accessRecordsFeature,
  securityEventsFeature,
  tracingFeature,
  objectivesFeature,
  telemetryFeature,
  (host) => new AuthFeature({ bus: host.bus, log: host.log, latest: () => host.compiled }),
  policiesFeature,
  identityFeature,
  idempotencyFeature,
  lazyLimits,
  lazyEvents,
  cacheFeature,
  (host) => new ServicesFeature(host),
  (host) => new ReflectionFeature(host),
  lazyCertificates,
  lazyCluster,
  apiPagesFeature,
  (host) => new AdminFeature(host),
];
