/**
 * The worker's end of the stream of security events: there only where the stream is configured. Picks the exchanges
 * and refused heads that are such events and hands them to the main thread in batches; so many a second, the rest is
 * counted, because attackers decide how many there are. Called by exchange/report.ts and runtime.ts.
 */
import { systemClock } from '../../base/clock.ts';
import { type Cancel, systemTimers } from '../../base/system-timers.ts';
import { FAULT_EVENTS, type SecurityBatch, type SecurityEvent } from '../contract/security-events.ts';

/** Of one worker. */
const MOST_PER_SECOND = 200;
const HAND_OVER_MS = 200;

/** What an event tells of an exchange. */
export interface WatchedExchange {
  readonly requestId: string;
  readonly trace: { readonly traceId: string } | null;
  readonly address: string;
  readonly method: string;
  readonly host: string;
  readonly path: string;
  readonly routeId: string;
  readonly identity: { readonly subject: string } | null;
  readonly fault: {
    readonly kind: { readonly reason: string; readonly status: number };
    readonly cause?: string | undefined;
    readonly detail?: string | undefined;
  } | null;
}

export class SecurityWatch {
  readonly #send: (batch: SecurityBatch) => void;
  readonly #now: () => number;
  #events: SecurityEvent[] = [];
  #leftOut = 0;
  #timer: Cancel | null = null;
  #windowMs = Number.NEGATIVE_INFINITY;
  #inWindow = 0;

  /** `now`: milliseconds of a clock that is never set back. */
  constructor(send: (batch: SecurityBatch) => void, now = () => systemClock.monotonicMs()) {
    this.#send = send;
    this.#now = now;
  }

  /** An exchange with a fault has ended. */
  ended(exchange: WatchedExchange, wallMs: number): void {
    const { fault } = exchange;
    const event = fault === null ? undefined : FAULT_EVENTS[fault.kind.reason];
    if (fault === null || event === undefined || !this.#mayTell()) return;
    this.#add({
      event,
      atMs: wallMs,
      fields: {
        address: exchange.address,
        subject: exchange.identity?.subject,
        reason: fault.kind.reason,
        cause: fault.cause ?? fault.detail,
        status: fault.kind.status,
        method: exchange.method,
        host: exchange.host,
        path: exchange.path,
        route: exchange.routeId,
        request_id: exchange.requestId,
        trace_id: exchange.trace?.traceId,
      },
    });
  }

  /** A head that became no request. */
  refused(reason: string, status: number, address: string, wallMs: number): void {
    const event = FAULT_EVENTS[reason];
    if (event === undefined || !this.#mayTell()) return;
    this.#add({ event, atMs: wallMs, fields: { address, reason, status } });
  }

  /** What was not handed over yet. */
  flush(): void {
    this.#timer?.();
    this.#timer = null;
    if (this.#events.length === 0 && this.#leftOut === 0) return;
    const batch = { events: this.#events, leftOut: this.#leftOut };
    this.#events = [];
    this.#leftOut = 0;
    this.#send(batch);
  }

  #mayTell(): boolean {
    const nowMs = this.#now();
    if (nowMs - this.#windowMs >= 1_000) {
      this.#windowMs = nowMs;
      this.#inWindow = 0;
    }
    if (this.#inWindow < MOST_PER_SECOND) {
      this.#inWindow++;
      return true;
    }
    this.#leftOut++;
    this.#plan();
    return false;
  }

  #add(event: SecurityEvent): void {
    this.#events.push(event);
    this.#plan();
  }

  #plan(): void {
    this.#timer ??= systemTimers.after(HAND_OVER_MS, () => this.flush());
  }
}
