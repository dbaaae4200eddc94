/**
 * Decoder of the chunked transfer coding (RFC 9112 §7.1), a byte at a time across any split, holding nothing but a
 * state and a count. Extensions are checked against the grammar and dropped; trailers are handed on as a parsed
 * head. Sizes are bounded so that no arithmetic can wrap, extensions and trailers so that they cannot be a flood.
 *
 *   SIZE -> (EXTENSION) -> SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE ... -> size 0 -> TRAILERS -> END
 */
import { BACKSLASH, CR, DQUOTE, EQUALS, HEX, HTAB, LF, SEMICOLON, SP, TOKEN, VALUE } from './bytes.ts';
import type { HeadLimits } from './head.ts';
import { Head, INCOMPLETE, REFUSED, readFields } from './head.ts';

/** What `step` found. */
export const NEED_MORE = 0;
export const DATA = 1;
export const END = 2;
export const BAD = 3;

const SIZE = 0;
const SIZE_MORE = 1;
const SIZE_LF = 2;
const IN_DATA = 3;
const DATA_CR = 4;
const DATA_LF = 5;
const TRAILERS = 6;
const FINISHED = 7;
/**
 * Inside an extension: before `;`, before a name, in a name, before `=`, before a value, in a token, in a quoted
 * string, behind its backslash.
 */
const EXT_START = 10;
const EXT_BEFORE_NAME = 11;
const EXT_NAME = 12;
const EXT_AFTER_NAME = 13;
const EXT_BEFORE_VALUE = 14;
const EXT_TOKEN = 15;
const EXT_QUOTED = 16;
const EXT_ESCAPED = 17;
const EXT_AFTER_VALUE = 18;

/** 2^44: far above any body, far below where doubles lose integers. */
const MAX_SIZE_DIGITS = 11;
/** Over one body, so that tiny chunks with long extensions cannot be an amplifier. */
const MAX_EXTENSION_BYTES = 16 * 1024;
const TRAILER_LIMITS: HeadLimits = { maxHeadBytes: 8 * 1024, maxTargetBytes: 0, maxFields: 32 };

export class ChunkedDecoder {
  /** Where the next `step` goes on. */
  position = 0;
  /** With `DATA`: the run of body bytes found. */
  dataStart = 0;
  dataEnd = 0;
  /** With `END`: the trailers, or null when there were none. */
  trailers: Head | null = null;
  /** With `BAD`: what was wrong. */
  problem = '';
  /** A size had blanks behind it, which is against the grammar. */
  wasPadded = false;

  #state = SIZE;
  #size = 0;
  #digits = 0;
  #extensionBytes = 0;
  #trailerBytes: Buffer | null = null;
  #takesPadding = false;

  /** `takesPadding`: blanks between a size and the end of its line, which some servers fill a fixed width with, pass. */
  reset(takesPadding = false): void {
    this.trailers = null;
    this.wasPadded = false;
    this.#takesPadding = takesPadding;
    this.#state = SIZE;
    this.#size = 0;
    this.#digits = 0;
    this.#extensionBytes = 0;
    this.#trailerBytes = null;
  }

