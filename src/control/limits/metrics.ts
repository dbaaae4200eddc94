/**
 * What the limits of all workers and of control counted, as metrics. Labels are bounded: plans, rules, events,
 * results.
 */

import type { ExtraMetric, HistogramMetric } from '../../base/extra-metric.ts';
import { TIMING_BOUNDS } from '../../base/timings.ts';
import type { TableOccupancy } from '../../data/contract/limits.ts';

type Sample = ExtraMetric['samples'][number];

export interface ControlCounts {
  readonly bansActive: number;
  readonly bansMade: ReadonlyMap<string, number>;
  /** Null: no quotas. */
  readonly ledger: { readonly used: number; readonly failed: number } | null;
  /** Questions of workers by quota and plan, and how much of them was granted. */
  readonly utilisation: ReadonlyMap<string, Utilisation>;
  /** How much of what callers may use in the present period they have used, by quota and plan; 1 is all of it. */
  readonly ratios: readonly { readonly quota: string; readonly plan: string; readonly ratio: number }[];
}

export interface Utilisation {
  readonly quota: string;
  readonly plan: string;
  readonly granted: number;
  readonly refused: number;
}

/** Sums of the workers' reports, over all of them and since the start. */
export class WorkerCounts {
  readonly #sums = new Map<string, number>();
  occupancy: TableOccupancy = { live: 0, cells: 0 };

  add(changes: Readonly<Record<string, number>>): void {
    for (const [name, change] of Object.entries(changes)) this.#sums.set(name, (this.#sums.get(name) ?? 0) + change);
  }

  get(name: string): number {
    return this.#sums.get(name) ?? 0;
  }

  /** The sums whose names begin so, by the rest of their names. */
  under(prefix: string): [rest: string, sum: number][] {
    return [...this.#sums].flatMap(([name, sum]) =>
      name.startsWith(prefix) ? [[name.slice(prefix.length), sum]] : [],
    );
  }
}

export function limitMetrics(workers: WorkerCounts, control: ControlCounts): (ExtraMetric | HistogramMetric)[] {
  const counter = (name: string, help: string, samples: readonly Sample[]): ExtraMetric => ({
    name: `gatehouse_${name}`,
    type: 'counter',
    help,
    samples,
  });
  const gauge = (name: string, help: string, samples: readonly Sample[]): ExtraMetric => ({
    name: `gatehouse_${name}`,
    type: 'gauge',
    help,
    samples,
  });
  const plain = (value: number): Sample[] => [{ labels: {}, value }];
  const result = (allowed: string, refused: string): Sample[] => [
    { labels: { result: 'allowed' }, value: workers.get(allowed) },
    { labels: { result: 'refused' }, value: workers.get(refused) },
  ];
  const redis = workers.under('redis ');
  const metrics: (ExtraMetric | HistogramMetric)[] = [
    counter('limit_decisions_total', 'Decisions about rate limits', result('allowed', 'refused')),
    counter('limit_plan_decisions_total', 'Decisions about the limits of plans', planSamples(workers)),
    counter(
      'limit_newcomers_refused_total',
      'Keys of request fields that counted as their address does, since there were too many new ones',
      plain(workers.get('newcomers')),
    ),
    counter('limit_overflows_total', 'Decisions that found no room in the table', plain(workers.get('overflowed'))),
    counter(
      'limit_given_back_total',
      'Charges taken back because another worker was quicker',
      plain(workers.get('givenBack')),
    ),
    gauge('limit_table_cells', 'Cells of the table of limits', [
      { labels: { state: 'live' }, value: workers.occupancy.live },
      { labels: { state: 'all' }, value: workers.occupancy.cells },
    ]),
    counter('quota_decisions_total', 'Decisions about quotas', result('quota allowed', 'quota refused')),
    counter(
      'quota_grants_total',
      'Units granted to workers, by quota and plan',
      utilisationSamples(control, 'granted'),
    ),
    counter(
      'quota_refusals_total',
      'Questions that were refused, by quota and plan',
      utilisationSamples(control, 'refused'),
    ),
    gauge(
      'quota_utilisation_ratio',
      'Used and held of what the callers of a plan may use in the present period',
      control.ratios.map(({ quota, plan, ratio }) => ({ labels: { quota, plan }, value: ratio })),
    ),
    counter(
      'abuse_events_total',
      'Events that counted against callers',
      workers.under('event ').map(([event, value]) => ({ labels: { event }, value })),
    ),
    counter(
      'abuse_refusals_total',
      'Requests and connections refused because of a ban',
      plain(workers.get('abuse refused')),
    ),
    gauge('bans_active', 'Bans that hold', plain(control.bansActive)),
    counter(
      'bans_total',
      'Bans made, by rule',
      [...control.bansMade].map(([rule, value]) => ({ labels: { rule }, value })),
    ),
  ];
  if (control.ledger !== null) {
    metrics.push(
      counter('quota_used_total', 'Units that requests used up', plain(control.ledger.used)),
      counter(
        'quota_store_failures_total',
        'Questions and reports that the database did not take',
        plain(control.ledger.failed),
      ),
    );
  }
  if (redis.length > 0) metrics.push(...redisMetrics(workers, counter));
  return metrics.filter(({ samples }) => samples.length > 0);
}

function planSamples(workers: WorkerCounts): Sample[] {
  return workers.under('plan ').map(([rest, value]) => {
    const blank = rest.lastIndexOf(' ');
    return { labels: { plan: rest.slice(0, blank), result: rest.slice(blank + 1) }, value };
  });
}

function utilisationSamples({ utilisation }: ControlCounts, what: 'granted' | 'refused'): Sample[] {
  return [...utilisation.values()].map(({ quota, plan, [what]: value }) => ({ labels: { quota, plan }, value }));
}

function redisMetrics(
  workers: WorkerCounts,
  counter: (name: string, help: string, samples: readonly Sample[]) => ExtraMetric,
): (ExtraMetric | HistogramMetric)[] {
  const value = (name: string): number => workers.get(`redis ${name}`);
  return [
    {
      name: 'gatehouse_limit_redis_duration_seconds',
      type: 'histogram',
      help: 'Time that answered questions to Redis took',
      samples: [
        {
          labels: {},
          bounds: TIMING_BOUNDS,
          counts: Array.from({ length: TIMING_BOUNDS.length + 1 }, (_, bucket) => value(`bucket ${bucket}`)),
          sum: value('latencyMs') / 1_000,
        },
      ],
    },
    counter('limit_redis_questions_total', 'Questions to Redis, by how they ended', [
      { labels: { result: 'answered' }, value: value('answered') },
      { labels: { result: 'late' }, value: value('late') },
      { labels: { result: 'failed' }, value: value('failed') },
    ]),
    counter('limit_redis_seconds_total', 'Time that answered questions to Redis took', [
      { labels: {}, value: value('latencyMs') / 1_000 },
    ]),
    counter('limit_redis_fallbacks_total', 'Decisions made without Redis', [{ labels: {}, value: value('fallbacks') }]),
    counter('limit_redis_leased_total', 'Decisions from batches taken ahead', [{ labels: {}, value: value('leased') }]),
  ];
}
