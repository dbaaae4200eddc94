/** Objectives, traces, threads, times of what is outside. */
import type { MetricDefinition } from './definition.ts';

export const SIGHT_METRICS = {
  gatehouse_aggregate_parts_failed_total: {
    type: 'counter',
    labels: ['route', 'part', 'reason'],
    help: 'Parts of composed responses that could not be had, by reason',
  },
  gatehouse_aggregate_parts_total: {
    type: 'counter',
    labels: ['route', 'part', 'service'],
    help: 'Requests to services for parts of composed responses',
  },
  gatehouse_handler_calls_total: {
    type: 'counter',
    labels: ['route', 'service', 'outcome'],
    help: 'Requests of handlers to services, by class of the status or reason of the failure',
  },
  gatehouse_event_loop_delay_seconds: {
    type: 'gauge',
    unit: 'seconds',
    labels: ['thread', 'statistic'],
    help: 'How late a thread got to its work in the last seconds',
  },
  gatehouse_objective_bad_total: {
    type: 'counter',
    labels: ['objective', 'kind'],
    help: 'Requests that missed an objective',
  },
  gatehouse_objective_budget_remaining_ratio: {
    type: 'gauge',
    unit: 'ratio',
    labels: ['objective', 'kind'],
    help: 'Share of the error budget of 30 days that is left; below 0 it is overspent',
  },
  gatehouse_objective_burn_rate: {
    type: 'gauge',
    labels: ['objective', 'kind', 'window'],
    help: 'How fast the error budget is used up; 1 uses it up in exactly its period',
  },
  gatehouse_objective_requests_total: {
    type: 'counter',
    labels: ['objective', 'kind'],
    help: 'Requests that an objective looks at',
  },
  gatehouse_objective_target_ratio: {
    type: 'gauge',
    unit: 'ratio',
    labels: ['objective', 'kind'],
    help: 'Share of requests that an objective wants to be good',
  },
  gatehouse_outside_duration_seconds: {
    type: 'histogram',
    unit: 'seconds',
    labels: ['host'],
    help: 'Time of calls to outside services of authentication: key sets, introspection, forward authentication',
  },
  gatehouse_redis_duration_seconds: {
    type: 'histogram',
    unit: 'seconds',
    labels: ['use'],
    help: 'Time of questions to Redis that were answered, by what they were for',
  },
  gatehouse_sql_duration_seconds: {
    type: 'histogram',
    unit: 'seconds',
    labels: ['dialect'],
    help: 'Time of queries to SQL stores',
  },
  gatehouse_thread_external_bytes: {
    type: 'gauge',
    unit: 'bytes',
    labels: ['thread'],
    help: 'Memory outside of the heap that a thread refers to, such as buffers',
  },
  gatehouse_thread_heap_bytes: {
    type: 'gauge',
    unit: 'bytes',
    labels: ['thread'],
    help: 'Memory of the JavaScript heap of a thread',
  },
  gatehouse_trace_export_duration_seconds: {
    type: 'histogram',
    unit: 'seconds',
    labels: ['protocol'],
    help: 'Time of exports to the trace collector',
  },
  gatehouse_trace_spans_dropped_total: {
    type: 'counter',
    labels: [],
    help: 'Spans or whole traces that there was no room for',
  },
  gatehouse_trace_spans_exported_total: { type: 'counter', labels: [], help: 'Spans that the collector took' },
  gatehouse_trace_spans_failed_total: { type: 'counter', labels: [], help: 'Spans that the collector did not take' },
  gatehouse_trace_spans_waiting: { type: 'gauge', labels: [], help: 'Spans that wait for the collector' },
} as const satisfies Readonly<Record<string, MetricDefinition>>;
