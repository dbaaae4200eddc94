/** Event streams, subscribers, consumers. */
import type { MetricDefinition } from './definition.ts';

export const EVENT_METRICS = {
  gatehouse_events_consumer_gaps_total: {
    type: 'counter',
    labels: ['consumer'],
    help: 'Times that events were removed from the stream before a consumer got them',
  },
  gatehouse_events_consumer_lag: {
    type: 'gauge',
    labels: ['consumer'],
    help: 'Positions of the stream that a consumer of this process is behind the newest event',
  },
  gatehouse_events_consumer_pending: {
    type: 'gauge',
    labels: ['consumer'],
    help: 'Events that a consumer of this process has taken and not delivered yet',
  },
  gatehouse_events_dead_letters: { type: 'gauge', labels: ['consumer'], help: 'Dead letters that are kept' },
  gatehouse_events_dead_total: { type: 'counter', labels: ['consumer'], help: 'Events that became dead letters' },
  gatehouse_events_deliveries_total: {
    type: 'counter',
    labels: ['consumer', 'outcome'],
    help: 'Attempts to deliver an event, by what became of them',
  },
  gatehouse_events_engine_up: {
    type: 'gauge',
    labels: ['engine'],
    help: 'Whether the engine of event streams can be used',
  },
  gatehouse_events_fan_out_seconds: {
    type: 'histogram',
    unit: 'seconds',
    labels: ['stream'],
    help: 'Time of handing events that came together to all readers of a stream',
  },
  gatehouse_events_gaps_total: {
    type: 'counter',
    labels: [],
    help: 'Notices to subscribers that events are missing',
  },
  gatehouse_events_notified: {
    type: 'gauge',
    labels: [],
    help: 'Whether PostgreSQL notifies of the events of other gateways; 0: they are looked for four times a second',
  },
  gatehouse_events_outbox: { type: 'gauge', labels: [], help: 'Events that wait in the outbox' },
  gatehouse_events_published_total: {
    type: 'counter',
    labels: ['stream', 'outcome'],
    help: 'Events to publish, by what became of them; a request that is refused counts once',
  },
  gatehouse_events_received_total: {
    type: 'counter',
    labels: ['stream'],
    help: 'Events that came from the engine for the readers of a stream',
  },
  gatehouse_events_redelivered_total: {
    type: 'counter',
    labels: ['consumer'],
    help: 'Attempts after the first one of an event',
  },
  gatehouse_events_sent_total: { type: 'counter', labels: [], help: 'Events that were sent to subscribers' },
  gatehouse_events_subscribers: {
    type: 'gauge',
    labels: ['stream'],
    help: 'Readers of a stream that are connected now',
  },
  gatehouse_events_subscriptions_opened_total: { type: 'counter', labels: [], help: 'Subscriptions that were opened' },
  gatehouse_hub_connections: { type: 'gauge', labels: [], help: 'Clients of the real-time hub that are connected now' },
  gatehouse_hub_connections_opened_total: { type: 'counter', labels: [], help: 'Clients that connected to the hub' },
  gatehouse_hub_gaps_total: {
    type: 'counter',
    labels: [],
    help: 'Notices to clients of the hub that messages are missing',
  },
  gatehouse_hub_published_total: { type: 'counter', labels: [], help: 'Messages that were published through the hub' },
  gatehouse_hub_refused_total: {
    type: 'counter',
    labels: [],
    help: 'Clients of the hub that did not say who they are, or could not',
  },
  gatehouse_hub_sent_total: { type: 'counter', labels: [], help: 'Messages that were sent to clients of the hub' },
  gatehouse_hub_subscriptions: {
    type: 'gauge',
    labels: [],
    help: 'Topics that clients of the hub are subscribed to, all together',
  },
} as const satisfies Readonly<Record<string, MetricDefinition>>;
