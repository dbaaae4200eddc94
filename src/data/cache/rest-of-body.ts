/**
 * The rest of a body whose fetch broke off: asked for as a range, if the service still has the very same
 * representation, which a strong `ETag` alone can say (RFC 9110 §13.1.5, §15.3.7.3). A service that sends all of it
 * again (200) is as good: what the taker has is dropped. Everything else is a fault, as if nobody had asked.
 */
import { FAULTS, Fault } from '../../base/errors.ts';
import type { ResponseHandler, ResponseSource } from '../exchange/response-source.ts';
import type { BytesHolder } from '../exchange/upstream-stream.ts';
import type { MessageFraming } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';
import { isStrong } from './rules/validation.ts';

/** Who has the beginning and takes the rest; the head is not for it. */
export type RestTaker = Pick<ResponseHandler, 'onBody' | 'onEnd' | 'onFault' | 'flush' | 'holder' | 'onRequestDrain'>;

/** What is missing. */
export interface Missing {
  /** Strong. */
  readonly etag: string;
  /** First byte that is missing, and length of the whole. */
  readonly from: number;
  readonly total: number;
}

/** Null: nothing can be asked for, because no strong `ETag` says what it belongs to, or nothing is missing. */
export function missingOf(etag: string | null, from: number, total: number): Missing | null {
  return etag !== null && isStrong(etag) && from < total ? { etag, from, total } : null;
}

interface UpstreamFields {
  setUpstreamHeader(name: string, value: string): void;
  removeUpstreamHeader(name: string): void;
}

const CONDITIONS = ['if-none-match', 'if-modified-since', 'if-match', 'if-unmodified-since'];

export class RestOfBody implements ResponseSource, ResponseHandler {
  readonly #missing: Missing;
  readonly #taker: RestTaker;
  readonly #source: ResponseSource;
  /** Bytes of this response to be dropped. */
  #skip = 0;
  #left: number;
  #isOver = false;

  constructor(
    missing: Missing,
    request: UpstreamFields,
    open: (handler: ResponseHandler) => ResponseSource,
    taker: RestTaker,
  ) {
    this.#missing = missing;
    this.#taker = taker;
    this.#left = missing.total - missing.from;
    for (const name of CONDITIONS) request.removeUpstreamHeader(name);
    request.setUpstreamHeader('Range', `bytes=${missing.from}-`);
    request.setUpstreamHeader('If-Range', missing.etag);
    this.#source = open(this);
  }

  start(nowMs: number): void {
    this.#source.start(nowMs);
  }

  resume(): void {
    this.#source.resume();
  }

  abandon(): void {
    this.#isOver = true;
    this.#source.abandon();
  }

  onHead(head: Head, { bodyLength }: MessageFraming): void {
    const { etag, from, total } = this.#missing;
    const isSame = head.valueOf('etag') === etag;
    const length = Math.max(bodyLength, -1);
    if (isSame && head.status === 200 && (length === total || length < 0)) this.#skip = from;
    else if (!isSame || head.status !== 206 || !isRange(head.valueOf('content-range'), from, total)) this.#refuse();
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    if (this.#isOver) return;
    const dropped = Math.min(this.#skip, end - start);
    this.#skip -= dropped;
    const first = start + dropped;
    if (first === end) return;
    this.#left -= end - first;
    if (this.#left < 0) this.#refuse();
    else this.#taker.onBody(bytes, first, end);
  }

  onEnd(): void {
    if (this.#isOver) return;
    if (this.#left > 0) {
      this.#refuse();
      return;
    }
    this.#isOver = true;
    this.#taker.onEnd(null);
  }

  onReply(): void {
    this.#refuse();
  }

  onUpgraded(): void {
    this.#refuse();
  }

  onInterim(): void {}

  onFault(fault: Fault): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#taker.onFault(fault);
  }

  flush(): boolean {
    return this.#isOver || this.#taker.flush();
  }

  get holder(): BytesHolder | null {
    return this.#taker.holder;
  }

  onRequestDrain(): void {
    this.#taker.onRequestDrain();
  }

  #refuse(): void {
    if (this.#isOver) return;
    this.abandon();
    this.#taker.onFault(new Fault(FAULTS.upstreamReset, { cause: 'broken off, and the service has no rest for it' }));
  }
}

/** `bytes FROM-LAST/TOTAL`, up to the last byte (RFC 9110 §14.4). */
function isRange(contentRange: string | null, from: number, total: number): boolean {
  const match = /^bytes (\d+)-(\d+)\/(\d+)$/i.exec(contentRange ?? '');
  return match !== null && Number(match[1]) === from && Number(match[2]) === total - 1 && Number(match[3]) === total;
}
