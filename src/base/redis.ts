/**
 * Redis by URL: one server, Sentinel or Cluster. ioredis is loaded only when a URL is configured. Used by the limiter
 * (data/limiter/redis) and by what control shares with other machines.
 */
import type { Cluster, Redis } from 'ioredis';

export type RedisConnection = Redis | Cluster;

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
  // The last `@` ends the credentials: a password may hold one, or a slash, as it was pasted.
  const match = /^(rediss?)(\+sentinel|\+cluster)?:\/\/(?:(.*)@)?([^/?@]+)(\/[^?]*)?(\?.*)?$/.exec(url);
  if (match === null)
    throw new TypeError('the Redis URL must begin with redis://, redis+sentinel:// or redis+cluster://');
  const [, scheme, form, credentials = '', hosts = '', path = '', query = ''] = match;
  const kind = form === '+sentinel' ? 'sentinel' : form === '+cluster' ? 'cluster' : 'single';
  const standardPort = kind === 'sentinel' ? 26_379 : 6_379;
  const nodes = hosts.split(',').map((text) => hostAndPort(text, standardPort));
  if (kind === 'single' && nodes.length > 1)
    throw new TypeError('redis:// names one server; use redis+cluster:// for several');
  const colon = credentials.indexOf(':');
  const username = colon > 0 ? decodedCredential(credentials.slice(0, colon)) : null;
  const password = colon >= 0 ? decodedCredential(credentials.slice(colon + 1)) : null;
  const rest = decodeURIComponent(path.slice(1));
  const db = Number((kind === 'single' ? rest : new URLSearchParams(query).get('db')) || 0);
  if (!Number.isInteger(db) || db < 0) throw new TypeError('the database of the Redis URL must be a number');
  if (kind === 'sentinel' && rest === '')
    throw new TypeError('redis+sentinel:// must name the master: redis+sentinel://HOST/NAME');
  return { kind, nodes, name: kind === 'sentinel' ? rest : '', username, password, db, tls: scheme === 'rediss' };
}

/** Credentials of a URL: percent-encoded where that can be read; a bare `%` of a pasted password stands for itself. */
export function decodedCredential(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function hostAndPort(text: string, standardPort: number): { host: string; port: number } {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:\s]+)(?::(\d{1,5}))?$/.exec(text);
  if (match === null) throw new TypeError('the Redis URL names no valid host');
  return {
    host: (match[1] ?? '').replace(/^\[|\]$/g, ''),
    port: match[2] === undefined ? standardPort : Number(match[2]),
  };
}

/**
 * A connection that comes up in the background, and again after each loss. Commands of one turn of the event loop
 * travel together, unless `gathers` is false because the caller sees to that (a Cluster always gathers); none is kept
 * while it is down, and none is sent again. The caller must listen to `error`.
 */
export async function connectRedis(
  address: RedisAddress,
  connectionName: string,
  gathers = true,
): Promise<RedisConnection> {
  const { Cluster, Redis } = await import('ioredis');
  const common = {
    ...(address.username === null ? {} : { username: address.username }),
    ...(address.password === null ? {} : { password: address.password }),
    ...(address.tls ? { tls: {} } : {}),
    connectionName,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    // Whoever subscribes does so again each time the line is up. ioredis would do it with nobody to hear that it failed.
    autoResubscribe: false,
    maxRetriesPerRequest: 0,
    connectTimeout: 2_000,
    // The server has become a replica, and its name may be another one's by now: what is connected would never know.
    reconnectOnError: isReplica,
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
  const one = { ...common, enableAutoPipelining: gathers, retryStrategy, db: address.db };
  if (address.kind === 'sentinel') {
    return new Redis({ ...one, sentinels: nodes, name: address.name, sentinelRetryStrategy: retryStrategy });
  }
  const [node] = nodes;
  return new Redis({ ...one, host: node?.host ?? '', port: node?.port ?? 0 });
}

/** What a replica says to writes, also from inside a script; or to anything, without its master. */
function isReplica({ message }: Error): boolean {
  return message.includes('READONLY') || message.startsWith('MASTERDOWN');
}

/** 50 ms, doubling up to 5 s, each time between a half and the whole of it. */
export function reconnectDelayMs(attempt: number): number {
  return Math.min(5_000, 50 * 2 ** Math.min(attempt, 10)) * (0.5 + Math.random() / 2);
}
