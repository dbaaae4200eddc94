/**
 * One request on a connection to an instance, whatever protocol that speaks; HTTP/1.1 implements it in
 * http1/session.ts. A pool gives streams, an attempt uses one and is its handler. Retries, instances and routes are not
 * known here.
 */
import type { FaultKind } from '../../base/errors.ts';
import type { Deadline } from '../../base/timers.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import type { LenientForm } from '../contract/snapshot.ts';
import type { MessageFraming } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';
import type { HeadWriter } from '../parser/head-writer.ts';
import type { Source } from '../wire/sources.ts';

/** A holder may still refer to bytes that were handed to it. */
export interface BytesHolder {
  readonly holdsBytes: boolean;
}

export interface UpstreamStream extends BytesHolder {
  /** The connection has served a request before, so its loss may be the race with the idle timeout. */
  readonly isReused: boolean;
  /** `onStreamDeadline` is called when it passes. The handler sets and clears it with the wheel. */
  readonly deadline: Deadline;
  /**
   * Begins the request; the target comes in pieces so that no text is joined, `query` is null when there is none.
   * `upgrade`: the protocol that is asked for, or empty. The fields are written to what is returned, then comes
   * `endHead`.
   */
  begin(
    handler: UpstreamHandler,
    method: string,
    authority: string,
    basePath: string,
    path: string,
    query: string | null,
    upgrade: string,
  ): HeadWriter;
  /**
   * `bodyLength`: bytes or `UNKNOWN_LENGTH`. `declareLength`: no Content-Length is among the fields, so a known length
   * is written. `takesTrailers`: trailers of the response can pass.
   */
  endHead(bodyLength: number, declareLength: boolean, takesTrailers: boolean): void;
  /** Gathers body bytes; `flush` sends them. Volatile ones are copied. */
  sendBody(bytes: Uint8Array, isVolatile: boolean): void;
  /** The request is whole. */
  sendEnd(trailers: FieldBlock | null): void;
  /** Sends what is gathered. False when the upstream reads too slowly: `onUpstreamDrain` follows. */
  flush(): boolean;
  /** Stops reading the response, until `resume`. */
  pause(): void;
  resume(): void;
  /** The handler gives up: no callback follows, and a late response is dropped. */
  abandon(): void;
  /** The client left a tunnel: sends what is gathered, then the end. No callback follows. */
  endTunnel(): void;
}

export interface UpstreamHandler {
  /** What the service may do against the grammar of HTTP/1.1. Undefined: nothing. */
  readonly lenient: readonly LenientForm[] | undefined;
  /** The response passes only because of `lenient`; `problem` says what is wrong with it. */
  onLenient(problem: string): void;
  onInterimHead(head: Head): void;
  /** `head` and `framing` are valid until this returns. */
  onResponseHead(head: Head, framing: MessageFraming): void;
  /** `bytes[start, end)`; a view for each part of a body would be expensive. */
  onResponseBody(bytes: Buffer, start: number, end: number): void;
  /** As they came: the handler decides what passes. */
  onResponseEnd(trailers: Head | null): void;
  /** 101, or what stands for it in HTTP/2: from here on bytes pass as they are; `rest` came with the head. */
  onUpgraded(head: Head, rest: Buffer): void;
  /** All of one read has been handed over. Returns who still refers to its bytes, or null. */
  onReadDone(): BytesHolder | null;
  onUpstreamDrain(): void;
  /** Once, and nothing after it. `responseBegan`: part of a response had come, so the upstream has seen the request. */
  onStreamFault(kind: FaultKind, cause: string, responseBegan: boolean): void;
  onStreamDeadline(): void;
}

/** The connections of one worker to one instance. */
export interface StreamPool {
  /**
   * A stream at once, or null: then the waiter is called later. `fresh` asks for a new connection, after a reused one
   * turned out to be stale.
   */
  acquire(waiter: StreamWaiter, fresh: boolean): UpstreamStream | null;
  /** The waiter does not want a stream any more. */
  cancel(waiter: StreamWaiter): void;
}

export interface StreamWaiter {
  /** On whose behalf; null: the gateway's own. */
  readonly source: Source | null;
  /** The protocol that the request asks to switch to, or empty. */
  readonly upgrade: string;
  /** The request has a body. */
  readonly hasBody: boolean;
  /** False: it takes a connection that is free or can be made, and no place in a queue. */
  readonly mayQueue: boolean;
  onStream(stream: UpstreamStream): void;
  /** Nothing was sent. */
  onNoStream(kind: FaultKind, cause: string): void;
}
