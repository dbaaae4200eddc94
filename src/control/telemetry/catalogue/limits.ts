/** Limits, quotas, bans. */
import type { MetricDefinition } from './definition.ts';

export const LIMIT_METRICS = {
  gatehouse_abuse_events_total: { type: 'counter', labels: ['event'], help: 'Events that counted against callers' },
  gatehouse_abuse_refusals_total: {
    type: 'counter',
    labels: [],
    help: 'Requests and connections refused because of a ban',
  },
  gatehouse_bans_active: { type: 'gauge', labels: [], help: 'Bans that hold' },
  gatehouse_bans_total: { type: 'counter', labels: ['rule'], help: 'Bans made, by rule' },
  gatehouse_limit_decisions_total: { type: 'counter', labels: ['result'], help: 'Decisions about rate limits' },
  gatehouse_limit_given_back_total: {
    type: 'counter',
    labels: [],
    help: 'Charges taken back because another worker was quicker',
  },
  gatehouse_limit_newcomers_refused_total: {
    type: 'counter',
    labels: [],
    help: 'Keys of request fields that counted as their address does, since there were too many new ones',
  },
  gatehouse_limit_overflows_total: { type: 'counter', labels: [], help: 'Decisions that found no room in the table' },
  gatehouse_limit_plan_decisions_total: {
    type: 'counter',
    labels: ['plan', 'result'],
    help: 'Decisions about the limits of plans',
  },
  gatehouse_limit_redis_duration_seconds: {
    type: 'histogram',
    unit: 'seconds',
    labels: [],
    help: 'Time that answered questions to Redis took',
  },
  gatehouse_limit_redis_fallbacks_total: { type: 'counter', labels: [], help: 'Decisions made without Redis' },
  gatehouse_limit_redis_leased_total: { type: 'counter', labels: [], help: 'Decisions from batches taken ahead' },
  gatehouse_limit_redis_questions_total: {
    type: 'counter',
    labels: ['result'],
    help: 'Questions to Redis, by how they ended',
  },
  gatehouse_limit_redis_seconds_total: {
    type: 'counter',
    unit: 'seconds',
    labels: [],
    help: 'Time that answered questions to Redis took',
  },
  gatehouse_limit_table_cells: { type: 'gauge', labels: ['state'], help: 'Cells of the table of limits' },
  gatehouse_quota_decisions_total: { type: 'counter', labels: ['result'], help: 'Decisions about quotas' },
  gatehouse_quota_grants_total: {
    type: 'counter',
    labels: ['quota', 'plan'],
    help: 'Units granted to workers, by quota and plan',
  },
  gatehouse_quota_refusals_total: {
    type: 'counter',
    labels: ['quota', 'plan'],
    help: 'Questions that were refused, by quota and plan',
  },
  gatehouse_quota_store_failures_total: {
    type: 'counter',
    labels: [],
    help: 'Questions and reports that the database did not take',
  },
  gatehouse_quota_used_total: { type: 'counter', labels: [], help: 'Units that requests used up' },
  gatehouse_quota_utilisation_ratio: {
    type: 'gauge',
    unit: 'ratio',
    labels: ['quota', 'plan'],
    help: 'Used and held of what the callers of a plan may use in the present period',
  },
} as const satisfies Readonly<Record<string, MetricDefinition>>;
