/** A caller that says exactly the bytes it is told, and hears exactly what comes. */
import type { Socket } from 'node:net';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';

export interface Answer {
  readonly status: number;
  /** Names in lower case; several values of one name joined with a comma. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly trailers: Readonly<Record<string, string>>;
}

const WAIT_MS = 8_000;

export class RawCaller {
  readonly socket: Socket;
  received: Buffer = Buffer.alloc(0);
  closed = false;
  #wake: (() => void) | null = null;

  /** `secure`: over TLS, whatever certificate there is. */
  constructor(port: number, secure = false) {
    this.socket = secure
      ? connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
      : connect({ port, host: '127.0.0.1', noDelay: true });
    this.socket.on('data', (bytes: Buffer) => {
      this.received = Buffer.concat([this.received, bytes]);
      this.#wake?.();
    });
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.closed = true;
      this.#wake?.();
    });
    this.socket.on('end', () => this.#wake?.());
  }

  send(text: string | Buffer): this {
    this.socket.write(typeof text === 'string' ? Buffer.from(text, 'latin1') : text);
    return this;
  }

  /** Sends the text in pieces that arrive one by one. */
  async sendSplit(text: string, splits: readonly number[]): Promise<void> {
    let start = 0;
    for (const end of [...splits, text.length]) {
      await new Promise((resolve) => this.socket.write(Buffer.from(text.slice(start, end), 'latin1'), resolve));
      start = end;
    }
  }

  /** The next whole answer, taken off what was received. `method` decides whether it has a body. */
  async answer(method = 'GET'): Promise<Answer> {
    const deadline = Date.now() + WAIT_MS;
    for (;;) {
      const found = readAnswer(this.received, method, this.closed || this.socket.readableEnded);
      if (found !== null) {
        this.received = this.received.subarray(found.length);
        return found.answer;
      }
      if (this.closed || Date.now() > deadline) {
        throw new Error(
          `no whole answer ${this.closed ? 'before the connection ended' : `within ${WAIT_MS} ms`}; received ${JSON.stringify(this.received.toString('latin1').slice(0, 500))}`,
        );
      }
      await this.#change(deadline);
    }
  }

  /** As soon as there are so many bytes that were not taken; all of them. */
  async atLeast(length: number): Promise<Buffer> {
    const deadline = Date.now() + WAIT_MS;
    while (this.received.length < length) {
      if (this.closed || Date.now() > deadline)
        throw new Error(`${this.received.length} of ${length} bytes ${this.closed ? 'came' : `within ${WAIT_MS} ms`}`);
      await this.#change(deadline);
    }
    return this.received;
  }

  /** Until the other side has closed; what came and was not taken. */
  async end(): Promise<Buffer> {
    const deadline = Date.now() + WAIT_MS;
    while (!this.closed && !this.socket.readableEnded) {
      if (Date.now() > deadline) throw new Error(`the connection was not closed within ${WAIT_MS} ms`);
      await this.#change(deadline);
    }
    return this.received;
  }

  close(): void {
    this.socket.destroy();
  }

  #change(deadline: number): Promise<unknown> {
    const changed = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    return Promise.race([changed, delay(Math.max(1, deadline - Date.now()), undefined, { ref: false })]);
  }
}

function readAnswer(bytes: Buffer, method: string, ended: boolean): { answer: Answer; length: number } | null {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const [start = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
  const status = Number(start.split(' ')[1]);
  const headers = fieldsOf(lines);
  const from = end + 4;
  const done = (length: number, body: Buffer, trailers = {}) => ({
    answer: { status, headers, body, trailers },
    length,
  });
  if (status < 200 || status === 204 || status === 304 || method === 'HEAD') return done(from, Buffer.alloc(0));
  if (headers['transfer-encoding'] === 'chunked') {
    const chunks = readChunks(bytes, from);
    return chunks === null ? null : done(chunks.end, chunks.body, chunks.trailers);
  }
  if (headers['content-length'] !== undefined) {
    const length = Number(headers['content-length']);
    return bytes.length < from + length ? null : done(from + length, bytes.subarray(from, from + length));
  }
  return ended ? done(bytes.length, bytes.subarray(from)) : null;
}

function readChunks(
  bytes: Buffer,
  from: number,
): { body: Buffer; end: number; trailers: Record<string, string> } | null {
  const parts: Buffer[] = [];
  let at = from;
  for (;;) {
    const line = bytes.indexOf('\r\n', at);
    if (line < 0) return null;
    const size = Number.parseInt(bytes.toString('latin1', at, line), 16);
    at = line + 2;
    if (size === 0) break;
    if (bytes.length < at + size + 2) return null;
    parts.push(bytes.subarray(at, at + size));
    at += size + 2;
  }
  const trailers: string[] = [];
  for (;;) {
    const line = bytes.indexOf('\r\n', at);
    if (line < 0) return null;
    const text = bytes.toString('latin1', at, line);
    at = line + 2;
    if (text === '') return { body: Buffer.concat(parts), end: at, trailers: fieldsOf(trailers) };
    trailers.push(text);
  }
}

function fieldsOf(lines: readonly string[]): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    fields[name] = fields[name] === undefined ? value : `${fields[name]}, ${value}`;
  }
  return fields;
}
