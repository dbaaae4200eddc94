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
        message: `has ${value} dead ${value === 1 ? 'letter' : 'letters'}, to be sent again or dropped`,
      }),
    ),
    ...samples('gatehouse_events_consumer_gaps_total').map(
      ({ labels, value }): Trouble => ({
        severity: 'warning',
        subject: `consumer ${labels['consumer']}`,
        message: `missed events that were removed from the stream before it got them; times since the start: ${value}`,
      }),
    ),
    ...samples('gatehouse_events_outbox').map(
      ({ value }): Trouble => ({
        severity: 'warning',
        subject: 'outbox of events',
        message: `events that wait for their engine: ${value}`,
      }),
    ),
  ];
}
