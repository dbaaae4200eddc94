/**
 * The cache as a feature of the control plane: adds up what the workers count, and serves the API of purges and
 * contents:
 * `builtin:cache` for routes of the configuration (administrators), and a socket of its own for the command line. The
 * store itself is shared memory; what is purged is purged for all workers when the response says so.
 */
import type { ExtraMetric } from '../../base/extra-metric.ts';
import { CACHE_COUNTS_TOPIC, type CacheSettings, keyOfRoute } from '../../data/contract/cache.ts';
import type { Compiled } from '../config/compile.ts';
import type { Feature, FeatureHost } from '../feature.ts';
import { cacheApi } from './api.ts';
import { CacheCounts, cacheMetrics } from './counts.ts';

export function cacheFeature(host: Pick<FeatureHost, 'bus' | 'cache' | 'serveBuiltin' | 'compiled'>): Feature {
  const counts = new CacheCounts();
  const parts = { cache: host.cache, keys: () => keysOf(host.compiled), counts };
  const local = cacheApi({ ...parts, basePath: '', isLocal: true });
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
      await host.serveBuiltin('builtin:cache', cacheApi({ ...parts, basePath: '/api/v1', isLocal: false }));
      await host.serveBuiltin('builtin:cache-control', local);
      isUsed = keysOf(compiled).length > 0;
    },
    applied(compiled) {
      isUsed = keysOf(compiled).length > 0;
    },
    operations: () => (isUsed ? { name: 'cache', fetch: operations } : undefined),
    restartKeys: (next) => (next.plan.sections.stores.cacheBytes === runsWith ? [] : ['stores.cacheMemory']),
    metrics: (): readonly ExtraMetric[] => (isUsed ? cacheMetrics(counts, host.cache.stats()) : []),
    status: () => (isUsed ? { sections: { cache: { ...host.cache.stats(), ...counts.totals() } } } : {}),
  };
}

function keysOf({ snapshot }: Compiled): CacheSettings['key'][] {
  return snapshot.routes.flatMap((route) =>
    route.policies
      .filter(({ name }) => name === 'cache')
      .map(({ options }) => keyOfRoute(route, options as CacheSettings)),
  );
}