  /** Reads on in `bytes[position, end)` until something is found. */
  step(bytes: Buffer, from: number, end: number): number {
    let i = from;
    while (i < end) {
      const byte = bytes[i]!;
      switch (this.#state) {
        case SIZE:
        case SIZE_MORE: {
          const value = HEX[byte]!;
          if (value !== 255) {
            // Zeros in front say nothing, and count as little as an extension.
            const isLeading = value === 0 && this.#size === 0;
            if (isLeading ? ++this.#extensionBytes > MAX_EXTENSION_BYTES : ++this.#digits > MAX_SIZE_DIGITS)
              return this.#bad('a chunk size is too large');
            this.#size = this.#size * 16 + value;
            this.#state = SIZE_MORE;
            i++;
            break;
          }
          if (this.#state === SIZE) return this.#bad('a chunk size is not hexadecimal');
          if (byte === CR) {
            this.#state = SIZE_LF;
            i++;
          } else if (byte === SEMICOLON || byte === SP || byte === HTAB) {
            this.#state = EXT_START;
          } else {
            return this.#bad('a chunk size is not hexadecimal');
          }
          break;
        }
        case SIZE_LF:
          if (byte !== LF) return this.#bad('a chunk size does not end with CRLF');
          i++;
          this.#digits = 0;
          this.#state = this.#size === 0 ? TRAILERS : IN_DATA;
          break;
        case IN_DATA: {
          const take = Math.min(this.#size, end - i);
          this.dataStart = i;
          this.dataEnd = i + take;
          this.#size -= take;
          if (this.#size === 0) this.#state = DATA_CR;
          this.position = i + take;
          return DATA;
        }
        case DATA_CR:
          if (byte !== CR) return this.#bad('a chunk is longer than its size');
          this.#state = DATA_LF;
          i++;
          break;
        case DATA_LF:
          if (byte !== LF) return this.#bad('a chunk does not end with CRLF');
          this.#state = SIZE;
          i++;
          break;
        case TRAILERS:
          return this.#readTrailers(bytes, i, end);
        case FINISHED:
          return this.#bad('the body has ended');
        default:
          if (!this.#readExtension(byte)) return this.#bad('a chunk extension is malformed');
          i++;
      }
    }
    this.position = i;
    return NEED_MORE;
  }

  #bad(problem: string): typeof BAD {
    this.problem = problem;
    return BAD;
  }

  /** RFC 9112 §7.1.1: *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] ) */
  #readExtension(byte: number): boolean {
    if (++this.#extensionBytes > MAX_EXTENSION_BYTES) return false;
    const blank = byte === SP || byte === HTAB;
    switch (this.#state) {
      case EXT_START:
        if (byte === SEMICOLON) this.#state = EXT_BEFORE_NAME;
        else if (byte === CR && this.#takesPadding) {
          this.wasPadded = true;
          this.#state = SIZE_LF;
        } else if (!blank) return false;
        return true;
      case EXT_BEFORE_NAME:
        if (TOKEN[byte] === 1) this.#state = EXT_NAME;
        else if (!blank) return false;
        return true;
      case EXT_NAME:
        if (TOKEN[byte] === 1) return true;
        return this.#afterName(byte, blank);
      case EXT_AFTER_NAME:
        return this.#afterName(byte, blank);
      case EXT_BEFORE_VALUE:
        if (byte === DQUOTE) this.#state = EXT_QUOTED;
        else if (TOKEN[byte] === 1) this.#state = EXT_TOKEN;
        else if (!blank) return false;
        return true;
      case EXT_TOKEN:
        if (TOKEN[byte] === 1) return true;
        return this.#afterValue(byte, blank);
      case EXT_QUOTED:
        if (byte === DQUOTE) this.#state = EXT_AFTER_VALUE;
        else if (byte === BACKSLASH) this.#state = EXT_ESCAPED;
        else if (VALUE[byte] !== 1) return false;
        return true;
      case EXT_ESCAPED:
        if (VALUE[byte] !== 1) return false;
        this.#state = EXT_QUOTED;
        return true;
      case EXT_AFTER_VALUE:
        return this.#afterValue(byte, blank);
      default:
        return false;
    }
  }

  #afterName(byte: number, blank: boolean): boolean {
    if (byte === EQUALS) this.#state = EXT_BEFORE_VALUE;
    else if (blank) this.#state = EXT_AFTER_NAME;
    else return this.#endOrNext(byte);
    return true;
  }

  #afterValue(byte: number, blank: boolean): boolean {
    if (blank) {
      this.#state = EXT_AFTER_VALUE;
      return true;
    }
    return this.#endOrNext(byte);
  }

  #endOrNext(byte: number): boolean {
    if (byte === SEMICOLON) this.#state = EXT_BEFORE_NAME;
    else if (byte === CR) this.#state = SIZE_LF;
    else return false;
    return true;
  }

  /** Almost always the empty line alone. Anything else is collected until whole, then read like a head's fields. */
  #readTrailers(bytes: Buffer, from: number, end: number): number {
    const kept = this.#trailerBytes;
    if (kept === null && end - from >= 2 && bytes[from] === CR && bytes[from + 1] === LF) {
      this.#state = FINISHED;
      this.position = from + 2;
      return END;
    }
    const all = kept === null ? bytes.subarray(from, end) : Buffer.concat([kept, bytes.subarray(from, end)]);
    const keptLength = kept === null ? 0 : kept.length;
    const head = new Head(TRAILER_LIMITS.maxFields);
    const after = readFields(all, 0, 0, all.length, TRAILER_LIMITS, head);
    if (after === REFUSED) return this.#bad('the trailers are malformed');
    if (after === INCOMPLETE) {
      this.#trailerBytes = kept === null ? Buffer.from(all) : all;
      this.position = end;
      return NEED_MORE;
    }
    this.#state = FINISHED;
    this.#trailerBytes = null;
    this.position = from + after - keptLength;
    if (head.count > 0) {
      head.bytes = Buffer.from(all.subarray(0, after));
      this.trailers = head;
    }
    return END;
  }
}
