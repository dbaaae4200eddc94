/** What the probes of an instance found, as health, status and the console show it. Pure. */
import type { InstanceHealth } from './monitor.ts';

/** What the probes of one instance found. Times are ISO 8601. */
export interface ProbeReport {
  readonly status: 'healthy' | 'unhealthy' | 'unknown';
  readonly kind: string;
  /** HTTP status of the last probe; null where there was none. */
  readonly lastStatus: number | null;
  /** Why the last probe failed; null when it was good. */
  readonly reason: string | null;
  readonly latencyMs: number | null;
  readonly consecutiveSuccesses: number;
  readonly consecutiveFailures: number;
  /** When `status` became what it is, and when the last probe ended. */
  readonly since: string;
  readonly checkedAt: string | null;
}

/** Null for an instance that is not probed. */
export function probeReport(health: InstanceHealth): ProbeReport | null {
  if (health.status === 'unchecked' || health.kind === null) return null;
  return {
    status: health.status,
    kind: health.kind,
    lastStatus: health.lastStatus,
    reason: health.lastReason,
    latencyMs: health.latencyMs === null ? null : Math.round(health.latencyMs * 1_000) / 1_000,
    consecutiveSuccesses: health.consecutiveSuccesses,
    consecutiveFailures: health.consecutiveFailures,
    since: new Date(health.sinceMs).toISOString(),
    checkedAt: timeOrNull(health.checkedAtMs),
  };
}

function timeOrNull(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
