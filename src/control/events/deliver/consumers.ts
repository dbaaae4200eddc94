/** All consumers of the process: starts, changes and stops them with the configuration, and is what operators ask. */
import type { Logger } from '../../../base/log.ts';
import type { Store } from '../../store/store.ts';
import { streamTag } from '../subscribe/cursor.ts';
import type { Feed } from '../subscribe/feed.ts';
import type { EventTables } from '../tables.ts';
import { Consumer } from './consumer.ts';
import type { DeliveryCounts } from './delivery-run.ts';
import { DeliveryStore } from './delivery-store.ts';
import type { ConsumerSettings } from './options.ts';
import { ServiceCallers } from './service-callers.ts';

/** How long calls under way may take when a consumer changes or the process ends. */
const STOP_WITHIN_MS = 3_000;

export interface ConsumedStream {
  readonly engine: string;
  readonly feed: Feed;
}

interface Running {
  readonly consumer: Consumer;
  readonly written: string;
}

export class Consumers {
  readonly callers = new ServiceCallers();
  readonly deliveries: DeliveryStore;
  readonly #store: Store<EventTables>;
  readonly #log: Logger;
  readonly #running = new Map<string, Running>();
  /** Kept when a consumer changes. */
  readonly #counts = new Map<string, DeliveryCounts>();
  #dead: ReadonlyMap<string, { readonly retry: number; readonly dead: number }> = new Map();
  /** Of each consumer, dead letters that this process had made when rows were counted. */
  #madeWhenCounted: ReadonlyMap<string, number> = new Map();

  constructor(store: Store<EventTables>, log: Logger) {
    this.#store = store;
    this.#log = log;
    this.deliveries = new DeliveryStore(store);
  }

  get all(): readonly Consumer[] {
    return [...this.#running.values()].map(({ consumer }) => consumer);
  }

  /** Rows by consumer, as they were when they were last counted. */
  get rows(): ReadonlyMap<string, { readonly retry: number; readonly dead: number }> {
    return this.#dead;
  }

  /** Dead letters that are kept: those that were counted, and what this process has made since. */
  deadOf(name: string): number {
    const since = this.#countsOf(name).dead - (this.#madeWhenCounted.get(name) ?? 0);
    return (this.#dead.get(name)?.dead ?? 0) + since;
  }

  /** One that is as it was goes on. */
  async apply(
    settings: readonly ConsumerSettings[],
    streamOf: (name: string) => ConsumedStream | undefined,
  ): Promise<void> {
    const wanted = new Map(settings.map((each) => [each.name, each]));
    for (const [name, { consumer, written }] of this.#running) {
      const next = wanted.get(name);
      const stream = next === undefined ? undefined : streamOf(next.stream);
      if (next !== undefined && JSON.stringify(next) === written && stream?.feed === consumer.feed) continue;
      this.#running.delete(name);
      await consumer.stop(STOP_WITHIN_MS);
    }
    for (const each of settings) {
      const stream = streamOf(each.stream);
      if (stream === undefined || this.#running.has(each.name)) continue;
      const consumer = new Consumer({
        settings: each,
        streamTag: streamTag(stream.engine, each.stream),
        store: this.#store,
        deliveries: this.deliveries,
        callers: this.callers,
        feed: stream.feed,
        log: this.#log,
        counts: this.#countsOf(each.name),
      });
      this.#running.set(each.name, { consumer, written: JSON.stringify(each) });
      consumer.start();
    }
    if (settings.length > 0) await this.count();
  }

  #countsOf(name: string): DeliveryCounts {
    const found = this.#counts.get(name) ?? { delivered: 0, redelivered: 0, failed: 0, dead: 0, gaps: 0 };
    this.#counts.set(name, found);
    return found;
  }

  get(name: string): Consumer | undefined {
    return this.#running.get(name)?.consumer;
  }

  async count(): Promise<void> {
    // What dies meanwhile may be in both, or its row not be written yet: right again with the next count.
    const made = new Map([...this.#counts].map(([name, { dead }]) => [name, dead]));
    this.#dead = await this.deliveries.counts();
    this.#madeWhenCounted = made;
  }

  /** Removes dead letters that are too old. */
  async clean(): Promise<void> {
    for (const { consumer } of this.#running.values()) {
      await this.deliveries.dropOlder(consumer.settings.name, consumer.settings.keepDeadMs);
    }
    if (this.#running.size > 0) await this.count();
  }

  async stop(): Promise<void> {
    await Promise.all(this.all.map((consumer) => consumer.stop(STOP_WITHIN_MS)));
    this.#running.clear();
    this.callers.close();
  }
}
