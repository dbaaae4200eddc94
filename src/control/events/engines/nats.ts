/**
 * NATS JetStream (nats-server 2.9 or newer) by the official client. A stream of the configuration is a stream `GH_NAME`
 * on disk whose subjects begin with `gatehouse.NAME.`; positions are its sequence numbers, and a key is the
 * `Nats-Msg-Id`, by which the server knows a repetition for two minutes. Loaded only when it is configured.
 */
import type { JetStreamManager, StreamConfig } from '@nats-io/jetstream';
import type { Msg, NatsConnection } from '@nats-io/transport-node';
import { messageOf } from '../../../base/errors.ts';
import { natsOptions } from '../../../base/nats.ts';
import { pause } from '../../../base/system-timers.ts';
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
import { EngineFault } from './engine.ts';
import { foreignEvent, readFacts } from './foreign-event.ts';
import { NatsPages } from './nats-pages.ts';
import { NatsRequests } from './nats-requests.ts';
import { NatsTail } from './nats-tail.ts';

export interface NatsSettings {
  /** `nats://USER:PASSWORD@HOST:PORT`, or `tls://`; several of one cluster. */
  readonly urls: readonly string[];
  /** Servers that keep a copy of each event. */
  readonly replicas: number;
}

/** The field with what an event is beside its data. */
const FACTS = 'Gh-Event';
const KEYS_KNOWN_FOR_MS = 120_000;
const READ_TIMEOUT_MS = 5_000;
/** So few are asked for one by one, side by side. */
const FEW = 8;
const NS_PER_MS = 1_000_000;
const REMAKE_AFTER_MS = 500;
/** The status of NATS for a subject that nobody reads. */
const NO_RESPONDERS = 503;
/** Of the server's own limit, for fields. */
const FIELDS_BYTES = 16 * 1024;
/** https://github.com/nats-io/nats-server/blob/main/server/errors.json */
const FULL_CODES: ReadonlySet<number> = new Set([10_023, 10_047, 10_077, 10_110]);

type Client = typeof import('@nats-io/transport-node');
type JetStream = typeof import('@nats-io/jetstream');

export class NatsEngine implements EventEngine {
  readonly #settings: NatsSettings;
  readonly #streams = new Map<string, StreamSettings>();
  readonly #tails = new Set<NatsTail>();
  #client: Client | null = null;
  #jetstream: JetStream | null = null;
  #connection: NatsConnection | null = null;
  #requests: NatsRequests | null = null;
  #pages: NatsPages | null = null;
  #jsm: JetStreamManager | null = null;
  #connecting: Promise<void> | null = null;
  #remaking: Promise<void> | null = null;
  #isUp = false;
  #stopped = false;
  #problem: string | null = 'not connected yet';

  constructor(settings: NatsSettings) {
    this.#settings = settings;
  }

  get problem(): string | null {
    return this.#problem;
  }

