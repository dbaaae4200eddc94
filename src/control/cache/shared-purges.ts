/**
 * Purges that all gateways share: a log in Redis, in the order in which they came, and a word to the others that there
 * is something new. Each gateway follows the log and forgets what it names; what is read from Redis is compared with
 * it by the workers (data/cache/tier). A purge made while Redis is away holds here at once and is written when Redis is
 * back; so are those that a Redis lost with its data.
 */
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { connectRedis, parseRedisUrl, type RedisConnection } from '../../base/redis.ts';
import type { CacheControl } from '../../data/contract/cache.ts';
import {
  type CacheTierSettings,
  goneChannel,
  PURGES_KEPT,
  type PurgeKind,
  purgeChannel,
  purgeLogKey,
  purgeSequenceKey,
  purgeText,
  readPurge,
} from '../../data/contract/cache-tier.ts';
import { REDIS_TIMINGS } from '../telemetry/timings.ts';
import type { PurgeShare } from './fact-purges.ts';
import { purgeHere } from './purge-here.ts';

/** The id is the time of Redis, or one more than the latest. Lua prints doubles short by default. */
const LOG_SCRIPT = `
local now = redis.call('TIME')
local id = math.max(tonumber(redis.call('GET', KEYS[1]) or '0') + 1, now[1] * 1000000 + now[2])
local text = string.format('%.0f', id)
redis.call('SET', KEYS[1], text)
redis.call('ZADD', KEYS[2], text, text .. ' ' .. ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -(ARGV[2] + 1))
return text`;

/** If a message was lost, the log is looked at this often anyway. */
const LOOK_EVERY_MS = 1_000;
/** A purge waits for Redis at most so long. */
const LONGEST_WRITE_MS = 2_000;
/** What is older than this was heard by all who are there. */
const REMEMBERED_MS = 600_000;

export interface SharedPurgesParts {
  readonly url: string;
  readonly settings: Pick<CacheTierSettings, 'prefix' | 'gateway'>;
  readonly cache: CacheControl;
  readonly log: Logger;
}

interface OwnPurge {
  readonly kind: PurgeKind;
  readonly text: string;
  readonly atMs: number;
  /** Null: not written yet. */
  id: number | null;
}

export class SharedPurges implements PurgeShare {
  readonly by = 'redis';
  readonly #settings: SharedPurgesParts['settings'];
  readonly #cache: CacheControl;
  readonly #log: Logger;
  #commands: RedisConnection | undefined;
  #messages: RedisConnection | undefined;
  #own: OwnPurge[] = [];
  /** Of the log, what this gateway has done. */
  #latest = 0;
  #following: Promise<void> | null = null;
  #isClosed = false;
  #lastProblem = '';
  readonly #timer: NodeJS.Timeout;

  constructor({ url, settings, cache, log }: SharedPurgesParts) {
    this.#settings = settings;
    this.#cache = cache;
    this.#log = log;
    this.#timer = setInterval(() => this.#follow(), LOOK_EVERY_MS).unref();
    this.#open(url).catch((error: unknown) => this.#problem(messageOf(error)));
  }

  get isConnected(): boolean {
    return this.#commands?.status === 'ready' && this.#messages?.status === 'ready';
  }

  /** True: Redis has it, so nobody gets it from there any more, and the others hear of it. False: when it is back. */
  async purge(kind: PurgeKind, text: string): Promise<boolean> {
    const own: OwnPurge = { kind, text, atMs: Date.now(), id: null };
    this.#own.push(own);
    // More than this at once is everything.
    if (this.#own.length > PURGES_KEPT) this.#own = [{ kind: 'all', text: '', atMs: own.atMs, id: null }];
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<false>((resolve) => {
      timer = setTimeout(resolve, LONGEST_WRITE_MS, false);
    });
    const written = this.#write(own).then(
      () => true,
      () => false,
    );
    const isWritten = await Promise.race([written, late]);
    clearTimeout(timer);
    return isWritten;
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.#commands?.disconnect();
    this.#messages?.disconnect();
  }

