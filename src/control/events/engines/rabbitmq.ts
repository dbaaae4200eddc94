/**
 * RabbitMQ (3.9 or newer) by the client `rabbitmq-client`. A stream of the configuration is a durable stream queue
 * `gatehouse.NAME`, because classic and quorum queues cannot be read a second time; positions are its offsets. AMQP
 * says neither where an event went nor where a stream ends: a reader that must know the end publishes a mark and reads
 * up to it; marks are no events. The server knows no repeated keys. Loaded only when it is configured.
 */
import { randomUUID } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { AsyncMessage, Channel, Connection } from 'rabbitmq-client';
import { messageOf } from '../../../base/errors.ts';
import { pause } from '../../../base/system-timers.ts';
import { asBuffer } from './embedded.ts';
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
import { foreignEvent, readFacts } from './foreign-event.ts';
import { isOther, moveTo, type Place } from './paging-tail.ts';

const MARK = 'gatehouse.mark';
const PREFETCH = 200;
const READ_TIMEOUT_MS = 10_000;
/** Without a word from the server in this time there is nothing behind a position that is ahead of the stream. */
const AHEAD_AFTER_MS = 2_000;
const AGAIN_AFTER_MS = 250;
const SEGMENT_BYTES = 50_000_000;
/** The AMQP reply code of a declaration that differs from what is there. */
const PRECONDITION_FAILED = /PRECONDITION_FAILED|406/;
const TOO_LARGE = /message size \d+ is larger than configured max size (\d+)/;

type Offset = 'first' | 'last' | bigint;

/** There is no queue for a message. */
class Missing extends Error {}

export class RabbitEngine implements EventEngine {
  readonly #url: string;
  readonly #streams = new Map<string, StreamSettings>();
  readonly #tails = new Set<RabbitTail>();
  #connection: Connection | null = null;
  #publisher: Channel | null = null;
  #problem: string | null = 'not connected yet';
  /** Which attempt to make a channel to publish on is the latest. */
  #turn = 0;
  /** The most that the server takes, once it has said so: AMQP has no word to ask. */
  #mostBytes = Number.POSITIVE_INFINITY;
  #blocked: string | null = null;
  /** The server acknowledges also what it has no queue for: that it has sent back before. */
  readonly #returned = new Set<string>();
  #sent = 0;
  #remaking: Promise<void> | null = null;
  #stopped = false;

  constructor(url: string) {
    this.#url = url;
  }

