/**
 * Bans that several machines share through Redis: each machine keeps its own book, tells the others of what it bans
 * and lifts, and learns all that holds when it (re)connects. A hash holds the bans, a channel says that one changed.
 * Without Redis each machine goes on with what it knows; its new bans are published when Redis is back.
 */
import { messageOf } from '../../../base/errors.ts';
import type { Logger } from '../../../base/log.ts';
import { connectRedis, parseRedisUrl, type RedisConnection } from '../../../base/redis.ts';
import { REDIS_TIMINGS } from '../../telemetry/timings.ts';
import { readBan } from './ban-text.ts';
import type { Ban, BanBook, BanShare } from './bans.ts';

/** Longest time that a machine may be away and still learn that a ban without end was lifted. */
const LIFTED_KEPT_MS = 90 * 86_400_000;

export interface BanShareParts {
  readonly url: string;
  readonly prefix: string;
  readonly bans: BanBook;
  readonly log: Logger;
}

export class RedisBanShare implements BanShare {
  readonly #bans: BanBook;
  readonly #log: Logger;
  readonly #key: string;
  #commands: RedisConnection | undefined;
  #messages: RedisConnection | undefined;
  #isClosed = false;
  #lastProblem = '';

  constructor({ url, prefix, bans, log }: BanShareParts) {
    this.#bans = bans;
    this.#log = log;
    this.#key = `${prefix}:bans`;
    void this.#open(url).catch((error: unknown) => this.#problem(messageOf(error)));
  }

  made(ban: Ban): void {
    void this.#send(ban).catch((error: unknown) => this.#problem(messageOf(error)));
  }

  lifted(ban: Ban): void {
    void this.#send(ban).catch((error: unknown) => this.#problem(messageOf(error)));
  }

  /** True when this machine receives the others' bans. */
  get isConnected(): boolean {
    return this.#commands?.status === 'ready' && this.#messages?.status === 'ready';
  }

  close(): void {
    this.#isClosed = true;
    this.#commands?.disconnect();
    this.#messages?.disconnect();
  }

  async #open(url: string): Promise<void> {
    const address = parseRedisUrl(url);
    const [commands, messages] = await Promise.all([
      connectRedis(address, 'gatehouse-bans'),
      connectRedis(address, 'gatehouse-bans-messages'),
    ]);
    this.#commands = commands;
    this.#messages = messages;
    if (this.#isClosed) {
      this.close();
      return;
    }
    for (const connection of [commands, messages])
      connection.on('error', (error: Error) => this.#problem(error.message));
    messages.on('message', (_channel: string, text: string) => this.#learn(text));
    // Each time the line is up: subscribe to changes, then learn what holds, then tell what only this machine
    // knows.
    const catchUp = (): void => {
      if (!this.isConnected) return;
      this.#catchUp(commands, messages).catch((error: unknown) => this.#problem(messageOf(error)));
    };
    commands.on('ready', catchUp);
    messages.on('ready', catchUp);
    catchUp();
  }

  async #catchUp(commands: RedisConnection, messages: RedisConnection): Promise<void> {
    await messages.subscribe(this.#key);
    const known = await REDIS_TIMINGS.of('bans', commands.hgetall(this.#key));
    for (const text of Object.values(known)) this.#learn(String(text));
    for (const ban of this.#bans.active()) if (known[ban.id] === undefined) await this.#send(ban);
    this.#lastProblem = '';
  }

  async #send(ban: Ban): Promise<void> {
    const commands = this.#commands;
    if (commands?.status !== 'ready') return;
    const text = JSON.stringify(ban);
    // A lifted one stays too, or a machine that was away would bring the ban back.
    await REDIS_TIMINGS.of('bans', commands.hset(this.#key, ban.id, text));
    await commands.publish(this.#key, text);
  }

  #learn(text: string): void {
    const ban = readBan(parsed(text));
    if (ban === undefined) return;
    const nowMs = Date.now();
    const isOver = ban.endsAtMs !== null && ban.endsAtMs <= nowMs;
    if (isOver || (ban.liftedAtMs !== null && ban.liftedAtMs < nowMs - LIFTED_KEPT_MS)) {
      // The first to meet one that is over removes it.
      this.#commands?.hdel(this.#key, ban.id).catch((error: unknown) => this.#problem(messageOf(error)));
      return;
    }
    this.#bans.learn(ban).catch((error: unknown) => this.#problem(messageOf(error)));
  }

  /** Logged once until it changes or ends: a Redis that is away fails many times over. */
  #problem(reason: string): void {
    if (this.#isClosed || reason === this.#lastProblem) return;
    this.#lastProblem = reason;
    this.#log.warn('bans are not shared with other machines', { reason });
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
