/**
 * A field block that a connection has brought twice in the same bytes, while its HPACK table stayed as it was: it means
 * the same fields again, and what was made of them is used once more, without decoding or checking them. Clients that
 * repeat a request and services that repeat a response send such blocks, a few bytes long. The first of them costs a
 * hash, the second one is kept. Owner: the connection.
 */
import type { ConnectionLimits } from '../contract/snapshot.ts';
import type { RequestBuffers } from '../exchange/request-buffers.ts';
import { MessageFraming } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';
import { hashOf } from './hpack/encoder.ts';

/** Longer ones have values that are not in the table, which change. */
const MOST_BYTES = 256;

/** The latest block, and the one that is known. */
export class RepeatedBlock<T> {
  #hash = 0;
  #changes = -1;
  #ended = false;
  #block: Buffer | null = null;
  #kept: T | null = null;

  /** What was made of a block with these bytes; `changes`: of the decoder, now. */
  find(bytes: Buffer, start: number, end: number, ended: boolean, changes: number): T | null {
    const block = this.#block;
    if (block === null || changes !== this.#changes || ended !== this.#ended || end - start !== block.length)
      return null;
    for (let i = 0; i < block.length; i++) if (block[i] !== bytes[start + i]) return null;
    return this.#kept;
  }

  /** A block was decoded and is sound. True: it has come before, `keep` what it means. */
  isRepeated(bytes: Buffer, start: number, end: number, ended: boolean, before: number, changes: number): boolean {
    // One that changes the table is another one the next time.
    if (end - start > MOST_BYTES || before !== changes) return false;
    const hash = hashOf(bytes, start, end - start);
    const isRepeated = hash === this.#hash && changes === this.#changes && ended === this.#ended;
    this.#block = null;
    this.#hash = hash;
    this.#changes = changes;
    this.#ended = ended;
    return isRepeated;
  }

  keep(bytes: Buffer, start: number, end: number, kept: T): void {
    this.#block = Buffer.from(bytes.subarray(start, end));
    this.#kept = kept;
  }
}

/** The head of a request, with memory of its own, for each request that has the same. */
export class KnownRequest {
  readonly limits: ConnectionLimits;
  readonly priority: string;
  readonly #head: Head;
  readonly #view: DataView;
  readonly #meaning: MessageFraming;

  constructor({ head, meaning }: RequestBuffers, limits: ConnectionLimits, priority: string) {
    this.limits = limits;
    this.priority = priority;
    this.#head = head.copy().share();
    const { bytes } = this.#head;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#meaning = Object.assign(new MessageFraming(), meaning);
  }

  /** What a request may change of it, its own meaning, is a copy. */
  fill(incoming: RequestBuffers): void {
    incoming.share(this.#head, this.#view);
    const { meaning } = incoming;
    meaning.bodyLength = this.#meaning.bodyLength;
    meaning.lengthGiven = this.#meaning.lengthGiven;
    meaning.keepAlive = this.#meaning.keepAlive;
    meaning.host = this.#meaning.host;
    meaning.upgrade = this.#meaning.upgrade;
    meaning.expectsContinue = this.#meaning.expectsContinue;
    meaning.takesTrailers = this.#meaning.takesTrailers;
    meaning.nominated = null;
  }
}

/** Those of a response are read where they lie. */
export interface KnownResponse {
  readonly head: Head;
  readonly meaning: MessageFraming;
}
