/**
 * One request to a service until there is one response: picks an instance, begins an attempt, a second one beside a
 * slow one (hedging), another after a failed one (retries), or turns to what the service falls back on; and reports
 * each to its service once. What each attempt does is in attempt.ts; who gets the response is the handler's business.
 *
 *   start -> #try -> service.pick -> Attempt ----- head ----> onHead, onBody ..., onEnd of the handler
 *             ^ ^      |  | 'wait': onAdmitted -> #try |
 *             | |      |  + Fault: #fallBack           | fault, or a status that is tried again
 *             | |      v                               v
 *             | |    a slow one: #hedge beside it    #goesOn: the other of two is left, or #retry after a pause
 *             +-+--------------------------------------+        else onFault of the handler
 *
 * Used by the exchange for its route's service, and by mirrors, compositions and caches for requests of their own.
 */
import type { Clock } from '../../base/clock.ts';
import type { FaultKind } from '../../base/errors.ts';
import { FAULTS, Fault } from '../../base/errors.ts';
import type { MetricsBank } from '../../base/metrics.ts';
import type { DeadlineOwner, TimerWheel } from '../../base/timers.ts';
import { Deadline } from '../../base/timers.ts';
import type { AttemptWaiter } from '../balancer/service.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import type { MessageFraming } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';
import { mayResend, type ResendRequest } from '../resilience/may-resend.ts';
import type { Source } from '../wire/sources.ts';
import type { AttemptHandler, UpstreamInstance, UpstreamService } from './attempt.ts';
import { Attempt } from './attempt.ts';
import type { OutgoingRequest } from './outgoing-request.ts';
import type { BodyConsumer, RequestBody } from './request-body.ts';
import type { ResponseHandler, ResponseSource } from './response-source.ts';
import type { BytesHolder } from './upstream-stream.ts';

/** What a call needs of the worker. */
export interface CallHost {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  /** For pauses of a few milliseconds; it turns only while something is set. */
  readonly shortWheel: TimerWheel;
  readonly metrics: MetricsBank;
}

export interface CallOptions {
  /** Where a service's fallback may be. */
  readonly services: ReadonlyMap<string, UpstreamService>;
  /** One attempt, on a second connection where a kept one was closed, or none: no queue, retry, hedge or fallback. */
  readonly once?: boolean;
  /** False: the service's fallback does not respond in its place. Default true. */
  readonly fallsBack?: boolean;
}

const NO_INSTANCES: readonly UpstreamInstance[] = [];
const TOTAL = 0;
const HEDGE = 1;
const RETRY = 2;

export class UpstreamCall implements ResponseSource, BodyConsumer, AttemptHandler, AttemptWaiter, DeadlineOwner {
  readonly request: OutgoingRequest;
  /** The one that was asked last; a fallback takes the place of the first. */
  service: UpstreamService;
  /** The attempt whose response counts, or the latest; null while none is under way. */
  attempt: Attempt | null = null;
  attemptsMade = 0;
  readonly #host: CallHost;
  readonly #options: CallOptions;
  readonly #body: RequestBody;
  readonly #handler: ResponseHandler;
  #hedge: Attempt | null = null;
  #tried: readonly UpstreamInstance[] = NO_INSTANCES;
  /** Attempts that sent nothing and were made good by the next instance. */
  #failovers = 0;
  /** The handler has the head of a response, so there can be no other. */
  #isCommitted = false;
  #isDone = false;
  /**
   * No instance is chosen before so many bytes of the request body are here, or all of them; 0: at once. Set before
   * `start`, and 0 from then on when there is nothing to wait for.
   */
  gathersBytes = 0;
  #total: Deadline | null = null;
  /** Of the hedge or the next retry. */
  #pause: Deadline | null = null;

  constructor(
    host: CallHost,
    options: CallOptions,
    service: UpstreamService,
    request: OutgoingRequest,
    body: RequestBody,
    handler: ResponseHandler,
  ) {
    this.#host = host;
    this.#options = options;
    this.service = service;
    this.request = request;
    this.#body = body;
    this.#handler = handler;
  }

  get source(): Source | null {
    return this.request.source;
  }

  get hasBody(): boolean {
    return this.#body.length !== 0;
  }

  get mayQueue(): boolean {
    return this.#options.once !== true;
  }

