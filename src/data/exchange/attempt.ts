/**
 * One try of a call at one instance: waits for a connection, sends the request, hands on what comes back, and keeps the
 * deadlines of the upstream side. Several attempts may follow each other (retries) or run side by side (hedging); which
 * one counts is decided in upstream-call.ts. Two failures, two meanings: before anything was sent it is a connect
 * fault, afterwards only what is idempotent may be tried again.
 */

import type { Clock } from '../../base/clock.ts';
import type { FaultKind } from '../../base/errors.ts';
import { FAULTS } from '../../base/errors.ts';
import type { TimerWheel } from '../../base/timers.ts';
import type { Endpoint, Service } from '../balancer/service.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import type { LenientForm, UpstreamTimeouts } from '../contract/snapshot.ts';
import type { MessageFraming } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';
import { passingTrailers } from '../parser/trailers.ts';
import type { Source } from '../wire/sources.ts';
import { isEventStreamType } from './event-stream.ts';
import { countedStatus, readCode, readTrailers } from './grpc.ts';
import type { OutgoingRequest } from './outgoing-request.ts';
import type { BytesHolder, StreamPool, StreamWaiter, UpstreamHandler, UpstreamStream } from './upstream-stream.ts';

export type UpstreamService = Service<StreamPool>;
export type UpstreamInstance = Endpoint<StreamPool>;

/** The call that an attempt belongs to. */
export interface AttemptHandler {
  readonly request: OutgoingRequest;
  readonly hasBody: boolean;
  /** It may wait for a connection that others hold. */
  readonly mayQueue: boolean;
  /** The head is written: send what there is of the body. */
  onAttemptReady(attempt: Attempt): void;
  /** May the same request be sent once more on a fresh connection, after a reused one turned out to be closed? */
  mayResend(): boolean;
  onAttemptInterim(head: Head): void;
  onAttemptHead(attempt: Attempt, head: Head, framing: MessageFraming): void;
  onAttemptBody(bytes: Buffer, start: number, end: number): void;
  onAttemptEnd(attempt: Attempt, trailers: FieldBlock | null): void;
  onAttemptUpgraded(attempt: Attempt, head: Head, rest: Buffer): void;
  onAttemptFault(attempt: Attempt, kind: FaultKind, cause: string): void;
  /** The upstream takes body bytes again. */
  onAttemptDrain(attempt: Attempt): void;
  /** As in ResponseHandler. */
  flush(): boolean;
  readonly holder: BytesHolder | null;
}

const CONNECTING = 0;
const SENDING = 1;
const WAITING = 2;
const RECEIVING = 3;
const TUNNEL = 4;
const ENDED = 5;

export class Attempt implements UpstreamHandler, StreamWaiter {
  readonly service: UpstreamService;
  readonly endpoint: UpstreamInstance;
  readonly startedMs: number;
  /**
   * Time from start to the response head, less what the client took to send the body: who sends slowly makes no
   * instance slow. 0 before.
   */
  firstByteMs = 0;
  /** Status of the response, of a gRPC call the one that it counts as; 0 before its head. */
  status = 0;
  /** How a gRPC call ended; -1 for what is none, and before its end. */
  grpcStatus = -1;
  reusedConnection = false;
  /** The response came over HTTP/2. */
  isHttp2 = false;
  isEventStream = false;
  /** Its service and the metrics know how it ended. */
  isReported = false;
  readonly #call: AttemptHandler;
  readonly #clock: Clock;
  readonly #wheel: TimerWheel;
  readonly #timeouts: UpstreamTimeouts;
  readonly #firstByteTimeoutMs: number;
  /** Longest pause inside the body; 0 for none, which an event stream has by nature. */
  #idleMs: number;
  #stream: UpstreamStream | null = null;
  #state: number = CONNECTING;
  /** The time while one callback lasts, or -1. */
  #nowMs: number;
  /** When there was a connection. */
  #readyMs: number;
  /** From then to the last part of the body, less the time in which the instance did not take it. */
  #clientMs = 0;
  /** Since when the instance takes the body more slowly than it comes; -1: it does not. */
  #behindSinceMs = -1;
  #behindMs = 0;

  constructor(
    call: AttemptHandler,
    service: UpstreamService,
    endpoint: UpstreamInstance,
    clock: Clock,
    wheel: TimerWheel,
    nowMs: number,
  ) {
    this.#call = call;
    this.service = service;
    this.endpoint = endpoint;
    this.#clock = clock;
    this.#wheel = wheel;
    this.#timeouts = service.settings.timeouts;
    this.#firstByteTimeoutMs = service.settings.retries.perTryMs || this.#timeouts.firstByteMs;
    this.#idleMs = this.#timeouts.idleMs;
    this.startedMs = nowMs;
    this.#readyMs = nowMs;
    this.#nowMs = nowMs;
  }

