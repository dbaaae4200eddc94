/**
 * The access log: one JSON line an exchange, put together by hand (a tenth of what a logging library takes) into a
 * block of bytes, and handed on by the block, so that no request waits for a disk or a pipe. When blocks are not taken
 * fast enough, lines are dropped and counted. Lines are ASCII: whatever is not is escaped as JSON allows.
 */

import { Buffer } from 'node:buffer';
import { copyWords, ShortBytes } from '../../base/copy-bytes.ts';
import type { MetricsBank } from '../../base/metrics.ts';
import { type Cancel, systemTimers } from '../../base/system-timers.ts';
import type { ByteWriter } from '../contract/byte-writer.ts';
import { digitsOf, MOST_DIGITS_VALUE, writeDigits } from '../wire/digits.ts';
import { SHORT_TEXT } from '../wire/outbox.ts';

const BLOCK_BYTES = 64 * 1024;
/**
 * Of a log whose blocks are full before their time: each costs a task of the thread pool and two switches of threads,
 * together more than the write itself.
 */
const BUSY_BLOCK_BYTES = 256 * 1024;
const FLUSH_MS = 200;
/** What may be on its way to the writer, per worker. */
const MAX_OUTSTANDING_BYTES = 4 * 1024 * 1024;

const LINE_START = part('{"time":"');
const TIME_END = part('Z",');
const LINE_FEED = part('\n');
const TIME_LENGTH = '2026-01-01T00:00:00.'.length;
/** Room that is asked for a line before it is begun; a longer one costs a copy of what there is of it. */
const USUAL_LINE_BYTES = 1024;

/** A part of lines that is always the same. */
export function part(text: string): ShortBytes {
  return new ShortBytes(Buffer.from(text, 'latin1'));
}

export class AccessLog implements ByteWriter {
  readonly #send: (lines: Uint8Array<ArrayBuffer>) => void;
  readonly #metrics: MetricsBank;
  #block = newBlock(BLOCK_BYTES);
  #view = viewOf(this.#block);
  /** A block that was written and has come back. */
  #spare: Buffer<ArrayBuffer> | null = null;
  #used = 0;
  /** Where the line that is being written began. */
  #lineStart = 0;
  #outstanding = 0;
  #timer: Cancel | null = null;
  #second = -1;
  #secondText = part(' '.repeat(TIME_LENGTH));

  /** `send` takes the block over; `written` is called with its size once it is written or given up. */
  constructor(send: (lines: Uint8Array<ArrayBuffer>) => void, metrics: MetricsBank) {
    this.#send = send;
    this.#metrics = metrics;
  }