  async start(streams: readonly StreamSettings[]): Promise<void> {
    this.#streams.clear();
    for (const stream of streams) this.#streams.set(stream.name, stream);
    if (this.#connecting === null) {
      [this.#client, this.#jetstream] = await Promise.all([
        import('@nats-io/transport-node'),
        import('@nats-io/jetstream'),
      ]);
      this.#connecting = this.#connect();
      // A server that is there is waited for, so that the first requests find it.
      await Promise.race([this.#connecting, new Promise((resolve) => setTimeout(resolve, 2_000).unref())]);
    } else if (this.#isUp) await this.#makeStreams();
  }

  async #connect(): Promise<void> {
    const { connect } = this.#client!;
    for (;;) {
      try {
        this.#connection = await connect(natsOptions(this.#settings.urls, 'gatehouse'));
        break;
      } catch (error) {
        if (this.#stopped) return;
        this.#problem = `NATS cannot be reached: ${messageOf(error)}`;
        await new Promise((resolve) => setTimeout(resolve, 500));
        if (this.#stopped) return;
      }
    }
    if (this.#stopped) {
      await this.#connection.close();
      return;
    }
    const { createInbox } = this.#client!;
    this.#requests = new NatsRequests(this.#connection, createInbox());
    this.#pages = new NatsPages(this.#connection, () => this.#jsm!, createInbox);
    void this.#watch(this.#connection);
    await this.#up();
  }

  async #watch(connection: NatsConnection): Promise<void> {
    for await (const { type } of connection.status()) {
      if (type === 'disconnect' || type === 'staleConnection') {
        this.#isUp = false;
        this.#problem = 'the connection to NATS is lost';
        this.#requests?.failAll(this.#problem);
        this.#wakeTails();
      } else if (type === 'reconnect') await this.#up();
    }
  }

  /** Until JetStream is ready, which it is not at once when a server starts. */
  async #up(): Promise<void> {
    while (!this.#stopped && this.#connection?.isClosed() === false) {
      try {
        this.#jsm = await this.#jetstream!.jetstreamManager(this.#connection, { timeout: READ_TIMEOUT_MS });
        await this.#makeStreams();
        this.#isUp = true;
        this.#wakeTails();
        return;
      } catch (error) {
        this.#problem = `JetStream cannot be used: ${messageOf(error)}`;
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
    }
  }

  async #makeStreams(): Promise<void> {
    const jsm = this.#jsm!;
    const { RetentionPolicy, StorageType, DiscardPolicy } = this.#jetstream!;
    for (const { name, maxAgeMs, maxBytes, maxEvents } of this.#streams.values()) {
      const limits: Partial<StreamConfig> = {
        subjects: [`gatehouse.${name}.>`],
        max_age: maxAgeMs * NS_PER_MS,
        max_bytes: maxBytes,
        max_msgs: maxEvents,
        num_replicas: this.#settings.replicas,
        duplicate_window: Math.min(KEYS_KNOWN_FOR_MS, maxAgeMs) * NS_PER_MS,
        discard: DiscardPolicy.Old,
        allow_direct: true,
      };
      try {
        await jsm.streams.update(streamName(name), limits);
      } catch (error) {
        if (!isMissing(error)) throw error;
        const kept = { retention: RetentionPolicy.Limits, storage: StorageType.File };
        await jsm.streams.add({ name: streamName(name), ...kept, ...limits });
      }
    }
    this.#problem = null;
  }

  /** A stream was removed while the gateway runs: it is made anew, however long that takes. */
  #remake(): void {
    this.#remaking ??= this.#remakeUntilThere().finally(() => {
      this.#remaking = null;
    });
  }

  async #remakeUntilThere(): Promise<void> {
    // Else the connection is lost, and what makes it anew makes the streams.
    while (this.#isUp && !this.#stopped) {
      try {
        await this.#makeStreams();
        this.#wakeTails();
        return;
      } catch (error) {
        this.#problem = `JetStream cannot be used: ${messageOf(error)}`;
        await pause(REMAKE_AFTER_MS);
      }
    }
  }

  async publish(stream: string, event: NewEvent, withinMs: number): Promise<Published> {
    const connection = this.#connection;
    const requests = this.#requests;
    if (!this.#isUp || connection === null || requests === null) {
      throw new EngineFault('unavailable', this.#problem ?? 'NATS is not connected');
    }
    const { id, subject, key, contentType, attributes, data, dedupeId } = event;
    const most = connection.info?.max_payload ?? 1024 ** 2;
    if (data.byteLength + FIELDS_BYTES > most) throw new EngineFault('too-large', `more than ${most} bytes`);
    const headers = this.#client!.headers();
    headers.set(FACTS, JSON.stringify({ id, key, contentType, attributes }));
    if (dedupeId !== null) headers.set('Nats-Msg-Id', dedupeId);
    const ack = await requests.ask(`gatehouse.${stream}.${subject}`, data, headers, withinMs);
    // Without a stream there is nobody to send one.
    if (ack.headers?.code === NO_RESPONDERS) {
      this.#remake();
      throw new EngineFault('unavailable', 'no stream of JetStream responds');
    }
    return published(ack);
  }

  async read(stream: string, after: string | null, limit: number): Promise<Page> {
    const { first_seq: first, last_seq: last, messages } = await this.#state(stream);
    const from = after === null ? 0 : Number(after);
    if (from > last) return { events: [], hasGap: true };
    const hasGap = after !== null && first > from + 1;
    if (messages === 0) return { events: [], hasGap };
    const start = Math.max(from + 1, first);
    const count = Math.min(last - start + 1, limit);
    return { events: await this.#events(stream, start, count), hasGap };
  }

  /** One that is not there was removed meanwhile. */
  async #events(stream: string, start: number, count: number): Promise<StoredEvent[]> {
    if (count > FEW) {
      const found = await this.#pages!.read(streamName(stream), start, count, READ_TIMEOUT_MS);
      return found.map(({ seq, message }) => eventOf(stream, String(seq), message.subject, message));
    }
    const found = await Promise.all(Array.from({ length: count }, (_, i) => this.#message(stream, start + i)));
    const events: StoredEvent[] = [];
    for (const message of found) {
      if (message === null) continue;
      const headers = message.headers!;
      events.push(eventOf(stream, headers.get('Nats-Sequence'), headers.get('Nats-Subject'), message));
    }
    return events;
  }

  /** By the server's direct access (ADR-31). */
  async #message(stream: string, seq: number): Promise<Msg | null> {
    const subject = `$JS.API.DIRECT.GET.${streamName(stream)}`;
    const message = await this.#requests!.ask(subject, `{"seq":${seq}}`, undefined, READ_TIMEOUT_MS);
    const code = message.headers?.code ?? 0;
    if (code === 404) return null;
    if (code !== 0) throw new EngineFault('unavailable', message.headers?.description ?? `status ${code}`);
    return message;
  }

  async #state(stream: string) {
    if (!this.#isUp || this.#jsm === null)
      throw new EngineFault('unavailable', this.#problem ?? 'NATS is not connected');
    try {
      return (await this.#jsm.streams.info(streamName(stream))).state;
    } catch (error) {
      if (isMissing(error)) this.#remake();
      throw new EngineFault('unavailable', messageOf(error));
    }
  }

  async latest(stream: string): Promise<string | null> {
    const { last_seq } = await this.#state(stream);
    return last_seq === 0 ? null : String(last_seq);
  }

  tail(stream: string, after: string | null, handler: TailHandler): Tail {
    const followed = {
      name: streamName(stream),
      read: (from: string | null, limit: number) => this.read(stream, from, limit),
      latest: () => this.latest(stream),
      line: () => this.#line(),
      eventOf: (position: string, message: Msg) => eventOf(stream, position, message.subject, message),
    };
    const tail = new NatsTail(followed, after, handler, () => this.#tails.delete(tail));
    this.#tails.add(tail);
    return tail;
  }

  #line() {
    if (!this.#isUp || this.#connection === null || this.#jsm === null) return null;
    return { connection: this.#connection, jsm: this.#jsm, inbox: this.#client!.createInbox() };
  }

  #wakeTails(): void {
    for (const tail of this.#tails) tail.wake();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const tail of [...this.#tails]) tail.stop();
    await this.#connection?.close();
  }
}

/** The stream is not there. */
function isMissing(error: unknown): boolean {
  const { status, code } = error as { status?: number; code?: number };
  return status === 404 || code === 10_059;
}

function streamName(name: string): string {
  return `GH_${name}`;
}

function eventOf(stream: string, position: string, subject: string, { headers, data }: Msg): StoredEvent {
  const dedupeId = headers?.get('Nats-Msg-Id') ?? '';
  const named = subject.slice(`gatehouse.${stream}.`.length);
  const facts = readFacts<Pick<NewEvent, 'id' | 'key' | 'contentType' | 'attributes'>>(headers?.get(FACTS));
  if (facts === null) return foreignEvent(stream, position, data, { subject: named });
  return {
    position,
    subject: named,
    ...facts,
    data,
    dedupeId: dedupeId === '' ? null : dedupeId,
  };
}

interface PubAck {
  readonly seq?: number;
  readonly duplicate?: boolean;
  readonly error?: { readonly err_code?: number; readonly description?: string };
}

/** The acknowledgement of a publication, or an `EngineFault`. */
function published(message: Msg): Published {
  const { seq, duplicate, error } = JSON.parse(message.string()) as PubAck;
  if (error !== undefined || seq === undefined) {
    const isFull = error?.err_code !== undefined && FULL_CODES.has(error.err_code);
    throw new EngineFault(isFull ? 'full' : 'unavailable', error?.description ?? 'JetStream did not say a position');
  }
  return { position: String(seq), duplicate: duplicate === true };
}