  /** From the start until there was a connection. */
  get connectMs(): number {
    return this.#readyMs - this.startedMs;
  }

  /** From then until the instance had the request, less what it has not taken yet. */
  get sendMs(): number {
    return this.#clientMs + this.#behindMs;
  }

  get lenient(): readonly LenientForm[] | undefined {
    return this.service.settings.lenient;
  }

  onLenient(problem: string): void {
    this.service.onLenient(problem, this.endpoint.id);
  }

  /** Begins; the callbacks may come before this returns. */
  start(): void {
    const stream = this.endpoint.pool.acquire(this, false);
    if (stream !== null) this.onStream(stream);
    this.#nowMs = -1;
  }

  /** Time of the monotonic clock, read at most once per callback of the event loop. */
  nowMs(): number {
    return this.#nowMs >= 0 ? this.#nowMs : this.#clock.monotonicMs();
  }

  // --- sending -----------------------------------------------------------------------------------------------

  onStream(stream: UpstreamStream): void {
    const { request } = this.#call;
    this.#stream = stream;
    this.#state = SENDING;
    this.#readyMs = this.nowMs();
    request.writeHead(stream, this);
    this.reusedConnection = stream.isReused;
    this.#call.onAttemptReady(this);
    if (this.#state !== ENDED && !request.bodyInHand) stream.flush();
  }

  onNoStream(kind: FaultKind, cause: string): void {
    this.#end();
    this.#call.onAttemptFault(this, kind, cause);
  }

  get source(): Source | null {
    return this.#call.request.source;
  }

  get upgrade(): string {
    return this.#call.request.upgrade;
  }

  get hasBody(): boolean {
    return this.#call.hasBody;
  }

  get mayQueue(): boolean {
    return this.#call.mayQueue;
  }

  get isConnected(): boolean {
    return this.#stream !== null;
  }

  /** Gathers body bytes; `flush` sends them. */
  sendBody(bytes: Uint8Array, isVolatile: boolean): void {
    this.#stream!.sendBody(bytes, isVolatile);
    if (this.#state === SENDING) this.#clientMs = this.#clientMsAt(this.nowMs());
  }

  #clientMsAt(nowMs: number): number {
    return this.#behindSinceMs >= 0 ? this.#clientMs : nowMs - this.#readyMs - this.#behindMs;
  }

  /** The request is complete. */
  sendEnd(trailers: FieldBlock | null): void {
    if (this.#state === SENDING) {
      const nowMs = this.nowMs();
      this.#clientMs = this.#clientMsAt(nowMs);
      this.#state = WAITING;
      this.#setDeadline(this.#firstByteTimeoutMs, nowMs);
    }
    this.#stream!.sendEnd(trailers);
  }

  /** False when the upstream reads too slowly; `onAttemptDrain` follows. */
  flush(): boolean {
    if (this.#stream === null || this.#stream.flush()) return true;
    // While a body is on its way the upstream owes progress, not a response. What the client owes is not its business.
    if (this.#state === SENDING && this.#behindSinceMs < 0) {
      this.#behindSinceMs = this.nowMs();
      this.#setDeadline(Math.max(this.#firstByteTimeoutMs, this.#timeouts.idleMs));
    }
    return false;
  }

  /** How long the instance has been at it: a lower bound of its latency where no response has come. */
  waitedMs(nowMs: number): number {
    if (this.firstByteMs > 0) return this.firstByteMs;
    return nowMs - this.startedMs - (this.#state === SENDING ? this.#clientMsAt(nowMs) : this.#clientMs);
  }

  /** Body bytes given to `sendBody` may still be referred to. */
  get holdsBytes(): boolean {
    return this.#stream?.holdsBytes ?? false;
  }

  onUpstreamDrain(): void {
    if (this.#behindSinceMs >= 0) {
      this.#behindMs += this.nowMs() - this.#behindSinceMs;
      this.#behindSinceMs = -1;
      if (this.#state === SENDING) this.#setDeadline(0);
    }
    this.#call.onAttemptDrain(this);
  }

  // --- receiving ---------------------------------------------------------------------------------------------

  onInterimHead(head: Head): void {
    this.#call.onAttemptInterim(head);
  }

  onResponseHead(head: Head, framing: MessageFraming): void {
    this.#nowMs = this.#clock.monotonicMs();
    this.firstByteMs = this.#nowMs - this.startedMs - this.#clientMs;
    this.status = head.status;
    this.isHttp2 = head.major === 2;
    // A call that failed at once has its status in the head ("Trailers-Only").
    if (this.service.settings.protocol === 'grpc') this.#countCode(readCode(head.valueOf('grpc-status')));
    this.#state = RECEIVING;
    this.isEventStream = framing.bodyLength < 0 && isEventStreamType(head.valueOf('content-type'));
    if (this.isEventStream) this.#idleMs = 0;
    this.#call.onAttemptHead(this, head, framing);
  }

  onResponseBody(bytes: Buffer, start: number, end: number): void {
    this.#call.onAttemptBody(bytes, start, end);
  }

  onResponseEnd(trailers: Head | null): void {
    this.#end();
    const passing = passingTrailers(trailers);
    if (this.service.settings.protocol === 'grpc') this.#countCode(readTrailers(passing));
    this.#call.onAttemptEnd(this, passing);
  }

  /** What the call's status means to breaker, ejection, retries and metrics, which know those of HTTP. */
  #countCode(code: number): void {
    if (code < 0 || this.status !== 200) return;
    this.grpcStatus = code;
    this.status = countedStatus(code);
  }

  onUpgraded(head: Head, rest: Buffer): void {
    this.firstByteMs = this.#clock.monotonicMs() - this.startedMs;
    this.status = head.status;
    this.isHttp2 = head.major === 2;
    this.#state = TUNNEL;
    this.#setDeadline(0);
    this.#call.onAttemptUpgraded(this, head, rest);
  }

  onReadDone(): BytesHolder | null {
    this.#nowMs = -1;
    const more = this.#call.flush();
    if (!more && (this.#state === RECEIVING || this.#state === TUNNEL)) {
      // The client is the slow one now, so the upstream's silence is no fault.
      this.#stream?.pause();
      this.#setDeadline(0);
    } else if (this.#state === RECEIVING) {
      // Once per read, not per chunk; a response that came whole needs none.
      this.#setDeadline(this.#idleMs);
    }
    return this.#call.holder;
  }

  /** The client takes bytes again. */
  resume(): void {
    if (this.#state === RECEIVING) this.#setDeadline(this.#idleMs);
    if (this.#state !== ENDED) this.#stream?.resume();
  }

  onStreamFault(kind: FaultKind, cause: string, responseBegan: boolean): void {
    if (this.#state === ENDED) return;
    if (!responseBegan && this.reusedConnection && isLost(kind) && this.#call.mayResend()) {
      // The connection had been closed while it lay idle: not the instance's fault, so it is not counted as a try.
      this.#stream = null;
      this.#state = CONNECTING;
      this.endpoint.pool.acquire(this, true);
      return;
    }
    this.#end();
    this.#call.onAttemptFault(this, kind, cause);
  }

  // --- ending ------------------------------------------------------------------------------------------------

  /** Gives up without a word to the call: the client left, another attempt won, or the exchange failed. */
  cancel(): void {
    if (this.#state === ENDED && this.#stream === null) return;
    if (this.#state === CONNECTING) this.endpoint.pool.cancel(this);
    this.#end();
    this.#stream?.abandon();
    this.#stream = null;
  }

  get isTunnel(): boolean {
    return this.#state === TUNNEL;
  }

  /** The client left a tunnel: the upstream gets what is on its way, then the end. */
  endTunnel(): void {
    this.#end();
    this.#stream?.endTunnel();
    this.#stream = null;
  }

  /** The response is through; a request that is still being sent spoils the connection. */
  release(requestDone: boolean): void {
    if (!requestDone) this.#stream?.abandon();
    this.#stream = null;
  }

  onStreamDeadline(): void {
    const kind = this.#state === RECEIVING ? FAULTS.upstreamIdleTimeout : FAULTS.firstByteTimeout;
    this.#end();
    this.#stream?.abandon();
    this.#call.onAttemptFault(this, kind, `after ${Math.round(this.#clock.monotonicMs() - this.startedMs)} ms`);
  }

  #end(): void {
    this.#state = ENDED;
    this.#setDeadline(0);
  }

  #setDeadline(ms: number, nowMs = -1): void {
    if (this.#stream === null) return;
    if (ms > 0) this.#wheel.set(this.#stream.deadline, ms, nowMs >= 0 ? nowMs : this.nowMs());
    else this.#wheel.clear(this.#stream.deadline);
  }
}

function isLost(kind: FaultKind): boolean {
  return kind === FAULTS.upstreamReset || kind === FAULTS.uploadCutOff;
}
