/**
 * Is this instance healthy? A pure machine: state and outcome in, state out, time handed in. No timer, no socket, no
 * log.
 *              good response               `unhealthyThreshold` failures in a row
 *   unknown ---------------> healthy ------------------------------------------> unhealthy
 *      |                        ^                                                    |
 *      |                        +---- `healthyThreshold` good responses in a row ----+
 *      +---- `unhealthyThreshold` failures in a row ----> unhealthy
 *
 * Until the first verdict the configured `healthy` holds, so that a start does not refuse traffic that would work.
 */
import type { ProbeOutcome } from './probe.ts';

export type HealthStatus = 'unknown' | 'healthy' | 'unhealthy';

export interface HealthState {
  readonly status: HealthStatus;
  /** What the workers get: as configured while the status is unknown. */
  readonly healthy: boolean;
  readonly consecutiveSuccesses: number;
  readonly consecutiveFailures: number;
  /** Time of day at which the status became what it is. */
  readonly sinceMs: number;
}

export interface Thresholds {
  readonly healthyThreshold: number;
  readonly unhealthyThreshold: number;
}

export function initialState(configuredHealthy: boolean, nowMs: number): HealthState {
  return {
    status: 'unknown',
    healthy: configuredHealthy,
    consecutiveSuccesses: 0,
    consecutiveFailures: 0,
    sinceMs: nowMs,
  };
}

export function nextState(
  state: HealthState,
  outcome: Pick<ProbeOutcome, 'ok'>,
  thresholds: Thresholds,
  nowMs: number,
): HealthState {
  const consecutiveSuccesses = outcome.ok ? state.consecutiveSuccesses + 1 : 0;
  const consecutiveFailures = outcome.ok ? 0 : state.consecutiveFailures + 1;
  const status = verdict(state.status, consecutiveSuccesses, consecutiveFailures, thresholds);
  return {
    status,
    healthy: status === 'unknown' ? state.healthy : status === 'healthy',
    consecutiveSuccesses,
    consecutiveFailures,
    sinceMs: status === state.status ? state.sinceMs : nowMs,
  };
}

function verdict(status: HealthStatus, successes: number, failures: number, thresholds: Thresholds): HealthStatus {
  if (failures >= thresholds.unhealthyThreshold) return 'unhealthy';
  if (successes >= (status === 'unknown' ? 1 : thresholds.healthyThreshold)) return 'healthy';
  return status;
}
