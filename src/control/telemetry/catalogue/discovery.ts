/** Where instances come from, and what is asked of them. */
import type { MetricDefinition } from './definition.ts';

export const DISCOVERY_METRICS = {
  gatehouse_discovery_instances: {
    type: 'gauge',
    labels: ['service', 'source'],
    help: 'Instances that a discovery source gives',
  },
  gatehouse_discovery_problem: {
    type: 'gauge',
    labels: ['service', 'source'],
    help: '1 while a discovery source fails and its last good instances are kept',
  },
  gatehouse_health_instances: {
    type: 'gauge',
    labels: ['service', 'status'],
    help: 'Probed instances by what their health checks say',
  },
  gatehouse_openapi_fetch_failures_total: {
    type: 'counter',
    labels: [],
    help: 'API documents of services that could not be fetched',
  },
  gatehouse_openapi_problems: {
    type: 'gauge',
    labels: [],
    help: 'What does not fit into the API document that was made last',
  },
  gatehouse_overrides: {
    type: 'gauge',
    labels: ['kind'],
    help: 'What operators changed by hand beside the configuration, such as drained or added instances',
  },
  gatehouse_reflection_failures: {
    type: 'gauge',
    labels: ['service'],
    help: 'Questions of reflection to a gRPC service that failed in a row',
  },
  gatehouse_reflection_methods: {
    type: 'gauge',
    labels: ['service'],
    help: 'Methods that a gRPC service has said to offer over HTTP, by reflection',
  },
  gatehouse_registry_leases: {
    type: 'gauge',
    labels: ['service', 'state'],
    help: 'Registered instances; held ones came and went too often and get no traffic',
  },
  gatehouse_registry_leases_overdue: {
    type: 'gauge',
    labels: ['service'],
    help: 'Registered instances whose lease is over, kept until the store of the cluster says who renewed it',
  },
} as const satisfies Readonly<Record<string, MetricDefinition>>;
