/**
 * What policies may do with bodies: read one whole, replace it, or put a filter in the way that sees it piece by piece.
 * A route without such a policy pays nothing: its bytes pass as they came.
 */
import type { Fault } from '../../base/errors.ts';
import type { FieldBlock } from './field-block.ts';

/** Where a filter writes to: the next filter, or the other side. */
export interface BodyOutput {
  /** `bytes[start, end)`, copied or sent before the filter's own call ends. False: enough, until `filter.resume()`. */
  write(bytes: Buffer, start: number, end: number): boolean;
  /** Sends what was written; a writer with an event of its own calls it at the end of that event. */
  flush(): void;
  /** The body is whole. */
  end(trailers: FieldBlock | null): void;
  /** In place of `write` and `end`: all of the body at once, so that its length can be declared. */
  whole(bytes: Buffer): void;
  /** The filter takes bytes again, after its `write` was false. */
  resume(): void;
  /** Ends the exchange: with a proper response as long as no byte of another was sent. */
  fail(fault: Fault): void;
}

/**
 * One per exchange. It may work asynchronously: `out` is used until `out.end`, `out.whole`, `out.fail` or `abandon`.
 */
export interface BodyFilter {
  /** Once, before anything else. */
  attach(out: BodyOutput): void;
  /** `bytes[start, end)`, valid until this returns. False: enough for now; `out.resume()` follows. */
  write(bytes: Buffer, start: number, end: number): boolean;
  /** All of one read was written: what must not wait (events, records) is passed on now. */
  flush(): void;
  /** The body is whole: leads to `out.end`, `out.whole` or `out.fail`, now or later. */
  end(trailers: FieldBlock | null): void;
  /** `out` takes bytes again, after `out.write` was false. */
  resume(): void;
  /** The exchange is over: nothing may be called any more. */
  abandon(): void;
}

export interface ResponseFilterOptions {
  /** Bytes of the body behind the filter. Default: not known, so no Content-Length is sent. */
  readonly length?: number;
  /**
   * The head waits for the first byte of the filtered body, so that the filter may still refuse, change fields and
   * status, and give a length by `out.whole`. Default false.
   */
  readonly holdHead?: boolean;
}

export interface BodyAccess {
  /**
   * The whole request body; a client that waits for `100 Continue` gets it. Rejects with a `Fault` when it is larger
   * than
   * `maxBytes`, malformed or does not come; a hook that does not catch it ends the exchange with that. The body is sent
   * on nevertheless. In hooks up to `requestBody` of routes and not twice at the same time.
   */
  readBody(maxBytes: number): Promise<Buffer>;
  /** A filter takes off the Content-Encoding of the request, so what is read here is not packed. */
  isBodyUnpacked: boolean;
  /** A policy has promised that it has its effect once: it is not sent again, whatever its client vouches for. */
  isOnce: boolean;
  /** A service has got the request, or a handler or composition was begun for it: it may have had its effect. */
  readonly mayHaveActed: boolean;
  /** What is sent on in place of the body that was read. */
  replaceBody(bytes: Uint8Array): void;
  /**
   * In hooks up to `requestBody`; of several the first sees what the client sent. `length`: of the filter's output.
   */
  filterRequestBody(filter: BodyFilter, length?: number): void;
  /** In `responseHead`: bytes of the body as it stands, behind the filters so far; -1 when that is not known yet. */
  readonly responseLength: number;
  /**
   * In `responseHead`; of several the first sees what the service sent. Not for responses without a body, nor for
   * faults.
   */
  filterResponseBody(filter: BodyFilter, options?: ResponseFilterOptions): void;
  /** In `responseHead`, and as long as a filter holds the head. */
  setStatus(status: number): void;
  /** What the service gets in place of the query, without `?`; the path is as it would be. Null is none. */
  setUpstreamQuery(query: string | null): void;
  /** The query as the service would get it now, without `?`; empty when there is none. */
  readonly upstreamQueryNow: string;
  /** What the service gets in place of path and query; the path begins with `/`, the query has no `?`, null is none. */
  setUpstreamTarget(path: string, query: string | null): void;
}
