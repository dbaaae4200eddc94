/**
 * Apache Kafka (2.1 and newer, or what speaks its protocol) by @platformatic/kafka. A stream of the configuration is
 * the first partition of the topic `gatehouse.NAME`: one partition, because a stream has one order; positions are its
 * offsets. Durable is what all replicas in sync have acknowledged (`acks=all`): `min.insync.replicas` of the topic says
 * how many that are. Loaded only when it is configured.
 */
import type { Admin, BaseOptions, Consumer, Producer } from '@platformatic/kafka';
import { messageOf } from '../../../base/errors.ts';
import type {
  EventEngine,
  NewEvent,
  Page,
  Published,
  StoredEvent,
  StreamSettings,
  Tail,
  TailHandler,
} from './engine.ts';
import { EngineFault, within } from './engine.ts';
import { eventOfRecord, recordOf } from './kafka-records.ts';
import { beginAnewIfOther, catchUp, moveTo, type Place } from './paging-tail.ts';

type Library = typeof import('@platformatic/kafka');

const PARTITION = 0;
const TIMEOUT_MS = 5_000;
const WAIT_MS = 1_000;
const AGAIN_AFTER_MS = 500;
const FETCH_BYTES = 4 * 1024 ** 2;
/** Bits of a batch's attributes that mark it as no data (KIP-98). */
const IS_CONTROL = 0x20;
const OLDEST = -2n;
const NEWEST = -1n;
/** What the producer's failures mean: too large for the topic, or no room on the broker. */
const TOO_LARGE = /MESSAGE_TOO_LARGE|RECORD_LIST_TOO_LARGE/;
const FULL = /KAFKA_STORAGE_ERROR|POLICY_VIOLATION|THROTTLING_QUOTA_EXCEEDED/;

export interface KafkaSettings {
  /** `kafka://[USER:PASSWORD@]HOST:PORT`, or `kafka+tls://`; several of one cluster. */
  readonly urls: readonly string[];
  readonly replicas: number;
}

interface Clients {
  readonly producer: Producer;
  readonly consumer: Consumer;
  readonly admin: Admin;
  /** A broker answers the requests of a connection in their order, so what waits has its own. */
  waiting(): Consumer;
}

export class KafkaEngine implements EventEngine {
  readonly #settings: KafkaSettings;
  readonly #streams = new Map<string, StreamSettings>();
  readonly #ready = new Set<string>();
  readonly #tails = new Set<KafkaTail>();
  #clients: Clients | null = null;
  #problem: string | null = 'not connected yet';
  #making: Promise<void> | null = null;
  #stopped = false;

  constructor(settings: KafkaSettings) {
    this.#settings = settings;
  }

  get problem(): string | null {
    return this.#problem;
  }

  async start(streams: readonly StreamSettings[]): Promise<void> {
    this.#streams.clear();
    for (const stream of streams) this.#streams.set(stream.name, stream);
    this.#clients ??= clientsFor(await import('@platformatic/kafka'), this.#settings);
    const isMade = this.#makeTopics();
    await Promise.race([isMade, new Promise((resolve) => setTimeout(resolve, 2_000).unref())]);
  }

