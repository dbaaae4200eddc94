/**
 * Where a response comes from (a service, a cache, a composition, a handler) and who takes it. Both are called from
 * events of sockets and timers; the event's handler calls `flush` before it returns to the event loop.
 */
import type { Fault } from '../../base/errors.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import type { Reply } from '../contract/policy.ts';
import type { MessageFraming } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';
import type { BytesHolder } from './upstream-stream.ts';

export interface ResponseSource {
  /** Begins; the handler may be called before this returns. `nowMs`: the monotonic time. */
  start(nowMs: number): void;
  /** The handler takes bytes again, after `flush` was false. */
  resume(): void;
  /** The response is not wanted any more: the handler is not called again. */
  abandon(): void;
  /** Server-sent events that come from no service. */
  readonly isEventStream?: boolean;
}

/** The exchange, or something between it and a source (a cache) that hands on what passes. */
export interface ResponseHandler {
  /** 1xx other than 101. */
  onInterim(head: Head): void;
  /** `head` and `framing` are valid until this returns. */
  onHead(head: Head, framing: MessageFraming): void;
  /** `bytes[start, end)` of the body. */
  onBody(bytes: Buffer, start: number, end: number): void;
  onEnd(trailers: FieldBlock | null): void;
  /** In place of the above: a whole response made in the gateway. */
  onReply(reply: Reply): void;
  /** In place of the above: the instance switched to the protocol that was asked for; `rest` came with the head. */
  onUpgraded(head: Head, protocol: string, rest: Buffer): void;
  /** There is no response, or it breaks off. Nothing follows. */
  onFault(fault: Fault): void;
  /** Sends what was handed over. False: the client reads too slowly, so stop until `resume`. */
  flush(): boolean;
  /** Who may still refer to bytes that were handed over; null: no holder. */
  readonly holder: BytesHolder | null;
  /** The source takes bytes of the request body again. */
  onRequestDrain(): void;
}
