/**
 * Which remembered response belongs to a request, by route, host and target alone: a hit then makes no key and hashes
 * none. Only of URLs that have one response for everybody, so nothing else of a request is looked at. Whether the
 * response is still stored is for hot-heads.ts to say.
 */
import type { CachedRoute } from './cached-route.ts';
import type { HotHead } from './hot-heads.ts';
import type { KeyRequest } from './keys.ts';
import type { Entry } from './store/entries.ts';

/** A power of two. */
const SLOTS = 1_024;
/** Longer ones are looked up in the store. */
const MOST_CHARACTERS = 128;

interface HotTarget {
  readonly route: CachedRoute;
  readonly scheme: string;
  readonly authority: string;
  readonly path: string;
  readonly query: string;
  readonly entry: Entry;
  readonly state: number;
}

/** Those of one worker. */
export class HotTargets {
  /** One for each hash; another target takes the place. */
  readonly #slots: (HotTarget | null)[] = new Array<HotTarget | null>(SLOTS).fill(null);

  /** Null: none is known. */
  get(route: CachedRoute, { callerScheme: scheme, authority, path, query }: KeyRequest): HotTarget | null {
    const known = this.#slots[slotOf(path, query)]!;
    return known !== null &&
      known.path === path &&
      known.query === query &&
      known.authority === authority &&
      known.route === route &&
      known.scheme === scheme
      ? known
      : null;
  }

  set(
    route: CachedRoute,
    { callerScheme: scheme, authority, path, query }: KeyRequest,
    { entry, state }: HotHead,
  ): void {
    if (path.length + query.length > MOST_CHARACTERS) return;
    this.#slots[slotOf(path, query)] = { route, scheme, authority, path, query, entry, state };
  }
}

/** Targets that somebody chooses to share a place are looked up in the store, and nothing else. */
function slotOf(path: string, query: string): number {
  if (path.length + query.length > MOST_CHARACTERS) return 0;
  let hash = path.length;
  for (let i = 0; i < path.length; i++) hash = Math.imul(hash ^ path.charCodeAt(i), 0x01000193);
  for (let i = 0; i < query.length; i++) hash = Math.imul(hash ^ query.charCodeAt(i), 0x01000193);
  return (hash ^ (hash >>> 15)) & (SLOTS - 1);
}
