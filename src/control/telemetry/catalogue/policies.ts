/** Idempotency keys, and users' policies. */
import type { MetricDefinition } from './definition.ts';

export const POLICY_METRICS = {
  gatehouse_idempotency_requests_total: {
    type: 'counter',
    labels: ['result'],
    help: 'Requests with an idempotency key, by what is known of their key',
  },
  gatehouse_idempotency_responses_total: {
    type: 'counter',
    labels: ['result'],
    help: 'Ends of requests that had taken their key, by what is kept of their response',
  },
  gatehouse_policy_failures_total: {
    type: 'counter',
    labels: ['policy'],
    help: 'Hooks of users’ policies that threw, rejected or returned nothing usable',
  },
  gatehouse_policy_kills_total: {
    type: 'counter',
    labels: ['policy'],
    help: 'Workers ended because a user’s policy did not return',
  },
  gatehouse_policy_late_results_total: {
    type: 'counter',
    labels: ['policy'],
    help: 'Results of users’ policies that came after their timeout and were ignored',
  },
  gatehouse_policy_modules: {
    type: 'gauge',
    labels: [],
    help: 'Versions of users’ policy files in memory, of the worker with the most',
  },
  gatehouse_policy_out_of_use: {
    type: 'gauge',
    labels: ['policy'],
    help: '1 when a user’s policy is out of use until its file changes',
  },
  gatehouse_policy_timeouts_total: {
    type: 'counter',
    labels: ['policy'],
    help: 'Hooks of users’ policies whose promise did not settle in time',
  },
} as const satisfies Readonly<Record<string, MetricDefinition>>;
