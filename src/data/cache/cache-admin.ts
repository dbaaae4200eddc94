/** The store in the hands of the main thread: purges, what is in it, and what a dead worker leaves. */
import { systemClock } from '../../base/clock.ts';
import type { CacheControl, CachedObject, CacheStats, KeySettings } from '../contract/cache.ts';
import { urlKey } from './keys.ts';
import {
  allocateCache,
  BODY_BYTES,
  BORN_MS,
  CHUNK_BYTES,
  EVICTIONS,
  FLAGS,
  FRESH_ENTRY,
  FRESH_UNTIL_MS,
  IS_MARKER,
  KIND,
  LIVE,
  LIVE_ENTRIES,
  META_BYTES,
  RESETS,
  SEQUENCE,
  USE,
  USED_CHUNKS,
} from './store/layout.ts';
import { ONE_HIT } from './store/queues.ts';
import { CacheStore } from './store/store.ts';

const MAIN = -1;
/** A purge waits this often for the lock, which nobody holds for long. */
const TRIES = 5;

export class CacheAdmin implements CacheControl {
  readonly memory: SharedArrayBuffer;
  readonly #store: CacheStore;

  constructor(bytes: number) {
    this.memory = allocateCache(bytes);
    this.#store = new CacheStore(this.memory, MAIN);
  }

  clearWorker(index: number): void {
    this.#store.clearWorker(index);
  }

  purgeAll(): boolean {
    return again(() => this.#store.purgeAll());
  }

  purgeTag(tag: string): boolean {
    return again(() => this.#store.purgeTag(tag));
  }

  purgePrefix(prefix: string): boolean {
    return again(() => this.#store.purgePrefix(prefix));
  }

  purgeUrl(url: URL, keys: readonly KeySettings[]): boolean {
    return this.firstKeysOf(url, keys).every((key) => this.purgeKey(key));
  }

  purgeKey(key: string): boolean {
    return again(() => this.#store.removeSurely(key));
  }

  firstKeysOf(url: URL, keys: readonly KeySettings[]): readonly string[] {
    const scheme = url.protocol.slice(0, -1);
    return [...new Set(keys.map((key) => urlKey(key, scheme, url.host, url.pathname, url.search.slice(1))))];
  }

  stats(): CacheStats {
    const { words, chains } = this.#store;
    return {
      objects: words[LIVE_ENTRIES]!,
      usedBytes: words[USED_CHUNKS]! * CHUNK_BYTES,
      totalBytes: chains.total * CHUNK_BYTES,
      evictions: words[EVICTIONS]!,
      resets: words[RESETS]!,
    };
  }

  top(by: 'bytes' | 'hits', most: number): readonly CachedObject[] {
    const { words, floats } = this.#store;
    const nowMs = systemClock.wallMs();
    const found: { entry: number; rank: number }[] = [];
    let least = -1;
    for (let entry = 1; entry < words[FRESH_ENTRY]!; entry++) {
      const at = this.#store.at(entry);
      if ((words[at]! & KIND) !== LIVE || (words[at + FLAGS]! & IS_MARKER) !== 0) continue;
      // Still in memory until somebody needs the room, but nobody gets it.
      if (this.#store.purges.purgedAll(words[at + SEQUENCE]!)) continue;
      const rank = by === 'bytes' ? words[at + BODY_BYTES]! : Math.floor(words[at + USE]! / ONE_HIT);
      if (rank <= least) continue;
      found.push({ entry, rank });
      if (found.length < 4 * most) continue;
      found.sort((a, b) => b.rank - a.rank).length = most;
      least = found.at(-1)!.rank;
    }
    found.sort((a, b) => b.rank - a.rank);
    return found.slice(0, most).flatMap(({ entry }) => {
      const at = this.#store.at(entry);
      const key = this.#store.liveKeyOf(entry);
      if (key === null) return [];
      const [url = '', variant] = key.split('\n', 2);
      return [
        {
          key: variant === undefined ? url : `${url} (variant)`,
          bytes: words[at + BODY_BYTES]! + words[at + META_BYTES]!,
          hits: Math.floor(words[at + USE]! / ONE_HIT),
          ageSeconds: Math.floor((nowMs - floats[(at + BORN_MS) >> 1]!) / 1_000),
          freshSeconds: Math.floor((floats[(at + FRESH_UNTIL_MS) >> 1]! - nowMs) / 1_000),
        },
      ];
    });
  }
}

function again(task: () => boolean): boolean {
  for (let i = 0; i < TRIES; i++) if (task()) return true;
  return false;
}
