/**
 * One request to a route with a cache, between the exchange and the action that would respond: sends what is stored,
 * waits for what another request fetches, or lets the action respond and stores that on its way to the client. Read
 * `start`, then `#decide`; what the action brings is below in the order in which it comes.
 *
 *   lookUp --fresh--> send              --stale-while-revalidate--> send, and refresh beside
 *          --somebody fetches it--> follow --> send, or (given up, too slow) decide again
 *          --stale--> fetch with conditions --304--> update, send         --fault, 5xx--> send what is stale, if it may be
 *          --nothing--> fetch --> store and send
 */
import { FAULTS, Fault } from '../../base/errors.ts';
import type { CacheResult } from '../contract/cache.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import type { PolicyContext, Reply } from '../contract/policy.ts';
import type { ResponseHandler, ResponseSource } from '../exchange/response-source.ts';
import type { BytesHolder } from '../exchange/upstream-stream.ts';
import { MessageFraming } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';
import type { CachedRoute, Refresh } from './cached-route.ts';
import { type FillOutcome, FillRecorder } from './fill-recorder.ts';
import type { Follower } from './fill-watch.ts';
import type { KeyRequest } from './keys.ts';
import { type Found, locate, openFound, type Place } from './lookup.ts';
import { refreshBeside } from './refresh.ts';
import type { BypassReason } from './route-counts.ts';
import { cacheStatus, type Forwarded, type Handling } from './rules/cache-status.ts';
import { type Directives, NO_DIRECTIVES, parseCacheControl } from './rules/directives.ts';
import { isErrorStatus, mayUseOnError, reuseOf } from './rules/reuse.ts';
import { conditionsOf, speaksOf, validatorsOf } from './rules/validation.ts';
import { FILLING, LIVE } from './store/layout.ts';
import { NO_PIN } from './store/pins.ts';
import { Queues } from './store/queues.ts';
import type { Reader } from './store/reader.ts';
import { type Entry, NOTHING } from './store/store.ts';
import { readStored } from './stored-head.ts';
import { StoredSender } from './stored-sender.ts';
import type { RedisTier } from './tier/redis-tier.ts';
import { TierFill } from './tier/tier-fill.ts';
import type { WorkerCache } from './worker-cache.ts';

/** What of the exchange the cache uses. */
export type CachedRequest = PolicyContext &
  KeyRequest & {
    /** Fields that are known to be such. */
    addResponseFields(block: FieldBlock): void;
    /** `,"name":value` of the access record. */
    logConstant(part: string): void;
  };

/** After so many fills of others that came to nothing a request fetches for itself. */
const MOST_FOLLOWS = 3;

const HIT = ',"cache":"hit"';
/** The head is handed on before the next one is read, so one for all will do. */
const framing = new MessageFraming();
framing.lengthGiven = true;

export class CachedResponse implements ResponseSource, ResponseHandler, Follower {
  readonly #cache: WorkerCache;
  readonly #route: CachedRoute;
  readonly #request: CachedRequest;
  readonly #open: (handler: ResponseHandler) => ResponseSource;
  readonly #handler: ResponseHandler;
  readonly #refresh: Refresh;
  readonly #wanted: Readonly<Directives>;
  #place: Place | null = null;
  /** The action's own response, while it is on its way. */
  #source: ResponseSource | null = null;
  #requestMs = 0;
  #recorder: FillRecorder | null = null;
  /** What is stored and stale, while the service is asked whether it still holds. */
  #stale: Reader | null = null;
  #isConditional = false;
  /** What the action still brings is of no interest: the end of a 304. */
  #ignoresSource = false;
  /** The fill of another request. */
  #followed: Reader | null = null;
  #follows = 0;
  /** Sends what is stored; beside a source of ours: what the client is behind. */
  #sender: StoredSender | null = null;
  #headSent = false;
  #bodySent = 0;
  #fwd: Forwarded = 'uri-miss';
  #isDone = false;
  /** Redis has been asked, and had it. */
  #askedTier = false;
  #isFromTier = false;

  constructor(
    route: CachedRoute,
    request: CachedRequest,
    open: (handler: ResponseHandler) => ResponseSource,
    handler: ResponseHandler,
    refresh: Refresh,
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
    const { method } = this.#request;
    if (method === 'GET' || method === 'HEAD') this.#decide(nowMs);
    else this.#fetch(nowMs, 'method');
  }

