/** What the event bridge tells of itself: metrics, and how its engines are. Plain data, since it crosses threads. */
import type { ExtraMetric } from '../../base/extra-metric.ts';
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
}

export interface BridgeNumbers {
  readonly engines: readonly EngineReport[];
  readonly published: ReadonlyMap<string, ReadonlyMap<PublishOutcome, number>>;
  readonly outbox: number;
  readonly subscriptions: Subscriptions;
  readonly feeds: readonly Feed[];
}

const one = (value: number): ExtraMetric['samples'] => [{ labels: {}, value }];

export function bridgeMetrics(numbers: BridgeNumbers): ExtraMetric[] {
  const { engines, published, outbox, subscriptions, feeds } = numbers;
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
      help: 'Requests to publish an event, by what became of them',
      samples: [...published].flatMap(([stream, counts]) =>
        [...counts].map(([outcome, value]) => ({ labels: { stream, outcome }, value })),
      ),
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
      help: 'Times that a subscriber was told of missing events',
      samples: one(subscriptions.gaps),
    },
    {
      name: 'gatehouse_events_received_total',
      type: 'counter',
      help: 'Events that came from the engine for the readers of a stream',
      samples: byStream((feed) => feed.fannedOut),
    },
    {
      name: 'gatehouse_events_fan_out_seconds_max',
      type: 'gauge',
      help: 'Longest time that handing events to all readers took since the last scrape',
      samples: byStream((feed) => {
        const slowest = feed.slowestFanOutMs / 1_000;
        feed.slowestFanOutMs = 0;
        return slowest;
      }),
    },
  ];
}