  async #open(url: string): Promise<void> {
    const address = parseRedisUrl(url);
    const [commands, messages] = await Promise.all([
      connectRedis(address, 'gatehouse-cache-purges'),
      connectRedis(address, 'gatehouse-cache-messages'),
    ]);
    this.#commands = commands;
    this.#messages = messages;
    if (this.#isClosed) {
      this.close();
      return;
    }
    for (const connection of [commands, messages])
      connection.on('error', (error: Error) => this.#problem(error.message));
    messages.on('message', (channel: string, text: string) => this.#heard(channel, text));
    const { prefix } = this.#settings;
    const subscribe = (): void => {
      messages
        .subscribe(purgeChannel(prefix), goneChannel(prefix))
        .then(() => this.#follow())
        .catch((error: unknown) => this.#problem(messageOf(error)));
    };
    messages.on('ready', subscribe);
    if (messages.status === 'ready') subscribe();
    commands.on('ready', () => this.#follow());
  }

  #heard(channel: string, text: string): void {
    if (channel === purgeChannel(this.#settings.prefix)) {
      this.#follow();
      return;
    }
    const blank = text.indexOf(' ');
    if (blank > 0 && text.slice(0, blank) !== this.#settings.gateway) this.#cache.purgeKey(text.slice(blank + 1));
  }

  /** One look at a time; what is asked for meanwhile is seen at the next one. */
  #follow(): void {
    if (this.#commands?.status !== 'ready' || this.#following !== null) return;
    this.#following = this.#catchUp(this.#commands)
      .then(
        () => {
          this.#lastProblem = '';
        },
        (error: unknown) => this.#problem(messageOf(error)),
      )
      .finally(() => {
        this.#following = null;
      });
  }

  async #catchUp(commands: RedisConnection): Promise<void> {
    const { prefix } = this.#settings;
    const latest = Number((await REDIS_TIMINGS.of('purges', commands.get(purgeSequenceKey(prefix)))) ?? 0);
    if (latest < this.#latest) {
      // Redis lost what it had: what this gateway purged lately is written again, and so do the others with theirs.
      this.#latest = 0;
      for (const own of this.#own) if (own.id !== null && own.id > latest) own.id = null;
    }
    this.#own = this.#own.filter(({ atMs, id }) => id === null || Date.now() - atMs < REMEMBERED_MS);
    for (const own of this.#own.filter(({ id }) => id === null)) await this.#write(own);
    if (latest === this.#latest) return;
    const members = await commands.zrangebyscore(purgeLogKey(prefix), `(${this.#latest}`, '+inf');
    const records = members.flatMap((member) => readPurge(member) ?? []);
    if (records.length >= PURGES_KEPT && !this.#cache.purgeAll()) return;
    for (const record of records) {
      if (record.gateway !== this.#settings.gateway && !purgeHere(this.#cache, record.kind, record.text)) return;
      this.#latest = record.id;
    }
  }

  async #write(own: OwnPurge): Promise<void> {
    const commands = this.#commands;
    if (commands?.status !== 'ready') throw new Error('Redis is not connected');
    const { prefix, gateway } = this.#settings;
    const text = purgeText({ kind: own.kind, gateway, text: own.text });
    const keys = [purgeSequenceKey(prefix), purgeLogKey(prefix)] as const;
    const id = await REDIS_TIMINGS.of('purges', commands.eval(LOG_SCRIPT, 2, ...keys, text, String(PURGES_KEPT)));
    own.id = Number(id);
    await commands.publish(purgeChannel(prefix), '');
  }

  /** Told once until it changes or goes away: a Redis that is away fails many times over. */
  #problem(reason: string): void {
    if (this.#isClosed || reason === this.#lastProblem) return;
    this.#lastProblem = reason;
    this.#log.warn('purges of the cache are not shared with other gateways', { reason });
  }
}
