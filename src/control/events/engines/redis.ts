/**
 * Redis Streams (Redis 7 or newer, one server, Sentinel or Cluster) by ioredis. A stream of the configuration is the
 * key `gatehouse:{events-NAME}:log`; positions are its entry ids. Durable is what the server makes durable: see the
 * guide for `appendonly`. Loaded only when it is configured.
 */
import { messageOf } from '../../../base/errors.ts';
import { connectRedis, parseRedisUrl, type RedisConnection } from '../../../base/redis.ts';
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
import { comparePositions, EngineFault, within } from './engine.ts';
import { foreignEvent, readFacts } from './foreign-event.ts';
import { defineAppend, RedisAppend } from './redis-append.ts';

const BLOCK_MS = 2_000;
const PAGE = 500;
const AGAIN_AFTER_MS = 250;
const READ_TIMEOUT_MS = 5_000;

/** Removes at most 1,000 entries that are older than an id. KEYS: events, facts. ARGV: the id. */
const TRIM = `
local old = redis.call('XRANGE', KEYS[1], '-', '(' .. ARGV[1], 'COUNT', 1000)
for _, entry in ipairs(old) do
  redis.call('XDEL', KEYS[1], entry[1])
  redis.call('HSET', KEYS[2], 'removed', entry[1])
  if entry[2][1] == 'bytes' then redis.call('HINCRBY', KEYS[2], 'bytes', -(tonumber(entry[2][2]) or 0)) end
end
return #old`;

export class RedisEngine implements EventEngine {
  readonly #url: string;
  readonly #wallMs: () => number;
  readonly #streams = new Map<string, StreamSettings>();
  readonly #appends = new Map<string, RedisAppend>();
  readonly #tails = new Set<RedisTail>();
  #redis: RedisConnection | null = null;
  #problem: string | null = 'not connected yet';
  #stopped = false;

  constructor(url: string, wallMs: () => number = Date.now) {
    this.#url = url;
    this.#wallMs = wallMs;
  }

  get problem(): string | null {
    return this.#problem;
  }

  async start(streams: readonly StreamSettings[]): Promise<void> {
    this.#streams.clear();
    for (const stream of streams) this.#streams.set(stream.name, stream);
    if (this.#redis !== null) return;
    const redis = await this.connect();
    defineAppend(redis);
    this.#redis = redis;
    redis.on('ready', () => {
      this.#problem = null;
    });
    redis.on('close', () => {
      this.#problem = 'the connection to Redis is lost';
    });
    redis.on('error', (error: Error) => {
      this.#problem = `Redis cannot be reached: ${messageOf(error)}`;
    });
    if (redis.status === 'ready') this.#problem = null;
    else {
      const isUp = new Promise<void>((resolve) => redis.once('ready', () => resolve()));
      await Promise.race([isUp, new Promise((resolve) => setTimeout(resolve, 2_000).unref())]);
    }
  }

  connect(): Promise<RedisConnection> {
    return connectRedis(parseRedisUrl(this.#url), 'gatehouse-events', false);
  }

  async publish(stream: string, event: NewEvent, withinMs: number): Promise<Published> {
    return await this.#ask(null, (redis) => this.#appendTo(stream, redis).add(event, withinMs));
  }

  #appendTo(stream: string, redis: RedisConnection): RedisAppend {
    const settings = this.#streams.get(stream)!;
    let append = this.#appends.get(stream);
    if (append === undefined) {
      append = new RedisAppend(redis, prefixOf(stream), settings);
      this.#appends.set(stream, append);
    } else append.settings = settings;
    return append;
  }

  /** `withinMs` null: whoever is asked sees to the time. */
  async #ask<Result>(withinMs: number | null, ask: (redis: RedisConnection) => Promise<Result>): Promise<Result> {
    const redis = this.#redis;
    if (redis === null || redis.status !== 'ready') {
      throw new EngineFault('unavailable', this.#problem ?? 'Redis is not connected');
    }
    try {
      return await (withinMs === null ? ask(redis) : within(ask(redis), withinMs));
    } catch (error) {
      if (error instanceof EngineFault) throw error;
      const message = messageOf(error);
      throw new EngineFault(/\bOOM\b|MISCONF/.test(message) ? 'full' : 'unavailable', message);
    }
  }

  async read(stream: string, after: string | null, limit: number): Promise<Page> {
    if (after === null) return { events: await this.#range(stream, '-', '+', limit), hasGap: false };
    const found = await this.#range(stream, after, '+', limit + 1);
    const isThere = found[0]?.position === after;
    const events = isThere ? found.slice(1) : found.slice(0, limit);
    return { events, hasGap: await this.#isGap(stream, after, isThere) };
  }

  async #range(stream: string, from: string, to: string, limit: number): Promise<StoredEvent[]> {
    const entries = await this.#ask(READ_TIMEOUT_MS, (redis) =>
      redis.callBuffer('XRANGE', eventsKey(stream), from, to, 'COUNT', limit),
    );
    return (entries as Entry[]).map((entry) => eventOf(stream, entry));
  }

  /** Was something behind a position removed, or is it none of the stream? */
  async hasGapAfter(stream: string, after: string): Promise<boolean> {
    const there = await this.#range(stream, after, after, 1);
    return await this.#isGap(stream, after, there.length > 0);
  }

  /**
   * What the gateway removes it removes from the oldest on, and writes down. An entry that is gone otherwise went with
   * all of the stream, or is none of the copy that it was restored from: what lay behind it is gone as well.
   */
  async #isGap(stream: string, after: string, isThere: boolean): Promise<boolean> {
    const removed = await this.#ask(READ_TIMEOUT_MS, (redis) => redis.hget(factsKey(stream), 'removed'));
    const difference = removed === null ? 1 : comparePositions(after, removed);
    return difference < 0 || (difference > 0 && !isThere);
  }

  async latest(stream: string): Promise<string | null> {
    const found = await this.#ask(READ_TIMEOUT_MS, (redis) =>
      redis.call('XREVRANGE', eventsKey(stream), '+', '-', 'COUNT', 1),
    );
    const [last] = found as [id: string][];
    if (last !== undefined) return String(last[0]);
    // All of it was removed.
    return await this.#ask(READ_TIMEOUT_MS, (redis) => redis.hget(factsKey(stream), 'removed'));
  }

