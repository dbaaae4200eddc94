/** A part of the control plane that lives beside the core: health checks, discovery, identity, limits. */
import type { Compiled } from './config/compile.ts';
import type { SourceStatus } from './discovery/manager.ts';
import type { InstanceHealth } from './health/monitor.ts';
import type { Dependency } from './ops/sources.ts';
import type { ExtraMetric } from './telemetry/prometheus.ts';

export interface Feature {
  /** Before the workers start; a rejection stops the start. */
  start?(compiled: Compiled): Promise<void>;
  /** A configuration is live: the first one, and each reloaded one. Must not throw. */
  applied?(compiled: Compiled): void;
  /** What readiness and health should say about what it leans on. */
  dependencies?(): readonly Dependency[];
  metrics?(): readonly ExtraMetric[];
  /** What the probes of each instance found, and how the sources of instances are. */
  health?(): readonly InstanceHealth[];
  discovery?(): readonly SourceStatus[];
  stop?(): Promise<void>;
}
