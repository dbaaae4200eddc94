/**
 * One request to a route with a cache, between the exchange and the action that would respond: sends what is stored,
 * waits for what another request fetches, or fetches it itself (fetch.ts). Read `start`, then `#decide`.
 *
 *   lookUp --fresh--> send              --stale-while-revalidate--> send, and refresh beside
 *          --somebody fetches it--> follow --> send, or (given up, too slow) decide again
 *                                          --> (lost in the middle) ask the service for the rest
 *          --stale, nothing--> fetch
 */
import { FAULTS, Fault } from '../../base/errors.ts';
import type { CacheResult } from '../contract/cache.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import type { FieldNames } from '../contract/field-names.ts';
import type { PolicyContext, Reply } from '../contract/policy.ts';
import type { ResponseHandler, ResponseSource } from '../exchange/response-source.ts';
import type { BytesHolder } from '../exchange/upstream-stream.ts';
import type { CachedRoute, Refresh } from './cached-route.ts';
import { Fetch, type FetchClient } from './fetch.ts';
import { FillRecorder } from './fill-recorder.ts';
import type { Follower } from './fill-watch.ts';
import type { HotHead } from './hot-heads.ts';
import { HIT_RECORD, HotHit } from './hot-hit.ts';
import { hasParts, type KeyRequest } from './keys.ts';
import { type Found, locate, openFound, type Place } from './lookup.ts';
import { refreshBeside } from './refresh.ts';
import { RestOfBody, type RestTaker } from './rest-of-body.ts';
import type { BypassReason } from './route-counts.ts';
import { cacheStatus, type Forwarded, type Handling } from './rules/cache-status.ts';
import { type Directives, NO_DIRECTIVES, parseCacheControl } from './rules/directives.ts';
import { reuseOf } from './rules/reuse.ts';
import { FILLING, LIVE } from './store/layout.ts';
import type { Reader } from './store/reader.ts';
import { type Entry, NOTHING } from './store/store.ts';
import { StoredSender } from './stored-sender.ts';
import type { RedisTier } from './tier/redis-tier.ts';
import { TierFill } from './tier/tier-fill.ts';
import type { TierObject } from './tier/tier-value.ts';
import type { WorkerCache } from './worker-cache.ts';

/** What of the exchange the cache uses. */
export type CachedRequest = PolicyContext &
  KeyRequest & {
    /** Fields that are known to be such. */
    addResponseFields(block: FieldBlock): void;
    /** That of the request. */
    readonly body: { readonly complete: boolean };
    readonly nowMs: number;
    /** The protocol that it asks for; empty: none. */
    readonly upgrade: string;
    hasAnyField(names: FieldNames): boolean;
    /** `,"name":value` of the access record. */
    logConstant(part: string): void;
  };

/** After so many fills of others that came to nothing a request fetches for itself. */
const MOST_FOLLOWS = 3;

export class CachedResponse implements ResponseSource, Follower, FetchClient, RestTaker {
  readonly #cache: WorkerCache;
  readonly #route: CachedRoute;
  readonly #request: CachedRequest;
  readonly #open: (handler: ResponseHandler) => ResponseSource;
  readonly #handler: ResponseHandler;
  /** Null: what is stale is asked for anew while the client waits. */
  readonly #refresh: Refresh | null;
  readonly #wanted: Readonly<Directives>;
  #place: Place | null = null;
  #fetch: Fetch | null = null;
  /** The fetch, or the rest of a fill that is lost. */
  #source: ResponseSource | null = null;
  /** For the fetch. */
  #recorder: FillRecorder | null = null;
  #stale: Reader | null = null;
  /** The fill of another request. */
  #followed: Reader | null = null;
  #follows = 0;
  /** Sends what is stored; beside a source of ours: what the client is behind. */
  #sender: StoredSender | null = null;
  #fwd: Forwarded = 'uri-miss';
  #isDone = false;
  /** Redis has been asked, and had it. */
  #askedTier = false;
  /** What asked it, while what it had is looked at. */
  #tierFill: TierFill | null = null;
  #isFromTier = false;

  constructor(
    route: CachedRoute,
    request: CachedRequest,
    open: (handler: ResponseHandler) => ResponseSource,
    handler: ResponseHandler,
    refresh: Refresh | null,
  ) {
    this.#refresh = refresh;
    this.#cache = route.cache;
    this.#route = route;
    this.#request = request;
    this.#open = open;
    this.#handler = handler;
    this.#wanted = route.settings.obeysRequests ? parseCacheControl(request.header('cache-control')) : NO_DIRECTIVES;
  }