  tail(stream: string, after: string | null, handler: TailHandler): Tail {
    const tail = new RedisTail(this, eventsKey(stream), stream, after, handler, () => this.#tails.delete(tail));
    this.#tails.add(tail);
    void tail.run();
    return tail;
  }

  async clean(): Promise<void> {
    for (const { name, maxAgeMs } of this.#streams.values()) {
      const before = `${this.#wallMs() - maxAgeMs}-0`;
      for (;;) {
        const count = await this.#ask(READ_TIMEOUT_MS, (redis) =>
          redis.eval(TRIM, 2, eventsKey(name), factsKey(name), before),
        );
        if (Number(count) < 1_000 || this.#stopped) break;
      }
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const tail of [...this.#tails]) tail.stop();
    this.#redis?.disconnect();
  }
}

/** Waits on a connection of its own for what comes. */
class RedisTail implements Tail {
  readonly #engine: RedisEngine;
  readonly #key: string;
  readonly #stream: string;
  readonly #handler: TailHandler;
  readonly #gone: () => void;
  #after: string | null;
  #redis: RedisConnection | null = null;
  #stopped = false;

  constructor(
    engine: RedisEngine,
    key: string,
    stream: string,
    after: string | null,
    handler: TailHandler,
    gone: () => void,
  ) {
    this.#engine = engine;
    this.#key = key;
    this.#stream = stream;
    this.#after = after;
    this.#handler = handler;
    this.#gone = gone;
  }

  async run(): Promise<void> {
    const redis = await this.#engine.connect();
    this.#redis = redis;
    redis.on('error', () => {});
    if (this.#stopped) redis.disconnect();
    let mayHaveMissed = true;
    while (!this.#stopped) {
      try {
        if (redis.status !== 'ready') {
          await new Promise((resolve) => setTimeout(resolve, AGAIN_AFTER_MS));
          mayHaveMissed = true;
          continue;
        }
        if (mayHaveMissed && this.#after !== null && (await this.#engine.hasGapAfter(this.#stream, this.#after))) {
          this.#handler.onGap();
          const { events } = await this.#engine.read(this.#stream, null, 1);
          const [oldest] = events;
          // Of a stream that was lost and begun anew, everything is new.
          if (oldest === undefined || comparePositions(this.#after, oldest.position) > 0) this.#after = null;
        }
        mayHaveMissed = false;
        await this.#wait(redis);
      } catch {
        mayHaveMissed = true;
        await new Promise((resolve) => setTimeout(resolve, AGAIN_AFTER_MS));
      }
    }
  }

  async #wait(redis: RedisConnection): Promise<void> {
    const from = this.#after ?? '0-0';
    const reply = await redis.callBuffer('XREAD', 'COUNT', PAGE, 'BLOCK', BLOCK_MS, 'STREAMS', this.#key, from);
    // One key and its entries, as a map of RESP3, which ioredis gives as one list.
    const [, entries = []] = (reply ?? []) as [key: Buffer, entries: Entry[]];
    if (this.#stopped || entries.length === 0) return;
    const events = entries.map((entry) => eventOf(this.#stream, entry));
    this.#after = events.at(-1)!.position;
    this.#handler.onEvents(events);
  }

  stop(): void {
    this.#stopped = true;
    this.#redis?.disconnect();
    this.#gone();
  }
}

type Entry = [id: Buffer, fields: Buffer[]];

/** Fields are `bytes`, `facts` and `data`, with a name in front of each value (redis-append.ts). */
function eventOf(stream: string, [id, fields]: Entry): StoredEvent {
  const position = id.toString('latin1');
  const facts = readFacts<Omit<NewEvent, 'data'>>(fields[3]?.toString('utf8'));
  const data = fields[5];
  if (facts !== null && data !== undefined) return { ...facts, position, data };
  const written: Record<string, string> = {};
  for (let i = 0; i < fields.length; i += 2) written[fields[i]!.toString('utf8')] = fields[i + 1]!.toString('utf8');
  return foreignEvent(stream, position, Buffer.from(JSON.stringify(written)), { contentType: 'application/json' });
}

/** One slot of a cluster. */
function prefixOf(stream: string): string {
  return `gatehouse:{events-${stream}}:`;
}

function eventsKey(stream: string): string {
  return `${prefixOf(stream)}log`;
}

function factsKey(stream: string): string {
  return `${prefixOf(stream)}facts`;
}
