/**
 * Alert rules for Prometheus, made of the catalogue of metrics: burn rates of objectives as in the Site Reliability
 * Workbook, chapter 5, and what should never be. Several gateways count together.
 */
import { ENDS_SOON_DAYS } from '../certificates/ends.ts';
import { ALERTS } from '../objectives/tracker.ts';
import { metric } from '../telemetry/catalogue.ts';

export interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { readonly severity: 'page' | 'ticket' };
  readonly annotations: { readonly summary: string; readonly description: string };
}

export interface RuleGroup {
  readonly name: string;
  readonly rules: readonly AlertRule[];
}

const rule = (
  alert: string,
  severity: 'page' | 'ticket',
  wait: string | null,
  expr: string,
  summary: string,
  description: string,
): AlertRule => ({
  alert: `Gatehouse${alert}`,
  expr,
  ...(wait === null ? {} : { for: wait }),
  labels: { severity },
  annotations: { summary, description },
});

const BY = 'by (objective, kind)';

function burnRule({ severity, factor, long, short }: (typeof ALERTS)[number]): AlertRule {
  const allowed = `${factor} * (1 - max ${BY} (${metric('gatehouse_objective_target_ratio')}))`;
  const share = (window: string): string =>
    `sum ${BY} (rate(${metric('gatehouse_objective_bad_total')}[${window}])) / sum ${BY} (rate(${metric('gatehouse_objective_requests_total')}[${window}]))`;
  const expr = [
    `(${share(long)} > ${allowed})`,
    `(${share(short)} > ${allowed})`,
    `(sum ${BY} (increase(${metric('gatehouse_objective_bad_total')}[${long}])) > 30)`,
  ].join('\nand\n');
  return rule(
    `BudgetBurns${long}`,
    severity,
    null,
    expr,
    `{{ $labels.objective }} ({{ $labels.kind }}) uses up its error budget ${factor} times too fast`,
    `Over ${long} and over ${short}. Which routes: ${metric('gatehouse_requests_total')}; why: ${metric('gatehouse_faults_total')}.`,
  );
}

export function alertGroups(): RuleGroup[] {
  return [
    { name: 'gatehouse-objectives', rules: ALERTS.map(burnRule) },
    {
      name: 'gatehouse',
      rules: [
        rule(
          'NotServing',
          'page',
          '1m',
          `${metric('gatehouse_workers_listening')} < 1`,
          'no worker of {{ $labels.instance }} accepts connections',
          'The process log says why workers end.',
        ),
        rule(
          'NoInstance',
          'page',
          '1m',
          `max by (service) (${metric('gatehouse_upstream_healthy')}) == 0`,
          'no instance of {{ $labels.service }} takes traffic',
          '`gatehouse status` says why of each.',
        ),
        rule(
          'BreakerOpen',
          'page',
          '2m',
          `max by (service) (${metric('gatehouse_breaker_open')}) == 1`,
          'the breaker of {{ $labels.service }} is open',
          'The service failed too often and is refused as a whole.',
        ),
        rule(
          'DependencyAway',
          'ticket',
          '2m',
          `min by (dependency) (${metric('gatehouse_dependency_available')}) == 0`,
          '{{ $labels.dependency }} cannot be used',
          'A store, Redis or the identity service; `/health/detailed` says more.',
        ),
        rule(
          'LimiterOverflows',
          'ticket',
          '5m',
          `sum(rate(${metric('gatehouse_limit_overflows_total')}[5m])) > 0`,
          'the table of limits has no room',
          'Raise `limits.memory`, or find who makes so many keys.',
        ),
        rule(
          'CertificateEnds',
          'ticket',
          '1h',
          `${metric('gatehouse_certificate_expiry_timestamp_seconds')} - time() < ${ENDS_SOON_DAYS} * 86400`,
          `the certificate of {{ $labels.name }} ({{ $labels.source }}) ends in less than ${ENDS_SOON_DAYS} days`,
          'Of source `acme`: the log says why it was not renewed. Of others: replace the file that the key names.',
        ),
        rule(
          'ClockWrong',
          'ticket',
          '5m',
          `abs(${metric('gatehouse_time_seconds')} - timestamp(${metric('gatehouse_time_seconds')})) > 5`,
          'the clock of {{ $labels.instance }} is wrong',
          'Tokens are refused or accepted at the wrong time. Scrapes that take seconds look the same.',
        ),
        rule(
          'WorkerReplaced',
          'ticket',
          null,
          `increase(${metric('gatehouse_worker_restarts_total')}[1h]) > 0`,
          'a worker of {{ $labels.instance }} ended and was replaced',
          'A defect: the process log has it.',
        ),
        rule(
          'PromiseRejected',
          'ticket',
          null,
          `increase(${metric('gatehouse_unhandled_rejections_total')}[1h]) > 0`,
          'nothing handled a rejected promise of {{ $labels.instance }}',
          'A defect, of the gateway or of code that was added to it: the process log has it.',
        ),
        rule(
          'DiscoveryStale',
          'ticket',
          '5m',
          `max by (service, source) (${metric('gatehouse_discovery_problem')}) == 1`,
          'instances of {{ $labels.service }} are as they were, not as they are',
          'The source {{ $labels.source }} fails.',
        ),
        rule(
          'ThreadLate',
          'ticket',
          '10m',
          `max by (instance, thread) (${metric('gatehouse_event_loop_delay_seconds')}{statistic="p99"}) > 0.25`,
          'thread {{ $labels.thread }} of {{ $labels.instance }} gets to its work too late',
          'Too little processor time, or code of a policy that does not return.',
        ),
        rule(
          'LogLost',
          'ticket',
          '5m',
          `rate(${metric('gatehouse_access_log_dropped_total')}[5m]) > 0`,
          'access records of {{ $labels.instance }} are lost',
          'The disk or pipe is too slow.',
        ),
        rule(
          'TracesLost',
          'ticket',
          '15m',
          `rate(${metric('gatehouse_trace_spans_dropped_total')}[5m]) + rate(${metric('gatehouse_trace_spans_failed_total')}[5m]) > 0`,
          'traces of {{ $labels.instance }} are lost',
          'The collector is away or too slow.',
        ),
        rule(
          'DeadLetters',
          'ticket',
          '1m',
          `max by (consumer) (${metric('gatehouse_events_dead_letters')}) > 0`,
          'events for {{ $labels.consumer }} could not be delivered',
          '`gatehouse events dead {{ $labels.consumer }}` says why; replay or drop them.',
        ),
        rule(
          'ConsumerBehind',
          'ticket',
          '15m',
          `max by (consumer) (${metric('gatehouse_events_consumer_lag')}) > 1000`,
          '{{ $labels.consumer }} is more than 1,000 events behind',
          'Its service is too slow, fails, or needs more `concurrency`: `gatehouse events`.',
        ),
        rule(
          'ConsumerGap',
          'ticket',
          null,
          `increase(${metric('gatehouse_events_consumer_gaps_total')}[1h]) > 0`,
          '{{ $labels.consumer }} has missed events',
          'They were removed from the stream first: raise its `maxAge`, `maxEvents` or `maxSize`.',
        ),
        rule(
          'OutboxGrows',
          'ticket',
          '5m',
          `max(${metric('gatehouse_events_outbox')}) > 0`,
          'published events wait in the outbox',
          'The engine of their stream is away: `gatehouse_events_engine_up`. They are durable and go when it is back.',
        ),
      ],
    },
  ];
}