  /** Until each stream has its topic. Goes on behind when the broker is away. */
  #makeTopics(): Promise<void> {
    this.#making ??= this.#makeMissing().finally(() => {
      this.#making = null;
    });
    return this.#making;
  }

  async #makeMissing(): Promise<void> {
    while (!this.#stopped) {
      try {
        for (const stream of this.#streams.values()) await this.#make(stream);
        this.#problem = null;
        return;
      } catch (error) {
        this.#problem = `Kafka cannot be used: ${reasonOf(error)}`;
        await new Promise((resolve) => setTimeout(resolve, AGAIN_AFTER_MS).unref());
      }
    }
  }

  async #make({ name, maxAgeMs, maxBytes }: StreamSettings): Promise<void> {
    if (this.#ready.has(name)) return;
    const { admin, consumer } = this.#clients!;
    const topic = topicOf(name);
    const configs = [
      { name: 'retention.ms', value: String(maxAgeMs) },
      { name: 'retention.bytes', value: String(maxBytes) },
    ];
    try {
      await admin.createTopics({ topics: [topic], partitions: 1, replicas: this.#settings.replicas, configs });
    } catch (error) {
      // It is there already, with limits that are the broker's to change, or the broker makes topics by itself.
      if (!/TOPIC_ALREADY_EXISTS|already exists|Unsupported API|AUTHORIZATION/i.test(reasonOf(error))) throw error;
    }
    await consumer.metadata({ topics: [topic], autocreateTopics: true, forceUpdate: true });
    this.#ready.add(name);
  }

  async publish(stream: string, event: NewEvent, withinMs: number): Promise<Published> {
    const { producer } = this.#use(stream);
    const message = { topic: topicOf(stream), partition: PARTITION, ...recordOf(event) };
    const { offsets } = await this.#asked(producer.send({ messages: [message] }), withinMs);
    const offset = offsets?.[0]?.offset;
    return { position: offset === undefined ? null : String(offset), duplicate: false };
  }

  #use(stream: string): Clients {
    if (this.#clients === null || !this.#ready.has(stream)) {
      throw new EngineFault('unavailable', this.#problem ?? 'Kafka is not connected');
    }
    return this.#clients;
  }

  /** What it gives, or a fault: of the broker, or because the wait is over. */
  async #asked<Result>(asked: Promise<Result>, withinMs: number): Promise<Result> {
    try {
      const result = await within(asked, withinMs);
      this.#problem = null;
      return result;
    } catch (error) {
      if (error instanceof EngineFault) throw error;
      const reason = reasonOf(error);
      if (TOO_LARGE.test(reason)) throw new EngineFault('too-large', reason);
      this.#problem = `Kafka cannot be used: ${reason}`;
      throw new EngineFault(FULL.test(reason) ? 'full' : 'unavailable', reason);
    }
  }

  async read(stream: string, after: string | null, limit: number): Promise<Page> {
    const oldest = await this.oldest(stream);
    const newest = await this.#offset(stream, NEWEST);
    const wanted = after === null ? oldest : BigInt(after) + 1n;
    const hasGap = after !== null && (wanted < oldest || wanted > newest);
    const events: StoredEvent[] = [];
    let from = wanted < oldest ? oldest : wanted;
    while (from < newest && events.length < limit) {
      const page = await this.fetch(stream, from, 0, this.#use(stream).consumer);
      for (const event of page.events) if (events.length < limit) events.push(event);
      // Nothing but what is no event (compacted away, marks of transactions) up to there.
      if (page.next === from) break;
      from = page.next;
    }
    return { events, hasGap };
  }

  async latest(stream: string): Promise<string | null> {
    const newest = await this.#offset(stream, NEWEST);
    return newest === 0n ? null : String(newest - 1n);
  }

  oldest(stream: string): Promise<bigint> {
    return this.#offset(stream, OLDEST);
  }

  /** The offset of the oldest record kept, or the one that the next record will have. */
  async #offset(stream: string, timestamp: bigint): Promise<bigint> {
    const { consumer } = this.#use(stream);
    const topic = topicOf(stream);
    const asked = consumer.listOffsets({ topics: [topic], partitions: { [topic]: [PARTITION] }, timestamp });
    const found = await this.#asked(asked, TIMEOUT_MS);
    return found.get(topic)?.[PARTITION] ?? 0n;
  }

  /** Records from an offset on, as events, waiting for the first at most so long; `next` is where to go on. */
  async fetch(
    stream: string,
    from: bigint,
    waitMs: number,
    consumer: Consumer,
  ): Promise<{ events: StoredEvent[]; next: bigint }> {
    const topic = topicOf(stream);
    const partition = {
      partition: PARTITION,
      fetchOffset: from,
      currentLeaderEpoch: -1,
      lastFetchedEpoch: -1,
      partitionMaxBytes: FETCH_BYTES,
    };
    const ask = async () => {
      const metadata = await consumer.metadata({ topics: [topic], forceUpdate: this.#problem !== null });
      const known = metadata.topics.get(topic)!;
      return await consumer.fetch({
        node: known.partitions[PARTITION]!.leader,
        minBytes: 1,
        maxBytes: FETCH_BYTES,
        maxWaitTime: waitMs,
        topics: [{ topicId: known.id, partitions: [partition] }],
      });
    };
    const response = await this.#asked(ask(), TIMEOUT_MS + waitMs);
    const batches = response.responses[0]?.partitions[0]?.records ?? [];
    const events: StoredEvent[] = [];
    let next = from;
    for (const { firstOffset, lastOffsetDelta, attributes, records } of batches) {
      if ((attributes & IS_CONTROL) === 0) {
        for (const record of records) {
          const offset = firstOffset + BigInt(record.offsetDelta);
          // A batch is given whole, also what of it came before.
          if (offset >= from) events.push(eventOfRecord(record, topic, offset));
        }
      }
      const end = firstOffset + BigInt(lastOffsetDelta) + 1n;
      if (end > next) next = end;
    }
    return { events, next };
  }

  waitingConsumer(stream: string): Consumer {
    return this.#use(stream).waiting();
  }

  tail(stream: string, after: string | null, handler: TailHandler): Tail {
    const tail = new KafkaTail(this, stream, after, handler, () => this.#tails.delete(tail));
    this.#tails.add(tail);
    void tail.run();
    return tail;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const tail of [...this.#tails]) tail.stop();
    const clients = this.#clients;
    if (clients === null) return;
    await Promise.allSettled([clients.producer.close(true), clients.consumer.close(true), clients.admin.close()]);
  }
}

/** Asks for what comes after a position, again and again; the broker answers when there is something. */
class KafkaTail implements Tail {
  readonly #engine: KafkaEngine;
  readonly #stream: string;
  readonly #handler: TailHandler;
  readonly #gone: () => void;
  readonly #place: Place;
  #consumer: Consumer | null = null;
  #stopped = false;

  constructor(engine: KafkaEngine, stream: string, after: string | null, handler: TailHandler, gone: () => void) {
    this.#engine = engine;
    this.#stream = stream;
    this.#place = { after, print: null };
    this.#handler = handler;
    this.#gone = gone;
  }

  async run(): Promise<void> {
    let next: bigint | null = null;
    while (!this.#stopped) {
      try {
        next ??= await this.#begin();
        if (this.#stopped) return;
        this.#consumer ??= this.#engine.waitingConsumer(this.#stream);
        const page = await this.#engine.fetch(this.#stream, next, WAIT_MS, this.#consumer);
        if (this.#stopped) return;
        next = page.next;
        if (page.events.length > 0) this.#hand(page.events);
      } catch {
        // It is away, or what was asked for is gone: the place is looked for anew.
        next = null;
        await new Promise((resolve) => setTimeout(resolve, AGAIN_AFTER_MS).unref());
      }
    }
  }

  /** Where to go on, after the gap was stated. */
  async #begin(): Promise<bigint> {
    const engine = this.#engine;
    const paged = {
      read: (after: string | null, limit: number) => engine.read(this.#stream, after, limit),
      latest: () => engine.latest(this.#stream),
    };
    const isStopped = (): boolean => this.#stopped;
    await beginAnewIfOther(paged, this.#place, this.#handler, isStopped);
    if (!this.#stopped) await catchUp(paged, this.#place, this.#handler, isStopped);
    if (this.#stopped) return 0n;
    const { after } = this.#place;
    return after === null ? await engine.oldest(this.#stream) : BigInt(after) + 1n;
  }

  #hand(events: readonly StoredEvent[]): void {
    moveTo(this.#place, events.at(-1)!);
    this.#handler.onEvents(events);
  }

  stop(): void {
    this.#stopped = true;
    this.#consumer?.close(true).catch(() => {});
    this.#gone();
  }
}

function clientsFor({ Admin, Consumer, Producer }: Library, { urls }: KafkaSettings): Clients {
  const parsed = urls.map((url) => new URL(url));
  const [first] = parsed;
  const isTls = first!.protocol === 'kafka+tls:';
  const base: BaseOptions = {
    clientId: 'gatehouse',
    bootstrapBrokers: parsed.map(({ hostname, port }) => ({
      host: hostname.replace(/^\[|\]$/g, ''),
      port: Number(port || 9092),
    })),
    timeout: TIMEOUT_MS,
    connectTimeout: TIMEOUT_MS,
    retries: 1,
    retryDelay: 100,
    metadataMaxAge: 60_000,
    ...(isTls ? { tls: {} } : {}),
    ...(first!.username === '' ? {} : { sasl: saslOf(first!) }),
  };
  // The name of a group is asked for; no group is joined: each gateway reads for itself.
  const consumer = (): Consumer => new Consumer({ ...base, groupId: 'gatehouse' });
  return {
    // Never by itself again: a lost acknowledgement is the publisher's to judge.
    producer: new Producer({ ...base, acks: -1, retries: 0, autocreateTopics: true }),
    consumer: consumer(),
    waiting: consumer,
    admin: new Admin(base),
  };
}

/** `?mechanism=` of the URL: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 (default). */
function saslOf(url: URL): NonNullable<BaseOptions['sasl']> {
  const mechanism = (url.searchParams.get('mechanism') ?? 'SCRAM-SHA-512') as NonNullable<
    BaseOptions['sasl']
  >['mechanism'];
  return { mechanism, username: decodeURIComponent(url.username), password: decodeURIComponent(url.password) };
}

function topicOf(stream: string): string {
  return `gatehouse.${stream}`;
}

/** The client wraps what the broker said in what it was doing. */
function reasonOf(error: unknown): string {
  const inner = (error as { errors?: readonly unknown[] }).errors ?? [];
  const { apiId } = error as { apiId?: string };
  const own = `${messageOf(error)}${apiId === undefined ? '' : ` (${apiId})`}`;
  return inner.length === 0 ? own : `${own} ${inner.map(reasonOf).join(' ')}`;
}
