/**
 * Cuts the bytes of a connection into frames (RFC 9113 §4.1), whichever way they come. The payload of DATA is handed on
 * as it comes, without padding; any other frame when it is whole: from the bytes that were read if it lies in them,
 * else from memory of its own that is at most one frame long. It checks lengths and padding, not meaning.
 */
import {
  DATA,
  FRAME_BYTES,
  FRAME_SIZE_ERROR,
  HEADER_BYTES,
  HEADERS,
  integer31,
  PADDED,
  PREFACE,
  PROTOCOL_ERROR,
  PUSH_PROMISE,
} from './frames.ts';

export interface FrameHandler {
  /**
   * A whole frame; its payload is `bytes[start, end)` without padding, good until this returns. False: read no more.
   */
  onFrame(type: number, flags: number, stream: number, bytes: Buffer, start: number, end: number): boolean;
  /** The header of DATA. `length` is what it takes of the windows, padding and all (§6.9.1). False: read no more. */
  onDataFrame(flags: number, stream: number, length: number, padding: number): boolean;
  onData(stream: number, bytes: Buffer, start: number, end: number): boolean;
  /** The DATA frame is whole. */
  onDataFrameEnd(flags: number, stream: number): boolean;
  /** Connection error. */
  onFrameError(code: number, problem: string): void;
}

const NOTHING = Buffer.alloc(0);

const IN_PREFACE = 0;
const IN_HEADER = 1;
const IN_PAYLOAD = 2;
const PAD_LENGTH = 3;
const IN_DATA = 4;
const IN_PADDING = 5;
const STOPPED = 6;

export class FrameReader {
  readonly #handler: FrameHandler;
  #state: number;
  /** Bytes of preface or header so far. */
  #filled = 0;
  /** Made when one comes in two reads, so that an idle connection has none. */
  #header: Buffer = NOTHING;
  #partial: Buffer = NOTHING;
  #length = 0;
  #type = 0;
  #flags = 0;
  #stream = 0;
  /** Of DATA: what is still to come of payload and of padding. */
  #left = 0;
  #padding = 0;

  /** `expectsPreface`: a client is at the other end (§3.4). */
  constructor(handler: FrameHandler, expectsPreface: boolean) {
    this.#handler = handler;
    this.#state = expectsPreface ? IN_PREFACE : IN_HEADER;
  }

  /** Part of the preface or of a frame other than DATA has come, so the rest has to come soon. */
  get isInsideFrame(): boolean {
    return this.#filled > 0 || this.#state === IN_PAYLOAD || this.#state === PAD_LENGTH;
  }

  get hasPreface(): boolean {
    return this.#state !== IN_PREFACE;
  }

  stop(): void {
    this.#state = STOPPED;
    this.#filled = 0;
    this.#partial = NOTHING;
  }

