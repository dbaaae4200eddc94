/**
 * What one request asks the service for: its response goes to the client, and into the store if it may be there. When
 * what is stored is stale the service is asked whether it still holds; when it fails, what is stale may do. In the
 * order in which things happen:
 *
 *   start -> onHead --304--> update what is stored, the client gets that
 *                   --5xx--> what is stale, if it may be used
 *                   --else-> store it if it may be stored, and pass it on -> onBody ... -> onEnd
 *
 *   the client reads slowly  -> the fill goes on, the client gets the rest from the store
 *   the client goes          -> the fill goes on, as long as others wait for it
 *   the service breaks off   -> the rest is asked for once (rest-of-body.ts)
 */
import { FAULTS, Fault, type FaultKind } from '../../base/errors.ts';
import { every } from '../../base/system-timers.ts';
import type { CacheResult } from '../contract/cache.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import type { Reply } from '../contract/policy.ts';
import type { ResponseHandler, ResponseSource } from '../exchange/response-source.ts';
import type { BytesHolder } from '../exchange/upstream-stream.ts';
import type { MessageFraming } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';
import type { CachedRequest } from './cached-response.ts';
import type { CachedRoute } from './cached-route.ts';
import { type FillOutcome, FillRecorder } from './fill-recorder.ts';
import type { Place } from './lookup.ts';
import { RestOfBody } from './rest-of-body.ts';
import type { BypassReason } from './route-counts.ts';
import type { Forwarded, Handling } from './rules/cache-status.ts';
import type { Directives } from './rules/directives.ts';
import { isErrorStatus, mayUseOnError } from './rules/reuse.ts';
import { conditionsOf, speaksOf, validatorsOf } from './rules/validation.ts';
import type { Reader } from './store/reader.ts';
import { readStored } from './stored-head.ts';

/** The client's side: who fetches, until the client goes. */
export interface FetchClient {
  /** Takes the response as it comes. */
  readonly handler: ResponseHandler;
  /** The client gets its bytes from the store: its fetch is ahead of it, or it gets what was stored before. */
  readonly isServedFromStore: boolean;
  tell(result: CacheResult, how: Handling): void;
  /** `renewed`: the head as a 304 has changed it, and when that was born. */
  sendStored(
    reader: Reader,
    result: CacheResult,
    how: Handling,
    nowMs: number,
    renewed: { readonly head: Buffer; readonly bornMs: number } | null,
  ): void;
  /** From this byte on the client gets the body from the store. */
  sendRest(reader: Reader, from: number): void;
  /** There may be more in the store. */
  goOnSending(): void;
  end(trailers: FieldBlock | null): void;
  reply(reply: Reply): void;
  fail(fault: Fault): void;
}

/** The service is likely to have the rest. */
const BROKEN_OFF: ReadonlySet<FaultKind> = new Set([
  FAULTS.upstreamReset,
  FAULTS.upstreamTruncated,
  FAULTS.upstreamIdleTimeout,
]);

/** Does anybody still wait? */
const LOOK_EVERY_MS = 1_000;

/** What a fetch is for. */
export interface Wanted {
  readonly place: Place;
  readonly directives: Readonly<Directives>;
  readonly fwd: Forwarded;
  /** Why its response cannot serve others; null when it can. */
  readonly alone: BypassReason | 'method' | null;
  /** What is stored and stale. */
  readonly stale: Reader | null;
  /** Null: somebody else stores it, or nobody. */
  readonly recorder: FillRecorder | null;
}

export class Fetch implements ResponseSource, ResponseHandler {
  /** Null: it is gone, and the fetch goes on for those who wait. */
  #client: FetchClient | null;
  readonly #handler: ResponseHandler;
  readonly #route: CachedRoute;
  readonly #request: CachedRequest;
  readonly #wanted: Wanted;
  readonly #open: (handler: ResponseHandler) => ResponseSource;
  /** The action's response, while it is on its way. */
  #source: ResponseSource | null = null;
  #recorder: FillRecorder | null;
  #stale: Reader | null;
  #requestMs = 0;
  #isConditional = false;
  /** What still comes is of no interest: the end of a 304. */
  #ignoresSource = false;
  #headSent = false;
  #bodySent = 0;
  /** The source waits for the client. */
  #isPaused = false;
  #hasAskedForRest = false;

  constructor(
    client: FetchClient,
    route: CachedRoute,
    request: CachedRequest,
    open: (handler: ResponseHandler) => ResponseSource,
    wanted: Wanted,
  ) {
    this.#client = client;
    this.#handler = client.handler;
    this.#route = route;
    this.#request = request;
    this.#open = open;
    this.#wanted = wanted;
    this.#recorder = wanted.recorder;
    this.#stale = wanted.stale;
  }

