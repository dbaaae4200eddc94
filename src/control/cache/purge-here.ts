/** One purge of the store of this gateway. */
import type { CacheControl } from '../../data/contract/cache.ts';
import type { PurgeKind } from '../../data/contract/cache-tier.ts';

/** False: the store is busy, try again. */
export function purgeHere(cache: CacheControl, kind: PurgeKind, text: string): boolean {
  if (kind === 'all') return cache.purgeAll();
  if (kind === 'tag') return cache.purgeTag(text);
  return kind === 'prefix' ? cache.purgePrefix(text) : cache.purgeKey(text);
}
