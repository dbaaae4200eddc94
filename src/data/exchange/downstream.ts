/**
 * What an exchange may ask of the side that called, whatever protocol that speaks. HTTP/1.1 implements it in
 * connection/connection.ts; the exchange knows nothing of connections, pipelining or chunk sizes.
 */

import type { FieldWriter } from '../contract/field-writer.ts';
import type { ClientCertificate } from '../contract/policy.ts';
import type { PerConnectionCache } from '../http1/per-connection-cache.ts';
import type { Head } from '../parser/head.ts';

/** Who is at the other end of a connection; one object per connection. */
export interface Peer {
  /** Canonical address of the socket's other end, or of what the PROXY protocol said. */
  readonly address: string;
  readonly port: number;
  readonly secure: boolean;
  /** The address lies in `trustProxy`: what it says about the caller is believed. */
  readonly trusted: boolean;
  readonly clientCertificate: ClientCertificate | null;
}

export interface Downstream {
  readonly peer: Peer;
  readonly texts: PerConnectionCache;
  /** 1xx other than 101. */
  sendInterim(head: Head): void;
  /**
   * Begins the final head, with the reason of `answer` if it has one. Whole field lines with CRLF are written to what is
   * returned, without framing and connection fields except a `Content-Length` that agrees with `endHead`.
   */
  startHead(status: number, answer: Head | null): FieldWriter;
  /** Ends it; a number of bytes, or `CHUNKED` when it is not known. */
  endHead(status: number, bodyLength: number): void;
  /** Ends the head of a 101, and from now on bytes pass as they are, both ways. */
  endUpgrade(): void;
  /** The next `bytes[start, end)` of it. */
  sendBody(bytes: Buffer, start: number, end: number): void;
  /** The answer is complete; `trailers` are whole field lines or empty. */
  sendEnd(trailers: string): void;
  /** Hands to the kernel what the above have gathered. False: wait for `onDownstreamDrain`. */
  flush(): boolean;
  /** A few bytes of the request body lie here and are told before the callback ends: the head can wait for them. */
  readonly bodyInHand: boolean;
  /** Bytes given to `sendBody` may still be referred to. */
  readonly holdsBytes: boolean;
  /** Backpressure for the request body. */
  pauseBody(): void;
  resumeBody(): void;
  /** The answer cannot be completed: the caller must see that, not a short body (RFC 9112 §8). */
  abort(): void;
  /** The exchange is over, at this time of the monotonic clock; the connection may go on with the next. */
  exchangeDone(nowMs: number): void;
}

/** What the downstream tells an exchange. */
export interface DownstreamHandler {
  /** `isVolatile`: the memory is used again as soon as this returns, so what is kept must be copied. */
  onRequestBody(bytes: Uint8Array, isVolatile: boolean): void;
  /** All of one read has been told: now is the time to send it on. */
  onRequestRead(): void;
  /** Body bytes that were told are still referred to, so that their memory must be left alone. */
  readonly holdsRequestBytes: boolean;
  onRequestEnd(trailers: Head | null): void;
  /** Something about the body is wrong (framing, length, time). */
  onRequestFault(fault: import('../../base/errors.ts').Fault): void;
  onDownstreamDrain(): void;
  /** The caller closed or reset the connection. */
  onDownstreamGone(): void;
}
