/**
 * One try of an exchange at one endpoint: waits for a connection, sends the request, tells the exchange what comes
 * back, and keeps the deadlines of the upstream side. Several attempts may follow each other (retries) or run side by
 * side (hedging); which one counts is the exchange's decision. Two failures, two meanings: before anything was sent it
 * is a connect fault, afterwards only what is idempotent may be tried again.
 */

import type { Clock } from '../../base/clock.ts';
import type { FaultKind } from '../../base/errors.ts';
import { FAULTS } from '../../base/errors.ts';
import type { TimerWheel } from '../../base/timers.ts';
import type { Endpoint, Service } from '../balancer/service.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import type { UpstreamTimeouts } from '../contract/snapshot.ts';
import type { MessageFraming } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';
import { passingTrailers } from '../parser/trailers.ts';
import type { Downstream } from './downstream.ts';
import type { BytesHolder, StreamPool, StreamWaiter, UpstreamHandler, UpstreamStream } from './upstream-stream.ts';

export type UpstreamService = Service<StreamPool>;
export type UpstreamInstance = Endpoint<StreamPool>;

/** What an attempt tells and asks the exchange it belongs to. */
export interface AttemptHandler {
  readonly downstream: Downstream;
  /** Writes the whole request head for this endpoint. */
  writeHead(stream: UpstreamStream, attempt: Attempt): void;
  /** The head is written: send what there is of the body. */
  onAttemptReady(attempt: Attempt): void;
  /** May the same request be sent once more on a fresh connection, after a reused one turned out to be closed? */
  mayResend(): boolean;
  onAttemptInterim(attempt: Attempt, head: Head): void;
  onAttemptHead(attempt: Attempt, head: Head, meaning: MessageFraming): void;
  onAttemptBody(attempt: Attempt, bytes: Buffer, start: number, end: number): void;
  onAttemptEnd(attempt: Attempt, trailers: FieldBlock | null): void;
  onAttemptUpgraded(attempt: Attempt, head: Head, rest: Buffer): void;
  onAttemptFault(attempt: Attempt, kind: FaultKind, cause: string): void;
  /** The upstream takes body bytes again. */
  onAttemptDrain(attempt: Attempt): void;
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
  /** Time from start to the response head; 0 before. */
  firstByteMs = 0;
  /** Status of the answer; 0 before its head. */
  status = 0;
  reusedConnection = false;
  /** Has been reported to its service. */
  counted = false;
  readonly #owner: AttemptHandler;
  readonly #downstream: Downstream;
  readonly #clock: Clock;
  readonly #wheel: TimerWheel;
  readonly #timeouts: UpstreamTimeouts;
  readonly #firstByteTimeoutMs: number;
  #stream: UpstreamStream | null = null;
  #state: number = CONNECTING;
  /** The time while one callback lasts, or -1. */
  #nowMs: number;

