/**
 * The access log: one JSON line an exchange, put together by hand (a tenth of what a logging library takes) into a
 * block of bytes, and handed on by the block, so that no request waits for a disk or a pipe. When blocks are not taken
 * fast enough, lines are dropped and counted. Lines are ASCII: whatever is not is escaped as JSON allows.
 */
import type { MetricsBank } from '../../base/metrics.ts';

const BLOCK_BYTES = 64 * 1024;
const FLUSH_MS = 200;
/** What may be on its way to the writer, per worker. */
const MAX_OUTSTANDING_BYTES = 4 * 1024 * 1024;

export class AccessLog {
  readonly #send: (lines: Uint8Array<ArrayBuffer>) => void;
  readonly #metrics: MetricsBank;
  #block = newBlock(BLOCK_BYTES);
  #used = 0;
  #outstanding = 0;
  #timer: NodeJS.Timeout | null = null;
  #second = 0;
  #secondText = '';

  /** `send` takes the block over; `written` is called with its size once it is written or given up. */
  constructor(send: (lines: Uint8Array<ArrayBuffer>) => void, metrics: MetricsBank) {
    this.#send = send;
    this.#metrics = metrics;
  }

  /** `line` is a JSON object of ASCII without its opening brace and time, and without the line feed. */
  write(wallMs: number, line: string): void {
    if (this.#outstanding > MAX_OUTSTANDING_BYTES) {
      this.#metrics.add('access_log_dropped', 1);
      return;
    }
    const text = `{"time":"${this.#stamp(wallMs)}",${line}\n`;
    if (this.#used + text.length > this.#block.length) {
      this.flush();
      if (text.length > this.#block.length) this.#block = newBlock(text.length);
    }
    this.#used += this.#block.latin1Write(text, this.#used, text.length);
    this.#timer ??= setTimeout(() => this.flush(), FLUSH_MS).unref();
  }

  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#used === 0) return;
    const lines = this.#block.subarray(0, this.#used);
    this.#block = newBlock(BLOCK_BYTES);
    this.#outstanding += this.#used;
    this.#used = 0;
    this.#send(lines);
  }

  written(bytes: number): void {
    this.#outstanding -= bytes;
  }

  /** ISO 8601 with milliseconds; the part up to the second is made once a second. */
  #stamp(wallMs: number): string {
    const second = Math.floor(wallMs / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#secondText = new Date(second * 1000).toISOString().slice(0, 20);
    }
    const ms = wallMs - second * 1000;
    return `${this.#secondText}${ms < 10 ? '00' : ms < 100 ? '0' : ''}${Math.floor(ms)}Z`;
  }
}

/** Memory of its own, because it is handed to another thread. */
function newBlock(bytes: number): Buffer<ArrayBuffer> {
  return Buffer.from(new ArrayBuffer(bytes));
}

/** Text that needs no escape in JSON. */
const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;

/** A JSON string in ASCII. */
export function jsonText(text: string): string {
  if (PLAIN.test(text)) return `"${text}"`;
  return JSON.stringify(text).replace(
    /[^\x20-\x7e]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