  // --- the client's side -------------------------------------------------------------------------------------------

  start(nowMs: number): void {
    this.#requestMs = this.#route.cache.clock.wallMs();
    if (this.#stale !== null && this.#wanted.alone === null) this.#askConditionally(this.#stale);
    this.#ask(nowMs);
  }

  #ask(nowMs: number): void {
    this.#source = this.#open(this);
    this.#source.start(nowMs);
  }

  resume(): void {
    this.#isPaused = false;
    this.#source?.resume();
  }

  /** The client's request is over, this way or that. */
  requestOver(): void {
    this.#recorder?.requestOver();
    this.#closeStale();
  }

  /** The client is gone. What it fetches goes on where others wait for it; a service that is still silent is left. */
  abandon(): void {
    this.#client = null;
    const recorder = this.#recorder;
    if (this.#source !== null && recorder !== null && this.#headSent && this.#request.body.complete) {
      if (recorder.isAwaited) {
        this.#goOnForOthers(recorder);
        return;
      }
    }
    this.#leave();
  }

  /** Until the last of them has gone too: a service that is slow would be held for nobody. */
  #goOnForOthers(recorder: FillRecorder): void {
    this.#route.counts.takeover('client_gone');
    const stop = every(LOOK_EVERY_MS, () => {
      if (this.#source !== null && recorder.isAwaited) return;
      stop();
      if (this.#source !== null) this.#leave();
    });
    if (this.#isPaused) this.resume();
  }

  #leave(): void {
    this.#source?.abandon();
    this.#source = null;
    this.#recorder?.giveUp(0);
  }

  // --- asking ------------------------------------------------------------------------------------------------------

  /** RFC 9111 §4.3.1. Conditions of the client are answered from what the service says of the stored response. */
  #askConditionally(stale: Reader): void {
    const conditions = conditionsOf(validatorsOf(readStored(stale.head(), this.#route.cache.head)));
    this.#isConditional = conditions.length > 0;
    this.#dropConditions();
    for (const [name, value] of conditions) this.#request.setUpstreamHeader(name, value);
  }

  /** The client's own: the service is asked for what the store needs. */
  #dropConditions(): void {
    this.#request.removeUpstreamHeader('if-none-match');
    this.#request.removeUpstreamHeader('if-modified-since');
  }

  /** In the middle of what is being stored: asks the service for the rest, once. False: it cannot be asked for. */
  #askForRest(fault: Fault): boolean {
    if (!BROKEN_OFF.has(fault.kind) || this.#hasAskedForRest || this.#client === null || !this.#headSent) return false;
    const missing = this.#recorder?.missing() ?? null;
    if (missing === null) return false;
    this.#hasAskedForRest = true;
    this.#route.counts.takeover('broken_off');
    this.#source = new RestOfBody(missing, this.#request, this.#open, this);
    this.#source.start(this.#route.cache.clock.monotonicMs());
    return true;
  }

  // --- the head ----------------------------------------------------------------------------------------------------

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
    const { alone } = this.#wanted;
    if (alone === 'body' || alone === 'upgrade') {
      this.#passOn(head, framing, alone);
      return;
    }
    if (stale !== null && this.#isConditional && head.status === 304) {
      this.#onNotModified(stale, head, framing);
      return;
    }
    if (stale !== null && isErrorStatus(head.status) && this.#sendDespite(`status_${head.status}`)) return;
    if (method === 'HEAD') {
      this.#route.afterHead(this.#wanted.place, stale, head);
      this.#passOn(head, framing, 'method');
      return;
    }
    this.#passOn(head, framing, this.#record().begin(head, framing, this.#wanted.directives, this.#requestMs));
  }

  #record(): FillRecorder {
    this.#recorder ??= FillRecorder.late(this.#route, this.#request, this.#wanted.place);
    return this.#recorder;
  }

  /** RFC 9111 §4.3.4. */
  #onNotModified(stale: Reader, head: Head, framing: MessageFraming): void {
    const { cache } = this.#route;
    const stored = readStored(stale.head(), cache.head);
    if (!speaksOf(validatorsOf(stored), validatorsOf(head))) {
      // The service means another response than the one that it was asked about: ask for the whole one.
      this.#source?.abandon();
      this.#closeStale();
      this.#isConditional = false;
      this.#dropConditions();
      this.#requestMs = cache.clock.wallMs();
      this.#ask(cache.clock.monotonicMs());
      return;
    }
    const recorder = this.#record();
    const merged = recorder.update(stale, stored, head, framing.nominated, this.#requestMs);
    const how = { fwd: this.#wanted.fwd, fwdStatus: 304, stored: recorder.outcome === 'stored' };
    this.#ignoresSource = true;
    this.#sendStale('revalidated', how, cache.clock.wallMs(), { head: merged, bornMs: recorder.bornMs });
  }

  /** RFC 5861 §4: sends what is stale because the service failed, if it may be. */
  #sendDespite(reason: string): boolean {
    const { terms } = this.#stale!;
    const nowMs = this.#route.cache.clock.wallMs();
    if (!mayUseOnError(terms, this.#wanted.directives, nowMs)) return false;
    this.#source?.abandon();
    this.#source = null;
    this.#recorder?.giveUp(0);
    this.#sendStale('stale', { ttl: Math.floor((terms.freshUntilMs - nowMs) / 1_000), detail: reason }, nowMs, null);
    return true;
  }

  #sendStale(
    result: CacheResult,
    how: Handling,
    nowMs: number,
    renewed: { head: Buffer; bornMs: number } | null,
  ): void {
    const stale = this.#stale!;
    this.#stale = null;
    this.#headSent = true;
    if (this.#client === null) stale.close();
    else this.#client.sendStored(stale, result, how, nowMs, renewed);
  }

  #passOn(head: Head, framing: MessageFraming, outcome: FillOutcome | 'method' | 'body' | 'upgrade'): void {
    this.#closeStale();
    const stored = outcome === 'stored';
    if (!stored) this.#route.counts.refused(outcome);
    const how: Handling = { fwd: this.#wanted.fwd, fwdStatus: head.status, stored };
    this.#client?.tell(stored ? 'miss' : 'bypass', stored ? how : { ...how, detail: outcome });
    this.#headSent = true;
    this.#handler.onHead(head, framing);
  }

  // --- the body ----------------------------------------------------------------------------------------------------

  onBody(bytes: Buffer, start: number, end: number): void {
    if (this.#ignoresSource) return;
    const client = this.#client;
    const isStored = this.#recorder?.append(bytes, start, end) !== false;
    if (client === null || client.isServedFromStore) {
      // The client was to get the rest from the store, which does not have it.
      if (!isStored) this.#breakOff(new Fault(FAULTS.upstreamMalformed, { cause: 'more body than announced' }));
      return;
    }
    this.#bodySent += end - start;
    this.#handler.onBody(bytes, start, end);
  }

  /**
   * A client that reads slowly must not hold up those who wait for the same response: what is being stored goes on at
   * the speed of the service, and this client gets the rest of it from the store.
   */
  flush(): boolean {
    const more = this.#handler.flush();
    const client = this.#client;
    if (client === null) return true;
    if (more && !client.isServedFromStore) return true;
    if (this.#source === null) return more;
    if (client.isServedFromStore) {
      client.goOnSending();
      return true;
    }
    const reader = this.#recorder?.openReader() ?? null;
    if (reader !== null) client.sendRest(reader, this.#bodySent);
    else this.#isPaused = true;
    return reader !== null;
  }

  get holder(): BytesHolder | null {
    return this.#handler.holder;
  }

  onRequestDrain(): void {
    if (this.#client !== null) this.#handler.onRequestDrain();
  }

  // --- the end -----------------------------------------------------------------------------------------------------

  onEnd(trailers: FieldBlock | null): void {
    this.#source = null;
    if (this.#ignoresSource) return;
    this.#recorder?.end();
    if (this.#client?.isServedFromStore === true) this.#client.goOnSending();
    else this.#client?.end(trailers);
  }

  /** A whole response made here instead of the action's: what the service falls back on. */
  onReply(reply: Reply): void {
    this.#source = null;
    if (this.#stale !== null && isErrorStatus(reply.status) && this.#sendDespite('fallback')) return;
    this.#recorder?.giveUp(0);
    this.#client?.tell('bypass', { fwd: this.#wanted.fwd, fwdStatus: reply.status });
    this.#client?.reply(reply);
  }

  onUpgraded(head: Head, protocol: string, rest: Buffer): void {
    this.#recorder?.giveUp(0);
    this.#closeStale();
    this.#handler.onUpgraded(head, protocol, rest);
  }

  onFault(fault: Fault): void {
    this.#source = null;
    if (this.#ignoresSource || this.#askForRest(fault)) return;
    if (!this.#headSent && this.#stale !== null && this.#sendDespite(fault.kind.reason)) return;
    this.#breakOff(fault);
  }

  #breakOff(fault: Fault): void {
    this.#source?.abandon();
    this.#source = null;
    this.#recorder?.giveUp(0);
    if (!this.#headSent) this.#client?.tell('error', { fwd: this.#wanted.fwd, detail: fault.kind.reason });
    this.#client?.fail(fault);
  }

  #closeStale(): void {
    this.#stale?.close();
    this.#stale = null;
  }
}
