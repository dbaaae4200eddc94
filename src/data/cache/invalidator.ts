/** Makes invalid what unsafe requests have changed (RFC 9111 §4.4), over all routes of a configuration. */

import type { CacheSettings, KeySettings } from '../contract/cache.ts';
import type { CachedRequest } from './cached-response.ts';
import { urlKey } from './keys.ts';
import { invalidates, sameOriginTarget } from './rules/invalidation.ts';
import type { WorkerCache } from './worker-cache.ts';

/** What it looks at of a response. */
export interface RespondedHead {
  readonly status: number;
  /** `name` in lower case; null: there is none. */
  valueOf(name: string): string | null;
}

/** It knows each way in which one of the routes makes keys of a URL. */
export class Invalidator {
  readonly #cache: WorkerCache;
  readonly #ways: readonly { readonly key: KeySettings; readonly inRedis: boolean }[];

  constructor(cache: WorkerCache, settings: readonly Pick<CacheSettings, 'key' | 'inRedis'>[]) {
    this.#cache = cache;
    const distinct = new Map<string, { readonly key: KeySettings; readonly inRedis: boolean }>();
    for (const { key, inRedis } of settings) {
      const name = JSON.stringify([key.query, key.partition]);
      distinct.set(name, { key, inRedis: inRedis || distinct.get(name)?.inRedis === true });
    }
    this.#ways = [...distinct.values()];
  }

  /** The head of a response to an unsafe request has come; a failure changes nothing. */
  afterResponse(request: CachedRequest, head: RespondedHead): void {
    if (!invalidates(request.method, head.status)) return;
    const { callerScheme: scheme, authority, path, query } = request;
    this.#remove(scheme, authority, path, query);
    const origin = `${scheme}://${authority}`;
    for (const name of ['location', 'content-location']) {
      const target = sameOriginTarget(head.valueOf(name), origin, path);
      if (target === null) continue;
      const mark = target.indexOf('?');
      if (mark < 0) this.#remove(scheme, authority, target, '');
      else this.#remove(scheme, authority, target.slice(0, mark), target.slice(mark + 1));
    }
  }

  #remove(scheme: string, authority: string, path: string, query: string): void {
    const { store, tier, gone } = this.#cache;
    for (const { key, inRedis } of this.#ways) {
      const text = urlKey(key, scheme, authority, path, query);
      store.remove(text);
      if (gone.isHeard) gone.add(text);
      // Once more when Redis knows: a request may have got the former one from there meanwhile.
      if (inRedis) tier?.invalidate(text, () => void store.remove(text));
    }
  }
}
