/**
 * The cache as a feature of the control plane: adds up what the workers count, and serves the API of purges and
 * contents:
 * `builtin:cache` for routes of the configuration (administrators), and a socket of its own for the command line. The
 * store itself is shared memory; what is purged is purged for all workers when the response says so, and for other
 * gateways through the second tier in Redis, or the store of their cluster.
 */
import { randomUUID } from 'node:crypto';
import type { ExtraMetric } from '../../base/extra-metric.ts';
import {
  CACHE_COUNTS_TOPIC,
  CACHE_GONE_TOPIC,
  CACHE_PEERS_TOPIC,
  type CacheSettings,
  keyOfRoute,
} from '../../data/contract/cache.ts';
import {
  CACHE_TIER_TIMES_TOPIC,
  CACHE_TIER_TOPIC,
  type CacheTierSettings,
  type CacheTierTimes,
} from '../../data/contract/cache-tier.ts';
import type { Compiled } from '../config/compile.ts';
import type { Feature, FeatureHost } from '../feature.ts';
import { kept } from '../kept.ts';
import { REDIS_TIMINGS } from '../telemetry/timings.ts';
import type { CacheApiParts } from './api.ts';
import { CacheCounts, cacheMetrics } from './counts.ts';
import { FactPurges } from './fact-purges.ts';
import { SharedPurges } from './shared-purges.ts';

export function cacheFeature(
  host: Pick<FeatureHost, 'bus' | 'cache' | 'log' | 'serveBuiltin' | 'compiled' | 'facts'>,
): Feature {
  const counts = new CacheCounts();
  const gateway = randomUUID();
  const inCluster = new FactPurges(host.facts, host.cache, host.log);
  let shared: { readonly purges: SharedPurges; readonly madeFrom: string } | null = null;
  const parts = {
    cache: host.cache,
    errorFormat: () => host.compiled.snapshot.gateway.errorFormat,
    keys: () => settingsOf(host.compiled).map(({ key }) => key),
    shared: () => shared?.purges ?? (host.facts.isInCluster ? inCluster : null),
    counts,
  };
  /** The second tier, while a route uses it. */
  const share = (compiled: Compiled): void => {
    const { redis, cacheRedis } = compiled.plan.sections.stores;
    const isShared = redis !== null && settingsOf(compiled).some(({ inRedis }) => inRedis);
    const settings: CacheTierSettings | null = isShared ? { ...cacheRedis, url: redis, gateway } : null;
    host.bus.publish(CACHE_TIER_TOPIC, settings);
    // With Redis the workers tell the others by it.
    host.bus.publish(CACHE_PEERS_TOPIC, settings === null && compiled.plan.sections.cluster !== null);
    const url = isShared ? compiled.secrets[redis] : undefined;
    const madeFrom = url === undefined ? '' : `${cacheRedis.prefix} ${url}`;
    if ((shared?.madeFrom ?? '') === madeFrom) return;
    shared?.purges.close();
    shared = null;
    if (settings !== null && url !== undefined)
      shared = { purges: new SharedPurges({ url, settings, cache: host.cache, log: host.log }), madeFrom };
  };
  const local = loadedWhenAsked({ ...parts, basePath: '', isLocal: true });
  // The admin API has found out who asks, and calls it by the feature's name already.
  const operations = (request: Request): Promise<Response> => {
    const url = new URL(request.url);
    url.pathname = `/cache${url.pathname === '/' ? '' : url.pathname}`;
    return local(new Request(url, request));
  };
  let isUsed = false;
  let runsWith = 0;
  return {
    async start(compiled) {
      runsWith = compiled.plan.sections.stores.cacheBytes;
      host.bus.onTell(CACHE_COUNTS_TOPIC, (data) => counts.add(data as Readonly<Record<string, number>>));
      host.bus.onTell(CACHE_GONE_TOPIC, (data) => inCluster.gone(data as readonly string[]));
      host.bus.onTell(CACHE_TIER_TIMES_TOPIC, (data) => {
        const times = data as CacheTierTimes;
        REDIS_TIMINGS.merge('cache', times.counts, times.seconds);
      });
      await host.serveBuiltin('builtin:cache', loadedWhenAsked({ ...parts, basePath: '/api/v1', isLocal: false }));
      await host.serveBuiltin('builtin:cache-control', local);
      isUsed = settingsOf(compiled).length > 0;
      share(compiled);
    },
    applied(compiled) {
      isUsed = settingsOf(compiled).length > 0;
      share(compiled);
    },
    dependencies: () =>
      shared === null ? [] : [{ name: 'cache-redis', available: shared.purges.isConnected, required: false }],
    async stop() {
      inCluster.close();
      shared?.purges.close();
    },
    operations: () => (isUsed ? { name: 'cache', fetch: operations, describe } : undefined),
    restartKeys: (next) => (next.plan.sections.stores.cacheBytes === runsWith ? [] : ['stores.cacheMemory']),
    metrics: (): readonly ExtraMetric[] => (isUsed ? cacheMetrics(counts, host.cache.stats()) : []),
    status: () => (isUsed ? { sections: { cache: { ...host.cache.stats(), ...counts.totals() } } } : {}),
  };
}

/** The API, whose code is loaded by its first request. */
function loadedWhenAsked(parts: CacheApiParts): (request: Request) => Promise<Response> {
  let made: Promise<(request: Request) => Promise<Response>> | undefined;
  return async (request) => {
    made ??= import('./api.ts').then(({ cacheApi }) => cacheApi(parts));
    return (await made)(request);
  };
}

/** Of all routes with a cache, with the keys as their routes make them. */
const ofRoutes = kept((routes: Compiled['snapshot']['routes']): CacheSettings[] =>
  routes.flatMap((route) =>
    route.policies
      .filter(({ name }) => name === 'cache')
      .map(({ options }) => options as CacheSettings)
      .map((settings) => ({ ...settings, key: keyOfRoute(route, settings) })),
  ),
);
const settingsOf = ({ snapshot }: Compiled): CacheSettings[] => ofRoutes(snapshot.routes);

/** For the document of the admin API. */
const describe = async () => (await import('./operator-description.ts')).operatorPaths();
