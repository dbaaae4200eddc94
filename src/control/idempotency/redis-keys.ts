/**
 * Idempotency keys of routes in Redis, as hashes of which each ends by itself: they hold over all gateways that share
 * the server. A script decides who is first, and Redis' own clock what is over, so no two gateways need to agree on the
 * time.
 */
import type { RedisConnection } from '../../base/redis.ts';
import { connectRedis, parseRedisUrl } from '../../base/redis.ts';
import { RedisReady } from '../../base/redis-ready.ts';
import type {
  BeginAnswer,
  BeginQuestion,
  FinishQuestion,
  Held,
  KeptResponse,
} from '../../data/contract/idempotency.ts';
import { REDIS_TIMINGS } from '../telemetry/timings.ts';
import type { KeyStore } from './key-store.ts';

/** ARGV: fingerprint, kept for, in progress for (ms). Gives the kind, and when it began or the response. */
const BEGIN = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = redis.call('HMGET', KEYS[1], 'fingerprint', 'begun', 'response')
local begun = now
if found[1] then
  if found[1] ~= ARGV[1] then return { 'other-request', '' } end
  if found[3] then return { 'again', found[3] } end
  if tonumber(found[2]) > now - ARGV[3] then return { 'in-progress', '' } end
  begun = math.max(now, found[2] + 1)
end
redis.call('HSET', KEYS[1], 'fingerprint', ARGV[1], 'begun', string.format('%.0f', begun))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return { 'first', string.format('%.0f', begun) }`;

/** ARGV: begun, response. Only who holds the key may say how it ended. */
const FINISH = `
if redis.call('HGET', KEYS[1], 'begun') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'response', ARGV[2])
return 1`;

/** ARGV: begun. */
const RELEASE = `
local found = redis.call('HMGET', KEYS[1], 'begun', 'response')
if found[1] ~= ARGV[1] or found[2] then return 0 end
return redis.call('DEL', KEYS[1])`;

export class RedisKeys implements KeyStore {
  readonly #redis: RedisConnection;
  readonly #prefix: string;
  readonly #ready: RedisReady;

  /** `onProblem` gets what goes wrong with the connection, which comes back by itself. */
  static async open(url: string, prefix: string, onProblem: (problem: string) => void): Promise<RedisKeys> {
    const redis = await connectRedis(parseRedisUrl(url), 'gatehouse-idempotency');
    redis.on('error', (error: Error) => onProblem(error.message));
    return new RedisKeys(redis, prefix);
  }

  private constructor(redis: RedisConnection, prefix: string) {
    this.#redis = redis;
    this.#prefix = prefix;
    this.#ready = new RedisReady(redis);
  }

  async begin({ keyHash, fingerprint, keptForMs, inProgressMs }: BeginQuestion): Promise<BeginAnswer> {
    const [kind = '', more = ''] = (await this.#run(BEGIN, keyHash, fingerprint, keptForMs, inProgressMs)) as string[];
    if (kind === 'first') return { kind, begunMs: Number(more) };
    if (kind === 'again') return { kind, response: JSON.parse(more) as KeptResponse };
    return { kind: kind as 'in-progress' | 'other-request' };
  }

  async finish({ keyHash, begunMs, response }: FinishQuestion): Promise<void> {
    await this.#run(FINISH, keyHash, begunMs, JSON.stringify(response));
  }

  async release({ keyHash, begunMs }: Held): Promise<void> {
    await this.#run(RELEASE, keyHash, begunMs);
  }

  close(): Promise<void> {
    this.#redis.disconnect();
    return Promise.resolve();
  }

  async #run(script: string, keyHash: string, ...values: (string | number)[]): Promise<unknown> {
    await this.#ready.wait();
    const key = `${this.#prefix}:idempotency:${keyHash}`;
    return REDIS_TIMINGS.of('idempotency', this.#redis.eval(script, 1, key, ...values));
  }
}