  start(nowMs: number): void {
    if (this.#body.length !== 0 || this.request.upgrade !== '') this.#body.consumer = this;
    const totalMs = shorter(this.service.settings.timeouts.totalMs, this.request.deadlineMs);
    if (totalMs > 0) {
      this.#total = new Deadline(this, TOTAL);
      this.#host.wheel.set(this.#total, totalMs, nowMs);
    }
    if (this.gathersBytes > 0) {
      if (!this.#body.complete && this.#body.received < this.gathersBytes) {
        this.#handler.onRequestDrain();
        return;
      }
      this.gathersBytes = 0;
    }
    this.#try(nowMs);
  }

  /**
   * A client that sends slowly holds no connection to an instance, and an instance is not chosen long before it is
   * asked.
   */
  onBodyGathered(): void {
    if (this.gathersBytes === 0 || this.#isDone) return;
    this.gathersBytes = 0;
    this.#try(this.#host.clock.monotonicMs());
  }

  /** The next attempt: at the service's next instance, from its queue, or at what it falls back on. */
  #try(nowMs: number): void {
    const { service } = this;
    const picked = service.pick(this.request, this.#tried, this, nowMs);
    if (picked === 'wait') {
      if (this.#options.once !== true) return;
      service.cancelWait(this);
      this.#fail(new Fault(FAULTS.overloaded));
      return;
    }
    if (picked instanceof Fault) {
      this.#fallBack(picked);
      return;
    }
    this.attempt = this.#begin(picked, nowMs);
    this.attempt.start();
    if (service.hedges && this.attemptsMade === 1 && this.#body.length === 0) this.#planHedge();
  }

  #begin(instance: UpstreamInstance, nowMs: number): Attempt {
    this.attemptsMade++;
    return new Attempt(this, this.service, instance, this.#host.clock, this.#host.wheel, nowMs);
  }

  // --- waiting ---------------------------------------------------------------------------------------------------

  onAdmitted(): void {
    if (!this.#isDone) this.#try(this.#host.clock.monotonicMs());
    this.#handler.flush();
  }

  onRefused(fault: Fault): void {
    if (!this.#isDone) this.#fallBack(fault);
    this.#handler.flush();
  }

  #setPause(kind: typeof HEDGE | typeof RETRY, ms: number): void {
    this.#clearPause();
    this.#pause = new Deadline(this, kind);
    this.#host.shortWheel.set(this.#pause, ms);
  }

  #clearPause(): void {
    if (this.#pause !== null) this.#host.shortWheel.remove(this.#pause);
    this.#pause = null;
  }

  onDeadline(kind: number): void {
    if (this.#isDone) return;
    if (kind === TOTAL) this.#timeOut();
    else if (kind === HEDGE) this.#beginHedge();
    else this.#try(this.#host.clock.monotonicMs());
    this.#handler.flush();
  }

  #timeOut(): void {
    if (this.attempt !== null) {
      this.attempt.cancel();
      this.#report(this.attempt, FAULTS.totalTimeout, false);
      this.attempt = null;
    }
    this.#fail(new Fault(FAULTS.totalTimeout));
  }

  // --- one beside the other ----------------------------------------------------------------------------------------

  #planHedge(): void {
    if (this.#isDone || this.#options.once === true) return;
    const delayMs = this.service.hedgeDelayMs(this.#resend());
    if (delayMs >= 0) this.#setPause(HEDGE, delayMs);
  }

  /** A second attempt beside a slow first one; whichever brings its head first counts. */
  #beginHedge(): void {
    const { service, attempt } = this;
    if (this.#isCommitted || this.#hedge !== null || attempt === null || !service.takeHedge()) return;
    const nowMs = this.#host.clock.monotonicMs();
    const picked = service.pick(this.request, [attempt.endpoint], this, nowMs);
    if (picked === 'wait') service.cancelWait(this);
    if (picked === 'wait' || picked instanceof Fault) return;
    this.#host.metrics.add('hedges', 1);
    this.#hedge = this.#begin(picked, nowMs);
    this.#hedge.start();
  }

  /** This attempt's response counts; the other one, if there is one, is given up. */
  #commitTo(attempt: Attempt): void {
    this.#isCommitted = true;
    this.#clearPause();
    const hedge = this.#hedge;
    if (hedge === null) return;
    const loser = hedge === attempt ? this.attempt! : hedge;
    this.attempt = attempt;
    this.#hedge = null;
    this.#abandon(loser);
  }

  // --- one after the other -----------------------------------------------------------------------------------------

  /** An attempt failed, by a fault or by the status of `head`. True when there will be another response. */
  #goesOn(attempt: Attempt, kind: FaultKind | null, head: Head | null): boolean {
    if (this.#isCommitted) return false;
    const other = attempt === this.#hedge ? this.attempt : this.#hedge;
    if (other !== null) {
      // One of two side by side: the other one is left, and may still respond.
      this.#report(attempt, kind, false);
      attempt.cancel();
      this.#tried = [...this.#tried, attempt.endpoint];
      this.attempt = other;
      this.#hedge = null;
      return true;
    }
    return this.#options.once !== true && this.#retry(attempt, kind, head);
  }

  /** Tries again if the service says that it may and should. */
  #retry(attempt: Attempt, kind: FaultKind | null, head: Head | null): boolean {
    const { service } = this;
    const failsOver =
      kind !== null && this.#body.isReplayable && service.failsOver(kind, this.#tried, attempt.endpoint);
    const delayMs = failsOver ? 0 : this.#retryDelayMs(attempt, kind, head);
    if (delayMs < 0) return false;
    this.#report(attempt, kind, false, failsOver);
    attempt.cancel();
    if (failsOver) this.#failovers++;
    else this.#host.metrics.add('retries', 1);
    this.#tried = [...this.#tried, attempt.endpoint];
    this.attempt = null;
    this.#clearPause();
    if (delayMs === 0) this.#try(this.#host.clock.monotonicMs());
    else this.#setPause(RETRY, delayMs);
    return true;
  }

  #retryDelayMs(attempt: Attempt, kind: FaultKind | null, head: Head | null): number {
    const asked = head === null ? -1 : askedDelay(head);
    if (asked === NEVER) return -1;
    return this.service.retryDelayMs(
      this.#resend(),
      this.attemptsMade - this.#failovers,
      kind,
      // That of a call of gRPC is not the one in the head.
      kind === null ? attempt.status : 0,
      attempt.reusedConnection,
      asked,
    );
  }

  #resend(): ResendRequest {
    const { method, hasIdempotencyKey } = this.request;
    return { method, hasIdempotencyKey, bodyReplayable: this.#body.isReplayable };
  }

  mayResend(): boolean {
    if (!mayResend(this.service.settings.retries, this.#resend())) return false;
    this.#host.metrics.add('stale_reuses', 1);
    return true;
  }

  /** No instance could be picked: the service's fallback, if it has one, responds instead. */
  #fallBack(fault: Fault): void {
    const { once, fallsBack } = this.#options;
    const fallback = once === true || fallsBack === false ? null : this.service.fallbackFor(fault);
    if (fallback?.kind === 'respond') {
      this.#end();
      this.#handler.onReply(fallback.response);
      return;
    }
    const other = fallback === null ? undefined : this.#options.services.get(fallback.service);
    if (other === undefined || other === this.service) {
      this.#fail(fault);
      return;
    }
    this.service = other;
    this.#tried = NO_INSTANCES;
    this.#try(this.#host.clock.monotonicMs());
  }

  // --- the request body ----------------------------------------------------------------------------------------------

  onAttemptReady(attempt: Attempt): void {
    const body = this.#body;
    if (body.length === 0) {
      attempt.sendEnd(null);
      return;
    }
    body.sendKept(attempt);
    body.handedOver();
    if (body.complete) attempt.sendEnd(body.trailers);
    else this.#handler.onRequestDrain();
  }

  get takesBody(): boolean {
    return this.attempt?.isConnected === true;
  }

  get holdsBody(): boolean {
    return this.attempt?.holdsBytes === true;
  }

  onBodyBytes(bytes: Uint8Array, isVolatile: boolean): void {
    this.attempt!.sendBody(bytes, isVolatile);
  }

  flushBody(): boolean {
    return this.attempt!.flush();
  }

  onBodyEnd(): void {
    this.attempt!.sendEnd(this.#body.trailers);
  }

  onAttemptDrain(attempt: Attempt): void {
    if (attempt === this.attempt && !this.#isDone) this.#handler.onRequestDrain();
  }

  // --- the response --------------------------------------------------------------------------------------------------

  onAttemptInterim(head: Head): void {
    if (!this.#isCommitted) this.#handler.onInterim(head);
  }

  onAttemptHead(attempt: Attempt, head: Head, framing: MessageFraming): void {
    const { statuses } = this.service.settings.retries;
    if (statuses.includes(attempt.status) && this.#goesOn(attempt, null, head)) return;
    this.#commitTo(attempt);
    this.#handler.onHead(head, framing);
  }

  onAttemptBody(bytes: Buffer, start: number, end: number): void {
    this.#handler.onBody(bytes, start, end);
  }

  onAttemptEnd(attempt: Attempt, trailers: FieldBlock | null): void {
    attempt.release(this.#body.complete);
    this.#report(attempt, null, false);
    this.#end();
    this.#handler.onEnd(trailers);
  }

  onAttemptUpgraded(attempt: Attempt, head: Head, rest: Buffer): void {
    // RFC 8441 §5: over HTTP/2 it is the one that was asked for, or it is no success.
    const protocol = head.major === 2 ? this.request.upgrade : (head.valueOf('upgrade') ?? '');
    // RFC 9110 §7.8: only to what the request named, and with a field that says so.
    if (this.request.upgrade === '' || protocol.toLowerCase() !== this.request.upgrade.toLowerCase()) {
      attempt.cancel();
      this.onAttemptFault(attempt, FAULTS.upstreamMalformed, 'switched to a protocol that was not asked for');
      return;
    }
    this.#commitTo(attempt);
    if (this.#total !== null) this.#host.wheel.remove(this.#total);
    this.#handler.onUpgraded(head, protocol, rest);
  }

  flush(): boolean {
    return this.#handler.flush();
  }

  get holder(): BytesHolder | null {
    return this.#handler.holder;
  }

  resume(): void {
    this.attempt?.resume();
  }

  // --- the end -------------------------------------------------------------------------------------------------------

  onAttemptFault(attempt: Attempt, kind: FaultKind, cause: string): void {
    if (this.#isDone) return;
    if (!this.#goesOn(attempt, kind, null)) {
      this.#report(attempt, kind, false);
      this.attempt = null;
      // Those of the connection pool say that there is too much to do at the moment.
      this.#fail(new Fault(kind, kind.status === 503 ? { cause, retryAfterSeconds: 1 } : { cause }));
    }
    this.#handler.flush();
  }

  #fail(fault: Fault): void {
    this.abandon();
    this.#handler.onFault(fault);
  }

  abandon(): void {
    if (this.#isDone) return;
    this.#end();
    const { attempt } = this;
    if (attempt === null) this.service.cancelWait(this);
    else this.#abandon(attempt);
  }

  /** Nothing is tried any more. */
  #end(): void {
    this.#isDone = true;
    this.#clearPause();
    if (this.#total !== null) this.#host.wheel.remove(this.#total);
    if (this.#hedge !== null) this.#abandon(this.#hedge);
    this.#hedge = null;
  }

  #abandon(attempt: Attempt): void {
    if (attempt.isTunnel) {
      this.#report(attempt, null, false);
      attempt.endTunnel();
    } else {
      this.#report(attempt, null, true);
      attempt.cancel();
    }
  }

  /** Says once how an attempt ended; one that is given up counts for nothing. */
  #report(attempt: Attempt, kind: FaultKind | null, isAbandoned: boolean, failedOver = false): void {
    if (attempt.isReported) return;
    attempt.isReported = true;
    const { settings, isRetired } = attempt.endpoint;
    if (!isAbandoned && !isRetired) {
      const { metrics } = this.#host;
      metrics.instance(settings.slot, kind === null ? attempt.status : 0, attempt.firstByteMs / 1000);
      if (kind === null && attempt.isHttp2) metrics.instanceOverHttp2(settings.slot);
    }
    // The balancer learns slowness also from what was given up, such as a hedge's loser.
    const nowMs = attempt.nowMs();
    const brokeOff = kind !== null && attempt.firstByteMs > 0;
    const tookMs = brokeOff ? nowMs - attempt.startedMs : attempt.waitedMs(nowMs);
    this.request.observer?.attemptEnd(attempt, kind, isAbandoned, nowMs);
    attempt.service.finish(
      attempt.endpoint,
      attempt.status,
      kind,
      tookMs,
      isAbandoned,
      nowMs,
      failedOver,
      this.request.source,
    );
  }
}

/** The shorter of two times, of which 0 or less is none. */
function shorter(a: number, b: number): number {
  if (a <= 0 || b <= 0) return Math.max(a, b, 0);
  return Math.min(a, b);
}

const NEVER = -2;

/**
 * Seconds after which the service wants another try, -1 where it does not say, `NEVER` where it wants none (gRFC A6).
 */
function askedDelay(head: Head): number {
  const pushback = head.valueOf('grpc-retry-pushback-ms');
  if (pushback !== null) return /^\d{1,10}$/.test(pushback) ? Number(pushback) / 1_000 : NEVER;
  const retryAfter = Number(head.valueOf('retry-after') ?? -1);
  return Number.isFinite(retryAfter) ? retryAfter : -1;
}
