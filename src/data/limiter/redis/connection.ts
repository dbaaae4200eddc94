/**
 * The line to Redis: one server, Sentinel or Cluster, by URL. ioredis is loaded only when a URL is configured. Commands
 * of one turn of the event loop travel together; nothing is queued while the line is down, and nothing is sent again
 * after it was cut, because a decision that no request waits for must not be charged later.
 */
import type { Socket } from 'node:net';
import { messageOf } from '../../../base/errors.ts';
import { connectRedis, parseRedisUrl, type RedisConnection } from '../../../base/redis.ts';
import { GIVE_BACK_SCRIPT, TAKE_SCRIPT } from './script.ts';

const SCRIPTS = { Take: TAKE_SCRIPT, GiveBack: GIVE_BACK_SCRIPT };
type ScriptName = keyof typeof SCRIPTS;
type Command = (...args: (string | number)[]) => Promise<unknown>;

/** A connection that is up or comes up by itself again. */
export interface RedisLine {
  readonly isCluster: boolean;
  /** Keys share one Cluster slot. */
  take(keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>;
  /** `take` with keys and arguments in one list. */
  takeFlat(keyCount: number, keysAndArgs: readonly string[]): Promise<unknown>;
  giveBack(keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>;
  /** Forgets one key. */
  drop(key: string): Promise<unknown>;
  /** Writes a key that is gone after a second: a Redis that is full, or a replica, answers a PING. */
  tryWrite(key: string): Promise<unknown>;
  close(): void;
}

/**
 * Connects in the background; commands reject until the line is up. `onProblem` is called for each lost or failed
 * connection.
 */
export function openRedis(url: string, onProblem: (reason: string) => void): RedisLine {
  const address = parseRedisUrl(url);
  let connection: RedisConnection | undefined;
  let isClosed = false;
  connectRedis(address, 'gatehouse-limits', false).then(
    (connected) => {
      connected.on('error', (error: Error) => onProblem(error.message || error.name));
      if (isClosed) connected.disconnect();
      else connection = connected;
    },
    (error: unknown) => onProblem(messageOf(error)),
  );
  const defined = new Set<string>();
  const callFlat = (name: ScriptName, keyCount: number, all: readonly (string | number)[]): Promise<unknown> => {
    if (connection?.status !== 'ready') return Promise.reject(new Error('Redis is not connected'));
    // A command per number of keys: only then does ioredis know by the first argument which node a command is for.
    const command = `gatehouse${name}${keyCount}`;
    if (!defined.has(command)) {
      connection.defineCommand(command, { lua: SCRIPTS[name], numberOfKeys: keyCount });
      defined.add(command);
    }
    gather(connection);
    return ((connection as unknown as Record<string, Command>)[command] as Command).apply(connection, all as string[]);
  };
  const call = (name: ScriptName, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> =>
    callFlat(name, keys.length, [...keys, ...args]);
  return {
    isCluster: address.kind === 'cluster',
    take: (keys, args) => call('Take', keys, args),
    takeFlat: (keyCount, keysAndArgs) => callFlat('Take', keyCount, keysAndArgs),
    giveBack: (keys, args) => call('GiveBack', keys, args),
    async drop(key) {
      if (connection?.status !== 'ready') throw new Error('Redis is not connected');
      return await connection.del(key);
    },
    async tryWrite(key) {
      if (connection?.status !== 'ready') throw new Error('Redis is not connected');
      return await connection.set(key, '', 'PX', 1_000);
    },
    close() {
      isClosed = true;
      connection?.disconnect();
    },
  };
}

let corked: Socket | null = null;

/**
 * What is sent in this turn of the event loop goes in one write. ioredis can do that itself, with an object of dozens
 * of parts for every turn: most of what limits through Redis allocated, and pauses of milliseconds to collect it.
 */
function gather(connection: RedisConnection): void {
  // Of a Cluster each node's connection has one of its own; there ioredis gathers.
  const stream = (connection as { readonly stream?: Socket }).stream;
  if (stream === undefined || stream === corked) return;
  corked?.uncork();
  corked = stream;
  stream.cork();
  setImmediate(uncork);
}

function uncork(): void {
  corked?.uncork();
  corked = null;
}