  resume(): void {
    if (this.#sender === null) this.#source?.resume();
    else this.#goOnSending();
  }

  abandon(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#source?.abandon();
    this.#recorder?.giveUp(0);
    this.#release();
  }

  // --- looking -----------------------------------------------------------------------------------------------------

  #decide(nowMs: number): void {
    const wallMs = this.#cache.clock.wallMs();
    const { store } = this.#cache;
    this.#place = locate(this.#cache, this.#route.settings.key, this.#request, wallMs);
    if (store.live !== NOTHING && this.#sendAtOnce(store.live, wallMs)) return;
    const found = openFound(store, this.#place);
    const { reader } = found;
    if (reader !== null) {
      const reuse = reuseOf(reader.terms, this.#wanted, wallMs);
      if (reuse !== 'validate') {
        if (reuse === 'stale') refreshBeside(this.#route, this.#request, found.place, reader, this.#refresh);
        const ttl = Math.floor((reader.terms.freshUntilMs - wallMs) / 1_000);
        this.#sendStored(reader, reuse, this.#isFromTier ? { ttl, detail: 'redis' } : { ttl }, wallMs);
        return;
      }
    }
    if (this.#wanted.onlyIfCached) {
      reader?.close();
      this.#fail(new Fault(FAULTS.notCached));
      return;
    }
    this.#miss(found, nowMs);
  }

  /**
   * The commonest case: what is asked for often, is small, fresh and wanted as it is is sent in one step. False: it
   * is not so.
   */
  #sendAtOnce(entry: Entry, wallMs: number): boolean {
    const request = this.#request;
    if (request.method !== 'GET' || this.#wanted !== NO_DIRECTIVES || this.#isFromTier || this.#asksForMore())
      return false;
    const cache = this.#cache;
    const { store, hot } = cache;
    const known = hot.of(entry);
    if (known === null || !known.isFresh(wallMs)) return false;
    const pin = store.hold(entry);
    if (pin === NO_PIN) return false;
    store.glanceEnd();
    Queues.hit(store.words, store.at(entry));
    const { counts } = this.#route;
    counts.result('hit');
    counts.bytes(known.bodyBytes);
    request.logConstant(HIT);
    request.addResponseFields(known.fields(this.#route, wallMs));
    const handler = this.#handler;
    framing.bodyLength = known.bodyBytes;
    handler.onHead(known.head, framing);
    if (!this.#isDone && known.bodyBytes > 0) {
      const piece = cache.takePiece();
      hot.readBody(known, piece);
      handler.onBody(piece, 0, known.bodyBytes);
      if (handler.holder === null) cache.givePiece(piece);
    }
    store.drop(entry, pin);
    if (this.#isDone) return true;
    this.#isDone = true;
    handler.onEnd(null);
    return true;
  }

  /** A part of the response, or whether it is still the one that the client has. */
  #asksForMore(): boolean {
    const request = this.#request;
    return (
      request.header('range') !== null ||
      request.header('if-none-match') !== null ||
      request.header('if-modified-since') !== null
    );
  }

  /** There is nothing that can be sent at once. */
  #miss({ reader, filling, passes, place }: Found, nowMs: number): void {
    const { method } = this.#request;
    this.#fwd = reader !== null ? 'stale' : place.vary !== null ? 'vary-miss' : 'uri-miss';
    const alone = method === 'HEAD' ? 'method' : this.#goesAlone(reader !== null);
    if (alone !== null) {
      this.#stale = reader;
      this.#fetch(nowMs, alone);
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
    this.#fetch(nowMs, null);
  }

  /** Has another gateway fetched it? True: the answer comes later. */
  #askTier(tier: RedisTier, place: Place, asksForNew: boolean): boolean {
    const fill = new TierFill(tier, this.#route, this.#request, place.firstKey);
    this.#recorder!.tier = fill;
    if (asksForNew || this.#askedTier) {
      fill.look();
      return false;
    }
    this.#askedTier = true;
    return fill.read((object) => {
      const nowMs = this.#cache.clock.monotonicMs();
      if (object !== null && this.#recorder!.load(object)) {
        this.#recorder = null;
        this.#closeStale();
        this.#isFromTier = true;
        this.#decide(nowMs);
      } else this.#fetch(nowMs, null);
      this.#handler.flush();
    });
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
    if (this.#followed === null) this.#fetch(nowMs, null);
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
      this.#goOnSending();
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
      this.#sendStored(reader, 'coalesced', how, wallMs);
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
    this.#fetch(this.#cache.clock.monotonicMs(), null);
    this.#handler.flush();
  }

  #unfollow(): void {
    const reader = this.#followed;
    this.#followed = null;
    if (reader !== null) this.#cache.watches.unfollow(reader.entry, this);
  }

  // --- sending what is stored ----------------------------------------------------------------------------------------

  /** `newHead`: as a 304 has changed it. */
  #sendStored(reader: Reader, result: CacheResult, how: Handling, nowMs: number, newHead: Buffer | null = null): void {
    this.#tell(result, how);
    const sender = new StoredSender(this.#cache, this.#request, this.#handler, reader);
    this.#sender = sender;
    this.#headSent = true;
    const bornMs = newHead === null ? reader.terms.bornMs : this.#recorder!.bornMs;
    sender.sendHead(newHead, bornMs, nowMs);
    this.#goOnSending();
  }

  #goOnSending(): void {
    if (this.#isDone) return;
    const sender = this.#sender!;
    const progress = sender.pump();
    if (progress === 'waiting' || this.#isDone) return;
    this.#route.counts.bytes(sender.sent);
    if (progress === 'broken') {
      this.#fail(new Fault(FAULTS.upstreamReset, { cause: 'the request that fetched it was given up' }));
      return;
    }
    // Before the exchange ends and gives up what is still on its way: a 304 may be, whose connection is worth keeping.
    this.#isDone = true;
    this.#release();
    this.#handler.onEnd(null);
  }

  #tell(result: CacheResult, how: Handling): void {
    this.#route.counts.result(result);
    this.#request.logField('cache', result);
    if (this.#route.settings.tellsStatus)
      this.#request.addResponseHeader('Cache-Status', cacheStatus(this.#route.statusName, how));
  }

  // --- asking the action ---------------------------------------------------------------------------------------------

  /** `alone`: why the response cannot serve others; null when it can. */
  #fetch(nowMs: number, alone: BypassReason | 'method' | null): void {
    if (alone !== null && this.#stale === null && this.#fwd === 'uri-miss')
      this.#fwd = alone === 'method' ? 'method' : 'request';
    this.#requestMs = this.#cache.clock.wallMs();
    if (this.#stale !== null && alone === null) this.#askConditionally(this.#stale);
    this.#source = this.#open(this);
    this.#source.start(nowMs);
  }

  /** RFC 9111 §4.3.1. Conditions of the client are answered from what the service says of the stored response. */
  #askConditionally(stale: Reader): void {
    const conditions = conditionsOf(validatorsOf(readStored(stale.head(), this.#cache.head)));
    this.#isConditional = conditions.length > 0;
    this.#dropConditions();
    for (const [name, value] of conditions) this.#request.setUpstreamHeader(name, value);
  }

  /** The client's own: the service is asked for what the store needs. */
  #dropConditions(): void {
    this.#request.removeUpstreamHeader('if-none-match');
    this.#request.removeUpstreamHeader('if-modified-since');
  }

  onInterim(head: Head): void {
    this.#handler.onInterim(head);
  }

  onHead(head: Head, framing: MessageFraming): void {
    const { method } = this.#request;
    const stale = this.#stale;
    if (method !== 'GET' && method !== 'HEAD') {
      this.#route.invalidator.afterResponse(this.#request, head);
      this.#passOn(head, framing, 'method');
      return;
    }
    if (stale !== null && this.#isConditional && head.status === 304) {
      this.#onNotModified(stale, head, framing);
      return;
    }
    if (stale !== null && isErrorStatus(head.status) && this.#sendDespite(`status_${head.status}`)) return;
    this.#store(head, framing);
  }

  /** RFC 9111 §4.3.4. */
  #onNotModified(stale: Reader, head: Head, framing: MessageFraming): void {
    const stored = readStored(stale.head(), this.#cache.head);
    if (!speaksOf(validatorsOf(stored), validatorsOf(head))) {
      // The service means another response than the one that it was asked about: ask for the whole one.
      this.#source?.abandon();
      this.#closeStale();
      this.#isConditional = false;
      this.#dropConditions();
      this.#fetch(this.#cache.clock.monotonicMs(), null);
      return;
    }
    const recorder = this.#recorder ?? FillRecorder.late(this.#route, this.#request, this.#place!);
    this.#recorder = recorder;
    const merged = recorder.update(stale, stored, head, framing.nominated, this.#requestMs);
    this.#stale = null;
    const nowMs = this.#cache.clock.wallMs();
    const how = { fwd: this.#fwd, fwdStatus: 304, stored: recorder.outcome === 'stored' };
    this.#ignoresSource = true;
    this.#sendStored(stale, 'revalidated', how, nowMs, merged);
  }

  /** The action's response is over and of no interest; what is stored is sent instead. */
  #detach(): void {
    this.#source?.abandon();
    this.#source = null;
  }

  #store(head: Head, framing: MessageFraming): void {
    const isHead = this.#request.method === 'HEAD';
    if (isHead) {
      this.#route.afterHead(this.#place!, this.#stale, head);
      this.#passOn(head, framing, 'method');
      return;
    }
    const recorder = this.#recorder ?? FillRecorder.late(this.#route, this.#request, this.#place!);
    this.#recorder = recorder;
    const outcome = recorder.begin(head, framing, this.#wanted, this.#requestMs);
    this.#passOn(head, framing, outcome);
  }

  #passOn(head: Head, framing: MessageFraming, outcome: FillOutcome | 'method'): void {
    this.#closeStale();
    const stored = outcome === 'stored';
    if (!stored) this.#route.counts.refused(outcome);
    const how: Handling = { fwd: this.#fwd, fwdStatus: head.status, stored };
    this.#tell(stored ? 'miss' : 'bypass', stored ? how : { ...how, detail: outcome });
    this.#headSent = true;
    this.#handler.onHead(head, framing);
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    if (this.#ignoresSource) return;
    if (this.#recorder?.append(bytes, start, end) === false && this.#sender !== null) {
      // The client was to get the rest from the store, which does not have it.
      this.#breakOff(new Fault(FAULTS.upstreamMalformed, { cause: 'more body than announced' }));
      return;
    }
    if (this.#sender !== null) return;
    this.#bodySent += end - start;
    this.#handler.onBody(bytes, start, end);
  }

  onEnd(trailers: FieldBlock | null): void {
    this.#source = null;
    if (this.#ignoresSource) return;
    this.#recorder?.end();
    if (this.#sender !== null) {
      this.#goOnSending();
      return;
    }
    this.#isDone = true;
    this.#release();
    this.#handler.onEnd(trailers);
  }

  /** A whole response made here instead of the action's: what the service falls back on. */
  onReply(reply: Reply): void {
    this.#source = null;
    if (this.#stale !== null && isErrorStatus(reply.status) && this.#sendDespite('fallback')) return;
    this.#recorder?.giveUp(0);
    this.#tell('bypass', { fwd: this.#fwd, fwdStatus: reply.status });
    this.#isDone = true;
    this.#release();
    this.#handler.onReply(reply);
  }

  onUpgraded(head: Head, protocol: string, rest: Buffer): void {
    this.#recorder?.giveUp(0);
    this.#closeStale();
    this.#handler.onUpgraded(head, protocol, rest);
  }

  onFault(fault: Fault): void {
    this.#source = null;
    if (this.#ignoresSource) return;
    if (!this.#headSent && this.#stale !== null && this.#sendDespite(fault.kind.reason)) return;
    this.#breakOff(fault);
  }

  #breakOff(fault: Fault): void {
    this.#source?.abandon();
    this.#recorder?.giveUp(0);
    if (!this.#headSent) this.#tell('error', { fwd: this.#fwd, detail: fault.kind.reason });
    this.#fail(fault);
  }

  #fail(fault: Fault): void {
    this.#isDone = true;
    this.#release();
    this.#handler.onFault(fault);
  }

  /** RFC 5861 §4: sends what is stale because the service failed, if it may be. */
  #sendDespite(reason: string): boolean {
    const stale = this.#stale!;
    const nowMs = this.#cache.clock.wallMs();
    if (!mayUseOnError(stale.terms, this.#wanted, nowMs)) return false;
    this.#stale = null;
    this.#detach();
    this.#recorder?.giveUp(0);
    const ttl = Math.floor((stale.terms.freshUntilMs - nowMs) / 1_000);
    this.#sendStored(stale, 'stale', { ttl, detail: reason }, nowMs);
    return true;
  }

  // --- backpressure --------------------------------------------------------------------------------------------------

  /**
   * A client that reads slowly must not hold up those who wait for the same response: what is being stored goes on at
   * the speed of the service, and this client gets the rest of it from the store.
   */
  flush(): boolean {
    if (this.#sender !== null && this.#source !== null) return true;
    const more = this.#handler.flush();
    if (more || this.#isDone || this.#source === null) return more;
    const reader = this.#recorder?.openReader() ?? null;
    if (reader === null) return false;
    const sender = new StoredSender(this.#cache, this.#request, this.#handler, reader);
    sender.continueFrom(this.#bodySent);
    this.#sender = sender;
    return true;
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
    this.#recorder?.tier?.close();
    const followed = this.#followed;
    this.#unfollow();
    followed?.close();
    this.#closeStale();
    this.#sender?.reader.close();
  }
}