  /** What counts is whether it can be published to: errors of other channels come as errors of the connection. */
  get problem(): string | null {
    if (this.#publisher?.active === true) return this.#blocked;
    return this.#problem ?? this.#blocked ?? 'RabbitMQ is not connected';
  }

  async start(streams: readonly StreamSettings[]): Promise<void> {
    this.#streams.clear();
    for (const stream of streams) this.#streams.set(stream.name, stream);
    if (this.#connection !== null) {
      if (this.#publisher?.active === true) await this.#declare(this.#connection);
      return;
    }
    const { Connection: Client } = await import('rabbitmq-client');
    const connection = new Client({
      url: this.#url,
      connectionName: 'gatehouse',
      connectionTimeout: 5_000,
      acquireTimeout: 5_000,
      heartbeat: 10,
      retryLow: 250,
      retryHigh: 2_000,
      noDelay: true,
    });
    this.#connection = connection;
    connection.on('error', (error: unknown) => {
      this.#problem = `RabbitMQ cannot be reached: ${messageOf(error)}`;
    });
    connection.on('connection.blocked', (reason: string) => {
      this.#blocked = `RabbitMQ takes nothing: ${reason}`;
    });
    connection.on('connection.unblocked', () => {
      this.#blocked = null;
    });
    const isUp = new Promise<void>((resolve) => {
      connection.on('connection', () => {
        this.#blocked = null;
        this.#mostBytes = Number.POSITIVE_INFINITY;
        void this.#up(connection).then(resolve);
      });
    });
    await Promise.race([isUp, new Promise((resolve) => setTimeout(resolve, 2_000).unref())]);
  }

  /** Makes the channel to publish on. One that began before does not go on: what it waits for may never come. */
  async #up(connection: Connection): Promise<void> {
    const turn = ++this.#turn;
    const isOver = (): boolean => this.#stopped || turn !== this.#turn;
    while (!isOver()) {
      try {
        await this.#declare(connection);
        const channel = await connection.acquire();
        await channel.confirmSelect();
        if (isOver()) return void channel.close().catch(() => {});
        channel.on('close', () => this.#closed(connection, channel));
        channel.on('basic.return', ({ messageId }) => void this.#returned.add(messageId!));
        this.#publisher = channel;
        // What was on its way on the former channel has failed.
        this.#returned.clear();
        this.#problem = null;
        return;
      } catch (error) {
        if (isOver()) return;
        this.#problem = `RabbitMQ cannot be used: ${messageOf(error)}`;
      }
      // Right after its start a server has not all of its queues.
      await pause(AGAIN_AFTER_MS);
      // When it comes back that begins anew.
      if (!connection.ready) return;
    }
  }

  /** With the connection, or alone: the server ends the channel for a message that is larger than it takes. */
  #closed(connection: Connection, channel: Channel): void {
    if (this.#publisher !== channel) return;
    this.#publisher = null;
    this.#problem ??= 'the connection to RabbitMQ is lost';
    const turn = this.#turn;
    setTimeout(() => {
      if (turn === this.#turn && connection.ready && !this.#stopped) void this.#up(connection);
    }, AGAIN_AFTER_MS).unref();
  }

  async #declare(connection: Connection): Promise<void> {
    for (const { name, maxAgeMs, maxBytes } of this.#streams.values()) {
      const queue = queueName(name);
      const limits = {
        'x-queue-type': 'stream' as const,
        'x-max-age': `${Math.ceil(maxAgeMs / 1_000)}s`,
        'x-max-length-bytes': maxBytes,
        'x-stream-max-segment-size-bytes': Math.min(SEGMENT_BYTES, Math.max(1_000_000, Math.floor(maxBytes / 4))),
      };
      try {
        await connection.queueDeclare({ queue, durable: true, arguments: limits });
      } catch (error) {
        // It is there with other limits, which are the server's to change (a policy).
        if (!PRECONDITION_FAILED.test(messageOf(error))) throw error;
        await connection.queueDeclare({ queue, passive: true });
      }
    }
  }

  async publish(stream: string, event: NewEvent, withinMs: number): Promise<Published> {
    if (this.#blocked !== null) throw new EngineFault('full', this.#blocked);
    const { id, subject, key, contentType, attributes, data, dedupeId } = event;
    const facts = JSON.stringify({ id, subject, key, contentType, attributes, dedupeId });
    await within(this.#send(stream, { facts }, asBuffer(data)), withinMs);
    return { position: null, duplicate: false };
  }

  async #send(stream: string, headers: Readonly<Record<string, string>>, body: Buffer): Promise<void> {
    const channel = this.#publisher;
    if (channel === null || !channel.active) {
      throw new EngineFault('unavailable', this.#problem ?? 'RabbitMQ is not connected');
    }
    this.#refuseTooLarge(body);
    try {
      // Another type would be read by the client.
      const messageId = String(++this.#sent);
      const envelope = { routingKey: queueName(stream), durable: true, contentType: 'application/octet-stream' };
      await channel.basicPublish({ ...envelope, headers, messageId, mandatory: true }, body);
      // The client tells of it a turn late.
      await nextTurn();
      if (this.#returned.delete(messageId)) throw new Missing();
    } catch (error) {
      if (error instanceof Missing) {
        this.#remake();
        throw new EngineFault('unavailable', 'the queue of the stream is not there');
      }
      // It ends the channel with all that is under way there, and the client says the reason to any of them.
      const most = TOO_LARGE.exec(messageOf(error))?.[1];
      if (most !== undefined) this.#mostBytes = Number(most);
      this.#refuseTooLarge(body);
      throw new EngineFault('unavailable', messageOf(error));
    }
  }

  /** A queue was removed while the gateway runs: it is made anew. */
  #remake(): void {
    const connection = this.#connection;
    if (connection === null) return;
    this.#remaking ??= this.#declare(connection)
      .catch(() => pause(AGAIN_AFTER_MS))
      .finally(() => {
        this.#remaking = null;
      });
  }

  #refuseTooLarge({ length }: Buffer): void {
    if (length > this.#mostBytes) throw new EngineFault('too-large', `more than ${this.#mostBytes} bytes`);
  }

  async read(stream: string, after: string | null, limit: number): Promise<Page> {
    const events: StoredEvent[] = [];
    let first: bigint | null = null;
    const from = after === null ? 'first' : BigInt(after) + 1n;
    const mark = await this.#mark(stream);
    const isWhole = await this.#scan(stream, from, (offset, message) => {
      first ??= offset;
      if (markOf(message) !== undefined) return markOf(message) === mark;
      events.push(eventOf(stream, message, offset));
      return events.length >= limit;
    });
    // Not even the mark is behind it: the position is ahead of the stream.
    if (!isWhole || first === null) return { events, hasGap: after !== null };
    return { events, hasGap: after !== null && first > BigInt(after) + 1n };
  }

  async latest(stream: string): Promise<string | null> {
    const mark = await this.#mark(stream);
    let end: bigint | null = null;
    let newest: bigint | null = null;
    await this.#scan(stream, 'last', (offset, message) => {
      const found = markOf(message);
      if (found === undefined) newest = offset;
      end = offset;
      return found === mark;
    });
    if (newest !== null || end === null) return newest === null ? null : String(newest);
    // Marks alone at the end: one is a position like any other, if there are events at all.
    let hasEvents = false;
    await this.#scan(stream, 'first', (_, message) => {
      hasEvents = markOf(message) === undefined;
      return hasEvents || markOf(message) === mark;
    });
    return hasEvents ? String(end) : null;
  }

