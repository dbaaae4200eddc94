/**
 * Stores the response that one request fetches while it passes: decides whether it may be stored and under which key,
 * puts the marker there when its `Vary` asks for one, and leaves a mark when nobody should wait for such a response
 * again.
 */
import type { MessageFraming } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';
import type { CachedRoute } from './cached-route.ts';
import { choosingNames, type KeyRequest } from './keys.ts';
import { isCovered, needsMarker, type Place, setMarker } from './lookup.ts';
import { type Missing, missingOf } from './rest-of-body.ts';
import type { Directives } from './rules/directives.ts';
import { mayStore, type StoreRefusal, type Storing } from './rules/storing.ts';
import { governing } from './rules/targeted.ts';
import { varyNames } from './rules/vary.ts';
import { Fill } from './store/fill.ts';
import { Reader } from './store/reader.ts';
import type { Entry } from './store/store.ts';
import { headForStore, mergedHead, readStored, tagNames } from './stored-head.ts';
import type { TierFill } from './tier/tier-fill.ts';
import type { TierObject } from './tier/tier-value.ts';

/** What of a request makes keys and decides about storing. */
export interface FillRequest extends KeyRequest {
  readonly method: string;
  /** Does `header` know this field? Absent: all of them. */
  knows?(name: string): boolean;
}

/** `no_room`: the store could not take it, or another request is storing it already. */
export type FillOutcome = 'stored' | StoreRefusal | 'no_room';

/** Of these the next response of the URL is likely to be the same, so that waiting for it would be in vain. */
const LASTING: ReadonlySet<FillOutcome> = new Set<FillOutcome>([
  'partial',
  'no_store',
  'private',
  'authorization',
  'set_cookie',
  'vary_star',
  'no_lifetime',
  'too_large',
]);

export class FillRecorder {
  outcome: FillOutcome = 'no_room';
  /** When the response was born, once it is stored. */
  bornMs = 0;
  /** Set by the request that fetches for the store, where its route has a second tier. */
  tier: TierFill | null = null;
  readonly #route: CachedRoute;
  readonly #request: FillRequest;
  readonly #place: Place;
  #fill: Fill | null;

  /** Makes this request the one that fetches; negative: another one does; 0: the store cannot. */
  static begin(route: CachedRoute, request: FillRequest, place: Place): FillRecorder | Entry {
    const { store } = route.cache;
    const { key } = route.settings;
    if (needsMarker(key, request, place)) {
      if (!setMarker(route.cache, key, request, place, choosingNames(request, null), null)) return 0;
    }
    if (place.vary !== null) {
      store.find(place.key, 0);
      store.glanceEnd();
    }
    const fill = Fill.begin(store, place.key);
    return typeof fill === 'number' ? fill : new FillRecorder(route, request, place, fill);
  }

  /** For a request that fetches without having announced it. */
  static late(route: CachedRoute, request: FillRequest, place: Place): FillRecorder {
    return new FillRecorder(route, request, place, null);
  }

  private constructor(route: CachedRoute, request: FillRequest, place: Place, fill: Fill | null) {
    this.#route = route;
    this.#request = request;
    this.#place = place;
    this.#fill = fill;
  }

