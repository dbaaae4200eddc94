/**
 * Tickets in Redis, each with an end of its own: any gateway on it takes any ticket. How many an account has is counted
 * from the first to the end of its `ttl`, used ones too: a set of them would lie elsewhere in a Redis Cluster.
 */
import type { RedisConnection } from '../../base/redis.ts';
import { connectRedis, parseRedisUrl } from '../../base/redis.ts';
import { RedisReady } from '../../base/redis-ready.ts';
import { REDIS_TIMINGS } from '../telemetry/timings.ts';
import { hashOf, type KeptTicket, MOST_OF_ACCOUNT, type TicketStore } from './ticket-store.ts';

/** ARGV: ms. Gives the count with this one. */
const COUNT = `
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return count`;

export class RedisTickets implements TicketStore {
  readonly #redis: RedisConnection;
  readonly #prefix: string;
  readonly #ready: RedisReady;

  /** `onProblem` gets what goes wrong with the connection, which comes back by itself. */
  static async open(url: string, prefix: string, onProblem: (problem: string) => void): Promise<RedisTickets> {
    const redis = await connectRedis(parseRedisUrl(url), 'gatehouse-tickets');
    redis.on('error', (error: Error) => onProblem(error.message));
    return new RedisTickets(redis, prefix);
  }

  private constructor(redis: RedisConnection, prefix: string) {
    this.#redis = redis;
    this.#prefix = prefix;
    this.#ready = new RedisReady(redis);
  }

  async put(hash: string, ticket: KeptTicket, account: string, ttlMs: number): Promise<boolean> {
    await this.#ready.wait();
    const redis = this.#redis;
    const ms = Math.max(1, Math.ceil(ttlMs));
    const counted = `${this.#prefix}:tickets-of:${hashOf(account)}`;
    const count = await REDIS_TIMINGS.of('tickets', redis.eval(COUNT, 1, counted, ms));
    if (Number(count) > MOST_OF_ACCOUNT) return false;
    await REDIS_TIMINGS.of('tickets', redis.set(this.#key(hash), JSON.stringify(ticket), 'PX', ms));
    return true;
  }

  async take(hash: string): Promise<KeptTicket | null> {
    await this.#ready.wait();
    const text = await REDIS_TIMINGS.of('tickets', this.#redis.getdel(this.#key(hash)));
    return text === null ? null : (JSON.parse(text) as KeptTicket);
  }

  async clean(): Promise<void> {}

  close(): Promise<void> {
    this.#redis.disconnect();
    return Promise.resolve();
  }

  #key(hash: string): string {
    return `${this.#prefix}:ticket:${hash}`;
  }
}
