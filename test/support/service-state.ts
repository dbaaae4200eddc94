/** States of breakers, instances and services as workers tell them; a test says what differs from a service at rest. */
import type { BreakerState, InstanceState, ServiceState } from '../../src/data/contract/service-state.ts';
import { CONNECTION_COUNTERS, SERVICE_COUNTERS } from '../../src/data/contract/service-state.ts';

export function breakerState(more: Partial<BreakerState> = {}): BreakerState {
  return { state: 'closed', requests: 120, errors: 3, retryInMs: 0, openings: 0, ...more };
}

export function instanceState(id: string, more: Partial<InstanceState> = {}): InstanceState {
  return {
    id,
    url: `http://${id}`,
    zone: null,
    weight: 1,
    healthy: true,
    draining: false,
    ejected: false,
    ejectedForMs: 0,
    ejections: 0,
    inFlight: 0,
    breaker: null,
    usable: true,
    ...more,
  };
}

function noneOf<N extends string>(names: readonly N[]): Record<N, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<N, number>;
}

export function serviceState(more: Partial<ServiceState> = {}): ServiceState {
  return {
    name: 's',
    algorithm: 'round-robin',
    inFlight: 0,
    waiting: 0,
    breaker: null,
    budget: { requests: 0, retries: 0 },
    counters: noneOf(SERVICE_COUNTERS),
    connections: noneOf(CONNECTION_COUNTERS),
    instances: [instanceState('a'), instanceState('b')],
    ...more,
  };
}