  /**
   * Begins a line with its time: `{"time":"...",`. The rest of a JSON object follows by the methods below, in ASCII,
   * then `end`. False: the disk is too slow, the line is dropped and counted, write nothing.
   */
  begin(wallMs: number): boolean {
    if (this.#outstanding > MAX_OUTSTANDING_BYTES) {
      this.#metrics.add('access_log_dropped', 1);
      return false;
    }
    if (this.#used + USUAL_LINE_BYTES > this.#block.length) this.#sendBlock(BUSY_BLOCK_BYTES);
    this.#lineStart = this.#used;
    this.part(LINE_START);
    this.#stamp(wallMs);
    return true;
  }

  /** A whole line of another form, in ASCII. False: dropped and counted. */
  line(text: string): boolean {
    if (this.#outstanding > MAX_OUTSTANDING_BYTES) {
      this.#metrics.add('access_log_dropped', 1);
      return false;
    }
    if (this.#used + text.length + 4 > this.#block.length) this.flush();
    this.#lineStart = this.#used;
    this.text(text);
    this.end();
    return true;
  }

  text(text: string): void {
    const { length } = text;
    if (this.#used + length > this.#block.length) this.#makeRoom(length);
    if (length > SHORT_TEXT) this.#block.latin1Write(text, this.#used, length);
    else for (let i = 0; i < length; i++) this.#block[this.#used + i] = text.charCodeAt(i);
    this.#used += length;
  }

  bytes(bytes: Buffer, start: number, end: number): void {
    if (this.#used + end - start > this.#block.length) this.#makeRoom(end - start);
    const block = this.#block;
    let at = this.#used;
    for (let i = start; i < end; i++) block[at++] = bytes[i]!;
    this.#used = at;
  }

  part({ words, length }: ShortBytes): void {
    this.words(words, length);
  }

  words(words: Int32Array, length: number): void {
    if (this.#used + length + 3 > this.#block.length) this.#makeRoom(length + 3);
    copyWords(words, length, this.#view, this.#used);
    this.#used += length;
  }

  integer(value: number): void {
    if (value > MOST_DIGITS_VALUE) {
      this.text(`${value}`);
      return;
    }
    const digits = digitsOf(value);
    if (this.#used + digits > this.#block.length) this.#makeRoom(digits);
    writeDigits(this.#block, this.#used, digits, value);
    this.#used += digits;
  }

  /** Milliseconds to the microsecond: `12.345`. */
  milliseconds(ms: number): void {
    const micros = Math.round(ms * 1000);
    const whole = Math.floor(micros / 1000);
    this.integer(whole);
    const rest = micros - whole * 1000;
    if (this.#used + 4 > this.#block.length) this.#makeRoom(4);
    const block = this.#block;
    block[this.#used] = 0x2e;
    block[this.#used + 1] = 0x30 + ((rest / 100) | 0);
    block[this.#used + 2] = 0x30 + (((rest / 10) | 0) % 10);
    block[this.#used + 3] = 0x30 + (rest % 10);
    this.#used += 4;
  }

  end(): void {
    this.part(LINE_FEED);
    this.#lineStart = this.#used;
    this.#timer ??= systemTimers.after(FLUSH_MS, () => this.flush());
  }

  /** Whether the line that is being written has these bytes. */
  lineIncludes(bytes: Buffer): boolean {
    return this.#block.subarray(this.#lineStart, this.#used).includes(bytes);
  }

  /** Drops the line that is being written, in place of `end`. */
  forget(): void {
    this.#used = this.#lineStart;
  }

  flush(): void {
    this.#sendBlock(BLOCK_BYTES);
  }

  /** The next block holds `least` bytes or more. */
  #sendBlock(least: number): void {
    this.#timer?.();
    this.#timer = null;
    if (this.#used === 0) return;
    const lines = this.#block.subarray(0, this.#used);
    const spare = this.#spare;
    this.#use(spare !== null && spare.length >= least ? spare : newBlock(least));
    this.#spare = null;
    this.#outstanding += this.#used;
    this.#used = 0;
    this.#send(lines);
  }

  /** All but `lost` lines are in the log. `lines` are what `send` got, when nothing else refers to them. */
  written(bytes: number, lost: number, lines: Uint8Array<ArrayBuffer> | null = null): void {
    this.#outstanding -= bytes;
    if (lost > 0) this.#metrics.add('access_log_dropped', lost);
    if (lines === null) return;
    const size = lines.buffer.byteLength;
    if (size === BUSY_BLOCK_BYTES || (size === BLOCK_BYTES && this.#spare === null))
      this.#spare = Buffer.from(lines.buffer);
  }

  /** The line outgrows its block: it goes on in a new one, and the lines before it are sent. */
  #makeRoom(length: number): void {
    const begun = this.#block.subarray(this.#lineStart, this.#used);
    const block = newBlock(Math.max(BLOCK_BYTES, (begun.length + length) * 2));
    block.set(begun);
    this.#used = this.#lineStart;
    this.flush();
    this.#use(block);
    this.#lineStart = 0;
    this.#used = begun.length;
  }

  #use(block: Buffer<ArrayBuffer>): void {
    this.#block = block;
    this.#view = viewOf(block);
  }

  /** ISO 8601 with milliseconds; the part up to the second is made once a second. */
  #stamp(wallMs: number): void {
    const second = Math.floor(wallMs / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#secondText = part(new Date(second * 1000).toISOString().slice(0, TIME_LENGTH));
    }
    this.part(this.#secondText);
    const ms = Math.floor(wallMs - second * 1000);
    const block = this.#block;
    block[this.#used] = 0x30 + ((ms / 100) | 0);
    block[this.#used + 1] = 0x30 + (((ms / 10) | 0) % 10);
    block[this.#used + 2] = 0x30 + (ms % 10);
    this.#used += 3;
    this.part(TIME_END);
  }
}

function viewOf(block: Buffer): DataView {
  return new DataView(block.buffer, block.byteOffset, block.length);
}

/** Memory of its own, because it is handed to another thread. */
function newBlock(bytes: number): Buffer<ArrayBuffer> {
  return Buffer.from(new ArrayBuffer(bytes));
}
