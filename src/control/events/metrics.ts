/** What the event bridge tells of itself: metrics, and how its engines are. Plain data, since it crosses threads. */
import type { ExtraMetric, HistogramMetric } from '../../base/extra-metric.ts';
import type { Consumer } from './deliver/consumer.ts';
import type { Consumers } from './deliver/consumers.ts';
import type { Hub } from './hub/hub.ts';
import type { PublishOutcome } from './publish/publish.ts';
import type { Feed } from './subscribe/feed.ts';
import type { Subscriptions } from './subscribe/subscriptions.ts';

export interface EngineReport {
  readonly name: string;
  /** Null while it can be used. */
  readonly problem: string | null;
}

export interface BridgeReport {
  readonly engines: readonly EngineReport[];
  readonly metrics: readonly ExtraMetric[];
  readonly timings: readonly HistogramMetric[];
}

export interface BridgeNumbers {
  readonly engines: readonly EngineReport[];
  readonly published: ReadonlyMap<string, ReadonlyMap<PublishOutcome, number>>;
  /** Whether other gateways' events are notified; null where they never are. */
  readonly isNotified: boolean | null;
  readonly outbox: number;
  readonly subscriptions: Subscriptions;
  readonly feeds: readonly Feed[];
  readonly consumers: Consumers;
  readonly hub: Hub | null;
}

const one = (value: number): ExtraMetric['samples'] => [{ labels: {}, value }];

export function bridgeMetrics(numbers: BridgeNumbers): ExtraMetric[] {
  const { engines, published, isNotified, outbox, subscriptions, feeds, consumers, hub } = numbers;
  const byStream = (read: (feed: Feed) => number): ExtraMetric['samples'] =>
    feeds.map((feed) => ({ labels: { stream: feed.stream }, value: read(feed) }));
  return [
    {
      name: 'gatehouse_events_engine_up',
      type: 'gauge',
      help: 'Whether the engine of event streams can be used',
      samples: engines.map(({ name, problem }) => ({ labels: { engine: name }, value: problem === null ? 1 : 0 })),
    },
    {
      name: 'gatehouse_events_published_total',
      type: 'counter',
      help: 'Events to publish, by what became of them; a request that is refused counts once',
      samples: [...published].flatMap(([stream, counts]) =>
        [...counts].map(([outcome, value]) => ({ labels: { stream, outcome }, value })),
      ),
    },
    {
      name: 'gatehouse_events_notified',
      type: 'gauge',
      help: 'Whether PostgreSQL notifies of the events of other gateways; 0: they are looked for four times a second',
      samples: isNotified === null ? [] : one(isNotified ? 1 : 0),
    },
    { name: 'gatehouse_events_outbox', type: 'gauge', help: 'Events that wait in the outbox', samples: one(outbox) },
    {
      name: 'gatehouse_events_subscribers',
      type: 'gauge',
      help: 'Readers of a stream that are connected now',
      samples: byStream((feed) => feed.readers),
    },
    {
      name: 'gatehouse_events_subscriptions_opened_total',
      type: 'counter',
      help: 'Subscriptions that were opened',
      samples: one(subscriptions.opened),
    },
    {
      name: 'gatehouse_events_sent_total',
      type: 'counter',
      help: 'Events that were sent to subscribers',
      samples: one(subscriptions.sent),
    },
    {
      name: 'gatehouse_events_gaps_total',
      type: 'counter',
      help: 'Notices to subscribers that events are missing',
      samples: one(subscriptions.gaps),
    },
    {
      name: 'gatehouse_events_received_total',
      type: 'counter',
      help: 'Events that came from the engine for the readers of a stream',
      samples: byStream((feed) => feed.fannedOut),
    },
    ...(consumers.all.length === 0 ? [] : consumerMetrics(consumers)),
    ...(hub === null ? [] : hubMetrics(hub)),
  ];
}

function consumerMetrics(consumers: Consumers): ExtraMetric[] {
  const by = (read: (consumer: Consumer) => number | null): ExtraMetric['samples'] =>
    consumers.all.flatMap((consumer) => {
      const value = read(consumer);
      return value === null ? [] : [{ labels: { consumer: consumer.settings.name }, value }];
    });
  return [
    {
      name: 'gatehouse_events_deliveries_total',
      type: 'counter',
      help: 'Attempts to deliver an event, by what became of them',
      samples: consumers.all.flatMap(({ settings, counts }) => [
        { labels: { consumer: settings.name, outcome: 'delivered' }, value: counts.delivered },
        { labels: { consumer: settings.name, outcome: 'failed' }, value: counts.failed },
      ]),
    },
    {
      name: 'gatehouse_events_redelivered_total',
      type: 'counter',
      help: 'Attempts after the first one of an event',
      samples: by(({ counts }) => counts.redelivered),
    },
    {
      name: 'gatehouse_events_dead_total',
      type: 'counter',
      help: 'Events that became dead letters',
      samples: by(({ counts }) => counts.dead),
    },
    {
      name: 'gatehouse_events_dead_letters',
      type: 'gauge',
      help: 'Dead letters that are kept',
      samples: by(({ settings }) => consumers.deadOf(settings.name)),
    },
    {
      name: 'gatehouse_events_consumer_pending',
      type: 'gauge',
      help: 'Events that a consumer of this process has taken and not delivered yet',
      samples: by((consumer) => (consumer.isHere ? consumer.pending : null)),
    },
    {
      name: 'gatehouse_events_consumer_lag',
      type: 'gauge',
      help: 'Positions of the stream that a consumer of this process is behind the newest event',
      samples: by((consumer) => consumer.lag),
    },
    {
      name: 'gatehouse_events_consumer_gaps_total',
      type: 'counter',
      help: 'Times that events were removed from the stream before a consumer got them',
      samples: by(({ counts }) => counts.gaps),
    },
  ];
}

function hubMetrics(hub: Hub): ExtraMetric[] {
  const { counts } = hub;
  const counter = (name: string, help: string, value: number): ExtraMetric => ({
    name: `gatehouse_hub_${name}_total`,
    type: 'counter',
    help,
    samples: one(value),
  });
  return [
    {
      name: 'gatehouse_hub_connections',
      type: 'gauge',
      help: 'Clients of the real-time hub that are connected now',
      samples: one(hub.connections),
    },
    {
      name: 'gatehouse_hub_subscriptions',
      type: 'gauge',
      help: 'Topics that clients of the hub are subscribed to, all together',
      samples: one(hub.subscriptions),
    },
    counter('connections_opened', 'Clients that connected to the hub', counts.opened),
    counter('refused', 'Clients of the hub that did not say who they are, or could not', counts.refused),
    counter('published', 'Messages that were published through the hub', counts.published),
    counter('sent', 'Messages that were sent to clients of the hub', counts.sent),
    counter('gaps', 'Notices to clients of the hub that messages are missing', counts.gaps),
  ];
}