  constructor(
    owner: AttemptHandler,
    service: UpstreamService,
    endpoint: UpstreamInstance,
    clock: Clock,
    wheel: TimerWheel,
    nowMs = clock.monotonicMs(),
  ) {
    this.#owner = owner;
    this.#downstream = owner.downstream;
    this.service = service;
    this.endpoint = endpoint;
    this.#clock = clock;
    this.#wheel = wheel;
    this.#timeouts = service.settings.timeouts;
    this.#firstByteTimeoutMs = service.settings.retries.perTryMs || this.#timeouts.firstByteMs;
    this.startedMs = nowMs;
    this.#nowMs = nowMs;
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
    this.#stream = stream;
    this.#state = SENDING;
    this.#owner.writeHead(stream, this);
    this.reusedConnection = stream.isReused;
    this.#owner.onAttemptReady(this);
    if (this.#state !== ENDED && !this.#downstream.bodyInHand) stream.flush();
  }

  onNoStream(kind: FaultKind, cause: string): void {
    this.#end();
    this.#owner.onAttemptFault(this, kind, cause);
  }

  get isConnected(): boolean {
    return this.#stream !== null;
  }

  /** Gathers body bytes; `flush` sends them. */
  sendBody(bytes: Uint8Array, isVolatile: boolean): void {
    this.#stream!.sendBody(bytes, isVolatile);
    // While a body is on its way the upstream owes progress, not an answer.
    if (this.#state === SENDING) this.#setDeadline(Math.max(this.#firstByteTimeoutMs, this.#timeouts.idleMs));
  }

  /** The request is complete. */
  sendEnd(trailers: FieldBlock | null): void {
    if (this.#state === SENDING) {
      this.#state = WAITING;
      this.#setDeadline(this.#firstByteTimeoutMs);
    }
    this.#stream!.sendEnd(trailers);
  }

  /** False when the upstream reads too slowly; `onAttemptDrain` follows. */
  flush(): boolean {
    return this.#stream === null || this.#stream.flush();
  }

  /** Body bytes given to `sendBody` may still be referred to. */
  get holdsBytes(): boolean {
    return this.#stream?.holdsBytes ?? false;
  }

  onUpstreamDrain(): void {
    this.#owner.onAttemptDrain(this);
  }

  // --- receiving ---------------------------------------------------------------------------------------------

  onInterimHead(head: Head): void {
    this.#owner.onAttemptInterim(this, head);
  }

  onResponseHead(head: Head, meaning: MessageFraming): void {
    this.#nowMs = this.#clock.monotonicMs();
    this.firstByteMs = this.#nowMs - this.startedMs;
    this.status = head.status;
    this.#state = RECEIVING;
    this.#owner.onAttemptHead(this, head, meaning);
  }

  onResponseBody(bytes: Buffer, start: number, end: number): void {
    this.#owner.onAttemptBody(this, bytes, start, end);
  }

  onResponseEnd(trailers: Head | null): void {
    this.#end();
    this.#owner.onAttemptEnd(this, passingTrailers(trailers));
  }

  onUpgraded(head: Head, rest: Buffer): void {
    this.firstByteMs = this.#clock.monotonicMs() - this.startedMs;
    this.status = head.status;
    this.#state = TUNNEL;
    this.#setDeadline(0);
    this.#owner.onAttemptUpgraded(this, head, rest);
  }

  onReadDone(): BytesHolder | null {
    this.#nowMs = -1;
    const more = this.#downstream.flush();
    if (!more && (this.#state === RECEIVING || this.#state === TUNNEL)) {
      // The caller is the slow one now, so the upstream's silence is no fault.
      this.#stream?.pause();
      this.#setDeadline(0);
    } else if (this.#state === RECEIVING) {
      // Once per read, not per chunk; an answer that came whole needs none.
      this.#setDeadline(this.#timeouts.idleMs);
    }
    return this.#downstream.holdsBytes ? this.#downstream : null;
  }

  /** The downstream takes bytes again. */
  resume(): void {
    if (this.#state === RECEIVING) this.#setDeadline(this.#timeouts.idleMs);
    if (this.#state !== ENDED) this.#stream?.resume();
  }

  onStreamFault(kind: FaultKind, cause: string, responseBegan: boolean): void {
    if (this.#state === ENDED) return;
    if (!responseBegan && this.reusedConnection && kind === FAULTS.upstreamReset && this.#owner.mayResend()) {
      // The connection had been closed while it lay idle: not the instance's fault, so it is not counted as a try.
      this.#stream = null;
      this.#state = CONNECTING;
      this.endpoint.pool.acquire(this, true);
      return;
    }
    this.#end();
    this.#owner.onAttemptFault(this, kind, cause);
  }

  // --- ending ------------------------------------------------------------------------------------------------

  /** Gives up without a word to the owner: the downstream left, another attempt won, or the exchange failed. */
  cancel(): void {
    if (this.#state === ENDED && this.#stream === null) return;
    if (this.#state === CONNECTING) this.endpoint.pool.cancel(this);
    this.#end();
    this.#stream?.abandon();
    this.#stream = null;
  }

  /** The caller left a tunnel: the upstream gets what is on its way, then the end. */
  endTunnel(): void {
    this.#end();
    this.#stream?.endTunnel();
    this.#stream = null;
  }

  /** The answer is through; a request that is still being sent spoils the connection. */
  release(requestDone: boolean): void {
    if (!requestDone) this.#stream?.abandon();
    this.#stream = null;
  }

  onStreamDeadline(): void {
    const kind = this.#state === RECEIVING ? FAULTS.upstreamIdleTimeout : FAULTS.firstByteTimeout;
    this.#end();
    this.#stream?.abandon();
    this.#owner.onAttemptFault(this, kind, `after ${Math.round(this.#clock.monotonicMs() - this.startedMs)} ms`);
  }

  #end(): void {
    this.#state = ENDED;
    this.#setDeadline(0);
  }

  #setDeadline(ms: number): void {
    if (this.#stream === null) return;
    if (ms > 0) this.#wheel.set(this.#stream.deadline, ms, this.nowMs());
    else this.#wheel.clear(this.#stream.deadline);
  }
}
