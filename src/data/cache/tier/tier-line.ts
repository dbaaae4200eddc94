/**
 * The cache's own line to Redis (large bodies would hold up the decisions of limits): connects in the background,
 * keeps away from a Redis that does not answer, and knows how full it is.
 */

import { messageOf } from '../../../base/errors.ts';
import { connectRedis, parseRedisUrl, type RedisConnection } from '../../../base/redis.ts';
import { RedisBreaker } from '../../../base/redis-breaker.ts';
import { systemTimers } from '../../../base/system-timers.ts';
import { KEEP_SCRIPT, type LockCommands, TAKE_SCRIPT } from './fill-lock.ts';

/**
 * Writes a value (or, where it is empty, only keeps what is there longer) if the key still begins with the version that
 * was seen. KEYS: the key; ARGV: that version, the value, milliseconds.
 */
const WRITE_SCRIPT = `
if redis.call('GETRANGE', KEYS[1], 0, 16) ~= ARGV[1] then return 0 end
if ARGV[2] ~= '' then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
elseif redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1`;
const LOOK_AT_MEMORY_EVERY_MS = 1_000;
const PROBE_MS = 1_000;
/** Of `maxmemory`, where Redis would refuse to write. */
const FULL_SHARE = 0.9;

export interface TierCommands extends LockCommands {
  gatehouseTierWrite(key: string, seen: string, value: Buffer | string, keptMs: number): Promise<number>;
}

export class TierLine {
  readonly breaker = new RedisBreaker(Math.random, true);
  readonly #mostMemoryBytes: number;
  readonly #now: () => number;
  #connection: (RedisConnection & TierCommands) | null = null;
  #isClosed = false;
  /** Bytes that may still be written before the next look. */
  #room = 0;
  #lookedAtMs = Number.NEGATIVE_INFINITY;

  /** `now`: monotonic. `onProblem` hears of each lost or failed connection. */
  constructor(url: string, mostMemoryBytes: number, now: () => number, onProblem: (reason: string) => void) {
    this.#mostMemoryBytes = mostMemoryBytes;
    this.#now = now;
    connectRedis(parseRedisUrl(url), 'gatehouse-cache').then(
      (connected) => {
        connected.on('error', (error: Error) => onProblem(error.message || error.name));
        if (this.#isClosed) {
          connected.disconnect();
          return;
        }
        connected.defineCommand('gatehouseTierWrite', { lua: WRITE_SCRIPT, numberOfKeys: 1 });
        connected.defineCommand('gatehouseFillTake', { lua: TAKE_SCRIPT, numberOfKeys: 1 });
        connected.defineCommand('gatehouseFillKeep', { lua: KEEP_SCRIPT, numberOfKeys: 1 });
        this.#connection = connected as RedisConnection & TierCommands;
      },
      (error: unknown) => onProblem(messageOf(error)),
    );
  }

  /** The connection, if questions may go there now; null: do without. */
  get open(): (RedisConnection & TierCommands) | null {
    const connection = this.#connection;
    if (connection?.status !== 'ready') return null;
    this.isFull(0);
    const may = this.breaker.ask(this.#now());
    if (may === 'probe') this.#probe(connection);
    return may === 'yes' ? connection : null;
  }

  /** For writes, which nobody waits for: the breaker is closed. */
  get openForWrites(): (RedisConnection & TierCommands) | null {
    const connection = this.#connection;
    return connection?.status === 'ready' && this.breaker.state === 'closed' ? connection : null;
  }

  failed(): void {
    const { state } = this.breaker;
    this.breaker.failed(this.#now());
    // A machine that is gone without a word: only another connection can tell. What waits on this one is given up.
    if (state !== 'open' && this.breaker.state === 'open') this.#connection?.disconnect(true);
  }

  succeeded(): void {
    this.breaker.succeeded(this.#now());
  }

  /** So many bytes are on their way there. */
  took(bytes: number): void {
    this.#room -= bytes;
  }

  /** No memory is left for so many bytes more, or it is not known yet whether there is. */
  isFull(bytes: number): boolean {
    const nowMs = this.#now();
    const connection = this.#connection;
    if (connection !== null && nowMs - this.#lookedAtMs > LOOK_AT_MEMORY_EVERY_MS) {
      this.#lookedAtMs = nowMs;
      this.#lookAtMemory(connection).catch(() => {
        // Not every user of a Redis may ask.
        if (connection.status === 'ready') this.#room = Number.POSITIVE_INFINITY;
      });
    }
    return bytes >= this.#room;
  }

  async #lookAtMemory(connection: RedisConnection): Promise<void> {
    const servers = 'nodes' in connection ? connection.nodes('master') : [connection];
    const texts = await Promise.all(servers.map((server) => server.info('memory')));
    this.#room = Math.min(...texts.map((text) => this.#roomOf(text)));
  }

  #roomOf(info: string): number {
    const value = (name: string): string => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? '';
    const used = Number(value('used_memory'));
    const most = Number(value('maxmemory'));
    // With an eviction policy Redis makes room by itself.
    const isStrict = most > 0 && value('maxmemory_policy') === 'noeviction';
    return Math.min(this.#mostMemoryBytes, isStrict ? most * FULL_SHARE : Number.POSITIVE_INFINITY) - used;
  }

  #probe(connection: RedisConnection): void {
    let isOver = false;
    const end = (isGood: boolean): void => {
      if (isOver) return;
      isOver = true;
      cancel();
      if (isGood) this.succeeded();
      else this.breaker.failed(this.#now());
    };
    const cancel = systemTimers.after(PROBE_MS, () => end(false));
    connection.ping().then(
      () => end(true),
      () => end(false),
    );
  }

  close(): void {
    this.#isClosed = true;
    this.#connection?.disconnect();
  }
}