  /** Offset of a mark that is written now: what is there lies before it. */
  async end(stream: string): Promise<bigint> {
    const mark = await this.#mark(stream);
    let end = -1n;
    await this.#scan(stream, 'last', (offset, message) => {
      end = offset;
      return markOf(message) === mark;
    });
    return end;
  }

  async #mark(stream: string): Promise<string> {
    const mark = randomUUID();
    await within(this.#send(stream, { [MARK]: mark }, Buffer.alloc(0)), READ_TIMEOUT_MS);
    return mark;
  }

  /** Until `take` says that it is enough: true. False when nothing more came. */
  async #scan(
    stream: string,
    from: Offset,
    take: (offset: bigint, message: AsyncMessage) => boolean,
  ): Promise<boolean> {
    const channel = await this.acquire();
    try {
      return await new Promise<boolean>((resolve, reject) => {
        const silence = setTimeout(() => resolve(false), AHEAD_AFTER_MS);
        const isLate = setTimeout(
          () => reject(new EngineFault('unavailable', 'RabbitMQ did not answer in time')),
          READ_TIMEOUT_MS,
        );
        const settle = (act: () => void): void => {
          clearTimeout(silence);
          clearTimeout(isLate);
          act();
        };
        let isOver = false;
        channel.on('close', () => settle(() => reject(new EngineFault('unavailable', 'the channel was closed'))));
        consume(channel, queueName(stream), from, (offset, message) => {
          if (isOver) return;
          silence.refresh();
          isOver = take(offset, message);
          if (isOver) settle(() => resolve(true));
        }).catch((error: unknown) => settle(() => reject(new EngineFault('unavailable', messageOf(error)))));
      });
    } finally {
      if (channel.active) await channel.close().catch(() => {});
    }
  }

  async acquire(): Promise<Channel> {
    const connection = this.#connection;
    if (connection === null || this.#publisher === null) {
      throw new EngineFault('unavailable', this.#problem ?? 'RabbitMQ is not connected');
    }
    try {
      return await connection.acquire();
    } catch (error) {
      throw new EngineFault('unavailable', messageOf(error));
    }
  }

  tail(stream: string, after: string | null, handler: TailHandler): Tail {
    const tail = new RabbitTail(this, stream, after, handler, () => this.#tails.delete(tail));
    this.#tails.add(tail);
    void tail.run();
    return tail;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const tail of [...this.#tails]) tail.stop();
    this.#connection?.unsafeDestroy();
  }
}

/** A consumer from a position on, anew after each loss. */
class RabbitTail implements Tail {
  readonly #engine: RabbitEngine;
  readonly #stream: string;
  readonly #handler: TailHandler;
  readonly #gone: () => void;
  #after: bigint | null;
  /** The newest event, which may lie before marks. */
  readonly #place: Place = { after: null, print: null };
  #channel: Channel | null = null;
  #stopped = false;

  constructor(engine: RabbitEngine, stream: string, after: string | null, handler: TailHandler, gone: () => void) {
    this.#engine = engine;
    this.#stream = stream;
    this.#after = after === null ? null : BigInt(after);
    this.#handler = handler;
    this.#gone = gone;
  }

  async run(): Promise<void> {
    for (let isFirst = true; !this.#stopped; isFirst = false) {
      try {
        if (!isFirst) await this.#lookForAnother();
        const channel = await this.#engine.acquire();
        this.#channel = channel;
        const isClosed = new Promise<void>((resolve) => channel.once('close', () => resolve()));
        // The queue was removed.
        channel.once('basic.cancel', () => void channel.close().catch(() => {}));
        const from = this.#after === null ? 'first' : this.#after + 1n;
        await consume(channel, queueName(this.#stream), from, (offset, message) => this.#take(offset, message));
        if (this.#stopped) await channel.close();
        await isClosed;
      } catch {
        // It is away: again in a moment.
      }
      if (!this.#stopped) await pause(AGAIN_AFTER_MS);
    }
  }

  /**
   * A queue that ends before what was read of it, or has another event there, was begun anew or restored from an older
   * copy, and everything in it is new.
   */
  async #lookForAnother(): Promise<void> {
    if (this.#after === null) return;
    const isShorter = (await this.#engine.end(this.#stream)) <= this.#after;
    const paged = {
      read: (after: string | null, limit: number) => this.#engine.read(this.#stream, after, limit),
    };
    if (!isShorter && !(await isOther(paged, this.#place))) return;
    if (this.#stopped) return;
    this.#after = null;
    this.#place.after = null;
    this.#place.print = null;
    this.#handler.onGap();
  }

  #take(offset: bigint, message: AsyncMessage): void {
    if (this.#stopped || (this.#after !== null && offset <= this.#after)) return;
    if (this.#after !== null && offset > this.#after + 1n) this.#handler.onGap();
    this.#after = offset;
    if (markOf(message) !== undefined) return;
    const event = eventOf(this.#stream, message, offset);
    moveTo(this.#place, event);
    this.#handler.onEvents([event]);
  }

  stop(): void {
    this.#stopped = true;
    this.#channel?.close().catch(() => {});
    this.#gone();
  }
}

async function consume(
  channel: Channel,
  queue: string,
  from: Offset,
  take: (offset: bigint, message: AsyncMessage) => void,
): Promise<void> {
  await channel.basicQos({ prefetchCount: PREFETCH });
  await channel.basicConsume({ queue, arguments: { 'x-stream-offset': from } }, (message) => {
    // Messages that were on their way when it was closed still come.
    if (!channel.active) return;
    channel.basicAck({ deliveryTag: message.deliveryTag });
    take(BigInt(message.headers?.['x-stream-offset'] as number), message);
  });
}

function queueName(stream: string): string {
  return `gatehouse.${stream}`;
}

/** The client reads bodies of some types: those are not of the gateway. */
function bytesOf(body: unknown): Buffer {
  if (Buffer.isBuffer(body)) return body;
  return Buffer.from(typeof body === 'string' ? body : (JSON.stringify(body) ?? ''));
}

function markOf(message: AsyncMessage): string | undefined {
  return message.headers?.[MARK] as string | undefined;
}

function eventOf(stream: string, message: AsyncMessage, offset: bigint): StoredEvent {
  const facts = readFacts<Omit<NewEvent, 'data'>>(message.headers?.['facts'] as string | undefined);
  const data = bytesOf(message.body);
  const position = String(offset);
  if (facts !== null) return { ...facts, position, data };
  const { contentType } = message;
  return foreignEvent(stream, position, data, contentType === undefined ? {} : { contentType });
}
