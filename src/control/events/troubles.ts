/** What is wrong with events now, from what the bridge measures: dead letters, lost events, an outbox that waits. */
import type { ExtraMetric } from '../../base/extra-metric.ts';
import type { Trouble } from '../feature-status.ts';

export function eventTroubles(metrics: readonly ExtraMetric[]): Trouble[] {
  const samples = (name: string): ExtraMetric['samples'] =>
    metrics.find((metric) => metric.name === name)?.samples.filter(({ value }) => value > 0) ?? [];
  return [
    ...samples('gatehouse_events_dead_letters').map(
      ({ labels, value }): Trouble => ({
        severity: 'warning',
        subject: `consumer ${labels['consumer']}`,
        message: `${value} dead letters wait to be sent again or dropped`,
      }),
    ),
    ...samples('gatehouse_events_consumer_gaps_total').map(
      ({ labels, value }): Trouble => ({
        severity: 'warning',
        subject: `consumer ${labels['consumer']}`,
        message: `events were removed from the stream before it got them, ${value} times since the start`,
      }),
    ),
    ...samples('gatehouse_events_outbox').map(
      ({ value }): Trouble => ({
        severity: 'warning',
        subject: 'outbox of events',
        message: `${value} events wait for their engine`,
      }),
    ),
  ];
}
