/**
 * Finds what is stored for a request: by its first key, and where a marker lies there by the second one, which the
 * fields that the marker names and the configured parts make (keys.ts).
 */
import type { KeySettings } from '../contract/cache.ts';
import type { CachedRoute } from './cached-route.ts';
import { ELSEWHERE, firstKey, hasParts, type KeyRequest, secondKey } from './keys.ts';
import type { Markers } from './markers.ts';
import { NO_DIRECTIVES, parseCacheControl } from './rules/directives.ts';
import { reuseOf } from './rules/reuse.ts';
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
  }
  if (needsMarker(settings, request, place)) {
    // Without its marker nothing can be found under the parts; the first to store something puts one there.
    store.live = NOTHING;
    store.filling = NOTHING;
  }
  return place;
}

/** Must there be a marker before anything is stored or found, or another one than there is? */
export function needsMarker(settings: KeySettings, request: KeyRequest, { vary }: Place): boolean {
  if (request.elsewhere !== null) return vary === null || !vary.includes(ELSEWHERE);
  return vary === null && hasParts(settings);
}

/** Opens what `locate` has found and ends the glance. `isUse` false: it is only a look, not a hit. */
export function openFound(store: CacheStore, place: Place, isUse = true): Found {
  const { live, filling, passes } = store;
  const reader = live === NOTHING ? null : Reader.open(store, live, isUse);
  store.glanceEnd();
  return { place, reader, filling, passes };
}

export type LookingRequest = KeyRequest & {
  readonly method: string;
  readonly contentLength: number;
  readonly upgrade: string;
};

/** How policies behind the look change what the service gets: nothing, fields of the request, or where it goes. */
export type Changes = 'nothing' | 'fields' | 'target';

/**
 * Would this request be answered from memory, if it looked now? Without a trace: nothing is counted or kept. False too
 * where what `changes` later may choose another response.
 */
export function holdsResponse(route: CachedRoute, request: LookingRequest, changes: Changes): boolean {
  if (changes === 'target') return false;
  if ((request.method !== 'GET' && request.method !== 'HEAD') || request.contentLength !== 0) return false;
  if (request.upgrade !== '') return false;
  const { cache, settings } = route;
  const nowMs = cache.clock.wallMs();
  const wanted = settings.obeysRequests ? parseCacheControl(request.header('cache-control')) : NO_DIRECTIVES;
  const place = locate(cache, settings.key, request, nowMs);
  const { reader } = openFound(cache.store, place, false);
  if (reader === null) return false;
  if (changes === 'fields' && place.vary !== null) {
    reader.close();
    return false;
  }
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

/** Does the marker of this place already have all these names? */
export function isCovered(place: Place, names: readonly string[]): boolean {
  if (place.vary === null) return names.length === 0;
  return names.every((name) => place.vary!.includes(name));
}
