/**
 * The line to Redis: one server, Sentinel or Cluster, by URL. ioredis is loaded only when a URL is configured. Commands of one
 * turn of the event loop travel together; nothing is queued while the line is down, and nothing is sent again after it
 * was cut, because a decision that nobody waits for any more must not be charged later.
 */
import type { Cluster, Redis } from 'ioredis';
import { messageOf } from '../../../base/errors.ts';
import { GIVE_BACK_SCRIPT, TAKE_SCRIPT } from './script.ts';

export interface RedisAddress {
  readonly kind: 'single' | 'sentinel' | 'cluster';
  readonly nodes: readonly { readonly host: string; readonly port: number }[];
  /** Name of the master, for Sentinel. */
  readonly name: string;
  readonly username: string | null;
  readonly password: string | null;
  readonly db: number;
  readonly tls: boolean;
}

/** Reads `redis://`, `redis+sentinel://` and `redis+cluster://` URLs. Throws a TypeError that shows no password. */
export function parseRedisUrl(url: string): RedisAddress {
  const match = /^(rediss?)(\+sentinel|\+cluster)?:\/\/(?:([^@/]*)@)?([^/?]+)(\/[^?]*)?(\?.*)?$/.exec(url);
  if (match === null)
    throw new TypeError('the Redis URL must begin with redis://, redis+sentinel:// or redis+cluster://');
  const [, scheme, form, credentials = '', hosts = '', path = '', query = ''] = match;
  const kind = form === '+sentinel' ? 'sentinel' : form === '+cluster' ? 'cluster' : 'single';
  const standardPort = kind === 'sentinel' ? 26_379 : 6_379;
  const nodes = hosts.split(',').map((text) => hostAndPort(text, standardPort));
  if (kind === 'single' && nodes.length > 1)
    throw new TypeError('redis:// names one server; use redis+cluster:// for several');
  const colon = credentials.indexOf(':');
  const username = colon > 0 ? decodeURIComponent(credentials.slice(0, colon)) : null;
  const password = colon >= 0 ? decodeURIComponent(credentials.slice(colon + 1)) : null;
  const rest = decodeURIComponent(path.slice(1));
  const db = Number((kind === 'single' ? rest : new URLSearchParams(query).get('db')) || 0);
  if (!Number.isInteger(db) || db < 0) throw new TypeError('the database of the Redis URL must be a number');
  if (kind === 'sentinel' && rest === '')
    throw new TypeError('redis+sentinel:// must name the master: redis+sentinel://HOST/NAME');
  return { kind, nodes, name: kind === 'sentinel' ? rest : '', username, password, db, tls: scheme === 'rediss' };
}

function hostAndPort(text: string, standardPort: number): { host: string; port: number } {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:\s]+)(?::(\d{1,5}))?$/.exec(text);
  if (match === null) throw new TypeError('the Redis URL names no valid host');
  return {
    host: (match[1] ?? '').replace(/^\[|\]$/g, ''),
    port: match[2] === undefined ? standardPort : Number(match[2]),
  };
}

const SCRIPTS = { Take: TAKE_SCRIPT, GiveBack: GIVE_BACK_SCRIPT };
type ScriptName = keyof typeof SCRIPTS;
type Command = (...args: (string | number)[]) => Promise<unknown>;

/** A connection that is up or comes up by itself again. */
export interface RedisLine {
  readonly isCluster: boolean;
  /** Keys share one Cluster slot. */
  take(keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>;
  giveBack(keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>;
  ping(): Promise<unknown>;
  close(): void;
}

/** Connects in the background; commands reject until the line is up. `onProblem` hears of each lost or failed connection. */
export function openRedis(url: string, onProblem: (reason: string) => void): RedisLine {
  const address = parseRedisUrl(url);
  let connection: Redis | Cluster | undefined;
  let isClosed = false;
  import('ioredis').then(
    (ioredis) => {
      if (isClosed) return;
      connection = connect(ioredis, address);
      connection.on('error', (error: Error) => onProblem(error.message || error.name));
    },
    (error: unknown) => onProblem(messageOf(error)),
  );
  const defined = new Set<string>();
  const call = async (
    name: ScriptName,
    keys: readonly string[],
    args: readonly (string | number)[],
  ): Promise<unknown> => {
    if (connection?.status !== 'ready') throw new Error('Redis is not connected');
    // A command per number of keys: only then does ioredis know by the first argument which node a command is for.
    const command = `gatehouse${name}${keys.length}`;
    if (!defined.has(command)) {
      connection.defineCommand(command, { lua: SCRIPTS[name], numberOfKeys: keys.length });
      defined.add(command);
    }
    return await ((connection as unknown as Record<string, Command>)[command] as Command).call(
      connection,
      ...keys,
      ...args,
    );
  };
  return {
    isCluster: address.kind === 'cluster',
    take: (keys, args) => call('Take', keys, args),
    giveBack: (keys, args) => call('GiveBack', keys, args),
    async ping() {
      if (connection?.status !== 'ready') throw new Error('Redis is not connected');
      return await connection.ping();
    },
    close() {
      isClosed = true;
      connection?.disconnect();
    },
  };
}

function connect(
  { Cluster, Redis }: Pick<typeof import('ioredis'), 'Cluster' | 'Redis'>,
  address: RedisAddress,
): Redis | Cluster {
  const common = {
    ...(address.username === null ? {} : { username: address.username }),
    ...(address.password === null ? {} : { password: address.password }),
    ...(address.tls ? { tls: {} } : {}),
    connectionName: 'gatehouse-limits',
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    connectTimeout: 2_000,
  };
  const nodes = [...address.nodes];
  // Workers and machines that lost Redis together must not come back together.
  const retryStrategy = reconnectDelayMs;
  if (address.kind === 'cluster') {
    return new Cluster(nodes, {
      enableAutoPipelining: true,
      enableOfflineQueue: false,
      clusterRetryStrategy: retryStrategy,
      slotsRefreshTimeout: 2_000,
      redisOptions: common,
    });
  }
  const one = { ...common, enableAutoPipelining: true, retryStrategy, db: address.db };
  if (address.kind === 'sentinel') {
    return new Redis({ ...one, sentinels: nodes, name: address.name, sentinelRetryStrategy: retryStrategy });
  }
  const [node] = nodes;
  return new Redis({ ...one, host: node?.host ?? '', port: node?.port ?? 0 });
}

/** 50 ms, doubling up to 5 s, each time between a half and the whole of it. */
export function reconnectDelayMs(attempt: number): number {
  return Math.min(5_000, 50 * 2 ** Math.min(attempt, 10)) * (0.5 + Math.random() / 2);
}
