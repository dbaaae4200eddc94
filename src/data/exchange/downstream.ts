/**
 * One request of a client, whatever version of HTTP it speaks; HTTP/1.1 implements it in http1/connection.ts. The
 * exchange is its handler, and knows nothing of connections, pipelining, streams or framing.
 */

import type { Fault } from '../../base/errors.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import type { ClientCertificate } from '../contract/policy.ts';
import type { Head } from '../parser/head.ts';
import type { HeadWriter } from '../parser/head-writer.ts';
import type { Source } from '../wire/sources.ts';
import type { PerConnectionCache } from './per-connection-cache.ts';
import type { BytesHolder } from './upstream-stream.ts';

/** By which connections came in. Over when their listener goes, or takes from then on what is stricter. */
export interface Admission {
  isOver: boolean;
}

/** Who is at the other end of a connection; one object per connection. */
export interface Peer {
  /** Canonical address of the socket's other end, or of what the PROXY protocol said. */
  readonly address: string;
  readonly port: number;
  readonly secure: boolean;
  /** The address lies in `trustProxy`: what it says about the caller is believed. */
  readonly trusted: boolean;
  readonly clientCertificate: ClientCertificate | null;
  /** Name of the listener that took the connection. */
  readonly listener: string;
  readonly admission: Admission;
  /** What its address holds of this worker. Null for a trusted proxy: its clients count by their own addresses. */
  readonly source: Source | null;
}

export interface Downstream extends BytesHolder {
  readonly peer: Peer;
  /** One per connection. */
  readonly cache: PerConnectionCache;
  /** 1xx other than 101. */
  sendInterim(head: Head): void;
  /** Sends `100 Continue` if the client waits for it: the gateway needs the body before an instance has it. */
  sendContinue(): void;
  /** Begins the final head, with the reason of `from` if it has one. The fields are written to what is returned. */
  startHead(status: number, from: Head | null): HeadWriter;
  /**
   * Ends it. `bodyLength`: bytes or `UNKNOWN_LENGTH`. `declareLength`: no Content-Length is among the fields, so a
   * known length is written where the status allows one.
   */
  endHead(bodyLength: number, declareLength: boolean): void;
  /** A close frame of a WebSocket, where one can be sent between two frames of the service; the tunnel ends next. */
  sendClose(frame: Buffer): void;
  /** Ends the head of a 101: from now on bytes pass as they are, both ways. */
  endUpgrade(protocol: string): void;
  /** The next `bytes[start, end)` of the body. */
  sendBody(bytes: Buffer, start: number, end: number): void;
  /** The response is complete. */
  sendEnd(trailers: FieldBlock | null): void;
  /** Hands to the kernel what the above have gathered. False: wait for `onDownstreamDrain`. */
  flush(): boolean;
  /**
   * A few bytes of the request body lie here and follow before the callback ends: the upstream head can wait for them.
   */
  readonly bodyInHand: boolean;
  /** All of the request body lies here and follows before the callback ends. */
  readonly bodyWholeInHand: boolean;
  /** Backpressure for the request body. */
  pauseBody(): void;
  resumeBody(): void;
  /** The response cannot be completed: the client must see that, not a short body (RFC 9112 §8). */
  abort(): void;
  /** The exchange is over, at this time of the monotonic clock; the connection may go on with the next. */
  exchangeDone(nowMs: number): void;
}

/** What the downstream calls. */
export interface DownstreamHandler {
  /** What the client's address holds. */
  readonly source: Source;
  /** `isVolatile`: the memory is used again as soon as this returns, so what is kept must be copied. */
  onRequestBody(bytes: Uint8Array, isVolatile: boolean): void;
  /** All of one read has been handed over: now is the time to send it on. */
  onRequestRead(): void;
  /** The response under way is a stream of events: a client that ends its side has left. */
  readonly isEventStream: boolean;
  /** Body bytes that were handed over are still referred to, so that their memory must be left alone. */
  readonly holdsRequestBytes: boolean;
  /** As they came: the handler decides what passes. */
  onRequestEnd(trailers: Head | null): void;
  /** Something about the body is wrong (framing, length, time). */
  onRequestFault(fault: Fault): void;
  onDownstreamDrain(): void;
  /** The client closed or reset the connection. */
  onDownstreamGone(): void;
}
