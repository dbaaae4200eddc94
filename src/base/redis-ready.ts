/** Commands to Redis are not kept while a connection is down; the first may come before it is up, and waits here. */
import type { RedisConnection } from './redis.ts';

const CONNECT_WITHIN_MS = 2_000;

export class RedisReady {
  readonly #redis: RedisConnection;
  /** For all who wait for the connection. */
  #coming: Promise<void> | null = null;

  constructor(redis: RedisConnection) {
    this.#redis = redis;
  }

  /** Rejects after two seconds without a connection. */
  wait(): Promise<void> {
    const redis = this.#redis;
    if (redis.status === 'ready') return Promise.resolve();
    this.#coming ??= new Promise<void>((resolve, reject) => {
      const onReady = (): void => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        redis.off('ready', onReady);
        reject(new Error('Redis cannot be reached'));
      }, CONNECT_WITHIN_MS);
      redis.once('ready', onReady);
    }).finally(() => {
      this.#coming = null;
    });
    return this.#coming;
  }
}