  /** The head of the response has come. */
  begin(head: Head, framing: MessageFraming, wanted: Readonly<Directives>, requestMs: number): FillOutcome {
    const storing = this.#mayStore(head, wanted.noStore, requestMs);
    if (typeof storing === 'string') return this.#refuse(storing, head.status);
    if (framing.bodyLength > this.#route.mostBytes) return this.#refuse('too_large', head.status);
    const bytes = headForStore(head, framing.nominated, storing.withheld);
    if (!this.#open(head) || !this.#writeHead(bytes, head, framing.bodyLength, storing)) return this.#noRoom();
    this.bornMs = storing.bornMs;
    this.outcome = 'stored';
    return 'stored';
  }

  /** Stores in memory what the second tier has. False: it may not be stored here, or there is no room. */
  load({ head, body, terms }: TierObject): boolean {
    const { cache, mostBytes } = this.#route;
    if (body.length > mostBytes) return false;
    const stored = readStored(head, cache.otherHead);
    // Who stored it may have had other rules. Whether this request has credentials does not matter: it was stored
    // for all.
    const storing = this.#mayStore(stored, false, cache.clock.wallMs(), false);
    if (typeof storing === 'string' && storing !== 'no_lifetime') return false;
    const isWritten =
      this.#open(stored) &&
      this.#fill!.head(head, this.#tags(stored), body.length, terms) &&
      this.#fill!.append(body, 0, body.length);
    if (!isWritten) {
      this.giveUp(0);
      return false;
    }
    const fill = this.#fill!;
    this.#fill = null;
    return fill.commit();
  }

  /** A 304 has come for what is stored (RFC 9111 §4.3.4): the head as it is now, stored again with the old body. */
  update(stale: Reader, stored: Head, head: Head, nominated: readonly string[] | null, requestMs: number): Buffer {
    const { cache, rules } = this.#route;
    const { withheld } = governing(head, rules.targets).directives;
    const bytes = mergedHead(stored, head, nominated, withheld);
    const merged = readStored(bytes, cache.otherHead);
    const storing = this.#mayStore(merged, false, requestMs);
    this.bornMs = typeof storing === 'string' ? cache.clock.wallMs() : storing.bornMs;
    if (typeof storing === 'string') {
      this.#refuse(storing, 200);
      return bytes;
    }
    const isStored =
      this.#open(merged) &&
      this.#writeHead(bytes, merged, stale.bodyBytes, storing) &&
      this.#fill!.appendFrom(stale.entry);
    if (isStored && this.#commit(this.#fill!)) this.outcome = 'stored';
    else this.#noRoom();
    this.#fill = null;
    return bytes;
  }

  /** False: it is not stored after all. */
  append(bytes: Buffer, start: number, end: number): boolean {
    const fill = this.#fill;
    if (fill === null) return true;
    if (fill.bodyWritten + end - start > this.#route.mostBytes) {
      this.giveUp(this.#route.settings.passMs);
      return false;
    }
    if (fill.append(bytes, start, end)) return true;
    this.giveUp(0);
    return false;
  }

  /** The request that fetches is over; what it stores may still be on its way. */
  requestOver(): void {
    this.tier?.close(this.#fill === null ? null : (this.#place.vary ?? []));
  }

  /** Somebody waits for what is being stored. */
  get isAwaited(): boolean {
    const fill = this.#fill;
    return fill !== null && this.#route.cache.store.isReadByOthers(fill.entry);
  }

  /** What has not come of what is being stored; null: it cannot be asked for. */
  missing(): Missing | null {
    const fill = this.#fill;
    if (fill === null || !fill.hasKnownLength) return null;
    const reader = Reader.open(this.#route.cache.store, fill.entry);
    if (reader === null) return null;
    const etag = readStored(reader.head(), this.#route.cache.otherHead).valueOf('etag');
    const missing = missingOf(etag, fill.bodyWritten, reader.bodyBytes);
    reader.close();
    return missing;
  }

  /** The body is whole. */
  end(): void {
    const fill = this.#fill;
    this.#fill = null;
    if (fill !== null && this.#commit(fill)) this.#route.counts.stored();
  }

  /** `passMs` above 0: nobody waits for the next response of this key for so long. */
  giveUp(passMs: number): void {
    this.#dropFill(passMs);
    this.tier?.end(passMs);
  }

  #dropFill(passMs: number): void {
    const fill = this.#fill;
    this.#fill = null;
    fill?.giveUp(passMs > 0 ? this.#route.cache.clock.wallMs() + passMs : 0);
  }

  /** Reads what is being stored, if its length is known: then there is room for all of it. */
  openReader(): Reader | null {
    const fill = this.#fill;
    if (fill === null || !fill.hasKnownLength) return null;
    return Reader.open(this.#route.cache.store, fill.entry);
  }

  /**
   * The gateway knows who asks, and says so to the service: by an API key, a cookie or a certificate as well as by
   * `Authorization` (RFC 9111 §3.5). Callers of a plan share where the configuration says so, which the field's own
   * rule does not allow.
   */
  get #hasCredentials(): boolean {
    const request = this.#request;
    return request.header('authorization') !== null || (request.identity !== null && !this.#route.settings.key.plan);
  }

  #mayStore(
    head: Head,
    noStore: boolean,
    requestMs: number,
    hasCredentials = this.#hasCredentials,
  ): Storing | StoreRefusal {
    const { rules, settings, cache } = this.#route;
    const request = this.#request;
    const asked = {
      method: request.method,
      hasCredentials,
      noStore,
      isPerUser: settings.key.user && request.identity !== null && request.identity.isNameless !== true,
    };
    return mayStore(asked, head, rules, requestMs, cache.clock.wallMs());
  }

  /** Begins the fill where it is not begun, under the key that the response's `Vary` makes. */
  #open(head: Head): boolean {
    const { cache, settings } = this.#route;
    const { store } = cache;
    const place = this.#place;
    const vary = head.valueOf('vary');
    const names = choosingNames(this.#request, vary);
    if (!isCovered(place, names) || needsMarker(settings.key, this.#request, place)) {
      // A refresh does not know the request's fields that nobody had asked for.
      if (this.#request.knows !== undefined && !varyNames(vary).every((name) => this.#request.knows!(name)))
        return false;
      const own = place.vary === null ? this.#fill : null;
      if (own === null) this.#dropFill(0);
      this.#fill = null;
      if (!setMarker(cache, settings.key, this.#request, place, names, own)) return false;
    }
    if (this.#fill !== null) return true;
    store.find(place.key, 0);
    store.glanceEnd();
    const fill = Fill.begin(store, place.key);
    if (typeof fill === 'number') return false;
    this.#fill = fill;
    return true;
  }

  #writeHead(bytes: Buffer, head: Head, bodyBytes: number, storing: Storing): boolean {
    return this.#fill!.head(bytes, this.#tags(head), bodyBytes, storing);
  }

  #tags(head: Head): number[] {
    const { store } = this.#route.cache;
    return tagNames(head).map((name) => store.tagHash(name));
  }

  /** The store in memory has it; then the second tier gets it. */
  #commit(fill: Fill): boolean {
    const reader = this.tier?.reader(fill.entry) ?? null;
    const isLive = fill.commit();
    if (reader !== null && isLive) this.tier!.write(reader);
    else {
      reader?.close();
      this.tier?.end(0);
    }
    return isLive;
  }

  #refuse(why: StoreRefusal, status: number): FillOutcome {
    this.outcome = why;
    const had = this.#fill !== null;
    this.giveUp(LASTING.has(why) ? this.#route.settings.passMs : 0);
    // What is stored is out of date, and what is true now may not be stored.
    if (had && status < 500 && why !== 'status' && why !== 'partial') {
      this.#route.cache.store.removeLive(this.#place.key);
      this.tier?.forget();
    }
    return why;
  }

  #noRoom(): FillOutcome {
    this.giveUp(0);
    this.outcome = 'no_room';
    return 'no_room';
  }
}