  read(bytes: Buffer, start: number, end: number): void {
    let at = start;
    while (at < end) {
      switch (this.#state) {
        case IN_PREFACE:
          at = this.#readPreface(bytes, at, end);
          break;
        case IN_HEADER:
          at = this.#readHeader(bytes, at, end);
          break;
        case IN_PAYLOAD:
          at = this.#readPayload(bytes, at, end);
          break;
        case PAD_LENGTH:
          this.#padding = bytes[at++]!;
          // §6.1: padding as long as the rest of the payload or longer is an error.
          if (this.#padding > this.#length - 1) {
            this.#fail(PROTOCOL_ERROR, 'padding longer than the frame');
            return;
          }
          this.#beginData(this.#length - 1 - this.#padding, this.#padding + 1);
          break;
        case IN_DATA:
          at = this.#readData(bytes, at, end);
          break;
        case IN_PADDING: {
          const take = Math.min(this.#padding, end - at);
          this.#padding -= take;
          at += take;
          if (this.#padding === 0) this.#endData();
          break;
        }
        default:
          return;
      }
    }
  }

  #fail(code: number, problem: string): void {
    this.stop();
    this.#handler.onFrameError(code, problem);
  }

  #readPreface(bytes: Buffer, from: number, end: number): number {
    let at = from;
    for (; at < end && this.#filled < PREFACE.length; at++, this.#filled++) {
      if (bytes[at] === PREFACE[this.#filled]) continue;
      this.#fail(PROTOCOL_ERROR, 'no connection preface');
      return end;
    }
    if (this.#filled === PREFACE.length) {
      this.#filled = 0;
      this.#state = IN_HEADER;
    }
    return at;
  }

  #readHeader(bytes: Buffer, from: number, end: number): number {
    let at = from;
    if (this.#filled === 0 && end - at >= HEADER_BYTES) {
      this.#beginFrame(bytes, at);
      return at + HEADER_BYTES;
    }
    if (this.#header === NOTHING) this.#header = Buffer.alloc(HEADER_BYTES);
    while (at < end && this.#filled < HEADER_BYTES) this.#header[this.#filled++] = bytes[at++]!;
    if (this.#filled === HEADER_BYTES) {
      this.#filled = 0;
      this.#beginFrame(this.#header, 0);
    }
    return at;
  }

  #beginFrame(header: Buffer, at: number): void {
    const length = (header[at]! << 16) | (header[at + 1]! << 8) | header[at + 2]!;
    this.#length = length;
    this.#type = header[at + 3]!;
    this.#flags = header[at + 4]!;
    this.#stream = integer31(header, at + 5);
    if (length > FRAME_BYTES) {
      this.#fail(FRAME_SIZE_ERROR, 'a frame longer than SETTINGS_MAX_FRAME_SIZE');
      return;
    }
    if (this.#type !== DATA) {
      this.#state = IN_PAYLOAD;
      if (length === 0) this.#onFrame(NOTHING, 0, 0);
      return;
    }
    if ((this.#flags & PADDED) === 0) {
      this.#beginData(length, 0);
      return;
    }
    if (length === 0) this.#fail(FRAME_SIZE_ERROR, 'a padded frame without the length of its padding');
    else this.#state = PAD_LENGTH;
  }

  #readPayload(bytes: Buffer, at: number, end: number): number {
    if (this.#partial.length === 0 && end - at >= this.#length) {
      const behind = at + this.#length;
      this.#onFrame(bytes, at, behind);
      return behind;
    }
    if (this.#partial.length === 0) {
      this.#partial = Buffer.allocUnsafe(this.#length);
      this.#left = this.#length;
    }
    const take = Math.min(this.#left, end - at);
    bytes.copy(this.#partial, this.#length - this.#left, at, at + take);
    this.#left -= take;
    if (this.#left === 0) {
      const whole = this.#partial;
      this.#partial = NOTHING;
      this.#onFrame(whole, 0, whole.length);
    }
    return at + take;
  }

  /** Takes the padding off the two frames that have it besides DATA. */
  #onFrame(bytes: Buffer, from: number, to: number): void {
    this.#state = IN_HEADER;
    let start = from;
    let end = to;
    if ((this.#flags & PADDED) !== 0 && (this.#type === HEADERS || this.#type === PUSH_PROMISE)) {
      if (start === end) {
        this.#fail(FRAME_SIZE_ERROR, 'a padded frame without the length of its padding');
        return;
      }
      const padding = bytes[start++]!;
      end -= padding;
      if (end < start) {
        this.#fail(PROTOCOL_ERROR, 'padding longer than the frame');
        return;
      }
    }
    if (!this.#handler.onFrame(this.#type, this.#flags, this.#stream, bytes, start, end)) this.stop();
  }

  /** `padding`: what of the frame is none of the body. */
  #beginData(left: number, padding: number): void {
    if (!this.#handler.onDataFrame(this.#flags, this.#stream, this.#length, padding)) {
      this.stop();
      return;
    }
    this.#left = left;
    if (left > 0) this.#state = IN_DATA;
    else this.#skipPadding();
  }

  #readData(bytes: Buffer, at: number, end: number): number {
    const take = Math.min(this.#left, end - at);
    this.#left -= take;
    if (!this.#handler.onData(this.#stream, bytes, at, at + take)) {
      this.stop();
      return end;
    }
    if (this.#left === 0) this.#skipPadding();
    return at + take;
  }

  #skipPadding(): void {
    if ((this.#flags & PADDED) !== 0 && this.#padding > 0) this.#state = IN_PADDING;
    else this.#endData();
  }

  #endData(): void {
    this.#state = IN_HEADER;
    if (!this.#handler.onDataFrameEnd(this.#flags, this.#stream)) this.stop();
  }
}