  // --- ResponseSource: the exchange's side -----------------------------------------------------------------------

  start(nowMs: number): void {
    const { method, contentLength, upgrade } = this.#request;
    if (method !== 'GET' && method !== 'HEAD') this.#beginFetch(nowMs, 'method');
    // RFC 9110 §9.3.1 gives it no meaning, but a service may; it is no part of a key, and a stranger's would be for
    // all.
    else if (contentLength !== 0) this.#beginFetch(nowMs, 'body');
    else if (upgrade !== '') this.#beginFetch(nowMs, 'upgrade');
    else this.#decide(nowMs);
  }

  resume(): void {
    if (this.#sender === null) {
      this.#source?.resume();
      return;
    }
    this.#sender.drained();
    this.goOnSending();
  }

  abandon(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    // First what is read for this client, then the fetch, which looks who else reads.
    this.#release();
    this.#source?.abandon();
    this.#recorder?.requestOver();
    this.#recorder?.giveUp(0);
  }

  // --- looking -----------------------------------------------------------------------------------------------------

  #decide(nowMs: number): void {
    const wallMs = this.#cache.clock.wallMs();
    const { store } = this.#cache;
    this.#place = locate(this.#cache, this.#route.settings.key, this.#request, wallMs);
    const hot = store.live === NOTHING ? null : this.#hot(store.live, wallMs);
    if (hot !== null && hot.body !== null) {
      store.glanceEnd();
      this.#sendHot(hot, this.#place, nowMs, wallMs);
      return;
    }
    const found = openFound(store, this.#place);
    const { reader } = found;
    if (reader !== null) {
      if (hot !== null) {
        this.#sendLong(reader, hot, wallMs);
        return;
      }
      const reuse = reuseOf(reader.terms, this.#wanted, wallMs);
      if (reuse === 'hit' || (reuse === 'stale' && this.#refresh !== null)) {
        if (reuse === 'stale') refreshBeside(this.#route, this.#request, found.place, reader, this.#refresh!);
        const ttl = Math.floor((reader.terms.freshUntilMs - wallMs) / 1_000);
        this.sendStored(reader, reuse, this.#isFromTier ? { ttl, detail: 'redis' } : { ttl }, wallMs, null);
        return;
      }
    }
    if (this.#wanted.onlyIfCached) {
      reader?.close();
      this.fail(new Fault(FAULTS.notCached));
      return;
    }
    this.#miss(found, nowMs);
  }

  /** What is remembered of a response that is asked for often, fresh, and wanted as it is. */
  #hot(entry: Entry, wallMs: number): HotHead | null {
    const request = this.#request;
    if (request.method !== 'GET' || this.#isFromTier || request.hasAnyField(this.#route.asksForMore)) return null;
    const hot = this.#cache.hot.of(entry);
    return hot?.isFresh(wallMs) === true ? hot : null;
  }

  #sendHot(hot: HotHead, place: Place, nowMs: number, wallMs: number): void {
    const route = this.#route;
    if (place.vary === null && !hasParts(route.settings.key)) this.#cache.targets.set(route, this.#request, hot);
    this.#source = new HotHit(hot, route, this.#request, this.#handler, wallMs);
    this.#source.start(nowMs);
  }

  #sendLong(reader: Reader, hot: HotHead, wallMs: number): void {
    const route = this.#route;
    route.counts.result('hit');
    this.#request.logConstant(HIT_RECORD);
    this.#request.addResponseFields(hot.fields(route, wallMs));
    this.#sender = new StoredSender(this.#cache, this.#request, this.#handler, reader);
    this.#sender.sendKnown(hot.head);
    this.goOnSending();
  }

  /** There is nothing that can be sent at once. */
  #miss({ reader, filling, passes, place }: Found, nowMs: number): void {
    const { method } = this.#request;
    this.#fwd = reader !== null ? 'stale' : place.vary !== null ? 'vary-miss' : 'uri-miss';
    const alone = method === 'HEAD' ? 'method' : this.#goesAlone(reader !== null);
    if (alone !== null) {
      this.#stale = reader;
      this.#beginFetch(nowMs, alone);
      return;
    }
    this.#stale = reader;
    const asksForNew = this.#wanted.noCache || this.#wanted.maxAge === 0;
    const mayWait = this.#route.settings.waitMs > 0 && !asksForNew && this.#follows < MOST_FOLLOWS;
    if (filling !== NOTHING && mayWait) {
      this.#follow(filling, nowMs);
      return;
    }
    if (!passes && filling === NOTHING && !this.#wanted.noStore) {
      const begun = FillRecorder.begin(this.#route, this.#request, place);
      if (begun instanceof FillRecorder) this.#recorder = begun;
      else if (begun < NOTHING && mayWait) {
        this.#follow(-begun, nowMs);
        return;
      }
      if (this.#recorder !== null && this.#route.tier !== null && this.#askTier(this.#route.tier, place, asksForNew))
        return;
    }
    this.#beginFetch(nowMs, null);
  }

  /** Has another gateway fetched it, or is about to? True: the answer comes later. */
  #askTier(tier: RedisTier, place: Place, asksForNew: boolean): boolean {
    // What was there has to be validated: what is known of Redis still holds, and who fetches is agreed on.
    const known = this.#tierFill;
    this.#tierFill = null;
    const fill = known ?? new TierFill(tier, this.#route, this.#request, place.firstKey);
    this.#recorder!.tier = fill;
    if (known !== null) return false;
    if (asksForNew || this.#askedTier) {
      fill.look();
      return false;
    }
    this.#askedTier = true;
    return fill.read((object) => this.#onTier(fill, object));
  }

  #onTier(fill: TierFill, object: TierObject | null): void {
    const nowMs = this.#cache.clock.monotonicMs();
    if (object !== null && this.#recorder!.load(object)) {
      this.#recorder = null;
      this.#closeStale();
      this.#isFromTier = true;
      this.#tierFill = fill;
      this.#decide(nowMs);
      // Nothing had to be fetched, or somebody else does it.
      this.#tierFill?.end(0);
      this.#tierFill = null;
    } else this.#beginFetch(nowMs, null);
    this.#handler.flush();
  }

  /** Requests whose response may not be the whole one, so that nobody should wait for it. */
  #goesAlone(hasStale: boolean): BypassReason | null {
    const request = this.#request;
    if (request.header('range') !== null) return 'range';
    if (request.header('if-match') !== null || request.header('if-unmodified-since') !== null) return 'condition';
    if (hasStale) return null;
    return request.header('if-none-match') !== null || request.header('if-modified-since') !== null
      ? 'condition'
      : null;
  }

  // --- following another request's fill ----------------------------------------------------------------------------

  #follow(entry: Entry, nowMs: number): void {
    this.#follows++;
    this.#followed = this.#cache.watches.follow(entry, this.#place!.key, this, this.#route.settings.waitMs);
    if (this.#followed === null) this.#beginFetch(nowMs, null);
    else this.#look();
  }

  onProgress(): void {
    if (this.#followed === null || this.#isDone) return;
    this.#look();
    if (!this.#isDone) this.#handler.flush();
  }

  /** What has become of the fill that is followed? */
  #look(): void {
    const reader = this.#followed!;
    if (this.#sender !== null) {
      this.goOnSending();
      return;
    }
    const { kind } = reader;
    const canBegin = kind === LIVE || (kind === FILLING && reader.hasHead && reader.bodyBytes >= 0);
    if (canBegin && !reader.isMarker) {
      // What the filler stores need not be fresh, but it has come for this request as much as for its own.
      this.#closeStale();
      if (kind === LIVE) this.#unfollow();
      const wallMs = this.#cache.clock.wallMs();
      const how = { fwd: this.#fwd, collapsed: true, ttl: Math.floor((reader.terms.freshUntilMs - wallMs) / 1_000) };
      this.sendStored(reader, 'coalesced', how, wallMs, null);
      return;
    }
    if (kind === FILLING) return;
    // Given up, purged, or a marker that says under which key it really is.
    this.#unfollow();
    reader.close();
    this.#closeStale();
    this.#decide(this.#cache.clock.monotonicMs());
  }

  onFillTimeout(): void {
    const reader = this.#followed;
    if (reader === null || this.#sender !== null || this.#isDone) return;
    this.#unfollow();
    reader.close();
    this.#route.counts.refused('wait_timeout');
    this.#beginFetch(this.#cache.clock.monotonicMs(), null);
    this.#handler.flush();
  }

  #unfollow(): void {
    const reader = this.#followed;
    this.#followed = null;
    if (reader !== null) this.#cache.watches.unfollow(reader.entry, this);
  }

  // --- sending what is stored ----------------------------------------------------------------------------------------

  sendStored(
    reader: Reader,
    result: CacheResult,
    how: Handling,
    nowMs: number,
    renewed: { readonly head: Buffer; readonly bornMs: number } | null,
  ): void {
    this.tell(result, how);
    const sender = new StoredSender(this.#cache, this.#request, this.#handler, reader);
    this.#sender = sender;
    if (renewed === null) sender.sendHead(null, reader.terms.bornMs, nowMs);
    else sender.sendHead(renewed.head, renewed.bornMs, nowMs);
    this.goOnSending();
  }

  goOnSending(): void {
    if (this.#isDone) return;
    const sender = this.#sender!;
    const progress = sender.pump();
    if (progress === 'waiting' || this.#isDone) return;
    this.#route.counts.bytes(sender.sent);
    if (progress === 'broken') {
      if (this.#takeOver(sender)) return;
      this.fail(new Fault(FAULTS.upstreamReset, { cause: 'the request that fetched it was given up' }));
      return;
    }
    // Before the exchange ends and gives up what is still on its way: a 304 may be, whose connection is worth keeping.
    this.#isDone = true;
    this.#release();
    this.#handler.onEnd(null);
  }

  tell(result: CacheResult, how: Handling): void {
    this.#route.counts.result(result);
    this.#request.logField('cache', result);
    if (this.#route.settings.tellsStatus)
      this.#request.addResponseHeader('Cache-Status', cacheStatus(this.#route.statusName, how));
  }

  // --- fetching ------------------------------------------------------------------------------------------------------

  /** `alone`: why the response cannot serve others; null when it can. */
  #beginFetch(nowMs: number, alone: BypassReason | 'method' | null): void {
    const stale = this.#stale;
    const recorder = this.#recorder;
    this.#stale = null;
    this.#recorder = null;
    if (alone !== null && stale === null && this.#fwd === 'uri-miss')
      this.#fwd = alone === 'method' ? 'method' : 'request';
    const wanted = { place: this.#place!, directives: this.#wanted, fwd: this.#fwd, alone, stale, recorder };
    this.#fetch = new Fetch(this, this.#route, this.#request, this.#open, wanted);
    this.#source = this.#fetch;
    this.#source.start(nowMs);
  }

  get handler(): ResponseHandler {
    return this.#handler;
  }

  get isServedFromStore(): boolean {
    return this.#sender !== null;
  }

  sendRest(reader: Reader, from: number): void {
    const sender = new StoredSender(this.#cache, this.#request, this.#handler, reader);
    sender.continueFrom(from);
    this.#sender = sender;
  }

  end(trailers: FieldBlock | null): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#release();
    this.#handler.onEnd(trailers);
  }

  reply(reply: Reply): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#release();
    this.#handler.onReply(reply);
  }

  fail(fault: Fault): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#release();
    this.#handler.onFault(fault);
  }

  // --- the rest of a fill that is lost -------------------------------------------------------------------------------

  /** The client has the beginning of what another request fetched. False: the rest cannot be asked for. */
  #takeOver(sender: StoredSender): boolean {
    if (this.#fetch !== null) return false;
    const missing = sender.missing();
    if (missing === null) return false;
    this.#route.counts.takeover('fill_lost');
    this.#unfollow();
    sender.reader.close();
    this.#sender = null;
    this.#source = new RestOfBody(missing, this.#request, this.#open, this);
    this.#source.start(this.#cache.clock.monotonicMs());
    return true;
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    this.#handler.onBody(bytes, start, end);
  }

  onEnd(): void {
    this.end(null);
  }

  onFault(fault: Fault): void {
    this.fail(fault);
  }

  flush(): boolean {
    return this.#handler.flush();
  }

  get holder(): BytesHolder | null {
    return this.#handler.holder;
  }

  onRequestDrain(): void {
    this.#handler.onRequestDrain();
  }

  #closeStale(): void {
    this.#stale?.close();
    this.#stale = null;
  }

  #release(): void {
    this.#fetch?.requestOver();
    const followed = this.#followed;
    this.#unfollow();
    followed?.close();
    this.#closeStale();
    this.#sender?.reader.close();
  }
}
