/** The process, and the names that dashboards of others ask for. */
import type { MetricDefinition } from './definition.ts';

export const PROCESS_METRICS = {
  api_gateway_active_connections: { type: 'gauge', labels: [], help: 'Downstream connections open now' },
  api_gateway_error_rate: { type: 'gauge', labels: [], help: 'Share of requests answered with a 5xx status' },
  api_gateway_errors_total: {
    type: 'counter',
    labels: [],
    help: 'Requests that failed: answered with a 5xx status, broken off, or a gRPC call that ended with a status of the server',
  },
  api_gateway_requests_total: { type: 'counter', labels: [], help: 'Requests processed' },
  api_gateway_response_time_ms: { type: 'gauge', labels: [], help: 'Average response time in milliseconds' },
  api_gateway_service_health: {
    type: 'gauge',
    labels: ['service', 'instance'],
    help: '1 when the instance takes traffic',
  },
  gatehouse_access_log_dropped_total: {
    type: 'counter',
    labels: [],
    help: 'Access log lines that are not in the log, because it could not be written fast enough or at all',
  },
  gatehouse_process_log_dropped_total: {
    type: 'counter',
    labels: [],
    help: 'Lines of the process log, and of what handlers print, that were not read in time',
  },
  gatehouse_configuration_version: { type: 'gauge', labels: [], help: 'Version of the live configuration' },
  gatehouse_dependency_available: {
    type: 'gauge',
    labels: ['dependency'],
    help: '1 while something that the gateway leans on (a store, Redis, identity) can be used',
  },
  gatehouse_time_seconds: {
    type: 'gauge',
    unit: 'seconds',
    labels: [],
    help: 'Time of day of the process, since 1970',
  },
  gatehouse_unhandled_rejections_total: {
    type: 'counter',
    labels: ['thread'],
    help: 'Promises that were rejected and that nothing handled, in the main thread or in a worker: a fault of the program, or of code that was added to it',
  },
  gatehouse_uptime_seconds: { type: 'gauge', unit: 'seconds', labels: [], help: 'Time since the process started' },
  gatehouse_worker_restarts_total: { type: 'counter', labels: [], help: 'Worker threads that ended and were replaced' },
  gatehouse_workers_listening: { type: 'gauge', labels: [], help: 'Worker threads that accept connections' },
  process_resident_memory_bytes: { type: 'gauge', unit: 'bytes', labels: [], help: 'Resident memory of the process' },
} as const satisfies Readonly<Record<string, MetricDefinition>>;
