/**
 * From decoded fields to the head of a response as the rest of the gateway knows it (RFC 9113 §8.3.2), as strict as for
 * requests: what could become another message in HTTP/1.1 is refused. One per thread, used without a wait.
 */
import { CONNECTION, KEEP_ALIVE, OTHER, PROXY_CONNECTION, TRANSFER_ENCODING, UPGRADE } from '../parser/field-names.ts';
import { MessageFraming, readResponseFraming, UNKNOWN_LENGTH, UNTIL_CLOSE } from '../parser/framing.ts';
import { Head } from '../parser/head.ts';
import { HeadBuilder } from '../parser/head-builder.ts';
import type { FieldSink } from './hpack/decoder.ts';
import { COOKIE, FIRST_PSEUDO, P_STATUS } from './hpack/field-kinds.ts';

/** Upstream heads may be larger than those of clients: they are trusted more and carry cookies. */
export const MAX_HEAD_BYTES = 64 * 1024;
const MAX_FIELDS = 256;
const DIGIT_0 = 0x30;
const MEMORY = Buffer.allocUnsafeSlow(8 * 1024);

class ResponseHeadReader implements FieldSink {
  /** Good until the next head. */
  readonly head = new Head(MAX_FIELDS);
  readonly meaning = new MessageFraming();
  readonly #builder = new HeadBuilder(this.head, MEMORY, MAX_HEAD_BYTES);
  #problem = '';
  #status = 0;
  #regular = false;

  begin(): void {
    this.#builder.restart(MEMORY);
    this.#problem = '';
    this.#status = 0;
    this.#regular = false;
  }

  constructor() {
    this.head.origins = new Float64Array(MAX_FIELDS);
  }

  onField(bytes: Buffer, start: number, nameLength: number, valueLength: number, kind: number, origin: number): void {
    if (this.#problem !== '') return;
    const nameEnd = start + nameLength;
    if (kind === P_STATUS && !this.#regular && this.#status === 0) {
      this.#status = statusOf(bytes, nameEnd + 2, valueLength);
      if (this.#status === 0) this.#problem = ':status is not a number from 100 to 599';
      return;
    }
    if (kind >= FIRST_PSEUDO && kind !== COOKIE) {
      this.#problem = 'a pseudo-field that does not belong there, or a field that no message may have';
      return;
    }
    this.#regular = true;
    if (
      kind === CONNECTION ||
      kind === KEEP_ALIVE ||
      kind === PROXY_CONNECTION ||
      kind === TRANSFER_ENCODING ||
      kind === UPGRADE
    )
      this.#problem = `${bytes.latin1Slice(start, nameEnd)} is a field of HTTP/1.1 connections`;
    else if (!this.#builder.line(bytes, start, nameLength, valueLength, kind === COOKIE ? OTHER : kind, origin))
      this.#problem = `the head has more than ${MAX_FIELDS} fields or ${MAX_HEAD_BYTES} bytes`;
  }

  /** Fills head and meaning for the response to `method`; says what is wrong, or ''. */
  finish(method: string, ended: boolean): string {
    if (this.#problem !== '') return this.#problem;
    if (this.#status === 0) return ':status is missing';
    if (this.#status === 101) return 'HTTP/2 has no 101';
    if (this.#status < 200 && ended) return 'an interim response ends the stream';
    const { head, meaning } = this;
    this.#builder.response(this.#status);
    this.#builder.end();
    head.major = 2;
    // The grammar of what the fields mean is that of HTTP/1.1.
    head.minor = 1;
    const isSound = readResponseFraming(head, method, meaning);
    head.minor = 0;
    if (!isSound) return head.detail;
    if (meaning.bodyLength === UNTIL_CLOSE) meaning.bodyLength = UNKNOWN_LENGTH;
    meaning.keepAlive = true;
    if (ended) {
      // §8.1.1
      if (meaning.bodyLength > 0) return 'Content-Length is not 0 and there is no body';
      meaning.bodyLength = 0;
    }
    return '';
  }
}

/** 0: no number from 100 to 599. */
function statusOf(bytes: Buffer, at: number, length: number): number {
  if (length !== 3) return 0;
  const hundreds = bytes[at]! - DIGIT_0;
  const tens = bytes[at + 1]! - DIGIT_0;
  const ones = bytes[at + 2]! - DIGIT_0;
  if (hundreds < 1 || hundreds > 5 || tens < 0 || tens > 9 || ones < 0 || ones > 9) return 0;
  return hundreds * 100 + tens * 10 + ones;
}

export const responseHead: ResponseHeadReader = new ResponseHeadReader();
