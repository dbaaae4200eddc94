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
import type { FieldWriter } from '../contract/field-writer.ts';
import type { UpstreamTimeouts } from '../contract/snapshot.ts';
import type { Holder } from '../http1/buffer-pool.ts';
import type { Session, SessionHandler } from '../http1/session.ts';
import type { MessageFraming } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';
import type { Pool, PoolWaiter } from '../upstream/pool.ts';
import type { Downstream } from './downstream.ts';

export type UpstreamService = Service<Pool>;
export type UpstreamInstance = Endpoint<Pool>;

/** What an attempt tells and asks the exchange it belongs to. */
export interface AttemptHandler {
  readonly downstream: Downstream;
  readonly method: string;
  /** Writes the whole request head for this endpoint. */
  writeHead(out: FieldWriter, endpoint: UpstreamInstance): void;
  /** The head is in the outbox: send what there is of the body. */
  onAttemptReady(attempt: Attempt): void;
  /** May the same request be sent once more on a fresh connection, after a reused one turned out to be closed? */
  mayResend(): boolean;
  onAttemptInterim(attempt: Attempt, head: Head): void;
  onAttemptHead(attempt: Attempt, head: Head, meaning: MessageFraming): void;
  onAttemptBody(attempt: Attempt, bytes: Buffer, start: number, end: number): void;
  onAttemptEnd(attempt: Attempt, trailers: Head | null): void;
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

export class Attempt implements SessionHandler, PoolWaiter {
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
  #session: Session | null = null;
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
    const session = this.endpoint.pool.acquire(this, false);
    if (session !== null) this.onSession(session);
    this.#nowMs = -1;
  }

  /** Time of the monotonic clock, read at most once per callback of the event loop. */
  nowMs(): number {
    return this.#nowMs >= 0 ? this.#nowMs : this.#clock.monotonicMs();
  }

  // --- sending -----------------------------------------------------------------------------------------------

  onSession(session: Session): void {
    this.#session = session;
    this.reusedConnection = session.served > 0;
    this.#state = SENDING;
    session.begin(this, this.#owner.method);
    this.#owner.writeHead(session.outbox, this.endpoint);
    this.#owner.onAttemptReady(this);
    if (this.#state !== ENDED && !this.#downstream.bodyInHand) session.outbox.flush();
  }

  onNoSession(kind: FaultKind, cause: string): void {
    this.#end();
    this.#owner.onAttemptFault(this, kind, cause);
  }

  get isConnected(): boolean {
    return this.#session !== null;
  }

  /** Gathers body bytes; `flush` sends them. */
  sendBody(bytes: Uint8Array, chunked: boolean, isVolatile = false): void {
    const outbox = this.#session!.outbox;
    if (chunked) outbox.text(`${bytes.length.toString(16)}\r\n`);
    outbox.piece(bytes, isVolatile);
    if (chunked) outbox.text('\r\n');
    // While a body is on its way the upstream owes progress, not an answer.
    if (this.#state === SENDING) this.#setDeadline(Math.max(this.#firstByteTimeoutMs, this.#timeouts.idleMs));
  }

  /** The request is complete. */
  sendEnd(chunked: boolean, trailers: string): void {
    if (chunked) this.#session!.outbox.text(`0\r\n${trailers}\r\n`);
    if (this.#state === SENDING) {
      this.#state = WAITING;
      this.#setDeadline(this.#firstByteTimeoutMs);
    }
    this.#session!.requestWritten();
  }

  /** False when the upstream reads too slowly; `onAttemptDrain` follows. */
  flush(): boolean {
    return this.#session === null || this.#session.outbox.flush();
  }

  /** Body bytes given to `sendBody` may still be referred to. */
  get holdsBytes(): boolean {
    return this.#session?.outbox.holdsBytes ?? false;
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
    this.#owner.onAttemptEnd(this, trailers);
  }

  onUpgraded(head: Head, rest: Buffer): void {
    this.firstByteMs = this.#clock.monotonicMs() - this.startedMs;
    this.status = head.status;
    this.#state = TUNNEL;
    this.#setDeadline(0);
    this.#owner.onAttemptUpgraded(this, head, rest);
  }

  onReadDone(): Holder | null {
    this.#nowMs = -1;
    const more = this.#downstream.flush();
    if (!more && (this.#state === RECEIVING || this.#state === TUNNEL)) {
      // The caller is the slow one now, so the upstream's silence is no fault.
      this.#session?.pause();
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
    if (this.#state !== ENDED) this.#session?.resume();
  }

  onSessionFault(kind: FaultKind, cause: string, anyByte: boolean): void {
    if (this.#state === ENDED) return;
    if (!anyByte && this.reusedConnection && kind === FAULTS.upstreamReset && this.#owner.mayResend()) {
      // The connection had been closed while it lay idle: not the instance's fault, so it is not counted as a try.
      this.#session = null;
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
    if (this.#state === ENDED && this.#session === null) return;
    if (this.#state === CONNECTING) this.endpoint.pool.cancel(this);
    this.#end();
    this.#session?.abandon();
    this.#session = null;
  }

  /** The caller left a tunnel: the upstream gets what is on its way, then the end. */
  endTunnel(): void {
    this.#end();
    this.#session?.endTunnel();
    this.#session = null;
  }

  /** The answer is through; a request that is still being sent spoils the connection. */
  release(requestDone: boolean): void {
    if (!requestDone) this.#session?.abandon();
    this.#session = null;
  }

  onSessionDeadline(): void {
    const kind = this.#state === RECEIVING ? FAULTS.upstreamIdleTimeout : FAULTS.firstByteTimeout;
    this.#end();
    this.#session?.abandon();
    this.#owner.onAttemptFault(this, kind, `after ${Math.round(this.#clock.monotonicMs() - this.startedMs)} ms`);
  }

  #end(): void {
    this.#state = ENDED;
    this.#setDeadline(0);
  }

  #setDeadline(ms: number): void {
    if (this.#session === null) return;
    if (ms > 0) this.#wheel.set(this.#session.deadline, ms, this.nowMs());
    else this.#wheel.clear(this.#session.deadline);
  }
}
