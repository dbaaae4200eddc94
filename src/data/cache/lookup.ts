/**
 * Finds what is stored for a request: by its first key, and where a marker lies there by the second one, which the
 * fields that the marker names and the configured parts make (keys.ts).
 */
import type { KeySettings } from '../contract/cache.ts';
import type { CachedRoute } from './cached-route.ts';
import { firstKey, hasParts, type KeyRequest, secondKey } from './keys.ts';
import type { Markers } from './markers.ts';
import { NO_DIRECTIVES, parseCacheControl } from './rules/directives.ts';
import { reuseOf } from './rules/reuse.ts';
import { varyNames } from './rules/vary.ts';
import { Fill } from './store/fill.ts';
import { IS_MARKER } from './store/layout.ts';
import { Reader } from './store/reader.ts';
import { type CacheStore, type Entry, NOTHING } from './store/store.ts';

export interface Place {
  readonly firstKey: string;
  /** The key of the response itself: the second one where there is a marker, else the first. */
  key: string;
  /** Names of fields that the marker has; null: there is none. */
  vary: readonly string[] | null;
}

/** What looking up needs of the worker's cache. */
interface Memory {
  readonly store: CacheStore;
  readonly markers: Markers;
}

export interface Found {
  readonly place: Place;
  /** Open; the caller closes it. */
  readonly reader: Reader | null;
  readonly filling: Entry;
  readonly passes: boolean;
}

const NO_NAMES: readonly string[] = [];

/**
 * Where the response to a request lies. What there is says the store (`live`, `filling`, `passes`), which glances at
 * it: `glanceEnd` must follow.
 */
export function locate(cache: Memory, settings: KeySettings, request: KeyRequest, nowMs: number): Place {
  const { store } = cache;
  const first = firstKey(settings, request);
  const place: Place = { firstKey: first, key: first, vary: null };
  store.find(first, nowMs);
  const marker = cache.markers.ofLive();
  if (marker !== null) {
    place.vary = marker.vary;
    place.key = secondKey(first, marker.id, settings, marker.vary, request);
    store.glanceEnd();
    store.find(place.key, nowMs);
  } else if (hasParts(settings)) {
    // Without its marker nothing can be found under the parts; the first to store something puts one there.
    store.live = NOTHING;
    store.filling = NOTHING;
  }
  return place;
}

/** Opens what `locate` has found and ends the glance. `isUse` false: it is only a look, not a hit. */
export function openFound(store: CacheStore, place: Place, isUse = true): Found {
  const { live, filling, passes } = store;
  const reader = live === NOTHING ? null : Reader.open(store, live, isUse);
  store.glanceEnd();
  return { place, reader, filling, passes };
}

/** Would this request be answered from memory, if it looked now? Without a trace: nothing is counted or kept. */
export function holdsResponse(route: CachedRoute, request: KeyRequest & { readonly method: string }): boolean {
  if (request.method !== 'GET' && request.method !== 'HEAD') return false;
  const { cache, settings } = route;
  const nowMs = cache.clock.wallMs();
  const wanted = settings.obeysRequests ? parseCacheControl(request.header('cache-control')) : NO_DIRECTIVES;
  const { reader } = openFound(cache.store, locate(cache, settings.key, request, nowMs), false);
  if (reader === null) return false;
  const reuse = reuseOf(reader.terms, wanted, nowMs);
  reader.close();
  return reuse !== 'validate';
}

/**
 * Puts a marker with these names under the first key, in place of whatever is there, and moves the place to the second
 * key. `own`: the fill of the first key, if the caller has begun it; it becomes the marker. False: the store has no
 * room.
 */
export function setMarker(
  cache: Memory,
  settings: KeySettings,
  request: KeyRequest,
  place: Place,
  vary: readonly string[],
  own: Fill | null,
): boolean {
  const { store } = cache;
  let fill = own;
  if (fill === null) {
    store.find(place.firstKey, 0);
    store.glanceEnd();
    const begun = Fill.begin(store, place.firstKey);
    if (typeof begun === 'number') return false;
    fill = begun;
  }
  const names = [...new Set([...(place.vary ?? NO_NAMES), ...vary])].sort();
  const isThere =
    fill.head(Buffer.from(names.join(','), 'latin1'), [], 0, {
      bornMs: 0,
      freshUntilMs: Number.MAX_SAFE_INTEGER,
      staleWhileRevalidateS: 0,
      staleIfErrorS: 0,
      flags: IS_MARKER,
    }) && fill.commit();
  if (!isThere) {
    fill.giveUp();
    return false;
  }
  store.find(place.firstKey, 0);
  const marker = cache.markers.ofLive();
  store.glanceEnd();
  if (marker === null) return false;
  place.vary = marker.vary;
  place.key = secondKey(place.firstKey, marker.id, settings, marker.vary, request);
  return true;
}

/** Does the marker of this place already name all fields of this `Vary`? */
export function isCovered(place: Place, vary: string | null): boolean {
  const names = varyNames(vary);
  if (place.vary === null) return names.length === 0;
  return names.every((name) => place.vary!.includes(name));
}
