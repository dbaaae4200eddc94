/**
 * The key `stores`: the databases that several features lean on. `sql` holds what must outlive a restart, `redis` what
 * many machines share. Only the URLs are here; each feature opens its own connection.
 */
import * as z from 'zod';
import { sqlUrl, storeUrl } from '../../base/store-urls.ts';
import { duration, size } from '../../base/zod-units.ts';
import type { CacheTierSettings } from '../../data/contract/cache-tier.ts';
import { defineSection } from '../config/section.ts';

export interface StoresPlan {
  /** Secret id of the SQL URL, or null for SQLite in the data folder. */
  readonly sql: string | null;
  /** Secret id of the Redis URL, or null: this machine counts alone. */
  readonly redis: string | null;
  /** Memory for stored responses. */
  readonly cacheBytes: number;
  /** How the cache uses Redis. */
  readonly cacheRedis: Pick<CacheTierSettings, 'timeoutMs' | 'mostMemoryBytes' | 'prefix'>;
}

/** The API of the cache, where a route asks for it. */
const CACHE_SERVICE = 'builtin:cache';
/** Of a document without `stores`. */
const DEFAULT_CACHE_BYTES = 64 * 1024 ** 2;
const REDIS_FORM = /^(rediss?|redis\+sentinel|rediss\+sentinel|redis\+cluster|rediss\+cluster):\/\/\S+$/;

const cacheRedisOptions = z.strictObject({
  timeout: duration({ min: 1, max: 5_000 })
    .prefault('20ms')
    .describe('Longest wait for a response out of Redis; then the service is asked.'),
  memory: size({ min: 1024 ** 2 })
    .prefault('256mb')
    .describe(
      'While a Redis server uses more memory than this (everything in it counts), no responses are written to it.',
    ),
  prefix: z
    .string()
    .regex(/^[A-Za-z0-9_.:-]{1,32}$/, 'must be letters, digits, `_`, `.`, `:` or `-`')
    .prefault('gatehouse-cache')
    .describe('Keys in Redis begin with this. Gateways that share responses have the same.'),
});

const storesOptions = z.strictObject({
  sql: sqlUrl()
    .optional()
    .describe('Database for accounts, usage, bans and history. Default: SQLite in the data folder.'),
  redis: storeUrl(REDIS_FORM, 'must be redis://, rediss://, redis+sentinel:// or redis+cluster://')
    .optional()
    .describe(
      'Redis for limits and bans that several machines share: `redis://user:password@host:6379/0`, `redis+sentinel://host1:26379,host2:26379/NAME?db=0`, `redis+cluster://host1:6379,host2:6379`; with `rediss` over TLS. Default: none, each machine counts alone.',
    ),
  cacheRedis: cacheRedisOptions.prefault({}).describe('How routes with `cache: { store: redis }` use `stores.redis`.'),
  cacheMemory: size({ min: 1024 ** 2, max: 3 * 1024 ** 3 })
    .prefault('64mb')
    .describe(
      'Memory for responses that routes with `cache` store, shared by all workers. What is not used of it is not taken from the machine. Read at start.',
    ),
});

export const storesSection = defineSection({
  at: 'top',
  key: 'stores',
  schema: storesOptions.describe('Databases that several features share. Default: SQLite in the data folder.'),
  variables: [
    { name: 'REDIS_URL', path: ['stores', 'redis'], meaning: 'Redis that several machines share.' },
    { name: 'DATABASE_URL', path: ['stores', 'sql'], meaning: 'Database for accounts, usage, bans and history.' },
  ],
  compile(options, context): StoresPlan {
    const keep = (name: string, url: string | undefined): string | null => {
      return url === undefined || url === '' ? null : context.secret(name, url);
    };
    const routes = (context.document?.['routes'] ?? []) as readonly { readonly builtin?: string }[];
    if (routes.some(({ builtin }) => builtin === 'cache' || builtin === CACHE_SERVICE))
      context.addService(CACHE_SERVICE);
    const cacheBytes = options?.cacheMemory ?? DEFAULT_CACHE_BYTES;
    const { timeout, memory, prefix } = options?.cacheRedis ?? cacheRedisOptions.parse({});
    return {
      sql: keep('sql', options?.sql),
      redis: keep('redis', options?.redis),
      cacheBytes,
      cacheRedis: { timeoutMs: timeout, mostMemoryBytes: memory, prefix },
    };
  },
});
