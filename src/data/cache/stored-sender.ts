/**
 * Sends a stored response, or one that is still being filled, as this client wants it: whole, as 304, a range of it, or
 * its head alone (RFC 9111 §4, §4.3.2, RFC 9110 §13, §14). The body goes piece by piece as the client takes it; a piece
 * is copied, so the store is not bound to how long the kernel needs.
 */
import type { ResponseHandler } from '../exchange/response-source.ts';
import { CONTENT_LENGTH } from '../parser/field-names.ts';
import { MessageFraming } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';
import type { CachedRequest } from './cached-response.ts';
import { type Missing, missingOf } from './rest-of-body.ts';
import { ageOf } from './rules/freshness.ts';
import { selectRange } from './rules/ranges.ts';
import { IS_200 } from './rules/storing.ts';
import { ifRangeHolds, isNotModified, validatorsOf } from './rules/validation.ts';
import { ABORTED, LIVE } from './store/layout.ts';
import type { Reader } from './store/reader.ts';
import { notModifiedHead, partialHead, readStored, unsatisfiableHead, withLength } from './stored-head.ts';
import { PIECE_BYTES, type WorkerCache } from './worker-cache.ts';

/** `broken`: the rest will not come. */
export type Progress = 'waiting' | 'done' | 'broken';

/** The head is handed on before the next one is read, so one for all will do. */
const framing = new MessageFraming();
/** Up to here whoever takes bytes copies them. */
const COPIED_BYTES = 16 * 1024;

export class StoredSender {
  readonly reader: Reader;
  readonly #cache: WorkerCache;
  readonly #request: CachedRequest;
  readonly #handler: ResponseHandler;
  /** Bytes of the body still to be sent. */
  #left = 0;
  #waitsForClient = false;
  sent = 0;

  constructor(cache: WorkerCache, request: CachedRequest, handler: ResponseHandler, reader: Reader) {
    this.#cache = cache;
    this.#request = request;
    this.#handler = handler;
    this.reader = reader;
  }

  /** Goes on with a response whose head and first bytes the client has had from elsewhere. */
  continueFrom(byte: number): void {
    this.reader.skipTo(byte);
    this.#left = this.reader.bodyBytes - byte;
  }

  /** What has not come, when the progress is `broken`; null: it cannot be asked for. */
  missing(): Missing | null {
    const { bodyRead } = this.reader;
    // Puts the reader at the beginning of the body.
    const etag = readStored(this.reader.head(), this.#cache.head).valueOf('etag');
    return missingOf(etag, bodyRead, bodyRead + this.#left);
  }

  /** `newHead`: instead of the stored one, as a 304 has changed it. The body follows by `pump`. */
  sendHead(newHead: Buffer | null, bornMs: number, nowMs: number): void {
    const stored = this.reader.head();
    const bytes = newHead ?? stored;
    const head = readStored(bytes, this.#cache.head);
    const { reader } = this;
    const isGet = this.#request.method === 'GET';
    this.#left = isGet ? reader.bodyBytes : 0;
    this.#request.addResponseHeader('Age', String(ageOf(bornMs, nowMs)));
    if (this.#isNotModified(head, nowMs)) {
      this.#left = 0;
      this.#hand(readStored(notModifiedHead(head), this.#cache.otherHead), 0);
      return;
    }
    if (isGet && this.#sendRange(head)) return;
    if (head.find(CONTENT_LENGTH) >= 0 || head.status === 204) this.#hand(head, isGet ? reader.bodyBytes : 0);
    else this.#hand(readStored(withLength(bytes, reader.bodyBytes), this.#cache.head), isGet ? reader.bodyBytes : 0);
  }

  /** `head`: of a stored response that is whole; what is said beside it has been said. The body follows by `pump`. */
  sendKnown(head: Head): void {
    const { reader } = this;
    reader.skipTo(0);
    this.#left = reader.bodyBytes;
    this.#hand(head, this.#left);
  }

  #isNotModified(head: Head, nowMs: number): boolean {
    const ifNoneMatch = this.#request.header('if-none-match');
    const ifModifiedSince = ifNoneMatch === null ? this.#request.header('if-modified-since') : null;
    if (ifNoneMatch === null && ifModifiedSince === null) return false;
    // RFC 9111 §4.3.2: without a date of its own what is stored is as new as when it was made.
    const { etag, lastModified } = validatorsOf(head);
    const stored = { etag, lastModified: lastModified ?? head.valueOf('date') };
    return isNotModified(stored, { ifNoneMatch, ifModifiedSince }, head.status, nowMs);
  }

  /** True: a part was asked for and is sent, or cannot be. */
  #sendRange(head: Head): boolean {
    // A policy that needs whole bodies asks the service for no parts, and gets none of what is stored either.
    const range = this.#request.sentUpstream('range');
    const { reader } = this;
    if (range === null || reader.kind !== LIVE || (reader.flags & IS_200) === 0) return false;
    const stored = validatorsOf(head);
    if (!ifRangeHolds(this.#request.header('if-range'), stored)) return false;
    const length = reader.bodyBytes;
    const part = selectRange(range, length);
    if (part === 'whole') return false;
    if (part === 'unsatisfiable') {
      this.#left = 0;
      this.#hand(readStored(unsatisfiableHead(length), this.#cache.otherHead), 0);
      return true;
    }
    reader.skipTo(part.first);
    this.#left = part.last - part.first + 1;
    this.#hand(readStored(partialHead(head, part.first, part.last, length), this.#cache.otherHead), this.#left);
    return true;
  }

  #hand(head: Head, bodyLength: number): void {
    framing.bodyLength = bodyLength;
    framing.lengthGiven = true;
    framing.nominated = null;
    this.#handler.onHead(head, framing);
  }

  /** The client takes bytes again, after `pump` ended because it did not. */
  drained(): void {
    this.#waitsForClient = false;
  }

  /** Hands on what there is and the client takes; the caller ends the response. */
  pump(): Progress {
    const { reader } = this;
    while (this.#left > 0) {
      if (this.#waitsForClient) return 'waiting';
      const ready = Math.min(this.#left, reader.available, PIECE_BYTES);
      if (ready <= 0) return reader.bodyBytes === ABORTED ? 'broken' : 'waiting';
      const piece = this.#cache.takePiece();
      reader.read(piece, 0, ready);
      this.#left -= ready;
      this.sent += ready;
      this.#handler.onBody(piece, 0, ready);
      // A last small piece has been copied, and is sent together with the head.
      const goesOn = (this.#left === 0 && ready <= COPIED_BYTES) || this.#handler.flush();
      if (this.#handler.holder === null) this.#cache.givePiece(piece);
      this.#waitsForClient = !goesOn;
    }
    // A client that sends requests ahead and does not read gets no next response before it has taken this one.
    return this.#waitsForClient ? 'waiting' : 'done';
  }
}
