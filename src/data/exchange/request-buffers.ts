/**
 * What one request head needs of memory; kept and reused, since typed arrays are expensive to make (about a
 * microsecond).
 */
import { MessageFraming } from '../parser/framing.ts';
import { Head } from '../parser/head.ts';
import { Target } from '../parser/target.ts';
import { RouteMatchResult } from '../router/match-result.ts';
import type { BodyMemory } from './request-body.ts';

/** Heads up to this size are read into memory that is used again. */
export const HEAD_BYTES = 2 * 1024;
/** The longest request id that is taken from a caller. */
const MAX_REQUEST_ID_BYTES = 128;
/** Bodies up to this are kept in memory that is used again. */
const BODY_BYTES = 4 * 1024;
const NOTHING = Buffer.alloc(0);

export class RequestBuffers implements BodyMemory {
  /** Its own, or one that it shares with other requests (`share`). */
  head: Head;
  readonly #ownHead: Head;
  /** What a whole head of at most `HEAD_BYTES` is copied to. */
  readonly bytes = Buffer.allocUnsafeSlow(HEAD_BYTES);
  readonly #view = new DataView(this.bytes.buffer, this.bytes.byteOffset, HEAD_BYTES);
  /** The request id, Latin-1. */
  readonly id = Buffer.allocUnsafeSlow(MAX_REQUEST_ID_BYTES);
  /** The same by words. */
  readonly idWords = new Int32Array(this.id.buffer, this.id.byteOffset, MAX_REQUEST_ID_BYTES / 4);
  idLength = 0;
  readonly meaning = new MessageFraming();
  /** A pending policy may still read this after the exchange ends, so do not reuse it. */
  heldByPolicy = false;
  readonly target = new Target();
  readonly matched = new RouteMatchResult();

  #body: Buffer = NOTHING;
  /** Of a head that is not its own. */
  #sharedView: DataView | null = null;

  constructor(maxFields: number) {
    this.#ownHead = new Head(maxFields);
    this.head = this.#ownHead;
  }

  /** The request has the same head as others, which stays as it is; `view` is of its bytes. */
  share(head: Head, view: DataView): void {
    this.head = head;
    this.#sharedView = view;
  }

  /** For another request. */
  reset(): void {
    this.head = this.#ownHead;
    this.#sharedView = null;
  }

  /** Made for the first request that has a body to keep. */
  bodyMemory(): Buffer {
    if (this.#body.length === 0) this.#body = Buffer.allocUnsafeSlow(BODY_BYTES);
    return this.#body;
  }

  /** The head's bytes by words; null for a head that has memory of its own. */
  viewOfHead(): DataView | null {
    return this.head.bytes === this.bytes ? this.#view : this.#sharedView;
  }
}

/**
 * As many requests as are in flight at a time under a usual load, also with HTTP/2. What is above is left to the
 * garbage collector, and that is expensive: typed arrays count as memory outside of the heap, and so make it mark all
 * of it.
 */
const MOST_IN_STOCK = 512;

export class RequestBufferPool {
  readonly #stock: RequestBuffers[] = [];
  readonly #maxFields: number;

  constructor(maxFields: number) {
    this.#maxFields = maxFields;
  }

  take(): RequestBuffers {
    return this.#stock.pop() ?? new RequestBuffers(this.#maxFields);
  }

  give(incoming: RequestBuffers): void {
    if (incoming.heldByPolicy || this.#stock.length >= MOST_IN_STOCK) return;
    incoming.reset();
    this.#stock.push(incoming);
  }
}
